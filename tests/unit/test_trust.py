"""Only what enough guardians signed, for this PC, now, and not older than before, comes into force."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from securesystemslib.signer import CryptoSigner

from agent.core.family import build_policy, parse
from agent.errors import StoreError, TrustError
from agent.model.policy import PAYLOAD_TYPE, Policy
from agent.platforms.base import Account
from agent.resources import load_presets
from agent.service import jobs, policies
from agent.service.policies import PolicyStore
from agent.trust import root, signing
from agent.trust.envelope import Envelope, pae, read
from agent.trust.question import Answer, Question
from agent.trust.verify import run, verify
from tests.unit.test_family import BASE

NOW = 1_795_000_000_000
ANA, BEN, EVE = (signing.new_signer() for _ in range(3))


def payload(version: int = 1, **changes: object) -> Policy:
    made = build_policy(parse(BASE), {}, load_presets(), policy_id="p", version=version, issued="2026-01-01T00:00:00Z")
    made = msgspec.structs.replace(made, **changes)
    family = made.family
    child = msgspec.structs.replace(
        family.children[0], limits=msgspec.structs.replace(family.children[0].limits, programs=[])
    )
    return msgspec.structs.replace(made, family=msgspec.structs.replace(family, children=[child]))


def signed(policy: Policy, *signers: CryptoSigner) -> bytes:
    return signing.sign_policy(policy, *(signers or (ANA,)))


def roots(*signers: CryptoSigner, threshold: int = 1, version: int = 1, by: Sequence[CryptoSigner] = ()) -> bytes:
    keys = signers or (ANA,)
    return root.make([s.public_key for s in keys], list(by) or list(keys), threshold=threshold, version=version)


def reason(policy: bytes, trusted: bytes | None = None, rotations: tuple[bytes, ...] = ()) -> str:
    question = Question(root=trusted or roots(), policy=policy, rotations=rotations)
    return msgspec.json.decode(run(msgspec.json.encode(question)), type=Answer).reason


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's work in this process: what it answers is the same, and tests are quick."""

    async def inside(name: str, request: bytes) -> bytes:
        assert name == "verify"
        return run(request)

    monkeypatch.setattr(jobs, "run", inside)


def store(folder: Path, machine: str = "here") -> PolicyStore:
    return PolicyStore(folder, machine, lambda: [Account("mia", "1000", False), Account("ana", "1001", True)])


def begun(folder: Path, *versions: int) -> PolicyStore:
    kept = store(folder)
    asyncio.run(kept.begin(roots(), signed(payload(versions[0])), NOW))
    for version in versions[1:]:
        asyncio.run(kept.install(signed(payload(version)), NOW))
    return kept


def test_a_signed_policy_is_believed() -> None:
    assert reason(signed(payload())) == ""


def test_no_byte_of_it_can_be_changed() -> None:
    data = signed(payload())
    trusted = roots()
    tree = json.loads(data)
    for at in range(len(data)):
        if at % 7 and 40 < at < len(data) - 300:
            continue  # every seventh byte of the payload, every byte around it
        broken = bytearray(data)
        broken[at] ^= 1
        try:
            same = json.loads(bytes(broken)) == tree
        except ValueError:
            same = False
        assert same or reason(bytes(broken), trusted) in ("envelope", "signature", "size"), at


def test_no_part_of_it_is_enough() -> None:
    data = signed(payload())
    trusted = roots()
    for length in range(0, len(data) - 1, 23):
        assert reason(data[:length], trusted) in ("envelope", "size"), length


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "size"),
        (b"x" * (1024 * 1024 + 1), "size"),
        (b"\xff" * 1000, "envelope"),
        (b"[" * 100_000, "envelope"),
        (b'{"payload": NaN}', "envelope"),
        (b'{"a": 1, "a": 2}', "envelope"),
        (b"{}", "envelope"),
        (b'{"payloadType": "x", "payload": "", "signatures": []}', "envelope"),
    ],
)
def test_junk_has_a_name(data: bytes, word: str) -> None:
    assert reason(data) == word


def test_a_stranger_signs_in_vain() -> None:
    assert reason(signed(payload(), EVE)) == "signature"


def test_two_guardians_are_two_and_one_is_never_two() -> None:
    trusted = roots(ANA, BEN, threshold=2)
    policy = payload()
    assert reason(signed(policy, ANA), trusted) == "signature"
    assert reason(signed(policy, ANA, BEN), trusted) == ""
    once = read(signed(policy, ANA))
    twice = Envelope(once.payload_type, once.payload, once.signatures * 2)
    assert reason(twice.write(), trusted) == "signature"


def test_one_key_under_two_ids_is_refused() -> None:
    from securesystemslib.signer import SSlibKey

    key = ANA.public_key
    twin = SSlibKey("0" * 64, key.keytype, key.scheme, dict(key.keyval))
    data = root.make([key, twin], [ANA], threshold=2)
    with pytest.raises(TrustError) as caught:
        root.read(data)
    assert caught.value.reason == "root"


def test_a_threshold_that_nobody_reaches_is_never_made() -> None:
    with pytest.raises(TrustError, match="cannot give 3"):
        roots(ANA, BEN, threshold=3)


def test_keys_change_with_the_old_keys_consent_only() -> None:
    old = roots(ANA)
    good = roots(BEN, version=2, by=(ANA, BEN))
    policy = signed(payload(), BEN)
    assert reason(policy, old) == "signature"
    assert reason(policy, old, (good,)) == ""
    assert reason(signed(payload(), ANA), old, (good,)) == "signature"
    for bad in (
        roots(EVE, version=2, by=(EVE,)),
        roots(BEN, version=3, by=(ANA, BEN)),
        roots(BEN, version=1, by=(ANA, BEN)),
    ):
        assert reason(policy, old, (bad,)) == "root"


def test_the_answer_is_about_these_bytes() -> None:
    import hashlib

    data = signed(payload())
    assert verify(Question(root=roots(), policy=data)).sha256 == hashlib.sha256(data).hexdigest()


def test_the_real_job_says_the_same() -> None:
    """One run of the process itself: a good policy, then a forged one."""
    question = Question(root=roots(), policy=signed(payload()))
    answer = msgspec.json.decode(asyncio.run(jobs.run("verify", msgspec.json.encode(question))), type=Answer)
    assert (answer.reason, len(answer.sha256)) == ("", 64)


@pytest.mark.usefixtures("here")
class TestStore:
    def test_begins_once(self, tmp_path: Path) -> None:
        kept = begun(tmp_path, 1)
        assert kept.now.state == "in force"
        with pytest.raises(TrustError, match="guardians already"):
            asyncio.run(kept.begin(roots(EVE), signed(payload(2), EVE), NOW))

    @pytest.mark.parametrize(
        ("data", "word"),
        [
            (lambda: signed(payload(1, policy_id="other")), "version"),
            (lambda: signed(payload(2)), "version"),
            (lambda: signed(payload(4), EVE), "signature"),
            (lambda: signed(payload(4, devices=["elsewhere"])), "device"),
            (lambda: signed(payload(4, expires="2026-02-01T00:00:00Z")), "expired"),
            (lambda: signed(payload(4, not_before="2030-01-01T00:00:00Z")), "early"),
            (lambda: typed("application/json", msgspec.json.encode(payload(4))), "type"),
            (lambda: typed(PAYLOAD_TYPE, b'{"policy_id": "x"}'), "schema"),
            (lambda: typed(PAYLOAD_TYPE, msgspec.json.encode(payload(4))[:-1] + b',"more":1}'), "schema"),
            (lambda: typed(PAYLOAD_TYPE, b'{"version":4,' + msgspec.json.encode(payload(4))[1:]), "envelope"),
            (lambda: b"", "size"),
        ],
    )
    def test_refuses_and_changes_nothing(self, tmp_path: Path, data: Callable[[], bytes], word: str) -> None:
        kept = begun(tmp_path, 1, 3)
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        with pytest.raises(TrustError) as caught:
            asyncio.run(kept.install(data(), NOW))
        assert caught.value.reason == word
        assert caught.value.advice
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
        assert asyncio.run(store(tmp_path).load(NOW)).state == "in force"

    def test_a_damaged_policy_leaves_the_last_good_one(self, tmp_path: Path) -> None:
        begun(tmp_path, 1, 2)
        (tmp_path / policies.POLICY).write_bytes(b"{")
        found = asyncio.run(store(tmp_path).load(NOW))
        assert found.state == "last known good"
        assert found.policy is not None
        assert found.policy.version == 2
        assert found.notes
        (tmp_path / policies.POLICY).unlink()
        assert asyncio.run(store(tmp_path).load(NOW)).state == "last known good"

    def test_the_first_policy_has_a_spare_as_well(self, tmp_path: Path) -> None:
        begun(tmp_path, 1)
        (tmp_path / policies.POLICY).write_bytes(b"\0" * 100)
        found = asyncio.run(store(tmp_path).load(NOW))
        assert (found.state, found.policy and found.policy.version) == ("last known good", 1)

    def test_a_spare_that_cannot_be_kept_is_told_and_the_policy_is_in_force(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = begun(tmp_path, 1)
        write = PolicyStore._write

        def full(self: PolicyStore, name: str, content: bytes) -> None:
            if name == policies.PREVIOUS and content == signed(payload(2)):
                raise StoreError("The disk is full", "Make room.")
            write(self, name, content)

        monkeypatch.setattr(PolicyStore, "_write", full)
        found = asyncio.run(kept.install(signed(payload(2)), NOW))
        assert (found.state, found.notes) == ("in force", ("There is no spare copy of the policy. The disk is full.",))
        assert asyncio.run(store(tmp_path).load(NOW)).state == "in force"

    def test_an_older_file_in_its_place_is_noticed(self, tmp_path: Path) -> None:
        begun(tmp_path, 1, 2, 3)
        (tmp_path / policies.POLICY).write_bytes(signed(payload(1)))
        found = asyncio.run(store(tmp_path).load(NOW))
        assert found.policy is not None
        assert found.policy.version == 3
        assert any("older" in note for note in found.notes)

    def test_with_nothing_left_everybody_has_an_hour_and_guardians_all(self, tmp_path: Path) -> None:
        begun(tmp_path, 1)
        (tmp_path / policies.POLICY).unlink()
        (tmp_path / policies.PREVIOUS).unlink()
        found = asyncio.run(store(tmp_path).load(NOW))
        assert found.state == "none"
        assert found.policy is not None
        assert [c.accounts for c in found.policy.family.children] == [["mia"]]
        assert found.policy.family.children[0].limits.budget == {"all": "1h"}
        assert found.policy.family.guardians[0].account == "ana"

    def test_before_setup_nobody_is_limited_and_it_says_so(self, tmp_path: Path) -> None:
        found = asyncio.run(store(tmp_path).load(NOW))
        assert found.policy is None
        assert "setup" in found.notes[0]

    def test_an_expired_policy_holds_and_says_so(self, tmp_path: Path) -> None:
        kept = store(tmp_path)
        asyncio.run(kept.begin(roots(), signed(payload(1, expires="2027-01-01T00:00:00Z")), NOW))
        later = NOW + 400 * 86_400_000
        assert kept.recheck(later).state == "expired"
        again = asyncio.run(store(tmp_path).load(later))
        assert again.state == "expired"
        assert again.policy is not None

    @pytest.mark.parametrize("step", range(8))
    def test_a_power_cut_leaves_the_old_or_the_new(
        self, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = begun(tmp_path, 1)
        calls = 0
        fsync, replace = os.fsync, Path.replace

        def cut(real: Callable[..., object]) -> Callable[..., object]:
            def act(*arguments: object) -> object:
                nonlocal calls
                calls += 1
                if calls > step:
                    raise KeyboardInterrupt  # nothing of ours catches it, as nothing catches a power cut
                return real(*arguments)

            return act

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", cut(fsync))
            patched.setattr(Path, "replace", cut(replace))
            with pytest.raises(KeyboardInterrupt):
                asyncio.run(kept.install(signed(payload(2)), NOW))
        found = asyncio.run(store(tmp_path).load(NOW))
        assert found.state == "in force"
        assert found.policy is not None
        assert found.policy.version in (1, 2)
        assert asyncio.run(store(tmp_path).install(signed(payload(3)), NOW)).state == "in force"

    def test_a_full_disk_changes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = begun(tmp_path, 1)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(StoreError, match="No space"):
                asyncio.run(kept.install(signed(payload(2)), NOW))
        found = asyncio.run(store(tmp_path).load(NOW))
        assert found.policy is not None
        assert (found.state, found.policy.version) == ("in force", 1)


def typed(kind: str, data: bytes) -> bytes:
    signature = ANA.sign(pae(kind, data))
    return Envelope(kind, data, ((signature.keyid, bytes.fromhex(signature.signature)),)).write()


def test_a_key_file_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    place = tmp_path / "key.pem"
    signing.keep_in_file(place, ANA, "three loose words")
    if sys.platform != "win32":  # where the folder says whose it is, no mode
        assert place.stat().st_mode & 0o777 == 0o600
    assert signing.from_file(place, lambda: "three loose words").public_key.keyid == ANA.public_key.keyid
    with pytest.raises(TrustError, match="cannot be opened"):
        signing.from_file(place, lambda: "three loose wards")
    with pytest.raises(TrustError, match="already"):
        signing.keep_in_file(place, EVE, "three loose words")
    with pytest.raises(TrustError, match="too short"):
        signing.keep_in_file(tmp_path / "other.pem", EVE, "short")


def test_the_service_imports_none_of_the_heavy_libraries() -> None:
    import subprocess
    import sys

    code = (
        "import sys, agent.service.app; "
        "print([m for m in ('tuf', 'securesystemslib', 'cryptography', 'keyring', 'jinja2', 'PIL', 'pystray', 'tkinter',"
        " 'desktop_notifier') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
