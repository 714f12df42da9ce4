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


class Window:
    """A browser of ``user``'s, open until the block ends, and a page in it."""

    def __init__(self, box: Box, browser: str, user: str, host: str, *options: str) -> None:
        self._box, self._browser, self._user, self._host, self._options = box, browser, user, host, options

    def __enter__(self) -> Window:
        script = {"chromium": "devtools.py", "firefox": "marionette.py"}[self._browser]
        self._box.write(f"/{PLACE}/{script}", (LAB / script).read_text(encoding="utf-8"))
        url = f"http://{self._host}/"
        words = [json.dumps([url]) if self._browser == "chromium" else url, "--each", *self._options]
        self._started = self._box.spawn(["python3", f"/{PLACE}/{script}", *words], self._user)
        return self

    def __exit__(self, *_: object) -> None:
        kill(self._started)
        self._started.communicate()

    def look(self, how: str = "") -> tuple[float, bool]:
        """When the page was opened once more, and whether it came; ``stay``: whether it has come by itself since."""
        os.write(self._started.stdin.fileno(), how.encode() + b"\n")
        line = self._started.stdout.readline()
        assert line, f"{self._browser} has ended: {self._started.stderr.read().decode()}"
        begun, text = json.loads(line)
        return float(begun), "reached" in text.lower()

    def closed(self) -> None:
        assert not self.look()[1], f"{self._host} was not closed"

    def open_after_yes(self, how: str = "", every: float = EVERY) -> float:
        """Have a guardian say yes; open the page after ``every`` seconds, look (``how``) after as many again, and so on: seconds
        from the yes to the look that found it open."""
        self._box.fairtime.guardian("grant", self._host, "--site", "--child", self._user, "--for", "today").check()
        yes = time.monotonic()
        for number in itertools.count(1):
            time.sleep(max(0.0, yes + number * every - time.monotonic()))
            begun, reached = self.look(how if number > 1 else "")
            took = begun - yes
            if reached:
                print(f"{self._browser} of {self._user}: {self._host} was open {took:.1f} s after the yes")
                return took
            assert took < self._box.within(REMEMBERED + 2 * EVERY), f"{self._host} is still closed {took:.1f} s after"
        raise AssertionError("it counts without end")


def open_after(box: Box, browser: str, user: str, host: str, how: str = "", every: float = EVERY) -> float:
    """Seconds from a yes, right after a child was there twice, to the look that found the page open."""
    with Window(box, browser, user, host) as window:
        window.closed()
        time.sleep(EVERY)
        window.closed()
        return window.open_after_yes(how, every)


def test_what_nothing_opened_is_open_at_once_in_chromium(pc: Box) -> None:
    """By its own rules, which it reads again."""
    assert open_after(pc, "chromium", "mia", "chromium.new.example") < pc.within(AT_ONCE) + LATE


@pytest.mark.parametrize(("user", "host"), [("mia", "firefox.new.example"), ("leo", "n1.example")])
def test_whatever_closed_it_is_open_at_once_in_firefox(pc: Box, user: str, host: str) -> None:
    """By the resolver's word, which it asks for again after a second; meanwhile it comes to our page once more, which then loads
    itself again."""
    assert open_after(pc, "firefox", user, host, "stay", LATE) < pc.within(AT_ONCE) + LATE


def test_what_a_list_closes_in_chromium(pc: Box) -> None:
    """What its own rules do not hold it has asked the resolver for, and it keeps an address for a minute: for http, where our page
    is, and for https, where it looked first.  After a yes our page sends it there, so it matters when it looked."""
    with Window(pc, "chromium", "leo", "n3.example", "--ignore-certificate-errors") as patient:
        patient.closed()
        at_once = time.monotonic()
        assert open_after(pc, "chromium", "leo", "n2.example") < pc.within(REMEMBERED + EVERY) + LATE
        time.sleep(max(0.0, at_once + REMEMBERED + EVERY - time.monotonic()))
        patient.closed()
        assert patient.open_after_yes("stay") < pc.within(2 * AT_ONCE) + LATE
