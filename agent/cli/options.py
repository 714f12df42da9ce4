"""Options that many commands have, with their words."""

from __future__ import annotations

import argparse


def child(parser: argparse._ActionsContainer, *, required: bool = False) -> None:
    """Add ``--child``.  Where it is not required, the service takes the caller's own, or the only one."""
    words = "the child, by name or account" + ("" if required else " (default: your own, or all)")
    parser.add_argument("--child", required=required, help=words)


def as_json(parser: argparse._ActionsContainer) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output, nothing else")
