"""Canonical host names: one spelling for each host, whatever an address, a policy or a list calls it.

A name is written in lower-case A-labels without a last dot.  A bare address is written as browsers reach it: IPv4 as four
decimal numbers whatever its spelling was (WHATWG URL, "ends in a number checker" and "IPv4 parser"), IPv6 compressed and
without brackets, an IPv4 address that is mapped into IPv6 as IPv4.
"""

from __future__ import annotations

import re

from agent.errors import PolicyError

MAX_HOST = 253
MAX_TEXT = 8192
"""Letters of an address; browsers' own address bars take no more of use."""

# As browsers read it: after http, https, ws, wss and ftp any number of slashes of either kind, also none; after another
# scheme exactly two.  What has no scheme is a host with what may follow one.
_SCHEME = re.compile(r"(?:(?:https?|wss?|ftp):[/\\]*|[a-z][a-z0-9+.-]*://|[/\\]{2,})", re.IGNORECASE | re.ASCII)
# The authority ends at the first of these, so no address inside the rest counts.
_END = re.compile(r"[/\\?#]")
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{0,9}))?", re.ASCII | re.DOTALL)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+", re.ASCII)
_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
_LEFT_OUT = str.maketrans("", "", "\t\r\n")
_AROUND = "".join(map(chr, range(33)))


def canonical(text: str) -> str:
    """The host in an address or name.  Raises ``PolicyError`` when there is none."""
    host = read(text)
    if host is None:
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        raise PolicyError(f"“{shown}” is no host name", "Write one such as example.org.")
    return host


def read(text: str) -> str | None:
    """As ``canonical``, with ``None`` where there is no host: for lists of a million names, most of which are good."""
    if len(text) <= MAX_HOST and text.isascii() and not is_address(text):
        lower = text.lower()
        if all(map(_LABEL.fullmatch, lower.split("."))):
            return lower
    if len(text) > MAX_TEXT:
        return None
    text = text.strip(_AROUND).translate(_LEFT_OUT)
    scheme = _SCHEME.match(text)
    authority = _END.split(text[scheme.end() :] if scheme else text, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    if scheme is None and authority == host and host.count(":") > 1 and not host.startswith("["):
        return _six(host)
    found = _HOST.fullmatch(host)
    if found is None or int(found[2] or 0) > 65535:
        return None
    if found[1].startswith("["):
        return _six(found[1][1:-1])
    return _name(found[1])


def is_address(host: str) -> bool:
    """Whether a host is a bare address, or would be one if it is anything: its last label is a number."""
    if ":" in host:
        return True
    if not host or host[-1] not in "0123456789abcdefABCDEFxX.":
        return False
    last = host.removesuffix(".").rpartition(".")[2]
    return last.isdigit() or (last[:2] in ("0x", "0X") and _NUMBER.fullmatch(last) is not None)


def _name(host: str) -> str | None:
    if "%" in host:
        raw = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), host.encode("utf-8", "surrogatepass"))
        try:
            host = raw.decode("utf-8")
        except UnicodeDecodeError:
            return None
    if not host.isascii():
        mapped = _ascii(host)
        if mapped is None:
            return None
        host = mapped
    host = host.lower()
    if is_address(host):
        return None if ":" in host else _four(host.removesuffix(".").split("."))
    host = host.removesuffix(".")
    return host if len(host) <= MAX_HOST and all(map(_LABEL.fullmatch, host.split("."))) else None


def _ascii(host: str) -> str | None:
    """The A-labels of a name as browsers make them: mapped by UTS 46 (not transitional), then Punycode label by label.

    Not ``idna.encode``: IDNA 2008 refuses names that browsers visit all the same, such as those with emoji.
    """
    import idna  # here: its tables are a megabyte, and what asks the resolver comes in A-labels

    try:
        labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
        return ".".join(
            label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii") for label in labels
        )
    except (idna.IDNAError, UnicodeError):
        return None


def _four(parts: list[str]) -> str | None:
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    numbers = []
    for part in parts:
        try:
            numbers.append(_number(part))
        except ValueError:
            return None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (5 - len(numbers)):
        return None
    value = last + sum(number << 8 * (3 - at) for at, number in enumerate(first))
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _number(part: str) -> int:
    if part[:2] == "0x":
        return int(part[2:] or "0", 16)
    if len(part) > 1 and part[0] == "0":
        return int(part, 8)
    return int(part) if len(part) <= 10 else 1 << 32


def _six(text: str) -> str | None:
    import ipaddress  # here: few hosts are of this kind

    try:
        found = ipaddress.IPv6Address(text) if "%" not in text else None
    except ValueError:
        return None
    if found is None:
        return None
    return str(found.ipv4_mapped) if found.ipv4_mapped is not None else found.compressed
