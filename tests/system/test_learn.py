"""Learning in a real session: unknown programs run and are written down, the child sees the list, and rules come of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.box import Box, kill

FAMILY = Path(__file__).with_name("family.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pc(box: Box) -> Iterator[Box]:
    box.fairtime.policy(FAMILY)
    yield box
    box.fairtime.guardian("learn", "stop", "--child", "mia")


def test_a_while_of_learning(pc: Box) -> None:
    for name in ("mine", "theirs"):
        place = "/home/mia" if name == "mine" else "/opt/theirs"
        owner = "mia" if name == "mine" else "root"
        pc.run(
            f"mkdir -p {place} && cp /bin/sleep {place}/{name} && printf %s {name} >> {place}/{name} && "
            f"chown {owner}: {place}/{name}"
        ).check()
    # A program that people start has a launcher; what has none and is the system's is never asked about.
    pc.write(
        "/usr/share/applications/theirs.desktop",
        "[Desktop Entry]\nType=Application\nName=Theirs\nExec=/opt/theirs/theirs\n",
    )
    pc.fairtime.control("restart")
    pc.fairtime.wait()
    with pc.session("mia", "x11") as session:
        assert not session.run("exec ./mine 3", timeout=20).ok, "unknown: blocked"
        refused = session.run("echo | fairtime learn start --child mia --for 1h")
        assert not refused.ok, "a guardian's right"
        started = pc.fairtime.guardian("learn", "start", "--child", "mia", "--for", "1h").check()
        assert "learns which programs mia uses" in started.out
        time.sleep(2)
        running = [session.spawn(f"exec {place} 30") for place in ("./mine", "/opt/theirs/theirs")]
        try:
            pc.until("fairtime learn show --child mia | grep -q theirs", within=15)
            pc.until("fairtime learn show --child mia | grep -q mine", within=15)
            assert all(one.poll() is None for one in running)
        finally:
            for one in running:
                kill(one)
                one.communicate()
        assert session.run("fairtime learn show").check().out == pc.run("fairtime learn show --child mia").out
        assert "is learning which programs you use" in session.run("fairtime status").out
        rules = pc.run("fairtime learn propose --child mia").check().out
        assert 'path = "/opt/theirs/theirs"' in rules.splitlines()
        assert "#: sha256 = " in rules, "what mia could exchange is commented out"
        pc.fairtime.guardian("learn", "stop", "--child", "mia").check()
        time.sleep(2)
        assert not session.run("exec ./mine 3", timeout=20).ok, "over: blocked again"
        assert "learn-start" in pc.run("fairtime audit show").out
        # The proposal is a policy that can be signed; what was commented out stays out.
        pc.fairtime.policy(
            FAMILY.replace("programs = [\n", 'programs = [\n  { path = "/opt/theirs/theirs", action = "allow" },\n', 1)
        )
        assert session.run("exec /opt/theirs/theirs 1", timeout=20).ok
    pc.fairtime.policy(FAMILY)
