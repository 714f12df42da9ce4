"""Are these signatures enough?  Runs in a job process: it reads hostile bytes and needs heavy libraries.

Request and answer are JSON, byte strings in base64.
"""

from __future__ import annotations

import hashlib

import msgspec

from agent.errors import FairtimeError, TrustError
from agent.trust import root as roots
from agent.trust.envelope import read
from agent.trust.question import Answer, Question
from agent.trust.signatures import holding


def verify(question: Question) -> Answer:
    """Check the chain of roots, then the policy's signatures.  Raises ``TrustError``."""
    root = roots.read(question.root)
    if len(question.rotations) > roots.MAX_ROTATIONS:
        raise TrustError("There are too many changes of keys at once", "Install them in steps.", reason="root")
    for data in question.rotations:
        root = roots.rotated(root, data)
    if question.policy is None:
        return Answer(root_version=root.signed.version)
    envelope = read(question.policy)
    keys, threshold = roots.signers(root)
    good = holding(envelope, keys)
    if len(good) < threshold:
        raise TrustError(
            "Nobody whose keys this PC trusts has signed this policy"
            if not good
            else f"{len(good)} of {threshold} guardians have signed this policy",
            "Sign it with a guardian's key: “fairtime policy sign”.",
            reason="signature",
        )
    return Answer(sha256=hashlib.sha256(question.policy).hexdigest(), root_version=root.signed.version)


def run(request: bytes) -> bytes:
    """The job ``verify``."""
    try:
        answer = verify(msgspec.json.decode(request, type=Question))
    except TrustError as error:
        answer = Answer(title=error.title, advice=error.advice, reason=error.reason)
    except FairtimeError as error:
        answer = Answer(title=error.title, advice=error.advice, reason="invalid")
    return msgspec.json.encode(answer)
