"""What the lines of published lists say, and which form a list is in."""

from __future__ import annotations

import pytest

from agent.errors import ListError
from agent.filter.lists.formats import PARSERS, Says
from agent.filter.lists.guess import guess
from agent.model.sitelist import ListFormat

PART, KINDS, OTHER, SETTING, WHAT = (
    "about a part of a site",
    "about certain kinds of requests or pages",
    "gives another answer",
    "another setting",
    "not understood",
)


def listed(*names: str) -> Says:
    return Says(names)


def excepted(*names: str) -> Says:
    return Says(names, excepted=True)


@pytest.mark.parametrize(
    ("form", "line", "says"),
    [
        ("hosts", "0.0.0.0 a.example", listed("a.example")),
        ("hosts", "127.0.0.1\ta.example  b.example # both", listed("a.example", "b.example")),
        ("hosts", "::1 a.example", listed("a.example")),
        ("hosts", ":: a.example", listed("a.example")),
        ("hosts", "192.0.2.7 printer.home", OTHER),
        ("hosts", "fe80::1%lo0 localhost", OTHER),
        ("hosts", "# 0.0.0.0 a.example", None),
        ("hosts", "a.example", WHAT),
        ("hosts", "a.example b.example", WHAT),
        ("domains", "a.example", listed("a.example")),
        ("domains", "*.a.example # all of it", listed("*.a.example")),
        ("domains", "; nothing", None),
        ("domains", "two words", WHAT),
        ("adblock", "||a.example^", listed("a.example")),
        ("adblock", "||a.example^|", listed("a.example")),
        ("adblock", "||a.example^$important,document", listed("a.example")),
        ("adblock", "@@||a.example^", excepted("a.example")),
        ("adblock", "@@||a.example^$document", excepted("a.example")),
        ("adblock", "||a.example^$third-party", KINDS),
        ("adblock", "||a.example^$important,script", KINDS),
        ("adblock", "||a.example^$domain=b.example", KINDS),
        ("adblock", "@@||a.example^$elemhide", KINDS),
        ("adblock", "||a.example^$", KINDS),
        ("adblock", "||a.example^$badfilter", "cancels another rule"),
        ("adblock", "@@||a.example^$important,badfilter", "cancels another rule"),
        ("adblock", "||a.example^path", PART),
        ("adblock", "||a.example/path^", PART),
        ("adblock", "||a.example", PART),
        ("adblock", "||a.*^", PART),
        ("adblock", "a.example##.banner", PART),
        ("adblock", "##.banner", PART),
        ("adblock", "/banner/", PART),
        ("adblock", "! ||a.example^", None),
        ("adblock", "# a comment", None),
        ("adblock", "[Adblock Plus 2.0]", None),
        ("dnsmasq", "address=/a.example/", listed("a.example")),
        ("dnsmasq", "address=/a.example/#", listed("a.example")),
        ("dnsmasq", "address=/a.example/b.example/0.0.0.0", listed("a.example", "b.example")),
        ("dnsmasq", "address=/a.example/::", listed("a.example")),
        ("dnsmasq", "address=/router.home/192.0.2.1", OTHER),
        ("dnsmasq", "local=/a.example/", listed("a.example")),
        ("dnsmasq", "server=/a.example/ # none", listed("a.example")),
        ("dnsmasq", "server=/a.example/192.0.2.53", OTHER),
        ("dnsmasq", "server=/a.example/#", excepted("a.example")),
        ("dnsmasq", "cache-size=150", SETTING),
        ("dnsmasq", "#address=/a.example/", None),
        ("rpz", "a.example CNAME .", listed("a.example")),
        ("rpz", "*.a.example  300 IN CNAME *.", listed("*.a.example")),
        ("rpz", "a.example IN 300 CNAME rpz-drop.", listed("a.example")),
        ("rpz", "a.example. CNAME rpz-passthru. ; ours", excepted("a.example")),
        ("rpz", "a.example A 0.0.0.0", listed("a.example")),
        ("rpz", "a.example A 192.0.2.9", OTHER),
        ("rpz", "a.example CNAME safe.example.", OTHER),
        ("rpz", "32.1.2.0.192.rpz-ip CNAME .", SETTING),
        ("rpz", "@ SOA localhost. root.localhost. 1 2 3 4 5", SETTING),
        ("rpz", "; a comment", None),
        ("rpz", "$TTL 300", None),
    ],
)  # fmt: skip
def test_what_a_line_says(form: ListFormat, line: str, says: object) -> None:
    assert PARSERS[form]()(line) == says


def test_a_zones_names_end_in_its_origin() -> None:
    zone = PARSERS["rpz"]()
    assert zone("$ORIGIN rpz.test.") is None
    assert zone("a.example.rpz.test. CNAME .") == listed("a.example")
    assert zone("b.example CNAME .") == listed("b.example")
    assert zone("c.example. CNAME .") == listed("c.example")


LISTS: dict[ListFormat, str] = {
    "hosts": "# title\n\n127.0.0.1 localhost\n0.0.0.0 a.example\n0.0.0.0 b.example\n",
    "domains": "# title\na.example\nb.example\n*.c.example\n",
    "adblock": "! Title: x\n||a.example^\nexample.org##.ad\n||b.example^$third-party\n",
    "dnsmasq": "# title\naddress=/a.example/\nlocal=/b.example/\n",
    "rpz": "$TTL 300\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\na.example CNAME .\n*.a.example CNAME .\n",
}


@pytest.mark.parametrize("form", LISTS)
def test_the_form_is_seen(form: ListFormat) -> None:
    assert guess(LISTS[form].encode(), "list") == form
    assert guess(("\ufeff" + LISTS[form].replace("\n", "\r\n")).encode(), "list") == form


def test_a_header_says_it_where_the_first_rules_are_of_all_kinds() -> None:
    assert guess(b"[Adblock Plus 2.0]\n-banner.gif\n_ad_\n/ads/\n", "list") == "adblock"


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (b"", "The list is empty"),
        (b"# only\n! this\n", "The list holds nothing but comments"),
        (b"\x7fELF\x00\x01", "This is not a text file"),
        (b"<!DOCTYPE html><html>", "This is a web page, not a list"),
        (b"Dear parent,\nhere is the list\nof what is bad\n", "It cannot be seen what kind of list this is"),
        (b'{"domains": ["a.example"]}\n', "It cannot be seen what kind of list this is"),
    ],
)
def test_what_is_no_list_is_said_with_advice(data: bytes, title: str) -> None:
    with pytest.raises(ListError) as caught:
        guess(data, "here")
    assert caught.value.title == title
    assert caught.value.advice
    assert caught.value.where == "here"
