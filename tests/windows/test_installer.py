"""The installer as a person has it: silent, into a folder with a space and letters beyond ASCII, used, replaced, taken away.

It changes the machine, so it runs in the Windows under Wine alone, which is thrown away (make package, then make windows).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs a Windows Python under Wine (make windows)", allow_module_level=True)
if "WINDOWS_LAB" not in os.environ:
    pytest.skip("installs and removes Fairtime: in the Windows under Wine alone", allow_module_level=True)

import winreg

from PIL import ImageChops

from agent import platforms
from agent.cli.accounts import own_account
from agent.cli.policy import build
from agent.core.family import parse
from agent.ipc.answers import Status
from agent.ipc.client import Client
from agent.ipc.protocol import GetStatus
from agent.platforms.windows import eventlog, installation, paths, safeboot, shortcut
from agent.platforms.windows.browserrules import POLICIES
from agent.platforms.windows.keeping import OURS
from agent.platforms.windows.pipenames import SERVICE
from agent.platforms.windows.registry import Registry
from agent.platforms.windows.service import NAME
from agent.platforms.windows.values import text
from agent.service.audit import Audit
from agent.service.founding import found
from agent.service.store import Store
from agent.trust import root, signing
from tests.family import child, head
from tests.windows import installers
from tests.windows.standin import PIN, QUARTER, Ear, picture, until

ROOT = Path(__file__).resolve().parents[2]
VERSION = str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
BUILT = ROOT / "dist" / f"fairtime-{VERSION}-windows-test.exe"
OLDER, BROKEN = installers.path(installers.OLDER), installers.path(installers.BROKEN)
if not all(path.is_file() for path in (BUILT, OLDER, BROKEN)):
    pytest.skip("the installer is not built (make package, then make windows)", allow_module_level=True)

FOLDER = Path(r"C:\Programs of all (für alle)\Fair time")
PROGRAMS = {"_internal", "fairtime.exe", "fairtime-service.exe", "fairtime-tray.exe", "uninstall.exe"}
PICTURES = ROOT / "build" / "windows" / "pictures"
UNINSTALL = r"Software\Microsoft\Windows\CurrentVersion\Uninstall\Fairtime"
SERVICES = rf"SYSTEM\CurrentControlSet\Services\{NAME}"
MIA = "S-1-5-21-1111111111-2222222222-3333333333-1002"
"""There is no such account under Wine, so her hive is made by hand, and the policy names her by her SID."""
CHROME = rf"{MIA}\{POLICIES}\Google\Chrome"
KEPT = ("root.json", "policy.dsse.json", "policy.previous.json", "mark.json", "device.key")
"""Policy and keys, the same bytes whatever version comes and goes."""
PASSED_OVER = ("009", "CurrentLanguage", "Console", "Temporary System Parameters")
"""Texts of counters below Perflib, which are no keys (HKEY_PERFORMANCE_TEXT); how Wine's terminal looks, written with the first one;
what programs have told Wine of the mouse until it ends."""
LAST_NUMBER = r"SYSTEM\CurrentControlSet\Control\ServiceCurrent"
"""Windows counts there which services it has started."""
pytestmark = pytest.mark.timeout(2400)


def ran(words: str, **more: str) -> int:
    """As a line: NSIS takes no quotation marks in ``/D=`` and ``_?=``."""
    return subprocess.run(words, env={**os.environ, **more}, check=False, stdin=subprocess.DEVNULL).returncode


def fairtime(words: str) -> int:
    return ran(f'"{FOLDER}\\fairtime.exe" {words}')


def install(installer: Path) -> int:
    return ran(f'"{installer}" /S /D={FOLDER}')


def uninstall(words: str = "/S", **more: str) -> int:
    """``_?=`` lets the uninstaller do its work itself, so that it can be asked how that ended."""
    return ran(f'"{FOLDER}\\uninstall.exe" {words} _?={FOLDER}', **more)


def machine(key: str, name: str) -> object:
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as at:
            return winreg.QueryValueEx(at, name)[0]
    except FileNotFoundError:
        return None


def there(key: str) -> bool:
    with contextlib.suppress(FileNotFoundError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key):
        return True
    return False


def registry() -> dict[str, object]:
    """Every key and value of the machine and of all users."""
    seen: dict[str, object] = {}

    def read(root: int, key: str) -> None:
        with winreg.OpenKey(root, key) as at:
            keys, values, _ = winreg.QueryInfoKey(at)
            if key != LAST_NUMBER:
                seen[f"{root:x} {key}"] = sorted(
                    filter(ours, (winreg.EnumValue(at, n) for n in range(values))), key=repr
                )
            for name in [winreg.EnumKey(at, n) for n in range(keys)]:
                if name not in PASSED_OVER:
                    read(root, f"{key}\\{name}" if key else name)

    for root_, key in (
        (winreg.HKEY_LOCAL_MACHINE, "SOFTWARE"),
        (winreg.HKEY_LOCAL_MACHINE, "SYSTEM"),
        (winreg.HKEY_USERS, ""),
    ):
        read(root_, key)
    return seen


def ours(value: tuple[str, object, int]) -> bool:
    """Not that NSIS' uninstaller has Windows take its own copy in the temporary folder away at the next start."""
    name, content, _ = value
    return name != "PendingFileRenameOperations" or not all(
        not path or "~nsu" in path or "\\ns" in path for path in (content if isinstance(content, list) else ())
    )


def different(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def kept() -> dict[str, bytes]:
    state = paths.places().state
    return {name: (state / name).read_bytes() for name in KEPT if (state / name).exists()}


def audit() -> list[str]:
    """The audit's actions; the service must not run."""
    store = Store.open(paths.places().state, machine_id=platforms.host().machine_id())
    try:
        found_ = Audit.open(paths.places().state, store)
        assert found_.verify().ok
        return [entry.action for entry in found_.tail(1000)]
    finally:
        store.close()


def household() -> None:
    """Ana's, where mia may open few sites; by the same steps as ``fairtime setup``, which wants accounts that Wine has not."""
    signer, device = signing.new_signer(), signing.new_signer()
    limits = 'sites = { mode = "allow-list", allow = ["wikipedia.org"] }'
    family = head(account=own_account()) + child(limits, accounts=(f"#{MIA}",))
    data = signing.sign_policy(build(parse(family), version=1), signer)
    keys = root.make([signer.public_key], [signer], devices=[device.public_key])
    state, host = paths.places().state, platforms.host()
    asyncio.run(found(state, host, keys, data, PIN, "ana", device_key=signing.pem(device, None)))


def answers() -> bool:
    with contextlib.closing(Client(SERVICE)) as client:
        answer = client.call(GetStatus())
    return isinstance(answer, Status) and answer.policy == "in force"


@dataclass
class Before:
    registry: dict[str, object]


@pytest.fixture
def before() -> Iterator[Before]:
    """A PC where another product has set a rule in mia's browser."""
    assert not there(UNINSTALL), "Fairtime is installed here already"
    users = Registry(winreg.HKEY_USERS)
    users.put(rf"{CHROME}\URLBlocklist", "1", text("other.example"))
    users.put(CHROME, "HomepageLocation", text("https://other.example/"))
    try:
        yield Before(registry())
    finally:
        installation.take_away(FOLDER)
        users.remove(MIA)


def test_a_whole_life(before: Before) -> None:
    assert install(OLDER) == 0
    in_place(installers.OLDER)
    assert not installation.running(), "there is no household yet"
    household()
    known = kept()
    assert len(known) == len(KEPT)
    assert fairtime("service start") == 0
    serves()
    until(lambda: Registry(winreg.HKEY_USERS).value(rf"{CHROME}\URLBlocklist", "1") != text("other.example"))

    assert install(BUILT) == 0, "an upgrade"
    in_place(VERSION)
    serves()
    a_broken_version_steps_back()
    a_file_in_use_steps_back()
    an_interrupted_upgrade_is_mended()
    assert install(OLDER) == 0, "a downgrade"
    in_place(installers.OLDER)
    serves()
    assert install(BUILT) == 0
    assert kept() == known

    assert fairtime("service stop") == 0
    assert not installation.running()
    with contextlib.closing(Ear()) as ear:
        tray = shown_and_told(ear)
        kept_without_the_pin(ear)
        # With it Fairtime goes, with its tray, which runs.  The first process of an uninstaller ends before its work.
        assert ran(f'"{FOLDER}\\uninstall.exe" /S', FAIRTIME_PIN=PIN) == 0
        tray.wait(120)
        until(lambda: not FOLDER.exists())
        assert ear.pins == ["1", PIN]
    until(lambda: not there(UNINSTALL))
    gone(before, known)

    assert install(BUILT) == 0, "over what an earlier installation left"
    serves()
    assert uninstall() == 0, "an administrator's account"
    until(lambda: not FOLDER.exists() or not (FOLDER / "_internal").exists())
    gone(before, known)
    told = audit()
    assert "was-removed" in told
    assert told[-1] == "being-removed"

    (FOLDER / "uninstall.exe").unlink(missing_ok=True)  # which could not remove itself
    assert install(OLDER) == 0
    assert installation.running()
    assert uninstall("/S /FORGET") == 0
    assert not paths.places().state.exists()


def in_place(which: str) -> None:
    assert {path.name for path in FOLDER.iterdir()} == PROGRAMS
    assert machine(UNINSTALL, "DisplayVersion") == which
    assert machine(UNINSTALL, "DisplayName") == "Fairtime (test build)"
    assert machine(UNINSTALL, "QuietUninstallString") == f'"{FOLDER}\\uninstall.exe" /S'
    assert machine(SERVICES, "ImagePath") == f'"{FOLDER}\\fairtime-service.exe" run --windows-service'
    assert safeboot.registered(NAME)
    assert all(path.is_file() for path in shortcut.places())
    assert there(eventlog.KEY)


def serves() -> None:
    """The service runs, starts with the PC, and answers over its pipe, to this Python and to the installed command."""
    assert installation.running()
    assert machine(SERVICES, "Start") == 2
    until(answers)
    assert fairtime("status") == 0


def a_broken_version_steps_back() -> None:
    """Its service does not start: the version that was here runs again."""
    assert install(BROKEN) == 2
    in_place(VERSION)
    serves()


def a_file_in_use_steps_back() -> None:
    with open(FOLDER / "fairtime-tray.exe", "rb"):
        assert install(OLDER) == 2
        in_place(VERSION)
        serves()


def an_interrupted_upgrade_is_mended() -> None:
    """Ended while it unpacks, it has touched nothing that runs; ended while it exchanges, the next one finishes."""
    begun = subprocess.Popen(f'"{OLDER}" /S /D={FOLDER}', stdin=subprocess.DEVNULL)
    until(lambda: (FOLDER / "new" / "_internal").exists())
    begun.kill()
    begun.wait()
    serves()
    assert install(BUILT) == 0
    in_place(VERSION)

    assert fairtime("service stop") == 0
    for folder in ("old", "new"):
        (FOLDER / folder).mkdir()
    (FOLDER / "_internal").rename(FOLDER / "old" / "_internal")
    (FOLDER / "fairtime.exe").rename(FOLDER / "old" / "fairtime.exe")
    (FOLDER / "new" / "fairtime.exe").write_bytes(b"half")
    assert install(BUILT) == 0
    in_place(VERSION)
    serves()


def gone(before: Before, known: dict[str, bytes]) -> None:
    """Nothing is left but the record, and who took Fairtime away."""
    assert not there(SERVICES)
    assert not any(path.exists() for path in shortcut.places())
    assert not there(OURS)
    told = "\n".join(different(before.registry, registry()))
    (PICTURES.parent / "registry.txt").write_text(told, encoding="utf-8")
    assert not told
    assert kept() == known
    assert (paths.places().state / installation.TOMBSTONE).read_text(encoding="utf-8").split()[1] == own_account()
    assert (paths.places().state / "ledger.db").is_file()


def shown_and_told(ear: Ear) -> subprocess.Popen[bytes]:
    """The tray's icon, and a notice as a balloon (there are no toasts under Wine): the picture changes with each."""

    def changed(before: object) -> bool:
        return ImageChops.difference(before, picture(PICTURES / "now.png")).getbbox() is not None

    empty = picture(PICTURES / "before.png")
    tray = subprocess.Popen([str(FOLDER / "fairtime-tray.exe"), "tray"], stdin=subprocess.DEVNULL)
    until(lambda: ear.heard)
    until(lambda: changed(empty))
    icon = picture(PICTURES / "tray.png")
    ear.tell(QUARTER)
    until(lambda: changed(icon))
    return tray


def kept_without_the_pin(ear: Ear) -> None:
    assert fairtime("service remove --see") == 3
    assert uninstall() == 2
    assert uninstall(FAIRTIME_PIN="1") == 2
    in_place(VERSION)
    assert not (paths.places().state / installation.TOMBSTONE).exists()


def test_a_folder_with_files_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "version.dll").write_bytes(b"MZ")
    assert ran(f'"{BUILT}" /S /D={tmp_path}') == 2
    assert [path.name for path in tmp_path.iterdir()] == ["version.dll"]
    assert not there(UNINSTALL)


def test_the_trays_program_takes_what_it_is_given_and_gives_answers_back(tmp_path: Path) -> None:
    """Windows starts it without a terminal; its windows are the same program, and talk with it over pipes."""
    program = ROOT / "build" / "windows" / "dist" / "fairtime" / "fairtime-tray.exe"
    done = subprocess.run([str(program), "--version"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
    assert VERSION in done.stdout.decode()
