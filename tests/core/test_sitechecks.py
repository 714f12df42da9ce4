"""What a guardian is told about site rules that cannot be meant."""

from __future__ import annotations

import pytest

from agent.core.family import parse
from agent.core.sitechecks import MOST_HOSTS
from tests.core.scene import CHILD, HEAD, problems

SITES = "children.mia.limits.sites"
AS_THIS = "Write one such as example.org; it stands for all below it, too."
LONG = "Hand them in as a list: fairtime lists add NAME FILE."
ONE = "Give exactly one of host, group."
BY_ITSELF = 'Write action = "allow": outside its minutes and hours it is closed by itself.'


@pytest.mark.parametrize(
    ("sites", "where", "title", "advice"),
    [
        ('allow = ["a b"]', f"{SITES}.allow", "“a b” is no host name", AS_THIS),
        ('block = ["ok.org", "x..y"]', f"{SITES}.block", "“x..y” is no host name", AS_THIS),
        ('rules = [{ host = "http://" }]', f"{SITES}.rules[1]", "“http://” is no host name", AS_THIS),
        ('rules = [{ action = "block" }]', f"{SITES}.rules[1]", "The rule names no site", ONE),
        ('rules = [{ host = "a.b", group = "c" }]', f"{SITES}.rules[1]", "The rule names both a host and a group", ONE),
        (
            'rules = [{ group = "a.org" }]',
            f"{SITES}.rules[1]",
            "“a.org” is a host and no group",
            'Write host = "a.org".',
        ),
        (
            'rules = [{ host = "a.org", action = "block", budget = { all = "5m" } }]',
            f"{SITES}.rules[1]",
            "A rule that says “block” cannot have minutes or hours of its own",
            BY_ITSELF,
        ),
        (
            'rules = [{ host = "a.org", action = "ask", hours = { all = ["10:00-11:00"] } }]',
            f"{SITES}.rules[1]",
            "A rule that says “ask” cannot have minutes or hours of its own",
            BY_ITSELF,
        ),
        (
            'rules = [{ host = "a.org", budget = { mon = "25h" } }]',
            f"{SITES}.rules[1].budget.mon",
            "25h is more than a day has",
            "A day has 24h.",
        ),
        (
            'rules = [{ host = "a.org", hours = { mon = ["10:00-12:00", "11:00-13:00"] } }]',
            f"{SITES}.rules[1].hours.mon",
            "10:00-12:00 and 11:00-13:00 overlap",
            "Make one of them, or let them end and begin apart.",
        ),
        (
            'rules = [{ id = "x", host = "a.org" }, { id = "x", host = "b.org" }]',
            f"{SITES}.rules[2]",
            "Two rules have the id x",
            "Give each its own.",
        ),
        (
            'rules = [{ host = "a.org" }, { host = "A.org." }]',
            f"{SITES}.rules[2]",
            "a.org has a rule already",
            "Put what you want of it into one rule.",
        ),
        (
            'block = ["a.org"], rules = [{ host = "a.org" }]',
            f"{SITES}.rules[1]",
            "a.org has a rule already",
            "Put what you want of it into one rule.",
        ),
        (
            'rules = [{ group = "games" }, { group = "games" }]',
            f"{SITES}.rules[2]",
            "games has a rule already",
            "Put what you want of it into one rule.",
        ),
    ],
)
def test_errors_of_site_rules(sites: str, where: str, title: str, advice: str) -> None:
    assert problems(f"sites = {{ {sites} }}") == [(where, title, advice, True)]


@pytest.mark.parametrize(
    ("sites", "where", "title", "advice"),
    [
        (
            'allow = ["a.org"], block = ["A.ORG"]',
            f"{SITES}.block",
            "a.org is both allowed and blocked, so it is blocked",
            "Take it off one of the two lists.",
        ),
        (
            'block = ["www.a.org"]',
            f"{SITES}.block",
            "www.a.org is only a part of a.org",
            "Write a.org, which covers www.a.org as well.",
        ),
        ('allow = ["com"]', f"{SITES}.allow", "com covers every name that ends in .com", "Is that meant?"),
        (
            'block = ["childline.org.uk"]',
            f"{SITES}.block",
            "childline.org.uk is a help line and stays open",
            "Help lines are never blocked.",
        ),
        (
            'rules = [{ host = "chat.kidshelpline.com.au", action = "block" }]',
            f"{SITES}.rules[1]",
            "chat.kidshelpline.com.au is a help line and stays open",
            "Help lines are never blocked.",
        ),
        (
            'rules = [{ group = "gamez" }]',
            f"{SITES}.rules[1]",
            "There is no group of sites “gamez” here yet, so the rule does nothing",
            "Did you mean “games”? Hand it in (fairtime lists add gamez FILE), or add it to site_groups.",
        ),
    ],
)
def test_remarks_on_site_rules(sites: str, where: str, title: str, advice: str) -> None:
    assert problems(f"sites = {{ {sites} }}", lists=["games"]) == [(where, title, advice, False)]


@pytest.mark.parametrize(
    ("groups", "title", "advice", "error"),
    [
        ('"a.b" = ["x.org"]', "A group called a.b looks like a host", "Give it a name without a dot.", True),
        ('v = ["x..y"]', "“x..y” is no host name", AS_THIS, True),
        (
            'v = ["w"]\nw = ["x.org"]',
            "The group v holds your group w",
            "Name its hosts instead: groups of groups are not read.",
            True,
        ),
        (
            'v = ["zzz", "games"]',
            "There is no group of sites “zzz” here yet, so the rule does nothing",
            "Hand it in (fairtime lists add zzz FILE), or add it to site_groups.",
            False,
        ),
    ],
)
def test_groups_of_sites(groups: str, title: str, advice: str, error: bool) -> None:
    found = problems("", f"[site_groups]\n{groups}", lists=["games"])
    assert [problem[1:] for problem in found] == [(title, advice, error)]


def test_what_is_right_is_passed_over_in_silence() -> None:
    sites = """sites = { mode = "ask", allow = ["a.org", "*.b.org", "192.0.2.1", "[2001:db8::1]"], rules = [
      { host = "youtube.com", budget = { all = "30m" }, hours = { weekend = ["10:00-12:00"] }, reason = "For a while." },
      { group = "videos", action = "block" }, { group = "games", action = "ask" }, { host = "bücher.example" } ] }"""
    assert problems(sites, '[site_groups]\nvideos = ["vimeo.com", "games", "videos"]', lists=["games", "videos"]) == []
    assert problems('sites.rules = [{ group = "anything" }]') == [], "which lists there are is not known everywhere"


def test_far_too_many_hosts_belong_into_a_list() -> None:
    many = ", ".join(f'"h{n}.example"' for n in range(MOST_HOSTS + 1))
    assert problems(f"sites.block = [{many}]") == [(SITES, "These are too many sites for a family file", LONG, True)]
    title = f"{MOST_HOSTS + 1} hosts are too many for a group"
    assert problems("", f"[site_groups]\nv = [{many}]") == [("site_groups.v", title, LONG, True)]


def test_a_policy_that_was_signed_before_sites_were_looked_at_still_holds() -> None:
    assert problems('sites.block = ["a b"]', signed=True) == [
        (f"{SITES}.block", "“a b” is no host name, so it does nothing", AS_THIS, False)
    ]


def test_profiles_are_looked_at_as_well() -> None:
    found = problems("", '[profiles.holidays]\nsites = { allow = ["a b"] }')
    assert [problem[:2] for problem in found] == [("profiles.holidays.sites.allow", "“a b” is no host name")]


@pytest.mark.parametrize("server", ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53"])
def test_name_servers(server: str) -> None:
    assert parse(f'name_servers = ["{server}"]\n' + HEAD + CHILD).name_servers == [server]
    assert problems(head=f'name_servers = ["{server}"]\n' + HEAD) == []


@pytest.mark.parametrize(
    "server", ["dns.example", "192.0.2", "192.0.2.1:", "192.0.2.1:99999", "https://192.0.2.1", "::1::", "1"]
)
def test_what_is_no_name_server(server: str) -> None:
    found = problems(head=f'name_servers = ["{server}"]\n' + HEAD)
    assert [(where, title, error) for where, title, _, error in found] == [
        ("name_servers", f"“{server}” is no address of a name server", True)
    ]
