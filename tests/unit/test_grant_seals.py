"""A grant is one only when its signature holds: every field, the machine, the key and the kind of what was signed."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.errors import TrustError
from agent.model.grant import Grant
from agent.model.policy import PAYLOAD_TYPE
from agent.service import job
from agent.service.seals import KEY as KEY_FILE
from agent.service.seals import Seals, keep_key
from agent.service.store import Store
from agent.trust import grants, root, signing
from agent.trust.envelope import Envelope, pae, read
from agent.trust.seal import GRANT_TYPE, Check, Given, Seal, Sealed, Statement
from tests.house import DEVICE, GUARDIAN, KEY, MACHINE, ROOT

STRANGER = signing.new_signer()
CHESS = Grant(
    id="g1", child="mia", kind="program", subject="deb:chess", title="Chess", day="", given=1, until=None, by="Ana"
)
KEYS = root.givers(root.read(ROOT))


def sealed(grant: Grant = CHESS, key: bytes = KEY, device: str = MACHINE) -> bytes:
    return grants.seal(Seal(root=ROOT, key=key, device=device, grant=grant))


def by(signer: object, kind: str = GRANT_TYPE, grant: Grant = CHESS) -> bytes:
    """An envelope signed by anybody."""
    payload = msgspec.json.encode(Statement(device=MACHINE, grant=grant))
    signature = signer.sign(pae(kind, payload))  # type: ignore[attr-defined]  # a CryptoSigner
    return Envelope(kind, payload, ((signature.keyid, bytes.fromhex(signature.signature)),)).write()


def flaw(seal: bytes, grant: Grant = CHESS, device: str = MACHINE) -> str:
    return grants.flaw(Given(grant=grant, seal=seal), KEYS, device)


def test_what_was_given_holds() -> None:
    assert flaw(sealed()) == ""
    envelope = read(sealed())
    assert envelope.payload_type == "application/vnd.fairtime.grant+json"
    assert msgspec.json.decode(envelope.payload)["grant"]["subject"] == "deb:chess"


def test_a_guardians_own_key_is_as_good() -> None:
    assert flaw(by(GUARDIAN)) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "g2"},
        {"child": "leo"},
        {"kind": "site"},
        {"seconds": 3600},
        {"subject": "deb:doom"},
        {"title": "Doom"},
        {"day": "2026-03-02"},
        {"given": 2},
        {"until": 10**15},
        {"once": True},
        {"by": "Bob"},
        {"via": "tray"},
        {"note": "x"},
    ],
)
def test_any_changed_field_is_no_grant(changes: dict[str, object]) -> None:
    assert set(Grant.__struct_fields__) >= set(changes)
    assert flaw(sealed(), replace(CHESS, **changes)) == "it was changed after it was signed"


def test_every_field_is_covered_above() -> None:
    marked = test_any_changed_field_is_no_grant.pytestmark[0].args[1]  # type: ignore[attr-defined]  # pytest's own
    assert {name for changes in marked for name in changes} == set(Grant.__struct_fields__)


def test_others_may_not_give() -> None:
    assert "nobody who may give" in flaw(by(STRANGER))
    assert "another PC" in flaw(sealed(), device="other-machine")
    assert "something else" in flaw(by(GUARDIAN, PAYLOAD_TYPE))
    assert flaw(b"") == "it was never signed"
    with pytest.raises(TrustError, match="does not name"):
        sealed(key=signing.pem(STRANGER, None))
    with pytest.raises(TrustError, match="damaged"):
        sealed(key=b"nonsense")


def test_the_pcs_key_signs_no_policy() -> None:
    keys, _ = root.signers(root.read(ROOT))
    assert DEVICE.public_key.keyid not in keys
    assert GUARDIAN.public_key.keyid in keys


@given(st.data())
def test_any_changed_byte_is_no_grant(data: st.DataObject) -> None:
    good = bytearray(sealed())
    at = data.draw(st.integers(0, len(good) - 1))
    new = data.draw(st.integers(0, 255))
    if good[at] == new:
        return
    good[at] = new
    # White space of the file and the hint that a key id is are not signed; what is said must be the same then.
    why = flaw(bytes(good))
    assert why or msgspec.json.decode(read(bytes(good)).payload, type=Statement).grant == CHESS


def test_a_new_key_for_the_pc_needs_the_guardian_and_keeps_the_old_grants() -> None:
    old = root.read(ROOT)
    new = signing.new_signer()
    with pytest.raises(TrustError):
        root.with_device(old, new.public_key, [STRANGER])
    after = root.read(root.with_device(old, new.public_key, [GUARDIAN]))
    assert after.signed.version == old.signed.version + 1
    keys = root.givers(after)
    assert grants.flaw(Given(grant=CHESS, seal=sealed()), keys, MACHINE) == ""
    assert grants.flaw(Given(grant=CHESS, seal=by(new)), keys, MACHINE) == ""


# ---- the service's side ----------------------------------------------------------------------------------------------


def folder(tmp_path: Path) -> Path:
    (tmp_path / "root.json").write_bytes(ROOT)
    keep_key(tmp_path, KEY)
    return tmp_path


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows keeps no POSIX modes: the folder is the system's, and the key is sealed"
)
def test_the_key_is_the_systems_alone(tmp_path: Path) -> None:
    assert (folder(tmp_path) / KEY_FILE).stat().st_mode & 0o777 == 0o600


async def test_the_job_signs_and_checks(tmp_path: Path) -> None:
    seals = Seals(folder(tmp_path), MACHINE)
    seal = await seals.seal(CHESS)
    false = Given(grant=replace(CHESS, id="g2", subject="deb:doom"), seal=seal)
    assert await seals.check([Given(grant=CHESS, seal=seal), false]) == {"g2": "it was changed after it was signed"}
    assert await Seals(tmp_path, "other").check([Given(grant=CHESS, seal=seal)]) == {"g1": "it was given on another PC"}


async def test_without_a_key_nothing_is_given(tmp_path: Path) -> None:
    (folder(tmp_path) / KEY_FILE).unlink()
    with pytest.raises(TrustError, match="no key of its own") as caught:
        await Seals(tmp_path, MACHINE).seal(CHESS)
    assert "fairtime keys device" in caught.value.advice
    (tmp_path / "root.json").unlink()
    with pytest.raises(TrustError, match=r"guardians' keys is missing"):
        await Seals(tmp_path, MACHINE).check([Given(grant=CHESS, seal=b"x")])


def test_a_bad_question_to_the_job_is_an_answer() -> None:
    answer = msgspec.json.decode(
        grants.run(msgspec.json.encode(Check(root=b"{}", device=MACHINE, given=()))), type=Sealed
    )
    assert answer.reason == "root"
    assert answer.title
    assert job.NAMES["grants"] == "agent.trust.grants"


def test_rows_come_back_as_they_were_signed(tmp_path: Path) -> None:
    """Also after an end, which is entered beside it, and with text that had to be cut."""
    from agent.service.ledger_book import fit

    store = Store.open(tmp_path, machine_id=MACHINE)
    grant = fit(replace(CHESS, note="x" * 900, until=5_000))
    store.add_grant(grant, sealed(grant))
    store.end_grant("g1", 2_000)
    (row,) = store.sealed()
    assert grants.flaw(row, KEYS, MACHINE) == ""
    store.close()


def test_a_row_written_while_the_service_runs_is_not_taken_up(tmp_path: Path) -> None:
    store = Store.open(tmp_path, machine_id=MACHINE)
    store.add_grant(CHESS, sealed())
    store._db.connection.execute("UPDATE given SET subject = 'deb:doom'")
    store._db.connection.execute(
        "INSERT INTO given (id, child, kind, seconds, subject, day, given, until, by, via, note) "
        "VALUES ('x', 'mia', 'program', 0, 'deb:doom', '', 1, NULL, 'Ana', 'tray', '')"
    )
    store.forget("2026-01-01")
    assert [g.subject for g in store.grants("mia", at=10)] == ["deb:chess"]
    store.close()
    again = Store.open(tmp_path, machine_id=MACHINE)
    found = grants.check(Check(root=ROOT, device=MACHINE, given=tuple(again.sealed())))
    assert found == {"g1": "it was changed after it was signed", "x": "it was never signed"}
    again.disbelieve(found, forget=True)
    assert not again.grants("mia", at=10)
    assert not again.sealed()
    again.close()
