"""A first ``family.toml``, with comments, that ``check`` accepts; and what changed between two policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import msgspec

from agent.model.policy import Policy

_TEMPLATE = """\
# Fairtime: limits of this family.  Change what does not fit, then:
#   fairtime policy check family.toml      says what is wrong, with line and advice
#   fairtime policy sign family.toml       puts your signature under it
format = 1
zone = "{zone}"                 # days and hours are reckoned here
reset = "03:00"                # a day of use begins at three in the morning
retention_weeks = 8            # what is recorded is deleted after this
summary = {{ day = "sunday", time = "18:00" }}
others = "strict"              # accounts that are nobody's here get the strictest limits ("ignore": none)
unwatched = {unwatched}                 # accounts to leave alone, such as a grown-up's second one

[[guardians]]
name = "{guardian}"
account = "{guardian_account}"

[[children]]
name = "{child}"
accounts = ["{account}"]
preset = "{preset}"            # early 5-7, junior 8-9, preteen 10-12, teen 13-15, older 16-17

# Not sure which programs to allow?  Let Fairtime write down for a week what is used, and propose rules:
#   fairtime learn start --child NAME --for 7d        then: fairtime learn propose --child NAME

[children.limits]              # what stands here comes before the preset
# budget = {{ schooldays = "45m", weekend = "1h30m" }}
# windows = {{ schooldays = ["15:00-19:00"] }}
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: where, before, after."""

    where: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.where}: {self.before or '(nothing)'} → {self.after or '(nothing)'}"


def draft(
    preset: str,
    child: str,
    account: str,
    guardian: str,
    guardian_account: str,
    zone: str,
    unwatched: Sequence[str] = (),
) -> str:
    """The text of a new family file."""
    return _TEMPLATE.format(
        preset=preset,
        child=_plain(child),
        account=_plain(account),
        guardian=_plain(guardian),
        guardian_account=_plain(guardian_account),
        zone=_plain(zone),
        unwatched="[" + ", ".join(f'"{_plain(name)}"' for name in unwatched) + "]",
    )


def diff(before: Policy, after: Policy) -> list[Change]:
    """What is different between two families, path by path; presets are already filled in."""
    left, right = (_leaves(msgspec.to_builtins(policy.family)) for policy in (before, after))
    return [
        Change(path, left.get(path, ""), right.get(path, ""))
        for path in sorted(left.keys() | right.keys())
        if left.get(path) != right.get(path)
    ]


def rule_lines(subject: str, title: str, taken: set[str]) -> list[str]:
    """A rule of the family file that allows what a permission rests on (``deb:chess``, ``sha256:…``, ``path:/opt/…``).

    A hash needs a name for people: ``title``, told from the ids that are ``taken`` already by a number.
    """
    kind, _, value = subject.partition(":")
    key, value = (kind, value) if kind in ("sha256", "path", "program") else ("package", subject)
    lines = ["[[children.limits.programs]]"]
    if kind == "sha256" and title:
        name = next(n for n in (f"{title[:70]}{f' {at}' if at else ''}" for at in count()) if n not in taken)
        taken.add(name)
        lines.append(f'id = "{_plain(name)}"')
    return [*lines, f'{key} = "{_plain(value)}"', 'action = "allow"']


def _leaves(tree: object, path: str = "") -> dict[str, str]:
    if isinstance(tree, dict):
        found: dict[str, str] = {}
        for key, value in tree.items():
            found |= _leaves(value, f"{path}.{key}".lstrip("."))
        return found
    if isinstance(tree, list) and tree and isinstance(tree[0], dict):
        found = {}
        for number, value in enumerate(tree, 1):
            name = next(
                (str(value[key]) for key in ("name", "id", "program", "host", "group") if value.get(key)), str(number)
            )
            found |= _leaves(value, f"{path}[{name}]")
        return found
    return {path: msgspec.json.encode(tree).decode()}


def _plain(text: str) -> str:
    """Text for a TOML string in quotes; file names hold anything."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else " " for c in text)
