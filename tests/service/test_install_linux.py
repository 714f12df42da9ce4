"""The installation script on a folder that stands for a PC: what it puts there, again, and away."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the installer of Linux", allow_module_level=True)

from agent.model.site import SitePlan
from agent.platforms.linux import acl
from agent.platforms.linux.browsers import Audience, Browsers

INSTALLER = Path(__file__).resolve().parents[2] / "installer/linux"
STATE = "var/lib/fairtime"
ENDS = [f"{STATE}/own", f"{STATE}/removed"]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="puts files of root in place: Linux, as root"
)


@pytest.fixture
def pc(tmp_path: Path) -> Path:
    """A PC with a foreign file where ours goes, an earlier group file, and folders that others made."""
    root = tmp_path / "pc"
    for folder in ("etc/xdg/autostart", "usr/bin", "usr/lib", "usr/share/icons", "var/lib"):
        (root / folder).mkdir(parents=True)
    (root / "etc/group").write_text("root:x:0:\nkids:x:1001:mia\n")
    (root / "etc/gshadow").write_text("root:*::\nkids:!::mia\n")
    foreign = root / "etc/xdg/autostart/fairtime-tray.desktop"
    foreign.write_bytes(b"somebody else's\r\n")
    foreign.chmod(0o600)
    os.utime(foreign, (1_500_000_000, 1_500_000_000))
    return root


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program as ``make package`` leaves it, with awkward names in it."""
    folder = tmp_path / "bundle"
    (folder / "_internal/deep").mkdir(parents=True)
    command = folder / "fairtime"
    command.write_text("#!/bin/sh\necho here\n")
    command.chmod(0o755)
    (folder / "_internal/a b").write_text("x")
    (folder / "_internal/a link").symlink_to("a b")
    (folder / "_internal/deep/ünder").write_bytes(bytes(range(256)))
    return folder


def script(root: Path, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    words = ["sh", str(INSTALLER / "install.sh"), "--root", str(root), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below ``root``: kind, mode, owner, and content or target; of files the time, too."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if any(name == end or name.startswith(end + "/") for end in ENDS) or name in ("etc/group-", "etc/gshadow-"):
            continue
        info = path.lstat()
        what: object = ""
        if path.is_symlink():
            what = os.readlink(path)
        elif path.is_file():
            # The group's file is written anew by groupadd and groupdel: same bytes, another time.
            what = (path.read_bytes(), info.st_mtime_ns if "group" not in name and "gshadow" not in name else 0)
        found[name] = (stat.S_IFMT(info.st_mode), info.st_mode, info.st_uid, info.st_gid, what)
    return found


def manifest(root: Path) -> list[list[str]]:
    text = (root / STATE / "own/manifest").read_text()
    return [line.split("\t") for line in text.splitlines()]


def test_away_is_as_it_was_byte_for_byte(pc: Path, program: Path) -> None:
    (pc / STATE).mkdir(mode=0o700)
    before = tree(pc)
    script(pc, "--program", str(program))
    assert tree(pc) != before
    script(pc, "--uninstall")
    assert tree(pc) == before
    assert (pc / STATE / "removed").read_text().count("\n") == 1


def test_a_group_of_that_name_that_was_there_stays(pc: Path, program: Path) -> None:
    (pc / STATE).mkdir(mode=0o700)
    (pc / "etc/group").write_text("root:x:0:\nfairtime-children:x:990:mia\n")
    before = tree(pc)
    script(pc, "--program", str(program))
    assert ["group", "fairtime-children"] not in manifest(pc)
    script(pc, "--uninstall")
    assert tree(pc) == before


def test_browsers_rules_go_too_and_those_of_others_come_back(pc: Path, program: Path) -> None:
    for sign in (
        "usr/bin/chromium",
        "opt/google/chrome",
        "usr/lib/firefox-esr",
        "var/lib/flatpak/app/org.chromium.Chromium",
    ):
        (pc / sign).mkdir(parents=True)
    theirs = pc / "etc/firefox/policies/policies.json"
    beside = pc / "etc/chromium/policies/managed/school.json"
    for path in (theirs, beside):
        path.parent.mkdir(parents=True)
        path.write_text('{"policies": {}}')
    (pc / "etc/passwd").touch()
    (pc / STATE).mkdir(mode=0o700)
    before = tree(pc)
    script(pc, "--program", str(program))
    Browsers(lambda: [1001, 1002], pc).put([Audience(SitePlan(child="mia"), frozenset({1002}))])
    assert len(list(pc.rglob("zz-fairtime-1002.json"))) == 3
    script(pc, "--uninstall")
    assert tree(pc) == before
    assert acl.read(theirs.parent) == b""


def test_the_list_tells_every_file_as_it_is(pc: Path, program: Path) -> None:
    before = tree(pc).keys()
    script(pc, "--program", str(program))
    lines = manifest(pc)
    listed = {line[1].lstrip("/"): line for line in lines if line[0] in ("file", "link", "folder")}
    grown = {name for name in tree(pc) if name not in before}
    assert grown - {STATE} <= listed.keys()
    for name, line in listed.items():
        path = pc / name
        if line[0] == "file":
            data = path.read_bytes()
            assert hashlib.sha256(data).hexdigest() == line[4]
            assert f"{stat.S_IMODE(path.lstat().st_mode):o}" == line[2]
            assert int(path.lstat().st_mtime) == int(line[3])
            spare = pc / STATE / "own/spare" / name
            assert spare.read_bytes() == data
            assert int(spare.stat().st_mtime) == int(line[3])
        elif line[0] == "link":
            assert os.readlink(path) == line[2]
    assert ["group", "fairtime-children"] in lines


def test_again_changes_nothing(pc: Path, program: Path) -> None:
    script(pc, "--program", str(program))
    before, lines = tree(pc), manifest(pc)
    script(pc)
    assert (tree(pc), manifest(pc)) == (before, lines)
    script(pc, "--program", str(program))
    assert (tree(pc), manifest(pc)) == (before, lines)


def test_what_a_new_version_lacks_is_taken_away_and_the_first_before_is_kept(pc: Path, program: Path) -> None:
    before = tree(pc)
    script(pc, "--program", str(program))
    shutil.rmtree(program / "_internal/deep")
    (program / "fairtime").write_text("#!/bin/sh\necho newer\n")
    script(pc, "--program", str(program))
    assert not (pc / "usr/lib/fairtime/_internal/deep").exists()
    assert "newer" in (pc / "usr/lib/fairtime/fairtime").read_text()
    script(pc, "--uninstall")
    after = tree(pc)
    assert {k: v for k, v in after.items() if k != STATE} == before


def test_a_program_that_was_there_stays(pc: Path, program: Path) -> None:
    (pc / STATE).mkdir(mode=0o700)
    shutil.copytree(program, pc / "usr/lib/fairtime", symlinks=True)
    (pc / "usr/bin/fairtime").symlink_to("/usr/lib/fairtime/fairtime")
    before = tree(pc)
    script(pc)
    assert {line[5] for line in manifest(pc) if line[1].startswith("/usr/lib/fairtime/")} == {"same"}
    script(pc, "--uninstall")
    assert tree(pc) == before


def test_a_foreign_program_is_not_replaced(pc: Path, program: Path) -> None:
    shutil.copytree(program, pc / "usr/lib/fairtime", symlinks=True)
    (pc / "usr/lib/fairtime/mine").touch()
    assert "did not put there" in script(pc, "--program", str(program), code=1).stderr
    assert (pc / "usr/lib/fairtime/mine").exists()
    assert not (pc / STATE / "own/manifest").exists()
    script(pc)
    lines = manifest(pc)
    script(pc, "--program", str(program), code=1)
    assert manifest(pc) == lines


def test_an_interrupted_run_does_not_lose_what_was_there(pc: Path, program: Path, tmp_path: Path) -> None:
    (pc / STATE).mkdir(mode=0o700)
    before = tree(pc)
    # A full disk, say, after the tray's file: the icons cannot be placed.
    (pc / "usr/share/icons/hicolor").write_text("in the way")
    script(pc, "--program", str(program), code=1)
    assert not (pc / STATE / "own/manifest").exists()  # nothing is checked against half a list
    (pc / "usr/share/icons/hicolor").unlink()
    script(pc, "--program", str(program))
    script(pc, "--uninstall")
    assert tree(pc) == before


def test_the_prefix_is_in_every_file(pc: Path, program: Path) -> None:
    script(pc, "--program", str(program), "--prefix", "/usr/local")
    unit = (pc / "usr/local/lib/systemd/system/fairtime.service").read_text()
    assert "ExecStart=/usr/local/bin/fairtime service run" in unit
    assert os.readlink(pc / "usr/local/bin/fairtime") == "../lib/fairtime/fairtime"
    assert "Exec=/usr/local/bin/fairtime tray" in (pc / "etc/xdg/autostart/fairtime-tray.desktop").read_text()
    for line in manifest(pc):
        if line[0] == "file":
            assert b"@prefix@" not in (pc / line[1].lstrip("/")).read_bytes()
    script(pc, "--uninstall")  # the list knows the prefix
    assert not (pc / "usr/local").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--wrong"], 2, "--wrong is not known"),
        (["--program"], 2, "wants a folder"),
        (["--prefix", "usr"], 2, "full path"),
        (["--program", "/nowhere"], 1, "no program in /nowhere"),
        ([], 1, "no program in"),
        (["--uninstall"], 1, "Nothing was taken away"),
    ],
)
def test_a_wrong_call_changes_nothing(pc: Path, options: list[str], code: int, words: str) -> None:
    before = tree(pc)
    assert words in script(pc, *options, code=code).stderr
    assert tree(pc) == before


def test_scripts_pass_shellcheck() -> None:
    checker = shutil.which("shellcheck")
    if checker is None:
        pytest.skip("shellcheck is not installed (make desktop-packages)")
    for path in sorted(INSTALLER.glob("*.sh")):
        done = subprocess.run(
            [checker, "--external-sources", "--severity=style", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("there is no systemd-analyze")
    units = ("fairtime.service", "fairtime.slice", "fairtime-resolver.socket", "fairtime-resolver@.service")
    for name in units:
        text = (INSTALLER / name).read_text().replace("@prefix@/bin/fairtime", "/bin/true")
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in units if name != "fairtime.slice"]
    done = subprocess.run(
        [tool, "verify", "--man=no", "--recursive-errors=no", *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stderr  # a line about ours: an unknown key, say


def test_lines_in_the_files_of_others_are_listed_and_go(pc: Path, program: Path) -> None:
    """Also where pam-auth-update, whose work it is, did not take them out: the file was changed by hand."""
    (pc / "etc/pam.d").mkdir()
    stack = pc / "etc/pam.d/common-account"
    theirs = "account required pam_unix.so\naccount optional pam_mine.so\n"
    ours = "account requisite pam_access.so accessfile=/usr/libexec/fairtime/refuse.conf\n"
    stack.write_text(theirs.replace("account optional", ours + "account optional"))
    stack.chmod(0o640)
    script(pc, "--program", str(program))
    assert [line[:2] for line in manifest(pc) if line[0] == "lines"] == [["lines", "/etc/pam.d/common-account"]]
    assert (pc / STATE / "own/spare/etc/pam.d/common-account").read_text() == stack.read_text()
    script(pc, "--uninstall")
    assert stack.read_text() == theirs
    assert stack.stat().st_mode & 0o777 == 0o640
