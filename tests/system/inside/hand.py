"""The lab's hand in the PC: starts what the tests ask for, so that a command costs a fork and not six programs.

Run as root with Fairtime's own Python: ``python hand.py DESCRIPTOR SOCKET``.  A request comes over the descriptor (one packet
of JSON, with descriptors for standard input, output and error, the answer, and cgroups of the host) and is a program to
start (``start.c``), or, for accounts that are no child's, the command line ``fairtime``: its ``main`` then runs in the fork, with the
modules that this process has loaded and everything else as ever (the account, the cgroup, the socket, the words, the code).
``fairtime.c`` brings shell lines of the lab's root here by way of ``SOCKET``.  Children of the family never get this short way.
"""

from __future__ import annotations

import array
import gc
import grp
import importlib
import json
import os
import pathlib
import pkgutil
import pwd
import selectors
import signal
import socket
import sys
from typing import NoReturn

START = str(pathlib.Path(__file__).with_name("start"))
PLENTY = 1 << 17
"""Bytes of a request."""
SLOWLY = ("agent.ipc.client", "agent.ipc.answers", "agent.core.rules", "agent.trust.signing", "agent.trust.publisher",
          "agent.service.founding", "agent.service.guardian", "agent.service.store")  # fmt: skip
"""What the command line loads when it is used, besides its own modules; as far as it is there."""


class Hand:
    def __init__(self, line: socket.socket, door: str) -> None:
        self._line = line
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.bind(door)
        os.chmod(door, 0o600)
        self._door.listen(64)
        self._running: dict[int, tuple[int, int]] = {}
        """By process: the descriptor that waits for its end, and the number of the request."""
        self._wake, waker = os.pipe()
        for end in (self._wake, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        watched = selectors.DefaultSelector()
        for one in (self._line, self._door, self._wake):
            watched.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in watched.select():
                if key.fileobj is self._door:
                    caller, _ = self._door.accept()
                    with caller:
                        self._shell(caller)
                elif key.fileobj is self._line:
                    data, ends = _receive(self._line)
                    if not data:
                        return
                    self._asked(json.loads(data), ends)
                else:
                    _empty(self._wake)
                    self._collect()

    def _asked(self, wish: dict[str, object], ends: list[int]) -> None:
        if "kill" in wish:
            for pid, (_, number) in self._running.items():
                if number == wish["kill"]:
                    _end(pid)
            return
        self._start(wish, ends[:3], ends[3], ends[4:])

    def _shell(self, caller: socket.socket) -> None:
        """``fairtime`` in a shell line of root's: folder, words; the answer goes to the caller's connection."""
        data, ends = _receive(caller)
        if len(ends) != 3:
            for end in ends:
                os.close(end)
            return
        folder, *words = os.fsdecode(data).split("\0")[:-1]
        wish = {"words": ["fairtime", *words], "user": "root", "folder": folder, "number": 0, "inside": True}
        self._start(wish, ends, os.dup(caller.fileno()), [])

    def _start(self, wish: dict[str, object], standard: list[int], answer: int, groups: list[int]) -> None:
        try:
            pid = _fork(wish, standard, groups) if wish["inside"] else _spawn(wish, standard, groups)
        except (KeyError, OSError) as error:
            os.write(standard[2], f"{error.__class__.__name__}: {error}\n".encode(errors="replace"))
            os.write(answer, b"126")
            os.close(answer)
            return
        finally:
            for end in (*standard, *groups):
                os.close(end)
        self._running[pid] = (answer, int(str(wish["number"])))

    def _collect(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            answer, _ = self._running.pop(pid)
            try:
                os.write(answer, b"%d" % os.waitstatus_to_exitcode(status))
            except BrokenPipeError:
                pass  # whoever asked does not wait for it any more
            os.close(answer)


def _spawn(wish: dict[str, object], standard: list[int], groups: list[int]) -> int:
    """Start a program; ``start.c`` makes of its process what it is to be."""
    account = pwd.getpwnam(str(wish["user"]))
    of = ",".join(map(str, os.getgrouplist(account.pw_name, account.pw_gid)))
    for end in groups:
        os.set_inheritable(end, True)
    words, setting = wish["words"], wish["env"]
    assert isinstance(words, list) and isinstance(setting, dict)
    what = [str(account.pw_uid), str(account.pw_gid), of, str(wish["cgroup"]), str(wish["folder"] or account.pw_dir)]
    return os.posix_spawn(
        START, [START, *what, ",".join(map(str, groups)), *words], setting, setsid=True,
        file_actions=[(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(standard)],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD],  # Python ignores the first two
    )  # fmt: skip


def _fork(wish: dict[str, object], standard: list[int], groups: list[int]) -> int:
    pid = os.fork()
    if pid == 0:
        _become(wish, standard, groups)
    return pid


def _become(wish: dict[str, object], standard: list[int], groups: list[int]) -> NoReturn:
    """In the fork: the command line as it was asked for.  Never returns."""
    code = 126
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, end in enumerate(standard):
            os.dup2(end, number)
        user = str(wish["user"])
        account = pwd.getpwnam(user)
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("0" if user == "root" else "100")  # as systemd's user@.service has it
        for end in groups:
            os.write(end, b"0")
        if cgroup := str(wish.get("cgroup", "")):
            where = f"/sys/fs/cgroup{cgroup}"
            os.makedirs(where, exist_ok=True)
            with open(f"{where}/cgroup.procs", "w") as file:
                file.write("0")
        if user != "root":
            os.setgroups([account.pw_gid, *(one.gr_gid for one in grp.getgrall() if user in one.gr_mem)])
            os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
            os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
        os.chdir(str(wish.get("folder") or account.pw_dir))
        setting = wish.get("env")
        assert setting is None or isinstance(setting, dict)
        words = wish["words"]
        assert isinstance(words, list)
        code = _fairtime(words, setting)
    except BaseException as error:  # noqa: BLE001  # the fork must not go on as the hand
        os.write(2, f"{error.__class__.__name__}: {error}\n".encode(errors="replace"))
        code = 127 if isinstance(error, FileNotFoundError) else 126
    finally:
        os._exit(code)


def _fairtime(words: list[str], setting: dict[str, str] | None) -> int:
    if setting is not None:
        os.environ.clear()
        os.environ.update(setting)
    sys.argv = words
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # it ends with this process
    from agent.__main__ import main

    try:
        code = main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = 1  # grep -q has read enough
    return code


def _receive(line: socket.socket) -> tuple[bytes, list[int]]:
    ends = array.array("i")
    data, more, _, _ = line.recvmsg(PLENTY, socket.CMSG_SPACE(16 * ends.itemsize))
    for level, kind, content in more:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            ends.frombytes(content[: len(content) - len(content) % ends.itemsize])
    for end in ends:
        os.set_inheritable(end, False)
    return data, list(ends)


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _empty(pipe: int) -> None:
    try:
        while os.read(pipe, 4096):
            pass
    except BlockingIOError:
        pass


def _load() -> None:
    import agent.cli

    names = [f"agent.cli.{one.name}" for one in pkgutil.iter_modules(agent.cli.__path__)]
    for name in (*names, *SLOWLY):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise


def _spare_me() -> None:
    """It is the test, and no program of this PC: not what the kernel ends when memory is short."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("-1000")
    except PermissionError:
        pass  # some containers' hosts may not; the children's programs are named before it all the same


if __name__ == "__main__":
    _spare_me()
    _load()
    gc.freeze()  # else the first collection in a fork copies all of it
    Hand(socket.socket(fileno=int(sys.argv[1])), sys.argv[2]).serve()
