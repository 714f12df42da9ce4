"""Playing longer than the minutes allow: each child here has 8 s a day, and tries to play for half a minute.

The ratio is that of an evening: who gets 20 s for 75 s of play in one product gets hours for minutes.
"""

from __future__ import annotations

import time

from tests.system.bypass.attack import Outcome, attack
from tests.system.bypass.lab import BUDGET, LATE, SHORT, WATCHED, Lab
from tests.system.sessions import Session

LONG = 30.0
"""Seconds of play that are tried, nearly four times the budget."""
LOCKS = SHORT.replace('ending = "logout"', 'ending = "lock"')
EVENING = SHORT.replace(f'all = "{BUDGET:.0f}s"', 'all = "20s"')
FREEZES = SHORT.replace('ending = "logout"', 'ending = "freeze"')
SLEEPER = "busctl call org.freedesktop.login1 /org/freedesktop/login1/session/self org.freedesktop.login1.Session"


def _play(lab: Lab, user: str, line: str = "", *, kind: str = "x11", seconds: float = LONG, **env: str) -> Outcome:
    """Log in, play with ``line`` at work beside it, stay for ``seconds``."""
    life = lab.life(user)
    session = lab.enter(user, kind)
    try:
        _start(lab, session, life, line, **env)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and lab.alive_lately(life):
            time.sleep(1)
        outcome = lab.in_time(life, "session gone" if not session.alive else "session there")
    finally:
        lab.sweep(life)
        session.end()
    return outcome


def _start(lab: Lab, session: Session, life: str, line: str = "", **env: str) -> None:
    setting = {"LIFE": life, "BAG": f"/home/{session.user}/bag", **env}
    lab.background(session, f"{line}\nexec $BAG/game 60" if line else "exec $BAG/game 60", setting)


@attack("overrun", "go on playing in a game that ignores every signal", 4, kid=SHORT)
def overrun(lab: Lab) -> Outcome:
    return _play(lab, "kid-overrun", STUBBORN="1")


@attack(
    "fake-hints",
    "75 s of play on a budget of 20 s, with SetIdleHint and SetLockedHint by the child's own program",
    35,
    kid=EVENING,
    calm=True,
)
def fake_hints(lab: Lab) -> Outcome:
    """The game draws, as games do: the processor's load is the evidence here, where there are no input devices."""
    line = (
        f"(while :; do {SLEEPER} SetIdleHint b true; {SLEEPER} SetLockedHint b true; sleep 0.5; done >/dev/null 2>&1) &"
    )
    return _hinted(lab, "kid-fake-hints", line)


@attack(
    "locker-left-on", "a screen locker that says it is on while the game plays beneath it", 35, kid=EVENING, calm=True
)
def locker_left_on(lab: Lab) -> Outcome:
    line = f"{SLEEPER} SetType s wayland; {SLEEPER} SetLockedHint b true; loginctl lock-session"
    return _hinted(lab, "kid-locker-left-on", line)


@attack(
    "quiet-hints", "the same with a game that hardly uses the processor, on a PC without input devices", 35,
    kid=EVENING, calm=True, limit="quiet-game",
)  # fmt: skip
def quiet_hints(lab: Lab) -> Outcome:
    return _hinted(lab, "kid-quiet-hints", f"{SLEEPER} SetIdleHint b true; {SLEEPER} SetLockedHint b true", busy="")


def _hinted(lab: Lab, user: str, line: str, busy: str = "1") -> Outcome:
    life = lab.life(user)
    session = lab.log_in(user)
    assert isinstance(session, Session), session
    _start(lab, session, life, line, **({"BUSY": busy} if busy else {}))
    deadline = time.monotonic() + 75
    while time.monotonic() < deadline and lab.alive_lately(life) and lab.played(life) < 50:
        time.sleep(1)
    lived = lab.played(life)
    lab.sweep(life)
    session.end()
    # Load is only told from noise after ten seconds of it.
    return Outcome(lived <= 20 + 10 + lab.box.within(LATE), f"played {lived:.1f} s of 20 s")


@attack("undo-lock", "unlock the session each time it is locked (loginctl, a locker that lies)", 35, kid=LOCKS)
def undo_lock(lab: Lab) -> Outcome:
    line = f"(while :; do loginctl unlock-session; {SLEEPER} SetLockedHint b false; sleep 0.3; done >/dev/null 2>&1) &"
    return _play(lab, "kid-undo-lock", line)


@attack("thaw", "thaw what was frozen: cgroup.freeze, systemctl, another login", 35, kid=FREEZES)
def thaw(lab: Lab) -> Outcome:
    user = "kid-thaw"
    life = lab.life(user)
    session = lab.enter(user)
    line = "(while :; do for f in /sys/fs/cgroup/user.slice/user-$(id -u).slice/cgroup.freeze " \
        "/sys/fs/cgroup/user.slice/user-$(id -u).slice/*/cgroup.freeze; do echo 0 >$f; done; " \
        "systemctl thaw user-$(id -u).slice; systemctl --user thaw app.slice; sleep 0.3; done >/dev/null 2>&1) &"  # fmt: skip
    _start(lab, session, life, line)
    time.sleep(BUDGET + 4)
    other = lab.log_in(user, "ssh")
    said = other[:60] if isinstance(other, str) else "second login there"
    time.sleep(10)
    outcome = lab.in_time(life, said)
    lab.box.run(f"echo 0 >/sys/fs/cgroup/user.slice/user-$(id -u {user}).slice/cgroup.freeze")
    lab.sweep(life)
    for one in (session, other):
        if isinstance(one, Session):
            one.end()
    return outcome


@attack("bursts", "many bursts of a second: play, stop, play", 35, kid=SHORT)
def bursts(lab: Lab) -> Outcome:
    """Every burst is shorter than a tick and a half; their sum is what counts."""
    user = "kid-bursts"
    life = lab.life(user)
    session = lab.enter(user)
    line = f"while :; do timeout -s KILL 0.8 $BAG/game; {SLEEPER} SetLockedHint b true; sleep 0.2; {SLEEPER} SetLockedHint b false; done"
    lab.background(session, line, {"LIFE": life, "BAG": f"/home/{user}/bag"})
    time.sleep(20)
    outcome = lab.in_time(life)
    lab.sweep(life)
    session.end()
    return outcome


@attack("short-logins", "many logins of two seconds", 35, kid=SHORT)
def short_logins(lab: Lab) -> Outcome:
    user = "kid-short-logins"
    life = lab.life(user)
    logins, said = 0, ""
    for _ in range(12):
        session = lab.log_in(user)
        if isinstance(session, str):
            said = session
            break
        logins += 1
        _start(lab, session, life)
        time.sleep(1.7)
        lab.sweep(life)
        session.end()
    return lab.in_time(life, f"{logins} logins{', then refused: ' + said[-60:] if said else ''}")


@attack("again", "log in again after the minutes are used up", 4, kid=SHORT)
def again(lab: Lab) -> Outcome:
    user = "kid-again"
    _play(lab, user)
    found = []
    for kind in ("x11", "tty", "ssh", "su"):
        session = lab.log_in(user, kind)
        if isinstance(session, str):
            found.append((kind, Outcome(True, f"{kind}: refused")))
            continue
        life = lab.life(user)
        _start(lab, session, life)
        deadline = time.monotonic() + lab.box.within(10)
        while time.monotonic() < deadline and (session.alive or lab.alive_lately(life)):
            time.sleep(0.5)
        played = lab.played(life)
        lab.sweep(life)
        session.end()
        found.append((kind, Outcome(played <= lab.box.within(WATCHED), f"{kind}: ended, played {played:.1f} s more")))
    held = all(outcome.held for _, outcome in found)
    return Outcome(held, "; ".join(outcome.evidence for _, outcome in found))


@attack("linger", "loginctl enable-linger, and play as a user service after logging out", 5, 35, kid=SHORT)
def linger(lab: Lab) -> Outcome:
    user = "kid-linger"
    life = lab.life(user)
    session = lab.enter(user)
    done = session.run(
        f"loginctl enable-linger 2>&1; systemd-run --user --quiet --setenv=LIFE={life} ~/bag/game 60 2>&1"
    )
    session.end()
    time.sleep(LONG)
    outcome = lab.in_time(life, done.out.strip()[:60])
    lab.box.run(f"loginctl disable-linger {user}; loginctl terminate-user {user}")
    lab.sweep(life)
    return outcome


@attack("second-seat", "two sessions at once, so that one can be blamed", 35, kid=SHORT)
def second_seat(lab: Lab) -> Outcome:
    """And fast user switching: the first session is put in the background as ``loginctl activate`` would."""
    user = "kid-second-seat"
    life = lab.life(user)
    found = [lab.log_in(user), lab.log_in(user, "wayland")]
    sessions = [one for one in found if isinstance(one, Session)]
    for session in sessions:
        _start(lab, session, life, f"loginctl attach seat1 /sys/class/drm/card0; loginctl activate {sessions[-1].id}")
    time.sleep(20)
    lived = lab.played(life)
    lab.sweep(life)
    for session in sessions:
        session.end()
    return Outcome(
        lived <= BUDGET + lab.box.within(LATE), f"played {lived:.1f} s of {BUDGET:.0f} s in {len(sessions)} sessions"
    )


@attack("tty", "a text console instead of the desktop (TTY switch)", 35, kid=SHORT)
def tty(lab: Lab) -> Outcome:
    return _play(lab, "kid-tty", kind="tty")


@attack("ssh", "ssh into the own account", 35, kid=SHORT)
def ssh(lab: Lab) -> Outcome:
    return _play(lab, "kid-ssh", kind="ssh")


@attack("background", "leave the game to at(1), out of every session", 5, 35, kid=SHORT, limit="no-session")
def background(lab: Lab) -> Outcome:
    user = "kid-background"
    life = lab.life(user)
    session = lab.enter(user)
    done = session.run(f"echo LIFE={life} ~/bag/game 60 | at now 2>&1")
    session.end()
    time.sleep(LONG)
    outcome = lab.in_time(life, done.out.strip()[-40:])
    lab.sweep(life)
    return outcome


@attack(
    "forged-signals",
    "forged signals of logind on the system bus: SessionRemoved, PrepareForSleep, PropertiesChanged",
    35,
    39,
    kid=SHORT,
)
def forged_signals(lab: Lab) -> Outcome:
    manager = "/org/freedesktop/login1 org.freedesktop.login1.Manager"
    path = "/org/freedesktop/login1/session/_3$XDG_SESSION_ID"
    line = (
        f"(while :; do busctl emit {manager} SessionRemoved so $XDG_SESSION_ID {path}; busctl emit {manager} PrepareForSleep b true; "
        f"busctl emit {path} org.freedesktop.DBus.Properties PropertiesChanged 'sa{{sv}}as' org.freedesktop.login1.Session "
        "2 Active b false LockedHint b true 0; sleep 0.3; done >/dev/null 2>&1) &"
    )
    return _play(lab, "kid-forged-signals", line)
