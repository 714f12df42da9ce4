"""The DSSE envelope (https://github.com/secure-systems-lab/dsse, protocol 1.0): exact payload bytes and who signed them.

The signatures cover ``pae(type, payload)``, so neither the type nor a byte of the payload can be exchanged, and no
canonical form of JSON is needed.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from agent.errors import TrustError

MAX_ENVELOPE = 1024 * 1024
MAX_SIGNATURES = 16


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its signatures, as ``(key id, signature)``."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    def write(self) -> bytes:
        """The bytes of the file."""
        return json.dumps(
            {
                "payloadType": self.payload_type,
                "payload": base64.b64encode(self.payload).decode(),
                "signatures": [
                    {"keyid": keyid, "sig": base64.b64encode(sig).decode()} for keyid, sig in self.signatures
                ],
            },
            indent=1,
        ).encode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def read(data: bytes) -> Envelope:
    """The envelope in ``data``.  ``TrustError`` (reasons ``size``, ``envelope``) when it is none."""
    if not data or len(data) > MAX_ENVELOPE:
        raise TrustError(
            "The signed policy is empty" if not data else "The signed policy is far too big",
            "Sign the policy again and copy the whole file.",
            reason="size",
        )
    tree = strict_json(data)
    if not isinstance(tree, dict) or set(tree) != {"payloadType", "payload", "signatures"}:
        raise _broken("it is not a DSSE envelope")
    kind, payload, signatures = tree["payloadType"], tree["payload"], tree["signatures"]
    if not isinstance(kind, str) or not isinstance(payload, str) or not isinstance(signatures, list):
        raise _broken("its fields have the wrong types")
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise _broken(f"it has {len(signatures)} signatures")
    found = []
    for one in signatures:
        if not isinstance(one, dict) or set(one) != {"keyid", "sig"}:
            raise _broken("a signature is not one")
        if not isinstance(one["keyid"], str) or not isinstance(one["sig"], str):
            raise _broken("a signature is not one")
        found.append((one["keyid"], _bytes(one["sig"])))
    return Envelope(kind, _bytes(payload), tuple(found))


def strict_json(data: bytes) -> Any:
    """JSON without duplicate keys, without NaN, in UTF-8.  ``TrustError`` (reason ``envelope``) otherwise."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _broken(f"it is not strict JSON ({error})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _broken("it is not base64") from error
    # The one spelling only: otherwise bits that mean nothing could be flipped unnoticed.
    if base64.b64encode(data).decode() != text:
        raise _broken("it is not base64 as it is written")
    return data


def _broken(why: str) -> TrustError:
    return TrustError(
        f"The signed policy is damaged: {why}", "Sign the policy again and copy the whole file.", reason="envelope"
    )
