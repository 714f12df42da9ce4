"""What the Mac's installer puts in place: property lists that say what the program expects, and scripts on a made-up disk."""

from __future__ import annotations

import os
import plistlib
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("shell scripts", allow_module_level=True)

from agent.platforms.macos.machine import LABEL

PLACE = Path(__file__).parents[2] / "installer" / "macos"
SCRIPTS = sorted([*PLACE.glob("*.sh"), *(PLACE / "scripts").iterdir()])


def listed(name: str) -> dict:
    return plistlib.loads((PLACE / name).read_bytes())


def test_the_service_is_started_at_boot_and_again_whenever_it_ends() -> None:
    told = listed(f"{LABEL}.plist")
    assert told["Label"] == LABEL and told["RunAtLoad"] is True and told["KeepAlive"] is True
    assert told["ProgramArguments"] == ["/Library/Fairtime/fairtime", "service", "run"]
    assert told["Umask"] == 0o077 and told["ThrottleInterval"] == 1
    assert "UserName" not in told, "as root"


def test_the_icon_is_in_each_persons_own_session() -> None:
    told = listed(f"{LABEL}.tray.plist")
    assert told["Label"] == f"{LABEL}.tray" and told["LimitLoadToSessionType"] == "Aqua"
    assert told["ProgramArguments"] == ["/Library/Fairtime/fairtime", "tray"]
    assert told["KeepAlive"] == {"SuccessfulExit": False}, "a second icon ends by itself, and is not started again"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_shell_and_can_be_run(script: Path) -> None:
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    assert script.suffix == ".sh" or os.access(script, os.X_OK), "pkgbuild takes only what can be run"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with Fairtime's files on it."""
    for name in ("Library/Fairtime", "Library/LaunchDaemons", "Library/LaunchAgents", "etc/paths.d", "var/log"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("Library/Fairtime/fairtime", f"Library/LaunchDaemons/{LABEL}.plist", "etc/paths.d/fairtime",
                 f"Library/LaunchAgents/{LABEL}.tray.plist", "Library/LaunchAgents/other.plist"):  # fmt: skip
        (tmp_path / name).write_text("x")
    (tmp_path / "Library/Fairtime/fairtime").chmod(0o777)
    (tmp_path / "bin").mkdir()
    for name in ("chown", "launchctl"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho {name} "$@" >>"{tmp_path}/asked"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def run(script: str, disk: Path, *words: str, root: str = "") -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{disk}/bin:/usr/bin:/bin", "FAIRTIME_ROOT": root}
    return subprocess.run(
        ["sh", str(PLACE / script), *words], env=env, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_on_another_disk_files_are_put_right_and_nothing_is_started(disk: Path) -> None:
    for _ in range(2):  # an interrupted installation is begun again
        done = run("scripts/postinstall", disk, "Fairtime.pkg", "/", str(disk))
        assert done.returncode == 0, done.stderr
    assert run("scripts/preinstall", disk, "Fairtime.pkg", "/", str(disk)).returncode == 0
    assert (disk / "Library/Application Support/Fairtime/state").stat().st_mode & 0o777 == 0o700
    assert (disk / "Library/Fairtime/fairtime").stat().st_mode & 0o777 == 0o755
    asked = (disk / "asked").read_text()
    assert "chown -R root:wheel" in asked and "launchctl" not in asked


@pytest.mark.parametrize("purge", [False, True])
def test_taken_away_it_leaves_the_record_and_a_tombstone_alone(disk: Path, purge: bool) -> None:
    support = disk / "Library/Application Support/Fairtime"
    (support / "state").mkdir(parents=True)
    (support / "profiles").mkdir()
    (support / "state/ledger.db").write_text("minutes")
    done = run("uninstall.sh", disk, *(["--purge"] if purge else []), root=str(disk))
    assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(disk)) for path in disk.rglob("*") if path.is_file() and path.parent.name != "bin"}
    record = {f"Library/Application Support/Fairtime/state/{name}" for name in ("ledger.db", "removed")}
    assert left == {"Library/LaunchAgents/other.plist"} | (set() if purge else record)
    if not purge:
        assert (support / "state/removed").read_text().startswith("20")


def test_a_wrong_word_takes_nothing_away(disk: Path) -> None:
    assert run("uninstall.sh", disk, "--all", root=str(disk)).returncode == 2
    assert (disk / "Library/Fairtime/fairtime").exists()


def test_a_package_is_not_built_without_the_program(disk: Path) -> None:
    done = run("build.sh", disk, "0.1.0", str(disk / "nowhere"))
    assert done.returncode == 1 and "no program" in done.stderr
