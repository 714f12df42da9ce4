"""What a Mac's commands say, read from recordings; and what is done when they say something else."""

from __future__ import annotations

import plistlib
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("asks for POSIX accounts", allow_module_level=True)

from agent.errors import HostError
from agent.model.snapshot import Session
from agent.platforms.base import Capability
from agent.platforms.macos import abilities, commands, findings, machine, registry, signatures, supervisor
from agent.platforms.macos.accounts import Person
from agent.platforms.macos.commands import Told
from agent.platforms.macos.endings import CGSESSION, LAUNCHCTL, Endings
from agent.platforms.macos.sessions import LOOK_EVERY, Sessions
from tests.contract.mac_double import RECORDINGS, MacDouble, recorded

MIA = Person("mia", 502, frozenset({20}))


@pytest.fixture
def double() -> MacDouble:
    double = MacDouble()
    double.said[registry.USERS] = Told(0, recorded("ioreg-users.plist"))
    return double


def test_recordings_say_where_they_come_from() -> None:
    files = [path for path in RECORDINGS.iterdir() if path.is_file()]
    assert len(files) > 10
    for path in files:
        head = "\n".join(path.read_text(encoding="utf-8").splitlines()[:2])
        assert "not recorded on a Mac" in head or "Recorded on macOS" in head, path.name


def test_who_sits_at_the_mac(double: MacDouble) -> None:
    mia, ana = registry.logins(double)
    assert (mia.uid, mia.name, mia.in_front, mia.locked, mia.id) == (502, "mia", True, False, "502.100013")
    assert (ana.uid, ana.name, ana.in_front, ana.locked) == (501, "ana", False, True)


def test_nobody_sits_at_the_login_window(double: MacDouble) -> None:
    double.said[registry.USERS] = Told(0, recorded("ioreg-login-window.plist"))
    assert registry.logins(double) == ()


def test_idle_is_in_milliseconds(double: MacDouble) -> None:
    assert registry.input_idle(double) == 73_250
    double.said[registry.INPUT] = Told(0, plistlib.dumps([]))
    assert registry.input_idle(double) is None


@pytest.mark.parametrize("out", [b"", b"ioreg: error", b"<?xml version='1.0'?><plist>", b"\xff\xfe", b"bplist00"])
def test_what_is_no_property_list_is_an_error_with_advice(double: MacDouble, out: bytes) -> None:
    double.said[registry.USERS] = Told(1, out)
    with pytest.raises(HostError) as caught:
        registry.logins(double)
    assert caught.value.advice


@pytest.mark.parametrize("rows", [[1, "x", {}], [{"kCGSSessionUserIDKey": "502", "kCGSSessionUserNameKey": "mia"}]])
def test_odd_rows_are_nobody(double: MacDouble, rows: list[object]) -> None:
    double.said[registry.USERS] = Told(0, plistlib.dumps({"IOConsoleUsers": rows}))
    assert registry.logins(double) == ()


def test_sessions_of_the_watched_alone(double: MacDouble) -> None:
    sessions = Sessions(double, lambda: (("mia", "ttys003"), ("ana", "ttys004")))
    assert sessions.due(0) and sessions.look(0)
    assert not sessions.look(LOOK_EVERY), "nothing has changed"
    assert not sessions.due(LOOK_EVERY + 1) and sessions.due(2 * LOOK_EVERY)
    assert sessions.of({502: MIA}) == (
        Session(id="502.100013", account="mia", kind="quartz", active=True, input_idle=73_250),
        Session(id="tty:ttys003", account="mia", kind="remote"),
    )


def test_a_failed_look_ends_nobodys_session_and_has_a_reason(double: MacDouble) -> None:
    sessions = Sessions(double, tuple)
    sessions.look(0)
    double.said[registry.USERS] = Told(1, b"")
    sessions.look(LOOK_EVERY)
    assert [one.account for one in sessions.of({502: MIA})] == ["mia"]
    assert "ioreg" in sessions.why


def test_who_signed_counts_only_where_the_signature_holds(double: MacDouble) -> None:
    path = "/Applications/Discord.app/Contents/MacOS/Discord"
    double.said[signatures.show(path)] = Told(0, b"", recorded("codesign.txt"))
    assert signatures.team(path, double) == ""
    double.said[signatures.verify(path)] = Told(0)
    assert signatures.team(path, double) == "53Q6R32WPB"
    assert "=anchor apple generic" in signatures.verify(path), "a certificate of one's own may name any team"
    double.said[signatures.show(path)] = Told(0, b"", recorded("codesign-adhoc.txt"))
    assert signatures.team(path, double) == ""


def test_a_command_that_cannot_be_asked_makes_nobody_a_signer() -> None:
    def fails(_: object) -> Told:
        raise HostError("gone", "look")

    assert signatures.team("/x", fails) == ""


def test_the_first_resolver_alone_has_the_pcs_name_servers(double: MacDouble) -> None:
    assert machine.name_servers(double) == ("192.0.2.53", "2001:db8::53")


def test_the_machines_id_is_stable_and_not_the_hardwares(double: MacDouble) -> None:
    found = machine.machine_id(double)
    assert found == machine.machine_id(double) and len(found) == 32
    assert "0123456789ab" not in found


def test_settings_that_open_a_mac_are_found(double: MacDouble) -> None:
    assert list(findings.of_settings(double)) == []
    for words, name in ((findings.FILEVAULT, "fdesetup-off.txt"), (findings.INTEGRITY, "csrutil-off.txt")):
        double.said[words] = Told(0, recorded(name))
    double.said[findings.GUEST] = Told(0, b"", recorded("guest-on.txt"))
    assert [one.id for one in findings.of_settings(double)] == ["disk-open", "integrity-off", "guest"]


def test_a_child_without_an_account_is_found(double: MacDouble) -> None:
    (finding,) = findings.of_child("no-such-account")
    assert finding.severity == "open" and finding.advice


def test_every_absent_ability_has_words() -> None:
    told = abilities.of(sessions="x", idle="y", locks=False, browsers="z", hidden=True, supervised=False)
    assert {one.capability for one in told} == set(Capability)
    assert all(one.present or len(one.why) > 10 for one in told)
    assert {one.capability for one in told if one.present} == {Capability.LOGOUT, Capability.HOLD}


def test_an_old_mac_locks_and_a_new_one_says_that_it_cannot() -> None:
    double = MacDouble()
    Endings(double, there=lambda _: True).lock(502)
    assert double.asked == [(LAUNCHCTL, "asuser", "502", CGSESSION, "-suspend")]
    with pytest.raises(HostError) as caught:
        Endings(double, there=lambda _: False).lock(502)
    assert "logout" in caught.value.advice
    assert len(double.asked) == 1


@pytest.mark.parametrize(("code", "ends"), [(0, True), (3, True), (113, True), (1, False), (5, False)])
def test_a_domain_that_is_gone_is_success_and_a_refusal_is_not(code: int, ends: bool) -> None:
    endings = Endings(lambda _: Told(code, b"", b"Boot-out failed"))
    if ends:
        endings.log_out(502)
    else:
        with pytest.raises(HostError, match="Boot-out failed"):
            endings.log_out(502)


def test_a_command_that_is_not_there_is_an_error_with_advice() -> None:
    with pytest.raises(HostError) as caught:
        commands.run(("/no/such/command",))
    assert caught.value.advice


def test_a_command_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PATIENCE", 0.2)
    with pytest.raises(HostError, match="no answer"):
        commands.run((sys.executable, "-c", "import time; time.sleep(30)"))


def test_a_command_gets_nothing_of_ours() -> None:
    told = commands.run((sys.executable, "-c", "import os, sys; print(sorted(os.environ), sys.stdin.read())"))
    assert "HOME" not in commands.text(told) and told.code == 0


def test_setup_starts_the_service_anew_or_says_why_not() -> None:
    asked: list[object] = []
    supervisor.start(lambda words: asked.append(words) or Told(0))
    assert asked == [("/bin/launchctl", "kickstart", "-k", "system/org.fairtime.Fairtime")]
    with pytest.raises(HostError, match="Could not find service"):
        supervisor.start(lambda _: Told(113, b"", b"Could not find service"))
