"""``fairtime pin``: with the old PIN or the paper code; an administrator needs neither, so that nobody is locked out for good."""

from __future__ import annotations

import argparse

import pytest

from agent.cli import guardian
from agent.ipc.answers import Done
from agent.ipc.protocol import Body, Prove, SetPin


@pytest.mark.parametrize(
    ("as_who", "rescue", "expected"),
    [
        ("guardian", False, [Prove(pin="typed"), SetPin(pin="typed")]),
        ("guardian", True, [Prove(pin="typed", rescue=True), SetPin(pin="typed")]),
        ("administrator", False, [SetPin(pin="typed")]),
        ("administrator", True, [Prove(pin="typed", rescue=True), SetPin(pin="typed")]),
    ],
)
def test_what_it_asks_for(monkeypatch: pytest.MonkeyPatch, as_who: str, rescue: bool, expected: list[Body]) -> None:
    heard: list[Body] = []

    class Link:
        role = as_who

        def close(self) -> None: ...

        def call(self, body: Body) -> Done:
            heard.append(body)
            return Done(sentence="Done.")

    monkeypatch.setattr(guardian, "Client", Link)
    monkeypatch.setattr(guardian, "_secret", lambda _: "typed")
    assert guardian._pin(argparse.Namespace(rescue=rescue)) == 0
    assert heard == expected
