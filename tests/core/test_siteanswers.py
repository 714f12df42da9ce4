"""What guardians said about sites: the last word on a host holds, a no opens nothing, and it ends with the policy's day."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import HOUR, MINUTE
from agent.core.schedule import day_bounds, local, policy_day
from agent.core.siteanswers import answer, last_words, no_words, said
from agent.core.siteplan import SitePlanner, site_plan
from agent.core.sites import STRICTNESS, FewNames, SiteMatcher, parents
from agent.model.grant import Grant, GrantKind
from agent.model.site import SiteAction
from agent.model.usage import Usage
from tests.core.scene import LISBON, MONDAY, RESET, clock, mia, now

NO_USE = Usage(child="mia", since="2026-01-01")
END = day_bounds(MONDAY, LISBON, RESET)[1]


def word(
    kind: GrantKind, host: str, ident: str = "1", until: int | None = END, note: str = "", given: int = 0
) -> Grant:
    return Grant(id=ident, child="mia", kind=kind, subject=host, given=given, until=until, by="Ana", note=note)


def no(host: str, ident: str = "n", **more: object) -> Grant:
    return word("site-refusal", host, ident, **more)  # type: ignore[arg-type]  # as ``word`` has them


def yes(host: str, ident: str = "y", **more: object) -> Grant:
    return word("site", host, ident, **more)  # type: ignore[arg-type]  # as ``word`` has them


@pytest.mark.parametrize(
    ("words", "asked", "ident"),
    [
        ((), "a.example", ""),
        ((no("a.example"),), "a.example", "n"),
        ((no("a.example"),), "m.a.example", "n"),
        ((no("a.example"),), "example", ""),
        ((no("a.example"),), "other.example", ""),
        ((no("a.example"),), "nota.example", ""),
        ((yes("a.example"), no("a.example")), "a.example", "n"),
        ((no("a.example"), yes("a.example")), "a.example", "y"),
        ((no("m.a.example"), yes("a.example")), "m.a.example", "y"),
        ((no("a.example"), yes("m.a.example")), "a.example", "n"),
        ((no("a.example"), yes("m.a.example")), "m.a.example", "y"),
        ((yes("a.example"), no("m.a.example")), "m.a.example", "n"),
        ((yes("a.example"), no("m.a.example")), "a.example", "y"),
        ((yes("m.a.example"), no("a.example")), "m.a.example", "y"),
        ((yes("192.0.2.1"), no("2.1")), "192.0.2.1", "y"),
        ((word("refusal", "a.example"), word("program", "a.example")), "a.example", ""),
        ((no("a b"),), "a.example", ""),
    ],
)
def test_the_last_word_on_the_nearest_name_answers(words: tuple[Grant, ...], asked: str, ident: str) -> None:
    found = answer(asked, words, clock("15:00"))
    assert (found.id if found else "") == ident


def test_a_word_whose_time_is_over_says_nothing() -> None:
    words = (yes("a.example", until=None), no("a.example", until=clock("15:00")))
    assert [g.id for g in said(words, clock("15:00") - 1)] == ["y", "n"]
    assert [g.id for g in said(words, clock("15:00"))] == ["y"]
    assert answer("a.example", words, clock("15:00") - 1) is words[1]
    assert answer("a.example", words, clock("15:00")) is words[0], "what was said for good holds again"


def test_the_newest_word_comes_first() -> None:
    words = (yes("a.example", "1"), yes("b.example", "2"), no("a.example", "3"))
    assert [(host, grant.id) for host, grant in last_words(words).items()] == [("a.example", "3"), ("b.example", "2")]


def test_a_no_is_told_with_the_guardians_own_words() -> None:
    assert no_words(no("a.example"), "a.example") == "Ana said no to a.example for today."
    assert no_words(no("a.example", note="After tea."), "a.example") == "Ana said no to a.example for today. After tea."


# ---- in the plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["allow-list", "block-list", "ask"])
def test_a_no_is_the_ruling_of_the_day_and_says_so(mode: str) -> None:
    child = mia(f'sites = {{ mode = "{mode}", allow = ["m.a.example"] }}')
    found = SiteMatcher(site_plan(child, now(child), NO_USE, (no("a.example", note="After tea."),)))
    for host in ("a.example", "www.a.example", "deep.a.example"):
        verdict = found.decide(host)
        assert (verdict.action, verdict.rule) == ("block", "grant/n")
        assert verdict.sentence == "Ana said no to a.example for today. After tea. You can ask again tomorrow."
    assert found.decide("m.a.example").action == "allow", "what the policy names below it stays as it is"


def test_the_plan_is_another_once_the_no_is_over() -> None:
    child = mia('sites = { mode = "ask" }')
    planner = SitePlanner(child, now(child).plan)
    refused = (no("a.example", until=clock("16:00")),)
    first = planner.at(now(child, "15:00"), NO_USE, refused)
    assert planner.at(now(child, "15:59"), NO_USE, refused) is first
    after = planner.at(now(child, "16:00"), NO_USE, refused)
    assert SiteMatcher(first).action("a.example") == "block"
    assert SiteMatcher(after).action("a.example") == "ask"


def test_help_lines_stay_open_whatever_is_said() -> None:
    child = mia('sites = { mode = "allow-list" }')
    plan = site_plan(child, now(child), NO_USE, ())
    refused = site_plan(child, now(child), NO_USE, tuple(no(host, str(at)) for at, host in enumerate(plan.always)))
    assert all(SiteMatcher(refused).action(host) == "allow" for host in plan.always)


# ---- as properties -------------------------------------------------------------------------------------------------------

HOSTS = st.lists(st.sampled_from(("a", "b", "www")), min_size=1, max_size=3).map(
    lambda labels: ".".join([*labels, "example"])
)
ACTIONS: st.SearchStrategy[SiteAction] = st.sampled_from(("allow", "ask", "block"))
WORDS = st.lists(st.tuples(st.sampled_from(("site", "site-refusal")), HOSTS), max_size=5).map(
    lambda pairs: tuple(word(kind, host, str(at), given=at) for at, (kind, host) in enumerate(pairs))
)
NAMES = FewNames({"red": ["b.a.example", "www.b.example"]})


def matcher(mode: str, rules: dict[str, SiteAction], red: SiteAction, words: tuple[Grant, ...]) -> SiteMatcher:
    lines = [f'{{ host = "{host}", action = "{action}" }}' for host, action in rules.items()]
    lines.append(f'{{ group = "red", action = "{red}" }}')
    child = mia(f'sites = {{ mode = "{mode}", rules = [{", ".join(lines)}] }}')
    return SiteMatcher(site_plan(child, now(child), NO_USE, words), NAMES)


MODES = st.sampled_from(("allow-list", "block-list", "ask"))
RULES = st.dictionaries(HOSTS, ACTIONS, max_size=3)


@given(mode=MODES, rules=RULES, red=ACTIONS, words=WORDS, refused=HOSTS, at=st.integers(0, 5), asked=HOSTS)
def test_a_no_never_opens_anything(
    mode: str,
    rules: dict[str, SiteAction],
    red: SiteAction,
    words: tuple[Grant, ...],
    refused: str,
    at: int,
    asked: str,
) -> None:
    with_it = (*words[:at], no(refused), *words[at:])
    before, after = (matcher(mode, rules, red, some).action(asked) for some in (words, with_it))
    assert STRICTNESS[after] >= STRICTNESS[before]


@given(words=WORDS, refused=HOSTS, above=st.integers(0, 3))
def test_a_later_yes_leaves_nothing_of_a_no(words: tuple[Grant, ...], refused: str, above: int) -> None:
    names = list(parents(refused))
    later = yes(names[min(above, len(names) - 1)])
    assert last_words((*words, no(refused), later)) == last_words((*words, later))
    found = answer(refused, (*words, no(refused), later), 0)
    assert found is not None
    assert found is later or found in words, "the no says nothing any more"


@given(mode=MODES, rules=RULES, red=ACTIONS, words=WORDS)
def test_the_plan_holds_the_last_word_on_every_host(
    mode: str, rules: dict[str, SiteAction], red: SiteAction, words: tuple[Grant, ...]
) -> None:
    found = matcher(mode, rules, red, words)
    for host, grant in last_words(words).items():
        ruling = found.ruling(host)
        if grant.kind == "site":
            assert ruling.action == "allow"
        else:
            assert (ruling.action, ruling.rule) == ("block", f"grant/{grant.id}")


@given(mode=MODES, rules=RULES, red=ACTIONS, words=WORDS, asked=HOSTS)
def test_the_page_and_the_service_agree_on_what_was_refused(
    mode: str, rules: dict[str, SiteAction], red: SiteAction, words: tuple[Grant, ...], asked: str
) -> None:
    said_of = answer(asked, words, 0)
    assert matcher(mode, rules, red, words).refused(asked) == (said_of is not None and said_of.kind == "site-refusal")


@given(
    zone=st.sampled_from(
        ("Europe/Lisbon", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "Africa/Casablanca")
    ),
    date=st.dates(dt.date(2024, 1, 1), dt.date(2030, 12, 31))
    | st.sampled_from((dt.date(2026, 3, 28), dt.date(2026, 3, 29), dt.date(2026, 10, 24), dt.date(2026, 10, 25))),
    reset=st.integers(0, 360),
    hours=st.integers(0, 26 * 60),
)
def test_a_no_ends_with_the_policys_day_also_when_clocks_change(
    zone: str, date: dt.date, reset: int, hours: int
) -> None:
    here = ZoneInfo(zone)
    first, end = day_bounds(date, here, reset)
    assert end - first in (22 * HOUR, 23 * HOUR, 23 * HOUR + 30 * MINUTE, 24 * HOUR, 24 * HOUR + 30 * MINUTE, 25 * HOUR)
    wall = first + hours * MINUTE
    refused = no("a.example", until=end, given=first)
    same_day = policy_day(wall, here, reset) == date
    assert (answer("a.example", (refused,), wall) is refused) == same_day
    assert same_day == (wall < end)
    assert local(end, here).date() == date + dt.timedelta(days=1)
