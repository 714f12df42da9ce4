"""DNS messages as bytes (RFC 1035, 6891, 8914): what is asked, and what is in an answer.  Pure, and wary of every byte.

Only what a forwarder needs: a question is taken apart and written anew, an answer is checked and passed on as it is.
"""

from __future__ import annotations

import struct

from msgspec import Struct

A, NS, CNAME, SOA, PTR, AAAA, OPT, DS, DNSKEY, SVCB, HTTPS = 1, 2, 5, 6, 12, 28, 41, 43, 48, 64, 65
IXFR, AXFR, ANY = 251, 252, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
QR, TC, RD, RA, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
DO = 0x8000

LONGEST_NAME = 255
LONGEST_QUERY = 4096
"""Bytes of a question that are looked at; a real one has less than a hundred."""
PLAIN_SIZE = 512
"""Bytes of an answer over UDP to one who does not say that more may come."""
MOST_LEADS = 32
"""Names that an answer may lead to, one after the other; resolvers give up after a dozen."""
OUR_SIZE = 1232
"""Bytes of a datagram that need no fragments anywhere (what DNS servers agreed on in 2020)."""

HEADER = struct.Struct(">HHHHHH")
_COUNTS = struct.Struct(">HHHH")
_TYPE_CLASS = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
_OPT = struct.Struct(">BHHBBHH")
_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")
ORDINARY = b"abcdefghijklmnopqrstuvwxyz0123456789-_."
_QUERY_FLAGS = RD | CD | 0x0020  # and AD: the asker understands it in the answer (RFC 6840 5.7)


class Malformed(ValueError):
    """Bytes that are no DNS message, or none of the kind that is expected here."""


class Unanswerable(Exception):
    """A question that gets an error; ``code`` is the RCODE."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Query(Struct, frozen=True):
    """A question, taken apart."""

    number: bytes
    """The two bytes by which the asker knows the answer."""
    flags: int
    """RD, CD and AD as they were asked."""
    host: str
    """The name in lower case without a last dot; empty for the root and when it is not ``ordinary``."""
    ordinary: bool
    """Made of letters, digits, ``-`` and ``_`` only: everything else is no host name, and could be mistaken for another."""
    type: int
    klass: int
    wire: bytes
    """The question section, as it was asked."""
    edns: bool
    dnssec: bool
    size: int
    """Bytes that an answer over UDP may have."""

    @property
    def key(self) -> bytes:
        """The same for questions with the same answer."""
        head = bytes((self.flags & CD, self.flags & 0x20, self.edns, self.dnssec))
        return head + self.wire[:-4].lower() + self.wire[-4:]


def read_query(data: bytes) -> Query:
    """``Malformed`` for what deserves no answer, ``Unanswerable`` for what gets an error."""
    total = len(data)
    if total < 12 or data[2] & 0x80:
        raise Malformed("no question")
    if data[2] & 0x78:
        raise Unanswerable(NOTIMP)
    more = data[11]
    if data[4:11] != b"\0\1\0\0\0\0\0" or more > 1 or total > LONGEST_QUERY:
        raise Unanswerable(FORMERR)  # another number of questions than one, answers to them, or more than an OPT record
    labels = []
    at = 12
    try:
        while length := data[at]:
            if length > 63:  # also a pointer: there is nothing before a question to point to
                raise Unanswerable(FORMERR)
            labels.append(data[at + 1 : at + 1 + length])
            at += length + 1
        kind, klass = _TYPE_CLASS.unpack_from(data, at + 1)
    except (IndexError, struct.error):
        raise Unanswerable(FORMERR) from None
    at += 5
    if at - 16 > LONGEST_NAME:
        raise Unanswerable(FORMERR)
    name = b".".join(labels).lower()
    ordinary = not name.translate(None, ORDINARY) and name.count(b".") == (len(labels) - 1 if labels else 0)
    edns = dnssec = False
    size = PLAIN_SIZE
    if more:
        edns, dnssec, size = True, *_read_opt(data, at)
    elif at != total:
        raise Unanswerable(FORMERR)
    return Query(
        data[:2],
        (data[2] << 8 | data[3]) & _QUERY_FLAGS,
        name.decode("ascii") if ordinary else "",
        ordinary,
        kind,
        klass,
        data[12:at],
        edns,
        dnssec,
        size,
    )


def _read_opt(data: bytes, at: int) -> tuple[bool, int]:
    """``(DNSSEC records are wanted, bytes an answer may have)`` from the one record that may follow a question."""
    if len(data) < at + 11:
        raise Unanswerable(FORMERR)
    root, kind, size, _, version, flags, length = _OPT.unpack_from(data, at)
    if root or kind != OPT or len(data) != at + 11 + length:
        raise Unanswerable(FORMERR)
    if version:
        raise Unanswerable(BADVERS)
    return bool(flags & DO), max(PLAIN_SIZE, min(size, LONGEST_QUERY))


def write_query(number: bytes, flags: int, question: bytes, *, edns: bool, dnssec: bool) -> bytes:
    """A question of our own: nothing of the asker's goes on but the question and what it says about DNSSEC."""
    head = number + _SHORT.pack(flags) + _COUNTS.pack(1, 0, 0, int(edns))
    return head + question + (_OPT.pack(0, OPT, OUR_SIZE, 0, 0, DO if dnssec else 0, 0) if edns else b"")


def write_name(host: str) -> bytes:
    """``example.org`` as it is on the wire.  ``ValueError`` when it is too long."""
    labels = [label.encode("ascii") for label in host.split(".")] if host else []
    out = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(out) > LONGEST_NAME or not all(0 < len(label) <= 63 for label in labels):
        raise ValueError(host)
    return out


def write_question(host: str, kind: int) -> bytes:
    """The question section for a type of a name."""
    return write_name(host) + _TYPE_CLASS.pack(kind, IN)


# ---- answers ---------------------------------------------------------------------------------------------------------


class Record(Struct, frozen=True):
    """Where a record of an answer lies."""

    section: int
    """0 answer, 1 authority, 2 additional."""
    type: int
    ttl_at: int
    data_at: int
    length: int


def read_answer(data: bytes, question: bytes) -> tuple[Record, ...]:
    """The records of an answer to ``question``.  ``Malformed`` when it is none, or is not whole.

    A truncated answer (TC) may end anywhere; it has no records.
    """
    if len(data) < 12 + len(question) or not data[2] & 0x80 or data[2] & 0x78 or data[4:6] != b"\0\1":
        raise Malformed("no answer")
    asked = data[12 : 12 + len(question)]
    if asked != question and (asked[-4:] != question[-4:] or asked[:-4].lower() != question[:-4].lower()):
        raise Malformed("an answer to another question")
    if data[2] & 0x02:
        return ()
    records = []
    at = 12 + len(question)
    try:
        for section in (0, 1, 2):
            for _ in range(_SHORT.unpack_from(data, 6 + 2 * section)[0]):
                at = _skip_name(data, at)
                kind, _, _, length = _RECORD.unpack_from(data, at)
                records.append(Record(section, kind, at + 4, at + 10, length))
                at += 10 + length
                if at > len(data):
                    raise Malformed("a record beyond the end")
    except (IndexError, struct.error):
        raise Malformed("not whole") from None
    if at != len(data):
        raise Malformed("more than it says")
    return tuple(records)


def _skip_name(data: bytes, at: int) -> int:
    """Where a name ends.  A pointer leads to an earlier place only, so that no reader of it can go in circles."""
    start = at
    while length := data[at]:
        if length >= 0xC0:
            if ((length & 0x3F) << 8 | data[at + 1]) >= start:
                raise Malformed("a pointer that does not lead back")
            return at + 2
        if length > 63 or at - start > LONGEST_NAME:
            raise Malformed("a label of no kind")
        at += length + 1
    return at + 1


def leads(data: bytes, records: tuple[Record, ...]) -> tuple[str, ...]:
    """The hosts that an answer leads to: the other names of CNAME records, and of those of the kind of HTTPS (RFC 9460).
    ``Malformed`` when one is no name, or there are more than anybody follows."""
    found: list[str] = []
    for record in records:
        if record.section == 0 and record.type in _LEADING:
            host = read_host(data, record.data_at + _LEADING[record.type], record.data_at + record.length)
            if host and host not in found:
                found.append(host)
    if len(found) > MOST_LEADS:
        raise Malformed("a way without end")
    return tuple(found)


_LEADING = {CNAME: 0, SVCB: 2, HTTPS: 2}
"""Where in its data a record has the name that it leads to."""


def read_host(data: bytes, at: int, end: int) -> str:
    """The host that a name stands for which lies at ``at`` and ends before ``end``, in lower case; empty for the root.

    Of a name that is not ordinary, the part above its last strange label: what is listed may be above a name, never below.
    Parts that were written before are pointed at (RFC 1035, 4.1.4), each further back than the last.
    """
    labels: list[bytes] = []
    size = 1
    start = at
    try:
        for _ in range(LONGEST_NAME):  # labels and pointers
            length = data[at]
            if not length:
                return b".".join(labels).decode("ascii")
            if length >= 0xC0:
                to = (length & 0x3F) << 8 | data[at + 1]
                if to >= start or at + 2 > end:
                    raise Malformed("a pointer that does not lead back")
                at, start, end = to, to, len(data)
                continue
            label = data[at + 1 : at + 1 + length].lower()
            at += length + 1
            size += length + 1
            if length > 63 or size > LONGEST_NAME or at >= end:
                raise Malformed("a label of no kind")
            if b"." in label or label.translate(None, ORDINARY):
                labels.clear()
            else:
                labels.append(label)
    except IndexError:
        pass
    raise Malformed("a name without end")


def code_of(data: bytes) -> int:
    """The RCODE of an answer (without the bits that EDNS adds)."""
    return data[3] & 0x0F


def truncated(data: bytes) -> bool:
    return bool(data[2] & 0x02)


def ttl_of(data: bytes, record: Record) -> int:
    """Seconds.  With the highest bit set it counts as none (RFC 2181, 8)."""
    seconds: int = _LONG.unpack_from(data, record.ttl_at)[0]
    return 0 if seconds & 0x8000_0000 else seconds


def with_ttls(data: bytes, places: tuple[tuple[int, int], ...], age: int, most: int) -> bytes:
    """An answer whose TTLs (``places``: where, seconds at first) are ``age`` seconds older, and ``most`` at most."""
    out = bytearray(data)
    for at, seconds in places:
        _LONG.pack_into(out, at, min(most, max(0, seconds - age)))
    return bytes(out)


def to_asker(query: Query, answer: bytes) -> bytes:
    """An answer that came to the same question of ours, for whoever asked ``query``: its number and its spelling."""
    return query.number + answer[2:12] + query.wire + answer[12 + len(query.wire) :]


def cut(query: Query, answer: bytes) -> bytes:
    """What fits over UDP of an answer: itself, or the word that there is more (TC) for those who then ask over TCP."""
    if len(answer) <= query.size:
        return answer
    flags = _SHORT.unpack_from(answer, 2)[0] | TC
    return reply(query, flags & 0x0F, flags=flags)


def reply(
    query: Query,
    code: int,
    answers: tuple[bytes, ...] = (),
    authority: bytes = b"",
    *,
    extra: bytes = b"",
    flags: int = 0,
) -> bytes:
    """An answer of our own.  ``authority`` is one record or none; ``extra`` are options of EDNS (for those who speak it)."""
    flags |= QR | RA | (query.flags & (RD | CD)) | (code & 0x0F)
    opt = b""
    if query.edns:
        opt = _OPT.pack(0, OPT, OUR_SIZE, code >> 4, 0, DO if query.dnssec else 0, len(extra)) + extra
    counts = (1, len(answers), 1 if authority else 0, 1 if opt else 0)
    head = query.number + _SHORT.pack(flags) + _COUNTS.pack(*counts)
    return b"".join((head, query.wire, *answers, authority, opt))


def failure(data: bytes, code: int) -> bytes:
    """An error for a question that could not be read: its number, and nothing of its content."""
    flags = QR | RA | (data[2] << 8 & RD) | (data[2] << 8 & 0x7800) | (code & 0x0F)
    if code <= 0x0F:
        return HEADER.pack(data[0] << 8 | data[1], flags, 0, 0, 0, 0)
    return HEADER.pack(data[0] << 8 | data[1], flags, 0, 0, 0, 1) + _OPT.pack(0, OPT, OUR_SIZE, code >> 4, 0, 0, 0)


_ASKED_NAME = b"\xc0\x0c"
"""A pointer to the name in the question."""


def record(kind: int, ttl: int, data: bytes, owner: bytes = _ASKED_NAME) -> bytes:
    """A record of class IN."""
    return owner + _RECORD.pack(kind, IN, ttl, len(data)) + data


def no_data(ttl: int) -> bytes:
    """The SOA record that lets "there is none" be remembered for ``ttl`` seconds (RFC 2308)."""
    return record(SOA, ttl, b"\0\0" + struct.pack(">IIIII", 1, 3600, 600, 86400, ttl))


def explained(code: int, text: str) -> bytes:
    """An option of EDNS that says why (RFC 8914)."""
    words = text.encode("utf-8", "replace")[:200]
    words = words.decode("utf-8", "ignore").encode()
    return struct.pack(">HHH", 15, 2 + len(words), code) + words
