"""Own files: what the list says, what is noticed, what is put right, and what is said when it cannot be."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("reads Linux's files", allow_module_level=True)

from agent.clock import MINUTE, SECOND
from agent.model.snapshot import Mended
from agent.platforms.linux.guarding import OFTEN, PATIENCE, VERIFY_EVERY, Guard
from agent.platforms.linux.ownlist import UnreadableList, load

UNIT = "/usr/lib/systemd/system/fairtime.service"
COMMAND = "/usr/bin/fairtime"
MODULE = "/usr/lib/fairtime/lib/agent/core.py"
DEEP = "/usr/lib/fairtime/lib/agent/deep/one.py"


class Pc:
    """A folder that stands for a PC with Fairtime installed, and a guard with a clock of the test's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.own = root / "var/lib/fairtime/own"
        self.lines = ["fairtime-manifest\t1", "prefix\t-\t/usr", "folder\t/usr/lib/fairtime"]
        self.put(UNIT, "[Unit]\n")
        self.put(MODULE, "core = 1\n")
        self.put(DEEP, "one = 1\n", mode=0o755)
        self.link(COMMAND, "../lib/fairtime/bin/fairtime")
        self.write_list()
        self.guard = self.new_guard()
        self.now = 1_000_000

    def new_guard(self) -> Guard:
        return Guard(self.own, self.root, (os.geteuid(), os.getegid()))

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        for place in (self.at(path), self.own / "spare" / path.lstrip("/")):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(mode)
            os.utime(place, (1_700_000_000, 1_700_000_000))
        sha = hashlib.sha256(text.encode()).hexdigest()
        self.lines.append(f"file\t{path}\t{mode:o}\t1700000000\t{sha}\tnew")

    def link(self, path: str, target: str) -> None:
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).symlink_to(target)
        self.lines.append(f"link\t{path}\t{target}\t-\t-\tnew")

    def write_list(self) -> None:
        (self.own / "manifest").write_text("\n".join(self.lines) + "\n")

    def pass_(self, millis: int) -> tuple[Mended, ...]:
        """Time goes by in steps of a second, as with the service's ticks."""
        found: list[Mended] = []
        for _ in range(millis // SECOND):
            self.now += SECOND
            if self.guard.look(self.now):
                self.guard.mend(self.now)
                found += self.guard.take()
        return tuple(found)


@pytest.fixture
def pc(tmp_path: Path) -> Pc:
    made = Pc(tmp_path / "pc")
    assert made.pass_(VERIFY_EVERY + 5 * SECOND) == ()  # as installed: nothing to mend
    assert made.guard.troubles == ()
    return made


Deed = Callable[[Path], object]


def replace_with_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "in").touch()


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("/bin/true")


@pytest.mark.parametrize("path", [UNIT, MODULE, DEEP])
@pytest.mark.parametrize(
    ("deed", "what"),
    [
        (Path.unlink, "removed"),
        (lambda p: p.write_text("else"), "changed"),
        (lambda p: p.write_text(p.read_text().swapcase()), "changed"),
        (lambda p: os.truncate(p, 0), "changed"),
        (lambda p: p.chmod(0o666), "given other rights"),
        (replace_with_folder, "replaced"),
        (relink, "replaced"),
    ],
)
def test_what_is_changed_is_put_right(pc: Pc, path: str, deed: Deed, what: str) -> None:
    before = pc.at(path).read_bytes(), pc.at(path).stat().st_mode, pc.at(path).stat().st_mtime
    deed(pc.at(path))
    # Within five seconds; a program's file that was written to in place when its turn comes.
    in_place = path != UNIT and what in ("changed", "given other rights")
    assert pc.pass_(VERIFY_EVERY + 4 * SECOND if in_place else 5 * SECOND) == (Mended(path=path, what=what),)
    assert (pc.at(path).read_bytes(), pc.at(path).stat().st_mode, pc.at(path).stat().st_mtime) == before
    assert pc.pass_(2 * VERIFY_EVERY) == ()
    assert pc.guard.troubles == ()


@pytest.mark.parametrize("deed", [Path.unlink, relink, replace_with_folder])
def test_the_command_is_put_right(pc: Pc, deed: Deed) -> None:
    deed(pc.at(COMMAND))
    assert [m.path for m in pc.pass_(5 * SECOND)] == [COMMAND]
    assert os.readlink(pc.at(COMMAND)) == "../lib/fairtime/bin/fairtime"


def test_the_whole_program_is_put_right(pc: Pc) -> None:
    shutil.rmtree(pc.at("/usr/lib/fairtime"))
    mask = os.umask(0o077)  # the service's own
    try:
        assert {m.path for m in pc.pass_(5 * SECOND)} == {MODULE, DEEP}
    finally:
        os.umask(mask)
    assert pc.at(MODULE).read_text() == "core = 1\n"
    for folder in pc.at(DEEP).relative_to(pc.root).parents:
        assert (pc.root / folder).stat().st_mode & 0o055 == 0o055


def test_a_change_with_the_same_size_and_time_is_seen(pc: Pc) -> None:
    for path in (UNIT, MODULE):
        text = pc.at(path).read_text()
        pc.at(path).write_text(text.swapcase())
        os.utime(pc.at(path), (1_700_000_000, 1_700_000_000))
    assert {m.path for m in pc.pass_(VERIFY_EVERY + 4 * SECOND)} == {UNIT, MODULE}


def test_what_goes_in_the_first_minute_is_seen(pc: Pc) -> None:
    pc.guard = pc.new_guard()
    pc.pass_(2 * SECOND)
    pc.at(DEEP).unlink()
    pc.at(MODULE).unlink()
    assert {m.path for m in pc.pass_(5 * SECOND)} == {DEEP, MODULE}


def test_a_change_while_nobody_looked_is_found_at_the_start(pc: Pc) -> None:
    pc.at(UNIT).write_text("before")
    pc.at(MODULE).write_text("before")
    pc.guard = pc.new_guard()
    assert {m.path for m in pc.pass_(VERIFY_EVERY + 4 * SECOND)} == {UNIT, MODULE}


def test_what_python_writes_beside_its_files_is_left_alone(pc: Pc) -> None:
    cache = pc.at("/usr/lib/fairtime/lib/agent/__pycache__")
    cache.mkdir()
    (cache / "core.pyc").touch()
    pc.at("/usr/lib/fairtime/lib/agent/foreign").touch()
    assert pc.pass_(2 * VERIFY_EVERY) == ()
    assert (cache / "core.pyc").exists()


def test_a_damaged_spare_copy_is_told_and_never_used(pc: Pc) -> None:
    (pc.own / "spare" / UNIT.lstrip("/")).write_text("damaged")
    pc.at(UNIT).write_text("changed")
    found = pc.pass_(5 * SECOND)
    assert [(m.path, bool(m.why)) for m in found] == [(UNIT, True)]
    assert pc.at(UNIT).read_text() == "changed"
    assert any(UNIT in words and "cannot be put right" in words for words in pc.guard.troubles)
    assert pc.pass_(3 * VERIFY_EVERY) == ()  # told once, tried again each minute
    (pc.own / "spare" / UNIT.lstrip("/")).write_text("[Unit]\n")
    assert [(m.path, m.why) for m in pc.pass_(VERIFY_EVERY + 2 * SECOND)] == [(UNIT, "")]  # a minute after the last try
    assert pc.guard.troubles == ()


def test_a_read_only_place_is_a_named_state(pc: Pc, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    pc.at(UNIT).unlink()
    monkeypatch.setattr("agent.platforms.linux.repairing.os.replace", refuse)
    assert [(m.what, m.why) for m in pc.pass_(5 * SECOND)] == [("removed", "Read-only file system")]
    assert pc.guard.troubles == (f"{UNIT} was removed and cannot be put right: Read-only file system.",)


def test_who_writes_a_file_again_and_again_is_named_and_not_raced(pc: Pc) -> None:
    mended = 0
    for _ in range(120):
        pc.at(UNIT).write_text("mine!")
        mended += len(pc.pass_(2 * SECOND))
    assert OFTEN <= mended <= OFTEN + 4  # then once a minute
    assert any("again and again" in words for words in pc.guard.troubles)


def test_many_troubles_are_few_words(pc: Pc) -> None:
    for number in range(9):
        pc.put(f"/etc/fairtime/{number}", f"{number}")
    pc.write_list()
    shutil.rmtree(pc.own / "spare")
    shutil.rmtree(pc.at("/etc/fairtime"))
    pc.pass_(5 * SECOND)
    assert len(pc.guard.troubles) == 4
    assert "6 more" in pc.guard.troubles[-1]


def test_without_a_list_nothing_is_mended_and_it_is_told_after_a_while(pc: Pc) -> None:
    aside = pc.own / "manifest.aside"
    (pc.own / "manifest").rename(aside)  # an installation has begun
    pc.at(UNIT).write_text("of the next version")
    assert pc.pass_(PATIENCE - 2 * SECOND) == ()
    assert pc.guard.troubles == ()
    assert pc.pass_(4 * SECOND) == ()
    assert "list of them is missing" in pc.guard.troubles[0]
    assert pc.at(UNIT).read_text() == "of the next version"
    aside.rename(pc.own / "manifest")
    assert [m.path for m in pc.pass_(5 * SECOND)] == [UNIT]
    assert pc.guard.troubles == ()


def test_a_new_list_is_read(pc: Pc) -> None:
    pc.lines = [line for line in pc.lines if UNIT not in line]
    pc.put(UNIT, "[Unit]\n# version 2\n")
    pc.write_list()
    assert pc.pass_(VERIFY_EVERY) == ()
    pc.at(UNIT).unlink()
    pc.pass_(5 * SECOND)
    assert "version 2" in pc.at(UNIT).read_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        "fairtime-manifest\t2\nprefix\t-\t/usr\n",
        "fairtime-manifest\t1\n",
        "fairtime-manifest\t1\nprefix\t-\tusr\n",
        "fairtime-manifest\t1\nprefix\t-\t/usr\nfile\t/a\t644\t1\tabc\tnew\n",
        "fairtime-manifest\t1\nprefix\t-\t/usr\nfile\t/a\t944\t1\t" + "0" * 64 + "\tnew\n",
        "fairtime-manifest\t1\nprefix\t-\t/usr\nfile\t/a\t644\tx\t" + "0" * 64 + "\tnew\n",
        "fairtime-manifest\t1\nprefix\t-\t/usr\nfile\ta\t644\t1\t" + "0" * 64 + "\tnew\n",
        "fairtime-manifest\t1\nprefix\t-\t/usr\nfile\t/a/../b\t644\t1\t" + "0" * 64 + "\tnew\n",
        "fairtime-manifest\t1\nprefix\t-\t/usr\nfile\t/a\t644\t1\t" + "0" * 64 + "\n",
        "fairtime-manifest\t1\nprefix\t-\t/usr\nfile\t/a\t644\t1\t" + "0" * 64 + "\tnew",
    ],
)
def test_a_damaged_list_is_refused_whole(pc: Pc, text: str) -> None:
    (pc.own / "manifest").write_text(text)
    with pytest.raises(UnreadableList):
        load(pc.own / "manifest")
    pc.at(UNIT).unlink()
    assert pc.pass_(10 * SECOND) == ()
    assert not pc.at(UNIT).exists()
    assert any("not usable" in words for words in pc.guard.troubles)


def test_a_look_is_cheap(pc: Pc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read while nothing changes but the few, once a minute; the list stays closed."""
    read: list[Path] = []
    original = Path.open

    def opened(self: Path, *rest: object, **more: object) -> object:
        read.append(self)
        return original(self, *rest, **more)

    monkeypatch.setattr(Path, "open", opened)
    pc.pass_(10 * MINUTE)
    assert set(read) <= {pc.at(UNIT)}
    assert len(read) <= 11


STACK = "/etc/pam.d/common-account"
STACK_TEXT = (
    "# generated\naccount [success=1 default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n"
    "account [success=2 default=ignore] pam_succeed_if.so quiet user notingroup fairtime-children\n"
    "account [success=1 default=ignore] pam_exec.so /usr/libexec/fairtime/login-check\n"
    "account requisite pam_access.so accessfile=/usr/libexec/fairtime/refuse.conf\n"
    "account optional pam_other.so\n# end\n"
)
FREE = "".join(line + "\n" for line in STACK_TEXT.splitlines() if "fairtime" not in line)


@pytest.fixture
def shared(pc: Pc) -> Pc:
    pc.put(STACK, STACK_TEXT)
    sha = hashlib.sha256(STACK_TEXT.encode()).hexdigest()
    pc.lines[-1] = f"lines\t{STACK}\t-\t-\t{sha}\ttheirs"
    pc.write_list()
    assert pc.pass_(VERIFY_EVERY) == ()
    return pc


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (FREE, STACK_TEXT),
        # One of ours went, or something came between: then PAM would jump elsewhere.
        (
            STACK_TEXT.replace("account requisite pam_access", "account optional pam_x\naccount requisite pam_access"),
            None,
        ),
        ("".join(STACK_TEXT.splitlines(True)[:5] + STACK_TEXT.splitlines(True)[6:]), STACK_TEXT),
        # Written anew by others, with a module more: ours come back at their place.
        (
            FREE.replace("account optional pam_other.so", "account optional pam_new.so"),
            STACK_TEXT.replace("account optional pam_other.so", "account optional pam_new.so"),
        ),
        (
            FREE.replace("account required pam_permit.so", "account required pam_mine.so"),
            STACK_TEXT.replace("account required pam_permit.so", "account required pam_mine.so"),
        ),
    ],
)
def test_lines_in_somebody_elses_file_come_back_together(shared: Pc, text: str, after: str | None) -> None:
    shared.at(STACK).write_text(text)
    shared.at(STACK).chmod(0o640)
    assert [(m.path, m.why) for m in shared.pass_(5 * SECOND)] == [(STACK, "")]
    found = shared.at(STACK).read_text()
    if after is not None:
        assert found == after
    ours = [line for line in STACK_TEXT.splitlines() if "fairtime" in line]
    at = found.splitlines().index(ours[0])
    assert found.splitlines()[at : at + 3] == ours
    assert shared.at(STACK).stat().st_mode & 0o777 == 0o640
    assert shared.pass_(2 * VERIFY_EVERY) == ()


@pytest.mark.parametrize(
    "text",
    [
        STACK_TEXT + "account optional pam_new.so\n",
        STACK_TEXT.replace("account required pam_permit.so", "account required pam_mine.so"),
    ],
)
def test_what_others_change_in_their_file_is_theirs(shared: Pc, text: str) -> None:
    shared.at(STACK).write_text(text)
    assert shared.pass_(2 * VERIFY_EVERY) == ()
    assert shared.at(STACK).read_text() == text


@pytest.mark.parametrize("text", ["account required pam_all_new.so\n", ""])
def test_where_the_place_cannot_be_told_nothing_is_guessed(shared: Pc, text: str) -> None:
    shared.at(STACK).write_text(text)
    assert [(m.path, bool(m.why)) for m in shared.pass_(5 * SECOND)] == [(STACK, True)]
    assert shared.at(STACK).read_text() == text
    assert "sudo pam-auth-update" in shared.guard.troubles[0]


def test_a_stack_without_its_spare_copy_is_told(shared: Pc) -> None:
    (shared.own / "spare" / STACK.lstrip("/")).unlink()
    shared.pass_(2 * VERIFY_EVERY)
    assert "cannot be checked" in shared.guard.troubles[0]
