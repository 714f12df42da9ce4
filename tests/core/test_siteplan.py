"""From a child's rules, grants and use to the plan of its sites."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.clock import MINUTE
from agent.core.helphosts import HELP_HOSTS
from agent.core.hosts import read
from agent.core.layers import layered
from agent.core.saying import say
from agent.core.siteplan import SitePlanner, site_plan
from agent.core.sites import STRICTNESS, FewNames, SiteMatcher
from agent.model.grant import Grant
from agent.model.policy import Limits, SiteRule, SiteRules
from agent.model.site import SiteAction, SitePlan
from agent.model.usage import DayUse, Usage
from tests.core.scene import MONDAY, clock, mia, now

NO_USE = Usage(child="mia", since="2026-01-01")
GROUPS = '[site_groups]\nvideos = ["youtube.com", "films.example", "cinema"]\nbad = ["*.Bad.example", "films.example"]'


def permit(host: str, until: int | None = None, ident: str = "7") -> Grant:
    return Grant(id=ident, child="mia", kind="site", subject=host, given=0, until=until, by="ana")


def used(key: str, minutes: float, day: dt.date = MONDAY) -> Usage:
    return Usage(child="mia", since="2026-01-01", days={day.isoformat(): DayUse(sites={key: round(minutes * MINUTE)})})


def plan(
    limits: str, text: str = "15:00", usage: Usage = NO_USE, grants: tuple[Grant, ...] = (), more: str = GROUPS
) -> SitePlan:
    child = mia(limits, more=more)
    return site_plan(child, now(child, text), usage, grants)


NAMES = FewNames({"cinema": ["reel.example", "www.own.example"], "games": ["play.example", "films.example"]})


def says(found: SitePlan, host: str) -> tuple[str, str]:
    verdict = SiteMatcher(found, NAMES).decide(host)
    return verdict.action, verdict.rule


@pytest.mark.parametrize(
    ("mode", "action", "addresses"),
    [("allow-list", "block", "block"), ("block-list", "allow", "allow"), ("ask", "ask", "block")],
)
def test_what_no_rule_names_goes_by_the_mode(mode: str, action: str, addresses: str) -> None:
    found = plan(f'sites = {{ mode = "{mode}" }}')
    assert says(found, "new.example") == (action, "mia/sites")
    assert says(found, "192.0.2.1") == (addresses, "mia/sites")


def test_without_site_rules_only_help_lines_are_open() -> None:
    found = plan("")
    assert found.otherwise == "block"
    assert all(SiteMatcher(found).decide(host).rule == "helpline" for host in HELP_HOSTS)


def test_help_lines_are_canonical_and_no_rule_or_list_shuts_them() -> None:
    assert all(read(host) == host for host in HELP_HOSTS)
    assert len(set(HELP_HOSTS)) == len(HELP_HOSTS)
    text = ", ".join(f'"{host}"' for host in HELP_HOSTS)
    found = plan(
        f'sites = {{ mode = "allow-list", block = [{text}], rules = [{{ group = "games", action = "block" }}] }}'
    )
    matcher = SiteMatcher(found, FewNames({"games": HELP_HOSTS}))
    for host in HELP_HOSTS:
        assert matcher.ruling(f"www.{host}").action == "allow"
        assert not matcher.ruling(host).recorded


def test_hosts_are_read_in_every_spelling() -> None:
    found = plan(
        'sites = { mode = "allow-list", allow = ["Example.ORG.", "bücher.example", "*.all.example", ".dot.example"] }'
    )
    for host in ("example.org", "a.example.org", "xn--bcher-kva.example", "all.example", "x.dot.example"):
        assert says(found, host)[0] == "allow"
    assert says(found, "notexample.org")[0] == says(found, "example.org.evil")[0] == "block"


def test_allowed_and_blocked_at_once_is_blocked() -> None:
    for mode in ("block-list", "allow-list"):
        found = plan(f'sites = {{ mode = "{mode}", allow = ["both.example"], block = ["both.example"] }}')
        assert says(found, "both.example") == ("block", "mia/site:both.example")


RULES = """
sites.mode = "allow-list"
sites.rules = [
  { host = "youtube.com", action = "block", reason = "Later." },
  { group = "videos", budget = { schooldays = "30m" } },
  { group = "bad", action = "ask" },
  { id = "play", group = "games", hours = { mon = ["16:00-17:00"] } },
]
"""


def test_groups_are_the_familys_own_or_those_of_lists() -> None:
    found = plan(RULES)
    assert says(found, "reel.example") == ("allow", "mia/site:videos"), "a list within an own group"
    assert says(found, "m.bad.example") == ("ask", "mia/site:bad")
    assert says(found, "youtube.com") == ("block", "mia/site:youtube.com"), "a host's own rule before an own group"
    assert says(found, "films.example") == ("ask", "mia/site:bad"), "the strictest own group; both before a list"
    assert says(found, "play.example") == ("block", "mia/play")
    assert SiteMatcher(found, FewNames({})).missing == ("cinema", "games"), "own groups are no lists"


def test_www_of_a_name_is_the_name() -> None:
    found = plan('sites = { allow = ["own.example"], block = ["x.example"], rules = [{ host = "www.x.example" }, { group = "cinema", action = "block" }] }')  # fmt: skip
    assert says(found, "www.own.example") == ("allow", "mia/site:own.example"), "although a list names it apart"
    assert says(found, "www.x.example") == ("allow", "mia/site:www.x.example"), "unless a rule says otherwise"
    assert "www.www.x.example" not in {rule.host for rule in found.hosts}
    assert "www.192.0.2.1" not in {rule.host for rule in plan('sites.allow = ["192.0.2.1"]').hosts}


def test_hours_open_and_shut() -> None:
    for text, action in (("15:59", "block"), ("16:00", "allow"), ("16:59", "allow"), ("17:00", "block")):
        assert says(plan(RULES, text), "play.example") == (action, "mia/play")
    before = SiteMatcher(plan(RULES, "15:59"), NAMES).decide("play.example").sentence
    assert before == (
        "play.example is in “games”, which is not open for you. games has its own hours, and this is outside them. "
        "It opens at 16:00. You can ask for it."
    )


def test_what_the_rules_say_themselves_can_be_said_in_other_languages() -> None:
    no = Grant(id="9", child="mia", kind="site-refusal", subject="no.example", given=0, by="ana", note="After tea.")
    found = plan(RULES, usage=used("videos", 30), grants=(no,))
    said = {rule.reason: rule.said for rule in (*found.hosts, *found.groups) if rule.reason}
    assert said.pop("Later.") is None, "a guardian's own words"
    assert {reason: say(one) for reason, one in said.items() if one is not None} == dict.fromkeys(said) | {
        one: one
        for one in (
            "ana said no to no.example for today. After tea.",
            "Today's 30 min of videos are used up. There is more tomorrow.",
            "games has its own hours, and this is outside them. It opens at 16:00.",
        )
    }
    matcher = SiteMatcher(replace(found, otherwise="allow"), NAMES)
    for host in ("reel.example", "play.example", "no.example"):
        ruling = matcher.ruling(host)
        assert ruling.said == said[ruling.reason]
        assert matcher.led(matcher.ruling("new.org"), (host,)).said == ruling.said


def test_minutes_of_a_group_are_used_up_together_and_the_rule_says_so() -> None:
    found = plan(RULES)
    assert found.watched == ("mia/site:videos",)
    assert SiteMatcher(found, NAMES).ruling("reel.example").watched
    assert says(plan(RULES, usage=used("videos", 29.9)), "reel.example") == ("allow", "mia/site:videos")
    shut = plan(RULES, usage=used("videos", 30))
    assert says(shut, "reel.example") == ("block", "mia/site:videos")
    assert SiteMatcher(shut, NAMES).decide("reel.example").sentence == (
        "reel.example is in “cinema”, which is not open for you. Today's 30 min of videos are used up. "
        "There is more tomorrow. You can ask for it."
    )
    assert says(plan(RULES, usage=used("videos", 99, MONDAY - dt.timedelta(days=1))), "reel.example")[0] == "allow"


def test_a_day_without_minutes_has_no_limit_and_a_lost_record_gives_none_again() -> None:
    child = mia(RULES, more=GROUPS)
    sunday = now(child, "15:00", MONDAY - dt.timedelta(days=1))
    assert site_plan(child, sunday, used("videos", 99, sunday.day), ()).watched == ()
    lost = plan(RULES, usage=Usage(child="mia", since="2026-01-01", lost=True))
    assert says(lost, "reel.example") == ("block", "mia/site:videos")


def test_a_grant_opens_the_host_until_it_ends() -> None:
    until = clock("15:30")
    for text, action in (("15:29", "allow"), ("15:30", "block")):
        found = plan(RULES, text, grants=(permit("YouTube.com", until),))
        assert says(found, "www.youtube.com")[0] == says(found, "youtube.com")[0] == action
    verdict = SiteMatcher(plan(RULES, grants=(permit("youtube.com", until),))).decide("m.youtube.com")
    assert (verdict.rule, verdict.sentence) == ("grant/7", "ana allowed youtube.com until 15:30.")
    assert says(plan(RULES, grants=(permit("youtube.com"),)), "youtube.com") == ("allow", "grant/7")
    assert SiteMatcher(plan(RULES, grants=(permit("reel.example"),)), NAMES).ruling("reel.example").watched is False
    other = Grant(id="8", child="mia", kind="program", subject="youtube.com", given=0, by="ana")
    assert says(plan(RULES, grants=(other, permit("no..host"))), "youtube.com")[0] == "block"


@pytest.mark.parametrize(
    ("written", "safe", "youtube"),
    [
        ("{}", True, "moderate"),
        ("{ safe_search = false }", False, "off"),
        ('{ youtube = "strict" }', True, "strict"),
        ('{ safe_search = false, youtube = "moderate" }', False, "moderate"),
        ('{ youtube = "off" }', True, "off"),
    ],
)
def test_safe_search_and_youtube(written: str, safe: bool, youtube: str) -> None:
    found = plan(f"sites = {written}")
    assert (found.safe_search, found.youtube) == (safe, youtube)


def test_the_same_plan_comes_again_while_nothing_changes() -> None:
    child = mia(RULES, more=GROUPS)
    here = now(child)
    planner = SitePlanner(child, here.plan)
    first = planner.at(here, NO_USE, ())
    assert planner.at(now(child, "15:20"), used("videos", 10), ()) is first
    assert planner.at(now(child, "16:00"), NO_USE, ()) is not first
    assert planner.at(here, used("videos", 30), ()) != first
    assert planner.at(here, NO_USE, (permit("a.example"),)) != first
    assert planner.at(here, NO_USE, ()) == first
    assert planner.keys == {"mia/site:videos": "videos"}


def test_what_is_no_host_is_told() -> None:
    child = mia('sites = { block = ["a b", "fine.example"] }')
    assert SitePlanner(child, now(child).plan).unreadable == ("a b",)


# ---- as a property: guardian before own group before list, and the strictest of equals -----------------------------------

HOSTS = st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=3).map(
    lambda labels: ".".join([*labels, "example"])
)
ACTIONS: st.SearchStrategy[SiteAction] = st.sampled_from(("allow", "ask", "block"))


@given(
    own=st.dictionaries(HOSTS, ACTIONS, max_size=4),
    group=st.dictionaries(st.sampled_from(("one", "two")), st.tuples(st.lists(HOSTS, max_size=3), ACTIONS)),
    lists=st.dictionaries(st.sampled_from(("red", "blue")), st.tuples(st.lists(HOSTS, max_size=3), ACTIONS)),
    granted=st.lists(HOSTS, max_size=1),
    asked=HOSTS,
)
def test_the_most_specific_name_decides_then_who_wrote_it_then_the_strictest(
    own: dict[str, SiteAction],
    group: dict[str, tuple[list[str], SiteAction]],
    lists: dict[str, tuple[list[str], SiteAction]],
    granted: list[str],
    asked: str,
) -> None:
    rules = [f'{{ host = "{host}", action = "{action}" }}' for host, action in own.items()]
    rules += [f'{{ group = "{name}", action = "{action}" }}' for name, (_, action) in {**group, **lists}.items()]
    groups = "[site_groups]\n" + "\n".join(f"{name} = {hosts}" for name, (hosts, _) in group.items())
    found = plan(
        f'sites = {{ mode = "ask", rules = [{", ".join(rules)}] }}',
        grants=tuple(permit(host) for host in granted),
        more=groups,
    )

    def covers(name: str) -> bool:
        return asked == name or asked.endswith(f".{name}")

    order = [(host.count("."), 3, 0, "allow") for host in granted if covers(host)]
    order += [(host.count("."), 2, STRICTNESS[action], action) for host, action in own.items() if covers(host)]
    for rank, among in ((1, group), (0, lists)):
        order += [
            (name.count("."), rank, STRICTNESS[action], action)
            for names, action in among.values()
            for name in names
            if covers(name)
        ]
    expected = max(order)[3] if order else "ask"
    assert SiteMatcher(found, FewNames({name: names for name, (names, _) in lists.items()})).action(asked) == expected


# ---- layers --------------------------------------------------------------------------------------------------------------


def test_one_host_more_leaves_the_presets_rules_as_they_are() -> None:
    preset = SiteRules(mode="allow-list", rules=[SiteRule(group="learning")], safe_search=True, youtube="strict")
    own = SiteRules(allow=["club.example"])
    assert layered(Limits(sites=own), Limits(sites=preset)).sites == replace(preset, allow=["club.example"])
    assert layered(Limits(sites=SiteRules(rules=[])), Limits(sites=preset)).sites == replace(preset, rules=[])
    assert layered(Limits(sites=own), Limits()).sites == own
    assert layered(Limits(), Limits(sites=preset)).sites == preset


def test_a_profile_changes_what_it_names() -> None:
    child = mia(
        'sites = { mode = "allow-list", allow = ["sums.example"] }',
        more='[profiles.free]\nsites = { mode = "block-list" }\n'
        '[[exceptions]]\nfrom = "2026-03-02"\nprofile = "free"\n',
    )
    found = site_plan(child, now(child), NO_USE, ())
    assert (says(found, "any.example")[0], says(found, "sums.example")[1]) == ("allow", "mia/site:sums.example")
