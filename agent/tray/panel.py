"""The icon in the panel, through pystray.

Three backends serve Linux.  ``appindicator`` (StatusNotifierItem) has a menu and notices; ``gtk`` (XEmbed) too; ``xorg`` has
neither (pystray issues 151, 159) and hears no click either (it selects no button events), so the small window stands beside
it.  pystray tries them in this order by itself,
but stops at the first ValueError, which is what ``gi.require_version`` raises when AppIndicator's description is missing.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from agent.errors import HostError
from agent.platforms.base import Desk
from agent.tray.icon import PAPER, icon, size_for
from agent.tray.lettering import led
from agent.tray.menu import SEPARATOR, Act, Row
from agent.tray.news import NoticeWords
from agent.tray.view import View

log = logging.getLogger(__name__)

OnAct = Callable[[Act], None]


def load_pystray(why_no_toolkit: str) -> Any:
    """The pystray module on its best backend here; ``HostError`` when there is none.

    Imported by name: it has no type information, and importing it already connects to the desktop.
    """
    if sys.platform != "linux":
        return importlib.import_module("pystray")
    reasons = [why_no_toolkit] if why_no_toolkit else []
    backends = ("xorg",) if why_no_toolkit else ("appindicator", "gtk", "xorg")
    for backend in backends:
        if backend != "appindicator" and not os.environ.get("DISPLAY"):
            continue
        os.environ["PYSTRAY_BACKEND"] = backend
        try:
            found = importlib.import_module("pystray")
        except (ImportError, ValueError, OSError, RuntimeError) as error:
            reasons.append(f"{backend}: {error}")
            continue
        for reason in reasons:
            log.warning("not the best tray icon of this desktop: %s", reason)
        return found
    raise HostError("The tray icon cannot be shown", "; ".join(reasons) or "There is no display.")


class PanelIcon:
    """pystray's icon.  ``show`` and ``stop`` may be called from any thread, ``run`` only from the main one (macOS)."""

    def __init__(self, pystray: Any, desk: Desk, on_act: OnAct, *, rtl: bool = False) -> None:
        self._rtl = rtl
        self._pystray = pystray
        self._on_act = on_act
        self._size = size_for(desk.scale())
        self._shown: View | None = None
        self.has_menu = bool(pystray.Icon.HAS_MENU)
        self.has_notices = bool(pystray.Icon.HAS_NOTIFICATION)
        # pystray writes each picture for the panel to a file with a guessable name in the temporary folder
        # (tempfile.mktemp); in a folder of this person's own nobody else can put one there first.
        tempfile.tempdir = str(_pictures(desk.folder()))
        self._icon: Any = None

    def run(self, first: View) -> None:
        """Show the icon and handle its events until ``stop``."""
        self._shown = first
        self._icon = self._pystray.Icon("fairtime", self._draw(first), self._led(first.tooltip), self._menu(first.rows))
        self._icon.run()

    def show(self, view: View) -> None:
        """Change what has changed, and nothing else: each picture and each menu costs the panel a redraw."""
        before, shown = self._shown, self._icon
        if shown is None or before is None or before == view:
            return
        self._shown = view
        if view.face != before.face:
            shown.icon = self._draw(view)
        if view.tooltip != before.tooltip:
            shown.title = self._led(view.tooltip)
        if view.rows != before.rows and self.has_menu:
            shown.menu = self._menu(view.rows)

    def notify(self, words: NoticeWords) -> bool:
        if self._icon is None or not self.has_notices:
            return False
        self._icon.notify(self._led(words.text or words.title), self._led(words.title))
        return True

    def stop(self) -> None:
        if self._icon is not None:
            self._icon.stop()

    def _led(self, text: str) -> str:
        return led(text, rtl=self._rtl)

    def _draw(self, view: View) -> Image.Image:
        picture = icon(view.face, self._size)
        if self.has_menu:
            return picture
        # pystray's xorg backend drops transparency, which would leave black corners.
        paper = Image.new("RGBA", picture.size, PAPER)
        paper.alpha_composite(picture)
        return paper

    def _menu(self, rows: tuple[Row, ...]) -> Any:
        if not self.has_menu:
            return self._pystray.Menu()
        return self._pystray.Menu(*(self._item(row) for row in rows))

    def _item(self, row: Row) -> Any:
        if row == SEPARATOR:
            return self._pystray.Menu.SEPARATOR
        # Windows takes & for the mark of a keyboard shortcut.
        label = self._led(row.label.replace("&", "&&") if sys.platform == "win32" else row.label)
        if row.rows:
            return self._pystray.MenuItem(label, self._menu(row.rows))
        act = row.act
        if act is None:
            return self._pystray.MenuItem(label, lambda: None, enabled=False)
        return self._pystray.MenuItem(label, lambda: self._on_act(act), enabled=row.enabled)


def _pictures(folder: Path) -> Path:
    """The folder for pictures; what a killed tray left there goes."""
    pictures = folder / "pictures"
    pictures.mkdir(mode=0o700, exist_ok=True)
    for left in pictures.iterdir():
        left.unlink(missing_ok=True)
    return pictures
