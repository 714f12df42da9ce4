"""The PIN: quick for a guardian, slow for a guesser, never a locked door for good."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from argon2 import extract_parameters

from agent.clock import MINUTE, SECOND, FakeClock
from agent.errors import Refused, StoreError
from agent.ipc.protocol import Prove
from agent.model.usage import Charge
from agent.service import guardian as module
from agent.service.acts import Acts
from agent.service.guardian import FREE_TRIES, KEY, LONGEST, Guardian, WrongSecret


class Memory:
    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}

    def state(self, key: str) -> bytes | None:
        return self.states.get(key)

    def record(self, charges: Iterable[Charge], states: Mapping[str, bytes]) -> None:
        self.states.update(states)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes without the work: the waits are what these tests are about."""
    monkeypatch.setattr(module, "_hash", lambda secret: f"hashed {secret}")
    monkeypatch.setattr(module, "_matches", lambda hashed, secret: hashed == f"hashed {secret}")


def prove(one: Guardian, pin: str, clock: FakeClock, account: str = "mia", *, rescue: bool = False) -> None:
    asyncio.run(one.prove(account, pin, clock.now(), rescue=rescue))


def test_the_hash_is_argon2id_as_rfc_9106_says() -> None:
    memory = Memory()
    one = Guardian(memory)
    asyncio.run(one.set_pin("4711"))
    prove(one, "4711", FakeClock())
    with pytest.raises(Refused):
        prove(one, "4712", FakeClock())
    hashed = memory.states["guardian"].decode()
    assert "4711" not in hashed.replace("$", " ").split()
    found = extract_parameters(hashed[hashed.index("$argon2id") :].split('"')[0])
    assert (found.memory_cost, found.time_cost, found.parallelism) == (65536, 3, 4)


@pytest.mark.usefixtures("quick")
class TestWaits:
    def test_twenty_wrong_tries(self) -> None:
        memory, clock = Memory(), FakeClock()
        asyncio.run(Guardian(memory).set_pin("4711"))
        waits = []
        for _ in range(20):
            one = Guardian(memory)  # the service starts again between all of them: nothing is forgotten
            with pytest.raises(Refused) as caught:
                prove(one, "0815", clock)
            wait = one.wait("mia", clock.now())
            waits.append(wait)
            assert (caught.value.retry_after or 0) * SECOND == wait
            clock.advance(wait)
        assert waits[: FREE_TRIES - 1] == [0] * (FREE_TRIES - 1)
        assert waits[FREE_TRIES - 1 : FREE_TRIES + 2] == [30_000, 60_000, 120_000]
        assert max(waits) == waits[-1] == LONGEST
        prove(Guardian(memory), "4711", clock)
        assert Guardian(memory).wait("mia", clock.now()) == 0

    def test_the_right_pin_waits_too(self) -> None:
        memory, clock = Memory(), FakeClock()
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))
        for _ in range(FREE_TRIES):
            with pytest.raises(Refused):
                prove(one, "x", clock)
        with pytest.raises(Refused, match="too many"):
            prove(one, "4711", clock)

    def test_a_childs_guesses_never_keep_a_guardian_out(self) -> None:
        memory, clock = Memory(), FakeClock()
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))
        for _ in range(50):
            with pytest.raises(Refused):
                prove(one, "x", clock)
        prove(one, "4711", clock, "ana")

    def test_setting_the_clock_or_restarting_the_pc_does_not_shorten_it(self) -> None:
        memory, clock = Memory(), FakeClock()
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))
        for _ in range(FREE_TRIES):
            with pytest.raises(Refused):
                prove(one, "x", clock)
        clock.jump(365 * 86_400_000)
        assert one.wait("mia", clock.now()) == 30_000
        clock.reboot()
        assert one.wait("mia", clock.now()) == 25_000  # the new boot's five seconds count

    def test_a_try_counts_before_it_is_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        memory, clock = Memory(), FakeClock()
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))

        def killed(_: str, __: str) -> bool:
            raise KeyboardInterrupt

        monkeypatch.setattr(module, "_matches", killed)
        for _ in range(FREE_TRIES):
            with pytest.raises(KeyboardInterrupt):
                prove(Guardian(memory), "x", clock)
        assert Guardian(memory).wait("mia", clock.now()) == 30_000

    def test_the_paper_code_opens_when_the_pin_is_forgotten(self) -> None:
        memory, clock = Memory(), FakeClock()
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))
        code = asyncio.run(one.new_rescue())
        prove(one, code.lower().replace("-", " "), clock, rescue=True)
        asyncio.run(one.set_pin("forgetful"))
        prove(one, "forgetful", clock)

    def test_a_slip_in_the_paper_code_is_no_try(self) -> None:
        memory, clock = Memory(), FakeClock()
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))
        code = asyncio.run(one.new_rescue()).replace("-", "")
        for at in range(len(code)):
            wrong = code[:at] + ("3" if code[at] != "3" else "4") + code[at + 1 :]
            with pytest.raises(Refused, match="A character"):
                prove(one, wrong, clock, rescue=True)
        assert one.wait("mia", clock.now()) == 0

    @pytest.mark.parametrize("pin", ["", "123", "0000", "1234", "6543", "aaaa"])
    def test_easy_pins_are_refused(self, pin: str) -> None:
        with pytest.raises(Refused):
            asyncio.run(Guardian(Memory()).set_pin(pin))

    def test_many_accounts_do_not_fill_the_memory(self) -> None:
        memory, clock = Memory(), FakeClock()
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))
        for number in range(200):
            with pytest.raises(Refused):
                prove(one, "x", clock, f"account{number}")
            clock.advance(MINUTE)
        assert len(memory.states["guardian"]) < 20_000

    @pytest.mark.parametrize("typed", ["4711", " 4711 ", "٤٧١١", "۴۷۱۱", "４７１１", "४७११"])
    def test_a_pin_is_the_same_on_every_keyboard(self, typed: str) -> None:
        one = Guardian(Memory())
        asyncio.run(one.set_pin("4711"))
        prove(one, typed, FakeClock())

    @pytest.mark.parametrize("pin", ["١٢٣٤", "０００００", "    ", "12 "])
    def test_an_easy_pin_is_easy_in_every_script(self, pin: str) -> None:
        with pytest.raises(Refused):
            asyncio.run(Guardian(Memory()).set_pin(pin))

    @pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"null", b'{"pin": 5}', b"[]"])
    def test_a_damaged_record_opens_nothing_ends_nothing_and_can_be_mended(self, data: bytes) -> None:
        memory, clock = Memory(), FakeClock()
        memory.states[KEY] = data
        one = Guardian(memory)
        with pytest.raises((Refused, StoreError)) as caught:
            prove(one, "4711", clock)
        assert caught.value.advice
        asyncio.run(one.set_pin("4711"))
        prove(one, "4711", clock)
        prove(Guardian(memory), "4711", clock)

    def test_a_full_disk_makes_no_try_free(self) -> None:
        """A try that cannot be entered is not checked: not even the right PIN opens, nor is a wrong one told apart."""

        class Full(Memory):
            full = False

            def record(self, charges: Iterable[Charge], states: Mapping[str, bytes]) -> None:
                if self.full:
                    raise StoreError("The disk is full", "Make room.")
                super().record(charges, states)

        memory, clock = Full(), FakeClock()
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))
        memory.full = True
        for pin in ("4711", "x"):
            with pytest.raises(StoreError):
                prove(one, pin, clock)

    def test_only_tries_that_were_checked_are_in_the_audit(self) -> None:
        """A child that goes on trying while it must wait would fill the disk, one synced line at a time."""
        memory, clock, lines = Memory(), FakeClock(), []
        one = Guardian(memory)
        asyncio.run(one.set_pin("4711"))
        asyncio.run(one.new_rescue())
        audit = SimpleNamespace(append=lambda *line, at: lines.append(line[2]))
        anything: Any = None
        loop: Any = SimpleNamespace(host=SimpleNamespace(clock=clock))
        acts = Acts(loop, anything, audit, one, anything, anything, lambda: 0, anything, anything)  # type: ignore[arg-type]  # parts of it
        caller: Any = SimpleNamespace(peer=SimpleNamespace(account="mia"), via="cli", proven_until=0)
        for _ in range(200):
            with pytest.raises(Refused):
                asyncio.run(acts.act(caller, Prove(pin="x")))
            with pytest.raises(Refused):
                asyncio.run(acts.act(caller, Prove(pin="no code", rescue=True)))
        assert lines == ["wrong-pin"] * FREE_TRIES
        assert caller.proven_until == 0


def test_one_try_is_checked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes 64 MiB and all lanes: twenty at once would be felt by the whole PC."""
    monkeypatch.setattr(module, "_hash", lambda secret: secret)
    running, most = 0, 0
    lock = threading.Lock()

    def slow(_: str, __: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return False

    monkeypatch.setattr(module, "_matches", slow)

    async def everybody() -> list[BaseException | None]:
        one, now = Guardian(Memory()), FakeClock().now()
        await one.set_pin("4711")
        return await asyncio.gather(
            *(one.prove(f"account{n % 10}", "x", now) for n in range(20)), return_exceptions=True
        )

    answers = asyncio.run(everybody())
    assert most == 1
    assert all(isinstance(answer, WrongSecret) for answer in answers)
