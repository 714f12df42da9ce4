"""A program that must be asked for, in a real session: it stands still whatever its account does, and only a yes lets it run."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.box import Box, kill
from tests.system.fairtime import PIN
from tests.system.sessions import Session
from tests.system.started import Started

FAMILY = Path(__file__).with_name("family.toml").read_text(encoding="utf-8")
WAITS = 20
ALIVE = ("-r", "D,R,S,T,t", "-x")
"""Words for pgrep that leave out who has died and is not collected yet."""
ASKING = FAMILY.replace(
    'unknown_programs = "block"', f'unknown_programs = "ask"\nanswer_within = "{WAITS}s"', 1
).replace('unknown_programs = "allow"', 'unknown_programs = "ask"\nanswer_within = "10m"', 1)


@pytest.fixture(scope="module")
def pc(box: Box) -> Iterator[Box]:
    assert ASKING != FAMILY
    box.fairtime.policy(ASKING)
    try:
        yield box
    finally:
        box.fairtime.policy(FAMILY)
        for grant in json.loads(box.run("fairtime grants --json").out or "[]"):
            box.fairtime.guardian("release", grant["id"])


@pytest.fixture(scope="module")
def session(pc: Box) -> Iterator[Session]:
    with pc.session("mia", "x11") as session:
        yield session


class Game:
    """A program of mia's own, never seen before, that makes a file with its first breath and then plays on."""

    def __init__(self, session: Session, name: str) -> None:
        self.session, self.name = session, name
        file = f"/home/{session.user}/{name}"
        self.flag = f"{file}.ran"
        session.box.run(
            f"cp /bin/dash {file} && printf %s {name} >> {file} && chown {session.user}: {file} && rm -f {self.flag}"
        ).check()
        self.process: Started | None = None

    def start(self, before: str = "") -> None:
        """Start it from a shell that does ``before`` first."""
        self._collect()
        self.process = self.session.spawn(
            f"{before}exec ./{self.name} -c 'echo yes > {self.flag}; while :; do sleep 0.1; done'"
        )

    @property
    def pid(self) -> int:
        found = self.session.box.run(["pgrep", *ALIVE, self.name[:15]]).out.split()
        return int(found[0]) if found else 0

    @property
    def ran(self) -> bool:
        return self.session.box.run(["test", "-e", self.flag]).ok

    def request(self, within: float = 15) -> str:
        """The id of the open request for it."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            found = self.session.box.run("fairtime request").out
            match = re.search(rf"^(\S+)  {self.session.user}: .*{self.name}.*\[open\]", found, re.M)
            if match:
                return match[1]
            time.sleep(0.2)
        raise AssertionError(f"nobody was asked for {self.name}:\n{found}\n{self.session.box.fairtime.log()[-3000:]}")

    def answer(self, *words: str) -> None:
        done = self.session.box.run(["fairtime", "request", *words], stdin=PIN + "\n")
        assert done.ok, done.err

    def end(self) -> None:
        self.session.box.run(["pkill", "-KILL", "-x", self.name[:15]])
        self._collect()

    def _collect(self) -> None:
        if self.process is not None:
            kill(self.process)
            self.process.communicate()
            self.process = None


@pytest.fixture
def game(session: Session, request: pytest.FixtureRequest) -> Iterator[Game]:
    made = Game(session, f"g{abs(hash(request.node.name)) % 10**8}")
    yield made
    made.end()


def test_it_stands_still_until_a_yes(pc: Box, session: Session, game: Game) -> None:
    game.start()
    ident = game.request()
    assert game.pid
    assert not game.ran, "not one instruction before the answer"
    status = pc.fairtime.status("mia")
    assert [r["subject"] for r in status["children"][0]["requests"]] == [game.name]
    game.answer("--grant", ident, "--for", "once")
    pc.until(f"test -e {game.flag}", within=5)
    where = pc.read(f"/proc/{game.pid}/cgroup")
    assert "fairtime-held" not in where, "it is back where it came from"
    assert f"session-{session.id}.scope" in where


def test_its_own_account_cannot_let_it_go_on(pc: Box, session: Session, game: Game) -> None:
    game.start()
    game.request()
    pid = game.pid
    session.run(f"for n in $(seq 200); do kill -CONT {pid}; done; renice 5 {pid}").check()
    time.sleep(1)
    assert not game.ran
    assert "fairtime-held" in pc.read(f"/proc/{pid}/cgroup")
    session.run("strace -V").check()  # else the last of these shows nothing
    for attack in (
        f"echo 0 > /sys/fs/cgroup/user.slice/user-$(id -u).slice/fairtime-held-{pid}-*/cgroup.freeze",
        f"echo {pid} > /sys/fs/cgroup/user.slice/user-$(id -u).slice/session-{session.id}.scope/cgroup.procs",
        f"strace -f -o /dev/null -p {pid}",  # holds on to it until it is ended
    ):
        assert not session.run(attack, timeout=5).ok, attack
    assert not game.ran
    # It may end it: to a frozen program that does not mind signals, and this one never came to say so, any that ends is a kill
    # (complete_signal() of the kernel).  What it may not is let it run first, or leave anything behind.
    session.run(f"kill -TERM {pid}").check()
    pc.until(f"! pgrep {' '.join(ALIVE)} {game.name}", within=5)
    pc.until(f"! ls -d /sys/fs/cgroup/user.slice/user-*.slice/fairtime-held-{pid}-*", within=5)
    assert not game.ran


def test_signals_that_it_does_not_mind_leave_it_where_it_is(pc: Box, session: Session, game: Game) -> None:
    """Whoever starts a program may have it ignore what ends others."""
    game.start("trap '' TERM HUP INT; ")
    game.request()
    pid = game.pid
    session.run(f"for n in TERM HUP INT CONT; do kill -$n {pid}; done").check()
    time.sleep(1)
    assert game.pid == pid
    assert "fairtime-held" in pc.read(f"/proc/{pid}/cgroup")
    assert not game.ran


def test_systemd_moves_it_out_and_it_dies(pc: Box, session: Session, game: Game) -> None:
    """The child's own systemd may ask the system's to move a process of the child's; what leaves alive is killed."""
    game.start()
    game.request()
    pid = game.pid
    moved = session.run(
        "busctl --user call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "
        f"StartTransientUnit 'ssa(sv)a(sa(sv))' escape-{pid}.scope fail 1 PIDs au 1 {pid} 0"
    )
    pc.until(f"test ! -e /proc/{pid}/exe || grep -q fairtime-held /proc/{pid}/cgroup", within=5)
    assert not pc.run(["pgrep", *ALIVE, game.name]).ok or "fairtime-held" in pc.read(f"/proc/{pid}/cgroup")
    assert moved.ok, "else this shows nothing: " + moved.err


def test_a_no_closes_it_for_the_day(pc: Box, game: Game) -> None:
    game.start()
    ident = game.request()
    game.answer("--refuse", ident, "--reply", "Not this one.")
    pc.until(f"! pgrep {' '.join(ALIVE)} {game.name}", within=5)
    game.start()
    time.sleep(3)
    assert not game.pid
    assert not game.ran
    assert "Not this one." in pc.run(f"fairtime why /home/mia/{game.name} --child mia").out


def test_nobody_answers(pc: Box, game: Game) -> None:
    game.start()
    game.request()
    begun = time.monotonic()
    pc.until(f"! pgrep {' '.join(ALIVE)} {game.name}", within=WAITS + 15)
    assert time.monotonic() - begun > WAITS / 2
    assert not game.ran


def test_the_service_is_killed_while_it_is_held(pc: Box, game: Game) -> None:
    game.start()
    ident = game.request()
    pid = game.pid
    pc.run(["kill", "-9", str(pc.fairtime.pid)]).check()
    time.sleep(0.5)
    assert not game.ran
    pc.fairtime.wait()
    time.sleep(2)
    assert game.pid == pid, pc.fairtime.log()[-2000:]
    assert not game.ran
    game.answer("--grant", ident, "--for", "once")
    pc.until(f"test -e {game.flag}", within=5)


def test_a_service_that_ends_leaves_nothing_frozen(pc: Box, game: Game) -> None:
    game.start()
    game.request()
    pc.fairtime.control("stop")
    try:
        pc.until(f"! pgrep {' '.join(ALIVE)} {game.name}", within=10)
        assert not pc.run("ls -d /sys/fs/cgroup/user.slice/user-*.slice/fairtime-held-*").ok
    finally:
        pc.fairtime.control("start")
        pc.fairtime.wait()
    assert not game.ran


def test_logging_out_ends_it(pc: Box) -> None:
    with pc.session("leo", "tty") as other:
        game = Game(other, "logsout")
        game.start()
        game.request()
        assert game.pid
        assert not game.ran
    try:
        pc.until(f"! pgrep {' '.join(ALIVE)} logsout", within=30)
        assert not game.ran
    finally:
        game.end()


def test_a_permission_for_good_is_signed_listed_and_becomes_a_rule(pc: Box, game: Game) -> None:
    game.start()
    ident = game.request()
    game.answer("--grant", ident, "--for", "good")
    pc.until(f"test -e {game.flag}", within=5)
    listed = pc.run("fairtime grants").out
    assert f"yes to {game.name} from now on" in listed
    assert "sha256:" in listed
    lines = pc.run("fairtime policy lines --child mia").out
    assert f'id = "{game.name}"' in lines
    pc.fairtime.control("restart")
    pc.fairtime.wait()
    assert f"yes to {game.name}" in pc.run("fairtime grants").out, "its signature holds"
    tampered = game.name
    pc.fairtime.control("stop")
    pc.run(
        "python3 - <<'END'\n"
        "import sqlite3\n"
        "ledger = sqlite3.connect('/var/lib/fairtime/ledger.db')\n"
        f"ledger.execute(\"UPDATE given SET subject = 'deb:bash' WHERE title = '{tampered}'\")\n"
        "ledger.commit()\n"
        "END"
    ).check()
    pc.fairtime.control("start")
    pc.fairtime.wait()
    assert "deb:bash" not in pc.run("fairtime grants").out
    assert any("no guardian gave" in note for note in pc.fairtime.status("mia")["notes"])
    assert "grant-refused" in pc.run("fairtime audit show").out
