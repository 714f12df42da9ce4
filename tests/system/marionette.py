"""Type addresses into a Firefox without a screen and say what came: run in the container with the system's Python.

``marionette.py URL ...`` prints a JSON object of what came by address.  With ``--each`` the first is opened once for each line that
comes in (``stay``: looked at once more), and a line says what came: ``[seconds of the monotonic clock when it began, what]``.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

EACH, STAY = "--each", "stay"


def main(words: list[str]) -> None:
    urls = [word for word in words if word != EACH]
    profile = tempfile.mkdtemp(prefix="firefox-")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open(f"{profile}/user.js", "w", encoding="ascii") as file:
        file.write(
            f'user_pref("marionette.port", {port});\nuser_pref("datareporting.policy.dataSubmissionEnabled", false);\n'
        )
    with open(os.devnull, "wb") as nothing:
        browser = subprocess.Popen(
            ["firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", profile],
            stdout=nothing,
            stderr=nothing,
        )
    try:
        line = _connect(port)
        _message(line)
        call = _Caller(line)
        call("WebDriver:NewSession", {})
        call("WebDriver:SetTimeouts", {"pageLoad": 8000})
        if EACH in words:
            for typed in sys.stdin:
                what = _shown(call, "") if typed.strip() == STAY else _what(call, urls[0])
                print(json.dumps([time.monotonic(), what]), flush=True)
        else:
            print(json.dumps({url: _what(call, url) for url in urls}))
    finally:
        browser.kill()
        browser.wait()


class _Caller:
    def __init__(self, line: socket.socket) -> None:
        self._line, self._number = line, 0

    def __call__(self, name: str, words: dict[str, object]) -> object:
        self._number += 1
        body = json.dumps([0, self._number, name, words]).encode()
        self._line.sendall(b"%d:%s" % (len(body), body))
        _, _, error, result = _message(self._line)
        return error or result


def _what(call: _Caller, url: str) -> str:
    said = json.dumps(call("WebDriver:Navigate", {"url": url}))
    if "blockedByPolicy" in said:
        return "blocked"
    return _shown(call, said)


def _shown(call: _Caller, said: str) -> str:
    page = json.dumps(call("WebDriver:GetPageSource", {}))
    return "reached" if "REACHED" in page else "page" if "Fairtime" in page else f"else: {said[:300]}"


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _message(line: socket.socket) -> list[object]:
    size = b""
    while (one := line.recv(1)) != b":":
        size += one
    data = b""
    while len(data) < int(size):
        data += line.recv(int(size) - len(data))
    found: list[object] = json.loads(data)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
