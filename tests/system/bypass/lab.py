"""The children's side of the PC during the suite: who is logged in, how long a game lived, what was refused."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.family import child
from tests.system.box import Box, Done, kill
from tests.system.bypass.attack import Attack, Outcome
from tests.system.sessions import Refused, Session
from tests.system.started import Started

HERE = Path(__file__).parent
FAMILY = HERE.parent / "family.toml"
GAMES = "/usr/local/games"
WATCHED = 5.0
"""Seconds after which a program that may not run must be gone."""
GONE = 1.0
"""A game that wrote nothing for this long is not alive."""
OLD_POLICY = "/root/old.json"
"""What the guardian signed before the suite's own policies."""
BUDGET = 8.0
LATE = 6.0
"""Seconds of play over the budget that still count as held on a PC alone: a tick, time to close, and a busy machine."""
SHORT = f"""
windows = {{}}
budget = {{ all = "{BUDGET:.0f}s" }}
mode = "block"
ending = "logout"
grace = "0s"
notices = []
unknown_programs = "allow"
"""
"""A child with a few seconds a day: 8 s of budget stand for an evening, as 30 s of play do for the night after it."""
_numbers = itertools.count(1)


class NoLogin(Exception):
    """The child could not even log in, with the words of the refusal: the attack was held."""


class Lab:
    """What every attack gets: the PC, mia and leo at it, and a child with an account ``kid-ID`` for those that want one."""

    def __init__(self, box: Box, attacks: Iterable[Attack]) -> None:
        self.box = box
        self._kids = {attack.id: attack.kid for attack in attacks if attack.kid is not None}
        self._doors: list[Started] = []
        self._wave: list[str] = []
        box.run(f"cp /var/lib/fairtime/policy.dsse.json {OLD_POLICY}").check()
        self._accounts()
        self._programs()
        self.mia = box.session("mia", "x11")
        self.leo = box.session("leo", "wayland")

    def close(self) -> None:
        for session in (self.mia, self.leo):
            session.end()
        for door in self._doors:
            kill(door)
            door.communicate()

    def begin(self, attacks: Iterable[Attack]) -> None:
        """Put a policy in force that names the children of these attacks."""
        self._wave = [attack.id for attack in attacks if attack.kid is not None]
        self.box.fairtime.policy(self.family())

    def family(self) -> str:
        """The lab's family and the present wave's children."""
        # A day must not end while the suite runs.
        reset = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=12)).strftime("%H:00")
        text = FAMILY.read_text(encoding="utf-8").replace('reset = "03:00"', f'reset = "{reset}"')
        for name in self._wave:
            text += child(self._kids[name], name, accounts=[f"kid-{name}"], preset="older")
        return text

    def _accounts(self) -> None:
        lines = (
            f"useradd --uid {31100 + n} --create-home --shell /bin/bash kid-{name}" for n, name in enumerate(self._kids)
        )
        self.box.run("set -e\n" + "\n".join(lines)).check()

    def _programs(self) -> None:
        """Build the games on this side; each child finds them in ~/bag."""
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder)
            source = HERE / "programs"
            gcc = ["gcc", "-O1", "-Wall", "-Werror"]
            subprocess.run([*gcc, "-o", made / "game", source / "game.c"], check=True)
            subprocess.run([*gcc, "-static", "-o", made / "game-static", source / "game.c"], check=True)
            subprocess.run([*gcc, "-shared", "-fPIC", "-o", made / "inside.so", source / "inside.c"], check=True)
            for name in ("game", "game-static", "inside.so"):
                data = (made / name).read_bytes()
                if name == "game":
                    self.box.write(f"{GAMES}/allowed-game", data, mode=0o755)
                for account in ("mia", "leo", *(f"kid-{kid}" for kid in self._kids)):
                    self.box.write(f"/home/{account}/bag/{name}", data, owner=account, mode=0o755)
        for name in ("game.sh", "game.py", "game.pl", "rogue.py"):
            text = (HERE / "programs" / name).read_text(encoding="utf-8")
            for account in ("mia", "leo"):
                self.box.write(f"/home/{account}/bag/{name}", text, owner=account, mode=0o755)

    # ---- programs ------------------------------------------------------------------------------------------------

    def play(
        self,
        session: Session,
        line: str,
        *,
        seconds: float = WATCHED,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> Outcome:
        """Run ``line`` (which starts a game that may not run) in a folder of its own and see whether it lives on.

        In the line, ``$BAG`` holds the games; a game writes to ``$LIFE``.
        """
        life = self.life(session.user)
        folder = life.rpartition("/")[0]
        done: list[Done] = []
        setting = {"LIFE": life, "BAG": f"/home/{session.user}/bag", "HERE": folder, **(env or {})}

        def act() -> None:
            done.append(session.run(f"cd {folder}\n{line}", env=setting, timeout=seconds + 2, stdin=stdin))

        thread = threading.Thread(target=act)
        thread.start()
        begun = time.monotonic()
        thread.join(seconds)
        # What has ended may have left something behind, which a moment shows.
        time.sleep(min(1.5 * GONE, max(0.0, begun + seconds - time.monotonic())))
        outcome = self.judged(life, done[0] if done else None)
        self.sweep(life)
        thread.join()
        return outcome

    def life(self, user: str) -> str:
        """A file that a game of ``user`` writes its life to, in a new folder."""
        folder = f"/home/{user}/play/{next(_numbers)}"
        self.box.run(["install", "-d", "-o", user, "-g", user, f"/home/{user}/play", folder]).check()
        return f"{folder}/life"

    def judged(self, life: str, done: Done | None) -> Outcome:
        """A game that may not run: held when it is not alive now and did not live long."""
        beats = self.beats(life)
        if not beats:
            return Outcome(True, f"never ran{_said(done)}")
        lived, silent = _sum(beats), self.now() - beats[-1]
        if silent < GONE:
            return Outcome(False, f"alive after {lived:.1f} s")
        return Outcome(lived <= WATCHED, f"lived {lived:.2f} s, gone{_said(done)}")

    def played(self, life: str) -> float:
        """Seconds that games lived which wrote to this file; gaps are not life."""
        return _sum(self.beats(life))

    def beats(self, life: str) -> list[float]:
        return [float(word) for word in self.box.read(life).split() if word.count(".") == 1 and word[-1] != "."]

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sweep(self, life: str) -> None:
        """End what still plays for this file."""
        self.box.run(
            f"for p in $(grep -lsz '^LIFE={life}$' /proc/[0-9]*/environ); do kill -9 $(basename ${{p%/environ}}); done"
        )

    # ---- time ----------------------------------------------------------------------------------------------------

    def in_time(self, life: str, more: str = "") -> Outcome:
        """A game that may run, under ``BUDGET``: held when it did not live much longer."""
        lived = self.played(life)
        words = f"played {lived:.1f} s of {BUDGET:.0f} s{', ' + more if more else ''}"
        return Outcome(lived <= BUDGET + self.box.within(LATE), words)

    def background(self, session: Session, line: str, env: Mapping[str, str]) -> None:
        """Start ``line`` in the session and leave it there."""
        self._doors.append(session.spawn(line, env=env))

    def alive_lately(self, life: str) -> bool:
        """Whether a game still writes, or has not begun to."""
        beats = self.beats(life)
        return not beats or self.now() - beats[-1] < 4

    def log_in(self, user: str, kind: str = "x11") -> Session | str:
        """A session, or the words it was refused with."""
        try:
            return self.box.session(user, kind)
        except Refused as refused:
            return str(refused) or "refused"

    def enter(self, user: str, kind: str = "x11") -> Session:
        """A session for an attack that is over, and has failed, when there is none: raises ``NoLogin`` then."""
        session = self.log_in(user, kind)
        if isinstance(session, str):
            raise NoLogin(session[:80])
        return session


def refused(done: Done, *signs: str) -> Outcome:
    """An act that must not succeed; with ``signs``, one of them must be in what was said."""
    words = " ".join((done.err or done.out).split())
    seen = not signs or any(sign in words for sign in signs)
    return Outcome(not done.ok and seen, f"exit {done.code}: {words[:120]}" if words else f"exit {done.code}")


def all_of(outcomes: Iterable[tuple[str, Outcome]]) -> Outcome:
    """Several tries as one: held when each was; the evidence is that of those which were not, or of the last."""
    tried = list(outcomes)
    broken = [f"{name}: {outcome.evidence}" for name, outcome in tried if not outcome.held]
    if broken:
        return Outcome(False, "; ".join(broken))
    return Outcome(True, f"{len(tried)} tries, last: {tried[-1][1].evidence}")


def _sum(beats: list[float]) -> float:
    """Life between beats; a longer silence is none (it was frozen, or started again)."""
    return sum(min(b - a, 0.3) for a, b in itertools.pairwise(beats)) if len(beats) > 1 else 0.01


def _said(done: Done | None) -> str:
    if done is None:
        return ""
    words = " ".join((done.err or done.out).split())
    return f" ({words[-90:]})" if words else f" (exit {done.code})"
