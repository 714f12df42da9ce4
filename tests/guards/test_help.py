"""Whoever asks a command for help reads what each of its words and options is for; the manual page is made of the same."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from agent.cli import parser

INTERNAL = ("dialog", "job", "resolver")
"""Commands that only programs of ours use."""


def commands(of: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.Action]]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, deeper in action.choices.items():
                if word not in INTERNAL:
                    yield from commands(deeper, f"{name} {word}")
        elif action.help is not argparse.SUPPRESS:
            yield f"{name} {action.metavar or action.dest}", action


ALL = dict(commands(parser(), "fairtime"))


@pytest.mark.parametrize("name", ALL)
def test_it_says_what_it_is_for(name: str) -> None:
    assert ALL[name].help
