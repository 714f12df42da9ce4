"""Whom PAM asks about: the group is what the policy says, and what is missing has a name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("PAM is asked on Linux", allow_module_level=True)

import grp

from agent.errors import HostError
from agent.platforms.linux import logins
from agent.platforms.linux.accounts import Person
from agent.platforms.linux.logins import GROUP, Logins

INSTALLER = Path(__file__).parents[2] / "installer/linux"


class Groups:
    """A group file in memory, and the command that changes it."""

    def __init__(self, members: list[str] | None, *, broken: str = "") -> None:
        self.members, self.broken, self.ran = members, broken, 0

    def getgrnam(self, name: str) -> grp.struct_group:
        assert name == GROUP
        if self.members is None:
            raise KeyError(name)
        return grp.struct_group((name, "x", 990, self.members))

    def run(self, words: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        assert words[:2] == ["gpasswd", "--members"] and words[3] == GROUP
        self.ran += 1
        if self.broken:
            return subprocess.CompletedProcess(words, 1, b"", self.broken.encode())
        self.members = [name for name in words[2].split(",") if name]
        return subprocess.CompletedProcess(words, 0, b"", b"")


def place(monkeypatch: pytest.MonkeyPatch, groups: Groups) -> Groups:
    monkeypatch.setattr(logins.grp, "getgrnam", groups.getgrnam)
    monkeypatch.setattr(logins.subprocess, "run", groups.run)
    monkeypatch.setattr(
        logins.accounts,
        "person",
        lambda name: Person(name, 1001, frozenset()) if name in ("mia", "leo", "#7") else None,
    )
    return groups


def test_members_are_the_children_that_exist_and_change_only_when_they_must(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = place(monkeypatch, Groups(["ana"]))
    kept = Logins()
    kept.keep(["mia", "leo", "#7", "nobody-here"])
    assert groups.members == ["leo", "mia"]
    kept.repair()
    kept.keep(["leo", "mia"])
    assert groups.ran == 1
    groups.members = []  # somebody took them out
    kept.repair()
    assert groups.members == ["leo", "mia"]
    kept.keep([])
    assert groups.members == []


def test_nothing_is_repaired_before_anything_was_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = place(monkeypatch, Groups(["mia"]))
    Logins().repair()
    assert groups.ran == 0


def test_what_cannot_be_changed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    place(monkeypatch, Groups([], broken="gpasswd: cannot lock /etc/group; try again later."))
    with pytest.raises(HostError, match="cannot lock"):
        Logins().keep(["mia"])
    place(monkeypatch, Groups(None))
    with pytest.raises(HostError, match="missing"):
        Logins().keep(["mia"])


def test_each_missing_part_has_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    groups = place(monkeypatch, Groups(["mia"]))
    kept = Logins(tmp_path)
    assert "not installed" in kept.why()
    check = tmp_path / "usr/libexec/fairtime/login-check"
    check.parent.mkdir(parents=True)
    check.touch(0o755)
    assert "PAM does not ask" in kept.why()
    stack = tmp_path / "etc/pam.d/common-account"
    stack.parent.mkdir(parents=True)
    lines = (INSTALLER / "pam/pam-configs/fairtime").read_text().replace("@prefix@", "/usr")
    stack.write_text("".join(f"# {line}\n" for line in lines.splitlines()))
    assert "PAM does not ask" in kept.why(), "a comment is no line"
    stack.write_text(lines)
    assert kept.why() == ""
    kept.keep(["leo"])
    groups.members = ["mia"]
    assert "does not have" in kept.why()
    groups.members = None
    assert "missing" in kept.why()


def test_the_profile_asks_about_members_of_the_group_only() -> None:
    """The line that keeps guardians out of this comes first, and jumps over both others."""
    text = (INSTALLER / "pam/pam-configs/fairtime").read_text()
    first, second, third = [line.split(None, 2) for line in text.partition("Account:\n")[2].splitlines()]
    assert first[0] == "[success=2" and f"user notingroup {GROUP}" in first[2]
    assert second[0] == "[success=1" and "pam_exec.so" in second[2] and logins.CHECK in second[2]
    assert third[0] == "requisite"
