"""What was allowed for good becomes lines that the family file takes, whatever programs are called."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.guardian import how_long
from agent.cli.lines import missing, text
from agent.core.checks import check
from agent.core.drafting import rule_lines
from agent.core.family import parse
from agent.model.grant import Grant
from agent.model.policy import SiteRules
from agent.resources import load_catalogue
from tests.house import LIMITS, written


def grant(subject: str, title: str = "chess", child: str = "mia") -> Grant:
    return Grant(id="g1", child=child, kind="program", subject=subject, title=title, given=0, by="Ana")


GIVEN = [
    grant("deb:chess"),
    grant("sha256:" + "a" * 64),
    grant("sha256:" + "b" * 64),
    grant("path:/opt/chess/chess"),
    grant("program:firefox"),
]


def test_the_lines_are_rules_that_stand_for_the_grants() -> None:
    lines = text(GIVEN)
    family = parse(written(limits=LIMITS.replace("programs = []", "")) + lines)
    assert not [problem for problem in check(family, load_catalogue()) if problem.error]
    rules = family.children[0].limits.programs or []
    assert [r.package or r.sha256 or r.path or r.program for r in rules] == [
        "deb:chess", "a" * 64, "b" * 64, "/opt/chess/chess", "firefox",
    ]  # fmt: skip
    assert [r.id for r in rules if r.sha256] == ["chess", "chess 1"]
    assert not missing(GIVEN, family)
    assert missing([grant("deb:go"), grant("deb:chess", child="leo")], family)
    assert "fairtime release g1" in lines
    assert text([]).startswith("Nothing")


def test_sites_for_good_become_hosts_that_are_allowed() -> None:
    given = [Grant(id=f"g{n}", child="mia", kind="site", subject=f"s{n}.example", given=0, by="Ana") for n in range(2)]
    lines = text(given)
    family = parse(written(limits=LIMITS) + lines)
    assert family.children[0].limits.sites == SiteRules(allow=["s0.example", "s1.example"])
    assert not missing(given, family)
    assert [one.id for one in missing(given, parse(written(limits=LIMITS) + 'sites.allow = ["S1.example."]\n'))] == [
        "g0"
    ]
    assert "fairtime release g1" in lines


@given(st.text(max_size=90), st.text(max_size=60))
def test_no_name_breaks_the_file(title: str, path: str) -> None:
    for subject in (f"path:/{path}", "sha256:" + "a" * 64, f"deb:{path}"):
        tree = tomllib.loads(
            "[children]\nlimits = {}\n".replace("limits = {}", "") + "\n".join(rule_lines(subject, title, set()))
        )
        assert len(tree["children"]["limits"]["programs"]) == 1


def test_how_long_a_yes_lasts() -> None:
    assert how_long("good") == (0, "good")
    assert how_long("today") == (0, "today")
    assert how_long("once") == (0, "once")
    assert how_long("1h") == (3600, None)
