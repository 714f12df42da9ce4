"""The end of the time, on a real logind: logins are refused with a reason, sessions end, and nothing of theirs goes on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.family import child, head
from tests.system.box import Box, kill
from tests.system.sessions import Refused, Session, sessions
from tests.system.started import Started

MIA = """
windows = {{}}
week = "40h"
budget = {{ all = "{budget}" }}
notices = []
grace = "0s"
ending = "{ending}"
learning_after = false
unknown_programs = "allow"
programs = []
"""
LEO = """
windows = {}
budget = {}
learning_after = false
unknown_programs = "allow"
programs = [{ id = "forbidden", path = "/usr/local/bin/forbidden", action = "block" }]
"""
KINDS = ("x11", "wayland", "tty", "ssh")
COUNT = "i=0; while :; do i=$((i+1)); echo $i > {file}; sleep 0.1; done"
STUBBORN = "trap '' TERM HUP INT; " + COUNT
NOBODY = "! pgrep -u mia || { ps -eo pid,ppid,user,stat,etimes,cgroup,args | grep -w mia; exit 1; }"
PLAIN = """
auth required pam_permit.so
account required pam_permit.so
session required pam_systemd.so
"""


def family(ending: str, budget: str = "2h", name: str = "mia") -> str:
    """A child whose time ends so, and leo, whose time does not."""
    children = child(MIA.format(ending=ending, budget=budget), name) + child(LEO, "leo", preset="older")
    return head('others = "ignore"', zone="UTC") + children


class Home:
    """The PC, and how much time mia has."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.late = 0.0
        """When leo's shell began to wait."""
        self._now = ("", "")
        self._lock = ""
        self._started: list[Started] = []

    def policy(self, ending: str, budget: str = "2h") -> None:
        if self._now != (ending, budget):
            self.box.fairtime.policy(family(ending, budget))
            self._now = (ending, budget)

    def take(self) -> float:
        """No time is left from now on: a guardian's lock, which leaves none for saving; the monotonic clock."""
        self.box.fairtime.guardian("lock", "--child", "mia", "--note", "Dinner.").check()
        return time.monotonic()

    def give(self) -> float:
        """There is time again."""
        for grant in self.box.fairtime.status("mia")["children"][0]["grants"]:
            if grant["kind"] == "lock":
                self.box.fairtime.guardian("release", grant["id"]).check()
        return time.monotonic()

    def start(self, session: Session, script: str) -> Started:
        """A shell script in a session."""
        self._started.append(session.spawn(["sh", "-c", script]))
        return self._started[-1]

    def used(self) -> int:
        return int(self.box.fairtime.status("mia")["children"][0]["verdict"]["used_today"])

    def begun(self, session: Session) -> None:
        """A session is there as logind has it (it is listed a moment earlier)."""
        self.box.until(f"loginctl show-session {session.id} --property=State --value | grep -qE 'active|online'")

    def gone(self, session: Session, within: float, since: float) -> None:
        """A session is no more within these seconds (of this PC alone) after ``since``."""
        end = since + self.box.within(within)
        while session.alive:
            assert time.monotonic() < end, f"session {session.id} ({session.kind}) goes on"
            time.sleep(0.05)

    def number(self, file: str) -> int:
        return int(self.box.read(file).strip() or 0)

    def runs(self, file: str) -> bool:
        """Whether a counter counts."""
        before = self.number(file)
        time.sleep(1)
        return self.number(file) != before

    def clean(self) -> None:
        for process in self._started:
            kill(process)
            process.communicate()
        self._started.clear()
        self.box.run("rm -f /tmp/*; loginctl disable-linger mia; pkill -KILL -u mia; true")
        self.box.until("! loginctl list-sessions --no-legend | grep -qw mia", within=15)
        # logind refuses a session while the account's manager is on its way out.
        self.box.until(
            "! systemctl is-active user@$(id -u mia) user-runtime-dir@$(id -u mia) | grep -q deactivating", within=15
        )


@pytest.fixture(scope="module")
def house(box: Box) -> Iterator[Home]:
    home = Home(box)
    home.policy("logout")
    box.write("/etc/pam.d/lab", PLAIN)
    box.run("cp /bin/sleep /usr/local/bin/forbidden").check()
    with box.session("leo", "x11") as session:
        quiet = session.spawn(["sh", "-c", "sleep 600; exec /usr/local/bin/forbidden 601 lab-now"])
        home.late = time.monotonic()
        yield home
        kill(quiet)
        quiet.communicate()
    home.give()
    box.fairtime.policy(Path(__file__).with_name("family.toml").read_text(encoding="utf-8"))


@pytest.fixture
def home(house: Home) -> Iterator[Home]:
    house.give()
    yield house
    house.give()
    house.clean()


# ---- logging in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tty", "ssh", "x11"])
def test_without_time_a_login_is_refused_with_the_reason(home: Home, kind: str) -> None:
    home.policy("logout")
    with home.box.session("mia", kind) as session:
        home.begun(session)  # with time it is not
    home.clean()
    home.take()
    begun = time.monotonic()
    with pytest.raises(Refused) as caught:
        home.box.session("mia", kind)
    assert time.monotonic() - begun < home.box.within(8)
    if kind == "tty":  # systemd-run and the lab's ssh show nobody anything
        assert "ana has paused the PC. Dinner." in str(caught.value)
    home.give()
    with home.box.session("mia", kind) as session:
        home.begun(session)


def test_ssh_shows_the_reason_too(home: Home) -> None:
    home.policy("logout")
    with home.box.session("mia", "ssh"):
        pass  # the key is known from here on
    home.take()
    done = home.box.run("ssh -i /root/.ssh/lab -o StrictHostKeyChecking=no mia@127.0.0.1 id")
    assert not done.ok and "ana has paused the PC. Dinner." in done.out + done.err


def test_used_up_minutes_are_told_in_the_words_of_the_tray(home: Home) -> None:
    home.policy("logout", "0m")
    with pytest.raises(Refused, match="used today's 0 s"):
        home.box.session("mia", "tty")


def test_becoming_a_child_without_time_is_refused_to_others_and_open_to_root(home: Home) -> None:
    home.policy("logout")
    home.take()
    done = home.box.run(["su", "mia", "-c", "id -un"], "leo", stdin="mia-lab\n")
    assert not done.ok and "has paused the PC" in done.out + done.err
    with home.box.session("root", "tty") as root:  # from nowhere, PAM would begin a session of the child's, to be ended
        assert root.run(["su", "mia", "-c", "id -un"]).check().out.strip() == "mia"
    home.give()
    assert home.box.run(["su", "mia", "-c", "id -un"], "leo", stdin="mia-lab\n").check().out.strip() == "mia"


def test_jobs_wait_for_time_too(home: Home) -> None:
    """systemd's manager for an account that lingers asks PAM as well."""
    home.policy("logout")
    home.take()
    home.box.run("loginctl enable-linger mia").check()
    time.sleep(2)
    assert home.box.run("systemctl is-active user@$(id -u mia).service").out.strip() in ("failed", "inactive")
    home.box.run("loginctl disable-linger mia").check()


def come_in(home: Home) -> None:
    """Guardian and root log in, in every way."""
    box = home.box
    for user in ("ana", "root"):
        for kind in ("tty", "x11", "su"):
            with box.session(user, kind) as session:
                home.begun(session)
    with box.session("ana", "ssh") as session:
        home.begun(session)


def test_guardians_always_get_in(home: Home) -> None:
    box = home.box
    home.policy("logout")
    home.take()
    come_in(home)
    box.fairtime.control("stop")
    try:
        come_in(home)
        with pytest.raises(Refused, match="systemctl restart fairtime"):
            box.session("mia", "tty")
        box.run("mv /usr/libexec/fairtime/login-check /usr/libexec/fairtime/away").check()
        come_in(home)
        with pytest.raises(Refused):
            box.session("mia", "tty")
        box.write("/usr/libexec/fairtime/login-check", "#!/bin/sh\nexit 3\n", mode=0o755)
        come_in(home)
        box.run("mv /usr/libexec/fairtime/away /usr/libexec/fairtime/login-check").check()
        box.run(
            "cp /var/lib/fairtime/policy.dsse.json /root/kept; echo junk > /var/lib/fairtime/policy.dsse.json"
        ).check()
        box.fairtime.control("start")
        come_in(home)
        box.run("groupmod -n away fairtime-children").check()
        come_in(home)
    finally:
        box.run("groupmod -n fairtime-children away")
        box.run(
            "test ! -e /usr/libexec/fairtime/away || mv /usr/libexec/fairtime/away /usr/libexec/fairtime/login-check"
        )
        box.run("test ! -e /root/kept || mv /root/kept /var/lib/fairtime/policy.dsse.json")
        box.fairtime.control("restart")
        box.fairtime.wait()


def test_the_service_puts_its_group_right(home: Home) -> None:
    box = home.box
    assert box.run("getent group fairtime-children").out.strip().rpartition(":")[2] in ("leo,mia", "mia,leo")
    box.run("gpasswd --delete mia fairtime-children").check()
    box.until("getent group fairtime-children | grep -qw mia", within=10)


# ---- ending a session ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_out_ends_a_session_within_two_seconds_and_stubborn_programs_within_five(home: Home, kind: str) -> None:
    home.policy("logout")
    with home.box.session("mia", kind) as session:
        game = home.start(session, STUBBORN.format(file="/tmp/game"))
        home.box.until("test -s /tmp/game")
        begun = home.take()
        home.gone(session, 2, begun)
        home.box.until(NOBODY, within=5, since=begun)
        game.wait(5)


@pytest.mark.parametrize("kind", ["x11", "tty"])
def test_a_login_that_pam_did_not_ask_about_is_ended_within_two_seconds(home: Home, kind: str) -> None:
    """As on a system where the lines are missing."""
    home.policy("logout")
    words = [
        "systemd-run", "--quiet", "--collect", "--wait", "--uid=mia", "--property=PAMName=lab",
        f"--setenv=XDG_SESSION_TYPE={kind}", "--setenv=XDG_SESSION_CLASS=user",
    ]  # fmt: skip
    begun = time.monotonic()
    home.box.run([*words, "true"]).check()
    login = time.monotonic() - begun  # what a login takes by itself
    home.take()
    begun = time.monotonic()
    home.box.run([*words, "sh", "-c", STUBBORN.format(file="/tmp/in")], timeout=20)
    assert time.monotonic() - begun - login < home.box.within(5), "a program that ignores the request is gone as well"
    for _ in range(3):
        begun = time.monotonic()
        home.box.run([*words, "sleep", "600"], timeout=20)
        assert time.monotonic() - begun - login < home.box.within(2)
    while sessions(home.box, "mia"):  # logind hears of the end a moment after whoever waited for it
        assert time.monotonic() - begun - login < home.box.within(2)
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["tty", "ssh"])
def test_where_nothing_locks_the_session_is_logged_out_at_once(home: Home, kind: str) -> None:
    home.policy("lock")
    with home.box.session("mia", kind) as session:
        begun = home.take()
        home.gone(session, 2, begun)


def test_a_desktop_that_does_not_lock_is_logged_out(home: Home) -> None:
    home.policy("lock")
    with home.box.session("mia", "x11") as session:
        begun = home.take()
        home.gone(session, 8, begun)
        home.box.until(NOBODY, within=6)


LOCKER = """
own=$(busctl --system call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager GetSession s $XDG_SESSION_ID | cut -d '"' -f 2)
dbus-monitor --system "type='signal',interface='org.freedesktop.login1.Session',member='Lock',path='$own'" |
grep --line-buffered member=Lock | while read -r line; do
  busctl --system call org.freedesktop.login1 $own org.freedesktop.login1.Session SetLockedHint b true
done
"""
UNLOCK = (
    LOCKER.splitlines()[1]
    + "\nbusctl --system call org.freedesktop.login1 $own org.freedesktop.login1.Session SetLockedHint b false"
)


def test_a_lock_that_is_undone_is_done_again_and_loses_nothing(home: Home) -> None:
    home.policy("lock")
    with home.box.session("mia", "wayland") as session:
        home.start(session, LOCKER)
        home.start(session, COUNT.format(file="/tmp/work"))
        home.box.until("pgrep -u mia dbus-monitor && test -s /tmp/work")
        time.sleep(0.5)
        home.take()
        locked = f"loginctl show-session {session.id} --property=LockedHint --value | grep -q yes"
        home.box.until(locked, within=2)
        for _ in range(2):
            session.run(UNLOCK).check()
            home.box.until(locked, within=2)
            time.sleep(1)
        assert session.alive and home.runs("/tmp/work")
        home.give()
        session.run(UNLOCK).check()
        time.sleep(3)
        assert session.show("LockedHint") == "no"


# ---- freezing ------------------------------------------------------------------------------------------------------


def test_a_freeze_stops_everything_charges_nothing_and_thaws_with_a_grant(home: Home) -> None:
    home.policy("freeze")
    box = home.box
    with box.session("mia", "x11") as session:
        home.start(session, COUNT.format(file="/tmp/work"))
        box.run(
            ["systemd-run", "--uid=mia", "--unit=lab-job", "--collect", "sh", "-c", COUNT.format(file="/tmp/job")]
        ).check()
        box.until("test -s /tmp/work && test -s /tmp/job")
        time.sleep(2)
        home.take()
        box.until("grep -q 'frozen 1' /sys/fs/cgroup/user.slice/user-$(id -u mia).slice/cgroup.events", within=2)
        time.sleep(1)
        assert not home.runs("/tmp/work")
        assert not home.runs("/tmp/job"), "what is outside the account's slice stands still too"
        used = home.used()
        time.sleep(3)
        assert home.used() == used
        # A service that is killed comes back to a frozen session, and knows it.
        box.run(f"kill -9 {box.fairtime.pid}").check()
        box.fairtime.wait()
        assert not home.runs("/tmp/work")
        assert home.used() - used <= 1000
        # One that is stopped in good order lets go, because nobody would do it later; started again, it holds.
        box.fairtime.control("stop")
        assert home.runs("/tmp/work")
        box.fairtime.control("start")
        box.until("grep -q 'frozen 1' /sys/fs/cgroup/user.slice/user-$(id -u mia).slice/cgroup.events", within=5)
        home.policy("freeze", "0m")
        home.give()
        time.sleep(1)
        assert not home.runs("/tmp/work"), "the lock is gone, and so are the minutes"
        box.fairtime.guardian("grant", "+30m", "--child", "mia").check()
        box.until("grep -q 'frozen 0' /sys/fs/cgroup/user.slice/user-$(id -u mia).slice/cgroup.events", within=2)
        assert home.runs("/tmp/work") and home.runs("/tmp/job")
        assert session.alive
    box.run("systemctl stop lab-job.service")


def test_a_child_that_leaves_the_policy_is_thawed(home: Home) -> None:
    home.policy("freeze")
    box = home.box
    with box.session("mia", "x11") as session:
        home.start(session, COUNT.format(file="/tmp/work"))
        box.until("test -s /tmp/work")
        home.take()
        box.until("grep -q 'frozen 1' /sys/fs/cgroup/user.slice/user-$(id -u mia).slice/cgroup.events", within=2)
        box.fairtime.policy(family("freeze", name="noa"))
        try:
            assert home.runs("/tmp/work")
        finally:
            box.fairtime.policy(family("freeze"))


# ---- beside sessions -----------------------------------------------------------------------------------------------


def test_nothing_goes_on_after_a_log_out(home: Home) -> None:
    """Lingering services, what was detached from the session, and jobs in nobody's slice."""
    home.policy("logout")
    box = home.box
    box.run("loginctl enable-linger mia; systemctl start user@$(id -u mia).service").check()
    with box.session("mia", "tty") as session:
        session.run(
            ["systemd-run", "--user", "--unit=lab-service", "sh", "-c", STUBBORN.format(file="/tmp/service")]
        ).check()
        session.run("setsid nohup sh -c '" + COUNT.format(file="/tmp/detached") + "' >/dev/null 2>&1 &").check()
        box.run(
            ["systemd-run", "--uid=mia", "--unit=lab-job", "--collect", "sh", "-c", STUBBORN.format(file="/tmp/job")]
        ).check()
        box.until("test -s /tmp/service && test -s /tmp/detached && test -s /tmp/job")
        begun = home.take()
        home.gone(session, 2, begun)
        box.until(NOBODY, within=7, since=begun)
    # ... and what begins later does not last.
    box.run(
        ["systemd-run", "--uid=mia", "--unit=lab-later", "--collect", "sh", "-c", STUBBORN.format(file="/tmp/later")]
    )
    time.sleep(1)
    box.until(NOBODY, within=9)


def test_programs_in_somebody_elses_session_end_and_that_session_stays(home: Home) -> None:
    home.policy("lock")
    with home.box.session("leo", "x11") as session:
        inside = "mia-lab\n"
        su = session.spawn(["su", "mia", "-c", STUBBORN.format(file="/tmp/borrowed")])
        home._started.append(su)
        assert su.stdin is not None
        su.stdin.write(inside.encode())
        su.stdin.flush()
        home.box.until("test -s /tmp/borrowed")
        before = home.used()
        time.sleep(3)
        assert home.used() > before, "it is use of mia's time"
        begun = home.take()
        home.box.until(NOBODY, within=8, since=begun)
        assert session.alive
        su.wait(10)


def test_an_administrator_at_work_in_a_childs_account_is_left_alone(home: Home) -> None:
    home.policy("logout")
    with home.box.session("ana", "tty") as session:
        home.take()
        work = session.box.spawn(
            ["su", "mia", "-c", COUNT.format(file="/tmp/work")], cgroup=session.cgroup
        )  # fmt: skip
        home.box.until("test -s /tmp/work")
        time.sleep(6)
        assert home.runs("/tmp/work")
        home.box.run("pkill -KILL -u mia")
        work.communicate(timeout=5)


def test_a_greeter_is_no_session_of_a_child(home: Home) -> None:
    home.policy("lock")
    home.take()
    door = home.box.spawn(
        ["systemd-run", "--quiet", "--collect", "--wait", "--uid=mia", "--property=PAMName=lab",
         "--setenv=XDG_SESSION_TYPE=x11", "--setenv=XDG_SESSION_CLASS=greeter", "sleep", "5"]
    )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        door.wait(4)
    door.communicate(timeout=10)


def test_two_sessions_at_once_are_charged_once_and_end_together(home: Home) -> None:
    home.policy("logout")
    with home.box.session("mia", "x11") as first, home.box.session("mia", "ssh") as second:
        time.sleep(1)
        begun, before = time.monotonic(), home.used()
        time.sleep(8)
        used, passed = home.used() - before, (time.monotonic() - begun) * 1000
        assert abs(used - passed) < 1600, (used, passed)
        begun = home.take()
        home.gone(first, 2, begun)
        home.gone(second, 3, begun)
        home.box.until(NOBODY, within=6)


def test_a_program_that_a_shell_turned_into_after_a_minute_is_seen(home: Home) -> None:
    """It sat quietly since these tests began, under a pid that is long known."""
    box = home.box
    left = home.late + 60 - time.monotonic()
    if left > 0:
        time.sleep(left)
    assert box.run("pgrep -u leo -f '^sleep 600$'").ok
    assert box.run("pgrep -u leo -f lab-now").ok, "the shell that waits"
    box.run("pkill -u leo -f '^sleep 600$'").check()
    box.until("! pgrep -u leo -f lab-now", within=5)
