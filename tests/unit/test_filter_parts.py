"""The resolver's parts on their own: what is kept, what is local, what leads home, what safe search is, what a page says."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.hosts import canonical
from agent.core.sites import HELPLINE, Ruling
from agent.errors import PolicyError
from agent.filter import cache, local, page, private, safesearch, wire
from agent.filter.uses import MOST, Uses
from agent.model.site import Said, SitePlan, SiteUse, WatchedUse
from agent.resources import folder

SAFE = folder("policies") / "safesearch.toml"


def answer(kind: str, *records: str, authority: tuple[str, ...] = (), code: int = 0) -> tuple[bytes, bytes]:
    """``(question section, answer)`` for example.org."""
    message = dns.message.make_response(dns.message.make_query("example.org.", kind))
    for section, texts in ((message.answer, records), (message.authority, authority)):
        for text in texts:
            ttl, type_, data = text.split(" ", 2)
            section.append(dns.rrset.from_text("example.org.", int(ttl), "IN", type_, data))
    message.set_rcode(dns.rcode.Rcode(code))
    data = message.to_wire()
    return wire.write_question("example.org", message.question[0].rdtype), data


SOA = "ns.example.org. h.example.org. 1 2 3 4"


@pytest.mark.parametrize(
    ("kind", "records", "authority", "code", "seconds"),
    [
        ("A", ("300 A 192.0.2.1",), (), 0, 300),
        ("A", ("300 CNAME example.org.", "20 A 192.0.2.1"), (), 0, 20),
        ("A", ("999999 A 192.0.2.1",), (), 0, cache.LONGEST),
        ("A", ("0 A 192.0.2.1",), (), 0, 0),
        ("A", ("4294967295 A 192.0.2.1",), (), 0, 0),
        ("AAAA", (), (f"900 SOA {SOA} 60",), 0, 60),
        ("A", (), (f"30 SOA {SOA} 60",), 3, 30),
        ("A", (), (f"9000 SOA {SOA} 9000",), 3, cache.LONGEST_NO),
        ("A", ("10 CNAME example.org.",), (f"900 SOA {SOA} 900",), 3, 10),
        ("A", (), (), 3, 0),
        ("A", (), (), 0, 0),
        ("A", (), (), 2, 0),
    ],
)
def test_an_answer_is_kept_as_long_as_it_says(
    kind: str, records: tuple[str, ...], authority: tuple[str, ...], code: int, seconds: int
) -> None:
    question, data = answer(kind, *records, authority=authority, code=code)
    found = cache.kept(data, question, wire.read_answer(data, question), 1000.0)
    assert found.until - found.since == seconds
    kept = cache.Cache()
    kept.put(b"key", found)
    assert (kept.get(b"key", 1000.0 + seconds - 1) is None) == (seconds == 0)
    assert kept.get(b"key", 1000.0 + seconds) is None


def test_a_cache_is_small_whatever_is_asked_and_keeps_what_is_used() -> None:
    question, data = answer("A", "300 A 192.0.2.1")
    found = cache.kept(data, question, wire.read_answer(data, question), 0.0)
    kept = cache.Cache()
    kept.put(b"used", found)
    for number in range(20 * cache.KEPT):
        kept.put(b"%d" % number, found)
        if number % 100 == 0:
            assert kept.get(b"used", 1.0) is found
    assert len(kept) <= 2 * cache.KEPT
    large = cache.Kept(bytes(cache.LARGEST + 1), (), 0.0, 10.0)
    kept.put(b"large", large)
    assert kept.get(b"large", 1.0) is None


@given(st.integers(0, 0x7FFFFFFF), st.integers(0, 4000), st.integers(0, 100))
def test_no_ttl_grows_or_exceeds_what_it_may(ttl: int, age: int, most: int) -> None:
    question, data = answer("A", f"{ttl} A 192.0.2.1")
    found = cache.kept(data, question, wire.read_answer(data, question), 0.0)
    seen = dns.message.from_wire(found.at(float(age), most)).answer[0].ttl
    assert seen == max(0, min(most, ttl - age))


# ---- names and addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("use-application-dns.net", "no-name"),
        ("www.use-application-dns.net", None),
        ("mask.icloud.com", "no-name"),
        ("icloud.com", None),
        ("printer.local", "no-name"),
        ("local", "no-name"),
        ("x.onion", "no-name"),
        ("resolver.arpa", "no-data"),
        ("_dns.resolver.arpa", "no-data"),
        ("notresolver.arpa", None),
        ("localhost", "loopback"),
        ("x.localhost", "loopback"),
        ("router", "network"),
        ("router.lan", "network"),
        ("tv.home.arpa", "network"),
        ("example.org", None),
        ("thelan", "network"),
        ("example.notlan", None),
        ("home.example.org", None),
    ],
)
def test_which_names_are_local(host: str, expected: str | None) -> None:
    assert local.answer(host, wire.A) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("1.2.0.192.in-addr.arpa", True),
        ("168.192.in-addr.arpa", True),
        (".".join("0" * 32) + ".ip6.arpa", True),
        ("secret.data.ip6.arpa", False),
        ("in-addr.arpa", False),
        ("1.2.3.4.5.in-addr.arpa", False),
        ("1.2.0.192.in-addr.arpa.example.org", False),
    ],
)
def test_only_addresses_are_looked_up_backwards(host: str, expected: bool) -> None:
    assert local.is_reverse(host) is expected


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_private_addresses_are_those_of_the_standard_library(data: bytes) -> None:
    address = ipaddress.ip_address(data)
    home = [ipaddress.ip_network(net) for net in HOME if ipaddress.ip_network(net).version == address.version]
    assert private.is_private(data) == any(address in net for net in home)


HOME = ("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "::/120", "fc00::/7", "fe80::/9", "fe80::/10", "fec0::/10")  # fmt: skip


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::1", True),
        ("::", True),
        ("::ffff:192.168.1.1", True),
        ("::ffff:8.8.8.8", False),
        ("64:ff9b::10.0.0.1", True),
        ("64:ff9b::8.8.8.8", False),
        ("::192.168.1.1", True),
        ("fd00::1", True),
        ("fe80::1", True),
        ("2001:db8::1", False),
        ("172.15.0.1", False),
        ("172.32.0.1", False),
        ("192.169.0.1", False),
    ],
)
def test_private_addresses_in_every_disguise(address: str, expected: bool) -> None:
    assert private.is_private(ipaddress.ip_address(address).packed) is expected


@pytest.mark.parametrize(
    ("kind", "record", "expected"),
    [
        ("A", "60 A 10.0.0.1", True),
        ("A", "60 A 192.0.2.1", False),
        ("AAAA", "60 AAAA fd00::1", True),
        ("HTTPS", "60 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1,192.168.0.1", True),
        ("HTTPS", "60 HTTPS 1 a.example.org. ipv6hint=fe80::1", True),
        ("HTTPS", "60 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1", False),
        ("TXT", "60 TXT 10.0.0.1", False),
    ],
)
def test_what_leads_home_is_seen_in_every_record(kind: str, record: str, expected: bool) -> None:
    question, data = answer(kind, record)
    assert private.leads_home(data, wire.read_answer(data, question)) is expected


@given(st.binary(max_size=64))
def test_any_parameters_are_read(value: bytes) -> None:
    record = wire.Record(0, wire.HTTPS, 0, 0, len(value))
    private.leads_home(value, (record,))


# ---- safe search -----------------------------------------------------------------------------------------------------


def test_the_safe_searches_that_come_with_the_program() -> None:
    safe = safesearch.read(SAFE)
    strict = safe.table(SitePlan(child="mia", youtube="strict"))
    off = safe.table(SitePlan(child="mia", safe_search=False, youtube="off"))
    moderate = safe.table(SitePlan(child="mia", safe_search=False, youtube="moderate"))
    assert len(safe) > 200
    assert off == {}
    assert strict["www.google.co.jp"] == strict["www.google.com"] == "forcesafesearch.google.com"
    assert strict["duckduckgo.com"] == "safe.duckduckgo.com"
    assert strict["www.bing.com"] == "strict.bing.com"
    assert strict["yandex.com"] == bytes((213, 180, 193, 56))
    assert strict["m.youtube.com"] == "restrict.youtube.com"
    assert set(moderate.values()) == {"restrictmoderate.youtube.com"}
    assert all(canonical(host) == host for host in strict)
    # A name that leads to a name that leads on would be asked for in its own, unsafe form.
    assert not [to for to in strict.values() if to in strict]


@pytest.mark.parametrize("text", ["", "[[engine]]\nname = 'x'", "engine = 3", "\x00", "[youtube]\nmoderate='a..b'"])
def test_a_broken_list_of_safe_searches_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "safe.toml"
    path.write_text(text)
    with pytest.raises(PolicyError):
        safesearch.read(path)
    with pytest.raises(PolicyError):
        safesearch.read(tmp_path / "none.toml")


# ---- use -------------------------------------------------------------------------------------------------------------

OPEN = Ruling("allow", "site:1", "example.org")
TIMED = Ruling("allow", "group:video", "example.net", "video", watched=True)
SHUT = Ruling("block", "group:video", "example.net", "video", watched=True)


def test_use_is_summed_by_site() -> None:
    uses = Uses("mia")
    for host, ruling, times in (("a.example.org", OPEN, 2), ("b.example.org", OPEN, 1), ("v.example.net", TIMED, 1),
                                ("v.example.net", SHUT, 4)):  # fmt: skip
        tally = uses.of(host, ruling)
        assert tally is not None
        tally.times += times
    assert list(uses.watched()) == [WatchedUse(child="mia", rule="group:video", minutes=1)]
    use = SiteUse
    assert list(uses.take(lambda host: host.partition(".")[2])) == [
        use(child="mia", host="example.org", action="allow", asked=3, minutes=1),
        use(child="mia", host="example.net", action="allow", asked=1, minutes=1),
        use(child="mia", host="example.net", action="block", asked=4, minutes=1),
    ]
    assert list(uses.watched()) == list(uses.take(str)) == []


def test_a_flood_of_names_is_not_written_down() -> None:
    uses = Uses("mia")
    tallies = [uses.of(f"n{number}.example.org", OPEN) for number in range(MOST + 5)]
    assert tallies[MOST:] == [None] * 5


# ---- the page --------------------------------------------------------------------------------------------------------

LANGUAGES = page.Languages(folder("assets") / "words")


def shown(
    ruling: Ruling | None, accepted: str = "en", host: str = "bad.example", outcome: page.Outcome | None = None
) -> str:
    return page.page(LANGUAGES.reader(accepted), host, ruling, token="t0ken", nonce="n0nce", outcome=outcome).decode()


@pytest.mark.parametrize(
    ("ruling", "words", "asks"),
    [
        (
            Ruling("block", "r", "bad.example", "", "Not on school days."),
            ["bad.example is not open", "Not on school"],
            True,
        ),
        (Ruling("block", "r", "example", "games"), ["“games”"], True),
        (Ruling("block", "r"), ["not on your list yet"], True),
        (
            Ruling("block", "r", "x.test", "", "Ask us.", led=True),
            ["bad.example is not", "leads to x.test.", "Ask us."],
            True,
        ),
        (Ruling("block", "r", "x.test", "games", led=True), ["It leads to x.test.", "“games”"], True),
        (Ruling("ask", "r"), ["opens when you ask"], True),
        (Ruling("allow", "r", "bad.example"), ["is open for you", "Load the page again"], False),
        (Ruling("allow", HELPLINE, HELPLINE), ["is open for you"], False),
        (None, ["This page is not open for you"], False),
    ],
)
def test_the_page_says_what_holds(ruling: Ruling | None, words: list[str], asks: bool) -> None:
    text = shown(ruling)
    assert all(word in text for word in words), text
    assert ("<button" in text) is ("t0ken" in text) is asks
    assert "116 111" in text


@pytest.mark.parametrize("outcome", ["asked", "already", "open", "no", "too-many", "refused", "silent", "stale"])
def test_each_outcome_has_words(outcome: page.Outcome) -> None:
    text = shown(Ruling("block", "r"), outcome=outcome)
    assert 'role="status"' in text
    assert ("<button" in text) is (outcome in ("silent", "stale"))


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_from_outside_becomes_markup(host: str, reason: str) -> None:
    text = shown(Ruling("block", "r", "x", "", reason), host=host)
    plain = shown(Ruling("block", "r", "x", "", "x"), host="x")
    assert text.count("<") == plain.count("<") + (0 if reason else -2)
    assert text.count('"') == plain.count('"') + (0 if reason else -2)


@given(st.text(max_size=100))
def test_any_accept_language_gives_a_page(accepted: str) -> None:
    assert LANGUAGES.reader(accepted).language in {"en", "ar", "es", "fr", "ja", "ru", "zh"}


@pytest.mark.parametrize(
    ("accepted", "language", "direction"),
    [("de-DE,de;q=0.9", "en", "ltr"), ("", "en", "ltr"), ("en-GB,en;q=0.8,fr;q=0.5", "en", "ltr"),
     ("ar-EG,ar;q=0.9,en;q=0.8", "ar", "rtl"), ("fr", "fr", "ltr"), ("zh-CN,zh", "zh", "ltr"), ("xx,ja;q=0.3", "ja", "ltr")],
)  # fmt: skip
def test_the_page_is_in_the_browsers_language(accepted: str, language: str, direction: str) -> None:
    reader = LANGUAGES.reader(accepted)
    assert (reader.language, reader.direction) == (language, direction)
    text = shown(Ruling("block", "r"), accepted)
    assert f'<html lang="{language}" dir="{direction}">' in text
    assert ("is not open for you" in text) == (language == "en")


def test_the_rules_own_reasons_are_in_the_browsers_language_and_a_guardians_is_as_it_was_written() -> None:
    used_up = Said(
        "Today's {time} of {title} are used up. There is more tomorrow.", (("time", 1800), ("title", "films.example"))
    )
    ruling = Ruling("block", "r", "films.example", "", "Today's 30 min of films.example …", said=used_up)
    assert "Today&#39;s 30 min of films.example are used up." in shown(ruling)
    assert "El tiempo de hoy para films.example (30 min) se ha agotado." in shown(ruling, "es")
    assert "films.example の今日の時間（30 分）を使い切りました。" in shown(ruling, "ja")
    assert "Such sites hide where you go." in shown(
        Ruling("block", "r", "x", "proxies", "Such sites hide where you go.")
    )
    assert "De tels sites cachent où tu vas." in shown(
        Ruling("block", "r", "x", "proxies", "Such sites hide where you go."), "fr"
    )
    assert "After {tea}, and only then." in shown(Ruling("block", "r", "x", "", "After {tea}, and only then."), "fr")


@pytest.mark.parametrize("language", ["ar", "es", "fr", "ja", "ru", "zh"])
def test_a_catalogue_has_every_sentence(language: str) -> None:
    english, other = shown(None), shown(None, language)
    assert LANGUAGES.reader(language).language == language
    sentences = {part.partition("<")[0] for part in english.split(">") if part.partition("<")[0].strip()}
    left = {
        part for part in sentences if part in other and any(letter.isalpha() for letter in part) and "{" not in part
    }
    assert left == set(), "not translated"


def test_a_page_of_ours_is_in_nobody_elses_frame_and_loads_nothing() -> None:
    reader = LANGUAGES.reader("en")
    policy = page.headers(reader, "n0nce")["Content-Security-Policy"]
    assert policy == (
        "default-src 'none'; style-src 'nonce-n0nce'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    text = shown(Ruling("block", "r"))
    assert "<script" not in text
    assert "http:" not in text and "https:" not in text and "url(" not in text


if sys.platform == "linux":
    from agent.filter.upstream import PATIENCE, Upstream

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("192.0.2.1", ("192.0.2.1", 53)),
            ("192.0.2.1:5353", ("192.0.2.1", 5353)),
            ("2001:db8::1", ("2001:db8::1", 53)),
            ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
            ("[2001:db8::1]", ("2001:db8::1", 53)),
        ],
    )
    def test_servers_are_named_by_address(text: str, address: tuple[str, int]) -> None:
        assert Upstream(text).address == address

    @pytest.mark.parametrize(
        "text", ["", "dns.example.org", "192.0.2.1:0", "192.0.2.1:x", "192.0.2.256", "1.2.3.4:99999"]
    )
    def test_other_words_are_no_server(text: str) -> None:
        with pytest.raises(PolicyError):
            Upstream(text)

    def test_a_server_is_silent_after_some_failures_and_rests_longer_each_time() -> None:
        one = Upstream("192.0.2.1")
        one.failed(0.0, 2.0)
        for _ in range(50):
            one.failed(1.0, 2.0)  # went out with the first
        assert not one.silent
        pauses = []
        for turn in range(12):
            now = 100.0 * (turn + 1)
            one.failed(now - 2, now)
            pauses.append(one.until - now)
        assert one.silent
        assert pauses[:4] == [2, 4, 8, 16]
        assert max(pauses) == 60
        one.answered(2000.0)
        assert not one.silent
        for turn in range(PATIENCE - 1):
            one.failed(2001.0 + turn, 2003.0 + turn)
        assert not one.silent
        one.failed(1999.0, 2010.0)
        assert not one.silent, "asked before it last answered"
