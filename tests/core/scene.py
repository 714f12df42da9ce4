"""A small family in Lisbon for tests of the core: limits as a guardian writes them, nothing filled in behind their back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from agent.clock import HOUR, MINUTE, SECOND, Millis
from agent.core.checks import check
from agent.core.constraints import Moment, moment
from agent.core.decide import Decision, Situation, decide
from agent.core.family import parse
from agent.core.judge import running
from agent.core.programs import Matcher
from agent.core.rules import ChildRules, Rules, compile_policy
from agent.core.saying import say
from agent.core.schedule import wall_of
from agent.model.grant import Grant
from agent.model.policy import CatalogueEntry, LinuxIdentity, MacIdentity, Policy, WindowsIdentity
from agent.model.program import Process, ProgramId
from agent.model.snapshot import Session
from agent.model.usage import DayUse, Folding, Usage
from agent.model.verdict import Effect, EndSession, Ladder, Notify, StopProgram
from tests import family
from tests.family import MONDAY

LISBON = ZoneInfo("Europe/Lisbon")
RESET = 180

HEAD = family.head()
CHILD = family.child(accounts=["mia", "mia-school"], preset="junior")

CATALOGUE = {
    "games": [
        CatalogueEntry(
            id="chess",
            name="Chess",
            group="games",
            linux=LinuxIdentity(
                package=["gnome-chess"], flatpak=["org.x.Chess"], snap=["chess-snap"], binary=["gchess"]
            ),
            windows=WindowsIdentity(publisher="CN=Chess", product="Chess", appx="Chess.App", binary=["chess.exe"]),
            macos=MacIdentity(team="CHESSTEAM", binary=["Chess"]),
        ),
        CatalogueEntry(
            id="racer", name="Racer", group="games", linux=LinuxIdentity(package=["racer"], binary=["racer"])
        ),
    ],
    "school": [
        CatalogueEntry(id="sums", name="Sums", group="school", linux=LinuxIdentity(package=["sums"], binary=["sums"]))
    ],
    "system": [
        CatalogueEntry(
            id="files", name="Files", group="system", linux=LinuxIdentity(package=["nautilus"], binary=["files"])
        )
    ],
}

CHESS = ProgramId(name="gchess", path="/usr/games/gchess", package="deb:gnome-chess", protected=True, application=True)
RACER = ProgramId(name="racer", path="/usr/games/racer", package="deb:racer", protected=True, application=True)
SUMS = ProgramId(name="sums", path="/usr/bin/sums", package="deb:sums", protected=True, application=True)
ODD = ProgramId(name="odd", path="/home/mia/odd")
BUS = ProgramId(name="dbus-daemon", path="/usr/bin/dbus-daemon", package="deb:dbus", protected=True)


def rules(limits: str = "", *, head: str = HEAD, more: str = "") -> Rules:
    """The compiled policy of a family with these limits for mia."""
    written = parse(head + CHILD + limits + "\n" + more)
    return compile_policy(
        Policy(policy_id="x", version=1, issued="2026-01-01T00:00:00Z", family=written, catalogue=dict(CATALOGUE))
    )


def problems(
    limits: str = "",
    more: str = "",
    *,
    head: str = HEAD,
    child: str = CHILD,
    accounts: Collection[str] | None = None,
    lists: Collection[str] | None = None,
    signed: bool = False,
) -> list[tuple[str, str, str, bool]]:
    """What is wrong with such a family: where, title, advice, and whether it is an error."""
    written = parse(head + child + limits + "\n" + more)
    return [
        (p.where, p.title, p.advice, p.error) for p in check(written, CATALOGUE, accounts, lists=lists, signed=signed)
    ]


def mia(limits: str = "", **how: str) -> ChildRules:
    return rules(limits, **how).children["mia"]


def at(minute: float, day: dt.date = MONDAY) -> Millis:
    """The wall time of a local minute."""
    return wall_of(day, 0, LISBON) + round(minute * MINUTE)


def clock(text: str, day: dt.date = MONDAY) -> Millis:
    hour, _, minute = text.partition(":")
    return wall_of(day, int(hour) * 60 + int(minute), LISBON)


def now(child: ChildRules, text: str = "15:00", day: dt.date = MONDAY) -> Moment:
    return moment(child, clock(text, day))


def used(minutes: float = 0, day: dt.date = MONDAY, **more: float) -> Usage:
    """Minutes used on a day, and by program (keyword)."""
    programs = {key: round(value * MINUTE) for key, value in more.items()}
    return Usage(
        child="mia",
        since="2026-01-01",
        days={day.isoformat(): DayUse(total=round(minutes * MINUTE), programs=programs)},
    )


def extra(minutes: float, day: dt.date = MONDAY, child: str = "mia", name: str = "g") -> Grant:
    seconds = round(minutes * 60)
    return Grant(id=name, child=child, kind="time", seconds=seconds, day=day.isoformat(), given=0, by="ana")


def process(program: ProgramId, pid: int = 10, started: int = 1) -> Process:
    return Process(pid=pid, started=started, parent=1, account="mia", program=program)


class Run:
    """One child through a run of decisions: time and use go by, the ladder is carried along."""

    def __init__(self, child: ChildRules, text: str = "15:00", *, usage: Usage | None = None) -> None:
        self.rules, self.wall, self.boot = child, clock(text), 10 * HOUR
        self.usage = usage or Usage(child="mia", since="2026-01-01")
        self.sessions: tuple[Session, ...] = (Session(id="s1", account="mia", kind="x11"),)
        self.processes: tuple[Process, ...] = ()
        self.grants: tuple[Grant, ...] = ()
        self.folding = Folding(in_use=True)
        self.ladder = Ladder()
        self.boot_id = "boot"

    def step(self, seconds: float = 0, *, use: bool = True) -> Decision:
        """Let time pass, charge it to the day, and decide."""
        millis = round(seconds * SECOND)
        self.wall, self.boot = self.wall + millis, self.boot + millis
        here = moment(self.rules, self.wall)
        if use and millis:
            day = here.day.isoformat()
            before = self.usage.days.get(day, DayUse())
            keys = {p.program.name for p in self.processes}
            programs = {**before.programs, **{key: before.programs.get(key, 0) + millis for key in keys}}
            after = DayUse(total=before.total + millis, extra=before.extra, programs=programs, groups=before.groups)
            self.usage = Usage(child="mia", since=self.usage.since, days={**self.usage.days, day: after})
        decision = decide(
            Situation(
                rules=self.rules,
                matcher=Matcher(self.rules, here.plan),
                moment=here,
                boot=self.boot,
                boot_id=self.boot_id,
                sessions=self.sessions,
                running=running(self.processes),
                usage=self.usage,
                grants=self.grants,
                folding=self.folding,
                ladder=self.ladder,
            )
        )
        self.ladder = decision.ladder
        return decision


def told(effects: Sequence[object]) -> list[tuple[str, str, str]]:
    """The notices among effects: kind, title, text."""
    return [(e.kind, e.title, e.text) for e in effects if isinstance(e, Notify)]


def plain(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """The effects without what notices say for other languages, which is the same as they say in English."""
    found = []
    for effect in effects:
        if isinstance(effect, Notify):
            assert effect.said is None or say(effect.said) == effect.text
            assert effect.headed is None or say(effect.headed) == effect.title
            effect = replace(effect, said=None, headed=None)
        found.append(effect)
    return tuple(found)


def ended(effects: Sequence[object]) -> list[tuple[str, str]]:
    return [(e.session, e.ending) for e in effects if isinstance(e, EndSession)]


def stopped(effects: Sequence[object]) -> list[tuple[int, bool]]:
    return [(e.pid, e.at_once) for e in effects if isinstance(e, StopProgram)]
