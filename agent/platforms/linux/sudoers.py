"""Who may become root by sudo or doas: enough of sudoers(5) and doas.conf(5) to warn, never to allow.

Lists of users, aliases and groups are read; host and command lists are not: a rule for one command is told, too, because
most commands that are worth such a rule can be made to do anything.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux import procfs

_LIMIT = 1 << 20
_MOST_FILES = 100
_MOST_NESTED = 10
_LIST = r"(?:[^\s,=]+\s*,\s*)*[^\s,=]+"
_RULE = re.compile(rf"^\s*({_LIST})\s+([^=]+=.*)$")
_ALIAS = re.compile(rf"\s*([A-Z][A-Z0-9_]*)\s*=\s*({_LIST})\s*$")


@dataclass(frozen=True, slots=True)
class Grant:
    """One rule: ``users`` are names, ``%group``, ``#uid``, ``%#gid`` or ``ALL``; one that begins with ``!`` is left out."""

    users: tuple[str, ...]
    without_password: bool

    def names(self, user: str, uid: int, groups: Collection[str], gids: Collection[int]) -> bool:
        """Whether the rule is for this account; as in sudoers(5), the last match of a list counts."""
        found = False
        for entry in self.users:
            bare = entry.lstrip("!")
            if (
                bare in ("ALL", user, f"#{uid}")
                or (bare.startswith("%#") and bare[2:].isdigit() and int(bare[2:]) in gids)
                or (bare.startswith("%") and bare[1:] in groups)
            ):
                found = not (len(entry) - len(bare)) % 2
        return found


def grants(root: Path) -> list[Grant]:
    """Every rule below ``root``, of sudo and of doas."""
    lines = [line for text in _texts(root) for line in _lines(text)]
    aliases: dict[str, tuple[str, ...]] = {}
    for line in lines:
        if re.match(r"\s*User_Alias\s", line):
            for part in line.split(None, 1)[1].split(":"):
                match = _ALIAS.match(part)
                if match:
                    aliases[match[1]] = _split(match[2])
    found = []
    for line in lines:
        if re.match(r"\s*(\w+_Alias\b|Defaults|[@#]include)", line):
            continue
        match = _RULE.match(line)
        if match:
            users = tuple(_expanded(_split(match[1]), aliases, 0))
            found.append(Grant(users, "NOPASSWD" in match[2]))
    return [*found, *_doas(root)]


def _expanded(users: tuple[str, ...], aliases: Mapping[str, tuple[str, ...]], depth: int) -> Iterator[str]:
    for user in users:
        bare = user.lstrip("!")
        if bare in aliases and depth < _MOST_NESTED:
            nots = user[: len(user) - len(bare)]
            yield from (nots + one for one in _expanded(aliases[bare], aliases, depth + 1))
        else:
            yield user


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip().strip('"') for name in text.split(",") if name.strip())


def _texts(root: Path) -> Iterator[str]:
    yield _text(root / "etc/sudoers")
    try:
        files = sorted((root / "etc/sudoers.d").iterdir())[:_MOST_FILES]
    except OSError:
        return
    for path in files:
        if "." not in path.name and not path.name.endswith("~"):  # sudo itself leaves the others out
            yield _text(path)


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        # A number after # is a uid, not a comment.
        yield re.sub(r"#(?!\d).*", "", line)


def _doas(root: Path) -> Iterator[Grant]:
    for line in _text(root / "etc/doas.conf").splitlines():
        words = line.split("#", 1)[0].split()
        if words[:1] != ["permit"]:
            continue
        without = "nopass" in words
        rest = re.sub(r"setenv\s*\{[^}]*\}", "", " ".join(words[1:])).split()
        who = next((word for word in rest if word not in ("nopass", "persist", "keepenv", "nolog")), "")
        if who:
            yield Grant((f"%{who[1:]}" if who.startswith(":") else who,), without)


def _text(path: Path) -> str:
    return procfs.read(str(path), _LIMIT).decode("utf-8", "replace")
