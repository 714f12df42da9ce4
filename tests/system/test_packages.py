"""A program that its package is allowed by: upgraded through dpkg it stays allowed, tampered with it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.box import Box
from tests.system.sessions import Session

HERE = Path(__file__).parent
PROGRAM = "/usr/games/tinygame"
RULE = '  { id = "tinygame", package = "tinygame", action = "allow" },\n'
LASTS = 6
"""Seconds that the game plays; one that may not be is stopped well within them, whichever lane sees it."""
PATIENCE = 40


def build(box: Box, version: str) -> str:
    """A package whose program is ``sleep`` with the version behind its last section; its path in the PC."""
    folder = f"/root/tinygame-{version}"
    box.run(
        f"mkdir -p {folder}/DEBIAN {folder}/usr/games && cp /bin/sleep {folder}{PROGRAM} && "
        f"printf %s {version} >> {folder}{PROGRAM} && chmod 755 {folder}{PROGRAM}"
    ).check()
    box.write(
        f"{folder}/DEBIAN/control",
        f"Package: tinygame\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
        "Description: a game for a test\n",
    )
    box.run(f"dpkg-deb --build --root-owner-group {folder} {folder}.deb").check()
    return f"{folder}.deb"


@pytest.fixture(scope="module")
def pc(box: Box) -> Iterator[Box]:
    family = (HERE / "family.toml").read_text(encoding="utf-8")
    assert "programs = [\n" in family
    box.fairtime.policy(family.replace("programs = [\n", f"programs = [\n{RULE}", 1))
    try:
        yield box
    finally:
        box.run("dpkg --purge tinygame; rm -rf /root/tinygame-*")
        box.fairtime.policy(family)


@pytest.fixture(scope="module")
def session(pc: Box) -> Iterator[Session]:
    with pc.session("mia", "x11") as session:
        yield session


def plays(session: Session) -> bool:
    """Whether mia can play the game to its end."""
    return session.run(f"exec {PROGRAM} {LASTS}", timeout=60).ok


def plays_in_the_end(session: Session) -> bool:
    """The same once what dpkg wrote has been read, which happens every few seconds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if plays(session):
            return True
    return False


def test_an_upgrade_through_dpkg_keeps_it_allowed(pc: Box, session: Session) -> None:
    pc.run(["dpkg", "--install", build(pc, "1")]).check()
    assert plays_in_the_end(session)
    before = pc.run(["sha256sum", PROGRAM]).check().out
    pc.run(["dpkg", "--install", build(pc, "2")]).check()
    assert pc.run(["sha256sum", PROGRAM]).check().out != before
    assert plays(session), "at once, without a moment in which it is unknown"


@pytest.mark.parametrize(
    "how", ["printf x >> {0}", "cp /bin/sleep {0}", "cp {0} /root/t; printf x >> /root/t; mv /root/t {0}"]
)
def test_tampered_with_it_is_no_longer_its_packages(pc: Box, session: Session, how: str) -> None:
    """By root, since nobody else can: an allowed path must not allow whatever came there."""
    assert plays_in_the_end(session)
    pc.run(how.format(PROGRAM)).check()
    pc.run(["chmod", "755", PROGRAM]).check()
    assert not plays(session)
    said = pc.until("fairtime status --json --child mia | grep -q 'tinygame is not what the package'", within=PATIENCE)
    assert said < PATIENCE
    pc.run(["dpkg", "--install", "/root/tinygame-2.deb"]).check()
    assert plays_in_the_end(session)


def test_a_copy_is_not_the_packages(pc: Box, session: Session) -> None:
    session.run(f"cp {PROGRAM} ~/tinygame && chmod 755 ~/tinygame").check()
    assert not session.run(f"exec ~/tinygame {LASTS}", timeout=60).ok
