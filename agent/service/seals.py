"""This PC's key, and what it signs: every grant that a guardian gives.

A row of the ledger that says "chess is allowed" must not be worth more than the right to write that file, so each grant
carries a signature that is checked when the ledger is opened (ADR 0019).  The key is in ``device.key``; what signs and
checks is a job, because the resident service holds no heavy library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent.errors import StoreError, TrustError
from agent.model.grant import Grant
from agent.platforms import sealed, unsealed
from agent.service import jobs
from agent.service.policies import ROOT
from agent.service.whole import write
from agent.trust.seal import Check, Given, Seal, Sealed

KEY = "device.key"
_MOST = 256 * 1024
_MISSING = {
    KEY: ("This PC has no key of its own", "An administrator makes one: “sudo fairtime keys device”."),
    ROOT: ("The file of guardians' keys is missing", "Restore root.json from your copy."),
}


class Seals:
    """Signs and checks grants with the keys of one state folder."""

    def __init__(self, folder: Path, machine_id: str) -> None:
        self._folder = folder
        self._machine_id = machine_id

    async def seal(self, grant: Grant) -> bytes:
        """The signed envelope of a grant.  ``TrustError`` or ``StoreError``: then it must not be given."""
        request = Seal(root=self._read(ROOT), key=self._read(KEY), device=self._machine_id, grant=grant)
        answer = await _asked(request)
        if not answer.seal:
            raise TrustError("The grant could not be signed", "Try again.", reason="invalid")
        return answer.seal

    async def check(self, given: Sequence[Given]) -> Mapping[str, str]:
        """The ids of rows that were never given like this, with the reason of each."""
        if not given:
            return {}
        answer = await _asked(Check(root=self._read(ROOT), device=self._machine_id, given=tuple(given)))
        return answer.refused

    def _read(self, name: str) -> bytes:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                found = file.read(_MOST)
        except FileNotFoundError as error:
            raise TrustError(*_MISSING[name], where=str(path), reason="key" if name == KEY else "root") from error
        except OSError as error:
            raise StoreError(
                f"A key cannot be read: {error.strerror}", "Check the state folder's disk.", where=str(path)
            ) from error
        return unsealed(found, KEY) if name == KEY else found


def keep_key(folder: Path, pem: bytes) -> None:
    """Write this PC's key so that only the system can read it; a key that is there already is replaced."""
    write(folder / KEY, sealed(pem, KEY))


async def _asked(request: Seal | Check) -> Sealed:
    answer = msgspec.json.decode(await jobs.run("grants", msgspec.json.encode(request)), type=Sealed)
    if answer.reason:
        raise TrustError(answer.title, answer.advice, reason=answer.reason)
    return answer
