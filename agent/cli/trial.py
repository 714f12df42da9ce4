"""``fairtime trial``: the whole of Fairtime on this account for less than a minute, touching nothing of yours.

A real signed policy, the real service in a process of its own, three sample programs (one allowed, one limited, one not
allowed), real notices and the tray where there is a display.  Everything lies in one new folder; only programs from that
folder are seen or stopped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.bundle import bundled
from agent.errors import ConnectionFailed, FairtimeError
from agent.ipc.answers import Status, Text
from agent.ipc.client import Client
from agent.ipc.protocol import GetStatus, GetWhy, Give, Prove
from agent.model.verdict import Notify

PIN = "trial-pin"
LIMIT = 8
"""Seconds that the limited program has."""
PATIENCE = 30.0


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("trial", help="try it: a throw-away family on this account, over within a minute")
    one.add_argument("--stay", action="store_true", help="keep it running until Ctrl+C")
    one.set_defaults(run=_trial)


def _trial(options: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="fairtime-trial-"))
    programs = _sample_programs(folder / "programs")
    _say(f"A trial in {folder}; nothing outside of it is touched.")
    _found(folder, programs)
    running: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "FAIRTIME_SOCKET": str(folder / "service.sock")}
    client = Client(environment["FAIRTIME_SOCKET"])
    try:
        running.append(_service(folder, environment))
        _until("the service answers", lambda: _answers(client), running[0])
        client.watch(lambda _: None, _tell, lambda _: None)
        if _has_display():
            _say("There is a display: look for the tray icon and for notices.")
            running.append(_spawn(["tray"], environment, folder / "tray.log"))
        _story(client, programs, running)
        from agent.cli.summary import save

        page = folder / "summary.html"
        save(client, page, "you")
        if options.stay:
            _say(
                f"It goes on until you press Ctrl+C.  The socket is {environment['FAIRTIME_SOCKET']}; the PIN is {PIN}."
            )
            _wait_for_interrupt()
    finally:
        client.close()
        for process in reversed(running):
            _end(process)
    _say("The trial is over.  This is the summary page:")
    print(page)
    return 0


def _story(client: Client, programs: dict[str, Path], running: list[subprocess.Popen[bytes]]) -> None:
    """What happens: one program runs, one is stopped at once, one when its seconds are over; a guardian gives time."""
    words = _sleeper()[1:]
    started = {name: subprocess.Popen([path, *words], stdout=subprocess.DEVNULL) for name, path in programs.items()}
    running += started.values()
    _until("the program that is not allowed is stopped", lambda: started["arcade"].poll() is not None, running[0])
    _say("arcade is not allowed: it was stopped.")
    answer = client.call(GetWhy(subject=str(programs["arcade"])))
    assert isinstance(answer, Text)
    _say(f"  why: {answer.text}")
    client.call(Prove(pin=PIN))
    client.call(Give(child="you", kind="time", seconds=900, note="Because you tried it."))
    _say(f"puzzle has {LIMIT} seconds.")
    _until("the limited program is stopped", lambda: started["puzzle"].poll() is not None, running[0])
    _say("puzzle's time was up: it was asked to close.")
    if started["homework"].poll() is not None:
        raise FairtimeError("The allowed program was stopped too", "This is a mistake of Fairtime: please report it.")
    _say("homework goes on.")
    status = client.call(GetStatus())
    assert isinstance(status, Status)
    for child in status.children:
        _say(f"Status: {child.sentence}")
    _say(f"This PC is {status.protection}.")
    for note in status.notes:
        _say(f"  ! {note}")


def _found(folder: Path, programs: dict[str, Path]) -> None:
    """A household of one: this account is the child's, and nobody is locked out."""
    import asyncio
    import hashlib

    from agent import platforms
    from agent.cli.accounts import own_account
    from agent.cli.policy import build
    from agent.model.policy import Child, Family, Guardian, Limits, ProgramRule
    from agent.service.founding import found
    from agent.trust import root, signing

    def sha(name: str) -> str:
        return hashlib.sha256(programs[name].read_bytes()).hexdigest()

    limits = Limits(
        windows={},
        budget={"all": "2h"},
        notices=["5s"],
        grace="2s",
        unknown_programs="block",
        programs=[
            ProgramRule(id="homework", sha256=sha("homework"), action="allow"),
            ProgramRule(id="puzzle", sha256=sha("puzzle"), action="allow", budget={"all": f"{LIMIT}s"}),
            ProgramRule(id="arcade", sha256=sha("arcade"), action="block", reason="arcade is for the weekend."),
        ],
    )
    family = Family(
        format=1,
        zone="UTC",
        reset="00:00",
        guardians=[Guardian(name="A guardian", account="fairtime-guardian")],
        others="ignore",  # this PC's other accounts are none of a trial's business
        children=[Child(name="you", accounts=[own_account()], preset="junior", limits=limits)],
    )
    signer, device = signing.new_signer(), signing.new_signer()
    data = signing.sign_policy(build(family, version=1), signer)
    host = platforms.trial_host(folder / "programs", own_account())
    keys = root.make([signer.public_key], [signer], devices=[device.public_key])
    key = signing.pem(device, None)
    asyncio.run(found(folder / "state", host, keys, data, PIN, own_account(), device_key=key))


def _sample_programs(folder: Path) -> dict[str, Path]:
    """Three copies of a program that waits; they differ in a last byte, so that each is a program of its own."""
    content = Path(os.path.realpath(_sleeper()[0])).read_bytes()
    folder.mkdir(mode=0o755)
    found = {}
    for number, name in enumerate(("homework", "puzzle", "arcade")):
        path = found[name] = folder / (f"{name}.exe" if sys.platform == "win32" else name)
        path.write_bytes(content + bytes([number]))
        path.chmod(0o755)
    return found


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _sleeper() -> list[str]:
    """What waits for a minute, and needs neither window nor terminal."""
    name, *words = ["ping", "-n", "60", "127.0.0.1"] if sys.platform == "win32" else ["sleep", "60"]
    path = shutil.which(name)
    if path is None:
        raise FairtimeError(f"This system has no “{name}” to make sample programs of", "Install coreutils.")
    return [path, *words]


def _service(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    arguments = ["service", "run", "--state", str(folder / "state"), "--socket", environment["FAIRTIME_SOCKET"]]
    return _spawn([*arguments, "--only", str(folder / "programs")], environment, folder / "service.log")


def _spawn(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable] if bundled() else [sys.executable, "-m", "agent"]
    with log.open("wb") as file:
        return subprocess.Popen([*command, *arguments], env=environment, stdout=file, stderr=file)


def _answers(client: Client) -> bool:
    try:
        client.call(GetStatus())
    except ConnectionFailed:
        return False
    return True


def _until(what: str, done: Callable[[], bool], service: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        if service.poll() is not None:
            raise FairtimeError(f"The service ended before {what}", "Its log is in the trial's folder: service.log.")
        if time.monotonic() > end:
            raise FairtimeError(
                f"Waited {PATIENCE:.0f} s in vain until {what}", "See service.log in the trial's folder."
            )
        time.sleep(0.1)


def _tell(notice: Notify) -> None:
    _say(f"  notice to {notice.child}: {notice.title}: {notice.text}")


def _say(text: str) -> None:
    print(text, flush=True)


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
