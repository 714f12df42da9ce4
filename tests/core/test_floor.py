"""What a system may deny by rules of its own: never more than the service would block, and not less than it can know."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.core.floor import PROTECTED, denies, floor
from agent.core.judge import verdict_on
from agent.core.programs import Matcher
from agent.core.rules import ChildRules
from agent.model.floor import ProgramFloor, Trait
from agent.model.grant import Grant
from agent.model.policy import Action, CatalogueEntry, ProgramRule, SiteRules, WindowsIdentity
from agent.model.program import ProgramId
from agent.model.usage import Usage
from tests.core.scene import MONDAY, mia, now


def windows(
    id_: str, group: str, publisher: str = "", product: str = "", appx: str = "", *binary: str
) -> CatalogueEntry:
    identity = WindowsIdentity(
        publisher=publisher or None, product=product or None, appx=appx or None, binary=list(binary)
    )
    keeps = None if group != "browsers" else id_ != "moon"
    return CatalogueEntry(id=id_, name=id_.title(), group=group, site_rules=keeps, windows=identity)  # type: ignore[arg-type]  # one of its groups


CATALOGUE = {
    entry.id: entry
    for entry in (
        windows("racer", "games", "Racer Inc", "Racer", "", "racer.exe", "play.exe"),
        windows("craft", "games", "Big Corp", "", "Big.Craft", "craft.exe"),
        windows("chess", "games", "", "", "", "chess.exe", "play.exe"),
        windows("sums", "school", "Sums Ltd", "Sums", "", "sums.exe"),
        windows("twin", "school", "Racer Inc", "Racer", "", "twin.exe"),
        windows("shell", "system", "Big Corp", "Windows", "", "shell.exe"),
        windows("moon", "browsers", "Moon Org", "Moon", "Moon.App", "moon.exe"),
        windows("blaze", "browsers", "Blaze Org", "Blaze", "", "blaze.exe"),
    )
}
GROUPS = {
    "games": frozenset({"racer", "craft", "chess"}),
    "school": frozenset({"sums", "twin"}),
    "system": frozenset({"shell"}),
    "browsers": frozenset({"moon", "blaze"}),
    "mine": frozenset({"chess", "odd.exe", "craft.exe"}),
}
SHA = "a" * 64
Mode = Literal["block-list", "allow-list"]


@functools.cache
def anyone() -> ChildRules:
    return dataclasses.replace(mia(), catalogue=CATALOGUE, groups=GROUPS)


def child(programs: str = "", unknown: Action = "block", sites: Mode = "block-list") -> ChildRules:
    found = anyone()
    rules = msgspec.convert(tomllib.loads(f"programs = [{programs}]")["programs"], list[ProgramRule])
    limits = replace(found.child.limits, unknown_programs=unknown, programs=rules, sites=SiteRules(mode=sites))
    return dataclasses.replace(found, child=replace(found.child, limits=limits), _plans={})


def made(programs: str = "", unknown: Action = "block", *permits: str) -> ProgramFloor:
    rules = child(programs, unknown)
    return floor(rules, rules.plan(MONDAY), [permit(one) for one in permits])


def permit(subject: str) -> Grant:
    return Grant(id="g", child="mia", kind="program", subject=subject, given=0, by="ana")


def program(name: str = "x.exe", folder: str = "C:\\Users\\mia\\", **more: object) -> ProgramId:
    protected = folder.startswith("C:\\Program")
    return ProgramId(name=name, path=folder + name, **{"protected": protected, **more})  # type: ignore[arg-type]  # fields of it


# ---- what is denied --------------------------------------------------------------------------------------------------


def test_what_the_child_may_write_cannot_start_where_everything_else_is_blocked() -> None:
    closed = made()
    assert denies(closed, program()) == "mia/unknown-programs"
    assert denies(closed, program(folder="C:\\Program Files\\X\\")) == "", "whether it is plumbing the service knows"
    assert closed.accounts == ("mia", "mia-school")


@pytest.mark.parametrize("unknown", ["ask", "warn", "inform", "allow"])
def test_where_the_unknown_may_be_asked_for_it_may_start(unknown: Action) -> None:
    assert made(unknown=unknown).others is None


def test_while_fairtime_learns_the_unknown_may_start() -> None:
    rules = child()
    rules.learn(True)
    assert floor(rules, rules.plan(MONDAY), ()).others is None


def test_what_is_allowed_by_more_than_a_name_may_start_from_anywhere() -> None:
    closed = made('{ program = "sums" }, { program = "chess" }, { signer = "Ok Inc" }, { package = "appx:Ok.App" }')
    assert closed.others is not None
    assert set(closed.others.unless) == {
        PROTECTED,
        Trait(kind="signer", value="Sums Ltd", product="Sums"),
        Trait(kind="signer", value="Sums Ltd", name="sums.exe"),
        Trait(kind="signer", value="Ok Inc"),
        Trait(kind="package", value="appx:Ok.App"),
        Trait(kind="signer", value="Big Corp", product="Windows"),
        Trait(kind="signer", value="Big Corp", name="shell.exe"),
    }
    assert denies(closed, program("sums.exe", signer="Sums Ltd")) == ""
    assert denies(closed, program("sums.exe")) == "mia/unknown-programs", "a name alone never allows"


def test_a_blocked_program_is_denied_by_its_product_and_by_its_name() -> None:
    shut = made('{ program = "sums", action = "block" }', unknown="allow")
    assert denies(shut, program("SUMS.EXE")) == "mia/program:sums"
    assert denies(shut, program("renamed.exe", signer="Sums Ltd", product="Sums")) == "mia/program:sums"
    assert denies(shut, program("renamed.exe", signer="Sums Ltd", product="Other")) == ""


def test_a_publisher_without_a_product_denies_no_other_of_its_programs() -> None:
    shut = made('{ program = "craft", action = "block" }', unknown="allow")
    assert denies(shut, program("word.exe", signer="Big Corp")) == ""
    assert denies(shut, program("x", package="appx:Big.Craft")) == "mia/program:craft"


def test_a_name_that_two_well_known_programs_have_denies_neither() -> None:
    shut = made('{ program = "racer", action = "block" }', unknown="allow")
    assert denies(shut, program("play.exe")) == ""
    assert denies(shut, program("racer.exe")) == "mia/program:racer"
    assert denies(shut, program("x.exe", signer="Racer Inc", product="Racer")) == "", "twin is signed just so"


def test_a_more_specific_rule_opens_what_a_denial_names() -> None:
    shut = made(f'{{ group = "games", action = "block" }}, {{ sha256 = "{SHA}" }}, {{ program = "chess" }}', "allow")
    assert denies(shut, program("craft.exe")) == "mia/program:games"
    assert denies(shut, program("craft.exe", sha256=SHA)) == ""
    assert denies(shut, program("chess.exe")) == ""


def test_what_must_be_asked_for_or_has_hours_may_start() -> None:
    shut = made('{ program = "chess", action = "ask" }, { program = "sums", hours = { all = ["09:00-10:00"] } }', "ask")
    assert not shut.denials


@pytest.mark.parametrize(
    ("subject", "what"),
    [
        (f"sha256:{SHA}", program("craft.exe", sha256=SHA)),
        ("path:C:\\Program Files\\craft.exe", program("craft.exe", "C:\\Program Files\\")),
        ("program:craft", program("craft.exe", "C:\\Program Files\\")),
        ("appx:Big.Craft", program("craft.exe", package="appx:Big.Craft")),
    ],
)
def test_a_permission_opens_a_denial(subject: str, what: ProgramId) -> None:
    rule = '{ program = "craft", action = "block" }'
    assert denies(made(rule, "allow"), what)
    assert not denies(made(rule, "allow", subject), what)


SHUT: Mode = "allow-list"
MOON = [
    program("MOON.exe"),
    program("moon.exe", "C:\\Program Files\\Moon\\"),
    program("other.exe", signer="Moon Org", product="Moon"),
    program("x.exe", package="appx:Moon.App"),
]


def shut(programs: str = "", sites: Mode = SHUT, *permits: str) -> ProgramFloor:
    rules = child(programs, "allow", sites)
    return floor(rules, rules.plan(MONDAY), [permit(one) for one in permits])


@pytest.mark.parametrize("one", MOON)
@pytest.mark.parametrize("programs", ["", '{ group = "browsers" }', '{ name = "moon.exe" }'])
def test_a_browser_without_rules_is_denied_where_sites_are_closed(one: ProgramId, programs: str) -> None:
    assert denies(shut(programs), one) == "mia/browser-without-rules"
    assert denies(shut(programs, "block-list"), one) == ""


def test_one_that_keeps_them_may_start() -> None:
    assert denies(shut(), program("blaze.exe", signer="Blaze Org", product="Blaze")) == ""


@pytest.mark.parametrize("one", MOON[1:])
def test_a_rule_or_a_yes_that_names_it_opens_it(one: ProgramId) -> None:
    assert denies(shut('{ program = "moon" }'), one) == ""
    assert denies(shut("", SHUT, "program:moon"), one) == ""


# ---- never more than the service -------------------------------------------------------------------------------------

ACTIONS = st.sampled_from(["allow", "ask", "block"])
SUBJECTS = st.sampled_from(
    [
        f'sha256 = "{SHA}"', 'signer = "Racer Inc"', 'signer = "Big Corp"', 'package = "appx:Big.Craft"', 'package = "Big.Craft"',
        "path = 'C:\\Users\\mia\\'", "path = 'c:\\program files\\craft.exe'", 'name = "play.exe"', 'name = "ODD.EXE"',
        'program = "racer"', 'program = "craft"', 'program = "chess"', 'program = "sums"', 'program = "odd.exe"',
        'program = "shell"', 'group = "games"', 'group = "school"', 'program = "moon"', 'group = "browsers"', 'signer = "Moon Org"', 'group = "mine"', 'group = "system"',
    ]
)  # fmt: skip
WRITTEN = st.builds(
    lambda subject, action, n, hours: (
        f'{{ {subject}, id = "r{n}", action = "{action}"' + (', hours = { all = ["09:00-10:00"] }' if hours else "") + " }"
    ),
    SUBJECTS, ACTIONS, st.integers(0, 9), st.booleans(),
)  # fmt: skip
PROGRAMS = st.builds(
    lambda name, folder, signer, product, package, sha256, application: program(
        name, folder, signer="" if package else signer, product="" if package or not signer else product,
        package=package, sha256=sha256, application=application,
    ),
    st.sampled_from(["racer.exe", "PLAY.exe", "craft.exe", "chess.exe", "sums.exe", "twin.exe", "shell.exe", "odd.exe", "x.exe", "moon.exe"]),
    st.sampled_from(["C:\\Users\\mia\\", "C:\\Program Files\\", "D:\\"]),
    st.sampled_from(["", "Racer Inc", "Big Corp", "Sums Ltd", "Moon Org"]),
    st.sampled_from(["", "Racer", "Windows", "Sums", "Moon"]),
    st.sampled_from(["", "appx:Big.Craft", "appx:Other", "appx:Moon.App"]),
    st.sampled_from(["", SHA]),
    st.booleans(),
)  # fmt: skip
PERMITS = st.sampled_from(
    [
        f"sha256:{SHA}", "path:C:\\Program Files\\craft.exe", "program:craft", "program:moon", "program:r1", "program:odd.exe",
        "appx:Big.Craft", "program:Other",
    ]
)  # fmt: skip


@settings(max_examples=200)
@given(
    st.lists(WRITTEN, max_size=5), st.sampled_from(["block", "ask", "allow"]), st.lists(PERMITS, max_size=2),
    st.lists(PROGRAMS, min_size=1, max_size=12), st.sampled_from(["block-list", "allow-list"]),
)  # fmt: skip
def test_whatever_the_floor_denies_the_service_blocks(
    written: list[str], unknown: Action, permits: Sequence[str], programs: list[ProgramId], sites: Mode
) -> None:
    rules = child(", ".join(written), unknown, sites)
    grants = [permit(one) for one in permits]
    below = floor(rules, rules.plan(MONDAY), grants)
    matcher = Matcher(rules, rules.plan(MONDAY))
    for one in programs:
        rule = denies(below, one)
        if rule:
            for hour in ("09:30", "15:00"):
                found = verdict_on(matcher, one, now(rules, hour), Usage(child="mia"), grants)
                assert found.action == "block", (rule, one, found)
