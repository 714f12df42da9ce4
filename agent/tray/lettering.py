"""Text for toolkits that leave something of right-to-left scripts to their callers.  Pure.

``led``: menus and notices of desktops order a line by its first letter (Unicode's Bidirectional Algorithm, rule P2), so an Arabic
line that begins with the name of a program would be laid out as an English one.  ``drawn`` and ``wrapped``: Tk on X11 draws
letters one by one from left to right, neither joined nor ordered; on Windows and macOS the system does both.  The two libraries
that do it here are imported by name, and only for such text: they have no type information and are installed on Linux alone.
"""

from __future__ import annotations

import importlib
import unicodedata
from collections.abc import Callable, Iterator

RIGHT = "\N{RIGHT-TO-LEFT MARK}"
_RIGHTWARD = frozenset({"R", "AL"})
_MARKS = str.maketrans("", "", "\N{RIGHT-TO-LEFT MARK}\N{LEFT-TO-RIGHT MARK}\N{ARABIC LETTER MARK}")
"""What orders a line and is no letter: an X11 font would draw it as a box."""


def led(text: str, *, rtl: bool) -> str:
    """``text``, with a mark before each line that is read from the right (``rtl``) and does not begin with such a letter."""
    return "\n".join(_led(line) for line in text.split("\n")) if rtl else text


def _led(line: str) -> str:
    kinds = (unicodedata.bidirectional(letter) for letter in line)
    first = next((kind for kind in kinds if kind in _RIGHTWARD or kind == "L"), "")
    return line if first in _RIGHTWARD or not line else RIGHT + line


def foreign(text: str) -> bool:
    """Whether there are letters in it that X11's Tk cannot lay out."""
    return any(unicodedata.bidirectional(letter) in _RIGHTWARD for letter in text)


def drawn(text: str, *, rtl: bool) -> str:
    """One line as it is drawn from left to right, letters joined; ``rtl``: the line as a whole is read from the right."""
    return _ordered(_joined(text), rtl=rtl) if foreign(text) else text.translate(_MARKS)


def wrapped(text: str, fits: Callable[[str], bool], *, rtl: bool) -> str:
    """Lines as ``drawn``, broken at spaces while they still read in their own order; ``fits``: whether a line is short enough."""
    if not foreign(text):
        return text.translate(_MARKS)
    lines = (line for paragraph in text.split("\n") for line in _broken(_joined(paragraph), fits))
    return "\n".join(_ordered(line, rtl=rtl) for line in lines)


def _broken(paragraph: str, fits: Callable[[str], bool]) -> Iterator[str]:
    words = paragraph.split(" ")
    line = words[0]
    for word in words[1:]:
        longer = f"{line} {word}"
        if not line.strip() or fits(longer):
            line = longer
        else:
            yield line
            line = word
    yield line


def _joined(text: str) -> str:
    """Letters in the form they have beside their neighbours (Arabic Presentation Forms-B)."""
    return str(importlib.import_module("arabic_reshaper").reshape(text))


def _ordered(line: str, *, rtl: bool) -> str:
    # Of its two, the one that turns brackets round.
    algorithm = importlib.import_module("bidi.algorithm")
    return str(algorithm.get_display(line, base_dir="R" if rtl else "L")).translate(_MARKS)
