"""``fairtime audit``: who did what, and whether the chain holds."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
from msgspec import Struct

from agent.cli.calling import ask
from agent.errors import FairtimeError
from agent.ipc.answers import Document
from agent.ipc.protocol import GetAudit
from agent.model.record import AuditEntry


class Report(Struct, frozen=True, kw_only=True):
    """What the service found when it looked at the chain."""

    ok: bool
    entries: int
    first_bad: int | None = None
    reason: str = ""


class Page(Struct, frozen=True, kw_only=True):
    """The service's answer."""

    report: Report
    entries: list[AuditEntry]


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("audit", help="who did what, and whether the record is whole")
    deeper = one.add_subparsers(dest="what", required=True, metavar="verify|show")
    verify = deeper.add_parser("verify", help="check the chain")
    verify.add_argument("--file", type=Path, help="an audit file instead of the service's")
    verify.set_defaults(run=_verify)
    show = deeper.add_parser("show", help="the newest entries")
    show.add_argument("--limit", type=int, default=50, help="how many lines (default: %(default)s)")
    show.set_defaults(run=_show)


def _verify(options: argparse.Namespace) -> int:
    if options.file:
        from agent.service.audit import verify_file

        report = msgspec.convert(msgspec.to_builtins(verify_file(options.file)), Report)
    else:
        report = _ask(1).report
    if not report.ok:
        at = f" (line {report.first_bad})" if report.first_bad else ""
        raise FairtimeError(
            f"The audit is not whole{at}: {report.reason}", "Somebody with full rights changed it, or the disk failed."
        )
    print(f"The audit is whole: {report.entries} entries.")
    return 0


def _show(options: argparse.Namespace) -> int:
    for entry in _ask(max(1, min(500, options.limit))).entries:
        words = f"{entry.actor} ({entry.via}): {entry.action} {entry.child} {entry.detail}"
        print(f"{entry.seq:>6}  {words}".rstrip())
    return 0


def _ask(limit: int) -> Page:
    document = ask(GetAudit(limit=limit))
    assert isinstance(document, Document)
    return msgspec.json.decode(bytes(document.value), type=Page)
