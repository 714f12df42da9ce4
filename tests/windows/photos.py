"""A picture of the tray on Windows' desktop as Wine has it: the icon, its menu, and a balloon.  ``python -m tests.windows.photos FILE``

Wine shows neither a task bar nor toasts; the icon stands in a corner of the empty screen, and notices are balloons.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

if sys.platform != "win32":
    raise SystemExit("a picture of the tray on Windows needs a Windows Python under Wine")

import win32api
import win32con
from PIL import Image, ImageChops

from tests.windows.standin import QUARTER, Ear, picture, until

CLEAR = 12
"""Points between and around the parts."""
GREY = (96, 112, 128)
SETTLE = 3.0
"""Seconds for balloon and menu to be drawn to the end: a picture, no test, so that nothing hangs on it."""


def shown(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int] | None:
    return ImageChops.difference(before, after).getbbox()


def main(out: Path) -> int:
    work = out.with_name(f"{out.stem}-now.png")
    before = picture(work)
    ear = Ear()
    tray = subprocess.Popen([sys.executable, "-m", "agent", "tray"], stdin=subprocess.DEVNULL)
    try:
        until(lambda: ear.heard)
        until(lambda: shown(before, picture(work)))
        icon = picture(work)
        box = shown(before, icon)
        assert box is not None
        ear.tell(QUARTER)
        until(lambda: shown(icon, picture(work)))
        time.sleep(SETTLE)
        balloon = picture(work)
        win32api.SetCursorPos((box[0] + 9, (box[1] + box[3]) // 2))
        for button in (win32con.MOUSEEVENTF_RIGHTDOWN, win32con.MOUSEEVENTF_RIGHTUP):
            win32api.mouse_event(button, 0, 0, 0, 0)
        time.sleep(SETTLE)
        menu = picture(work)
    finally:
        tray.kill()
        ear.close()
    work.unlink()
    together([part(before, balloon), part(balloon, menu)]).save(out, optimize=True)
    return 0


def part(before: Image.Image, after: Image.Image) -> Image.Image:
    """What is new."""
    box = shown(before, after)
    assert box is not None, "nothing was shown"
    return after.crop(box)


def together(parts: list[Image.Image]) -> Image.Image:
    """Side by side."""
    width = sum(one.width for one in parts) + CLEAR * (len(parts) + 1)
    sheet = Image.new("RGB", (width, max(one.height for one in parts) + 2 * CLEAR), GREY)
    left = CLEAR
    for one in parts:
        sheet.paste(one, (left, CLEAR))
        left += one.width + CLEAR
    return sheet


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
