"""The family of the tests: its file as a guardian writes it, and the policy and rules that follow from it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

from agent.core.family import build_policy, parse
from agent.core.rules import Rules, compile_policy
from agent.model.policy import Policy
from agent.resources import load_catalogue, load_presets

MONDAY = dt.date(2026, 3, 2)
"""A school day."""


def head(
    top: str = "",
    *,
    zone: str = "Europe/Lisbon",
    reset: str | None = "03:00",
    guardian: str = "ana",
    account: str = "ana",
) -> str:
    """What stands above the children; ``top`` is about the whole family."""
    day = "" if reset is None else f'reset = "{reset}"\n'
    above = f"{top}\n" if top else ""
    return f"""\
format = 1
zone = "{zone}"
{day}{above}[[guardians]]
name = "{guardian}"
account = "{account}"
"""


def child(limits: str = "", name: str = "mia", *, accounts: Sequence[str] = (), preset: str = "teen") -> str:
    """A child, who has an account of the same name; its limits come last, so that more can be written below."""
    return f"""\
[[children]]
name = "{name}"
accounts = {json.dumps(accounts or [name])}
preset = "{preset}"
[children.limits]
{limits}"""


def policy(text: str) -> Policy:
    """What a guardian would sign, with the catalogue and the presets that come with the program."""
    return build_policy(
        parse(text), load_catalogue(), load_presets(), policy_id="x", version=1, issued="2026-01-01T00:00:00Z"
    )


def compiled(text: str) -> Rules:
    return compile_policy(policy(text))
