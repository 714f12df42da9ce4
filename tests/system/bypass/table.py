"""The forty rows of known ways around a screen-time limit (docs/threat-model.md), as far as they are not attacked here."""

from __future__ import annotations

ROWS = set(range(1, 41))
NOT_HERE = {
    14: "virtual machines: an unknown program as any other, and no /dev/kvm in a container",
    20: "there is no reset by mail or question to attack",
    21: "no safe mode on Linux; rescue.target asks for root's password",
    22: "single-user boot: docs/limits.md, another system",
    23: "another system from a stick: docs/limits.md",
    24: "remote play is a site or a program; its time is charged as any",
    40: "another device: docs/limits.md",
}
