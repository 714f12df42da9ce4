#!/usr/bin/python3
"""A child's own client of the service, written from what is on the wire.  Prints one JSON line."""

import json
import os
import socket
import struct
import sys
import time

PATH = "/run/fairtime/fairtime.sock"


def connect():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(12)
    sock.connect(PATH)
    return sock


def send(sock, number, body):
    data = json.dumps({"id": number, "body": body}).encode()
    sock.sendall(struct.pack(">I", len(data)) + data)


def answer(sock):
    head = b""
    while len(head) < 4:
        more = sock.recv(4 - len(head))
        if not more:
            return None
        head += more
    size = struct.unpack(">I", head)[0] & 0x7FFFFFFF
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return json.loads(data)


def calls(*bodies, via="tray"):
    """Each body's answer; what breaks the protocol ends a connection, so that each has its own."""
    found = []
    for body in bodies:
        sock = connect()
        send(sock, 0, {"type": "hello", "via": via})
        answer(sock)
        send(sock, 1, body)
        found.append(answer(sock))
        sock.close()
    return found


def guardian():
    """Every guardian's act, without the PIN; also about somebody else, and as somebody else."""
    return calls(
        {"type": "give", "child": "leo", "kind": "time", "seconds": 3600},
        {"type": "give", "child": "leo", "kind": "program", "seconds": 3600, "subject": "deb:sl"},
        {"type": "give", "child": "leo", "kind": "pause", "seconds": 3600},
        {"type": "release", "grant": "x"},
        {"type": "answer", "request": "x", "grant": True},
        {"type": "set-pin", "pin": "1234"},
        {"type": "accept-clock"},
        {"type": "delete-history", "child": "leo", "until": "2099-01-01"},
        {"type": "install", "policy": ""},
        {"type": "install", "policy": "QUFB", "more": True},
        {"type": "audit"},
        {"type": "status", "child": "mia"},
        {"type": "week", "child": "mia"},
        {"type": "recorded", "child": "mia"},
        {"type": "hello", "via": "setup", "account": "ana"},
    )


def pins():
    """Guess the PIN twenty times, on as many connections as there are."""
    begun = time.monotonic()
    words = ["123456", "000000", "111111", "258025x", "password", "2580", "ana", "654321"] * 3
    found = [
        calls({"type": "prove", "pin": word, "rescue": number % 2 == 1})[0] for number, word in enumerate(words[:20])
    ]
    return {"answers": found, "seconds": time.monotonic() - begun}


def flood():
    """Connections, halves of frames, noise, endless calls, for ten seconds."""
    end = time.monotonic() + 10
    held, sent = [], 0
    while time.monotonic() < end:
        try:
            sock = connect()
            sock.settimeout(0.2)
            kind = sent % 5
            if kind == 0:
                held.append(sock)  # and say nothing
            elif kind == 1:
                sock.sendall(b"\x00\x00\xff\xff{")  # half of a frame
                held.append(sock)
            elif kind == 2:
                sock.sendall(os.urandom(70000))
            elif kind == 3:
                send(sock, 0, {"type": "hello"})
                for number in range(200):
                    send(sock, number, {"type": "why", "subject": "/usr/bin/" + "x" * 3000})
                held.append(sock)
            else:
                data = b'{"id":1,"body":' + b"[" * 60000
                sock.sendall(struct.pack(">I", len(data)) + data)
            sent += 1
            if len(held) > 400:
                held.pop(0).close()
        except OSError:
            sent += 1
            time.sleep(0.001)
    return {"sent": sent}


if __name__ == "__main__":
    print(json.dumps({"guardian": guardian, "pins": pins, "flood": flood}[sys.argv[1]]()))
