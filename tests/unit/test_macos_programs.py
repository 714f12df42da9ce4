"""Who a program is on a Mac, and how one is stopped: on this machine's own processes and files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

if sys.platform == "win32":
    pytest.skip("asks for POSIX processes", allow_module_level=True)

from agent import platforms
from agent.platforms.macos import accounts, clock, signatures
from agent.platforms.macos.accounts import Person
from agent.platforms.macos.commands import Told
from agent.platforms.macos.desk import MacDesk, languages_in
from agent.platforms.macos.identity import Identifier, Running
from agent.platforms.macos.permissions import protected
from agent.platforms.macos.processes import ROTATION, ProcessTable
from agent.platforms.macos.trees import Tree
from agent.platforms.unsupervised import Unsupervised
from tests.contract.mac_double import MacDouble

ME = Person("me", os.getuid(), frozenset(os.getgroups()), str(Path.home()))
OTHER = Person("#61999", 61999, frozenset({61999}))
SLEEPS = "import time\nwhile True: time.sleep(0.05)"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", SLEEPS], stdin=subprocess.DEVNULL)
    yield child
    child.kill()
    child.wait()


def test_a_path_is_protected_where_nobody_of_the_watched_may_write(tmp_path: Path) -> None:
    system = os.path.realpath("/bin/sh")
    assert protected(system, OTHER)
    (tmp_path / "game").touch()
    assert not protected(str(tmp_path / "game"), ME)
    assert not protected("bin/sh", OTHER) and not protected("/bin/../bin/sh", OTHER)
    kin = Person("#61999", 61999, frozenset({61999}), kin=(ME,))
    assert not protected(str(tmp_path / "game"), kin), "what one of them can write, it can write for the other"


def test_a_file_is_known_by_hash_where_its_account_may_write(tmp_path: Path) -> None:
    game = tmp_path.resolve() / "game"
    game.write_bytes(b"one")
    identifier = Identifier(MacDouble())
    found = identifier.running(Running(str(game), (str(game),)), ME)
    assert (found.name, found.path, found.protected) == ("game", str(game), False)
    assert found.sha256 == hashlib.sha256(b"one").hexdigest()
    game.write_bytes(b"two")
    assert identifier.running(Running(str(game), ()), ME).sha256 == hashlib.sha256(b"two").hexdigest()
    assert identifier.file(str(tmp_path / "none"), ME) is None


def test_a_signature_is_asked_for_once_while_the_file_stays_the_same(tmp_path: Path) -> None:
    game = str(tmp_path.resolve() / "game")
    Path(game).write_bytes(b"one")
    double = MacDouble()
    double.said[signatures.verify(game)] = Told(0)
    double.said[signatures.show(game)] = Told(0, b"", b"TeamIdentifier=ABCDE12345\n")
    identifier = Identifier(double)
    for _ in range(3):
        assert identifier.running(Running(game, ()), ME).signer == "ABCDE12345"
    assert len(double.asked) == 2
    Path(game).write_bytes(b"changed")
    double.said[signatures.verify(game)] = Told(1)
    assert identifier.running(Running(game, ()), ME).signer == ""


def test_an_interpreter_is_what_it_runs(tmp_path: Path) -> None:
    script = tmp_path.resolve() / "game.py"
    script.write_text("print()")
    identifier = Identifier(MacDouble())
    python = "/usr/bin/python3"
    found = identifier.running(Running(python, (python, "game.py"), str(script.parent)), ME)
    assert (found.name, found.path, found.signer) == ("game.py", str(script), "")
    assert found.interpreter == os.path.realpath(python)
    assert identifier.running(Running(python, (python, "-c", "x")), ME).path == "", "code without a file is nobody's"
    assert identifier.running(Running(python, (python, "game.py")), ME).path == "", "where it stands is not known"
    assert identifier.running(Running("/bin/zsh", ("zsh",)), ME).name == "zsh"


def test_an_application_is_known_by_its_bundle() -> None:
    identifier = Identifier(MacDouble())
    app = "/Applications/Chess.app/Contents/MacOS/Chess"
    assert identifier.running(Running(app, (app,)), OTHER).application
    helper = "/System/Library/CoreServices/Dock.app/Contents/MacOS/Dock"
    assert not identifier.running(Running(helper, (helper,)), OTHER).application


def test_processes_are_seen_and_dropped(sleeper: subprocess.Popen[bytes]) -> None:
    table = ProcessTable(Identifier(MacDouble()).running)
    table.watch({ME.uid: ME})
    assert sleeper.pid in {one.pid for one in table.scan(0)}
    before = next(one for one in table.processes if one.pid == sleeper.pid)
    assert table.started(sleeper.pid) == before.started
    sleeper.kill()
    sleeper.wait()
    table.scan(ROTATION)
    assert sleeper.pid not in {one.pid for one in table.processes}
    assert table.started(sleeper.pid) is None
    table.watch({})
    assert table.scan(2 * ROTATION) == [] and table.processes == ()


def test_what_ended_is_dropped_at_once_though_nobody_has_asked_how(sleeper: subprocess.Popen[bytes]) -> None:
    table = ProcessTable(Identifier(MacDouble()).running)
    table.watch({os.getuid(): ME})
    table.scan(0)
    assert sleeper.pid in {process.pid for process in table.processes}
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # a zombie now, and one that stays
    table.scan(1)
    assert sleeper.pid not in {process.pid for process in table.processes}


async def test_a_tree_stands_still_goes_on_and_ends(sleeper: subprocess.Popen[bytes]) -> None:
    handle = psutil.Process(sleeper.pid)
    tree = Tree(handle, ME.uid)
    for _ in range(100):
        tree.still()
        if handle.status() == psutil.STATUS_STOPPED:
            break
        await asyncio.sleep(0.05)
    assert handle.status() == psutil.STATUS_STOPPED
    tree.kill()
    assert sleeper.wait(20) == -9
    assert not tree.alive()


def test_a_tree_never_takes_another_accounts_process(sleeper: subprocess.Popen[bytes]) -> None:
    Tree(psutil.Process(sleeper.pid), OTHER.uid).kill()
    assert sleeper.poll() is None


def test_accounts() -> None:
    assert accounts.person("#502") == Person("#502", 502, frozenset({502}))
    assert accounts.person("no-such-account") is None and accounts.person("#4294967295") is None
    assert accounts.is_administrator("root") and not accounts.is_administrator("no-such-account")
    assert accounts.owners(["root"]) == {} and 0 in accounts.owners(["root"], may_include_root=True)
    assert all(int(one.uid) >= accounts.FIRST_UID for one in accounts.people())


def test_the_clock_goes_forward() -> None:
    double = MacDouble()
    double.said[clock.SYSCTL] = Told(0, b"5F1C0E1B-0000-4000-8000-000000000000\n")
    one = clock.clock(double)
    before, after = one.now(), one.now()
    assert after.boot >= before.boot > 0 and after.awake >= before.awake and before.boot_id


def test_the_menu_bar_is_claimed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    desk = MacDesk()
    assert desk.folder().stat().st_mode & 0o777 == 0o700
    script = "from agent.platforms.macos.desk import MacDesk, languages_in; print(MacDesk().claim())"
    assert desk.claim()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_launchd_waits_for_no_sign_of_life() -> None:
    launchd = Unsupervised()
    assert launchd.interval is None and not (launchd.ready("x") or launchd.alive() or launchd.stopping())


@pytest.mark.skipif(sys.platform != "darwin", reason="asks this Mac's own commands")
def test_this_macs_own_commands_are_understood() -> None:
    host = platforms.host()
    assert host.machine_id() == host.machine_id()
    assert host.name_servers() is not None
    assert host.findings([])


def test_the_languages_of_a_person_are_read_as_defaults_prints_them() -> None:
    assert languages_in('(\n    "zh-Hans-CN",\n    fr,\n    "en-GB"\n)\n') == ("zh-Hans-CN", "fr", "en-GB")
    assert languages_in("") == ()
