"""The policy in force on this PC: verified at every start, replaced only by one that is better, never by nothing.

Files of the state folder: ``root.json`` (whose signatures count), ``policy.dsse.json``, ``policy.previous.json`` (a spare)
and ``mark.json`` (the highest version that was ever in force).  They are written in this order: the present policy becomes
the spare, the new one takes its place (fsync, rename), the mark is raised, the new one is the spare too.  A power cut
between any two leaves a policy that verifies: either the old one, or the new one with a mark that the next start raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from agent.clock import Millis
from agent.core.fallback import fallback
from agent.errors import FairtimeError, StoreError, TrustError
from agent.model.policy import Policy
from agent.platforms.base import Account
from agent.resources import load_catalogue
from agent.service import jobs
from agent.service.whole import write
from agent.trust import envelope, payload
from agent.trust.question import Answer, Question

ROOT, POLICY, PREVIOUS, MARK = "root.json", "policy.dsse.json", "policy.previous.json", "mark.json"
PolicyState = Literal["in force", "expired", "last known good", "none"]


class Mark(Struct, frozen=True, kw_only=True):
    """The highest version that was in force, with the hash of its file and of the one before."""

    version: int = 0
    sha256: str = ""
    previous: str = ""


@dataclass(frozen=True, slots=True)
class InForce:
    """What holds now; ``policy`` is ``None`` only when there is no policy and nobody to limit."""

    policy: Policy | None
    state: PolicyState
    sha256: str = ""
    notes: tuple[str, ...] = ()


class PolicyStore:
    """The signed files of one state folder.  ``accounts`` tells who uses this PC, for the case of no policy at all."""

    def __init__(self, folder: Path, machine_id: str, accounts: Callable[[], Sequence[Account]]) -> None:
        self._folder = folder
        self._machine_id = machine_id
        self._accounts = accounts
        self.now = InForce(None, "none")

    @property
    def has_root(self) -> bool:
        """Whether this PC trusts anybody's signature yet."""
        return (self._folder / ROOT).exists()

    async def load(self, wall: Millis) -> InForce:
        """The policy to start with.  Bad files never raise: the last one that was good holds, else the fallback."""
        mark, notes = self._mark(), list[str]()
        for name in (POLICY, PREVIOUS):
            try:
                data = self._read(name)
                if data is None:
                    if name == POLICY and (mark.version or self.has_root):
                        notes.append("The signed policy is missing.")
                    continue
                policy, sha = await self._verified(data)
            except FairtimeError as error:
                notes.append(f"{error.title}.")
                continue
            if name == POLICY and not _beyond(policy, sha, mark):
                notes.append("The policy file was exchanged for an older one.")
                continue
            if name == PREVIOUS and mark.sha256 and sha not in (mark.sha256, mark.previous):
                notes.append("The copy of the last good policy was exchanged.")
                continue
            if name == POLICY and policy.version > mark.version:
                self._raise_mark(policy, sha, mark)
            state: PolicyState = "in force" if name == POLICY else "last known good"
            if payload.expired(policy, wall):
                state = "expired"
                notes.append(f"The policy ended on {(policy.expires or '')[:10]}; it holds until a new one is signed.")
            self.now = InForce(policy, state, sha, tuple(notes))
            return self.now
        self.now = self._without(notes)
        return self.now

    async def install(self, data: bytes, wall: Millis, rotations: Sequence[bytes] = ()) -> InForce:
        """Put a signed policy in force.  ``TrustError``, ``PolicyError`` or ``StoreError`` change nothing.

        Order of checks: size, envelope, keys, signatures, type, strict JSON, shape, device, dates, version.
        """
        root = self._read(ROOT)
        if root is None:
            raise TrustError(
                "This PC trusts nobody's signature yet", "An administrator begins with “fairtime setup”.", reason="root"
            )
        envelope.read(data)
        policy, sha = await self._verified(data, rotations)
        payload.fits(policy, self._machine_id, wall)
        mark = self._mark()
        if not _beyond(policy, sha, mark):
            raise TrustError(
                f"Version {policy.version} of the policy is not newer than version {mark.version}, which was in force",
                "Sign it again: “fairtime policy sign” counts the version up.",
                reason="version",
            )
        present = self._read(POLICY)
        if present is not None and present != data:
            self._write(PREVIOUS, present)
        if rotations:
            self._write(ROOT, rotations[-1])
        self._write(POLICY, data)
        self._raise_mark(policy, sha, mark)
        self.now = InForce(policy, "in force", sha, self._spared(data))
        return self.now

    async def begin(self, root: bytes, data: bytes, wall: Millis) -> InForce:
        """First trust: believe ``root`` from now on.  ``TrustError`` when this PC trusts somebody already."""
        if self.has_root:
            raise TrustError(
                "This PC has its guardians already",
                "Change keys with a signature of theirs: “fairtime keys rotate”.",
                reason="root",
            )
        policy, _ = await self._verified(data, root=root)
        payload.fits(policy, self._machine_id, wall)
        self._write(ROOT, root)
        return await self.install(data, wall)

    def _spared(self, data: bytes) -> tuple[str, ...]:
        """Keep a spare of the policy in force, so that a damaged file costs nobody a limit; a note when it cannot be kept."""
        try:
            self._write(PREVIOUS, data)
        except StoreError as error:
            return (f"There is no spare copy of the policy. {error.title}.",)
        return ()

    def recheck(self, wall: Millis) -> InForce:
        """Notice that the policy has ended meanwhile.  It stays in force all the same: never fail open."""
        now = self.now
        if now.state == "in force" and now.policy is not None and payload.expired(now.policy, wall):
            note = f"The policy ended on {(now.policy.expires or '')[:10]}; it holds until a new one is signed."
            self.now = InForce(now.policy, "expired", now.sha256, (*now.notes, note))
        return self.now

    # ---- within --------------------------------------------------------------------------------------------------

    async def _verified(
        self, data: bytes, rotations: Sequence[bytes] = (), root: bytes | None = None
    ) -> tuple[Policy, str]:
        """The policy in ``data``, once a job found its signatures to be enough, and the hash of exactly these bytes."""
        trusted = root or self._read(ROOT)
        if trusted is None:
            raise TrustError(
                "The file of guardians' keys is missing", "Restore root.json from your copy.", reason="root"
            )
        question = Question(root=trusted, rotations=tuple(rotations), policy=data)
        answer = msgspec.json.decode(await jobs.run("verify", msgspec.json.encode(question)), type=Answer)
        sha = hashlib.sha256(data).hexdigest()
        if answer.reason:
            raise TrustError(answer.title, answer.advice, reason=answer.reason)
        if answer.sha256 != sha:
            raise TrustError("The check of the signatures gave no clear answer", "Try again.", reason="invalid")
        return payload.policy_of(envelope.read(data)), sha

    def _without(self, notes: list[str]) -> InForce:
        people = self._accounts()
        policy = fallback(
            [a.name for a in people if not a.administrator],
            [a.name for a in people if a.administrator],
            load_catalogue(),
        )
        if notes:
            notes.append("Until a guardian signs a policy, every standard account has an hour a day.")
            return InForce(policy, "none", "", tuple(notes))
        return InForce(None, "none", "", ("Fairtime is not set up yet: run “fairtime setup”.",))

    def _mark(self) -> Mark:
        data = self._read(MARK)
        if data is None:
            return Mark()
        try:
            return msgspec.json.decode(data, type=Mark)
        except msgspec.DecodeError:
            return Mark()

    def _raise_mark(self, policy: Policy, sha: str, mark: Mark) -> None:
        if policy.version > mark.version:
            raised = Mark(version=policy.version, sha256=sha, previous=mark.sha256)
            self._write(MARK, msgspec.json.encode(raised))

    def _read(self, name: str) -> bytes | None:
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(envelope.MAX_ENVELOPE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error, name) from error

    def _write(self, name: str, data: bytes) -> None:
        try:
            write(self._folder / name, data)
        except OSError as error:
            raise self._failed(error, name) from error

    def _failed(self, error: OSError, name: str) -> StoreError:
        return StoreError(
            f"The signed policy cannot be kept: {error.strerror}",
            "Check that the disk has room and that the service may write to its folder; the present policy stays.",
            where=str(self._folder / name),
        )


def _beyond(policy: Policy, sha: str, mark: Mark) -> bool:
    return policy.version > mark.version or (policy.version == mark.version and sha == mark.sha256)
