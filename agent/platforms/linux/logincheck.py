#!/usr/bin/python3 -IS
"""Ask the service whether an account may begin a session, or open its locked screen, now: pam_exec(8), type account.

Installed as /usr/libexec/fairtime/login-check.  It stands alone: nothing of Fairtime is imported, so that it starts in a few
hundredths of a second and runs however broken the rest is.  It reads, and changes nothing.

Exit status 0: yes.  1: no, and standard output says why; PAM shows it.  The PAM stack runs this for members of one group
only (installer/linux/pam), so that no fault in here can keep a guardian out.
"""

import json
import os
import socket
import struct
import sys
import time

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("PAM is asked on Linux")

SOCKET = "/run/fairtime/fairtime.sock"
FOUNDED = "/var/lib/fairtime/root.json"
"""Where a household begins (agent.service.policies)."""
VERSION = 1
"""agent.ipc.protocol.VERSION"""
MAX_FRAME = 64 * 1024
PATIENCE = 6.0
"""Seconds to wait for a service that does not answer: systemd starts it again within one, and it needs another."""
ATTEMPT = 3.0
PAUSE = 0.2
BECOMING = ("su", "su-l", "runuser", "runuser-l")
"""PAM services that let somebody who is logged in become another account, and name who it is in PAM_RUSER."""
NO_ANSWER = (
    "Fairtime does not answer, so it cannot tell whether there is time left. Try again in a minute. "
    "If that does not help, a guardian can log in and start it again: sudo systemctl restart fairtime"
)


class Silent(Exception):
    """The service did not answer, or not in a way that can be understood."""


def main(environment: dict[str, str]) -> tuple[bool, str]:
    """Whether PAM_USER may come in, and what to tell it if not."""
    user = environment.get("PAM_USER", "")
    if user in ("", "root"):
        return True, ""
    if environment.get("PAM_SERVICE") in BECOMING and environment.get("PAM_RUSER") == "root":
        return True, ""  # an administrator at work in the child's account
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(user, min(ATTEMPT, max(0.1, deadline - time.monotonic())))
        except (OSError, ValueError, KeyError, TypeError, Silent):
            if nothing_founded():
                return True, ""
            if time.monotonic() + PAUSE >= deadline:
                return False, NO_ANSWER
            time.sleep(PAUSE)


def ask(user: str, patience: float) -> tuple[bool, str]:
    """One try."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(patience)
        line.connect(SOCKET)
        _, uid, _ = struct.unpack("iII", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != 0:
            raise Silent("somebody else answers")
        call(line, 1, {"type": "hello", "version": VERSION, "via": "cli"})
        result = call(line, 2, {"type": "login", "account": user})
        if result["type"] != "entrance":
            raise Silent("an answer to something else")
        return bool(result["allowed"]), str(result.get("sentence", ""))


def call(line: socket.socket, number: int, body: dict[str, object]) -> dict[str, object]:
    """Send one call; its result."""
    data = json.dumps({"id": number, "body": body}).encode()
    line.sendall(struct.pack(">I", len(data)) + data)
    (size,) = struct.unpack(">I", exactly(line, 4))
    if size > MAX_FRAME:
        raise Silent("an answer that is too long")
    message = json.loads(exactly(line, size))
    if message["type"] != "reply" or message["id"] != number:
        raise Silent(str(message.get("title", "no reply")))
    result = message["result"]
    if not isinstance(result, dict):
        raise Silent("no result")
    return result


def exactly(line: socket.socket, size: int) -> bytes:
    """The next ``size`` bytes."""
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise Silent("the service hung up")
        data += part
    return data


def nothing_founded() -> bool:
    """Whether no household was ever founded here.  Who may not look (a screen locker of the child's) does not know."""
    try:
        os.stat(FOUNDED)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


if __name__ == "__main__":
    allowed, sentence = main(dict(os.environ))
    if sentence:
        sys.stdout.buffer.write(sentence.encode() + b"\n")
        sys.stdout.buffer.flush()
    sys.exit(0 if allowed else 1)
