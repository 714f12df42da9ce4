"""The beginning: a first trusted root, a first policy, a PIN and a paper code, in a state folder that has none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.clock import Millis
from agent.platforms.base import Account, Host
from agent.service.audit import Audit
from agent.service.guardian import Guardian
from agent.service.policies import PolicyStore
from agent.service.seals import keep_key
from agent.service.statelock import StateLock
from agent.service.store import Store


async def found(state: Path, host: Host, root: bytes, policy: bytes, pin: str, by: str, *, device_key: bytes) -> str:
    """Found a household in ``state``; returns the paper code.  Refused where one is founded already.

    ``device_key`` (PKCS#8, PEM) signs grants from now on; ``root`` names it.
    The order matters: a PIN that cannot be set leaves no policy behind that nobody could lift.
    """
    wall: Millis = host.clock.now().wall
    with StateLock(state):
        store = Store.open(state, machine_id=host.machine_id())
        try:
            guardian = Guardian(store)
            policies = PolicyStore(state, host.machine_id(), lambda: _accounts(host))
            await guardian.set_pin(pin)
            code = await guardian.new_rescue()
            await policies.begin(root, policy, wall)
            keep_key(state, device_key)
            Audit.open(state, store, at=wall).append(by, "setup", "founded", at=wall)
        finally:
            store.close()
    return code


def _accounts(host: Host) -> Sequence[Account]:
    return host.accounts()
