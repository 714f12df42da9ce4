"""A yes to a site, and a browser that is open already and has seen it closed: how long until the same address opens in it."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.box import Box, kill
from tests.system.fairtime import PIN
from tests.system.internet import internet
from tests.system.reach import PLACE
from tests.system.test_sites import FAMILY

LAB = Path(__file__).parent
AT_ONCE = 2.0
"""Seconds from a guardian's yes."""
REMEMBERED = 60.0
"""Seconds that Chromium uses an address for that it has asked for (host_resolver_manager.cc, kCacheEntryTTL)."""
EVERY = 2.0
"""Seconds between two looks.  A Chromium that is kept loading pages does not come to read its rules."""
LATE = 0.5
"""Seconds that a look may begin late."""
LIST = "many"
"""A group of names that are too many for a browser's own rules, so that the resolver alone closes them."""


@pytest.fixture(scope="module")
def pc(box: Box) -> Iterator[Box]:
    with internet(box):
        box.write("/root/many.txt", "".join(f"n{i}.example\n" for i in range(600)))
        box.run(["fairtime", "lists", "add", LIST, "/root/many.txt"], stdin=PIN + "\n").check()
        of_leo = 'block = ["game.example"] }'
        assert of_leo in FAMILY
        rules = f'rules = [{{ group = "{LIST}", action = "block" }}]'
        box.fairtime.policy(FAMILY.replace(of_leo, f'block = ["game.example"], {rules} }}'))
        box.until("nft list table inet fairtime", within=20)
        try:
            yield box
        finally:
            box.run(["fairtime", "lists", "remove", LIST], stdin=PIN + "\n").check()


def open_after(box: Box, browser: str, user: str, host: str) -> float:
    """Open a page in a browser, closed; have a guardian say yes; open it again ``EVERY`` seconds after that, and so on: seconds
    from the yes to the look that found it open."""
    script = {"chromium": "devtools.py", "firefox": "marionette.py"}[browser]
    box.write(f"/{PLACE}/{script}", (LAB / script).read_text(encoding="utf-8"))
    url = f"http://{host}/"
    started = box.spawn(
        ["python3", f"/{PLACE}/{script}", json.dumps([url]) if browser == "chromium" else url, "--each"], user
    )

    def look() -> tuple[float, bool]:
        os.write(started.stdin.fileno(), b"\n")
        line = started.stdout.readline()
        assert line, f"{browser} has ended: {started.stderr.read().decode()}"
        begun, text = json.loads(line)
        return float(begun), "reached" in text.lower()

    try:
        assert not look()[1], f"{host} was not closed"
        time.sleep(EVERY)
        assert not look()[1], f"{host} was not closed"
        box.fairtime.guardian("grant", host, "--site", "--child", user, "--for", "today").check()
        yes = time.monotonic()
        for number in itertools.count(1):
            time.sleep(max(0.0, yes + number * EVERY - time.monotonic()))
            begun, reached = look()
            took = begun - yes
            if reached:
                print(f"{browser} of {user}: {host} was open {took:.1f} s after the yes")
                return took
            assert took < box.within(REMEMBERED + 2 * EVERY), f"{host} is still closed {took:.1f} s after the yes"
        raise AssertionError("it counts without end")
    finally:
        kill(started)
        started.communicate()


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_what_nothing_opened_is_open_at_once_after_a_yes(pc: Box, browser: str) -> None:
    """Chromium by its own rules, which it reads again; Firefox by the resolver's word, which it keeps for a second."""
    assert open_after(pc, browser, "mia", f"{browser}.new.example") < pc.within(AT_ONCE) + LATE


def test_what_a_list_closes_is_open_at_once_in_firefox(pc: Box) -> None:
    assert open_after(pc, "firefox", "leo", "n1.example") < pc.within(AT_ONCE) + LATE


def test_what_a_list_closes_is_open_after_a_minute_in_chromium(pc: Box) -> None:
    """What its own rules do not hold it has asked the resolver for, and it keeps an address for a minute."""
    assert open_after(pc, "chromium", "leo", "n2.example") < pc.within(REMEMBERED + EVERY) + LATE
