"""The service's sites with a real resolver process: what a child's programs are answered, over the wire."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import dns.message
import dns.query
import pytest

if sys.platform != "linux":
    pytest.skip("the resolver is for Linux", allow_module_level=True)

from agent.filter.control import Ask, Used
from agent.ipc.protocol import Answer, Give
from agent.model.site import SINK
from agent.platforms.base import Resolver
from agent.platforms.fake import FakeHost
from agent.platforms.linux import resolving
from agent.service.lists import Lists
from agent.service.sites import RESOLVER, Sites
from agent.service.siteuse import SiteUses
from tests.dns_servers import server, zone
from tests.house import LIMITS, House, family
from tests.resolving import LONG, addresses

ZONE = {"sums.example": "192.0.2.1", "other.example": "192.0.2.2", "en.wikipedia.org": "192.0.2.3"}
RULES = """
sites.mode = "allow-list"
sites.allow = ["sums.example"]
sites.rules = [{ host = "films.example", budget = { all = "30m" } }, { group = "learning" }]
"""


class RealNames(FakeHost):
    """A computer in memory with a real resolver."""

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        self.process = resolving.Resolver(heard, changed, at=Path("/nonexistent"))
        return self.process


class Home(House):
    """A household on it."""

    process: resolving.Resolver
    changes: asyncio.Event
    sites: Sites

    def begin(self, upstream: str) -> None:
        self.changes = asyncio.Event()
        self.loop.changed = self.changes.set
        self.host.servers = (upstream,)
        lists = Lists(self.folder / "lists")
        self.sites = Sites(self.host, self.loop, self.store, SiteUses(self.loop, lambda _child, _day: set()), lists)
        self.loop.heed = lambda _: self.sites.look(self.host.clock.now())
        self.sites.begin()
        self.process = self.host.process  # type: ignore[attr-defined]  # a host of this test has it

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONG):
            while not holds():
                self.changes.clear()
                await self.changes.wait()
        while self.sites._task is not None:
            await self.sites._task

    async def ask(self, name: str) -> dns.message.Message:
        """As a program of mia's would be answered, through the firewall's redirect."""
        (lane,) = self.host.sites
        question = dns.message.make_query(name, "A")
        return await asyncio.to_thread(dns.query.udp, question, "127.0.0.1", LONG, lane.dns_port)

    async def page(self, host: str, method: str = "GET", body: str = "") -> str:
        (lane,) = self.host.sites
        reader, writer = await asyncio.open_connection("127.0.0.1", lane.page_port)
        head = f"{method} / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        if body:
            head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}\r\n{body}".encode())
        answer = await reader.read()
        writer.close()
        return answer.decode()


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    from tests import house, pc

    monkeypatch.setattr(house, "computer", lambda rules, *people: pc.computer(rules, *people, host=RealNames))
    with server(zone(ZONE)) as upstream:
        made = Home(tmp_path, family(limits=LIMITS + RULES))
        made.begin(upstream.address)
        made.host.login("mia")
        await made.tick()
        await made.until(lambda: made.process.why == "")
        assert made.sites._listing is not None
        await made.sites._listing
        yield made
        await made.sites.close()


async def test_only_what_is_listed_resolves_and_a_yes_opens_within_one_tick(home: Home) -> None:
    assert addresses(await home.ask("sums.example")) == ["192.0.2.1"]
    assert addresses(await home.ask("en.wikipedia.org")) == ["192.0.2.3"], "of a list that comes with the program"
    assert addresses(await home.ask("other.example")) == [SINK]
    done = await home.act(Give(child="mia", kind="site", subject="other.example", seconds=3600))
    # The plan and the question follow on the same line, one after the other.
    assert addresses(await home.ask("other.example")) == ["192.0.2.2"]
    await home.withdraw(done.id)
    assert addresses(await home.ask("other.example")) == [SINK]


async def test_a_child_asks_on_the_page_and_is_answered(home: Home) -> None:
    page = await home.page("other.example")
    assert "other.example is not open for you" in page
    token = page.partition('name="token" value="')[2].partition('"')[0]
    said = await home.page("other.example", "POST", f"token={token}")
    assert "You have asked." in said
    (request,) = home.asked()
    assert (request.kind, request.subject) == ("site", "other.example")
    await home.act(Answer(request=request.id, granted=True, lasting="today"))
    assert addresses(await home.ask("other.example")) == ["192.0.2.2"]


async def test_a_no_is_kept_for_the_day_and_told_on_the_page(home: Home) -> None:
    token = (await home.page("other.example")).partition('name="token" value="')[2].partition('"')[0]
    await home.page("other.example", "POST", f"token={token}")
    (request,) = home.asked()
    await home.act(Answer(request=request.id, granted=False))
    page = await home.page("other.example")
    assert "Ana said no to other.example for today." in page
    for name in ("other.example", "m.other.example"):
        for said in (await home.page(name), await home.page(name, "POST", f"token={token}")):
            assert "A guardian has said no to this for today. You can ask again tomorrow." in said
            assert "<button" not in said
    assert home.asked() == ()
    assert addresses(await home.ask("other.example")) == [SINK]
    (no,) = (grant for grant in home.loop.engine.grants_of("mia") if grant.kind == "site-refusal")
    await home.withdraw(no.id)
    page = await home.page("other.example")
    assert "said no" not in page
    assert "<button" in page
    await home.act(Give(child="mia", kind="site", subject="other.example", lasting="today"))
    assert addresses(await home.ask("other.example")) == ["192.0.2.2"]


async def test_a_resolver_that_is_killed_leaves_nothing_open_and_the_next_serves(home: Home) -> None:
    (lane,) = home.host.sites
    pid = home.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await home.until(lambda: bool(home.process.why))
    assert [(one.dns_port, one.page_port) for one in home.host.sites] == [(0, 0)]
    assert "No page opens for the children" in home.loop.troubles[RESOLVER]
    await home.until(lambda: not home.process.why)
    assert home.process.pid not in (None, pid)
    assert home.host.sites[0].dns_port != 0
    assert addresses(await home.ask("sums.example")) == ["192.0.2.1"]
    assert addresses(await home.ask("other.example")) == [SINK]
    assert RESOLVER not in home.loop.troubles
    assert lane.plan is home.host.sites[0].plan


async def test_short_groups_reach_the_browsers_own_lists(home: Home) -> None:
    while home.sites.short.task is not None:
        await home.sites.short.task
    while home.sites._task is not None:
        await home.sites._task
    (lane,) = home.host.sites
    assert "wikipedia.org" in lane.few["learning"]
    assert set(lane.few) == {"learning"}
