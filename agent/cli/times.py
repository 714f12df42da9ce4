"""Dates and lengths of time as people type them."""

from __future__ import annotations

import argparse
import datetime as dt

from agent.core.timewords import parse_duration
from agent.errors import FairtimeError


def date(text: str) -> dt.date:
    """For argparse: a date such as ``2026-12-24``."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"“{text}” is no date such as 2026-12-24") from error


def seconds(text: str) -> int:
    """Seconds of ``30m``, ``+1h``, ``-15m``."""
    try:
        amount = parse_duration(text.lstrip("+-"))
    except ValueError as error:
        raise FairtimeError(str(error), "Write a time such as +30m, -15m or 1h30m.") from error
    return -amount if text.startswith("-") else amount
