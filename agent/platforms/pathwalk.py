"""A path as a chain of folders, each of which has to be out of somebody's reach."""

from __future__ import annotations

from collections.abc import Callable


def unreachable(path: str, open_to: Callable[[str], bool]) -> bool:
    """True when the absolute, symlink-free ``path`` (POSIX) has no component that ``open_to`` says can be changed."""
    if not path.startswith("/"):
        return False
    at = "/"
    if open_to(at):
        return False
    for name in path.split("/"):
        if name:
            at = at + name if at == "/" else f"{at}/{name}"
            if name == ".." or open_to(at):
                return False
    return True
