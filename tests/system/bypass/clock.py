"""Turning the clock.  The container cannot set it, whoever asks; what is seen here is who is refused before that, and that
the child's own clock means nothing.  Steps of a clock that do happen are in the core's property tests."""

from __future__ import annotations

import time

from tests.system.bypass.attack import Outcome, attack
from tests.system.bypass.lab import SHORT, Lab, all_of, refused
from tests.system.bypass.sessions import _play

POLKIT = (
    "authentication required",
    "Access denied",
    "not authorized",
    "Not authorized",
    "Permission denied",
    "not permitted",
    "Cannot access the Hardware Clock",
    "NTP not supported",
)


def _unmoved(lab: Lab, *lines: str) -> Outcome:
    """Each line is refused, and neither clock nor zone is another after it."""
    before = lab.box.run("date +%z; readlink /etc/localtime; timedatectl show -p NTP").out
    off = time.time() - float(lab.box.run("date +%s.%N").out)
    found = [(line, refused(lab.mia.run(line), *POLKIT)) for line in lines]
    moved = abs(time.time() - float(lab.box.run("date +%s.%N").out) - off) > 2
    same = lab.box.run("date +%z; readlink /etc/localtime; timedatectl show -p NTP").out == before
    outcome = all_of(found)
    return Outcome(outcome.held and same and not moved, outcome.evidence if same and not moved else "the clock was set")


@attack("clock-back", "set the clock back: date, timedatectl, hwclock, the bus", 1)
def clock_back(lab: Lab) -> Outcome:
    return _unmoved(
        lab, "date -s '2 hours ago'", "timedatectl --no-ask-password set-time '2020-01-01 10:00:00'",
        "/usr/sbin/hwclock --set --date '2020-01-01'", "unshare -Ur date -s '2 hours ago'",
        "busctl call org.freedesktop.timedate1 /org/freedesktop/timedate1 org.freedesktop.timedate1 SetTime xbb -- -7200000000 true false",
    )  # fmt: skip


@attack("clock-forward", "set the clock forward into the next day, and switch its setting by network off", 2)
def clock_forward(lab: Lab) -> Outcome:
    return _unmoved(
        lab, "date -s tomorrow", "timedatectl --no-ask-password set-ntp false", "timedatectl --no-ask-password set-local-rtc 1",
        "busctl call org.freedesktop.timedate1 /org/freedesktop/timedate1 org.freedesktop.timedate1 SetTime xbb 86400000000 true false",
    )  # fmt: skip


@attack("zone", "another time zone: timedatectl, /etc/localtime", 3)
def zone(lab: Lab) -> Outcome:
    return _unmoved(
        lab, "timedatectl --no-ask-password set-timezone Pacific/Kiritimati", "ln -sf /usr/share/zoneinfo/Pacific/Kiritimati /etc/localtime",
        "unshare -Urm mount --bind /usr/share/zoneinfo/Pacific/Kiritimati /etc/localtime && false || echo Permission denied >&2; false",
    )  # fmt: skip


@attack("faketime", "faketime and TZ for one's own programs", 1, 2, 3, kid=SHORT)
def faketime(lab: Lab) -> Outcome:
    line = "export TZ=Pacific/Kiritimati; exec faketime -f '-30d' $BAG/game 60"
    return _play(lab, "kid-faketime", line)


@attack("time-namespace", "a time namespace of one's own (unshare -T)", 1, 2, kid=SHORT)
def time_namespace(lab: Lab) -> Outcome:
    return _play(lab, "kid-time-namespace", "exec unshare -UrT --boottime 864000 $BAG/game 60")
