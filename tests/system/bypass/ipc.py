"""The socket, the tray and the PIN.  leo's account: there a program of one's own may run."""

from __future__ import annotations

import json
import time

from tests.system.bypass.attack import Outcome, attack
from tests.system.bypass.lab import SHORT, Lab
from tests.system.bypass.sessions import _play


@attack("guardian-acts", "every guardian's act over the socket, without the PIN, as a tray that is none", 36, 39)
def guardian_acts(lab: Lab) -> Outcome:
    before = lab.box.fairtime.status("leo")["children"][0]["grants"]
    done = lab.leo.run("python3 ~/bag/rogue.py guardian", timeout=40)
    answers = json.loads(done.check().out)
    # The last one breaks the protocol, and its connection ends.
    given = [one for one in answers if one is not None and "code" not in one]
    same = lab.box.fairtime.status("leo")["children"][0]["grants"] == before
    return Outcome(
        not given and same and len(answers) > 10,
        f"{len(answers)} acts, {len(given)} done, first: {answers[0]['title']}",
    )


@attack("pin-guess", "guess the PIN and the paper code", 19)
def pin_guess(lab: Lab) -> Outcome:
    found = json.loads(lab.leo.run("python3 ~/bag/rogue.py pins", timeout=120).check().out)
    answers = found["answers"]
    waits = [one.get("retry_after") or 0 for one in answers]
    opened = [one for one in answers if "code" not in one]
    audited = "wrong-pin" in lab.box.run("fairtime audit show").out
    return Outcome(not opened and max(waits) > 0 and audited,
                   f"20 tries, {len(opened)} opened, last wait {max(waits):.0f} s, {'' if audited else 'not '}in the audit")  # fmt: skip


@attack("open-guardian", "the guardian's rights of another connection, after the PIN was proved there", 18)
def open_guardian(lab: Lab) -> Outcome:
    """Rights belong to one connection: whoever proves the PIN for one act leaves nothing open behind it."""
    proved = lab.box.fairtime.guardian("grant", "+1m", "--child", "leo").check()
    answers = json.loads(lab.leo.run("python3 ~/bag/rogue.py guardian", timeout=40).check().out)
    given = [one for one in answers if one is not None and "code" not in one]
    return Outcome(not given, f"proved: {proved.out.strip()[:50]}; afterwards {len(given)} of {len(answers)} acts done")


@attack("socket-flood", "flood the socket: connections, half frames, noise, calls without end", 39, alone=True)
def socket_flood(lab: Lab) -> Outcome:
    doors = [lab.leo.spawn("python3 ~/bag/rogue.py flood") for _ in range(3)]
    time.sleep(1)
    # One that the gate denies, and one that only a look at what runs can find.
    denied = lab.play(lab.mia, "$BAG/game", seconds=2)
    found = lab.play(lab.mia, "sh $BAG/game.sh", seconds=4)
    slowest, failed = 0.0, 0
    for _ in range(6):
        begun = time.monotonic()
        failed += not lab.box.run("fairtime status --json --child mia", timeout=20).ok
        slowest = max(slowest, time.monotonic() - begun)
    sent = sum(json.loads(door.communicate(timeout=40)[0] or b'{"sent": 0}')["sent"] for door in doors)
    held = failed == 0 and slowest < 8 and denied.held and found.held
    return Outcome(
        held,
        f"{sent} connections; a guardian waited {slowest:.1f} s at most, {failed} refused; a game {denied.evidence}; a script {found.evidence}",
    )


@attack("socket-place", "put another socket in the service's place, or another service before the child's tray", 39)
def socket_place(lab: Lab) -> Outcome:
    line = (
        "rm -f /run/fairtime/fairtime.sock; mv /run/fairtime /run/x; ln -sf /tmp/s /run/fairtime/fairtime.sock; "
        "python3 -c 'import socket; s=socket.socket(socket.AF_UNIX); s.bind(\"/run/fairtime/fairtime.sock\")'"
    )
    done = lab.leo.run(line)
    answers = lab.box.run("fairtime status --json --child leo").ok
    fake = lab.leo.run(
        'rm -f /tmp/leo.sock; python3 -c \'import socket,time; s=socket.socket(socket.AF_UNIX); s.bind("/tmp/leo.sock"); s.listen(); '
        "time.sleep(8)' & sleep 1; FAIRTIME_SOCKET=/tmp/leo.sock timeout 6 fairtime status"
    )
    return Outcome(
        not done.ok and answers and not fake.ok, f"{done.err.strip()[-60:]}; a guardian's look answers: {answers}"
    )


@attack(
    "fake-tray",
    "kill the tray, put a fake one in its place that swallows every notice, hide the autostart entry",
    5,
    36,
    39,
    kid=SHORT,
)
def fake_tray(lab: Lab) -> Outcome:
    """The tray has no authority: with none, and with a false one, the minutes end as they would."""
    line = (
        "mkdir -p ~/.config/autostart; printf '[Desktop Entry]\\nType=Application\\nName=x\\nHidden=true\\n' "
        ">~/.config/autostart/fairtime-tray.desktop; pkill -9 -u $(id -u) -f '[f]airtime tray'; "
        "(python3 - <<'EOF' &\nimport json,socket,struct\ns=socket.socket(socket.AF_UNIX)\ns.connect('/run/fairtime/fairtime.sock')\n"
        "for n,b in enumerate(({'type':'hello','via':'tray'},{'type':'subscribe'})):\n"
        "    d=json.dumps({'id':n,'body':b}).encode(); s.sendall(struct.pack('>I',len(d))+d)\n"
        "while s.recv(65536): pass\nEOF\n)"
    )
    return _play(lab, "kid-fake-tray", line)


@attack(
    "ptrace", "ptrace and read what runs as the service, steer one's own tray and client with a debugger's calls", 4, 39
)
def ptrace(lab: Lab) -> Outcome:
    line = (
        "import ctypes, sys\nlibc = ctypes.CDLL(None, use_errno=True)\nfound = []\n"
        "for pid in map(int, sys.argv[1:]):\n"
        "    found.append(libc.ptrace(16, pid, 0, 0) != 0)\n"
        "    for name in ('mem', 'environ', 'exe', 'root', 'cwd', 'map_files'):\n"
        "        try:\n            (open(f'/proc/{pid}/{name}', 'rb').read(1) if name in ('mem', 'environ') else __import__('os').stat(f'/proc/{pid}/{name}/.'))\n"
        "            found.append(False)\n        except OSError:\n            found.append(True)\n"
        "    found.append(libc.process_vm_readv(pid, None, 0, None, 0, 0) <= 0)\n"
        "print(found)\nsys.exit(0 if all(found) else 1)\n"
    )
    pids = lab.box.run(["pgrep", "-d", " ", "-f", "fairtime service run"]).out.split()
    done = lab.leo.run(["python3", "-c", line, *pids])
    # One's own client may be steered at will; what it may ask is what any client of leo's may ask.
    steered = json.loads(lab.leo.run("python3 ~/bag/rogue.py guardian", timeout=40).check().out)
    given = [one for one in steered if one is not None and "code" not in one]
    return Outcome(
        done.ok and bool(pids) and not given,
        f"service's processes {pids}: {done.out.strip()[:60]}; acts through an own client: {len(given)}",
    )


@attack("more-time", "one more minute, and another: ask again and again, answer oneself", 36)
def more_time(lab: Lab) -> Outcome:
    before = lab.box.fairtime.status("leo")["children"][0]["grants"]
    done = lab.leo.run(
        "for i in 1 2 3 4 5 6; do fairtime request +30m 2>&1; fairtime request time +30m 2>&1; done; fairtime request list",
        timeout=60,
    )
    granted = lab.leo.run("echo 1234 | fairtime grant +30m --child leo")
    same = lab.box.fairtime.status("leo")["children"][0]["grants"] == before
    return Outcome(
        same and not granted.ok, f"{granted.err.strip()[:80]}; {len(done.out.splitlines())} lines of answers, no grant"
    )


@attack("dbus-spoof", "a name on the system bus that says it is logind, or Fairtime", 39)
def dbus_spoof(lab: Lab) -> Outcome:
    line = "busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su org.freedesktop.login1 4"
    done = lab.leo.run(line)
    return Outcome(not done.ok, done.err.strip()[:100])
