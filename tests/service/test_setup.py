"""Setup: from nothing to a signed policy, by a file of answers or by questions; what does not fit changes nothing."""

from __future__ import annotations

import asyncio
import builtins
import getpass
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from agent import platforms
from agent.cli import main
from agent.cli.setup import preset_for, protection
from agent.core.family import parse
from agent.errors import StoreError
from agent.platforms.base import Finding
from agent.platforms.fake import FakeHost
from agent.service.guardian import Guardian
from agent.service.policies import PolicyStore
from agent.service.store import Store

ANSWERS = """
guardian = "ana"
guardian_account = "ana"
pin = "a-good-pin"
passphrase = "three loose words"
zone = "Europe/Lisbon"
children = [
  { name = "mia", account = "mia", preset = "junior" },
  { name = "leo", account = "leo", preset = "preteen" },
]
"""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost()
    for name in ("mia", "leo"):
        made.add_account(name)
    made.add_account("ana", administrator=True)
    monkeypatch.setattr(platforms, "host", lambda: made)
    return made


def arguments(folder: Path) -> list[str]:
    return ["setup", "--state", str(folder / "state"), "--family", str(folder / "etc" / "family.toml"), "--no-start"]


def in_force(folder: Path, host: FakeHost) -> list[str]:
    kept = PolicyStore(folder / "state", host.machine_id(), host.accounts)
    found = asyncio.run(kept.load(host.clock.now().wall))
    assert found.state == "in force", found.notes
    assert found.policy is not None
    return [child.name for child in found.policy.family.children]


def test_by_a_file_of_answers(host: FakeHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "answers.toml").write_text(ANSWERS)
    assert main([*arguments(tmp_path), "--answers", str(tmp_path / "answers.toml")]) == 0
    out = capsys.readouterr().out
    assert "What is protected" in out
    assert "Write this code on paper" in out
    assert in_force(tmp_path, host) == ["mia", "leo"]
    assert main(["policy", "check", str(tmp_path / "etc" / "family.toml")]) == 0
    code = next(line.strip() for line in out.splitlines() if line.strip().count("-") == 4)
    store = Store.open(tmp_path / "state", machine_id=host.machine_id())
    try:
        asyncio.run(Guardian(store).prove("ana", "a-good-pin", host.clock.now()))
        asyncio.run(Guardian(store).prove("ana", code, host.clock.now(), rescue=True))
    finally:
        store.close()


def test_twice_is_refused_and_changes_nothing(
    host: FakeHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "answers.toml").write_text(ANSWERS)
    assert main([*arguments(tmp_path), "--answers", str(tmp_path / "answers.toml")]) == 0
    before = (tmp_path / "state" / "root.json").read_bytes()
    assert main([*arguments(tmp_path), "--answers", str(tmp_path / "answers.toml")]) == 1
    assert "already" in capsys.readouterr().err
    assert (tmp_path / "state" / "root.json").read_bytes() == before


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ('account = "mia"', 'account = "mya"', "no account mya"),
        ('account = "leo"', 'account = "mia"', "belongs to mia already"),
        ('guardian_account = "ana"', 'guardian_account = "mia"', "would be limited too"),
        ('pin = "a-good-pin"', 'pin = "1234"', "too easy"),
        ("guardian = ", "gardian = ", "not complete"),
        ('preset = "junior"', 'preset = "baby"', "preset"),
    ],
)
def test_answers_that_do_not_fit(
    host: FakeHost, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, right: str, words: str
) -> None:
    (tmp_path / "answers.toml").write_text(ANSWERS.replace(wrong, right, 1))
    assert main([*arguments(tmp_path), "--answers", str(tmp_path / "answers.toml")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "state" / "root.json").exists()
    assert not (tmp_path / "etc" / "family.toml").exists()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Someone who types these lines."""
    lines: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(builtins, "input", lambda _: lines.pop(0))
    monkeypatch.setattr(getpass, "getpass", lambda _: lines.pop(0))
    yield lines


def test_by_questions_with_slips(host: FakeHost, tmp_path: Path, terminal: list[str]) -> None:
    terminal += ["ana", "nobody", "ana", "mia", "mya", "mia", "four", "8", "leo", "leo", "12", ""]
    terminal += ["1234", "river", "rivet", "river", "river", ""]
    assert main(arguments(tmp_path)) == 0
    assert terminal == []
    assert in_force(tmp_path, host) == ["mia", "leo"]


def test_a_slip_leaves_nothing_in_the_way_of_the_next_try(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agent.service import founding

    answers = tmp_path / "answers.toml"
    again = [*arguments(tmp_path), "--answers", str(answers)]
    answers.write_text(ANSWERS.replace("a-good-pin", "1234"))
    assert main(again) == 1
    assert not list((tmp_path / "etc").glob("*") if (tmp_path / "etc").exists() else [])
    answers.write_text(ANSWERS)

    async def refuse(*_: object, **more: object) -> str:
        raise StoreError("The disk is full", "Make room.")

    with monkeypatch.context() as patched:
        patched.setattr(founding, "found", refuse)
        assert main(again) == 1
    assert list((tmp_path / "etc").iterdir()) == []
    assert main(again) == 0
    assert "its passphrase is\nthe one you chose." in capsys.readouterr().out


def test_the_pin_typed_twice_is_the_passphrase_that_nobody_chose_and_setup_says_so(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way the guide tells: change the file, sign it, install it."""
    (tmp_path / "answers.toml").write_text(ANSWERS.replace('passphrase = "three loose words"\n', ""))
    assert main([*arguments(tmp_path), "--answers", str(tmp_path / "answers.toml")]) == 0
    assert "your PIN of today, typed twice without a space." in capsys.readouterr().out
    family = tmp_path / "etc" / "family.toml"
    family.write_text(family.read_text() + 'budget = { all = "20m" }\n')
    monkeypatch.setenv("FAIRTIME_PASSPHRASE", "a-good-pina-good-pin")
    assert main(["policy", "sign", str(family)]) == 0
    signed = Path(capsys.readouterr().out.strip())
    assert signed == tmp_path / "etc" / "policy.dsse.json"
    kept = PolicyStore(tmp_path / "state", host.machine_id(), host.accounts)
    asyncio.run(kept.load(host.clock.now().wall))
    installed = asyncio.run(kept.install(signed.read_bytes(), host.clock.now().wall))
    assert installed is not None
    found = asyncio.run(kept.load(host.clock.now().wall))
    assert found.policy is not None
    assert found.policy.version == 2
    assert found.policy.family.children[-1].limits.budget == {"all": "20m"}


def test_protection_is_asked_of_a_host_that_is_open(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    was_open: list[bool] = []
    look = FakeHost.findings

    def findings(self: FakeHost, accounts: Collection[str]) -> tuple[Finding, ...]:
        was_open.append(self.opened)
        return look(self, accounts)

    monkeypatch.setattr(FakeHost, "findings", findings)
    (tmp_path / "answers.toml").write_text(ANSWERS)
    assert main([*arguments(tmp_path), "--answers", str(tmp_path / "answers.toml")]) == 0
    assert was_open == [True]
    assert not host.opened
    assert "closed" not in capsys.readouterr().out


def test_nobody_at_the_terminal_is_no_traceback(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(builtins, "input", gone)
    assert main(arguments(tmp_path)) == 1
    assert "There was no answer" in capsys.readouterr().err
    assert not (tmp_path / "etc").exists()


def test_what_was_told_as_a_finding_is_not_told_again() -> None:
    report = {
        "findings": [{"severity": "weak", "title": "No lock", "advice": "Without logind nothing locks. Install it."}],
        "abilities": [
            {"capability": "lock", "present": False, "why": "Without logind nothing locks."},
            {"capability": "sound", "present": False, "why": "No sound card."},
            {"capability": "logout", "present": True, "why": "By stopping programs."},
        ],
    }
    assert protection(report) == ["! No lock. Without logind nothing locks. Install it.", "- No sound card."]


def test_without_an_account_for_a_child_setup_says_what_to_do(
    host: FakeHost, tmp_path: Path, terminal: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    del host.people["mia"], host.people["leo"]
    assert main(arguments(tmp_path)) == 1
    told = capsys.readouterr().err
    assert "no account for a child" in told
    assert "sudo adduser mia" in told
    assert not (tmp_path / "state").exists()


def test_nobodys_accounts_are_asked_about(host: FakeHost, tmp_path: Path, terminal: list[str]) -> None:
    host.add_account("gran")
    host.add_account("tim")
    terminal += ["ana", "ana", "mia", "mia", "8", "", "gran, nobody", "gran", "rivers", "rivers", ""]
    assert main(arguments(tmp_path)) == 0
    assert terminal == []
    family = parse((tmp_path / "etc" / "family.toml").read_text())
    assert (family.others, family.unwatched) == ("strict", ["gran"])


def test_ages_have_their_presets() -> None:
    assert [preset_for(age) for age in (5, 7, 8, 9, 10, 12, 13, 15, 16, 17)] == [
        "early", "early", "junior", "junior", "preteen", "preteen", "teen", "teen", "older", "older",
    ]  # fmt: skip
