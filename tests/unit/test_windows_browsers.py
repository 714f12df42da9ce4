"""Browsers' rules in a child's hive: what is written, what somebody changed, and what comes back when Fairtime goes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import HostError
from agent.filter import chromium
from agent.model.site import GroupRule, HostRule, SitePlan
from agent.platforms.windows.browserrules import KEYS, POLICIES, rules, rules_for
from agent.platforms.windows.browsers import RIGHTS, Audience, Browsers
from agent.platforms.windows.hive import replace, same
from agent.platforms.windows.keeping import PLACE, Keeping
from agent.platforms.windows.values import BINARY, SZ, Node, Value, as_number, as_text, number, text, texts
from tests.hives import Memory

MIA, LEO = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002"
PLAN = SitePlan(child="mia", hosts=(HostRule(host="game.example", action="block", rule="a"),), otherwise="allow")
OTHER = SitePlan(child="mia", hosts=(HostRule(host="chess.example", action="block", rule="b"),), otherwise="allow")
CHROME = rf"{MIA}\{POLICIES}\Google\Chrome"
FIREFOX = rf"{MIA}\{POLICIES}\Mozilla\Firefox"


class Pc:
    """A PC with a logged-in child."""

    def __init__(self) -> None:
        self.users, self.machine = Memory(), Memory()
        self.log_in(MIA)
        self.browsers = Browsers(self.users, self.machine)
        self.now = 0

    def log_in(self, sid: str) -> None:
        self.users.make(rf"{sid}\{POLICIES}")

    def put(self, *audiences: Audience) -> None:
        self.browsers.put(audiences or (Audience(PLAN, frozenset({MIA})),))

    def look(self) -> bool:
        """Three seconds later: look, and mend when that asks for it."""
        self.now += 3_001
        asked = self.browsers.look(self.now)
        if asked:
            self.browsers.mend(self.now)
        return asked

    def list(self, key: str, name: str) -> list[str]:
        node = self.users.node(rf"{key}\{name}")
        return [as_text(value) for value in node.values.values()] if node is not None else []

    def mended(self) -> set[tuple[str, str]]:
        return {(one.path, one.what) for one in self.browsers.take()}

    def finds(self) -> dict[str, str]:
        return {one.id: one.severity for one in self.browsers.findings()}


@pytest.fixture
def pc() -> Pc:
    pc = Pc()
    pc.put()
    pc.look()  # the first look of a minute reads everything
    pc.mended()
    return pc


# ---- the texts -------------------------------------------------------------------------------------------------------


def test_chromiums_family_gets_lists_as_numbered_strings_and_parts_as_json() -> None:
    plan = SitePlan(child="mia", hosts=(HostRule(host="good.example", action="allow", rule="a"),))
    allowed, blocked = chromium.lists(plan)
    node = rules_for("chrome", plan)
    assert [as_text(value) for value in node.keys["URLAllowlist"].values.values()] == allowed
    assert list(node.keys["URLAllowlist"].values) == [str(at) for at in range(1, len(allowed) + 1)]
    assert [as_text(value) for value in node.keys["URLBlocklist"].values.values()] == blocked
    assert as_number(node.values["IncognitoModeAvailability"]) == 1
    assert as_number(node.values["BrowserGuestModeEnabled"]) == 0
    assert as_text(node.values["DnsOverHttpsMode"]) == "off"
    assert json.loads(as_text(node.values["ProxySettings"])) == {"ProxyMode": "direct"}


def test_each_brand_has_its_own_switches() -> None:
    assert as_number(rules_for("edge", PLAN).values["InPrivateModeAvailability"]) == 1
    assert as_number(rules_for("brave", PLAN).values["TorDisabled"]) == 1
    assert "TorDisabled" not in rules_for("chrome", PLAN).values


def test_firefox_gets_keys_below_keys_and_no_empty_list() -> None:
    node = rules_for("firefox", PLAN)
    assert as_number(node.keys["DNSOverHTTPS"].values["Locked"]) == 1
    assert as_text(node.keys["ExtensionSettings"].keys["*"].values["installation_mode"]) == "blocked"
    assert as_number(node.keys["Preferences"].keys["network.trr.mode"].values["Value"]) == 5
    assert as_text(node.keys["Bookmarks"].keys["1"].values["Placement"]) == "toolbar"
    block = [as_text(value) for value in node.keys["WebsiteFilter"].keys["Block"].values.values()]
    assert "*://*.game.example/*" in block
    free = rules_for("firefox", SitePlan(child="mia", otherwise="allow", addresses=True))
    assert "Block" not in free.keys["WebsiteFilter"].keys


def test_one_childs_firefox_has_that_childs_rules_alone() -> None:
    """Elsewhere one file is for all, and what one of them may visit is closed for none."""
    pc = Pc()
    pc.log_in(LEO)
    elder = SitePlan(child="leo", otherwise="allow", addresses=True)
    pc.put(Audience(PLAN, frozenset({MIA})), Audience(elder, frozenset({LEO})))
    assert "*://*.game.example/*" in pc.list(rf"{FIREFOX}\WebsiteFilter", "Block")
    assert not pc.list(rf"{LEO}\{POLICIES}\Mozilla\Firefox\WebsiteFilter", "Block")


def test_short_groups_are_in_the_lists() -> None:
    plan = SitePlan(child="mia", groups=(GroupRule(group="search", action="block", rule="g"),), otherwise="allow")
    node = rules_for("chrome", plan, {"search": ("find.example",)})
    assert "find.example" in [as_text(value) for value in node.keys["URLBlocklist"].values.values()]


# ---- writing ---------------------------------------------------------------------------------------------------------


def test_every_browser_has_the_rules_and_the_child_may_only_read_them(pc: Pc) -> None:
    for key, node in rules(PLAN).items():
        path = rf"{MIA}\{POLICIES}\{key}"
        assert same(pc.users.node(path), node)
        assert pc.users.rights(path) == RIGHTS.format(sid=MIA)
    assert not pc.browsers.troubles and not pc.browsers.why and not pc.mended()


def test_a_new_plan_changes_only_what_differs(pc: Pc) -> None:
    pc.users.written.clear()
    pc.put(Audience(OTHER, frozenset({MIA})))
    assert pc.list(CHROME, "URLBlocklist")[-1] == "chess.example"
    assert {path.split("\\")[-2] for path in pc.users.written} == {"URLBlocklist", "Block"}
    assert not pc.mended(), "a new plan is nobody's tampering"


def test_a_shorter_list_leaves_no_old_entry(pc: Pc) -> None:
    pc.put(Audience(SitePlan(child="mia", otherwise="allow"), frozenset({MIA})))
    assert "game.example" not in pc.list(CHROME, "URLBlocklist")


def test_a_child_who_is_not_logged_in_gets_the_rules_at_logon(pc: Pc) -> None:
    pc.put(Audience(PLAN, frozenset({MIA, LEO})))
    assert pc.browsers.waiting == (LEO,)
    assert not pc.users.there(LEO), "a hive that is not loaded is not made up"
    pc.log_in(LEO)
    assert pc.look()
    assert same(pc.users.node(rf"{LEO}\{POLICIES}\Google\Chrome"), rules(PLAN)[r"Google\Chrome"])
    assert pc.browsers.waiting == ()
    assert not pc.mended()


def test_one_refused_key_does_not_keep_the_others(pc: Pc) -> None:
    pc.users.refuse.add(CHROME)
    with pytest.raises(HostError) as caught:
        pc.put(Audience(OTHER, frozenset({MIA})))
    assert "Chrome" in caught.value.title and caught.value.advice
    assert "*://*.chess.example/*" in pc.list(rf"{FIREFOX}\WebsiteFilter", "Block")
    assert "Chrome" in pc.browsers.why
    pc.users.refuse.clear()
    pc.browsers.mend(0)
    assert pc.list(CHROME, "URLBlocklist")[-1] == "chess.example" and not pc.browsers.why


# ---- tampering -------------------------------------------------------------------------------------------------------


def test_nothing_is_looked_through_while_nothing_changes(pc: Pc) -> None:
    pc.users.written.clear()
    assert not any(pc.look() for _ in range(10))
    assert not pc.users.written


def test_what_somebody_changes_is_put_right_within_three_seconds_and_told(pc: Pc) -> None:
    pc.users.put(rf"{CHROME}\URLBlocklist", "1", text("nothing.example"))
    assert pc.look()
    assert pc.list(CHROME, "URLBlocklist")[0] != "nothing.example"
    assert pc.mended() == {(rf"HKEY_USERS\{CHROME}", "changed")}
    pc.users.remove(CHROME)
    assert pc.look()
    assert pc.mended() == {(rf"HKEY_USERS\{CHROME}", "removed")}
    pc.users.put(rf"{FIREFOX}\DNSOverHTTPS", "Enabled", number(1))
    assert pc.look()
    assert as_number(pc.users.value(rf"{FIREFOX}\DNSOverHTTPS", "Enabled")) == 0
    assert pc.mended() == {(rf"HKEY_USERS\{FIREFOX}", "changed")}


def test_rights_that_somebody_gave_are_taken_back_within_a_minute(pc: Pc) -> None:
    pc.users.give(CHROME, "O:BAG:SYD:(A;;KA;;;WD)")
    assert any(pc.look() for _ in range(25))
    assert pc.users.rights(CHROME) == RIGHTS.format(sid=MIA)
    assert pc.mended() == {(rf"HKEY_USERS\{CHROME}", "given other rights")}


def test_what_cannot_be_put_right_is_told_once(pc: Pc) -> None:
    pc.users.put(rf"{CHROME}\URLBlocklist", "1", text("nothing.example"))
    pc.users.refuse.add(CHROME)
    assert pc.look()
    assert [one.why for one in pc.browsers.take()] == ["access is denied"]
    assert pc.browsers.troubles
    assert pc.look(), "it is tried again"
    assert not pc.browsers.take()


# ---- what stood there before -----------------------------------------------------------------------------------------

ODD = Value(SZ, b"half\0a")
"""A string that another program wrote without its end: winreg could not give it back."""


def theirs(pc: Pc) -> Node:
    """Another product's rules, in other capitals; the whole of the child's policies as they were."""
    pc.users.put(rf"{MIA}\{POLICIES}\google\chrome\urlblocklist", "1", text("theirs.example"))
    pc.users.put(rf"{MIA}\{POLICIES}\google\chrome\urlblocklist", "7", ODD)
    pc.users.put(rf"{MIA}\{POLICIES}\google\chrome", "HomepageLocation", text("http://theirs.example/"))
    pc.users.put(rf"{MIA}\{POLICIES}\google\chrome", "incognitomodeavailability", Value(BINARY, b"\1"))
    pc.users.give(CHROME, "O:SYG:SYD:(A;;KA;;;SY)(A;;KR;;;WD)")
    pc.users.put(rf"{MIA}\{POLICIES}\Theirs", "List", texts(["a", "b"]))
    node = pc.users.node(MIA)
    assert node is not None
    return node


def test_what_stood_there_before_comes_back_byte_for_byte() -> None:
    pc = Pc()
    before = theirs(pc)
    pc.put()
    pc.put(Audience(OTHER, frozenset({MIA})))
    assert not same(pc.users.node(MIA), before)
    assert pc.finds() == {"browser-policy-replaced": "note"}
    pc.put()
    pc.browsers.restore()
    assert same(pc.users.node(MIA), before)
    assert pc.users.rights(CHROME) == "O:SYG:SYD:(A;;KA;;;SY)(A;;KR;;;WD)"
    assert not pc.machine.there(PLACE), "nothing of ours stays behind"


def test_a_service_that_starts_again_does_not_take_its_own_rules_for_theirs() -> None:
    pc = Pc()
    before = theirs(pc)
    pc.put()
    pc.browsers = Browsers(pc.users, pc.machine)
    pc.put(Audience(OTHER, frozenset({MIA})))
    pc.browsers = Browsers(pc.users, pc.machine)
    pc.browsers.restore()
    assert same(pc.users.node(MIA), before)


def test_a_child_without_rules_gets_everything_back_even_after_the_next_logon(pc: Pc) -> None:
    pc.users.make("S-1-5-21-9")
    empty = Node()
    pc.users.remove(rf"{MIA}\{POLICIES}\Google")
    with_rules = pc.users.node(MIA)
    assert with_rules is not None and not same(with_rules, empty)
    pc.put()
    kept = pc.users._root.keys.pop(MIA.casefold())
    pc.put(Audience(PLAN, frozenset({LEO})))
    assert Keeping(pc.machine, pc.users, "Browsers").all(), "what cannot be put back now is not forgotten"
    pc.users._root.keys[MIA.casefold()] = kept
    assert any(pc.look() for _ in range(25))
    assert same(pc.users.node(MIA), Node({}, {"Software": Node({}, {"Policies": Node()})}))
    assert not Keeping(pc.machine, pc.users, "Browsers").all()


def test_what_others_add_beside_ours_stays() -> None:
    pc = Pc()
    pc.put()
    pc.users.put(CHROME, "HomepageLocation", text("http://theirs.example/"))
    pc.browsers.restore()
    assert same(pc.users.node(CHROME), Node({"HomepageLocation": text("http://theirs.example/")}))


def test_a_damaged_record_is_told_and_ours_goes_all_the_same() -> None:
    pc = Pc()
    theirs(pc)
    pc.put()
    pc.machine.put(rf"{PLACE}\Browsers", CHROME, Value(BINARY, b"{broken"))
    pc.put()
    assert pc.finds()["browser-policy-lost"] == "note"
    pc.browsers.restore()
    node = pc.users.node(CHROME)
    assert node is not None and set(node.values) == {"HomepageLocation"} and not node.keys


def test_the_whole_pcs_rules_that_weaken_ours_are_named(pc: Pc) -> None:
    pc.machine.put(r"SOFTWARE\Policies\Google\Chrome\URLAllowlist", "1", text("game.example"))
    pc.machine.put(r"SOFTWARE\Policies\Google\Chrome", "HomepageLocation", text("x"))
    (found,) = pc.browsers.findings()
    assert (found.id, found.severity) == ("browser-policy-twice", "weak")
    assert "URLAllowlist" in found.title and "HomepageLocation" not in found.title


names = st.sampled_from(["URLBlocklist", "urlallowlist", "Extra", "1", "IncognitoModeAvailability"])
nodes = st.recursive(
    st.builds(Node, st.dictionaries(names, st.builds(Value, st.integers(0, 11), st.binary(max_size=9)), max_size=3)),
    lambda below: st.builds(
        Node,
        st.dictionaries(names, st.builds(Value, st.integers(0, 11), st.binary(max_size=9)), max_size=3),
        st.dictionaries(names, below, max_size=3),
    ),
    max_leaves=6,
)


@given(theirs=nodes, others=st.sets(st.sampled_from(sorted(KEYS)), max_size=3))
def test_whatever_stood_there_comes_back(theirs: Node, others: set[str]) -> None:
    pc = Pc()
    for key in others:
        replace(pc.users, rf"{MIA}\{POLICIES}\{key}", theirs)
    before = pc.users.node(MIA)
    pc.put()
    pc.put(Audience(OTHER, frozenset({MIA})))
    pc.browsers.restore()
    assert same(pc.users.node(MIA), before)
