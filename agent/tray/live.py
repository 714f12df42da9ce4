"""Windows that stay and change: the countdown of the last minute, and the menu as a window where there is no tray.

Both run in a window process.  New sheets come as lines on standard input; its end closes the window, so that none outlives
the tray.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import tkinter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from agent.tray.dialogs import ACCENT, FONT, INK, PAPER, answer, place
from agent.tray.side import Side, side_of
from agent.tray.spawn import Sheet

TICK = 200
"""Milliseconds between two looks at the clock and at the input."""


class Feed:
    """Sheets from standard input, for a Tk loop: a thread reads, ``newest`` is asked from the loop."""

    def __init__(self) -> None:
        self._sheets: queue.SimpleQueue[Sheet | None] = queue.SimpleQueue()
        self.ended = False
        threading.Thread(target=self._read, name="fairtime-feed", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            if line.strip():
                self._sheets.put(msgspec.json.decode(line, type=dict[str, Any]))
        self._sheets.put(None)

    def newest(self) -> Sheet | None:
        """The last sheet that came since the last call, or ``None``; sets ``ended`` at the end of the input."""
        found: Sheet | None = None
        while not self._sheets.empty():
            sheet = self._sheets.get()
            if sheet is None:
                self.ended = True
            else:
                found = sheet
        return found


def every(root: tkinter.Tk, feed: Feed, show: Callable[[Sheet], None], tick: Callable[[], None]) -> None:
    """Run the loop until the window or its input is closed."""

    def turn() -> None:
        sheet = feed.newest()
        if feed.ended:
            root.destroy()
            return
        if sheet is not None:
            show(sheet)
        tick()
        root.after(TICK, turn)

    root.after(TICK, turn)
    root.mainloop()


def countdown(root: tkinter.Tk, sheet: Sheet) -> int:
    """Seconds in large figures, always on top, in a corner; a bar that empties beside them.

    ``seconds`` is set anew by each sheet; ``closed`` (time was granted) closes it.
    """
    root.attributes("-topmost", True)
    root.resizable(False, False)
    side = side_of(root, sheet)
    title = tkinter.Label(root, font=("TkDefaultFont", FONT + 1, "bold"))
    title.pack(padx=20, pady=(14, 0))
    figures = tkinter.Label(root, font=("TkDefaultFont", 40, "bold"))
    figures.pack(padx=20)
    bar = tkinter.Canvas(root, width=280, height=14, background="#c4cbd6", highlightthickness=0)
    fill = bar.create_rectangle(0, 0, 280, 14, fill="#ca3a0c", width=0)
    bar.pack(padx=20, pady=4)
    text = tkinter.Label(root)
    text.pack(padx=20, pady=(4, 14))
    end = time.monotonic()
    whole = 60.0

    def show(new: Sheet) -> None:
        nonlocal end, whole
        if new.get("closed"):
            root.destroy()
            return
        seconds = float(new.get("seconds", 60))
        whole = max(60.0, seconds)
        end = time.monotonic() + seconds
        side.say(title, new.get("title", ""), 300)
        side.say(text, new.get("text", ""), 300)
        tick()

    def tick() -> None:
        left = max(0.0, end - time.monotonic())
        figures.configure(text=f"{int(left + 0.999) // 60}:{int(left + 0.999) % 60:02d}")
        long = 280 * left / whole
        bar.coords(fill, 280 - long if side.rtl else 0, 0, 280 if side.rtl else long, 14)

    show(sheet)
    place(root, corner=side.end)
    every(root, Feed(), show, lambda: tick() if root.children else None)
    return 0


def window(root: tkinter.Tk, sheet: Sheet) -> int:
    """The time left in large words, and the rows of the menu as buttons and menus.

    ``rows`` are ``{"label", "key", "rows", "enabled"}``; choosing one gives ``{"key": …}``.  Closing makes it small: the time
    must always be in reach.
    """
    side = side_of(root, sheet)
    head = tkinter.Label(root, font=("TkDefaultFont", FONT + 9, "bold"))
    head.pack(fill="x", padx=24, pady=(18, 2))
    said = tkinter.Label(root)
    said.pack(fill="x", padx=24, pady=(0, 10))
    box = tkinter.Frame(root)
    box.pack(fill="both", expand=True, padx=20, pady=(0, 18))
    shown: list[Any] = [None]

    def show(new: Sheet) -> None:
        root.title(str(new.get("title", "Fairtime")))
        side.say(head, new.get("headline", ""), 420)
        side.say(said, new.get("text", ""), 420)
        if new.get("rows") != shown[0]:
            shown[0] = new.get("rows")
            for old in box.winfo_children():
                old.destroy()
            for row in new.get("rows", []):
                _row(box, row, side)
        if new.get("raise"):
            root.deiconify()
            root.lift()

    root.protocol("WM_DELETE_WINDOW", root.iconify)
    root.bind("<Escape>", lambda _: root.iconify())
    show(sheet)
    place(root)
    every(root, Feed(), show, lambda: None)
    return 0


def _row(box: tkinter.Frame, row: Sheet, side: Side) -> None:
    if row["label"] == "-":
        tkinter.Frame(box, height=2, background="#c4cbd6", highlightthickness=0).pack(fill="x", pady=5)
        return
    if row.get("rows"):
        button = tkinter.Menubutton(box, text=side.more(row["label"]), relief="raised", padx=12, pady=5)
        button.configure(takefocus=True, anchor=side.anchor, menu=_menu(button, row["rows"], side))
        button.bind("<Return>", lambda _: button.event_generate("<space>"))
        button.pack(fill="x", pady=2)
    elif row.get("key") and row.get("enabled", True):
        key = row["key"]
        press = tkinter.Button(box, text=side.line(row["label"]), padx=12, command=lambda: answer({"key": key}))
        press.configure(anchor=side.anchor)
        press.bind("<Return>", lambda _: press.invoke())
        press.pack(fill="x", pady=2)
    else:
        words = tkinter.Label(box, padx=12)
        side.say(words, row["label"], 420)
        words.pack(fill="x")


def _menu(parent: tkinter.Misc, rows: list[Sheet], side: Side) -> tkinter.Menu:
    menu = tkinter.Menu(parent, tearoff=False, background=PAPER, foreground=INK, activebackground=ACCENT)
    menu.configure(activeforeground=PAPER, disabledforeground=INK)
    for row in rows:
        if row["label"] == "-":
            menu.add_separator()
        elif row.get("rows"):
            menu.add_cascade(label=side.line(row["label"]), menu=_menu(menu, row["rows"], side))
        elif row.get("key") and row.get("enabled", True):
            menu.add_command(label=side.line(row["label"]), command=partial(answer, {"key": row["key"]}))
        else:
            menu.add_command(label=side.line(row["label"]), state="disabled")
    return menu
