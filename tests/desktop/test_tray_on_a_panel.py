"""The real tray on a real panel, clicked: what the person sees, and what the service is asked.

The service's end of the wire is a stand-in that speaks real frames, so that each state can be set at will.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace
from PIL import Image, ImageChops, ImageStat

from agent.ipc.answers import ChildState, ProgramUse, Status
from agent.ipc.protocol import Answer, Ask, GetAgreement, Give, Prove
from agent.model.grant import Request
from agent.model.verdict import Constraint, Notify, Verdict
from agent.tray.face import Face
from agent.tray.icon import icon

pytestmark = [pytest.mark.desktop, pytest.mark.timeout(120)]

MINUTE = 60
ICON = (16, 15)
"""The middle of the first icon of the panel; see ``screen.PANEL``."""

Desktop = Callable[..., Any]
Picture = Callable[[Any, str], Path]


def child(left: int, **more: Any) -> Status:
    limit = Constraint(kind="day", rule="mia/day", left=left * 1000, sentence="Today's screen time is 1 h 30 min.")
    verdict = Verdict(child="mia", day="2026-03-02", remaining=left * 1000, binding=limit, used_today=48 * 60_000)
    state = ChildState(
        child="mia",
        verdict=verdict,
        seconds_left=left,
        sentence="Today's screen time is 1 h 30 min.",
        budget_today=90 * MINUTE,
        programs=(ProgramUse(program="chess", title="Chess", seconds=720),),
        allowed=("Chess", "Tux Paint"),
    )
    return Status(role="child", protection="protected", policy="in force", children=(replace(state, **more),))


@pytest.fixture
def mia(kit: Any, desktop: Desktop) -> tuple[Any, Any]:
    """A desktop with the tray of a child who has 42 minutes left, and the service it speaks to."""
    screen = desktop()
    service = kit.Service(screen.folder / "socket", child(42 * MINUTE))
    screen.tray(service.path)
    kit.until(lambda: service.watched, "the tray to subscribe")
    kit.until(lambda: "fairtime" in screen.tray_items(), "the icon in the panel")
    return screen, service


WITHOUT_APPINDICATOR = """pass
from agent.platforms.linux import desk
desk.borrow_gi()
import gi
real = gi.require_version
def require(name, version):
    if "AppIndicator" in name:
        raise ValueError(f"Namespace {name} not available for version {version}")
    real(name, version)
gi.require_version = require
pass"""
"""As PyGObject answers where gir1.2-ayatanaappindicator3-0.1 is not installed."""


@pytest.fixture
def mia_with_the_package(kit: Any, desktop: Desktop) -> tuple[Any, Any]:
    """The same with the program that ``make package`` built of this source."""
    from installer import freeze

    if not freeze.fresh():
        pytest.skip("dist/fairtime is not of this source: make package")
    screen = desktop()
    service = kit.Service(screen.folder / "socket", child(42 * MINUTE))
    screen.env["FAIRTIME_SOCKET"] = str(service.path)
    screen.start(str(freeze.PROGRAM / "fairtime"), "tray")
    kit.until(lambda: service.watched, "the tray to subscribe")
    kit.until(lambda: "fairtime" in screen.tray_items(), "the icon in the panel")
    return screen, service


def shown(screen: Any) -> Image.Image:
    """What the panel shows where the icon is, 22 × 22."""
    path = screen.picture(screen.folder / "now.png")
    x, y = ICON
    with Image.open(path) as whole:
        return whole.convert("RGB").crop((x - 11, y - 11, x + 11, y + 11))


def likeness(seen: Image.Image, face: Face) -> float:
    """How far what is seen is from ``face`` on the same panel, 0–255."""
    paper = Image.new("RGBA", (22, 22), (*seen.getpixel((0, 0)), 255))  # type: ignore[misc]  # RGB pixels are tuples
    paper.alpha_composite(icon(face, 44).resize((22, 22), Image.Resampling.BILINEAR))
    return float(sum(ImageStat.Stat(ImageChops.difference(seen, paper.convert("RGB"))).mean) / 3)


def is_face(screen: Any, face: Face, others: tuple[Face, ...]) -> bool:
    """Whether the panel shows ``face`` rather than any of ``others``, and closely."""
    seen = shown(screen)
    found = likeness(seen, face)
    return found < 25 and all(found < likeness(seen, other) for other in others)


def open_menu(screen: Any) -> None:
    before = shown_area(screen)
    screen.click(*ICON)
    deadline = 40
    while shown_area(screen) == before and deadline:
        deadline -= 1
    assert deadline, "the menu did not open"


def shown_area(screen: Any) -> bytes:
    """The part of the screen below the icon, where the menu opens."""
    path = screen.picture(screen.folder / "menu.png")
    with Image.open(path) as whole:
        return whole.convert("RGB").crop((0, 34, 200, 240)).tobytes()


def test_icon_shows_the_minutes_and_changes_with_them(kit: Any, mia: tuple[Any, Any]) -> None:
    screen, service = mia
    forty_two, twelve, up = Face("ok", 42, 28), Face("soon", 12, 8), Face("up", 0, 0)
    kit.until(lambda: is_face(screen, forty_two, (twelve, up, Face("away"))), "42 on the panel")
    service.push(status=child(12 * MINUTE))
    kit.until(lambda: is_face(screen, twelve, (forty_two, up)), "12 on the panel")
    service.push(status=child(0))
    kit.until(lambda: is_face(screen, up, (forty_two, twelve)), "the stop sign on the panel")


def test_guardian_gives_fifteen_minutes_with_the_pin(kit: Any, mia: tuple[Any, Any], picture: Picture) -> None:
    screen, service = mia
    open_menu(screen)
    picture(screen, "menu")
    screen.keys("Up", "Right")  # the last row: Guardian, and into it
    picture(screen, "guardian")
    screen.keys("Return")  # its first row: +15 minutes
    screen.window("Guardian")
    picture(screen, "pin")
    assert service.of(Prove) == []
    screen.type("2468")
    screen.keys("Return")
    kit.until(lambda: service.of(Give), "the grant")
    assert service.of(Prove) == [Prove(pin="2468")]
    assert service.of(Give) == [Give(child="mia", kind="time", seconds=900)]
    kit.until(lambda: is_face(screen, Face("ok", 57, 38), (Face("ok", 42, 28),)), "57 on the panel")
    kit.until(lambda: "mia has 15 minutes more." in screen.shown_notices(), "the notice")


def test_the_packages_tray_has_its_menu_its_windows_and_notices(
    kit: Any, mia_with_the_package: tuple[Any, Any], picture: Picture
) -> None:
    from installer import freeze

    screen, service = mia_with_the_package
    open_menu(screen)
    picture(screen, "menu")
    screen.keys("Up", "Right", "Return")
    screen.window("Guardian")
    toolkits = {path for path in loaded(screen, [str(freeze.PROGRAM / "fairtime"), "dialog"]) if "/libtk" in path}
    assert toolkits == {str(freeze.PROGRAM / "_internal/libtk8.6.so")}, "a PC without Tk has none but this one"
    screen.type("2468")
    screen.keys("Return")
    kit.until(lambda: service.of(Give), "the grant")
    assert service.of(Give) == [Give(child="mia", kind="time", seconds=900)]
    kit.until(lambda: "mia has 15 minutes more." in screen.shown_notices(), "the notice")


def loaded(screen: Any, command: list[str]) -> set[str]:
    """The files that processes of this screen with such a command have in their memory."""
    found: set[str] = set()
    for process in psutil.process_iter(["cmdline"]):
        ours = (process.info["cmdline"] or [])[: len(command)] == command
        if ours and process.environ().get("DISPLAY") == screen.env["DISPLAY"]:
            found.update(one.path for one in process.memory_maps())
    return found


def test_without_appindicator_the_old_kind_of_icon_has_the_menu(kit: Any, desktop: Desktop, picture: Picture) -> None:
    screen = desktop()
    service = kit.Service(screen.folder / "socket", child(42 * MINUTE))
    empty = shown(screen)
    screen.tray(service.path, before=WITHOUT_APPINDICATOR)
    kit.until(lambda: service.watched, "the tray to subscribe")
    kit.until(lambda: shown(screen) != empty, "the icon in the panel")
    closed = shown_area(screen)
    screen.run("xdotool", "mousemove", str(ICON[0]), str(ICON[1]), "click", "3")
    kit.until(lambda: shown_area(screen) != closed, "the menu")
    picture(screen, "menu")
    screen.keys("Up", "Right", "Return")
    screen.window("Guardian")
    assert "fairtime" not in screen.tray_items()


def test_a_wrong_pin_gives_nothing_and_asks_again(kit: Any, mia: tuple[Any, Any], picture: Picture) -> None:
    screen, service = mia
    open_menu(screen)
    screen.keys("Up", "Right", "Return")
    first = screen.window("Guardian")
    screen.type("1111")
    screen.keys("Return")
    kit.until(lambda: [one for one in screen.windows("Guardian") if one != first], "the dialog, again")
    picture(screen, "again")
    assert service.of(Give) == []
    screen.keys("Escape")
    kit.until(lambda: not screen.windows("Guardian"), "the dialog to close")
    assert service.of(Give) == []


def test_pin_is_never_an_argument(kit: Any, mia: tuple[Any, Any]) -> None:
    screen, _ = mia
    open_menu(screen)
    screen.keys("Up", "Right", "Return")
    screen.window("Guardian")
    screen.type("2468")
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    dialogs = [line for line in lines if b"agent.tray.dialogs" in line]
    assert dialogs
    assert not any(b"2468" in line for line in dialogs)


def test_child_asks_for_time(kit: Any, mia: tuple[Any, Any]) -> None:
    screen, service = mia
    open_menu(screen)
    screen.keys("Down", "Down", "Down", "Down", "Down", "Right", "Down", "Return")  # Ask for more time: 30 minutes
    kit.until(lambda: service.of(Ask), "the request")
    assert service.of(Ask) == [Ask(kind="time", seconds=1800)]
    kit.until(lambda: any("Asked for 30 minutes" in text for text in screen.shown_notices()), "the notice")


def test_agreement_is_read_in_a_window_and_closed_with_escape(kit: Any, mia: tuple[Any, Any], picture: Picture) -> None:
    screen, service = mia
    open_menu(screen)
    screen.keys("Down", "Down", "Down", "Down", "Right", "Up", "Return")  # What is allowed: Our agreement
    screen.window("Our agreement")
    picture(screen, "agreement")
    assert service.of(GetAgreement)
    screen.keys("Escape")
    kit.until(lambda: not screen.windows("Our agreement"), "the window to close")


def test_notice_and_countdown_of_the_last_minute(kit: Any, mia: tuple[Any, Any], picture: Picture) -> None:
    screen, service = mia
    service.push(
        status=child(MINUTE),
        notice=Notify(child="mia", kind="time", title="1 minute left", text="Please save your drawing.", left=60_000),
    )
    screen.window("^1 minute left$")
    picture(screen, "countdown")
    kit.until(lambda: "Please save your drawing." in screen.shown_notices(), "the notice in dunst")
    service.push(status=child(31 * MINUTE))
    kit.until(lambda: not screen.windows("^1 minute left$"), "the countdown to close when time was given")


def test_tray_comes_back_when_the_service_restarts(kit: Any, mia: tuple[Any, Any], picture: Picture) -> None:
    screen, service = mia
    service.stop()
    away, forty_two = Face("away"), Face("ok", 42, 28)
    kit.until(lambda: is_face(screen, away, (forty_two,)), "the sign of no connection")
    picture(screen, "away")
    service.restart()
    kit.until(lambda: service.watched, "the tray to connect again", 5)
    kit.until(lambda: is_face(screen, forty_two, (away,)), "42 on the panel", 5)


def test_guardians_tray_answers_a_request(kit: Any, desktop: Desktop, picture: Picture) -> None:
    screen = desktop()
    asked = Request(id="r7", child="mia", kind="time", seconds=900, text="the level is nearly done", asked=1)
    mia = child(42 * MINUTE, requests=(asked,)).children[0]
    status = Status(role="guardian", protection="protected", policy="in force", children=(mia,))
    service = kit.Service(screen.folder / "socket", status)
    screen.tray(service.path)
    kit.until(lambda: is_face(screen, Face("family", 1), (Face("family"), Face("away"))), "one request on the panel")
    open_menu(screen)
    # mia ▸, past the reason, programs, what is allowed, +15, +30, +60, pause and lock to Requests ▸, the first ▸, Yes
    screen.keys("Down", "Right", *["Down"] * 8, "Right", "Right")
    picture(screen, "requests")
    screen.keys("Return")
    screen.window("Guardian")
    screen.type("2468")
    screen.keys("Return")
    kit.until(lambda: service.of(Answer), "the answer")
    assert service.of(Answer) == [Answer(request="r7", granted=True)]


def test_a_second_tray_of_the_session_leaves_at_once(kit: Any, mia: tuple[Any, Any]) -> None:
    screen, service = mia
    second = screen.tray(service.path)
    assert second.wait(20) == 0
    assert screen.tray_items().count("fairtime") == 1


def test_without_gtk_the_icon_is_there_and_the_window_beside_it(kit: Any, desktop: Desktop, picture: Picture) -> None:
    """pystray's plain X backend has neither a menu nor clicks, so the small window holds the menu."""
    screen = desktop()
    service = kit.Service(screen.folder / "socket", child(42 * MINUTE))
    screen.tray(service.path, before="from agent.platforms.linux import desk; desk.DISTRIBUTION_PACKAGES = ()")
    kit.until(lambda: service.watched, "the tray to subscribe")
    screen.window("^Fairtime$")
    picture(screen, "window")
    assert min(likeness(shown(screen), Face("ok", minutes, 28)) for minutes in (12, 24, 57)) > likeness(
        shown(screen), Face("ok", 42, 28)
    )
    kit.until(lambda: any("small window" in text for text in screen.shown_notices()), "the notice")
    assert "apt install python3-gi" in screen.log(Path(sys.executable).name)


def test_a_killed_tray_leaves_no_window_behind(kit: Any, desktop: Desktop) -> None:
    screen = desktop()
    service = kit.Service(screen.folder / "socket", child(42 * MINUTE))
    tray = screen.tray(service.path)
    kit.until(lambda: service.watched, "the tray to subscribe")
    service.push(notice=Notify(child="mia", kind="time", title="1 minute left", text="Please save.", left=60_000))
    screen.window("^1 minute left$")
    tray.kill()
    kit.until(lambda: not screen.windows("^1 minute left$"), "the countdown to close with its tray")


def test_in_arabic_a_child_asks_for_time_from_right_to_left(kit: Any, desktop: Desktop, picture: Picture) -> None:
    if not (kit.LOCALES / "ar_EG").exists():
        pytest.skip("glibc's locales are not here (Debian: apt install locales)")
    screen = desktop(locale="ar_EG")
    service = kit.Service(screen.folder / "socket", child(42 * MINUTE))
    screen.tray(service.path)
    kit.until(lambda: "fairtime" in screen.tray_items(), "the icon in the panel")
    before = len(screen.windows("."))
    open_menu(screen)
    picture(screen, "menu")
    screen.keys(*["Down"] * 5, "Left", *["Down"] * 3, "Return")  # ask for more time ▸ say why
    # xdotool finds no window by an Arabic title.
    kit.until(lambda: len(screen.windows(".")) > before, "the dialog")
    picture(screen, "dialog")
    screen.type("game")
    screen.keys("Return")
    kit.until(lambda: service.of(Ask), "the question")
    assert service.of(Ask) == [Ask(kind="time", seconds=900, text="game")]
