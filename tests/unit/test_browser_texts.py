"""What the browsers are told, held against the model: nothing is closed that a plan opens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.sites import FewNames, SiteMatcher, parents
from agent.filter import chromium, firefox
from agent.model.site import SINK, GroupRule, HostRule, SiteAction, SitePlan

labels = st.sampled_from(("a", "b", "c", "example", "org"))
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
actions: st.SearchStrategy[SiteAction] = st.sampled_from(("allow", "ask", "block"))
rules = st.builds(
    HostRule, host=hosts, action=actions, rule=st.just("r"), reason=st.sampled_from(("", "today's minutes are used up"))
)
members = st.dictionaries(st.sampled_from(("games", "learning")), st.lists(hosts, max_size=4))
plans = st.builds(
    SitePlan, child=st.just("mia"), always=st.lists(hosts, max_size=2).map(tuple), hosts=st.lists(rules, max_size=8).map(tuple),
    groups=st.lists(st.builds(GroupRule, group=st.sampled_from(("games", "learning")), action=actions, rule=st.just("g")), max_size=2).map(tuple),
    otherwise=actions, addresses=st.booleans(), watched=st.sampled_from(((), ("r",))),
)  # fmt: skip


def chromium_opens(allowed: list[str], blocked: list[str], host: str) -> bool:
    """URLBlocklist's documentation: the longest host wins, allow on a tie; ``http://*`` is the shortest of all."""
    for name in parents(host):
        if name in allowed:
            return True
        if name in blocked:
            return False
    return chromium.WEB[0] not in blocked


def firefox_opens(block: list[str], exceptions: list[str], host: str) -> bool:
    def covered(patterns: list[str]) -> bool:
        return any(f"*://*.{name}/*" in patterns or f"*://{name}/*" in patterns for name in parents(host))

    return covered(exceptions) or not covered(block)


@given(plans, members, hosts)
def test_no_browser_closes_what_a_plan_opens(plan: SitePlan, few: dict[str, list[str]], host: str) -> None:
    everything = {group: few.get(group, []) for group in ("games", "learning")}
    if SiteMatcher(plan, FewNames(everything)).action(host) == "allow":
        assert chromium_opens(*chromium.lists(plan, everything), host)
        assert firefox_opens(*firefox.lists([plan], everything), host)


@given(plans, members, hosts)
def test_with_every_name_known_chromium_and_the_model_agree(
    plan: SitePlan, few: dict[str, list[str]], host: str
) -> None:
    everything = {group: few.get(group, []) for group in ("games", "learning")}
    opened = SiteMatcher(plan, FewNames(everything)).action(host) == "allow"
    assert chromium_opens(*chromium.lists(plan, everything), host) is opened


@given(plans, hosts)
def test_an_open_group_that_is_not_known_closes_nothing_that_no_rule_names(plan: SitePlan, host: str) -> None:
    allowed, blocked = chromium.lists(plan)
    if any(group.action == "allow" for group in plan.groups):
        named = {name for rule in plan.hosts for name in [rule.host]}
        assert chromium_opens(allowed, blocked, host) or not named.isdisjoint(parents(host))


@given(st.lists(plans, min_size=1, max_size=3), members, hosts)
def test_firefox_closes_for_all_only_what_is_closed_for_each(
    several: list[SitePlan], few: dict[str, list[str]], host: str
) -> None:
    everything = {group: few.get(group, []) for group in ("games", "learning")}
    if not firefox_opens(*firefox.lists(several, everything), host):
        for plan in several:
            assert SiteMatcher(plan, FewNames(everything)).action(host) != "allow"


@pytest.mark.parametrize("number", [10, 999, 1000, 5000])
@pytest.mark.parametrize("otherwise", ["allow", "block"])
@pytest.mark.parametrize("action", ["allow", "block"])
def test_no_list_is_longer_than_browsers_read_and_the_first_rules_are_in(
    number: int, otherwise: SiteAction, action: SiteAction
) -> None:
    rules = tuple(HostRule(host=f"h{n}.example", action=action, rule="r") for n in range(number))
    plan = SitePlan(
        child="mia",
        always=("help.example",),
        hosts=(HostRule(host="example", action="block", rule="b"), *rules),
        otherwise=otherwise,
    )
    for allowed, blocked in (chromium.lists(plan), tuple(reversed(firefox.lists([plan])))):
        assert len(allowed) <= chromium.MOST
        assert len(blocked) <= chromium.MOST
        assert any(SINK in entry for entry in allowed)
    if action == "allow" and number >= 1000:
        # Half a list of what is open would close the rest, so nothing is closed by it.
        assert chromium_opens(*chromium.lists(plan), "h4999.example")
        assert firefox_opens(*firefox.lists([plan]), "h4999.example")


def test_what_changes_with_the_hour_is_left_to_the_resolver_in_firefox() -> None:
    def plan(**more: object) -> SitePlan:
        rule = HostRule(host="game.example", action="block", rule="r", **more)  # type: ignore[arg-type]  # fields of the rule, as they come
        return SitePlan(child="mia", hosts=(rule,), otherwise="allow", addresses=True)

    assert firefox.standing([plan()]) == ["game.example"]
    assert firefox.standing([plan(reason="today's 30 min are used up")]) == []
    watched = SitePlan(child="mia", hosts=plan().hosts, otherwise="allow", watched=("r",))
    assert firefox.standing([watched]) == []


def test_an_account_that_nobody_named_opens_nothing_in_firefox_for_the_children() -> None:
    rule = HostRule(host="game.example", action="block", rule="r")
    mia = SitePlan(child="mia", hosts=(rule,), otherwise="allow")
    unknown = SitePlan(
        child="noa", always=("help.example",), groups=(GroupRule(group="learning", action="allow", rule="l"),), otherwise="block"
    )  # fmt: skip
    assert firefox.standing([mia, unknown]) == []  # nobody knows what is in that group
    assert firefox.standing([mia, unknown], {"learning": ("school.example",)}) == ["game.example"]
    assert firefox.standing([mia, unknown], {"learning": ("game.example",)}) == []
    assert firefox.lists([mia, unknown], {"learning": ("school.game.example",)})[1][1:] == [
        "*://*.school.game.example/*"
    ]
    assert firefox.standing([mia, SitePlan(child="leo", otherwise="allow")]) == []
    assert firefox.standing([mia, SitePlan(child="leo", otherwise="ask")]) == []


def test_a_plan_that_closes_nothing_leaves_browsers_as_they_are() -> None:
    assert chromium.free(SitePlan(child="x", otherwise="allow", safe_search=False, youtube="off"))
    assert not chromium.free(SitePlan(child="x", otherwise="allow", safe_search=True, youtube="off"))
    assert not chromium.free(SitePlan(child="x", otherwise="ask", safe_search=False, youtube="off"))


@pytest.mark.parametrize(("brand", "key"), [("edge", "InPrivateModeAvailability"), ("brave", "TorDisabled")])
def test_brands_have_doors_of_their_own(brand: chromium.Brand, key: str) -> None:
    assert key in chromium.policy(SitePlan(child="x"), brand=brand)
    assert key not in chromium.policy(SitePlan(child="x"))


def test_firefox_keeps_another_programs_rules_where_it_has_none() -> None:
    found = firefox.merged(
        {"A": 1, "Proxy": {"Mode": "system"}, "Preferences": {"a": 1}}, firefox.policy([SitePlan(child="x")])
    )
    assert found["A"] == 1
    assert found["Proxy"] == {"Mode": "none", "Locked": True}
    assert isinstance(found["Preferences"], dict) and found["Preferences"]["a"] == 1
