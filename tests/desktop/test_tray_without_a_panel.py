"""A desktop that shows no tray icons (GNOME without its extension): no error box, and nothing is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.ipc.answers import ChildState, Status
from agent.ipc.protocol import Ask
from agent.model.verdict import Notify, Verdict

pytestmark = [pytest.mark.desktop, pytest.mark.timeout(120)]

STATUS = Status(
    role="child",
    protection="protected",
    policy="in force",
    children=(
        ChildState(
            child="mia",
            verdict=Verdict(child="mia", day="2026-03-02", remaining=42 * 60_000, binding=None),
            seconds_left=42 * 60,
            sentence="Today's screen time is 1 h 30 min.",
            budget_today=90 * 60,
        ),
    ),
)


def test_notices_and_a_small_window_serve_instead(
    kit: Any, desktop: Callable[..., Any], picture: Callable[[Any, str], Path]
) -> None:
    screen = desktop(panel=False)
    service = kit.Service(screen.folder / "socket", STATUS)
    tray = screen.tray(service.path)
    screen.window("^Fairtime$")
    kit.until(lambda: service.watched, "the tray to subscribe")
    service.push(notice=Notify(child="mia", kind="time", title="15 minutes left", text="Time to finish.", left=900_000))
    kit.until(lambda: "Time to finish." in screen.shown_notices(), "the notice")
    picture(screen, "window")
    (said,) = [text for text in screen.shown_notices() if "GNOME shows no tray icons" in text]
    assert "fairtime status" in said
    assert screen.windows(".") == screen.windows("^Fairtime$"), "no other window, least of all an error box"
    assert tray.poll() is None


def test_the_small_window_has_the_menu(kit: Any, desktop: Callable[..., Any]) -> None:
    screen = desktop(panel=False)
    service = kit.Service(screen.folder / "socket", STATUS)
    screen.tray(service.path)
    window = screen.window("^Fairtime$")
    kit.until(lambda: service.watched, "the tray to subscribe")
    screen.run("xdotool", "windowfocus", "--sync", window)
    screen.keys("Tab", "Tab", "Tab", "space", "Return")  # Ask for more time: 15 minutes
    kit.until(lambda: service.of(Ask), "the request")
    assert service.of(Ask) == [Ask(kind="time", seconds=900)]


def test_the_small_window_cannot_be_closed_away(kit: Any, desktop: Callable[..., Any]) -> None:
    screen = desktop(panel=False)
    service = kit.Service(screen.folder / "socket", STATUS)
    screen.tray(service.path)
    window = screen.window("^Fairtime$")
    screen.run("xdotool", "windowfocus", "--sync", window)
    screen.keys("Escape")
    kit.until(lambda: not screen.windows("^Fairtime$"), "the window to become small")
    assert window in screen.run("xdotool", "search", "--name", "^Fairtime$").split()


def test_without_a_notice_daemon_the_notice_is_a_window(kit: Any, desktop: Callable[..., Any]) -> None:
    screen = desktop(panel=False, notices=False)
    service = kit.Service(screen.folder / "socket", STATUS)
    screen.tray(service.path)
    kit.until(lambda: service.watched, "the tray to subscribe")
    service.push(notice=Notify(child="mia", kind="time", title="15 minutes left", text="Time to finish.", left=900_000))
    screen.window("^15 minutes left$")
