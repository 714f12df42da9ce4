"""The PIN: quick for a guardian, slow for a guesser, never a locked door for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import pytest
from argon2 import extract_parameters

from agent.clock import MINUTE, SECOND, FakeClock
from agent.errors import Refused
from agent.model.usage import Charge
from agent.service import guardian as module
from agent.service.guardian import FREE_TRIES, LONGEST, Guardian


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
