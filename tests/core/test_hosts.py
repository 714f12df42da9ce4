"""Hosts: one spelling for each, whatever an address calls it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from random import Random, randrange
from urllib.parse import quote

import idna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.hosts import MAX_TEXT, canonical, is_address, read
from agent.errors import PolicyError

LONG = ".".join(["a" * 49] * 5)


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
        ("example.org:", "example.org"),
        ("example.org/path@x", "example.org"),
        ("http:example.org", "example.org"),
        ("http:/\\/example.org", "example.org"),
        ("//example.org/x", "example.org"),
        ("git+ssh://ana@example.org/x", "example.org"),
        ("https://good.example@bad.example", "bad.example"),
        ("https://good.example:pw@bad.example:80", "bad.example"),
        ("https://a@b@bad.example", "bad.example"),
        ("https://exa\nmple.o\trg/", "example.org"),
        ("\x00https://example.org\x1f", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.Example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("i❤.example", "xn--i-7iq.example"),
        ("ｅｘａｍｐｌｅ．ｏｒｇ", "example.org"),
        ("example。org", "example.org"),
        ("exam\u00adple.org", "example.org"),
        ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("https://ex%61mple%2Eorg/", "example.org"),
        ("https://b%C3%BCcher.example", "xn--bcher-kva.example"),
        ("_dmarc.a-b.example", "_dmarc.a-b.example"),
        ("localhost", "localhost"),
        ("a" * 63 + ".org", "a" * 63 + ".org"),
        (LONG + ".abc", LONG + ".abc"),
        # IPv4, as browsers read it
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1.", "192.0.2.1"),
        ("http://0300.0.0x2.1/", "192.0.2.1"),
        ("0xC0000201", "192.0.2.1"),
        ("0XC0000201", "192.0.2.1"),
        ("3221225985", "192.0.2.1"),
        ("030000001001", "192.0.2.1"),
        ("192.513", "192.0.2.1"),
        ("192.0.513", "192.0.2.1"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("0x.0x.0x", "0.0.0.0"),
        ("4294967295", "255.255.255.255"),
        ("１９２.0.2.1", "192.0.2.1"),
        ("192%2e0%2e2%2e1", "192.0.2.1"),
        # IPv6
        ("http://[2001:DB8:0:0::1]:80/x", "2001:db8::1"),
        ("2001:db8::0001", "2001:db8::1"),
        ("[::ffff:192.0.2.1]", "192.0.2.1"),
        ("[::ffff:c000:201]", "192.0.2.1"),
        ("[::1]", "::1"),
    ],
)
def test_the_host_in_an_address(text: str, host: str) -> None:
    assert canonical(text) == host
    assert canonical(host) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "https://",
        "file:///etc/hosts",
        "javascript:alert(1)",
        "data:text/html,x",
        "about:blank",
        ".",
        "..",
        "a..b",
        ".example.org",
        "example.org..",
        "-a.org",
        "a-.org",
        "a b.org",
        "a%20b.org",
        "a%00.org",
        "a%2fb.org",
        "a%ffb.org",
        "a%zzb.org",
        "%2525.org",
        "*.example.org",
        "example.org:port",
        "example.org:65536",
        "example.org:80:80",
        "a" * 64 + ".org",
        LONG + ".abcde",
        "a!.org",
        "--",
        "\ufffd.org",
        "\ud800.org",
        "256.0.0.1",
        "1.2.3.4.5",
        "1.2.3.256",
        "192.0.131072",
        "4294967296",
        "9" * 5000,
        "08.0.0.1",
        "1.2.3.08",
        "0xg.0.0.1",
        "a.0x1",
        "foo.1",
        "1..2",
        "[::1",
        "[::1%25lo]",
        "[::g]",
        "[]",
        "[1.2.3.4]",
        "[::1]x",
        "::1::",
        "x" * (MAX_TEXT + 1),
    ],
)
def test_what_is_no_host(text: str) -> None:
    assert read(text) is None
    with pytest.raises(PolicyError) as caught:
        canonical(text)
    assert caught.value.title == f"“{text if len(text) <= 80 else text[:79] + '…'}” is no host name"
    assert caught.value.advice == "Write one such as example.org."


@pytest.mark.parametrize("host", ["192.0.2.1", "::1", "1", "a.1", "0x7f", "foo.0x", "1.2."])
def test_what_ends_in_a_number_is_an_address_or_nothing(host: str) -> None:
    assert is_address(host)


@pytest.mark.parametrize("host", ["", "example.org", "a1", "1.org", "0x1.org", "cafe", "x.1a", "xn--45q11c", "f"])
def test_what_is_no_address(host: str) -> None:
    assert not is_address(host)


# ---- fuzz: forms of a known host, made from the parts of the URL standard, never by what is tested ------------------

SCHEMES = ("", "http://", "HTTPS://", "https:", "http:/", "http:\\\\", "ftp:////", "//", "wss:\\/", "x-y+z://")
USERS = ("", "ana@", "ana:pw@", "good.example:80@", "a@b@", ":@", "[::1]@")
TAILS = (
    "",
    "/",
    "/a/b",
    "?q=other.example",
    "#other.example",
    "\\x",
    "/@other.example",
    "?@other.example",
    "//o.example",
)
PORTS = ("", ":", ":0", ":80", ":8443", ":65535")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MAPPED = {
    **{letter: (letter, letter.upper(), chr(ord(letter) + 0xFEE0), f"%{ord(letter):02x}") for letter in LETTERS},
    ".": (".", "．", "。", "｡", "%2E", "%2e"),
    "-": ("-", "%2d"),
}
ALPHABETS = ("abcxyz019-", "äöüßéñabc", "абвгд", "例え日本", "عربى", "αβγς")


def name(dice: Random) -> tuple[str, str]:
    """A name in letters of several scripts, and its A-labels by the strict encoder of IDNA 2008."""
    labels = []
    for _ in range(dice.randint(1, 4)):
        label = "".join(dice.choices(dice.choice(ALPHABETS), k=dice.randint(1, 12)))
        try:
            labels.append((label, idna.encode(label).decode("ascii")))
        except idna.IDNAError:
            labels.append(("ok", "ok"))
    top = dice.choice(("org", "example", "co.uk", "museum"))
    return ".".join([a for a, _ in labels] + [top]), ".".join([b for _, b in labels] + [top])


def dressed(dice: Random, host: str) -> str:
    around = dice.choice(("", " ", "\t", "\x00", "\n "))
    text = dice.choice(SCHEMES)
    if text:
        text += dice.choice(USERS)
    text += host + dice.choice(PORTS) + dice.choice(TAILS)
    if text and dice.random() < 0.3:
        at = dice.randint(0, len(text))
        text = text[:at] + dice.choice("\t\r\n") + text[at:]
    return around + text + around


def named(dice: Random) -> tuple[str, str]:
    written, host = name(dice)
    spelled = "".join(dice.choice(MAPPED.get(letter, (letter, quote(letter)))) for letter in written)
    return dressed(dice, spelled + dice.choice(("", "."))), host


def four(dice: Random) -> tuple[str, str]:
    value = dice.getrandbits(32)
    count = dice.randint(1, 4)
    parts = [value >> (24 - 8 * at) & 255 for at in range(count - 1)]
    parts.append(value & ((1 << 8 * (5 - count)) - 1))
    spelled = ".".join(dice.choice(("{:d}", "0{:o}", "0x{:x}", "0X{:X}", "000{:o}")).format(part) for part in parts)
    return dressed(dice, spelled + dice.choice(("", "."))), str(ipaddress.IPv4Address(value))


def six(dice: Random) -> tuple[str, str]:
    found = ipaddress.IPv6Address(dice.choice((dice.getrandbits(128), dice.getrandbits(16) << 64, 0xFFFF << 32 | 7)))
    text = dice.choice((found.compressed, found.exploded, found.exploded.upper()))
    return dressed(dice, f"[{text}]"), str(found.ipv4_mapped) if found.ipv4_mapped else found.compressed


@pytest.mark.parametrize(("kind", "count"), [(named, 9000), (four, 3000), (six, 1000)])
def test_every_form_of_a_host_is_the_host(kind: Callable[[Random], tuple[str, str]], count: int) -> None:
    dice = Random(randrange(1 << 32))  # another run, other forms: the seed is the test run's own
    wrong = [case for case in (kind(dice) for _ in range(count)) if read(case[0]) != case[1]]
    assert wrong == []


@settings(deadline=None)
@given(st.text(max_size=60) | st.text("ab.:/@[]%0x1\\?#-_ \t", max_size=40))
def test_whatever_is_read_is_one_spelling(text: str) -> None:
    host = read(text)
    if host is None:
        return
    assert read(host) == host
    assert len(host) <= 253
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        assert str(ipaddress.ip_address(host)) == host
        assert is_address(host)
    else:
        assert not is_address(host)
        for label in host.split("."):
            assert re.fullmatch(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", label, re.ASCII)
