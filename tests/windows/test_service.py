"""The service as Windows runs it, and what installing it changes: put in place, read back, taken away again."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

import winreg

import win32security
import win32service

from agent.errors import StoreError
from agent.ipc.answers import Status
from agent.ipc.client import Client
from agent.ipc.protocol import GetStatus
from agent.platforms.windows import eventlog, installation, paths, safeboot, shortcut
from agent.platforms.windows.service import NAME

ROOT = Path(__file__).resolve().parents[2]
SERVING = Path(__file__).with_name("serving.py")
WINE = hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")
PIPE = r"\\.\pipe\fairtime-test-service"


@pytest.fixture
def programdata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The PC's folder for programs' data, for this test: with a space and letters beyond ASCII in its name."""
    folder = tmp_path / "Gemeinsame Daten ü"
    folder.mkdir()
    known = paths.known
    monkeypatch.setattr(
        paths, "known", lambda what: folder if what == "{62AB5D82-FDC1-4DC3-A9DD-070D1D495D97}" else known(what)
    )
    return folder


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "Programme (für alle)" / "Fairtime"
    folder.mkdir(parents=True)
    for name in ("fairtime.exe", "fairtime-service.exe", "fairtime-tray.exe"):
        (folder / name).write_bytes(b"MZ")
    return folder


@pytest.fixture
def installed(program: Path, programdata: Path) -> Iterator[Path]:
    installation.put(program)
    yield program
    installation.take_away(program, "ana")


def asked(question: Callable[[object], object]) -> object:
    """What the service control manager answers about the service."""
    manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)
    service = win32service.OpenService(manager, NAME, win32service.SERVICE_ALL_ACCESS)
    try:
        return question(service)
    finally:
        win32service.CloseServiceHandle(service)
        win32service.CloseServiceHandle(manager)


def registry() -> dict[str, object]:
    """What installing writes there; what is not there is left out."""
    found: dict[str, object] = {}
    for key in (eventlog.KEY, *safeboot.keys(NAME), rf"SYSTEM\CurrentControlSet\Services\{NAME}"):
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as at:
                found[key] = [winreg.EnumValue(at, n) for n in range(winreg.QueryInfoKey(at)[1])]
        except FileNotFoundError:
            continue
    return found


def test_a_household_is_known_by_the_same_file_as_in_the_service() -> None:
    from agent.service.policies import ROOT as TRUSTED

    assert installation.FOUNDED == TRUSTED


def test_setup_proposes_a_zone_that_python_knows() -> None:
    from zoneinfo import ZoneInfo

    from agent.cli.setup import local_zone

    assert ZoneInfo(local_zone()).key


def test_without_a_household_nothing_is_left(program: Path, programdata: Path) -> None:
    installation.put(program)
    assert asked(win32service.QueryServiceConfig)[1] == win32service.SERVICE_DEMAND_START
    assert installation.take_away(program, "ana") == ()
    assert list(programdata.iterdir()) == []


def test_a_second_service_is_told_of_the_first(tmp_path: Path) -> None:
    """Windows lets nobody read what is locked, so the number of the process must not be."""
    from agent.service.statelock import StateLock

    with StateLock(tmp_path):
        script = "import sys\nfrom agent.service.statelock import StateLock\nfrom pathlib import Path\nStateLock(Path(sys.argv[1]))"
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    assert f"running already (process {os.getpid()})" in done.stderr


def test_put_in_place_and_taken_away_leaves_the_tombstone_alone(program: Path, programdata: Path) -> None:
    before = registry()
    assert before == {}
    paths.places().state.mkdir()
    (paths.places().state / installation.FOUNDED).write_text("{}", encoding="utf-8")
    installation.put(program)
    installation.put(program)  # once more mends
    assert asked(win32service.QueryServiceConfig)[1] == win32service.SERVICE_AUTO_START
    assert asked(win32service.QueryServiceConfig)[3] == f'"{program}\\fairtime-service.exe" run --windows-service'
    assert safeboot.registered(NAME)
    assert all(path.is_file() for path in shortcut.places())
    assert installation.take_away(program, "Jürgen") == ()
    assert registry() == before
    assert not any(path.exists() for path in shortcut.places())
    left = [path.relative_to(programdata).as_posix() for path in programdata.rglob("*")]
    assert sorted(left) == ["Fairtime", "Fairtime/removed", f"Fairtime/{installation.FOUNDED}"]
    assert (programdata / "Fairtime" / "removed").read_text(encoding="utf-8").split()[1] == "Jürgen"
    assert installation.take_away(program, "Jürgen") == ()  # and once more is no error


def test_what_is_to_be_forgotten_is_gone(program: Path, programdata: Path) -> None:
    state = paths.places().state
    (state / "family").mkdir(parents=True)
    (state / installation.FOUNDED).write_text("{}", encoding="utf-8")
    (state / "family" / "family.toml").write_text("", encoding="utf-8")
    installation.put(program)
    assert installation.take_away(program, "ana", forget=True) == ()
    assert list(programdata.iterdir()) == []


@pytest.mark.skipif(WINE, reason="Wine does not keep what is to be done when a service fails")
def test_recovery_is_read_back(installed: Path) -> None:
    found = asked(lambda one: win32service.QueryServiceConfig2(one, win32service.SERVICE_CONFIG_FAILURE_ACTIONS))
    assert [tuple(action) for action in found["Actions"]] == list(installation.RESTARTS)
    assert found["ResetPeriod"] == installation.FORGIVEN


@pytest.mark.skipif(WINE, reason="Wine does not keep a service's rights")
def test_the_services_rights_are_read_back(installed: Path) -> None:
    rights = asked(lambda one: win32service.QueryServiceObjectSecurity(one, win32security.DACL_SECURITY_INFORMATION))
    text = win32security.ConvertSecurityDescriptorToStringSecurityDescriptor(rights, 1, 4)
    assert "(A;;CCLCSWLOCRRC;;;IU)" in text


def test_the_tray_is_found_by_its_id(installed: Path) -> None:
    import pythoncom
    from win32com.propsys import propsys, pscon

    from agent.platforms.windows.appid import APP_ID

    for path in shortcut.places():
        try:
            store = propsys.SHGetPropertyStoreFromParsingName(str(path))
        except pythoncom.com_error as error:
            if APP_ID.encode("utf-16-le") not in path.read_bytes():
                pytest.skip(f"the properties of a link are not kept here: {error}")
            continue  # Wine keeps them and cannot read them
        assert store.GetValue(pscon.PKEY_AppUserModel_ID).GetValue() == APP_ID


def test_a_folder_that_somebody_made_first_is_taken_over(programdata: Path) -> None:
    state = paths.places().state
    (state / "backups").mkdir(parents=True)
    (state / "backups" / "planted").write_text("x", encoding="utf-8")
    paths.secure(state)
    for path in (state, state / "backups", state / "backups" / "planted"):
        assert paths.owned_by_us(path)
    if WINE:
        pytest.skip("the owners are right; Wine keeps of a folder's rights what Linux has a mode for")
    found = win32security.GetNamedSecurityInfo(str(state), 1, win32security.DACL_SECURITY_INFORMATION)
    text = win32security.ConvertSecurityDescriptorToStringSecurityDescriptor(found, 1, 4)
    assert "WD" not in text
    assert "BU" not in text


def test_a_link_in_the_state_folders_place_is_refused(programdata: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    try:
        os.symlink(elsewhere, programdata / "Fairtime", target_is_directory=True)
    except OSError as error:
        pytest.skip(f"no link can be made here: {error}")
    if not (programdata / "Fairtime").is_symlink():
        pytest.skip("Wine makes a folder where a link is asked for")
    with pytest.raises(StoreError, match="link"):
        paths.secure(paths.places().state)


def test_the_event_log_takes_what_is_much_for_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    eventlog.register()
    told: list[str] = []
    monkeypatch.setattr(eventlog.win32evtlog, "ReportEvent", lambda *words: told.append(words[5][0]))
    handler = eventlog.EventLog()
    for number in range(eventlog.BURST + 500):
        handler.emit(logging.LogRecord("x", logging.WARNING, "", 0, f"entry {number}", None, None))
    assert len(told) == eventlog.BURST
    handler._tokens = 1
    handler.emit(logging.LogRecord("x", logging.ERROR, "", 0, "Ü\0" + "x" * 50_000, None, None))
    assert told[-1].startswith("Ü x")
    assert told[-1].endswith("(500 entries before this one were left out.)")
    assert len(told[-1]) < eventlog.MOST + 100
    eventlog.forget()


def test_the_service_starts_answers_and_stops(tmp_path: Path) -> None:
    """Not frozen, its loop in a thread of its own."""
    state = tmp_path / "state"
    bare = " ".join(f'"{word}"' for word in (sys.executable, str(SERVING), str(state), PIPE))
    installation._make_service(bare, automatic=False)
    try:
        installation.start()
        assert installation.running()
        client = Client(PIPE)
        answer = client.call(GetStatus())
        assert isinstance(answer, Status)
        assert answer.role == "administrator"
        client.close()
        installation.start()  # it runs: no error
        installation.stop()
        assert not installation.running()
        assert (state / "ledger.db").is_file()
    finally:
        installation.stop()
        installation._drop_service()


def test_a_service_that_cannot_run_says_so_and_is_not_taken_for_stopped_in_good_order(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("a file", encoding="utf-8")
    bare = " ".join(f'"{word}"' for word in (sys.executable, str(SERVING), str(state), PIPE))
    installation._make_service(bare, automatic=False)
    try:
        from agent.errors import HostError

        with pytest.raises(HostError, match="does not start"):
            installation.start()
    finally:
        installation.stop()
        installation._drop_service()


def test_a_program_in_a_terminal_is_no_service() -> None:
    script = "from agent.platforms import supervised; supervised(lambda _: 0)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=ROOT
    )
    assert done.returncode == 1
    assert "did not start this as a service" in done.stderr
