"""Sites in the service: plans that follow policy, clock, use and grants into every lane, and what is seen of sites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.cli.asking import text_of
from agent.clock import MINUTE
from agent.core.schedule import local
from agent.errors import Refused
from agent.filter.control import Ask, Trouble, Used
from agent.ipc.answers import SiteTime, Status
from agent.ipc.protocol import Answer, Give
from agent.model.grant import Grant, Lasting, Request
from agent.model.record import LedgerEvent
from agent.model.site import SiteLane, SiteUse, WatchedUse
from agent.platforms.base import Capability
from agent.platforms.fakeresolver import FakeResolver
from agent.service.audit import verify_file
from agent.service.sites import LANES, RESOLVER, Sites
from agent.service.siteuse import MOST_BLOCKED, MOST_HOSTS, OTHERS, SiteUses
from agent.service.status import child_state
from agent.trust import grants as sealing
from agent.trust.seal import Check
from tests.house import LIMITS, MACHINE, ROOT, House, family

RULES = """
sites.mode = "allow-list"
sites.allow = ["sums.example"]
sites.rules = [
  { host = "films.example", budget = { all = "30m" } },
  { host = "news.example", hours = { all = ["15:30-16:00"] } },
  { group = "games", action = "block" },
]
"""


class ListsOf:
    """Lists whose book is there, or is not."""

    def __init__(self, book: Path | None, trouble: tuple[str, str] | None = None) -> None:
        self.book, self.trouble = book, trouble
        self.rebuilt = self.ensured = 0
        self.changed: Callable[[], None] = lambda: None

    async def ensure(self) -> None:
        self.ensured += 1

    async def rebuild(self) -> None:
        self.rebuilt += 1
        self.changed()


class Home:
    """A household whose sites are kept."""

    def __init__(self, folder: Path, limits: str = LIMITS + RULES, more: str = "") -> None:
        self.house = House(folder, family(more, limits))
        self.loop, self.host, self.store = self.house.loop, self.house.host, self.house.store
        self.begin()

    def begin(self) -> None:
        self.loop = self.house.loop
        known = SiteUses(
            self.loop, lambda child, day: {r.key for r in self.store.rows(child, day, day) if r.kind == "site"}
        )
        self.lists = ListsOf(None)
        self.sites = Sites(self.host, self.loop, self.house.store, known, self.lists)  # type: ignore[arg-type]  # words of the model, as they come
        self.loop.heed = lambda _: self.sites.look(self.host.clock.now())
        self.sites.begin()

    @property
    def names(self) -> FakeResolver:
        assert self.host.names is not None
        return self.host.names

    async def tick(self, millis: int = 1000) -> None:
        await self.house.tick(millis)
        await self.settle()

    async def settle(self) -> None:
        """Until what was begun for the host is done."""
        while self.sites._task is not None:
            await self.sites._task

    def lane(self, child: str = "mia") -> SiteLane:
        return next(lane for lane in self.host.sites if lane.plan.child == child)

    def action(self, host: str) -> str:
        """What the lanes of this PC do with a host, by a rule of its own."""
        return next((rule.action for rule in self.lane().plan.hosts if rule.host == host), self.lane().plan.otherwise)

    def in_force(self) -> tuple[Grant, ...]:
        return self.loop.engine.grants_of("mia")

    def minute(self, *sites: SiteUse, watched: tuple[WatchedUse, ...] = ()) -> None:
        self.names.heard(Used(minute=1, sites=sites, watched=watched))

    def charged(self, kind: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.store.rows("mia", "", "9999-12-31"):
            if row.kind == kind:
                found[row.key] = found.get(row.key, 0) + row.millis // MINUTE
        return found

    def events(self, kind: str) -> list[LedgerEvent]:
        return [event for event in self.store.events("mia", "", "9999-12-31") if event.kind == kind]


def use(host: str, action: str = "allow", child: str = "mia", asked: int = 5) -> SiteUse:
    return SiteUse(child=child, host=host, action=action, asked=asked, minutes=1)  # type: ignore[arg-type]  # words of the model, as they come


FILMS = WatchedUse(child="mia", rule="mia/site:films.example", minutes=1)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    made = Home(tmp_path)
    made.host.login("mia")
    await made.tick()
    await made.tick()
    yield made
    await made.sites.close()


async def test_every_child_has_a_lane_where_the_resolver_serves(home: Home) -> None:
    assert home.names.opened
    assert home.names.upstreams == ("192.0.2.53",)
    assert [lane.plan.child for lane in home.names.lanes] == ["mia"]
    lane = home.lane()
    assert lane.plan is home.names.lanes[0].plan
    assert (lane.accounts, lane.dns_port, lane.page_port) == (("mia",), 5300, 5301)
    assert (home.action("sums.example"), home.action("other.example")) == ("allow", "block")
    assert [rule.group for rule in lane.plan.groups] == ["games"]


async def test_nothing_is_said_again_while_nothing_changes(home: Home) -> None:
    lanes, told = home.host.sites, home.names.lanes
    for _ in range(5):
        await home.tick()
    assert home.host.sites is lanes
    assert home.names.lanes is told


async def test_hours_open_and_close_by_the_clock(home: Home) -> None:
    assert home.action("news.example") == "block"
    await home.tick(30 * MINUTE)
    assert home.action("news.example") == "allow"
    await home.tick(30 * MINUTE)
    assert home.action("news.example") == "block"


async def test_a_yes_opens_a_site_with_the_next_tick_and_closes_it_when_it_ends(home: Home) -> None:
    await home.house.act(Give(child="mia", kind="site", subject="https://www.Other.example/x?y", seconds=600))
    await home.settle()
    assert home.action("other.example") == home.action("www.other.example") == "allow"
    assert home.names.lanes[0].plan is home.lane().plan
    await home.tick(599_000)
    assert home.action("other.example") == "allow"
    await home.tick(2_000)
    assert home.action("other.example") == "block"


@pytest.mark.parametrize(("lasting", "words"), [("today", "for today"), ("good", "from now on")])
async def test_a_site_for_today_or_from_now_on(home: Home, lasting: Lasting, words: str) -> None:
    done = await home.house.act(Give(child="mia", kind="site", subject="other.example", lasting=lasting))
    assert done.sentence == f"mia: other.example is allowed {words}."
    await home.settle()
    await home.tick(11 * 60 * MINUTE)
    assert home.action("other.example") == "allow"
    await home.tick(2 * 60 * MINUTE)  # past three in the morning
    assert home.action("other.example") == ("block" if lasting == "today" else "allow")
    await home.house.withdraw(done.id)
    await home.settle()
    assert home.action("other.example") == "block"


@pytest.mark.parametrize(
    ("give", "title"),
    [
        (Give(child="mia", kind="site", subject="a b", seconds=600), "“a b” is no host name"),
        (Give(child="mia", kind="site", seconds=600), "Which site?"),
        (Give(child="mia", kind="site", subject="x.example", lasting="once"), "A site cannot be allowed once"),
        (Give(child="mia", kind="site", subject="x.example"), "For how long?"),
    ],
)
async def test_a_grant_that_cannot_be(home: Home, give: Give, title: str) -> None:
    with pytest.raises(Refused) as caught:
        await home.house.act(give)
    assert caught.value.title == title
    assert caught.value.advice


async def test_minutes_on_a_site_are_used_up(home: Home) -> None:
    for _ in range(29):
        home.minute(use("films.example"), watched=(FILMS,))
        await home.tick(MINUTE)
    assert home.action("films.example") == "allow"
    home.minute(use("films.example"), watched=(FILMS,))
    await home.tick()
    assert home.action("films.example") == "block"
    assert "Today's 30 min of films.example are used up." in next(
        rule.reason for rule in home.lane().plan.hosts if rule.host == "films.example"
    )
    home.loop.save()
    assert home.charged("site") == {"films.example": 30}
    assert home.charged("site-rule") == {"films.example": 30}


async def test_a_child_is_told_what_is_left_of_a_site(home: Home) -> None:
    child = home.loop.engine.children["mia"]
    assert home.sites.times(child) == (SiteTime(title="films.example", seconds=0, left=1800),)
    for _ in range(31):
        home.minute(use("films.example"), watched=(FILMS,))
        await home.tick(MINUTE)
    assert home.sites.times(child) == (SiteTime(title="films.example", seconds=1860, left=0),)
    state = child_state(child, (), (), None, sites=home.sites.times(child))
    status = Status(role="child", protection="protected", policy="in force", children=(state,))
    assert "  films.example: 31 min, used up" in text_of(status).splitlines()


async def test_use_of_sites_outlives_a_crash_and_a_new_day_brings_new_minutes(home: Home) -> None:
    for _ in range(30):
        home.minute(use("films.example"), watched=(FILMS,))
        await home.tick(MINUTE)
    home.loop.save()
    home.house.kill()
    await home.sites.close()
    home.house.open()
    home.store = home.house.store
    home.begin()
    await home.tick()
    assert home.action("films.example") == "block"
    await home.tick(12 * 60 * MINUTE)
    assert home.action("films.example") == "allow"


async def test_an_empty_chair_visits_no_site(home: Home) -> None:
    for session in list(home.host.sessions):
        home.host.logout(session)
    await home.tick()  # what passed until then was use
    await home.tick(2 * MINUTE)
    home.minute(use("films.example"), use("bad.example", "block"), watched=(FILMS,))
    await home.tick()
    home.loop.save()
    assert home.charged("site") == home.charged("site-rule") == {}
    assert home.events("site-blocked") == []


async def test_a_pause_charges_no_minutes_to_a_site_rule(home: Home) -> None:
    await home.house.act(Give(child="mia", kind="pause", seconds=600))
    home.minute(use("films.example"), watched=(FILMS,))
    await home.tick()
    home.loop.save()
    assert home.charged("site") == {"films.example": 1}
    assert home.charged("site-rule") == {}


async def test_what_is_not_open_is_counted_by_host_and_nothing_more(home: Home) -> None:
    for _ in range(2):
        home.minute(use("bad.example", "block", asked=900), use("new.example", "ask"))
        await home.tick(MINUTE)
    found = {event.subject: (event.count, event.text) for event in home.events("site-blocked")}
    assert found == {
        "bad.example": (2, "bad.example was asked for and is not open."),
        "new.example": (2, "new.example was asked for and is not open."),
    }


async def test_names_at_random_fill_no_ledger(home: Home) -> None:
    many = MOST_HOSTS + 50
    home.minute(*(use(f"n{n}.example") for n in range(many)), *(use(f"b{n}.example", "block") for n in range(many)))
    await home.tick()
    home.loop.save()
    sites = home.charged("site")
    assert len(sites) == MOST_HOSTS + 1
    assert sites[OTHERS] == 50
    blocked = home.events("site-blocked")
    assert len(blocked) == MOST_BLOCKED + 1
    assert sum(event.count for event in blocked) == many


async def test_words_about_nobody_here_are_dropped(home: Home) -> None:
    home.minute(use("a.example", child="eve"), watched=(WatchedUse(child="mia", rule="mia/gone", minutes=1),))
    home.names.heard(Ask(number=7, child="eve", host="a.example"))
    await home.tick()
    home.loop.save()
    assert home.charged("site") == {}
    assert home.names.answers == {7: "refused"}


async def test_a_child_asks_on_the_page_and_a_yes_opens_the_site(home: Home) -> None:
    home.names.heard(Ask(number=1, child="mia", host="www.other.example"))
    home.names.heard(Ask(number=2, child="mia", host="other.example"))
    home.names.heard(Ask(number=3, child="mia", host="a b"))
    assert home.names.answers == {1: "asked", 2: "already", 3: "refused"}
    (request,) = home.house.asked()
    assert (request.kind, request.subject, request.child) == ("site", "other.example", "mia")
    await home.house.act(Answer(request=request.id, granted=True, lasting="today"))
    await home.settle()
    assert home.action("www.other.example") == "allow"
    home.names.heard(Ask(number=4, child="mia", host="www.other.example"))
    assert home.names.answers[4] == "open"
    home.names.heard(Ask(number=5, child="mia", host="m.other.example"))
    assert home.names.answers[5] == "asked", "the page asks only for what is shut: by a list, below what was opened"


async def refuse(home: Home, host: str, reply: str = "") -> Grant:
    """Mia asks for a host, and Ana says no."""
    home.names.heard(Ask(number=1, child="mia", host=host))
    (request,) = home.house.asked()
    await home.house.act(Answer(request=request.id, granted=False, reply=reply))
    await home.settle()
    (kept,) = (grant for grant in home.in_force() if grant.kind == "site-refusal")
    return kept


async def test_a_no_holds_for_the_day_and_answers_whoever_asks_again(home: Home) -> None:
    kept = await refuse(home, "www.other.example", "After tea.")
    assert (kept.subject, kept.by, kept.note) == ("other.example", "Ana", "After tea.")
    (row,) = (row for row in home.store.sealed() if row.grant.id == kept.id)
    assert not sealing.check(Check(root=ROOT, device=MACHINE, given=(row,))), "it is signed as every grant is"
    audited = verify_file(home.house.folder / "audit.log")
    assert audited.ok
    text = (home.house.folder / "audit.log").read_text()
    assert "give-site-refusal" in text
    assert "request-refused" in text
    assert home.house.shown[-1].text == "Other.example is not for today. After tea."
    assert home.action("other.example") == "block"
    for number, host in enumerate(("other.example", "www.other.example", "m.other.example"), 2):
        home.names.heard(Ask(number=number, child="mia", host=host))
        assert home.names.answers[number] == "no"
    assert home.house.asked() == ()
    home.names.heard(Ask(number=9, child="mia", host="example"))
    assert home.names.answers[9] == "asked", "nobody was asked for that"


async def test_a_no_ends_with_the_policys_day(home: Home) -> None:
    kept = await refuse(home, "other.example")
    assert kept.until is not None
    zone = home.loop.engine.rules.zone
    assert local(kept.until, zone).strftime("%d %H:%M") == "03 03:00", "the family's day begins at three"
    await home.tick(kept.until - home.house.wall - 1000)
    home.names.heard(Ask(number=2, child="mia", host="other.example"))
    assert home.names.answers[2] == "no"
    await home.tick()
    home.names.heard(Ask(number=3, child="mia", host="other.example"))
    assert home.names.answers[3] == "asked"


async def test_a_no_outlives_a_restart_and_can_be_withdrawn(home: Home) -> None:
    kept = await refuse(home, "other.example")
    home.house.kill()
    home.house.open()
    home.begin()
    await home.tick()
    home.names.heard(Ask(number=2, child="mia", host="other.example"))
    assert home.names.answers[2] == "no"
    done = await home.house.withdraw(kept.id)
    assert done.sentence == "mia: the no is taken back."
    home.names.heard(Ask(number=3, child="mia", host="other.example"))
    assert home.names.answers[3] == "asked"


async def test_a_later_yes_takes_a_no_back_and_a_later_no_a_yes(home: Home) -> None:
    await refuse(home, "m.other.example")
    await home.tick()
    await home.house.act(Give(child="mia", kind="site", subject="other.example", lasting="today"))
    await home.settle()
    assert [rule.host for rule in home.lane().plan.hosts if rule.rule.startswith("grant/")] == [
        "other.example",
        "www.other.example",
    ]
    home.names.heard(Ask(number=2, child="mia", host="other.example"))
    assert home.names.answers[2] == "open"
    assert home.sites.answer("mia", "m.other.example") == home.in_force()[-1]
    home.store.add_request(Request(id="late", child="mia", kind="site", subject="other.example", asked=home.house.wall))
    await home.tick()
    await home.house.act(Answer(request="late", granted=False))
    await home.settle()
    assert home.action("other.example") == "block"
    home.names.heard(Ask(number=3, child="mia", host="m.other.example"))
    assert home.names.answers[3] == "no"


async def test_many_questions_are_too_many(home: Home) -> None:
    for number in range(30):
        home.names.heard(Ask(number=number, child="mia", host=f"n{number}.example"))
    assert home.names.answers[19] == "asked"
    assert home.names.answers[29] == "too-many"


async def test_while_no_resolver_serves_the_lanes_lead_nowhere_and_everyone_is_told(home: Home) -> None:
    home.names.fail("The resolver does not run: it ended.")
    await home.settle()
    assert (home.lane().dns_port, home.lane().page_port) == (0, 0)
    assert home.loop.troubles[RESOLVER] == "The resolver does not run: it ended."
    home.names.serve(home.names.lanes, home.names.upstreams)
    await home.settle()
    assert home.lane().dns_port == 5300
    assert RESOLVER not in home.loop.troubles


async def test_a_host_that_cannot_is_named_until_it_can(home: Home) -> None:
    home.host.missing[Capability.SITES_BROWSER] = "no folder"
    await home.tick(30 * MINUTE)
    assert home.loop.troubles[LANES] == "This PC cannot filter sites: no folder. The rest is in force."
    del home.host.missing[Capability.SITES_BROWSER]
    await home.tick(30 * MINUTE)
    assert LANES not in home.loop.troubles


async def test_what_the_resolver_lacks_is_found_by_the_doctor(home: Home) -> None:
    home.names.suffer(
        Trouble(kind="group", about="games", text="No list has the group “games”."),
        Trouble(kind="no-upstream", about="", text="No name server answers."),
        Trouble(kind="no-ipv6", about="", text="No IPv6."),
        Trouble(kind="lists", about="book-1", text="The lists are damaged."),
    )
    found = {finding.id: (finding.severity, finding.title) for finding in home.sites.findings()}
    assert found == {
        "sites-group:games": ("weak", "No list has the group “games”."),
        "sites-no-upstream:": ("note", "No name server answers."),
        "sites-lists:book-1": ("weak", "The lists are damaged."),
    }
    assert all(finding.advice for finding in home.sites.findings())


async def test_a_damaged_book_is_compiled_again_once_until_one_can_be_read(home: Home) -> None:
    bad = Trouble(kind="lists", about="book-1", text="The lists are damaged.")
    for _ in range(3):
        home.names.suffer(bad)
        await asyncio.gather(*(task for task in (home.sites._listing,) if task))
    assert home.lists.rebuilt == 1
    home.names.suffer()
    home.names.suffer(bad)
    await asyncio.gather(*(task for task in (home.sites._listing,) if task))
    assert home.lists.rebuilt == 2


async def test_the_resolver_has_each_new_book(home: Home) -> None:
    assert home.lists.ensured == 1
    assert home.names.books == [None], "there are none, which is said: else nothing would resolve"
    home.lists.book = Path("/book-2")
    home.lists.changed()
    assert home.names.books == [None, Path("/book-2")]


async def test_where_lists_should_be_and_are_not_nothing_is_said_to_be_in_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.lists.trouble = ("The disk is full", "Make room.")
    await home.tick()
    await asyncio.gather(*(task for task in (home.sites._listing,) if task))
    assert home.names.books == []


async def test_a_name_that_is_none_is_told(tmp_path: Path) -> None:
    # as an older version signed it
    home = Home(tmp_path, LIMITS + 'sites.mode = "allow-list"\nsites.block = ["a b"]\n')
    await home.tick()
    (finding,) = home.sites.findings()
    assert finding.title == "“a b” is no host name: a site rule of mia does nothing"


async def test_the_policys_name_servers_come_before_the_pcs(tmp_path: Path) -> None:
    home = Home(tmp_path)
    await home.tick()
    home.host.servers = ("192.0.2.54", "2001:db8::1")
    await home.tick()
    assert home.names.upstreams == ("192.0.2.54", "2001:db8::1")


async def test_where_sites_are_not_filtered_nothing_is_begun(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.host.missing[Capability.SITES_DNS] = "none here"
    home.begin()
    await home.tick()
    assert home.host.sites == ()
    assert list(home.sites.findings()) == []
    child = home.loop.engine.children["mia"]
    assert home.sites.plan(child).child == "mia", "and yet it can be asked why"


async def test_close_ends_the_resolver(home: Home) -> None:
    await home.sites.close()
    assert not home.names.opened
    await asyncio.sleep(0)
    home.minute(use("films.example"))  # a last word changes nothing and breaks nothing
