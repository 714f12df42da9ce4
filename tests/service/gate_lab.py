"""What the real gate does on a file system of its own, in a private mount namespace: run by ``test_gate``, one scenario each.

``python -m tests.service.gate_lab SCENARIO`` (as root, below ``unshare --mount``) mounts a tmpfs, limits the gate to it, and
fails by an assertion.  Nothing outside of that tmpfs is ever marked, so nothing here can make the machine wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.model.program import Process
from agent.platforms.base import Capability, Start
from agent.platforms.linux import procfs
from agent.platforms.linux.host import LinuxHost

UID, STRANGER = 61801, 61802
ACCOUNT = f"#{UID}"
PYTHON = "/usr/bin/python3"
"""One that every account may run, unlike that of a virtual environment in somebody's home."""
NO_BUS = "unix:path=/nonexistent/bus"
LONG = 8.0
"""Seconds after which something that should happen soon counts as not happening."""


@dataclass
class Lab:
    """A folder that is a tmpfs, with programs: ``good`` may run, ``game`` may not; each touches the file it is given."""

    place: Path
    asked: list[str] = field(default_factory=list)
    rule: Callable[[Process], Start] | None = None

    def __post_init__(self) -> None:
        for name in ("good", "game", "dash"):
            self.program(name, "/bin/dash" if name == "dash" else "/bin/touch")
        self.own.mkdir()
        os.chown(self.own, UID, UID)
        self.out.mkdir()
        self.out.chmod(0o1777)

    @property
    def own(self) -> Path:
        """The child's folder."""
        return self.place / "own"

    @property
    def out(self) -> Path:
        """Where programs leave their proof."""
        return self.place / "out"

    def program(self, name: str, source: str) -> Path:
        path = self.place / name
        shutil.copy(source, path)
        path.chmod(0o755)
        return path

    def decide(self, process: Process) -> Start:
        """As a strict policy for what lies here: only what is protected and not the game."""
        if not process.program.path.startswith(f"{self.place}/"):
            return Start.ALLOW
        self.asked.append(process.program.path)
        if self.rule is not None:
            return self.rule(process)
        return Start.SETTLED if process.program.protected and process.program.name != "game" else Start.DENY

    @contextlib.asynccontextmanager
    async def host(self, *, events: bool = True) -> AsyncIterator[LinuxHost]:
        host = LinuxHost(bus_address=NO_BUS, gate=[str(self.place)])
        if not events:
            # As in a container, where the kernel has no start events to give.
            host._watching.starts.open = _no_events
        host.watch([ACCOUNT])
        await host.open(lambda: None)
        host.on_start(self.decide, lambda _: Start.DENY)
        try:
            await until(lambda: gated(host), "the gate is in place")
            yield host
        finally:
            await host.close()

    async def run(self, *words: str | Path, uid: int = UID) -> tuple[bool, float]:
        """Whether the program left its proof, and the seconds that it took.  Denied before it starts: EPERM."""
        proof = self.out / f"{uid}-{time.monotonic_ns()}"
        before = time.monotonic()
        denied = False

        def go() -> int:
            command = [str(word) for word in (*words, proof)]
            return subprocess.run(command, user=uid, group=uid, extra_groups=[], check=False).returncode

        try:
            await asyncio.to_thread(go)
        except PermissionError as error:
            assert error.errno == errno.EPERM, error
            denied = True
        ran = proof.exists()
        assert not (ran and denied)
        return ran, time.monotonic() - before


async def _no_events() -> None:
    from agent.errors import HostError

    raise HostError("no events here")


def gated(host: LinuxHost) -> bool:
    return any(one.capability is Capability.EXEC_GATE and one.present for one in host.abilities())


def gate_pid(host: LinuxHost) -> int:
    keeper = host._gating.keeper
    assert keeper is not None
    return keeper.pid or 0


async def until(condition: Callable[[], bool], what: str, seconds: float = LONG) -> None:
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


async def until_denied(lab: Lab, *words: str | Path) -> None:
    for _ in range(80):
        ran, _ = await lab.run(*words)
        if not ran:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{words} still starts")


# ---- scenarios -------------------------------------------------------------------------------------------------------


async def denies_before_the_first_instruction(lab: Lab) -> None:
    async with lab.host():
        assert (await lab.run(lab.place / "good"))[0]
        for _ in range(3):
            assert not (await lab.run(lab.place / "game"))[0]
        assert lab.asked.count(str(lab.place / "game")) >= 3, "a refusal is asked about each time"
        before = len(lab.asked)
        await lab.run(lab.place / "good")
        # The start event asks about the new image, the gate does not ask again.
        assert lab.asked[before:].count(str(lab.place / "good")) <= 1


async def is_in_place_when_it_says_so(lab: Lab) -> None:
    """Without a moment in which a program starts unasked: a boot waits for this."""
    host = LinuxHost(bus_address=NO_BUS, gate=[str(lab.place)])
    host._watching.starts.open = _no_events
    host.watch([ACCOUNT])
    await host.open(lambda: None)
    try:
        waiting = asyncio.create_task(host.in_place())
        await asyncio.sleep(0.2)
        assert not waiting.done() and not gated(host), "nobody can be asked yet"
        host.on_start(lab.decide, lambda _: Start.DENY)
        async with asyncio.timeout(LONG):
            await waiting
        assert gated(host)
        assert not (await lab.run(lab.place / "game"))[0]
        os.kill(gate_pid(host), signal.SIGKILL)
        await until(lambda: not gated(host), "its end is seen")
        async with asyncio.timeout(LONG):
            await host.in_place()
        assert gated(host), "and it waits for the next one"
    finally:
        await host.close()


async def leaves_everybody_else_alone(lab: Lab) -> None:
    async with lab.host():
        for uid in (0, STRANGER):
            ran, _ = await lab.run(lab.place / "game", uid=uid)
            assert ran
    assert not [path for path in lab.asked if path.endswith("/game")]


async def cannot_be_got_around_by_another_name(lab: Lab) -> None:
    game = lab.place / "game"
    copy, renamed, linked, script = (lab.own / name for name in ("copy", "renamed", "linked", "script"))
    for path in (copy, renamed.with_suffix(".before")):
        shutil.copy(game, path)
    renamed.with_suffix(".before").rename(renamed)
    os.link(game, linked)
    script.write_text(f'#!{lab.place}/dash\n: > "$1"\n')
    for path in (copy, renamed, script):
        path.chmod(0o755)
        os.chown(path, UID, UID)
    bound = lab.own / "bound"
    bound.touch()
    subprocess.run(["mount", "--bind", game, bound], check=True)
    folder = lab.own / "folder"
    folder.mkdir()
    subprocess.run(["mount", "--bind", lab.place, folder], check=True)
    try:
        async with lab.host():
            for path in (copy, renamed, linked, script, bound, folder / "game"):
                ran, _ = await lab.run(path)
                assert not ran, path
            # In a mount namespace of the child's own, where the mounts are others than those that were seen.
            inside = ["unshare", "--user", "--map-root-user", "--mount", game]
            ran, _ = await lab.run(*inside)
            assert not ran
            # The machine's own script with the machine's own interpreter still runs.
            own = lab.place / "own-script"
            own.write_text(f'#!{lab.place}/dash\n: > "$1"\n')
            own.chmod(0o755)
            assert (await lab.run(own))[0]
    finally:
        subprocess.run(["umount", folder], check=True)
        subprocess.run(["umount", bound], check=True)


async def marks_what_is_mounted_later(lab: Lab) -> None:
    stick = lab.place / "stick with space"
    stick.mkdir()
    async with lab.host():
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "stick", stick], check=True)
        try:
            shutil.copy(lab.place / "game", stick / "game")
            lab.asked.clear()
            await until_denied(lab, stick / "game")
            assert str(stick / "game") in lab.asked
        finally:
            subprocess.run(["umount", "--lazy", stick], check=True)


async def leaves_out_what_may_stall(lab: Lab) -> None:
    """A FUSE file system whose server never answers: looking at it would wait for ever."""
    slow = lab.place / "slow"
    slow.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    async with lab.host() as host:
        assert libc.mount(b"lab", os.fsencode(slow), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
        try:
            keeper = host._gating.keeper
            assert keeper is not None
            await until(lambda: f"fuse {slow}" in keeper.left_out, "the slow file system is named")
            assert any(finding.id == "gate-left-out" for finding in host._gating.findings())
            assert gated(host)
            assert not (await lab.run(lab.place / "game"))[0]
            assert (await lab.run(lab.place / "good"))[0]
        finally:
            os.close(device)
            subprocess.run(["umount", "--lazy", slow], check=True)


async def a_stalled_gate_is_replaced(lab: Lab) -> None:
    async with lab.host() as host:
        first = gate_pid(host)
        os.kill(first, signal.SIGSTOP)
        _, seconds = await lab.run(lab.place / "good")
        assert seconds < 4, f"an exec hung for {seconds} s"
        await until(lambda: gated(host) and gate_pid(host) != first, "another gate is in place")
        assert not (await lab.run(lab.place / "game"))[0]


async def a_killed_gate_is_bridged(lab: Lab) -> None:
    seen: list[str] = []
    async with lab.host() as host:
        before = host._gating.keeper._begin  # type: ignore[union-attr]  # hold the next one back until we have looked
        host._gating.keeper._begin = lambda: None
        os.kill(gate_pid(host), signal.SIGKILL)
        await until(lambda: not gated(host), "the death is noticed")
        seen += (await host.observe()).degraded
        assert any("exec gate" in text for text in seen), seen
        lab.rule = lambda p: Start.DENY if p.program.name == "longgame" else Start.ALLOW
        process = await asyncio.to_thread(_start, lab.program("longgame", "/bin/sleep"), "60")
        assert await asyncio.to_thread(process.wait) == -signal.SIGKILL, "event, then kill"
        host._gating.keeper._begin = before
        host._gating.keeper._again()
        await until(lambda: gated(host), "another gate is in place")
        lab.rule = None
        assert not (await lab.run(lab.place / "game"))[0]


async def a_service_that_does_not_answer_costs_two_seconds(lab: Lab) -> None:
    async with lab.host():
        lab.rule = lambda _: time.sleep(3) or Start.ALLOW
        ran, seconds = await lab.run(lab.program("new", "/bin/touch"))
        assert not ran, "the default of a strict policy"
        assert 1.5 < seconds < 4.5, seconds


async def a_new_answer_holds_at_once(lab: Lab) -> None:
    async with lab.host() as host:
        assert (await lab.run(lab.place / "good"))[0]
        lab.rule = lambda _: Start.DENY
        host.unsettle()
        assert not (await lab.run(lab.place / "good"))[0]
        lab.rule = lambda _: Start.SETTLED
        assert (await lab.run(lab.place / "good"))[0], "a refusal is never remembered"


async def what_is_settled_costs_nothing(lab: Lab) -> None:
    """The kernel itself lets in what every child may always run: even a gate that stands still does not delay it."""
    async with lab.host() as host:
        good = lab.place / "good"
        keeper = host._gating.keeper
        assert keeper is not None
        assert (await lab.run(good))[0]
        keeper._beat = lambda: None  # type: ignore[method-assign]  # nobody replaces it meanwhile
        os.kill(gate_pid(host), signal.SIGSTOP)
        try:
            for uid in (UID, 0):
                ran, seconds = await lab.run(good, uid=uid)
                assert ran
                assert seconds < 1.5, f"{seconds} s: it waited for the gate"
        finally:
            os.kill(gate_pid(host), signal.SIGCONT)
        # Written to: another program.
        lab.rule = lambda _: Start.DENY
        with good.open("r+b") as file:
            file.write(b"\x7fELF")
        assert not (await lab.run(good))[0]
        lab.rule = None
        assert (await lab.run(good))[0]
        lab.rule = lambda _: Start.DENY
        host.unsettle()
        assert not (await lab.run(good))[0]


async def a_held_program_waits_before_its_first_instruction(lab: Lab) -> None:
    async with lab.host() as host:
        lab.rule = lambda _: Start.HOLD
        proof = lab.out / "held"
        process = await asyncio.to_thread(_start, lab.place / "good", str(proof))
        await until(lambda: bool(host._standing.held), "it is held")
        assert "/fairtime-held-" in procfs.unified(process.pid) or _state(process.pid) == "T"
        assert not proof.exists()
        stat = procfs.stat(process.pid)
        assert stat is not None
        assert os.readlink(f"/proc/{process.pid}/exe") == str(lab.place / "good")
        await host.release(process.pid, stat.started)
        assert await asyncio.to_thread(process.wait) == 0
        assert proof.exists()


async def an_interpreter_is_judged_once_its_words_are_there(lab: Lab) -> None:
    """Without start events and without a scan: what the gate tells afterwards is enough."""
    async with lab.host(events=False):
        script = lab.own / "play"
        script.write_text("while :; do read -r _ < /dev/zero; done\n")
        process = await asyncio.to_thread(_start, lab.place / "dash", str(script))
        assert await asyncio.to_thread(process.wait) == -signal.SIGKILL
        assert str(script) in lab.asked


async def a_storm_is_answered(lab: Lab) -> None:
    storm = f"""
import os
for _ in range(400):
    try:
        os.posix_spawn("{lab.place}/game", ["game", "{lab.out}/storm"], {{}})
    except PermissionError:
        pass
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
    async with lab.host():
        go = [asyncio.to_thread(_start, PYTHON, "-I", "-S", "-c", storm) for _ in range(4)]
        processes = await asyncio.gather(*go)
        await asyncio.wait_for(asyncio.gather(*(asyncio.to_thread(p.wait) for p in processes)), 60)
        assert not (lab.out / "storm").exists()


async def without_it_everything_starts(lab: Lab) -> None:
    async with lab.host() as host:
        pid = gate_pid(host)
    assert not Path(f"/proc/{pid}").exists()
    ran, seconds = await lab.run(lab.place / "game")
    assert ran
    assert seconds < 2


# ---- a service of its own, to be killed ------------------------------------------------------------------------------


async def service(lab: Lab) -> None:
    """Runs in a process of its own: says the gate's pid once it is in place, then serves until it is killed."""
    host = LinuxHost(bus_address=NO_BUS, gate=[str(lab.place)])
    host._study.build = lambda: True  # type: ignore[method-assign]  # which package owns a file does not matter here, time does
    host.watch([ACCOUNT])
    await host.open(lambda: None)
    host.on_start(lab.decide, lambda _: Start.DENY)
    try:
        while True:
            await until(lambda: gated(host), "the gate is in place", 60)
            print(gate_pid(host), flush=True)
            await host.observe()
            await asyncio.sleep(0.2)
    finally:
        await host.close()


class Servant:
    """``service`` in a process."""

    def __init__(self, lab: Lab) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.gate_lab", "--serve", str(lab.place)], stdout=subprocess.PIPE
        )

    def gate(self) -> int:
        """The pid of its gate, when it is in place."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the service ended"
        return int(line)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


async def a_killed_service_opens_nothing(lab: Lab) -> None:
    servant = Servant(lab)
    gate = await asyncio.to_thread(servant.gate)
    assert (await lab.run(lab.place / "good"))[0]
    # What is settled while a host opens is asked about once more when the kernel has proved that it tells (Gating.told).
    await asyncio.sleep(1.5)
    assert (await lab.run(lab.place / "good"))[0]
    servant.kill()
    ran, seconds = await lab.run(lab.place / "game")
    assert not ran
    assert seconds < 4
    ran, seconds = await lab.run(lab.place / "good")
    assert ran, "what was settled stays so"
    assert seconds < 4
    await until(lambda: not _lives(gate), "the gate gives up on its service", 15)
    ran, seconds = await lab.run(lab.place / "game")
    assert ran
    assert seconds < 2


async def the_next_service_takes_over(lab: Lab) -> None:
    servant = Servant(lab)
    old = await asyncio.to_thread(servant.gate)
    servant.kill()
    following = Servant(lab)
    try:
        new = await asyncio.to_thread(following.gate)
        assert new != old
        await until(lambda: not _lives(old), "the old gate makes room", 4)
        assert not (await lab.run(lab.place / "game"))[0]
        assert (await lab.run(lab.place / "good"))[0]
    finally:
        following.kill()


async def survives_a_hundred_kills(lab: Lab) -> None:
    """Service and gate are killed at random moments while a child starts programs as fast as it can."""
    import random

    chance = random.Random(20261125)
    loop = f"""
import os, time
end = time.monotonic() + 300
slow = 0.0
while time.monotonic() < end and not os.path.exists("{lab.out}/stop"):
    for name in ("game", "good", "longgame"):
        before = time.monotonic()
        try:
            pid = os.posix_spawn("{lab.place}/" + name, [name, "30" if name == "longgame" else "/dev/null"], {{}})
        except PermissionError:
            pid = 0
        slow = max(slow, time.monotonic() - before)
        if pid and name != "longgame":
            os.waitpid(pid, 0)
    try:  # those that were ended: thousands that nobody asks after would use up the PC's process numbers
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    open("{lab.out}/slow", "w").write(str(slow))
"""
    lab.program("longgame", "/bin/sleep")
    storm = [await asyncio.to_thread(_start, PYTHON, "-I", "-S", "-c", loop)]
    servant = Servant(lab)
    kills = in_a_row = 0
    try:
        gate = await asyncio.to_thread(servant.gate)
        while kills < 100:
            await asyncio.sleep(chance.random() * 0.4)
            # After the second short-lived gate in a row the service waits for seconds before it starts the next one.
            if chance.random() < 0.3 or in_a_row == 2:
                servant.kill()
                kills, in_a_row = kills + 1, 0
                servant = Servant(lab)
                gate = await asyncio.to_thread(servant.gate)
            elif _lives(gate):
                os.kill(gate, signal.SIGKILL)
                kills, in_a_row = kills + 1, in_a_row + 1
                for _ in range(1000):
                    found = await asyncio.to_thread(servant.gate)
                    if found != gate:
                        break
                gate = found
        (lab.out / "stop").touch()
        await asyncio.wait_for(asyncio.gather(*(asyncio.to_thread(p.wait) for p in storm)), 30)
        slow = float((lab.out / "slow").read_text())
        print(f"{kills} kills, the longest exec {slow:.2f} s")
        assert slow < 5, f"an exec hung for {slow} s"
        await until(lambda: not _running(lab.place / "longgame"), "no refused program is left alive", 30)
        ran, _ = await lab.run(lab.place / "game")
        assert not ran
    finally:
        (lab.out / "stop").touch()
        servant.kill()
        for process in storm:
            process.wait()


# ---- small things ----------------------------------------------------------------------------------------------------


def _start(*words: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(word) for word in words], user=UID, group=UID, extra_groups=[], stdin=subprocess.DEVNULL
    )


def _state(pid: int) -> str:
    stat = procfs.stat(pid)
    return stat.state if stat is not None else ""


def _lives(pid: int) -> bool:
    return _state(pid) not in ("", "Z", "X")


def _running(program: Path) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and procfs.exe(int(name)) == str(program)]


SLOW = (survives_a_hundred_kills,)
SCENARIOS: dict[str, Callable[[Lab], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        denies_before_the_first_instruction,
        is_in_place_when_it_says_so,
        leaves_everybody_else_alone,
        cannot_be_got_around_by_another_name,
        marks_what_is_mounted_later,
        leaves_out_what_may_stall,
        a_stalled_gate_is_replaced,
        a_killed_gate_is_bridged,
        a_service_that_does_not_answer_costs_two_seconds,
        a_new_answer_holds_at_once,
        what_is_settled_costs_nothing,
        a_held_program_waits_before_its_first_instruction,
        an_interpreter_is_judged_once_its_words_are_there,
        a_storm_is_answered,
        without_it_everything_starts,
        a_killed_service_opens_nothing,
        the_next_service_takes_over,
        *SLOW,
    )
}


def main(words: list[str]) -> int:
    if words[0] == "--serve":
        lab = Lab.__new__(Lab)
        lab.place, lab.asked, lab.rule = Path(words[1]), [], None
        asyncio.run(service(lab))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="fairtime-gate-", dir="/var/lib"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=128m", "gatelab", folder], check=True)
    try:
        asyncio.run(SCENARIOS[words[0]](Lab(folder)))
    finally:
        for name in os.listdir("/proc"):
            if name.isdigit() and procfs.owner(int(name)) in (UID, STRANGER):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(name), signal.SIGKILL)
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
