"""Which rule decides on a host: the most specific name that covers it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.sites import REMEMBERED, STRICTNESS, FewNames, SiteMatcher, parents, sentence
from agent.errors import PolicyError
from agent.model.site import GroupRule, HostRule, SiteAction, SitePlan, SiteVerdict


def host(name: str, action: SiteAction, reason: str = "") -> HostRule:
    return HostRule(host=name, action=action, rule=f"mia/site:{name}", reason=reason)


def group(name: str, action: SiteAction, reason: str = "") -> GroupRule:
    return GroupRule(group=name, action=action, rule=f"mia/site:{name}", reason=reason)


NAMES = FewNames(
    {
        "games": ["play.example", "chess.org", "both.example"],
        "learning": ["learn.play.example", "sums.example", "both.example"],
        "proxies": ["proxy.example.org", "203.0.113.9", "113.9"],
        "unused": ["a.chess.org"],
    }
)
PLAN = SitePlan(
    child="mia",
    always=("help.org", "line.bad.org"),
    hosts=(
        host("example.org", "allow"),
        host("games.example.org", "allow"),
        host("chat.example.org", "block", "Chat with people you know."),
        host("bad.org", "block"),
        host("new.bad.org", "ask"),
        host("chess.org", "allow"),
        host("203.0.113.7", "allow"),
        HostRule(host="today.bad.org", action="allow", rule="grant/7", reason="ana allowed today.bad.org until 17:30."),
    ),
    groups=(group("games", "block"), group("learning", "allow"), group("proxies", "block", "They hide the way.")),
    otherwise="allow",
    watched=("mia/site:learning", "mia/site:example.org"),
)
MATCHER = SiteMatcher(PLAN, NAMES)


@pytest.mark.parametrize(
    ("asked", "action", "rule", "sentence"),
    [
        ("www.help.org", "allow", "helpline", "www.help.org is always open."),
        ("line.bad.org", "allow", "helpline", "line.bad.org is always open."),
        ("a.today.bad.org", "allow", "grant/7", "ana allowed today.bad.org until 17:30."),
        ("www.bad.org", "block", "mia/site:bad.org", "bad.org is not open for you. You can ask for it."),
        ("x.new.bad.org", "ask", "mia/site:new.bad.org", "new.bad.org is opened when you ask for it."),
        ("example.org", "allow", "mia/site:example.org", "example.org is on your list."),
        ("notexample.org", "allow", "mia/sites", "notexample.org is open."),
        ("example.org.evil", "allow", "mia/sites", "example.org.evil is open."),
        (
            "a.chat.example.org",
            "block",
            "mia/site:chat.example.org",
            "chat.example.org is not open for you. Chat with people you know. You can ask for it.",
        ),
        ("games.example.org", "allow", "mia/site:games.example.org", "games.example.org is on your list."),
        # a list's longer name beats a guardian's shorter one, and on a tie the guardian's wins
        (
            "proxy.example.org",
            "block",
            "mia/site:proxies",
            "proxy.example.org is in “proxies”, which is not open for you. They hide the way. You can ask for it.",
        ),
        ("chess.org", "allow", "mia/site:chess.org", "chess.org is on your list."),
        ("a.chess.org", "allow", "mia/site:chess.org", "chess.org is on your list."),
        # among lists the longer name wins, and on a tie the strictest rule
        ("play.example", "block", "mia/site:games", "play.example is in “games”, which is not open for you. You can ask for it."),
        ("x.learn.play.example", "allow", "mia/site:learning", "learn.play.example is in “learning”, which is open."),
        ("both.example", "block", "mia/site:games", "both.example is in “games”, which is not open for you. You can ask for it."),
        # bare addresses: only what is named, whole
        ("203.0.113.7", "allow", "mia/site:203.0.113.7", "203.0.113.7 is on your list."),
        ("0xcb.0.0x7107", "allow", "mia/site:203.0.113.7", "203.0.113.7 is on your list."),
        ("203.0.113.9", "block", "mia/site:proxies", "203.0.113.9 is in “proxies”, which is not open for you. They hide the way. You can ask for it."),
        ("9.0.113.9", "block", "mia/sites", "9.0.113.9 is not on your list yet. You can ask for it."),
        ("[2001:db8::1]", "block", "mia/sites", "2001:db8::1 is not on your list yet. You can ask for it."),
    ],
)  # fmt: skip
def test_the_most_specific_name_decides(asked: str, action: str, rule: str, sentence: str) -> None:
    found = MATCHER.decide(asked.upper())
    assert (found.action, found.rule, found.sentence) == (action, rule, sentence)
    assert MATCHER.action(found.host) == action


def test_what_no_name_covers_goes_by_the_plan() -> None:
    ask, shut = SitePlan(child="mia", otherwise="ask"), SitePlan(child="mia", addresses=True)
    assert SiteMatcher(ask).decide("new.org") == SiteVerdict(
        action="ask", host="new.org", rule="mia/sites", sentence="new.org is new here. Ask a guardian for it."
    )
    assert SiteMatcher(shut).decide("new.org").sentence == "new.org is not on your list yet. You can ask for it."
    assert SiteMatcher(shut).action("192.0.2.1") == "block", "an address is open only where unnamed hosts are"
    assert SiteMatcher(SitePlan(child="mia", otherwise="allow", addresses=True)).action("192.0.2.1") == "allow"
    assert SiteMatcher(SitePlan(child="mia", otherwise="allow", addresses=True)).action("::1") == "allow"


def test_the_groups_of_a_host_are_told_whether_or_not_a_rule_names_them() -> None:
    assert MATCHER.decide("x.learn.play.example").groups == ("games", "learning")
    assert MATCHER.decide("a.chess.org").groups == ("games", "unused")
    assert MATCHER.decide("other.org").groups == ()


def test_a_resolver_learns_what_it_must_watch_and_must_not_record() -> None:
    assert MATCHER.ruling("sums.example").watched
    assert MATCHER.ruling("www.example.org").watched
    assert not MATCHER.ruling("games.example.org").watched
    assert not MATCHER.ruling("a.help.org").recorded
    assert MATCHER.ruling("bad.org").recorded


@pytest.mark.parametrize(
    ("asked", "targets", "action", "rule", "told"),
    [
        # unnamed, or open by a list: what a rule or a list closes is closed by this name, too
        ("new.org", ("cdn.org", "www.bad.org"), "block", "mia/site:bad.org",
         "new.org leads to bad.org, which is not open for you. You can ask for it."),
        ("new.org", ("x.play.example",), "block", "mia/site:games",
         "new.org leads to play.example in “games”, which is not open for you. You can ask for it."),
        ("new.org", ("new.bad.org",), "ask", "mia/site:new.bad.org",
         "new.org leads to new.bad.org, which is opened when you ask for it."),
        ("new.org", ("new.bad.org", "bad.org"), "block", "mia/site:bad.org",
         "new.org leads to bad.org, which is not open for you. You can ask for it."),
        ("sums.example", ("proxy.example.org",), "block", "mia/site:proxies",
         "sums.example leads to proxy.example.org in “proxies”, which is not open for you. They hide the way. You can ask for it."),
        # open by its own name, always open, or led to what no rule names
        ("chess.org", ("bad.org",), "allow", "mia/site:chess.org", "chess.org is on your list."),
        ("help.org", ("bad.org",), "allow", "helpline", "help.org is always open."),
        ("new.org", ("cdn.org", "192.0.2.1"), "allow", "mia/sites", "new.org is open."),
        ("new.org", (), "allow", "mia/sites", "new.org is open."),
        # closed by its own name
        ("bad.org", ("proxy.example.org",), "block", "mia/site:bad.org", "bad.org is not open for you. You can ask for it."),
    ],
)  # fmt: skip
def test_what_is_closed_is_closed_by_a_name_that_leads_there(
    asked: str, targets: tuple[str, ...], action: str, rule: str, told: str
) -> None:
    found = MATCHER.led(MATCHER.ruling(asked), targets)
    assert (found.action, found.rule, sentence(found, asked)) == (action, rule, told)


def test_an_allow_list_lets_its_names_lie_at_any_carrier() -> None:
    shut = SiteMatcher(
        SitePlan(child="mia", hosts=(host("open.org", "allow"),), groups=(group("learning", "allow"),)), NAMES
    )
    for name in ("open.org", "sums.example"):
        assert shut.led(shut.ruling(name), ("a.carrier.org",)) == shut.ruling(name)


def test_the_minutes_of_a_rule_are_used_by_a_name_that_leads_there() -> None:
    found = MATCHER.led(MATCHER.ruling("new.org"), ("www.example.org",))
    assert (found.action, found.rule, found.watched) == ("allow", "mia/site:example.org", True)
    assert MATCHER.led(MATCHER.ruling("sums.example"), ("www.example.org",)).rule == "mia/site:learning"


def test_a_group_that_no_list_has_is_told() -> None:
    assert MATCHER.missing == ()
    assert SiteMatcher(PLAN).missing == ("games", "learning", "proxies")


def test_two_rules_for_one_host_come_to_the_stricter() -> None:
    for pair in ((host("x.org", "allow"), host("x.org", "block")), (host("x.org", "block"), host("x.org", "allow"))):
        assert SiteMatcher(SitePlan(child="mia", hosts=pair)).action("x.org") == "block"


def test_what_is_no_host_is_refused() -> None:
    with pytest.raises(PolicyError):
        MATCHER.decide("a..b")


def test_hosts_at_random_cost_no_more_memory() -> None:
    matcher = SiteMatcher(PLAN, NAMES)
    for number in range(3 * REMEMBERED):
        assert matcher.action(f"n{number}.bad.org") == "block"
        assert len(matcher._seen) <= REMEMBERED


def test_the_names_above_a_host() -> None:
    assert list(parents("a.b.org")) == ["a.b.org", "b.org", "org"]
    assert list(parents("192.0.2.1")) == ["192.0.2.1"]
    assert list(parents("2001:db8::1")) == ["2001:db8::1"]


# ---- the rule as a property: all that covers a host, put in order by the sentence that says how ------------------------

LABELS = st.sampled_from(("a", "b", "www", "ab"))
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
ACTIONS: st.SearchStrategy[SiteAction] = st.sampled_from(("allow", "ask", "block"))
GROUPS = ("one", "two", "three")


@st.composite
def plans(draw: st.DrawFn) -> tuple[SitePlan, dict[str, list[str]]]:
    lists = draw(st.dictionaries(st.sampled_from(GROUPS), st.lists(HOSTS, max_size=4)))
    plan = SitePlan(
        child="mia",
        always=tuple(draw(st.lists(HOSTS, max_size=1))),
        hosts=tuple(host(name, draw(ACTIONS)) for name in draw(st.lists(HOSTS, max_size=4))),
        groups=tuple(group(name, draw(ACTIONS)) for name in draw(st.lists(st.sampled_from(GROUPS), max_size=4))),
        otherwise=draw(ACTIONS),
    )
    return plan, lists


@given(plans(), HOSTS)
def test_guardians_before_lists_and_the_strictest_of_equals(
    case: tuple[SitePlan, dict[str, list[str]]], asked: str
) -> None:
    plan, lists = case

    def covers(name: str) -> bool:
        return asked == name or asked.endswith("." + name)

    if any(map(covers, plan.always)):
        expected = "allow"
    else:
        # longest name, then a guardian's own rule, then the strictest
        found = [
            (rule.host.count("."), 1, STRICTNESS[rule.action], rule.action) for rule in plan.hosts if covers(rule.host)
        ]
        for rule in plan.groups:
            found += [
                (name.count("."), 0, STRICTNESS[rule.action], rule.action)
                for name in lists.get(rule.group, [])
                if covers(name)
            ]
        expected = max(found)[3] if found else plan.otherwise
    assert SiteMatcher(plan, FewNames(lists)).action(asked) == expected


@given(plans(), HOSTS, st.lists(HOSTS, max_size=4))
def test_where_a_host_leads_opens_nothing_and_closes_only_by_what_closes_the_target(
    case: tuple[SitePlan, dict[str, list[str]]], asked: str, targets: list[str]
) -> None:
    plan, lists = case
    matcher = SiteMatcher(plan, FewNames(lists))
    own = matcher.ruling(asked)
    found = matcher.led(own, targets)
    named = [ruling for target in targets if (ruling := matcher.ruling(target)).name]
    strictest = max((STRICTNESS[ruling.action] for ruling in named), default=0)
    if own.action != "allow" or (own.name and not own.group):
        assert found == own
    else:
        assert STRICTNESS[found.action] == strictest
