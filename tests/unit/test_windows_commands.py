"""``fairtime service remove``: an administrator may; in a child's account only with a guardian's PIN."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import ClassVar

import pytest

from agent import platforms
from agent.cli import accounts, windows
from agent.errors import ConnectionFailed, FairtimeError, Refused
from agent.ipc.answers import Done
from agent.ipc.protocol import Body, Prove


class Link:
    """A service that takes everybody for ``as_who``; empty: none runs."""

    as_who = "administrator"
    asked: ClassVar[list[str]] = []

    def __init__(self, address: str) -> None:
        assert address == str(platforms.places().socket)

    @property
    def role(self) -> str:
        if not self.as_who:
            raise ConnectionFailed("Nobody answers")
        return self.as_who

    def call(self, body: Body) -> Done:
        assert isinstance(body, Prove)
        self.asked.append(body.pin)
        if body.pin != "4711":
            raise Refused("The PIN is wrong")
        return Done(sentence="Done.")

    def close(self) -> None: ...


class Remove:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.gone: list[str] = []
        self.forgotten: list[bool] = []
        self._patch = patch

    def __call__(self, as_who: str, *, see: bool = False, forget: bool = False) -> int:
        self._patch.setattr(Link, "as_who", as_who)
        return windows._remove(argparse.Namespace(see=see, forget=forget))

    def take_away(self, folder: Path, by: str, *, forget: bool) -> tuple[str, ...]:
        self.gone.append(by)
        self.forgotten.append(forget)
        return ()


@pytest.fixture
def remove(monkeypatch: pytest.MonkeyPatch) -> Remove:
    made = Remove(monkeypatch)
    monkeypatch.setattr(windows, "Client", Link)
    monkeypatch.setattr(Link, "asked", [])
    monkeypatch.setattr(platforms, "privileged", lambda: True)
    monkeypatch.setattr(platforms, "take_away", made.take_away)
    monkeypatch.setattr(accounts, "own_account", lambda: "ana")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.delenv(windows.PIN, raising=False)
    return made


@pytest.mark.parametrize("as_who", ["administrator", "guardian", "nobody", ""])
def test_an_administrator_is_not_asked(remove: Remove, as_who: str) -> None:
    assert remove(as_who, see=True) == 0
    assert remove.gone == []
    assert remove(as_who) == 0
    assert remove.gone == ["ana"]
    assert Link.asked == []


def test_a_childs_account_is_asked(remove: Remove, monkeypatch: pytest.MonkeyPatch) -> None:
    assert remove("child", see=True) == windows.ASKS
    with pytest.raises(FairtimeError, match="PIN"):
        remove("child")
    monkeypatch.setenv(windows.PIN, "1")
    with pytest.raises(Refused, match="wrong"):
        remove("child")
    assert remove.gone == []
    monkeypatch.setenv(windows.PIN, "4711")
    assert remove("child") == 0
    assert remove.gone == ["ana"]


def test_the_record_is_forgotten_only_when_that_is_asked_for(
    remove: Remove, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remove("administrator") == 0
    assert "still there" in capsys.readouterr().out
    assert remove("administrator", forget=True) == 0
    assert "still there" not in capsys.readouterr().out
    assert remove.forgotten == [False, True]


def test_who_is_no_administrator_is_refused(remove: Remove, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "privileged", lambda: False)
    with pytest.raises(Refused, match="administrator"):
        remove("administrator")
    assert remove.gone == []


def test_a_service_starts_once_there_is_a_household(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before, it would only keep setup from its state."""
    started: list[bool] = []
    monkeypatch.setattr(platforms, "privileged", lambda: True)
    monkeypatch.setattr(platforms, "start_service", lambda: started.append(True))
    monkeypatch.setattr(platforms, "founded", lambda: False)
    assert windows._start(argparse.Namespace()) == 0
    assert "fairtime setup" in capsys.readouterr().out
    assert not started
    monkeypatch.setattr(platforms, "founded", lambda: True)
    assert windows._start(argparse.Namespace()) == 0
    assert started == [True]
