"""``python -m agent.tray.dialogs KIND``: the tray's windows, each in a process of its own (see ``spawn``).

Kinds: ``pin`` (a guardian's PIN or rescue code), ``ask`` (ask for time and say why), ``site`` (ask for a site), ``text``
(something to read), ``countdown`` (the last minute), ``window`` (the menu as a window, where there is no tray).  All words
come from the tray in the first line of standard input.  Every window works with the keyboard alone: Tab, Enter, Escape.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agent.bundle import bundled
from agent.tray.spawn import NO_TOOLKIT, Sheet

if TYPE_CHECKING:
    import tkinter

    from agent.tray.side import Edge

FONT = 13
"""Points; read by children and by tired eyes."""
PAPER, INK, ACCENT = "#ffffff", "#161e2e", "#006850"


def main(argv: Sequence[str]) -> int:
    """Show one window.  0: answered or read; 1: closed without an answer; 2: usage; ``NO_TOOLKIT``: cannot show."""
    if len(argv) != 1 or argv[0] not in _KINDS:
        print(f"usage: dialogs {'|'.join(_KINDS)}", file=sys.stderr)
        return 2
    first = sys.stdin.buffer.readline()
    if not first.strip():
        return 1
    sheet = msgspec.json.decode(first, type=dict[str, Any])
    try:
        import tkinter
    except ImportError as error:
        # A bundle brings Tk, and of the desktop's libraries all but this one.
        package = "libxcb1" if bundled() else "python3-tk"
        print(f"no window can be shown (on Debian and Ubuntu: apt install {package}): {error}", file=sys.stderr)
        return NO_TOOLKIT
    try:
        root = tkinter.Tk(className="Fairtime")
    except tkinter.TclError as error:
        print(f"no window can be shown here: {error}", file=sys.stderr)
        return NO_TOOLKIT
    prepare(root, str(sheet.get("title", "Fairtime")))
    return _KINDS[argv[0]](root, sheet)


def answer(sheet: Sheet) -> None:
    """Tell the tray what the person did."""
    sys.stdout.buffer.write(msgspec.json.encode(sheet) + b"\n")
    sys.stdout.buffer.flush()


def prepare(root: tkinter.Tk, title: str) -> None:
    """Large text, plain colours, the product's icon, and the window kept in front until it is placed."""
    from tkinter import PhotoImage, font

    from agent.words import assets

    root.withdraw()
    root.title(title)
    root.configure(background=PAPER)
    for name in ("TkDefaultFont", "TkTextFont", "TkMenuFont", "TkHeadingFont", "TkFixedFont"):
        font.nametofont(name, root).configure(size=FONT)
    root.option_add("*background", PAPER)
    root.option_add("*foreground", INK)
    root.option_add("*highlightBackground", PAPER)
    root.option_add("*highlightColor", ACCENT)
    root.option_add("*highlightThickness", 2)
    picture = assets() / "icons" / "fairtime-64.png"
    if picture.is_file():
        root.iconphoto(True, PhotoImage(master=root, file=str(picture)))


def place(root: tkinter.Tk, *, corner: Edge | None = None) -> None:
    """Show the window in the middle of the screen, or in its lower left or right corner."""
    root.update_idletasks()
    width, height = root.winfo_reqwidth(), root.winfo_reqheight()
    wide, high = root.winfo_screenwidth(), root.winfo_screenheight()
    x, y = (wide - width) // 2, (high - height) // 3
    if corner is not None:
        x, y = wide - width - 24 if corner == "right" else 24, high - height - 80
    root.geometry(f"+{max(0, x)}+{max(0, y)}")
    root.deiconify()
    root.lift()


def _buttons(root: tkinter.Tk, sheet: Sheet, accept: Callable[[], None]) -> None:
    import tkinter

    from agent.tray.side import side_of

    row = tkinter.Frame(root)
    row.pack(fill="x", padx=24, pady=(8, 20))
    side = side_of(root, sheet)
    ok = tkinter.Button(row, text=side.line(sheet.get("ok", "OK")), command=accept, default="active", padx=16)
    ok.configure(background=ACCENT, foreground=PAPER)
    ok.pack(side=side.end)
    cancel = sheet.get("cancel")
    if cancel:
        again = tkinter.Button(row, text=side.line(cancel), command=root.destroy, padx=16)
        again.pack(side=side.end, padx=side.gap(12))
    root.bind("<Return>", lambda _: accept())
    root.bind("<KP_Enter>", lambda _: accept())
    root.bind("<Escape>", lambda _: root.destroy())


def _lines(root: tkinter.Tk, sheet: Sheet) -> None:
    import tkinter

    from agent.tray.side import side_of

    side = side_of(root, sheet)
    text = tkinter.Label(root)
    side.say(text, sheet.get("text", ""))
    text.pack(fill="x", padx=24, pady=(20, 8))
    if sheet.get("error"):
        words = tkinter.Label(root, foreground="#a81424")
        side.say(words, f"⚠ {sheet['error']}")
        words.pack(fill="x", padx=24, pady=(0, 8))


def _answered(root: tkinter.Tk, sheet: Sheet, first: tkinter.Widget, given: Callable[[], Sheet | None]) -> int:
    """Show the window with ``first`` to type in until it is answered (0) or closed (1).

    ``given`` reads the answer; ``None`` while something is missing.
    """
    code = 1

    def accept() -> None:
        nonlocal code
        found = given()
        if found is not None:
            answer(found)
            code = 0
            root.destroy()

    _buttons(root, sheet, accept)
    place(root)
    first.focus_force()
    root.mainloop()
    return code


def _pin(root: tkinter.Tk, sheet: Sheet) -> int:
    """Ask for a PIN; gives ``{"pin": …, "rescue": …}``."""
    import tkinter

    from agent.tray.side import side_of

    _lines(root, sheet)
    entry = tkinter.Entry(root, show="●", width=24, font=("TkDefaultFont", FONT + 5))
    entry.pack(padx=24, pady=4)
    rescue = tkinter.BooleanVar(root, value=False)
    box = side_of(root, sheet).choice(root, tkinter.Checkbutton, sheet.get("rescue", ""), variable=rescue)
    box.pack(fill="x", padx=20)
    root.attributes("-topmost", True)
    return _answered(root, sheet, entry, lambda: {"pin": entry.get(), "rescue": rescue.get()} if entry.get() else None)


def _ask(root: tkinter.Tk, sheet: Sheet) -> int:
    """Ask for time with a sentence; gives ``{"seconds": …, "text": …}``.  ``choices`` are ``[seconds, label]`` pairs."""
    import tkinter

    from agent.tray.side import side_of

    _lines(root, sheet)
    choices = sheet.get("choices", [])
    seconds = tkinter.IntVar(root, value=choices[0][0] if choices else 900)
    row = tkinter.Frame(root)
    row.pack(fill="x", padx=24)
    side = side_of(root, sheet)
    for value, label in choices:
        button = side.choice(row, tkinter.Radiobutton, label, value=value, variable=seconds)
        button.pack(side=side.start, padx=side.gap(16))
    why = tkinter.Label(root)
    side.say(why, sheet.get("why", ""))
    why.pack(fill="x", padx=24, pady=(12, 0))
    entry = tkinter.Entry(root, width=40, justify=side.start)
    entry.pack(fill="x", padx=24, pady=4)
    return _answered(root, sheet, entry, lambda: {"seconds": seconds.get(), "text": entry.get()[:500]})


def _site(root: tkinter.Tk, sheet: Sheet) -> int:
    """Ask for a site with a sentence; gives ``{"site": …, "text": …}``."""
    import tkinter

    from agent.tray.side import side_of

    _lines(root, sheet)
    site = tkinter.Entry(root, width=40)
    site.pack(fill="x", padx=24, pady=4)
    side = side_of(root, sheet)
    why = tkinter.Label(root)
    side.say(why, sheet.get("why", ""))
    why.pack(fill="x", padx=24, pady=(12, 0))
    entry = tkinter.Entry(root, width=40, justify=side.start)
    entry.pack(fill="x", padx=24, pady=4)

    def given() -> Sheet | None:
        return {"site": site.get()[:500], "text": entry.get()[:500]} if site.get().strip() else None

    return _answered(root, sheet, site, given)


def _text(root: tkinter.Tk, sheet: Sheet) -> int:
    """Something to read, with arrows and page keys."""
    import tkinter
    from tkinter import font

    from agent.tray.side import side_of

    frame = tkinter.Frame(root)
    frame.pack(fill="both", expand=True, padx=16, pady=(16, 8))
    body = str(sheet.get("text", ""))
    wide = min(96, max(48, *(len(line) for line in body.splitlines() or [""])))
    pages = tkinter.Text(frame, wrap="word", width=wide, height=min(28, max(6, body.count("\n") + 3)), relief="flat")
    bar = tkinter.Scrollbar(frame, command=pages.yview)
    pages.configure(yscrollcommand=bar.set, padx=8, pady=8)
    side = side_of(root, sheet)
    bar.pack(side=side.end, fill="y")
    pages.pack(side=side.start, fill="both", expand=True)
    zero = font.Font(root=root, font=pages["font"]).measure("0")
    pages.tag_configure("side", justify=side.start)
    pages.insert("1.0", side.text(pages, body, wide * zero), "side")
    pages.configure(state="disabled")
    _buttons(root, sheet, root.destroy)
    place(root)
    pages.focus_force()
    root.mainloop()
    return 0


def _countdown(root: tkinter.Tk, sheet: Sheet) -> int:
    from agent.tray.live import countdown

    return countdown(root, sheet)


def _window(root: tkinter.Tk, sheet: Sheet) -> int:
    from agent.tray.live import window

    return window(root, sheet)


_KINDS: dict[str, Callable[[Any, Sheet], int]] = {
    "pin": _pin,
    "ask": _ask,
    "site": _site,
    "text": _text,
    "countdown": _countdown,
    "window": _window,
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
