"""The payload of a signed policy, once its signatures hold: what it must still be to come into force.  Light imports."""

from __future__ import annotations

import datetime as dt

import msgspec

from agent.clock import Millis
from agent.core.checks import check, refuse_errors
from agent.core.rules import compile_policy
from agent.errors import PolicyError, TrustError
from agent.model.policy import PAYLOAD_TYPE, Policy
from agent.trust.envelope import Envelope, strict_json

MAX_PAYLOAD = 768 * 1024


def policy_of(envelope: Envelope) -> Policy:
    """The policy in an envelope.  ``TrustError`` (reasons ``type``, ``schema``) when it is none that can be used."""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise TrustError(
            "The signed file is not a Fairtime policy", "Sign a policy with “fairtime policy sign”.", reason="type"
        )
    if len(envelope.payload) > MAX_PAYLOAD:
        raise TrustError("The signed policy is far too big", "Check that it is the right file.", reason="size")
    strict_json(envelope.payload)
    try:
        policy = msgspec.json.decode(envelope.payload, type=Policy)
        refuse_errors(check(policy.family, policy.catalogue, signed=True), "policy")
        compile_policy(policy)
    except (msgspec.DecodeError, PolicyError, ValueError) as error:
        raise TrustError(
            f"The signed policy cannot be used: {error}",
            "Check the family file with “fairtime policy check” and sign it again with this version of Fairtime.",
            reason="schema",
        ) from error
    return policy


def fits(policy: Policy, machine_id: str, wall: Millis) -> None:
    """Refuse a policy for other machines, one that is not in force yet, and one that has expired."""
    if policy.devices and machine_id not in policy.devices:
        raise TrustError(
            "This policy was signed for other PCs",
            f"Add this PC ({machine_id}) to its devices and sign it again.",
            reason="device",
        )
    if policy.not_before is not None and wall < at(policy.not_before):
        raise TrustError(
            f"This policy begins on {policy.not_before[:10]}", "Install it then; the present one stays.", reason="early"
        )
    if expired(policy, wall):
        raise TrustError(
            f"This policy ended on {(policy.expires or '')[:10]}",
            "Sign it again with a later end; the present one stays.",
            reason="expired",
        )


def expired(policy: Policy, wall: Millis) -> bool:
    """Whether its last day has passed."""
    return policy.expires is not None and wall >= at(policy.expires)


def at(text: str) -> Millis:
    """Wall milliseconds of ``2026-11-24T12:00:00Z``; ``TrustError`` for a date that does not exist."""
    try:
        return int(dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC).timestamp()) * 1000
    except ValueError as error:
        raise TrustError(f"{text} is no date", "Sign the policy again.", reason="schema") from error
