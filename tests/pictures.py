"""Pictures of what Fairtime shows, taken from the running product: ``python tests/pictures.py [FOLDER] [--summary PAGE]``.

Leaves PNGs and ``index.html`` in FOLDER (``build/pictures``).  The tray, its windows and its notices run on a small desktop
of their own (see ``desktop/screen.py``); the summary page is photographed by a headless browser where there is one.
"""

from __future__ import annotations

import argparse
import html
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from PIL import Image

from agent.core.saying import say
from agent.core.telling import tell
from agent.ipc.answers import ChildState, ProgramUse, Status
from agent.model.grant import Request
from agent.model.site import Said
from agent.model.verdict import Constraint, Notify, Verdict
from agent.tray.face import Face
from agent.tray.icon import icon
from agent.words import session_words
from installer.windows import python as windows
from tests.sites import browsing, netlab

HERE = Path(__file__).resolve().parent
SETTLE = 0.7
"""Seconds for menus and windows to finish drawing before the picture."""
BACKGROUND = 0x5B7F95

FACES = (
    (Face("ok", 87, 58), "87 minutes left"),
    (Face("ok", 42, 28), "42 minutes left"),
    (Face("soon", 12, 8), "a quarter of an hour or less"),
    (Face("last", 4, 3), "the last minutes"),
    (Face("up", 0, 0), "time is up"),
    (Face("rest", 0, 0), "a break"),
    (Face("paused"), "limits are paused"),
    (Face("free"), "free time"),
    (Face("unlimited"), "no limit"),
    (Face("away"), "no connection"),
    (Face("warning"), "nothing is protected"),
    (Face("ok", 42, 28, flaw=True), "something is not as it should be"),
    (Face("family"), "a guardian's tray"),
    (Face("family", 2), "two requests wait"),
)


def load_screen() -> Any:
    spec = importlib.util.spec_from_file_location("fairtime_screen", HERE / "desktop" / "screen.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fairtime_screen"] = module
    spec.loader.exec_module(module)
    return module


def child(name: str, left: int, **more: Any) -> ChildState:
    """A child with 90 minutes a day, ``left`` minutes of them to go."""
    said = Said("{time} left of today's {limit}.", (("time", left * 60), ("limit", 5400)))
    because = say(said)
    limit = Constraint(kind="day", rule=f"{name}/day", left=left * 60_000, sentence=because, said=said)
    verdict = Verdict(
        child=name, day="2026-03-02", remaining=left * 60_000, binding=limit, used_today=(90 - left) * 60_000
    )
    programs = (
        ProgramUse(program="minetest", title="Minetest", seconds=31 * 60, left=14 * 60),
        ProgramUse(program="tuxpaint", title="Tux Paint", seconds=12 * 60),
        ProgramUse(program="gcompris", title="GCompris", seconds=25 * 60, counts=False),
    )
    return ChildState(
        child=name,
        verdict=verdict,
        seconds_left=left * 60,
        sentence=because,
        said=said,
        budget_today=90 * 60,
        programs=programs,
        allowed=("GCompris, Tux Paint and other school programs, at any hour", "Minetest, 45 minutes a day"),
        **more,
    )


def of_child(left: int) -> Status:
    return Status(role="child", protection="protected", policy="in force", children=(child("mia", left),))


def of_guardian() -> Status:
    asked = Request(id="r1", child="mia", kind="time", seconds=900, text="the level is nearly done", asked=1)
    children = (child("mia", 9, requests=(asked,)), child("leo", 61))
    return Status(role="guardian", protection="protected", policy="in force", children=children)


class Studio:
    """Takes pictures of one screen into a folder."""

    def __init__(self, kit: Any, folder: Path, status: Status, **wanted: Any) -> None:
        self.kit, self.folder = kit, folder
        self.screen = kit.Screen(size="900x560", **wanted)
        self.screen.root_colour(BACKGROUND)
        self.service = kit.Service(self.screen.folder / "socket", status)
        self.screen.tray(self.service.path)
        kit.until(lambda: self.service.watched, "the tray")
        if wanted.get("panel", True):
            kit.until(lambda: "fairtime" in self.screen.tray_items(), "the icon")
        time.sleep(SETTLE)
        self.windows = len(self.screen.windows("."))

    def take(self, name: str, *keys: str) -> None:
        if keys:
            self.screen.keys(*keys)
        time.sleep(SETTLE)
        self.screen.picture(self.folder / f"{name}.png")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.screen.close()


def child_pictures(kit: Any, folder: Path) -> None:
    with Studio(kit, folder, of_child(42)) as studio:
        studio.screen.click(16, 15)
        studio.take("tray-menu", "Down", "Down", "Down", "Right")
        studio.screen.keys("Escape", "Escape")
        studio.screen.click(16, 15)
        time.sleep(SETTLE)
        studio.take("tray-guardian", "Up", "Right")
        studio.screen.keys("Return")
        studio.screen.window("Guardian")
        studio.screen.type("24")
        studio.take("pin")
        studio.screen.keys("Escape")
        studio.service.push(
            status=of_child(15),
            notice=Notify(
                child="mia",
                kind="time",
                title="15 minutes left",
                text="Today's screen time ends at 17:15. A good moment to find a place to stop.",
                left=900_000,
            ),
        )
        studio.take("notice")
        studio.service.push(
            status=of_child(1),
            notice=Notify(
                child="mia", kind="time", title="1 minute left", text="Please save what you are making.", left=60_000
            ),
        )
        studio.screen.window("^1 minute left$")
        studio.take("countdown")


def foreign_pictures(kit: Any, folder: Path, locale: str = "ar_EG", ending: str = "rtl") -> None:
    """Menu, notice and questions in another language, from right to left where it is read so."""
    words = session_words([locale])
    with Studio(kit, folder, of_child(42), locale=locale) as studio:
        studio.screen.click(16, 15)
        studio.take(f"tray-menu-{ending}", "Down", "Down", "Down", "Left" if words.rtl else "Right")
        studio.screen.keys("Escape", "Escape")
        left = Said("{time} left", (("time", 900),))
        why = Said("Your hours end at {time}.", (("time", "17:15"),))
        notice = tell("mia", "time", left, why, left=900_000)
        studio.service.push(status=of_child(15), notice=notice)
        studio.take(f"notice-{ending}")
        studio.screen.click(16, 15)
        time.sleep(SETTLE)
        studio.screen.keys(*["Down"] * 5, "Left" if words.rtl else "Right", *["Down"] * 3, "Return")
        opened(studio)
        studio.take(f"ask-{ending}")
        studio.screen.keys("Escape")
        studio.screen.click(16, 15)
        time.sleep(SETTLE)
        studio.screen.keys("Up", "Left" if words.rtl else "Right", "Return")
        opened(studio)
        studio.take(f"pin-{ending}")
        studio.screen.keys("Escape")


def opened(studio: Studio) -> None:
    """Wait for a dialog, whatever its title (xdotool finds no Arabic one)."""
    studio.kit.until(lambda: len(studio.screen.windows(".")) > studio.windows, "a dialog")


def guardian_pictures(kit: Any, folder: Path) -> None:
    with Studio(kit, folder, of_guardian(), dark=True) as studio:
        studio.screen.click(16, 15)
        studio.take("tray-family", "Down", "Right", *["Down"] * 8, "Right", "Right")


def window_pictures(kit: Any, folder: Path) -> None:
    with Studio(kit, folder, of_child(42), panel=False) as studio:
        studio.screen.window("^Fairtime$")
        studio.take("window")


def icon_picture(folder: Path) -> None:
    """Every sign at panel sizes, on a light and on a dark panel."""
    sheet = Image.new("RGBA", (len(FACES) * 76, 2 * 110), (246, 245, 244, 255))
    sheet.paste((48, 48, 52, 255), (0, 110, sheet.width, 220))
    for column, (face, _) in enumerate(FACES):
        for top in (0, 110):
            sheet.alpha_composite(icon(face, 64), (column * 76 + 6, top + 6))
            sheet.alpha_composite(icon(face, 22), (column * 76 + 6, top + 78))
            sheet.alpha_composite(icon(face, 16), (column * 76 + 40, top + 81))
    sheet.convert("RGB").save(folder / "icons.png", optimize=True)


def page_picture(page: Path, folder: Path) -> str:
    """A picture of the summary page; why not otherwise."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        return "no chromium here"
    target = folder / "summary.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,1400"]
    subprocess.run(
        [*command, f"--screenshot={target}", page.resolve().as_uri()], check=True, capture_output=True, timeout=120
    )
    return "" if target.is_file() else "the browser made no picture"


def site_pictures(folder: Path) -> str:
    """A page that is not open, in both browsers, left to right and right to left; why not otherwise."""
    why = netlab.unable() or browsing.unable()
    if not why:
        netlab.apart("tests.sites.photos", str(folder.resolve()), timeout=300)
    return why


def windows_picture(folder: Path) -> str:
    """The tray on Windows' desktop as Wine has it; why not otherwise."""
    why = windows.why_not()
    if not why:
        taken = [*windows.command(), "-m", "tests.windows.photos", str((folder / "windows-tray.png").resolve())]
        subprocess.run(taken, cwd=HERE.parent, stdin=subprocess.DEVNULL, check=True, timeout=600)
    return why


TITLES = {
    "tray-menu": "The child's menu: the time left and today's programs",
    "tray-menu-rtl": "The same in Arabic, from right to left",
    "notice-rtl": "A notice in Arabic",
    "ask-rtl": "Asking for more time, in Arabic",
    "pin-rtl": "The PIN, in Arabic",
    "tray-guardian": "A guardian's rows in the child's menu; each asks for the PIN",
    "pin": "The PIN, with what it is for",
    "notice": "A notice, a quarter of an hour before the end",
    "countdown": "The last minute: a notice and a countdown",
    "tray-family": "A guardian's own tray: every child, and a request to answer",
    "window": "Where the desktop has no tray: a notice and a small window",
    "icons": "Every sign of the icon, on a light and on a dark panel",
    "summary": "The weekly summary",
    "site-chromium": "A site that is not open, in Chromium: why, how to ask, where to get help",
    "site-chromium-rtl": "The same in Arabic",
    "site-firefox": "The same in Firefox",
    "site-firefox-rtl": "And in Arabic",
    "site-chromium-own": "Chromium's own page, where its rules say no before a name is asked for",
    "site-firefox-own": "Firefox's",
    "windows-tray": "Windows' tray icon with a notice, and its menu, on the empty desktop that Wine has",
}


def sample_week() -> Path:
    """A summary page of the simulated family, for the picture."""
    place = Path(tempfile.mkdtemp(prefix="fairtime-week-"))
    family = HERE.parent / "policies" / "examples" / "family.toml"
    command = [sys.executable, "-m", "agent", "simulate", "--policy", str(family), "--days", "14", "--seed", "7"]
    subprocess.run([*command, "--out", str(place / "s")], check=True, capture_output=True, timeout=120)
    return sorted((place / "s").glob("week-*.html"))[-1]


def index(folder: Path) -> Path:
    figures = "\n".join(
        f'<figure><img src="{name}.png" alt="{html.escape(title)}"><figcaption>{html.escape(title)}</figcaption></figure>'
        for name, title in TITLES.items()
        if (folder / f"{name}.png").is_file()
    )
    page = folder / "index.html"
    page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Fairtime in pictures</title>'
        "<style>body{font:16px sans-serif;max-width:1000px;margin:2rem auto}figure{margin:0 0 2rem}"
        "img{max-width:100%;border:1px solid #ccc}</style><h1>Fairtime in pictures</h1>\n"
        f"{figures}\n</html>\n",
        encoding="utf-8",
    )
    return page


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Take pictures of what Fairtime shows.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/pictures"))
    parser.add_argument("--summary", type=Path, help="an HTML summary page to photograph as well")
    wanted = parser.parse_args(arguments)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    kit = load_screen()
    icon_picture(wanted.folder)
    failed = 0
    missing = kit.missing()
    if missing:
        print(f"no pictures of the tray: {missing}", file=sys.stderr)
        failed = 1
    else:
        sittings: tuple[Callable[[Any, Path], None], ...] = (child_pictures, guardian_pictures, window_pictures)
        if (kit.LOCALES / "ar_EG").exists():
            sittings = (*sittings, foreign_pictures)
        else:
            print("no pictures in Arabic: apt install locales", file=sys.stderr)
            failed = 1
        for sitting in sittings:
            sitting(kit, wanted.folder)
    why = page_picture(wanted.summary or sample_week(), wanted.folder)
    if why:
        print(f"no picture of the summary: {why}", file=sys.stderr)
        failed = 1
    why = site_pictures(wanted.folder)
    if why:
        print(f"no pictures of a site that is not open: {why}", file=sys.stderr)
        failed = 1
    why = windows_picture(wanted.folder)
    if why:
        print(f"no picture of the tray on Windows: {why}", file=sys.stderr)
    # README and the guides show some of them; they are kept in the tree, made here and never by hand.
    kept = HERE.parent / "docs" / "pictures"
    for name in (
        "tray-menu",
        "tray-menu-rtl",
        "notice",
        "summary",
        "windows-tray",
        *(name for name in TITLES if name.startswith("site-")),
    ):
        if (wanted.folder / f"{name}.png").is_file():
            shutil.copyfile(wanted.folder / f"{name}.png", kept / f"{name}.png")
    print(index(wanted.folder))
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
