"""Addresses of the home network in an answer for a public name: how a page on the Internet reaches a router or a printer
(DNS rebinding).  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from agent.filter import wire

_HINT4, _HINT6 = 4, 6
_MAPPED = bytes(10) + b"\xff\xff"
_NAT64 = bytes.fromhex("0064ff9b") + bytes(8)


def leads_home(data: bytes, records: tuple[wire.Record, ...]) -> bool:
    """Whether any address in the answer, or any hint at one, is this PC's or a private network's."""
    for record in records:
        if record.type in (wire.A, wire.AAAA, wire.HTTPS, wire.SVCB):
            value = data[record.data_at : record.data_at + record.length]
            found = (value,) if record.type in (wire.A, wire.AAAA) else _hints(value)
            if any(map(is_private, found)):
                return True
    return False


def is_private(address: bytes) -> bool:
    """Of four or sixteen bytes; anything else is no address, and nobody can be led anywhere by it."""
    if len(address) == 4:
        first, second = address[0], address[1]
        return (
            first in (0, 10, 127)
            or (first == 172 and second & 0xF0 == 16)
            or (first == 192 and second == 168)
            or (first == 169 and second == 254)
        )
    if len(address) != 16:
        return False
    if address[:12] in (_MAPPED, _NAT64) or (address[:12] == bytes(12) and address[12:] > b"\0\0\0\1"):
        return is_private(address[12:])
    return (
        address[:15] == bytes(15)  # ::, ::1 and their like
        or address[0] & 0xFE == 0xFC
        or (address[0] == 0xFE and address[1] & 0x80 == 0x80)
    )


def _hints(value: bytes) -> Iterator[bytes]:
    """The addresses in the parameters of an HTTPS record (RFC 9460, 7.3); none from one that is not whole."""
    at = 2
    while at < len(value) and value[at]:
        at += value[at] + 1  # the target: never compressed
    at += 1
    while at + 4 <= len(value):
        key = value[at] << 8 | value[at + 1]
        end = at + 4 + (value[at + 2] << 8 | value[at + 3])
        size = {_HINT4: 4, _HINT6: 16}.get(key)
        if size:
            for start in range(at + 4, min(end, len(value)), size):
                yield value[start : start + size]
        at = end
