"""Taking so much of the PC that nothing is left for the service.  One by one: these disturb everybody."""

from __future__ import annotations

import time

from tests.system.box import kill
from tests.system.bypass.attack import Outcome, attack
from tests.system.bypass.lab import SHORT, Lab
from tests.system.bypass.sessions import _play


def _afterwards(lab: Lab, said: str) -> Outcome:
    """Whether the service answers and still denies, soon after."""
    waited = lab.box.fairtime.wait(within=20)
    outcome = lab.play(lab.mia, "$BAG/game")
    return Outcome(outcome.held, f"{said}; the service answers {waited:.1f} s later; a game {outcome.evidence}")


@attack("disk-full", "fill the disk, then play on and have the service restarted", 38, kid=SHORT, alone=True)
def disk_full(lab: Lab) -> Outcome:
    """Without room for the ledger, the minutes that were used must not come back."""
    user = "kid-disk-full"
    line = "fallocate -l 100G ~/full 2>/dev/null; dd if=/dev/zero of=~/full bs=1M 2>/dev/null & fallocate -l 1G ~/f1; dd if=/dev/zero of=~/f2 bs=1M count=4000 2>/dev/null"
    lab.mia.run(line, timeout=40)
    free = lab.box.run("df --output=avail / | tail -1").out.strip()
    try:
        outcome = _play(lab, user, seconds=20)
        lab.box.fairtime.control("restart")
        lab.box.fairtime.wait()
        again = _play(lab, user, seconds=10)
    finally:
        lab.box.run("rm -f /home/mia/f1 /home/mia/f2 /home/mia/full")
    return Outcome(
        outcome.held and again.held and _little(again),
        f"{free} KiB free; {outcome.evidence}; after a restart: {again.evidence}",
    )


def _little(outcome: Outcome) -> bool:
    """After the minutes are used up, next to nothing."""
    words = outcome.evidence.split()
    return "refused" in outcome.evidence or float(words[1]) <= 6


@attack("processes", "fill the process table (a fork bomb), then start the game", 38, alone=True)
def processes(lab: Lab) -> Outcome:
    bomb = lab.mia.spawn("i=0; while [ $i -lt 20000 ]; do sleep 25 & i=$((i+1)); done; wait")
    time.sleep(6)
    count = lab.box.run("ls -d /proc/[0-9]* | wc -l").out.strip()
    outcome = lab.play(lab.mia, "while :; do $BAG/game; done", seconds=8)
    lab.box.run("pkill -9 -u mia -x sleep; pkill -9 -u mia -x sh")
    kill(bomb)
    bomb.communicate()
    _renew(lab)
    after = _afterwards(lab, f"{count or 'too many'} processes")
    return Outcome(outcome.held and after.held, f"{after.evidence}; meanwhile a game {outcome.evidence}")


@attack("watches", "exhaust inotify and fanotify groups, and descriptors", 38, alone=True)
def watches(lab: Lab) -> Outcome:
    line = (
        "import ctypes, os, time\nlibc = ctypes.CDLL(None)\nn = 0\n"
        "while libc.inotify_init1(0) >= 0: n += 1\nm = 0\n"
        "while libc.fanotify_init(0x200, 0) >= 0: m += 1\n"
        "print(n, m, flush=True)\nfds = []\n"
        "try:\n    while True: fds.append(os.pipe())\nexcept OSError: pass\ntime.sleep(12)\n"
    )
    hog = lab.leo.spawn(["python3", "-c", line])
    time.sleep(2)
    lab.box.fairtime.control("restart")
    outcome = _afterwards(lab, "all of leo's groups and descriptors taken, service restarted meanwhile")
    lab.box.run("pkill -9 -u leo python3")
    hog.communicate()
    return outcome


@attack("memory", "use up the memory until the kernel kills something", 38, alone=True)
def memory(lab: Lab) -> Outcome:
    before = lab.box.fairtime.pid
    line = "python3 -c 'import os\nfor _ in range(4):\n    os.fork()\nb=[]\nwhile True: b.append(bytearray(8<<20))'"
    hog = lab.leo.spawn(line)
    time.sleep(12)
    outcome = lab.play(lab.mia, "$BAG/game")
    lab.box.run("pkill -9 -u leo python3", timeout=30)
    hog.communicate()
    same = lab.box.fairtime.pid == before
    _renew(lab)
    after = _afterwards(lab, f"the service {'lived on' if same else 'was started again'}")
    return Outcome(outcome.held and after.held, f"{after.evidence}; meanwhile a game {outcome.evidence}")


@attack(
    "processor", "sixty busy programs and a storm of two thousand starts, and the game among them", 4, 38, alone=True
)
def processor(lab: Lab) -> Outcome:
    line = (
        "i=0; while [ $i -lt 60 ]; do (while :; do :; done) & i=$((i+1)); done; "
        "(i=0; while [ $i -lt 2000 ]; do /bin/true; i=$((i+1)); done) & $BAG/game & $BAG/game-static & sleep 60"
    )
    outcome = lab.play(lab.mia, line, seconds=10)
    lab.box.run("pkill -9 -u mia -x sh")
    _renew(lab)
    after = _afterwards(lab, "sixty busy programs")
    return Outcome(outcome.held and after.held, f"{after.evidence}; meanwhile a game {outcome.evidence}")


@attack(
    "service-killed",
    "the service dies (kill −9, as the kernel would when memory is short)",
    4,
    38,
    kid=SHORT,
    alone=True,
)
def service_killed(lab: Lab) -> Outcome:
    """Not by the child, who may not: by whatever else ends it.  Minutes go on being counted, and games stay out."""
    user = "kid-service-killed"
    life = lab.life(user)
    session = lab.enter(user)
    lab.background(session, "exec $BAG/game 60", {"LIFE": life, "BAG": f"/home/{user}/bag"})
    time.sleep(5)
    killed = lab.box.run(f"kill -9 {lab.box.fairtime.pid}").ok
    blocked = lab.play(lab.mia, "$BAG/game; sleep 1; $BAG/game")
    time.sleep(12)
    outcome = lab.in_time(life, f"killed: {killed}; a blocked game {blocked.evidence}")
    lab.sweep(life)
    session.end()
    lab.box.fairtime.wait()
    return Outcome(outcome.held and blocked.held and killed, outcome.evidence)


def _renew(lab: Lab) -> None:
    """Sessions that the flood or its end took with it."""
    if not lab.mia.alive:
        lab.mia.end()
        lab.mia = lab.box.session("mia", "x11")
    if not lab.leo.alive:
        lab.leo.end()
        lab.leo = lab.box.session("leo", "wayland")
