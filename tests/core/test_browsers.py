"""Browsers that keep no rules for sites: closed where a child's rules close sites, unless a rule or a yes names them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.browsers import closes, keeps_rules
from agent.core.judge import verdict_on
from agent.core.programs import Matcher
from agent.core.rules import ChildRules
from agent.model.grant import Grant
from agent.model.policy import CatalogueEntry, LinuxIdentity, SiteRule, SiteRules
from agent.model.program import ProgramId
from agent.model.usage import Usage
from agent.model.verdict import ProgramVerdict
from agent.resources import load_catalogue
from tests.core.scene import MONDAY, mia, now

FALKON = ProgramId(name="falkon", path="/usr/bin/falkon", package="deb:falkon", protected=True, application=True)
FIREFOX = ProgramId(
    name="firefox", path="/usr/lib/firefox/firefox", package="deb:firefox-esr", protected=True, application=True
)
OWN = ProgramId(name="falkon", path="/home/mia/falkon", sha256="a" * 64, application=True)
SHUT, OPEN = 'sites = { mode = "allow-list" }', 'sites = { mode = "block-list" }'
WORDS = "Falkon does not keep the rules for sites, so it is closed. Use another browser, or ask a guardian."
NO_USE = Usage(child="mia", since="2026-01-01")


def child(limits: str) -> ChildRules:
    found = mia(limits)
    entries = [entry for group in load_catalogue().values() for entry in group]
    found.catalogue = {entry.id: entry for entry in entries}
    found.groups = {name: frozenset(e.id for e in entries if e.group == name) for name in {e.group for e in entries}}
    return found


def verdict(
    program: ProgramId, programs: str = "", sites: str = SHUT, unknown: str = "ask", *grants: Grant
) -> ProgramVerdict:
    rules = child(f'unknown_programs = "{unknown}"\nprograms = [{programs}]\n{sites}')
    return verdict_on(Matcher(rules, rules.plan(MONDAY)), program, now(rules), NO_USE, grants)


@pytest.mark.parametrize("unknown", ["allow", "inform", "warn", "ask", "block"])
@pytest.mark.parametrize(
    "programs", ["", '{ group = "browsers", action = "allow" }', '{ name = "falkon", action = "allow" }']
)
@pytest.mark.parametrize("program", [FALKON, OWN])
def test_it_is_closed_with_a_sentence_of_its_own(program: ProgramId, programs: str, unknown: str) -> None:
    found = verdict(program, programs, unknown=unknown)
    assert (found.action, found.rule, found.sentence) == ("block", "mia/browser-without-rules", WORDS)
    assert (found.program, found.title) == ("falkon", "Falkon")


@pytest.mark.parametrize(
    "rule",
    [
        'program = "falkon"',
        'package = "deb:falkon"',
        'package = "falkon"',
        'path = "/usr/bin/falkon"',
    ],
)
@pytest.mark.parametrize("action", ["allow", "warn", "ask"])
def test_a_rule_that_names_it_decides(rule: str, action: str) -> None:
    found = verdict(FALKON, f'{{ {rule}, action = "{action}" }}, {{ group = "browsers", action = "block" }}')
    assert found.action == action
    assert found.rule != "mia/browser-without-rules"


def test_a_hash_names_one_that_lies_with_the_child() -> None:
    assert verdict(OWN, f'{{ sha256 = "{"a" * 64}", action = "allow" }}').action == "allow"
    assert verdict(OWN, f'{{ sha256 = "{"b" * 64}", action = "allow" }}').action == "block"
    assert verdict(OWN, '{ path = "/home/mia/falkon", action = "allow" }').action == "block", (
        "the child can write there"
    )


def test_what_is_blocked_anyway_keeps_the_guardians_own_words() -> None:
    for rule in ('group = "browsers"', 'program = "falkon"', 'name = "falkon"'):
        found = verdict(FALKON, f'{{ {rule}, action = "block", reason = "Firefox is enough." }}')
        assert (found.action, found.sentence) == ("block", "Firefox is enough.")


def test_a_guardians_yes_opens_it_and_ends() -> None:
    yes = Grant(id="y", child="mia", kind="program", subject="deb:falkon", given=0, until=None, by="Ana")
    assert verdict(FALKON, "", SHUT, "block", yes).action == "allow"
    assert verdict(OWN, "", SHUT, "block", yes).action == "block"


def test_where_nothing_is_closed_any_browser_may_run() -> None:
    allow = '{ group = "browsers", action = "allow" }'
    assert verdict(FALKON, allow, OPEN).action == "allow"
    assert verdict(FALKON, "", OPEN).action == "ask"


@pytest.mark.parametrize(
    ("package", "action"),
    [
        ("flatpak:com.brave.Browser", "block"),
        ("flatpak:com.opera.Opera", "block"),
        ("flatpak:org.mozilla.firefox", "allow"),
    ]
    + [("flatpak:io.github.ungoogled_software.ungoogled_chromium", "block"), ("flatpak:org.chromium.Chromium", "allow")]
    + [("snap:brave", "block"), ("snap:vivaldi", "block"), ("snap:opera", "block"), ("deb:opera-stable", "block")]
    + [("snap:chromium", "allow"), ("snap:firefox", "allow"), ("deb:vivaldi-stable", "allow")],
)
def test_the_form_it_is_installed_in_counts(package: str, action: str) -> None:
    program = ProgramId(name="chromium", package=package, protected=True, application=True)
    assert verdict(program, '{ group = "browsers", action = "allow" }').action == action
    brave = ProgramId(name="brave", package="deb:brave-browser", protected=True, application=True)
    assert verdict(brave, '{ group = "browsers", action = "allow" }').action == "allow"


@pytest.mark.parametrize(
    ("sites", "shut"),
    [
        (SiteRules(), False),
        (SiteRules(mode="block-list", allow=["a.example"], safe_search=True), False),
        (SiteRules(mode="block-list", rules=[SiteRule(group="learning")]), False),
        (SiteRules(mode="allow-list"), True),
        (SiteRules(mode="ask"), True),
        (SiteRules(block=["a.example"]), True),
        (SiteRules(rules=[SiteRule(group="games", action="block")]), True),
        (SiteRules(rules=[SiteRule(group="games", action="ask")]), True),
        (SiteRules(rules=[SiteRule(host="a.example", budget={"all": "30m"})]), True),
        (SiteRules(rules=[SiteRule(host="a.example", hours={"all": ["09:00-10:00"]})]), True),
    ],
)
def test_whether_rules_close_anything(sites: SiteRules, shut: bool) -> None:
    assert closes(sites) is shut


def test_every_browser_of_the_catalogue_says_whether_it_keeps_rules() -> None:
    for group, entries in load_catalogue().items():
        for entry in entries:
            assert (entry.site_rules is not None) == (group == "browsers"), entry.id
            assert entry.linux is None or set(entry.linux.without_rules) <= {*entry.linux.flatpak, *entry.linux.snap}


def test_a_policy_from_before_closes_nothing_by_it() -> None:
    entry = CatalogueEntry(id="falkon", name="Falkon", group="browsers", linux=LinuxIdentity(package=["falkon"]))
    assert keeps_rules(entry, FALKON)


ENTRIES = [entry for group in load_catalogue().values() for entry in group if entry.linux is not None]


@given(
    entry=st.sampled_from(ENTRIES),
    protected=st.booleans(),
    packaged=st.booleans(),
    unknown=st.sampled_from(("allow", "inform", "warn", "ask", "block")),
    rule=st.sampled_from(("", "group", "name")),
    action=st.sampled_from(("allow", "warn", "ask", "block")),
)
def test_only_such_browsers_are_touched_and_no_group_or_bare_name_opens_one(
    entry: CatalogueEntry, protected: bool, packaged: bool, unknown: str, rule: str, action: str
) -> None:
    linux = entry.linux
    assert linux is not None
    kinds = (("deb", linux.package), ("flatpak", linux.flatpak), ("snap", linux.snap))
    packages = [f"{kind}:{name}" for kind, names in kinds for name in names]
    name = (linux.binary or [entry.id])[0]
    program = ProgramId(
        name=name, package=packages[-1] if packaged and packages else "", protected=protected, application=True
    )
    what = {"": "", "group": f'group = "{entry.group}"', "name": f'name = "{name}"'}[rule]
    programs = f'{{ {what}, action = "{action}" }}' if what else ""
    shut, free = (verdict(program, programs, sites, unknown) for sites in (SHUT, OPEN))
    seen = program.package or name in linux.binary
    if entry.site_rules is False and seen:
        assert shut.action == "block"
    elif keeps_rules(entry, program):
        assert shut == free
