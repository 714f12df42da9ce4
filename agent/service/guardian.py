"""The guardian's PIN and paper rescue code: Argon2id, and a wait after wrong tries that survives restarts.

Each account that tries has a wait of its own, so a child's guesses never keep a guardian out at the guardian's account.
A try is entered *before* it is checked: killing the service does not make it free.  The wait is reckoned in the boot
clock, and across a reboot starts anew: setting the clock does not shorten it.  It never exceeds ``LONGEST``; nobody is ever
locked out for good, and the rescue code, which nobody guesses, needs no PIN.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from agent.clock import MINUTE, SECOND, Instant, Millis
from agent.errors import Refused, StoreError
from agent.model.usage import Charge

if TYPE_CHECKING:
    from argon2 import PasswordHasher

log = logging.getLogger(__name__)

SHORTEST_PIN = 4
FREE_TRIES = 3
FIRST_WAIT = 30 * SECOND
LONGEST = 15 * MINUTE
MOST_ACCOUNTS = 64
KEY = "guardian"
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXY"
"""29 characters, without what looks alike on paper: 0 O, 1 I L, 2 Z, U V."""
_GROUPS, _GROUP = 5, 5


class WrongSecret(Refused):
    """A PIN or paper code that was checked and is not the one: worth a line in the audit.

    Refusals without a check (still waiting, a slip in the code) are not: a child could fill the disk with them.
    """


class Memory(Protocol):
    """The ledger's states."""

    def state(self, key: str) -> bytes | None: ...
    def record(self, charges: Iterable[Charge], states: Mapping[str, bytes]) -> None: ...


class Tries(Struct, frozen=True, kw_only=True):
    """Wrong tries of one account, and when (boot ms under ``boot_id``) the next is allowed."""

    wrong: int = 0
    wait_from: int = 0
    boot_id: str = ""


class Kept(Struct, frozen=True, kw_only=True):
    """What the ledger keeps."""

    pin: str = ""
    rescue: str = ""
    tries: dict[str, Tries] = {}


class Guardian:
    """Knows the PIN's hash, counts tries."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._damaged = False
        self._kept = self._read(memory.state(KEY))
        self._one_at_a_time = asyncio.Lock()

    @property
    def has_pin(self) -> bool:
        """Whether setup has set one."""
        return bool(self._kept.pin) or self._damaged

    async def prove(self, account: str, secret: str, now: Instant, *, rescue: bool = False) -> None:
        """Return when ``secret`` is right; ``WrongSecret``, or ``Refused`` without a check, otherwise.

        ``retry_after`` (seconds) says when the next try is allowed.  One try is checked at a time: each takes 64 MiB.
        """
        if self._damaged:
            raise StoreError("The PIN cannot be read", "An administrator sets a new one with “sudo fairtime pin”.")
        given = _plain_code(secret) if rescue else _plain_pin(secret)
        # The paper code has a wait of its own, so that it opens when a child has used up the tries for the PIN.
        account = f"{account} (paper code)" if rescue else account
        async with self._one_at_a_time:
            wait = self.wait(account, now)
            if wait:
                raise _later(wait)
            wanted = self._kept.rescue if rescue else self._kept.pin
            if not wanted:
                raise Refused("There is no PIN yet", "An administrator sets one with “fairtime setup”.")
            before = self._kept.tries.get(account, Tries())
            self._enter(account, Tries(wrong=before.wrong + 1, wait_from=now.boot, boot_id=now.boot_id))
            if await asyncio.to_thread(_matches, wanted, given):
                self._enter(account, None)
                return
        wait = self.wait(account, now)
        what = "rescue code" if rescue else "PIN"
        advice = f"Wait {wait // SECOND} seconds before the next try." if wait else "Try again."
        raise WrongSecret(f"This is not the {what}", advice, retry_after=wait // SECOND or None)

    def wait(self, account: str, now: Instant) -> Millis:
        """How long this account must wait before its next try; 0: not at all."""
        tries = self._kept.tries.get(account)
        if tries is None or tries.wrong < FREE_TRIES:
            return 0
        length = min(LONGEST, FIRST_WAIT << min(tries.wrong - FREE_TRIES, 16))
        since = now.boot - tries.wait_from if tries.boot_id == now.boot_id else now.boot
        return max(0, length - since)

    async def set_pin(self, pin: str) -> None:
        """Set the PIN; ``Refused`` for one that anybody would guess."""
        refuse_weak(pin)
        pin = _plain_pin(pin)
        hashed = await asyncio.to_thread(_hash, pin)
        self._keep(msgspec.structs.replace(self._kept, pin=hashed, tries={}))

    async def new_rescue(self) -> str:
        """A new code for paper, such as ``K7Q2M-…``; the one before ends.  Only its hash is kept."""
        code = "".join(secrets.choice(_ALPHABET) for _ in range(_GROUPS * _GROUP - 1))
        code += _check(code)
        hashed = await asyncio.to_thread(_hash, code)
        self._keep(msgspec.structs.replace(self._kept, rescue=hashed))
        return "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))

    def _read(self, data: bytes | None) -> Kept:
        """Damage must not end the service: limits hold without a PIN, and an administrator sets a new one."""
        try:
            return msgspec.json.decode(data, type=Kept) if data else Kept()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.error("the PIN's record is damaged: %s", error)  # its trace says no more
            self._damaged = True
            return Kept()

    def _enter(self, account: str, tries: Tries | None) -> None:
        known = {name: one for name, one in self._kept.tries.items() if name != account}
        if tries is not None:
            while len(known) >= MOST_ACCOUNTS:
                del known[next(iter(known))]
            known[account] = tries
        self._keep(msgspec.structs.replace(self._kept, tries=known))

    def _keep(self, kept: Kept) -> None:
        self._memory.record((), {KEY: msgspec.json.encode(kept)})
        self._kept = kept
        self._damaged = False


def refuse_weak(pin: str) -> None:
    """Raise ``Refused`` for a PIN that anybody would guess."""
    pin = _plain_pin(pin)
    if len(pin) < SHORTEST_PIN or len(set(pin)) == 1 or pin in "01234567890" or pin in "09876543210":
        raise Refused(
            "This PIN is too easy to guess",
            f"At least {SHORTEST_PIN} characters, not all the same and not in a row; a short word is fine too.",
        )


def _plain_pin(text: str) -> str:
    """A PIN as every keyboard types it: ``٤٧١١`` and ``４７１１`` are ``4711``, a composed letter is a decomposed one."""
    plain = unicodedata.normalize("NFKC", text).strip()
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain)


def _plain_code(text: str) -> str:
    """A code as it was made, however it was typed.  ``Refused`` for a slip, which is no try."""
    code = "".join(c for c in text.upper() if c in _ALPHABET)
    if len(code) != _GROUPS * _GROUP or not hmac.compare_digest(_check(code[:-1]).encode(), code[-1].encode()):
        raise Refused("A character of the code is not right", "Compare it with the paper, group by group.")
    return code


def _check(code: str) -> str:
    """A last character that betrays any one wrong character and any two exchanged ones: 29 is prime, weights differ."""
    return _ALPHABET[sum((at + 1) * _ALPHABET.find(char) for at, char in enumerate(code)) % len(_ALPHABET)]


def _hasher() -> PasswordHasher:
    """Argon2id with RFC 9106's second recommendation: 64 MiB, 3 passes, 4 lanes."""
    from argon2 import PasswordHasher
    from argon2.profiles import RFC_9106_LOW_MEMORY

    return PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)


def _hash(secret: str) -> str:
    return _hasher().hash(secret)


def _matches(hashed: str, secret: str) -> bool:
    from argon2.exceptions import VerifyMismatchError

    try:
        return _hasher().verify(hashed, secret)
    except VerifyMismatchError:
        return False


def _later(wait: Millis) -> Refused:
    seconds = -(-wait // SECOND)
    return Refused(
        "There were too many wrong tries from this account",
        f"Wait {seconds} seconds.  A guardian's own account, or the paper code, works meanwhile.",
        retry_after=seconds,
    )
