"""Which package owns a program, and whether it still is the program that the package brought."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

import fcntl

from hypothesis import given
from hypothesis import strategies as st

from agent.platforms.linux import findings
from agent.platforms.linux.accounts import Person
from agent.platforms.linux.debs import Debs
from agent.platforms.linux.fileindex import FileIndex
from agent.platforms.linux.identity import HASH_NOW, Identifier
from agent.platforms.linux.launchers import Launchers
from agent.platforms.linux.packages import Content, Database, Owned, Packages
from agent.platforms.linux.rpms import Rpms

OTHER = Person("#61237", 61237, frozenset({61237}))


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Dpkg:
    """A database of dpkg in a folder, and one program that root owns."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.folder, self.program = folder, program
        (folder / "info").mkdir(parents=True)
        self.install(b"version 1")

    def install(self, content: bytes, *, noted: bytes | None = None) -> None:
        """Unpack as dpkg does: a new file takes the name, then its checksum is noted, then the status."""
        new = self.program.with_suffix(".dpkg-new")
        new.write_bytes(content)
        new.chmod(0o755)
        new.rename(self.program)
        self.note(noted if noted is not None else content)

    def note(self, content: bytes) -> None:
        relative = str(self.program).removeprefix("/")
        (self.folder / "info/game:amd64.list").write_text(f"/.\n/{relative}\n")
        (self.folder / "info/game:amd64.md5sums").write_text(f"{md5(content)}  {relative}\n")
        (self.folder / "status.new").write_text(f"{os.urandom(8).hex()}")
        (self.folder / "status.new").rename(self.folder / "status")


@pytest.fixture
def dpkg(tmp_path: Path) -> Iterator[Dpkg]:
    place = Path("/usr/games/fairtime-packages-test") if os.geteuid() == 0 else tmp_path / "usr"
    place.mkdir(parents=True)
    try:
        yield Dpkg(tmp_path / "dpkg", place / "game")
    finally:
        shutil.rmtree(place)


def packages_of(dpkg: Dpkg) -> Packages:
    packages = Packages((Debs(dpkg.folder),))
    packages.build()
    return packages


def look(packages: Packages, path: Path) -> Content:
    owned = packages.owner(str(path))
    assert owned is not None and owned.id == "deb:game"
    known = packages.content(str(path), owned)
    if known is not Content.PENDING:
        return known
    fd = os.open(path, os.O_RDONLY)
    try:
        return packages.verify(fd, str(path), owned)
    finally:
        os.close(fd)


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="puts a file where only root can, as packages do")


@pytest.mark.root
@root_only
class TestContent:
    def test_as_it_was_brought(self, dpkg: Dpkg) -> None:
        packages = packages_of(dpkg)
        owned = packages.owner(str(dpkg.program))
        assert owned is not None and packages.content(str(dpkg.program), owned) is Content.PENDING
        assert look(packages, dpkg.program) is Content.INTACT
        assert packages.content(str(dpkg.program), owned) is Content.INTACT
        assert not packages.changed()

    @pytest.mark.parametrize("how", ["in place", "replaced", "appended"])
    def test_tampered(self, dpkg: Dpkg, how: str) -> None:
        packages = packages_of(dpkg)
        assert look(packages, dpkg.program) is Content.INTACT
        known = dpkg.program.stat()
        if how == "in place":
            dpkg.program.write_bytes(b"version 2")
        elif how == "appended":
            with dpkg.program.open("ab") as file:
                file.write(b"\0")
        else:
            other = dpkg.program.with_name("other")
            other.write_bytes(b"version x")
            other.rename(dpkg.program)
        os.utime(dpkg.program, ns=(known.st_atime_ns, known.st_mtime_ns))
        assert look(packages, dpkg.program) is Content.CHANGED
        assert packages.changed() == {str(dpkg.program): "deb:game"}
        (finding,) = findings.of_packages(packages)
        assert finding.severity == "weak" and str(dpkg.program) in finding.title and "reinstall game" in finding.advice

    def test_an_upgrade_stays_the_packages(self, dpkg: Dpkg) -> None:
        packages = packages_of(dpkg)
        assert look(packages, dpkg.program) is Content.INTACT
        dpkg.install(b"version 2")
        assert packages.stale()
        assert look(packages, dpkg.program) is Content.INTACT

    def test_mended_by_installing_again(self, dpkg: Dpkg) -> None:
        packages = packages_of(dpkg)
        dpkg.program.write_bytes(b"version x")
        assert look(packages, dpkg.program) is Content.CHANGED
        dpkg.install(b"version 1")
        assert look(packages, dpkg.program) is Content.INTACT
        assert not packages.changed()

    def test_in_the_middle_of_an_upgrade_nothing_is_said(self, dpkg: Dpkg) -> None:
        """The new file is there, its checksum not yet noted; dpkg holds its lock all the while."""
        packages = packages_of(dpkg)
        (dpkg.folder / "lock").touch()
        holder = subprocess.Popen(
            [sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
             "print(1, flush=True); sys.stdin.read()", str(dpkg.folder / "lock")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert holder.stdout is not None and holder.stdout.readline() == b"1\n"
        try:
            dpkg.install(b"version 2", noted=b"version 1")
            packages.build()
            assert look(packages, dpkg.program) is Content.PENDING
            dpkg.note(b"version 2")
        finally:
            holder.communicate()
        assert look(packages, dpkg.program) is Content.INTACT
        dpkg.note(b"version 3")
        assert look(packages, dpkg.program) is Content.INTACT, "this very content was the package's"

    def test_without_a_checksum_nothing_answers_for_it(self, dpkg: Dpkg) -> None:
        (dpkg.folder / "info/game:amd64.md5sums").unlink()
        packages = packages_of(dpkg)
        assert look(packages, dpkg.program) is Content.UNRECORDED
        (finding,) = findings.of_packages(packages)
        assert finding.severity == "note" and "game" in finding.title

    def test_the_program_loses_its_package_and_its_protection(self, dpkg: Dpkg) -> None:
        packages = packages_of(dpkg)
        identifier = Identifier(packages=packages, launchers=Launchers((dpkg.folder / "none",)))
        found = identifier.file(str(dpkg.program), OTHER)
        assert found is not None and (found.package, found.protected) == ("deb:game", True)
        dpkg.program.write_bytes(b"version x")
        found = identifier.file(str(dpkg.program), OTHER)
        assert found is not None and (found.package, found.protected) == ("", False)
        assert found.sha256 == hashlib.sha256(b"version x").hexdigest()

    def test_a_large_one_is_its_packages_until_a_thread_has_looked(self, dpkg: Dpkg) -> None:
        dpkg.install(b"x" * (HASH_NOW + 1), noted=b"y")
        packages = packages_of(dpkg)
        identifier = Identifier(packages=packages, launchers=Launchers((dpkg.folder / "none",)))
        waiting: list[tuple[int, str, Owned]] = []
        identifier.verify_later = lambda fd, path, owned: waiting.append((fd, path, owned))
        found = identifier.file(str(dpkg.program), OTHER)
        assert found is not None and found.package == "deb:game" and len(waiting) == 1
        packages.verify(*waiting[0])
        os.close(waiting[0][0])
        found = identifier.file(str(dpkg.program), OTHER)
        assert found is not None and (found.package, found.protected, len(waiting)) == ("", False, 1)


# -- the database of dpkg ------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    info = tmp_path / "info"
    info.mkdir()
    (info / "coreutils.list").write_text("/.\n/bin\n/bin/sleep\n")
    (info / "coreutils.md5sums").write_text(f"{md5(b'sleep')}  bin/sleep\n")
    (info / "postgres:amd64.list").write_text("/usr/bin/pg_config\n/usr/share/doc/postgres/README\n")
    (info / "postgres:amd64.md5sums").write_text(f"{md5(b'real')}  usr/bin/pg_config\n")
    (info / "common.list").write_text("/usr/bin/pg_config\n")
    (info / "common.md5sums").write_text(f"{md5(b'wrapper')}  usr/bin/pg_config\n")
    (tmp_path / "diversions").write_text(
        "/usr/bin/pg_config\n/usr/bin/pg_config.postgres\ncommon\n/usr/bin/local\n/usr/bin/local.distrib\n:\n"
    )
    (info / "local.list").write_text("/usr/bin/local\n")
    (tmp_path / "status").touch()
    return tmp_path


def test_a_list_may_name_a_merged_folder(database: Path) -> None:
    debs = Debs(database)
    debs.build()
    assert debs.owner("/usr/bin/sleep") == debs.owner("/bin/sleep") == "coreutils"
    assert debs.recorded("/usr/bin/sleep", "coreutils") == ("md5", md5(b"sleep"))
    assert debs.owner("/usr/bin/slee") == "" and debs.owner("/usr/share/doc/postgres/README") == ""


def test_diverted_files_are_found_where_they_are(database: Path) -> None:
    debs = Debs(database)
    debs.build()
    assert debs.owner("/usr/bin/pg_config") == "common"
    assert debs.recorded("/usr/bin/pg_config", "common") == ("md5", md5(b"wrapper"))
    moved = "/usr/bin/pg_config.postgres"
    assert debs.owner(moved) == "postgres:amd64"
    assert debs.recorded(moved, "postgres:amd64") == ("md5", md5(b"real"))
    assert debs.owner("/usr/bin/local") == "", "diverted by hand: what is there now is nobody's"
    assert debs.owner("/usr/bin/local.distrib") == "local"


def test_it_knows_its_own_staleness(database: Path) -> None:
    packages = Packages((Debs(database),))
    assert packages.stale() and not packages.ready and packages.owner("/bin/sleep") is None
    packages.build()
    assert packages.ready and not packages.stale()
    (database / "info/new.list").write_text("/usr/games/other\n")
    os.utime(database / "status", ns=(1, 1))
    assert packages.stale()
    packages.build()
    other = packages.owner("/usr/games/other")
    assert other is not None and other.id == "deb:new" and not packages.stale()


def test_no_package_manager_no_owner(tmp_path: Path) -> None:
    packages = Packages((Debs(tmp_path), Rpms((tmp_path,))))
    assert packages.ready and not packages.stale() and packages.owner("/bin/sh") is None


def test_this_machines_own_programs_are_intact() -> None:
    debs = Debs()
    if not debs.exists:
        pytest.skip("no dpkg on this machine")
    packages = Packages((debs,))
    packages.build()
    shell = os.path.realpath("/bin/sh")
    owned = packages.owner(shell)
    assert owned is not None
    with open(shell, "rb") as file:
        assert packages.verify(file.fileno(), shell, owned) is Content.INTACT


@given(st.dictionaries(st.text("abc/", min_size=1, max_size=6), st.sampled_from(["one", "two"]), max_size=20))
def test_the_index_answers_as_a_dictionary_would(owners: dict[str, str]) -> None:
    index = FileIndex()
    for name in ("one", "two"):
        number = index.package(name)
        assert number is not None
        for path, owner in owners.items():
            if owner == name:
                index.add(number, b"/usr/bin/" + path.encode())
    index.sort()
    for path, owner in owners.items():
        assert list(index.find(b"/usr/bin/" + path.encode())) == [owner]
    assert not list(index.find(b"/usr/bin/d"))


def test_a_lock_of_a_stranger_is_seen_and_ones_own_is_not_taken(tmp_path: Path) -> None:
    from agent.platforms.linux.locks import locked

    path = tmp_path / "lock"
    assert not locked(path)
    path.touch()
    assert not locked(path)
    with path.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if locked(path) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# -- rpm -----------------------------------------------------------------------------------------------------------

SPEC = """
Name: fairtime-test-game
Version: {version}
Release: 1
Summary: A game for a test
License: none
BuildArch: noarch
%description
%install
mkdir -p %{{buildroot}}/usr/games
printf 'version {version}' > %{{buildroot}}/usr/games/rpm-game
%files
/usr/games/rpm-game
"""


@pytest.fixture
def rpm(tmp_path: Path) -> Callable[[str], Path]:
    """Builds and installs a version into a database of its own; gives the database's folder."""
    if not shutil.which("rpm") or not shutil.which("rpmbuild"):
        pytest.skip("rpm is not installed")

    def install(version: str) -> Path:
        spec = tmp_path / "game.spec"
        spec.write_text(SPEC.format(version=version))
        top = ["--define", f"_topdir {tmp_path}/build", "--define", "_tmppath /var/tmp"]
        subprocess.run(["rpmbuild", "-bb", *top, str(spec)], check=True, capture_output=True)
        (built,) = (tmp_path / "build/RPMS").rglob(f"*-{version}-*.rpm")
        where = ["--root", str(tmp_path / "root"), "--dbpath", "/db"]
        (tmp_path / "root").mkdir(exist_ok=True)
        subprocess.run(["rpm", *where, "-U", "--nodeps", str(built)], check=True, capture_output=True)
        return tmp_path / "root/db"

    return install


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="rpm installs as root only")
def test_rpm_knows_its_files_and_their_content(rpm: Callable[[str], Path], tmp_path: Path) -> None:
    folder = rpm("1")
    rpms = Rpms((folder,), options=("--root", str(tmp_path / "root"), "--dbpath", "/db"))
    assert rpms.exists and not rpms.ready
    packages = Packages((rpms,))
    packages.build()
    owned = packages.owner("/usr/games/rpm-game")
    assert owned is not None and owned.id == "rpm:fairtime-test-game"
    assert packages.owner("/usr/games/rpm-gam") is None
    assert rpms.recorded("/usr/games/rpm-game", owned.listing) == ("sha256", hashlib.sha256(b"version 1").hexdigest())
    program = tmp_path / "root/usr/games/rpm-game"

    def verify() -> Content:
        with program.open("rb") as file:
            return packages.verify(file.fileno(), "/usr/games/rpm-game", owned)

    assert verify() is Content.INTACT and not packages.stale(), "reading must not look like a change"
    rpm("2")
    assert packages.stale()
    packages.build()
    assert verify() is Content.INTACT
    program.write_bytes(b"version x")
    assert verify() is Content.CHANGED
    assert packages.changed() == {} or list(packages.changed().values()) == ["rpm:fairtime-test-game"]


def test_an_rpm_that_fails_leaves_what_was_known(tmp_path: Path) -> None:
    (tmp_path / "rpmdb.sqlite").write_bytes(b"not a database")
    rpms = Rpms((tmp_path,), options=("--dbpath", str(tmp_path / "nowhere"), "--no-such-option"))
    if not rpms.exists:
        pytest.skip("rpm is not installed")
    rpms.build()
    assert not rpms.ready and rpms.stale()


def test_every_database_has_the_same_face() -> None:
    databases: tuple[Database, ...] = (Debs(), Rpms())
    assert [database.kind for database in databases] == ["deb", "rpm"]
