"""Who a running program is, on real processes and real files."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

import pwd

from hypothesis import given
from hypothesis import strategies as st

from agent.platforms.linux import appimages, permissions, procfs
from agent.platforms.linux.accounts import Person
from agent.platforms.linux.debs import Debs
from agent.platforms.linux.hashes import Hashes
from agent.platforms.linux.identity import HASH_NOW, Identifier
from agent.platforms.linux.launchers import Launchers
from agent.platforms.linux.packages import Packages
from agent.platforms.linux.permissions import follow
from agent.platforms.linux.programfiles import Place, clean

OTHER = Person("#61237", 61237, frozenset({61237}))
ME = Person("me", os.geteuid(), frozenset(os.getgroups()))
SLEEP = os.path.realpath("/bin/sleep")
DASH = os.path.realpath("/bin/sh")
Start = Callable[..., int]


@pytest.fixture
def identifier(tmp_path: Path) -> Identifier:
    info = tmp_path / "info"
    info.mkdir()
    (info / "coreutils.list").write_text(f"/.\n/bin\n{SLEEP.removeprefix('/usr')}\n")
    (info / "coreutils.md5sums").write_text(f"{md5(SLEEP)}  {SLEEP.removeprefix('/usr/')}\n")
    (tmp_path / "status").write_text("x")
    packages = Packages((Debs(tmp_path),))
    packages.build()
    return Identifier(packages=packages, launchers=Launchers((tmp_path / "none",)))


def md5(path: str) -> str:
    return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[subprocess.Popen[bytes]] = []

    def run(*argv: str, executable: str | None = None, cwd: Path | None = None) -> int:
        process = subprocess.Popen(argv, executable=executable, cwd=cwd, stdin=subprocess.PIPE)
        running.append(process)
        until(lambda: settled(process.pid))
        return process.pid

    yield run
    for process in running:
        process.kill()
        process.communicate()


def settled(pid: int) -> bool:
    """Popen returns in the middle of exec, before the new command line is there."""
    stat = procfs.stat(pid)
    return stat is not None and stat.settled


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("did not happen within 5 s")


def test_a_packaged_program_is_protected_and_owned(identifier: Identifier, start: Start) -> None:
    found = identifier.running(start("sleep", "60", executable=SLEEP), OTHER)
    assert found is not None
    assert (found.name, found.path, found.package) == ("sleep", SLEEP, "deb:coreutils")
    assert found.protected and found.sha256 == ""


def test_its_own_word_for_its_name_counts_for_nothing(identifier: Identifier, start: Start) -> None:
    found = identifier.running(start("/usr/bin/chess", "60", executable=SLEEP), OTHER)
    assert found is not None and found.name == "sleep"


def test_a_copy_is_unprotected_unowned_and_hashed(identifier: Identifier, start: Start, tmp_path: Path) -> None:
    shutil.copy(SLEEP, tmp_path / "chess")
    found = identifier.running(start(str(tmp_path / "chess"), "60"), ME)
    assert found is not None
    assert (found.name, found.package, found.protected) == ("chess", "", False)
    assert found.sha256 == Hashes().of(SLEEP)


def test_a_deleted_program_keeps_its_name(identifier: Identifier, start: Start, tmp_path: Path) -> None:
    shutil.copy(SLEEP, tmp_path / "chess")
    pid = start(str(tmp_path / "chess"), "60")
    (tmp_path / "chess").unlink()
    found = identifier.running(pid, ME)
    assert found is not None
    assert (found.name, found.protected) == ("chess", False)
    assert found.sha256 == Hashes().of(SLEEP), "its bytes are still there to be read"


def test_a_program_in_memory_has_a_name_and_nothing_else(identifier: Identifier) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.memfd_create(b"game", 0)
    with open(SLEEP, "rb") as source:
        os.write(fd, source.read())
    pid = os.fork()
    if pid == 0:
        os.execv(f"/proc/self/fd/{fd}", ["chess", "60"])
    try:
        os.close(fd)
        until(lambda: (procfs.exe(pid) or "").startswith("/memfd:"))
        found = identifier.running(pid, ME)
        assert found is not None
        assert (found.name, found.path, found.protected) == ("game", "", False)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_script_is_the_program_and_its_interpreter_is_named(
    identifier: Identifier, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "game.py").write_text("import time; time.sleep(60)")
    python = os.path.realpath(shutil.which("python3", path="/usr/bin:/bin") or sys.executable)
    found = identifier.running(start("python3", "-u", "game.py", executable=python, cwd=tmp_path), OTHER)
    assert found is not None
    assert (found.name, found.path, found.interpreter) == ("game.py", str(tmp_path / "game.py"), python)


def test_code_from_the_command_line_is_never_protected(identifier: Identifier, start: Start) -> None:
    python = os.path.realpath(shutil.which("python3", path="/usr/bin:/bin") or sys.executable)
    found = identifier.running(start("python3", "-c", "import time; time.sleep(60)", executable=python), OTHER)
    assert found is not None
    assert (found.path, found.protected, found.interpreter) == ("", False, python)


def test_the_loader_is_judged_by_what_it_loads(identifier: Identifier, start: Start, tmp_path: Path) -> None:
    loaders = list(Path("/usr/lib").glob("*/ld-linux*.so.*")) + list(Path("/lib64").glob("ld-linux*.so.*"))
    if not loaders:
        pytest.skip("no glibc loader on this machine")
    shutil.copy(SLEEP, tmp_path / "game")
    loader = os.path.realpath(loaders[0])
    found = identifier.running(start(loader, "--inhibit-cache", str(tmp_path / "game"), "60"), ME)
    assert found is not None
    assert (found.name, found.path, found.protected) == ("game", str(tmp_path / "game"), False)


def test_a_shell_at_its_prompt_is_itself(identifier: Identifier, start: Start) -> None:
    found = identifier.running(start(DASH, executable=DASH), OTHER)
    assert found is not None and found.path == DASH and found.protected and not found.interpreter


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace, which needs root")
def test_a_path_in_a_namespace_of_its_own_proves_nothing(identifier: Identifier, tmp_path: Path) -> None:
    """A game mounted over an allowed program keeps the game's inode, and gets no protection from the path."""
    shutil.copy(DASH, tmp_path / "game")
    script = f"mount --bind {tmp_path}/game {SLEEP} && exec {SLEEP} -c 'while :; do read x; done'"
    process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdin=subprocess.PIPE)
    try:
        until(lambda: (procfs.exe(process.pid) or "") == SLEEP)
        until(lambda: settled(process.pid))
        found = identifier.running(process.pid, OTHER)
        assert found is not None
        assert (found.path, found.package) == (str(tmp_path / "game"), ""), "the file that it truly is"
        assert not (identifier.running(process.pid, ME) or found).protected
    finally:
        process.kill()
        process.communicate()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace, which needs root")
class TestThroughANamespace:
    """A namespace of the child's holds a game under an allowed program's name; it is started from outside."""

    @pytest.fixture
    def inside(self) -> Iterator[str]:
        """The root folder, as seen from here, of a namespace whose /usr/games is a memory of the child's own."""
        script = (
            "mount -t tmpfs none /usr/games && cp /bin/sleep /usr/games/chess && "
            "echo 'import time; time.sleep(60)' > /usr/games/chess.py && echo ready && exec sleep 60"
        )
        process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            yield f"/proc/{process.pid}/root"
        finally:
            process.kill()
            process.communicate()

    def test_an_executable_lies_where_its_mount_is(self, identifier: Identifier, start: Start, inside: str) -> None:
        pid = start(f"{inside}/usr/games/chess", "60")
        assert procfs.exe(pid) == "/usr/games/chess", "what the kernel's link says"
        found = identifier.running(pid, OTHER)
        assert found is not None and (found.name, found.protected, found.package) == ("chess", False, "")

    @pytest.mark.parametrize("way", ["folder", "path"])
    def test_a_script_lies_where_its_mount_is(
        self, identifier: Identifier, start: Start, inside: str, way: str
    ) -> None:
        python = os.path.realpath("/usr/bin/python3")
        folder = Path(f"{inside}/usr/games")
        if way == "folder":
            pid = start("python3", "chess.py", executable=python, cwd=folder)
        else:
            pid = start("python3", f"{folder}/chess.py", executable=python)
        found = identifier.running(pid, OTHER)
        assert found is not None and (found.name, found.protected, found.package) == ("chess.py", False, "")

    def test_an_open_file_lies_where_its_mount_is(self, identifier: Identifier, inside: str) -> None:
        with open(f"{inside}/usr/games/chess", "rb") as file:
            found = identifier.opened(file.fileno(), OTHER, os.getpid())
        assert found is not None and (found.name, found.protected, found.package) == ("chess", False, "")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="changes the root folder, which needs root")
def test_a_script_below_another_root_is_not_the_one_of_that_name_here(
    identifier: Identifier, start: Start, tmp_path: Path
) -> None:
    """chroot in our own mount namespace: a path means another file there, so it proves nothing."""
    for folder in ("usr/games", "lib", "lib64"):
        (tmp_path / folder).mkdir(parents=True)
    game = tmp_path / "usr/games/game"
    game.write_text("read x\n")
    needed = subprocess.run(["ldd", DASH], capture_output=True, text=True, check=True).stdout
    for word in (DASH, *(word for word in needed.split() if word.startswith("/"))):
        target = tmp_path / word.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(word, target)
    process = subprocess.Popen(["chroot", str(tmp_path), DASH, "/usr/games/game"], stdin=subprocess.PIPE)
    try:
        until(lambda: (procfs.exe(process.pid) or "").endswith(DASH) and settled(process.pid))
        found = identifier.running(process.pid, OTHER)
        assert found is not None
        assert (found.name, found.protected, found.interpreter) == ("game", False, f"{tmp_path}{DASH}")
    finally:
        process.kill()
        process.communicate()


def test_a_link_of_the_accounts_own_proves_nothing(identifier: Identifier, start: Start) -> None:
    """It may lead to an allowed script while we look, and to a game when the interpreter opens it."""
    python = os.path.realpath("/usr/bin/python3")
    script = os.path.realpath("/usr/bin/py3compile")
    folder = Path("/tmp/fairtime-link-test")
    folder.mkdir(mode=0o777, exist_ok=True)
    try:
        folder.chmod(0o777)
        link = folder / "tool"
        link.symlink_to(script)
        direct = follow(script, OTHER, identifier.mounts)
        assert direct is not None and direct.steady and direct.path == script
        loose = follow(str(link), OTHER, identifier.mounts)
        assert loose is not None and not loose.steady and loose.path == script
        found = identifier.running(start("python3", "-i", str(link), executable=python), OTHER)
        assert found is not None and not found.protected and found.package == ""
    finally:
        shutil.rmtree(folder)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace, which needs root")
@pytest.mark.parametrize(
    ("before", "protected"),
    [("true", True), ("mount -t tmpfs none /tmp", True), ("mount -t tmpfs none /usr/games", False),
     ("mount --bind {file} /etc/ld.so.cache", False), ("mount --bind /etc/os-release /etc/hosts", True)],
)  # fmt: skip
def test_a_namespace_with_other_libraries_makes_another_program(
    identifier: Identifier, before: str, protected: bool
) -> None:
    """A protected program loads what the namespace shows it."""
    with tempfile.NamedTemporaryFile() as file:
        os.chown(file.name, OTHER.uid, 0)
        script = f"{before.format(file=file.name)}; exec {SLEEP} 60"
        process = subprocess.Popen(["unshare", "-m", "sh", "-c", script])
        try:
            until(lambda: procfs.exe(process.pid) == SLEEP and settled(process.pid))
            found = identifier.running(process.pid, OTHER)
            assert found is not None and (found.path, found.protected) == (SLEEP, protected)
            assert found.package == ("deb:coreutils" if protected else "")
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("name", "value", "protected"),
    [
        ("LD_PRELOAD", "/tmp/evil.so", False),
        ("LD_PRELOAD", "libgtk3-nocsd.so.0", True),
        ("LD_AUDIT", "/dev/shm/no/such/evil.so", False),
        ("LD_LIBRARY_PATH", "/tmp", False),
        ("LD_LIBRARY_PATH", "/usr/lib", True),
        ("LD_LIBRARY_PATH", "/usr/lib:", False),
        ("LD_LIBRARY_PATH", "/usr/no/such/folder", True),
        ("PYTHONPATH", "/tmp", True),  # means nothing to it
    ],
)
def test_a_program_with_foreign_code_in_it_is_another_program(
    identifier: Identifier, name: str, value: str, protected: bool
) -> None:
    process = subprocess.Popen([SLEEP, "60"], env={name: value})
    try:
        until(lambda: settled(process.pid))
        found = identifier.running(process.pid, OTHER)
        assert found is not None and (found.path, found.protected, bool(found.package)) == (SLEEP, protected, protected)
    finally:
        process.kill()
        process.communicate()


def test_a_launcher_is_the_installed_app_it_is_about_to_become(
    identifier: Identifier, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher here is a protected program under the name of flatpak; whether an app is installed is made up."""
    installed = {"/var/lib/flatpak/app/org.x.Y"}
    monkeypatch.setattr(os.path, "isdir", lambda path: path in installed)
    runner = Place(SLEEP, True, SLEEP)
    own = replace(OTHER, home="/home/mia")
    found = identifier._launched("flatpak", "org.x.Y", runner, own)
    assert (found.name, found.package, found.protected) == ("org.x.Y", "flatpak:org.x.Y", True)
    for name in ("org.x.Z", "../app/org.x.Y", "", "."):
        assert not identifier._launched("flatpak", name, runner, own).package
    monkeypatch.setattr(os.path, "lexists", lambda path: path == "/home/mia/.local/share/flatpak/app/org.x.Y")
    assert not identifier._launched("flatpak", "org.x.Y", runner, own).protected, "the account's own comes first"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts something, which needs root")
class TestAppImages:
    """squashfuse stands for the runtime of an AppImage: the same server, started under the image's own name."""

    @pytest.fixture
    def mounted(self, tmp_path: Path) -> Iterator[tuple[Path, Path, int]]:
        """The image's file, the folder it serves, and its server."""
        if not all(map(shutil.which, ("squashfuse", "mksquashfs", "fusermount3"))):
            pytest.skip("squashfuse, squashfs-tools and fuse3 are not all installed")
        if not os.access("/dev/fuse", os.R_OK):
            pytest.skip("no FUSE here")
        inside = tmp_path / "inside"
        inside.mkdir()
        shutil.copy(SLEEP, inside / "game")
        (inside / "AppRun").write_text(f"#!{DASH}\nread x\n")
        (inside / "AppRun").chmod(0o755)
        subprocess.run(["mksquashfs", inside, tmp_path / "squashfs", "-quiet"], check=True, stdout=subprocess.DEVNULL)
        image = tmp_path / "Game-1.2.AppImage"
        shutil.copy(shutil.which("squashfuse") or "", image)
        folder = tmp_path / ".mount_GameAbCdEf"
        folder.mkdir()
        server = subprocess.Popen([image, "-f", tmp_path / "squashfs", folder])
        try:
            until(lambda: (folder / "game").exists())
            yield image, folder, server.pid
        finally:
            server.terminate()
            server.wait()

    @pytest.mark.parametrize("program", ["game", "AppRun"])
    def test_what_runs_inside_is_the_image(
        self, identifier: Identifier, start: Start, mounted: tuple[Path, Path, int], program: str
    ) -> None:
        image, folder, _ = mounted
        found = identifier.running(start(str(folder / program), "60"), ME)
        assert found is not None
        assert (found.name, found.path, found.interpreter) == (image.name, str(image), str(folder / program))
        assert found.sha256 == Hashes().of(str(image)) and found.application and not found.protected

    def test_a_renamed_image_keeps_its_hash(
        self, identifier: Identifier, start: Start, mounted: tuple[Path, Path, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image, folder, _ = mounted
        monkeypatch.setenv("APPIMAGE", "/home/mia/Homework.AppImage")
        image.rename(image.with_name("Homework"))
        found = identifier.running(start(str(folder / "game"), "60"), ME)
        assert found is not None
        assert (found.name, found.sha256) == ("Homework", Hashes().of(str(image.with_name("Homework"))))

    def test_of_what_another_serves_only_the_name_is_known(
        self, identifier: Identifier, start: Start, mounted: tuple[Path, Path, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No server among the account's own processes: $APPIMAGE is a name, and a name allows nothing."""
        _, folder, _ = mounted
        monkeypatch.setenv("APPIMAGE", "/opt/Allowed.AppImage")
        found = identifier.running(start(str(folder / "game"), "60"), OTHER)
        assert found is not None
        assert (found.name, found.sha256, found.protected) == ("Allowed.AppImage", "", False)

    def test_a_server_that_is_traced_may_serve_anything(
        self, identifier: Identifier, start: Start, mounted: tuple[Path, Path, int]
    ) -> None:
        _, folder, server = mounted
        if not shutil.which("strace"):
            pytest.skip("strace is not installed")
        tracer = subprocess.Popen(["strace", "-qq", "-p", str(server), "-o", "/dev/null"], stderr=subprocess.DEVNULL)
        try:
            until(lambda: appimages._traced(server))
            found = identifier.running(start(str(folder / "game"), "60"), ME)
            assert found is not None and found.sha256 == ""
        finally:
            tracer.terminate()
            tracer.wait()


def test_an_open_file_is_known_by_its_descriptor(identifier: Identifier, tmp_path: Path) -> None:
    with open(SLEEP, "rb") as file:
        found = identifier.opened(file.fileno(), OTHER)
        assert found is not None
        assert (found.name, found.path, found.package, found.protected) == ("sleep", SLEEP, "deb:coreutils", True)
    shutil.copy(SLEEP, tmp_path / "chess")
    with open(tmp_path / "chess", "rb") as file:
        (tmp_path / "chess").rename(tmp_path / "draughts")
        found = identifier.opened(file.fileno(), ME)
        assert found is not None
        assert (found.name, found.path, found.protected) == ("draughts", str(tmp_path / "draughts"), False)
        assert found.sha256 == Hashes().of(SLEEP)
    assert identifier.opened(9_999, ME) is None
    reader, writer = os.pipe()
    try:
        assert identifier.opened(reader, ME) is None, "no regular file"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_large_open_file_is_hashed_later(identifier: Identifier, tmp_path: Path) -> None:
    (tmp_path / "game").write_bytes(b"x" * (HASH_NOW + 1))
    waiting: list[int] = []
    identifier.hash_later = waiting.append
    with open(tmp_path / "game", "rb") as file:
        found = identifier.opened(file.fileno(), ME)
        assert found is not None and found.sha256 == "" and len(waiting) == 1
        identifier.hashes.of_open(waiting[0])
        os.close(waiting[0])
        found = identifier.opened(file.fileno(), ME)
        assert found is not None and len(found.sha256) == 64


def test_what_a_path_would_be(identifier: Identifier, tmp_path: Path) -> None:
    assert identifier.file("/no/such/thing", OTHER) is None
    assert identifier.file("/etc/passwd", OTHER) is None, "not executable"
    found = identifier.file("/bin/sleep", OTHER)
    assert found is not None and found.path == SLEEP and found.protected
    script = tmp_path / "play"
    script.write_text("#!/bin/sh -e\ntrue\n")
    script.chmod(0o755)
    found = identifier.file(str(script), OTHER)
    assert found is not None
    assert (found.name, found.interpreter) == ("play", DASH)


# -- permissions ---------------------------------------------------------------------------------------------------


def test_what_its_owner_could_change_is_not_protected(tmp_path: Path) -> None:
    (tmp_path / "program").touch(mode=0o500)
    assert not permissions.protected(str(tmp_path / "program"), ME)
    assert not permissions.protected("program", OTHER), "a relative path says nothing"
    assert not permissions.protected("/usr/bin/../bin/sleep", OTHER)
    assert not permissions.protected("/no/such/program", OTHER)
    assert permissions.protected(SLEEP, OTHER)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other accounts, which needs root")
class TestEveryWayToWrite:
    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        path = Path("/var/lib/fairtime-permissions-test")
        path.mkdir(mode=0o755)
        (path / "program").touch(mode=0o755)
        yield path
        shutil.rmtree(path)

    def test_untouched_it_is_protected(self, folder: Path) -> None:
        assert permissions.protected(f"{folder}/program", OTHER)

    @pytest.mark.parametrize("what", ["", "/program"])
    def test_owner(self, folder: Path, what: str) -> None:
        os.chown(f"{folder}{what}", OTHER.uid, 0)
        assert not permissions.protected(f"{folder}/program", OTHER)

    @pytest.mark.parametrize("what", ["", "/program"])
    def test_group(self, folder: Path, what: str) -> None:
        os.chown(f"{folder}{what}", 0, OTHER.uid)
        assert permissions.protected(f"{folder}/program", OTHER)
        os.chmod(f"{folder}{what}", 0o775)
        assert not permissions.protected(f"{folder}/program", OTHER)

    @pytest.mark.parametrize("what", ["", "/program"])
    def test_others(self, folder: Path, what: str) -> None:
        os.chmod(f"{folder}{what}", 0o757)
        assert not permissions.protected(f"{folder}/program", OTHER)

    def test_a_sticky_folder_protects_what_is_others(self, folder: Path) -> None:
        folder.chmod(0o1777)
        assert permissions.protected(f"{folder}/program", OTHER)
        os.chown(folder / "program", OTHER.uid, 0)
        assert not permissions.protected(f"{folder}/program", OTHER)

    def test_container_uids_count_as_the_accounts_own(self, folder: Path) -> None:
        os.chown(folder / "program", 200_005, 0)
        assert permissions.protected(f"{folder}/program", OTHER)
        ranged = Person("mia", 61237, frozenset({61237}), subuids=((200_000, 265_535),))
        assert not permissions.protected(f"{folder}/program", ranged)

    @pytest.mark.parametrize(("tag", "who"), [(0x02, 61237), (0x08, 61237)])
    def test_access_lists(self, folder: Path, tag: int, who: int) -> None:
        import struct

        entries = [(0x01, 7, -1), (0x04, 5, -1), (tag, 7, who), (0x10, 7, -1), (0x20, 5, -1)]
        entries.sort(key=lambda entry: entry[0])
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", t, p, w & 0xFFFFFFFF) for t, p, w in entries)
        try:
            os.setxattr(folder / "program", "system.posix_acl_access", value)
        except OSError as error:
            pytest.skip(f"this file system has no access lists: {error.strerror}")
        assert not permissions.protected(f"{folder}/program", OTHER)
        stranger = Person("#61238", 61238, frozenset({61238}))
        assert permissions.protected(f"{folder}/program", stranger)


# -- packages, menus, hashes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "starts"),
    [
        ("Exec=sleep %U", True),
        ('Exec="/bin/sleep" --new', True),
        ("Exec=env A=1 /bin/sleep", True),
        ("Exec=sleep\nNoDisplay=true", False),
        ("Exec=sleep\nCategories=Settings;HardwareSettings;", False),
        ("Exec=sh -c sleep", False),
        ("Exec=no-such-command-here", False),
        ('Exec="broken', False),
        ("Name=nothing", False),
    ],
)
def test_menu_entries_name_programs(tmp_path: Path, lines: str, starts: bool) -> None:
    (tmp_path / "x.desktop").write_text(f"[Desktop Entry]\nType=Application\n{lines}\n[Desktop Action a]\nExec=dash\n")
    launchers = Launchers((tmp_path,))
    assert launchers.stale()
    launchers.build()
    assert launchers.has(SLEEP) is starts
    assert not launchers.has(DASH) and not launchers.stale()


def test_games_and_programs_behind_launcher_scripts_are_applications(tmp_path: Path) -> None:
    (tmp_path / "x.desktop").write_text("[Desktop Entry]\nExec=sleep\n")
    launchers = Launchers((tmp_path,))
    launchers.build()
    assert launchers.has("/usr/lib/sleep/sleep") and launchers.has("/usr/lib/sleep/sleep.bin")
    assert launchers.has("/usr/games/anything")
    assert not launchers.has("/usr/lib/xorg/Xorg")


def test_a_hash_follows_the_content(tmp_path: Path) -> None:
    hashes = Hashes(limit=100)
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert hashes.known(str(file)) == ""
    assert hashes.of(str(file)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hashes.known(str(file)) == hashes.of(str(file))
    before = file.stat()
    time.sleep(0.02)
    file.write_bytes(b"abd")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes.known(str(file)) == "", "ctime tells, whatever mtime says"
    assert hashes.of(str(file)) != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    file.write_bytes(b"x" * 101)
    assert hashes.of(str(file)) == "", "over the limit"
    assert hashes.of(str(tmp_path)) == "" and hashes.of(str(tmp_path / "missing")) == ""
    with contextlib.suppress(FileExistsError):
        os.mkfifo(tmp_path / "pipe")
    assert hashes.of(str(tmp_path / "pipe")) == "", "a pipe must not block the service"


@given(st.binary(max_size=40))
def test_any_file_name_can_be_shown(raw: bytes) -> None:
    text = clean(os.fsdecode(raw))
    assert text.isprintable()
    text.encode("utf-8")


def test_every_account_of_this_machine_resolves() -> None:
    from agent.platforms.linux import accounts

    for entry in pwd.getpwall():
        found = accounts.person(entry.pw_name)
        assert found is not None and found.uid == entry.pw_uid and entry.pw_gid in found.gids
