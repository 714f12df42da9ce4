"""A row of ``make bench``: one figure, its bar, and what a peer needs for the same where one ran."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def row(
    name: str,
    value: float,
    unit: str,
    bar: float | None = None,
    peer: str = "",
    peer_value: float | None = None,
    *,
    holds: bool = True,
) -> Row:
    """``bar`` is the most that ``value`` may be; what else must be so, ``holds`` says."""
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "bar": bar,
        "holds": holds and (bar is None or value <= bar),
        "peer": peer,
        "peer_value": None if peer_value is None else round(peer_value, 4),
        "ratio": None if not peer_value else round(value / peer_value, 4),
    }


def unmeasured(name: str, why: str) -> Row:
    """In place of what could not be measured on this machine."""
    blank = dict.fromkeys(("value", "bar", "holds", "peer_value", "ratio"))
    return {"name": name, "unit": "", **blank, "peer": f"not measured: {why}"}


def line(found: Row) -> str:
    """``name  value unit  bar  holds|falls short  peer value  ratio``."""
    state = "no bar" if found["bar"] is None else "holds" if found["holds"] else "falls short"
    peer = f"  {found['peer']} {found['peer_value']}  {found['ratio']}" if found["peer"] else ""
    return f"{found['name']}  {found['value']} {found['unit']}  {found['bar']}  {state}{peer}"
