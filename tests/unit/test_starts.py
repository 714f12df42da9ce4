"""What a program that starts is answered, and what may be remembered of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.clock import DAY, HOUR, MINUTE
from agent.core.rules import Rules
from agent.errors import StoreError
from agent.model.grant import Grant, Request
from agent.model.program import Process, ProgramId
from agent.model.record import LedgerEvent
from agent.model.usage import Charge
from agent.platforms.base import Start
from agent.platforms.unsupervised import Unsupervised
from agent.service.loop import Loop
from tests.family import child, compiled, head
from tests.pc import computer, engine

LIMITS = """
windows = {{ all = ["00:00-24:00"] }}
budget = {{ schooldays = "{budget}", weekend = "{budget}" }}
save_up_to = "0m"
unknown_programs = "{unknown}"
learning_after = true
[[children.limits.programs]]
path = "/usr/games/chess"
action = "{chess}"
counts = false
[[children.limits.programs]]
path = "/usr/games/blocks"
action = "allow"
{blocks}
{more}
"""
SHELL = ProgramId(name="dbus-daemon", path="/usr/bin/dbus-daemon", protected=True)
CHESS = ProgramId(name="chess", path="/usr/games/chess", protected=True, application=True)
BLOCKS = ProgramId(name="blocks", path="/usr/games/blocks", protected=True, application=True)
OTHER = ProgramId(name="other", path="/usr/games/other", protected=True, application=True)
OWN = ProgramId(name="tool", path="/home/mia/tool", sha256="a" * 64)
HUGE = ProgramId(name="huge", path="/home/mia/huge")
PROGRAMS = (SHELL, CHESS, BLOCKS, OTHER, OWN, HUGE)


def rules(
    *names: str, budget: str = "2h", unknown: str = "allow", chess: str = "allow", blocks: str = "", more: str = ""
) -> Rules:
    limits = LIMITS.format(budget=budget, unknown=unknown, chess=chess, blocks=blocks, more=more)
    return compiled(head() + "".join(child(limits, name) for name in names or ("mia",)))


class Ledger:
    """Keeps nothing: what is recorded is tested elsewhere."""

    def record(self, charges: list[Charge], state: dict[str, bytes]) -> None: ...

    def state(self, key: str) -> bytes | None:
        return None

    def add_request(self, request: Request) -> Request:
        return request

    def add_event(self, event: LedgerEvent) -> None:
        if event.kind == "never":
            raise StoreError("never")


class Pc:
    """A loop on a computer in memory."""

    def __init__(self, limits: Rules) -> None:
        self.host = computer(limits, "mia", "leo")
        self.grants: tuple[Grant, ...] = ()
        watching = engine(limits, self._granted, floor=self.host.clock.instant.wall)
        self.loop = Loop(self.host, watching, Ledger(), Unsupervised(), push=lambda _: None, changed=lambda: None)
        self.loop.watch(limits)
        self.host.on_start(self.loop.starts.permit, self.loop.starts.otherwise)
        self.session = self.host.login("mia")
        self.tick()

    def _granted(self) -> tuple[Grant, ...]:
        now = self.host.clock.instant.wall
        return tuple(g for g in self.grants if g.until is None or g.until > now)

    def tick(self) -> None:
        asyncio.run(self.loop.tick())

    def pass_time(self, millis: int) -> None:
        self.host.advance(millis)
        self.tick()

    def answer(self, program: ProgramId, account: str = "mia") -> Start:
        process = Process(pid=1, started=1, parent=0, account=account, program=program)
        return self.loop.starts.permit(process)

    def settled_wrongly(self) -> list[ProgramId]:
        return [
            program
            for account, program in self.host.settled
            if self.answer(program, account) not in (Start.SETTLED, Start.ALLOW)
        ]


def permission(subject: str, until: int | None = None) -> Grant:
    return Grant(id="g", child="mia", kind="program", subject=subject, given=0, until=until, by="ana")


def test_what_cannot_change_by_itself_is_settled() -> None:
    pc = Pc(rules())
    assert [pc.answer(program) for program in PROGRAMS] == [
        Start.SETTLED, Start.SETTLED, Start.SETTLED, Start.SETTLED, Start.ALLOW, Start.ALLOW,
    ]  # fmt: skip


@pytest.mark.parametrize("blocks", ['budget = { all = "10m" }', 'week = "1h"', 'hours = { all = ["14:00-18:00"] }'])
def test_what_has_minutes_or_hours_of_its_own_is_asked_about_again(blocks: str) -> None:
    pc = Pc(rules(blocks=blocks))
    assert pc.answer(BLOCKS) is Start.ALLOW
    assert pc.answer(CHESS) is Start.SETTLED


def test_a_grant_is_not_settled_because_it_ends() -> None:
    pc = Pc(rules(unknown="block"))
    assert pc.answer(OTHER) is Start.DENY
    pc.grants = (permission("path:/usr/games/other", pc.host.clock.instant.wall + HOUR),)
    assert pc.answer(OTHER) is Start.ALLOW
    pc.host.advance(2 * HOUR)
    assert pc.answer(OTHER) is Start.DENY


def test_a_rule_by_hash_does_not_open_what_is_known_by_its_place() -> None:
    more = f'[[children.limits.programs]]\nsha256 = "{"a" * 64}"\naction = "allow"\n'
    pc = Pc(rules(unknown="block", chess="block", more=more))
    assert pc.answer(CHESS) is Start.DENY
    assert pc.answer(OTHER) is Start.DENY
    assert pc.answer(OWN) is Start.ALLOW
    assert pc.answer(HUGE) is Start.ALLOW, "its hash may yet come: the next tick looks closer"


def test_a_new_policy_holds_before_its_first_tick() -> None:
    pc = Pc(rules())
    assert pc.host.start("mia", CHESS) is not None
    assert ("mia", CHESS) in pc.host.settled
    pc.loop.adopt(rules("mia", "leo", chess="block", unknown="block"))
    for account in ("mia", "leo"):
        assert pc.host.start(account, CHESS) is None
        assert pc.host.start(account, OTHER) is None
        assert pc.host.start(account, SHELL) is not None
        assert pc.loop.starts.otherwise(account) is Start.DENY
    assert pc.loop.starts.otherwise("ana") is Start.ALLOW


def test_used_up_minutes_unsettle() -> None:
    pc = Pc(rules(budget="30m"))
    assert pc.host.start("mia", OTHER) is not None
    assert pc.host.start("mia", CHESS) is not None
    for _ in range(40):
        pc.pass_time(MINUTE)
    assert pc.host.start("mia", OTHER) is None, "only what does not count goes on"
    assert pc.host.start("mia", CHESS) is not None


DEEDS: st.SearchStrategy[Callable[[Pc], object]] = st.one_of(
    st.sampled_from(PROGRAMS).map(lambda program: lambda pc: pc.host.start("mia", program)),
    st.sampled_from([MINUTE, 20 * MINUTE, 5 * HOUR, DAY]).map(lambda millis: lambda pc: pc.pass_time(millis)),
    st.sampled_from(PROGRAMS).map(
        lambda program: lambda pc: setattr(
            pc, "grants", (permission(f"path:{program.path}", pc.host.clock.instant.wall + HOUR),)
        )
    ),
    st.just(lambda pc: setattr(pc, "grants", ())),
    st.sampled_from(
        [rules(), rules(unknown="block"), rules(chess="block", blocks='hours = { all = ["16:00-17:00"] }'),
         rules(budget="10m"), rules(blocks='budget = { all = "5m" }', unknown="ask")]
    ).map(lambda compiled: lambda pc: pc.loop.adopt(compiled)),
)  # fmt: skip


@given(st.lists(DEEDS, max_size=25))
@settings(max_examples=60, deadline=None)
def test_nothing_stays_settled_that_would_now_be_refused(deeds: list[Callable[[Pc], object]]) -> None:
    pc = Pc(rules())
    for deed in deeds:
        deed(pc)
        pc.tick()
        assert pc.settled_wrongly() == []


def test_before_the_first_tick_nobody_is_asked() -> None:
    pc = Pc(rules())
    pc.loop.engine.children.clear()
    assert pc.answer(replace(CHESS)) is Start.ALLOW
    assert pc.host.start("leo", CHESS) is not None
    assert pc.host.settled == set()
