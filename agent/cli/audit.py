"""``fairtime audit``: who did what, and whether the chain holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from agent.errors import FairtimeError
from agent.ipc.client import Client
from agent.ipc.protocol import Document, GetAudit


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("audit", help="who did what, and whether the record is whole")
    deeper = one.add_subparsers(dest="what", required=True, metavar="verify|show")
    verify = deeper.add_parser("verify", help="check the chain")
    verify.add_argument("--file", type=Path, help="an audit file instead of the service's")
    verify.set_defaults(run=_verify)
    show = deeper.add_parser("show", help="the newest entries")
    show.add_argument("--limit", type=int, default=50)
    show.set_defaults(run=_show)


def _verify(options: argparse.Namespace) -> int:
    if options.file:
        from agent.service.audit import verify_file

        report = verify_file(options.file)
        ok, entries, text = report.ok, report.entries, getattr(report, "text", "")
    else:
        found = _ask(1)
        ok, entries, text = found["ok"], found["count"], found.get("problem", "")
    if not ok:
        raise FairtimeError(
            f"The audit is not whole: {text}", "Somebody with full rights changed it, or the disk failed."
        )
    print(f"The audit is whole: {entries} entries.")
    return 0


def _show(options: argparse.Namespace) -> int:
    for entry in _ask(max(1, min(500, options.limit)))["entries"]:
        print(
            f"{entry['seq']:>6}  {entry['actor']} ({entry['via']}): {entry['action']} {entry['child']} {entry['detail']}".rstrip()
        )
    return 0


def _ask(limit: int) -> dict[str, object] | dict[str, list[dict[str, object]]]:
    document = Client().call(GetAudit(limit=limit))
    assert isinstance(document, Document)
    found: dict[str, object] = json.loads(bytes(document.value))
    return found
