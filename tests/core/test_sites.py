"""Hosts: what is one, and which rule covers it."""

from __future__ import annotations

import pytest

from agent.core.sites import SiteVerdict, canonical, decide_site
from agent.errors import PolicyError
from agent.model.policy import SiteRules


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("example.org", "example.org"),
        ("  Example.ORG. ", "example.org"),
        ("https://ana:pw@www.example.org:8443/a/b?c#d", "www.example.org"),
        ("example.org/?to=https://other.org", "example.org"),
        ("https://example.org/a@other.org", "example.org"),
        ("https://example.org?a@other.org", "example.org"),
        ("https://example.org#@other.org", "example.org"),
        ("HTTPS://example.org\\\\@other.org", "example.org"),
        ("http://example.org/x", "example.org"),
        ("example.org:80", "example.org"),
        ("example.org/path@x", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("_dmarc.a-b.example", "_dmarc.a-b.example"),
        ("localhost", "localhost"),
        ("a" * 63 + ".org", "a" * 63 + ".org"),
    ],
)
def test_the_host_in_an_address(text: str, host: str) -> None:
    assert canonical(text) == host


LONG = ".".join(["a" * 49] * 5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "https://",
        ".",
        "a..b",
        "-a.org",
        "a-.org",
        "a b.org",
        "a" * 64 + ".org",
        LONG + ".abcde",
        "a!.org",
        "--",
    ],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        canonical(text)
    assert caught.value.title == f"“{text}” is no host name"
    assert caught.value.advice == "Write one such as example.org."


def test_the_longest_name_is_253_letters() -> None:
    assert len(LONG + ".abc") == 253
    assert canonical(LONG + ".abc") == LONG + ".abc"


RULES = SiteRules(allow=["example.org", "Games.example.ORG."], block=["chat.example.org", "bad.org", "both.org"])


def verdict(host: str, rules: SiteRules = RULES) -> SiteVerdict:
    return decide_site(rules, host, ["help.org", "line.bad.org"], ["today.bad.org"])


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("www.help.org", ("allow", "helpline", "www.help.org is always open.")),
        ("line.bad.org", ("allow", "helpline", "line.bad.org is always open.")),
        ("a.today.bad.org", ("allow", "grant", "A guardian has allowed a.today.bad.org for now.")),
        ("www.bad.org", ("block", "site:bad.org", "bad.org is not open for you. You can ask for it.")),
        ("example.org", ("allow", "site:example.org", "example.org is on your list.")),
        ("notexample.org", ("allow", "sites", "notexample.org is open.")),
        (
            "a.chat.example.org",
            ("block", "site:chat.example.org", "chat.example.org is not open for you. You can ask for it."),
        ),
        ("games.example.org", ("allow", "site:games.example.org", "games.example.org is on your list.")),
        ("other.net", ("allow", "sites", "other.net is open.")),
    ],
)
def test_the_most_specific_rule_decides(host: str, expected: tuple[str, str, str]) -> None:
    found = verdict(host.upper())
    assert (found.action, found.rule, found.sentence) == expected
    assert found.host == host


def test_named_on_both_lists_is_blocked_and_the_longer_rule_wins() -> None:
    both = SiteRules(allow=["both.org", "in.shut.org"], block=["both.org", "shut.org"])
    assert verdict("both.org", both).action == "block"
    assert verdict("in.shut.org", both).action == "allow"


def test_what_is_not_listed_goes_by_the_mode() -> None:
    ask, allow = SiteRules(mode="ask"), SiteRules(mode="allow-list")
    assert verdict("new.org", ask) == SiteVerdict(
        "ask", "new.org", "sites", "new.org is new here. Ask a guardian for it."
    )
    assert verdict("new.org", allow) == SiteVerdict(
        "block", "new.org", "sites", "new.org is not on your list yet. You can ask for it."
    )
    assert decide_site(allow, "new.org").action == "block"
