"""Real browsers with nobody in front of them, one process for thousands of addresses.

Chromium over a pipe (``--remote-debugging-pipe``), Firefox over Marionette.  Whoever starts them is in namespaces of its own
with its own policy folders (``netlab``), and nothing they ask for leaves that network.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

if sys.platform != "linux":
    raise ImportError("these browsers are Debian's")

BLOCKED = "net::ERR_BLOCKED_BY_ADMINISTRATOR"
START = 60.0
TABS = 4
DRAWN = 2.0
"""Seconds for a page to be drawn."""


def unable() -> str:
    """Why browsers cannot be tried here; empty when they can."""
    for program in ("chromium", "firefox-esr"):
        if shutil.which(program) is None:
            return f"{program} is not installed (make desktop-packages)"
    return ""


def _as(uid: int, home: Path) -> list[str]:
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, uid, uid)
    home.chmod(0o700)
    return [
        "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "env", "-i", f"HOME={home}", f"TMPDIR={home}",
        "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1",
    ]  # fmt: skip


class Chromium:
    """One Chromium as ``uid``.  Use it with ``with``."""

    def __init__(self, uid: int, home: Path, *options: str) -> None:
        out_read, out = os.pipe()
        into, into_write = os.pipe()
        words = [
            *_as(uid, home), "sh", "-c", f'exec "$@" 3<&{into} 4>&{out}', "sh",
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
            "--disable-background-networking", f"--user-data-dir={home}/chromium", *options, "about:blank",
        ]  # fmt: skip
        self._log = (home / "chromium.log").open("wb")
        self._process = subprocess.Popen(
            words, pass_fds=(into, out), stdout=self._log, stderr=self._log, start_new_session=True
        )
        os.close(into)
        os.close(out)
        self._to = os.fdopen(into_write, "wb", buffering=0)
        self._from = out_read
        self._buffer = b""
        self._number = 0
        self._tabs = [self._tab() for _ in range(TABS)]

    def _tab(self) -> str:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        return str(self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def call(self, method: str, tab: str = "", **words: Any) -> dict[str, Any]:
        number = self._send(method, tab, words)
        while True:
            answered, result = self._answer()
            if answered == number:
                return result

    def _send(self, method: str, tab: str, words: dict[str, Any]) -> int:
        self._number += 1
        body = {"id": self._number, "method": method, "params": words} | ({"sessionId": tab} if tab else {})
        self._to.write(json.dumps(body).encode() + b"\0")
        return self._number

    def _answer(self) -> tuple[int, dict[str, Any]]:
        """The next answer; events are left out."""
        while True:
            message = json.loads(self._next())
            if "id" in message:
                return message["id"], message["result"] if "result" in message else {
                    "error": message["error"]["message"]
                }

    def _next(self) -> bytes:
        while (end := self._buffer.find(b"\0")) < 0:
            piece = os.read(self._from, 1 << 16)
            if not piece:
                raise RuntimeError("Chromium ended: " + Path(self._log.name).read_text(errors="replace")[-2000:])
            self._buffer += piece
        found, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return found

    def verdicts(self, urls: list[str]) -> list[str]:
        """``blocked``, ``open`` or ``invalid`` for each, as it is when the address is typed; some tabs at work at once."""
        found = [""] * len(urls)
        todo = iter(enumerate(urls))
        asked: dict[int, tuple[int, str]] = {}

        def ask(tab: str) -> None:
            for at, url in todo:
                asked[self._send("Page.navigate", tab, {"url": url})] = at, tab
                return

        for tab in self._tabs:
            ask(tab)
        while asked:
            number, result = self._answer()
            at, tab = asked.pop(number)
            found[at] = "invalid" if "error" in result else "blocked" if result.get("errorText") == BLOCKED else "open"
            ask(tab)
        return found

    def picture(self, url: str, width: int = 900, height: int = 620) -> bytes:
        """A PNG of what is shown there, this long after it was asked for."""
        tab = self._tabs[0]
        self.call(
            "Emulation.setDeviceMetricsOverride", tab, width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self.call("Page.navigate", tab, url=url)
        time.sleep(DRAWN)
        return base64.b64decode(self.call("Page.captureScreenshot", tab, format="png")["data"])

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._to.close()
        os.close(self._from)
        _end(self._process)
        self._log.close()


class Firefox:
    """One Firefox as ``uid``.  Use it with ``with``."""

    def __init__(self, uid: int, home: Path, **preferences: object) -> None:
        words = _as(uid, home)
        profile = home / "firefox"
        profile.mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = {
            "marionette.port": port, "datareporting.policy.dataSubmissionEnabled": False, "app.normandy.enabled": False,
            "browser.shell.checkDefaultBrowser": False, "toolkit.telemetry.enabled": False, "services.settings.server": "data:,",
        } | {name.replace("__", "."): value for name, value in preferences.items()}  # fmt: skip
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items())
        (profile / "user.js").write_text("".join(lines))
        os.chown(profile, uid, uid)
        self._log = (home / "firefox.log").open("wb")
        self._process = subprocess.Popen(
            [*words, "firefox-esr", "--headless", "--marionette", "-remote-allow-system-access", "--no-remote", "--profile", str(profile)],
            stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        self._line = self._connect(port)
        self._from = self._line.makefile("rb")
        self._number = 0
        self._message()
        self.call("WebDriver:NewSession")
        self.call("WebDriver:SetTimeouts", pageLoad=5_000, script=60_000)

    def _connect(self, port: int) -> socket.socket:
        deadline = time.monotonic() + START
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.1)

    def call(self, name: str, **words: object) -> Any:
        self._number += 1
        body = json.dumps([0, self._number, name, words]).encode()
        self._line.sendall(b"%d:%s" % (len(body), body))
        _, _, error, result = self._message()
        return {"error": error} if error else result

    def _message(self) -> Any:
        size = b""
        while (one := self._from.read(1)) != b":":
            if not one:
                raise RuntimeError("Firefox ended: " + Path(self._log.name).read_text(errors="replace")[-2000:])
            size += one
        return json.loads(self._from.read(int(size)))

    def inside(self, script: str, *words: object) -> Any:
        """Run JavaScript with the browser's own rights."""
        self.call("Marionette:SetContext", value="chrome")
        found = self.call("WebDriver:ExecuteScript", script=script, args=list(words))
        self.call("Marionette:SetContext", value="content")
        assert "error" not in found, found
        return found["value"]

    def verdicts(self, urls: list[str]) -> list[str]:
        """What its filter says of each, as it is asked before a document is loaded."""
        found: list[str] = self.inside(
            "const { WebsiteFilter } = ChromeUtils.importESModule('resource:///modules/policies/WebsiteFilter.sys.mjs');"
            "return arguments[0].map(url => { try { Services.io.newURI(url); } catch (e) { return 'invalid'; }"
            " return WebsiteFilter.isAllowed(url) ? 'open' : 'blocked'; });", urls,
        )  # fmt: skip
        return found

    def typed(self, urls: list[str]) -> list[str]:
        """As it happens when each address is typed; none with a name and password in it, about which Firefox asks first."""
        return [self._typed(url) for url in urls]

    def _typed(self, url: str) -> str:
        found = self.call("WebDriver:Navigate", url=url)
        said = json.dumps(found)
        return "blocked" if "blockedByPolicy" in said else "invalid" if "malformed" in said.lower() else "open"

    def picture(self, url: str, width: int = 900, height: int = 620) -> bytes:
        """A PNG of what is shown there, this long after it was asked for."""
        self.call("WebDriver:SetWindowRect", width=width, height=height)
        self.call("WebDriver:Navigate", url=url)
        time.sleep(DRAWN)
        return base64.b64decode(self.call("WebDriver:TakeScreenshot", full=False)["value"])

    def __enter__(self) -> Firefox:
        return self

    def __exit__(self, *_: object) -> None:
        self._from.close()
        self._line.close()
        _end(self._process)
        self._log.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.wait(20)
