"""From which side a window is read: where its parts begin, and how its text is laid out."""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from dataclasses import dataclass
from tkinter import font as fonts
from typing import Any, Literal

from agent.tray.lettering import drawn, wrapped
from agent.tray.spawn import Sheet

WIDE = 460
"""Pixels of a line in a dialog."""
Edge = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Side:
    """``rtl``: from right to left; ``alone``: this toolkit leaves the order of letters to us."""

    rtl: bool
    alone: bool

    @property
    def start(self) -> Edge:
        return "right" if self.rtl else "left"

    @property
    def end(self) -> Edge:
        return "left" if self.rtl else "right"

    @property
    def anchor(self) -> Literal["e", "w"]:
        return "e" if self.rtl else "w"

    def gap(self, pixels: int) -> tuple[int, int]:
        """Room after something, before what comes next, as ``padx``."""
        return (pixels, 0) if self.rtl else (0, pixels)

    def line(self, text: str) -> str:
        """Words of one line: a button's, a row's."""
        return drawn(text, rtl=self.rtl) if self.alone else text

    def more(self, text: str) -> str:
        """The same, of a button that opens a menu."""
        return f"◂ {self.line(text)}" if self.rtl else f"{self.line(text)} ▸"

    def say(self, label: tkinter.Label, text: str, wide: int = WIDE) -> None:
        """Let ``label`` show ``text`` in lines of at most ``wide`` pixels."""
        label.configure(text=self.text(label, text, wide), wraplength=wide, justify=self.start, anchor=self.anchor)

    def text(self, widget: tkinter.Label | tkinter.Text, text: str, wide: int) -> str:
        """``text`` as ``widget`` must be given it to be read right."""
        if not self.alone:
            return text
        measure = fonts.Font(root=widget, font=widget["font"]).measure
        return wrapped(text, lambda line: measure(line) <= wide, rtl=self.rtl)

    def choice(self, parent: tkinter.Misc, kind: Callable[..., Any], text: str, **options: Any) -> tkinter.Widget:
        """A button to check, with its words after it: Tk draws the box on the left, so from the right it stands alone."""
        if not self.rtl:
            button: tkinter.Widget = kind(parent, text=self.line(text), anchor="w", **options)
            return button
        row = tkinter.Frame(parent)
        box = kind(row, **options)
        box.pack(side="right")
        words = tkinter.Label(row, text=self.line(text), anchor="e")
        words.pack(side="right")
        words.bind("<Button-1>", lambda _: box.invoke())
        return row


def side_of(root: tkinter.Tk, sheet: Sheet) -> Side:
    """The side from which this sheet is read (``rtl``)."""
    return Side(bool(sheet.get("rtl")), alone=root.tk.call("tk", "windowingsystem") == "x11")
