"""``fairtime summary``: the week, for guardian and child alike."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from agent.cli import options as shared
from agent.cli.calling import ask
from agent.cli.times import date
from agent.errors import FairtimeError
from agent.ipc.answers import Document, Text
from agent.ipc.client import Client
from agent.ipc.protocol import GetWeek


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("summary", help="the week in review")
    shared.child(one)
    one.add_argument("--week", metavar="DATE", type=date, help="a day of the week (default: this week)")
    form = one.add_mutually_exclusive_group()
    form.add_argument("--html", metavar="FILE", type=Path, help="the page, into a file")
    shared.as_json(form)
    one.set_defaults(run=_summary)


def _summary(options: argparse.Namespace) -> int:
    week = options.week.isoformat() if options.week else None
    if options.html:
        with closing(Client()) as client:
            save(client, options.html, options.child, week)
        print(options.html)
        return 0
    answer = ask(GetWeek(child=options.child, day=week, form="json" if options.json else "text"))
    print(bytes(answer.value).decode() if isinstance(answer, Document) else _text(answer))
    return 0


def save(client: Client, path: Path, child: str | None, week: str | None = None) -> None:
    """Write a week's page to a file."""
    page = _text(client.call(GetWeek(child=child, day=week, form="html")))
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise FairtimeError(
            f"The page cannot be written: {error.strerror}", "Choose another place.", where=str(path)
        ) from error


def _text(answer: object) -> str:
    if not isinstance(answer, Text):
        raise FairtimeError("The service answered something else", "Use the same version of Fairtime on both sides.")
    return answer.text
