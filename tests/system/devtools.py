"""Open addresses one after the other in one Chromium without a screen and say what came: run in the container with the
system's Python, as ``devtools.py URLS [OPTION ...]``, the addresses as a list in JSON; with ``--each`` the first of them is
opened once for each line that comes in (``stay``: looked at once more).

It is steered over its debugging pipe (``--remote-debugging-pipe``: JSON with a zero byte behind it on descriptors 3 and 4),
so that no port is open and no library is needed.  Prints one line: a JSON object of texts by address; with ``--each`` a line
for each time, ``[seconds of the monotonic clock when it began, text]``.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

START, PAGE = 60.0, 12.0
"""Seconds for the browser to answer, and for a page to come."""
EACH, STAY = "--each", "stay"
TEXT = "document.title + ' ' + (document.body ? document.body.innerText : '') + ' ' + location.href"


def main(urls: list[str], words: list[str]) -> None:
    options = [word for word in words if word != EACH]
    profile = tempfile.mkdtemp(prefix="chromium-")
    to_read, our_write = (_above(end) for end in os.pipe())
    our_read, to_write = (_above(end) for end in os.pipe())
    os.dup2(to_read, 3)
    os.dup2(to_write, 4)
    own = [] if any(one.startswith("--user-data-dir") for one in options) else [f"--user-data-dir={profile}"]
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
        "--remote-debugging-pipe", *own, *options, "about:blank",
    ]  # fmt: skip
    with open(os.devnull, "wb") as nothing:
        browser = subprocess.Popen(
            command, stdout=nothing, stderr=nothing, pass_fds=[3, 4], start_new_session=True,
        )  # fmt: skip
    for end in (to_read, to_write, 3, 4):
        os.close(end)
    try:
        pages = Pages(Line(our_read, our_write))
        if EACH in words:
            pages.each(urls[0])
        else:
            print(json.dumps(pages.look(urls)))
    finally:
        os.killpg(browser.pid, 9)
        browser.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _above(end: int) -> int:
    """The same descriptor under a number that the browser does not want."""
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    return moved


class Line:
    """Calls and events, each whole."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, object]] = []

    def call(self, method: str, within: float = PAGE, session: str = "", **words: object) -> dict[str, object]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": words, **({"sessionId": session} if session else {})}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + within
        while (found := self.message(deadline)) is not None:
            if found.get("id") == self._number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                result = found["result"]
                assert isinstance(result, dict)
                return result
            self.events.append(found)
        raise TimeoutError(f"{method}: no answer within {within} s")

    def message(self, deadline: float) -> dict[str, object] | None:
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                return None
            piece = os.read(self._read, 1 << 16)
            if not piece:
                raise ConnectionError("the browser has ended")
            self._rest += piece
        one, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, object] = json.loads(one)
        return found


class Pages:
    """One tab."""

    def __init__(self, line: Line) -> None:
        self._line = line
        tab = line.call("Target.createTarget", START, url="about:blank")["targetId"]
        self._session = str(line.call("Target.attachToTarget", START, targetId=tab, flatten=True)["sessionId"])
        self._call("Page.enable")

    def look(self, urls: list[str]) -> dict[str, str]:
        return {url: self._one(url) for url in urls}

    def each(self, url: str) -> None:
        for line in sys.stdin:
            print(json.dumps([time.monotonic(), self._shown() if line.strip() == STAY else self._one(url)]), flush=True)

    def _one(self, url: str) -> str:
        """What is on the page, after the word for a navigation that failed."""
        self._line.events.clear()
        try:
            failed = str(self._call("Page.navigate", url=url).get("errorText", ""))
        except TimeoutError as late:
            self._call("Page.stopLoading")
            return str(late)
        deadline = time.monotonic() + PAGE
        while not any(event.get("method") == "Page.loadEventFired" for event in self._line.events):
            event = self._line.message(deadline)
            if event is None:
                break
            self._line.events.append(event)
        return f"{failed} {self._shown()}"

    def _shown(self) -> str:
        shown = self._call("Runtime.evaluate", expression=TEXT, returnByValue=True)
        result = shown["result"]
        assert isinstance(result, dict)
        return str(result.get("value", ""))

    def _call(self, method: str, **words: object) -> dict[str, object]:
        return self._line.call(method, session=self._session, **words)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
