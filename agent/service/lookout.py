"""What the PC itself tells: own files that were changed, accounts that came and went.

Both become lines of the audit and of the ledger, and a notice to guardians.  Accounts that the policy does not name get the
strictest limits at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.clock import Millis
from agent.core.rules import Rules, compile_policy
from agent.core.saying import say
from agent.core.strangers import strangers, with_strangers
from agent.core.telling import tell
from agent.errors import StoreError
from agent.model.policy import Policy
from agent.model.site import Said
from agent.model.snapshot import Mended, Snapshot
from agent.platforms.base import Finding, Host
from agent.resources import load_catalogue
from agent.service.audit import Audit
from agent.service.loop import Loop
from agent.service.store import Store

log = logging.getLogger(__name__)

TOMBSTONE = "removed"
_KNOWN = "strangers"
"""The ledger's state under which the strangers are kept that guardians were told of."""


@dataclass(slots=True)
class Lookout:
    """Heeds what the host saw.  ``adopt`` puts rules in force; ``looked`` is called when only groups or logins changed."""

    host: Host
    loop: Loop
    store: Store
    audit: Audit
    wall: Callable[[], Millis]
    adopt: Callable[[Rules], Awaitable[None]]
    looked: Callable[[], Awaitable[None]]
    policy: Policy
    strangers: tuple[str, ...]
    _people: int | None = None
    _task: asyncio.Task[None] | None = None

    def heed(self, snapshot: Snapshot) -> None:
        """After each observation.  Quick; looking through the accounts happens in a task of its own."""
        for mended in snapshot.mended:
            self._mended(mended)
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        if snapshot.people != self._people and self._task is None:
            self._people = snapshot.people
            self._task = asyncio.create_task(self._look(), name="fairtime-people")

    def begin(self, state: Path) -> None:
        """At the start: tell of a tombstone, which whoever takes Fairtime away leaves (installer/linux/settings.sh)."""
        place = state / TOMBSTONE
        try:
            with place.open("rb") as file:
                when, _, who = file.read(200).decode("utf-8", "replace").strip().partition(" ")
            place.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("%s: %s", place, error.strerror)
            return
        self._enter("was-removed", "fairtime", f"Fairtime was taken off this PC on {when} by {who}. It is back now.")

    def end(self, state: Path) -> None:
        """At the end: where there is a tombstone, Fairtime is being taken away, and the audit's last line says so."""
        if (state / TOMBSTONE).exists():
            self._enter("being-removed", "fairtime", "Fairtime is being taken off this PC. Limits end here.")

    async def close(self) -> None:
        """Give up a look that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def take(self, policy: Policy) -> None:
        """Put another policy in force."""
        self.policy = policy
        rules, self.strangers = await rules_for(self.host, policy)
        await self.adopt(rules)
        self.tell()

    def findings(self) -> tuple[Finding, ...]:
        """A line for each stranger."""
        return tuple(
            Finding(
                "unknown-account", "weak", f"The account {name} is in nobody's name, and has the strictest limits",
                f"Add it to a child or a guardian in the policy, or to unwatched; or remove it: sudo deluser {name}",
                name,
            )
            for name in self.strangers
        )  # fmt: skip

    async def _look(self) -> None:
        policy = self.policy
        rules, found = await rules_for(self.host, policy)
        if policy is not self.policy:
            return  # another policy came into force meanwhile, with a look of its own
        if found != self.strangers:
            self.strangers = found
            await self.adopt(rules)
        else:
            await self.looked()
        self.tell()

    def tell(self) -> None:
        """Enter who appeared or went since guardians were told last, across restarts."""
        state = self.store.state(_KNOWN)
        known = _names(state)
        for name in sorted(set(self.strangers) - known):
            said = Said(
                "The account {name} appeared, which the policy does not name. It has the strictest limits.",
                (("name", name),),
            )
            self._enter("account-appeared", name, say(said))
            self.loop.push(tell("", "state", Said("A new account on this PC"), said))
        for name in sorted(known - set(self.strangers)):
            self._enter("account-settled", name, f"The account {name} is gone, or the policy names it now.")
        if known != set(self.strangers):
            try:
                self.store.record((), {_KNOWN: msgspec.json.encode(self.strangers)})
            except StoreError as error:
                log.warning("%s", error)  # the ledger's own trouble says so to everyone; at worst it is told twice

    def _mended(self, mended: Mended) -> None:
        name = f"file {mended.path}" if mended.path.startswith("/") else mended.path
        if mended.why:
            text = f"Fairtime's {name} was {mended.what} and cannot be put right: {mended.why}."
        else:
            text = f"Fairtime's {name} was {mended.what}; it is put right again."
        self._enter("own-file", mended.path, text)
        self.loop.push(tell("", "state", Said("Fairtime's files were changed"), text))

    def _enter(self, action: str, subject: str, text: str) -> None:
        log.warning("%s", text)
        self.loop.event("", "account" if action.startswith("account-") else "tamper", subject, action, text)
        try:
            self.audit.append("service", "service", action, detail=text, at=self.wall())
        except StoreError as error:
            log.warning("%s", error)


async def rules_for(host: Host, policy: Policy) -> tuple[Rules, tuple[str, ...]]:
    """``policy`` as it applies to the accounts of this PC, and those of them that are strangers to it."""
    accounts = await asyncio.to_thread(host.accounts)
    named = {name for child in policy.family.children for name in child.accounts}
    # A policy may name an account by its number (``#1001``); it is no stranger for having a name, too.
    standard = [a.name for a in accounts if not a.administrator and f"#{a.uid}" not in named]
    found = strangers(policy.family, standard)
    rules = compile_policy(policy)
    return (with_strangers(rules, found, load_catalogue()) if found else rules), found


def _names(state: bytes | None) -> set[str]:
    if state is None:
        return set()
    try:
        return set(msgspec.json.decode(state, type=tuple[str, ...]))
    except msgspec.DecodeError:
        return set()  # told again: better twice than never
