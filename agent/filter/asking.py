"""HTTP for the blocked page: which page was wanted, and a child's wish passed on.

A wish needs a token from a page that we made for the same host: a page elsewhere can send a form here, but cannot read what we
answer.  Everything is small: 8 KiB of request, one question for a host at a time, a few in a minute.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.asking is for Linux")

from agent.core.hosts import canonical, is_address
from agent.core.sites import Ruling
from agent.errors import PolicyError
from agent.filter.control import MAX_ASK_WAIT
from agent.filter.loop import Loop
from agent.filter.page import Languages, Outcome, headers, page
from agent.filter.streams import Connection
from agent.model.site import SINK

LONGEST = 8 * 1024
"""Bytes of a request."""
TOKENS = 256
"""Pages of one child from which may be asked; older ones are stale."""
ASKS, ASKS_IN = 6, 60.0
"""Questions of one child in so many seconds."""
WAITING = 4
"""Questions of one child that wait for the service."""

KEPT = 60.0
"""Seconds that Chromium keeps an address (host_resolver_manager.cc, kCacheEntryTTL): one for http, another for https."""
WAIT, SOON = "3", "1"
"""Seconds after which a browser that comes here for what is open loads the page again: Chromium, and those that keep no address
for long."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
}

_PATH = re.compile(r"/[!-~]*")
_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")

AskOf = Callable[[str, Callable[[Outcome], None]], None]
"""Passes a question for a host on; what it is given is called with what became of it."""


class Desk:
    """What one child's pages share."""

    def __init__(
        self,
        loop: Loop,
        languages: Languages,
        rule: Callable[[str], Ruling | None],
        refused: Callable[[str], bool],
        ask: AskOf,
    ) -> None:
        self.languages = languages
        self.rule = rule
        self.refused = refused
        self._loop = loop
        self._ask = ask
        self._tokens: dict[str, str] = {}
        self._lately: list[float] = []
        self._waiting: dict[str, int] = {}
        """Host → which question for it, so that one that came to nothing does not end the next."""
        self._asked = 0
        self._sent: dict[str, float] = {}

    def again(self, host: str, path: str, browser: str) -> str:
        """How a ``browser`` that came for an open ``host`` with the address that it had here gets there (the header Refresh).

        Chromium at once over https, where it has to ask for the name once more, and nearly every site is; but once in the time
        that it keeps an address, because if it comes back it has found nobody there and can only wait."""
        if "Chrome/" not in browser:
            return SOON
        now = self._loop.now
        sent = self._sent.pop(host, None)
        if sent is not None and now - sent < KEPT:
            self._sent[host] = sent
            return WAIT
        if len(self._sent) >= TOKENS:
            del self._sent[next(iter(self._sent))]
        self._sent[host] = now
        return f"0; url=https://{host}{path if _PATH.fullmatch(path) else '/'}"

    def token(self, host: str) -> str:
        """A new token to ask for ``host`` with."""
        if len(self._tokens) >= TOKENS:
            del self._tokens[next(iter(self._tokens))]
        made = os.urandom(16).hex()
        self._tokens[made] = host
        return made

    def ask(self, host: str, token: str, said: Callable[[Outcome], None]) -> None:
        """Ask for ``host``; a token works once."""
        now = self._loop.now
        self._lately = [at for at in self._lately if now - at < ASKS_IN]
        if self._tokens.get(token) != host:
            said("stale")
        elif host in self._waiting:
            said("already")
        elif len(self._lately) >= ASKS or len(self._waiting) >= WAITING:
            said("too-many")
        else:
            del self._tokens[token]
            self._lately.append(now)
            self._asked += 1
            self._waiting[host] = self._asked
            once = partial(self._answer, host, self._asked, said)
            self._ask(host, once)
            self._loop.later(MAX_ASK_WAIT, lambda: once("silent"))

    def _answer(self, host: str, number: int, said: Callable[[Outcome], None], outcome: Outcome) -> None:
        if self._waiting.get(host) == number:
            del self._waiting[host]
            said(outcome)


class Visit(Connection):
    """One request, one answer, and the connection is closed."""

    def __init__(self, loop: Loop, end: socket.socket, desk: Desk) -> None:
        super().__init__(loop, end)
        self._desk = desk
        self._in = bytearray()
        self._done = False

    def heard(self, data: bytes) -> None:
        if self._done:
            return
        self._in += data
        head, found, body = bytes(self._in).partition(b"\r\n\r\n")
        if not found:
            if len(self._in) > LONGEST:
                self._refuse(431)
            return
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        fields = _fields(lines[1:])
        if len(words) != 3 or not words[2].startswith("HTTP/1.") or fields is None:
            self._refuse(400)
            return
        method = words[0]
        size = fields.get("content-length", "0")
        if method not in ("GET", "HEAD", "POST"):
            self._refuse(405)
        elif (
            not size.isascii()
            or not size.isdigit()
            or "transfer-encoding" in fields
            or len(size) > 4
            or int(size) > 1024
        ):
            self._refuse(400)
        elif len(body) >= int(size):
            self._done = True
            self._answer(method, words[1], fields, body[: int(size)].decode("latin-1"))

    def _answer(self, method: str, target: str, fields: Mapping[str, str], body: str) -> None:
        door = _host(fields.get("host", ""))
        # Where a browser's own rules closed a site, nobody came here by its name: the page's own address has a field for it.
        host = door
        if door == SINK:
            host = _host(_field("site", body if method == "POST" else target.partition("?")[2]))
            host = "" if is_address(host) else host
        if "text/html" not in fields.get("accept", "text/html") and fields.get("accept") != "*/*":
            self._say(403, {}, b"", method)  # a picture or a script of another page: nobody would see our words
            return
        ruling = self._desk.rule(host) if host else None
        show = partial(self._show, method, fields, door, host, target)
        if ruling is not None and ruling.action != "allow" and self._desk.refused(host):
            show("no")
        elif method == "POST" and ruling is not None and ruling.action != "allow":
            token = _field("token", body)
            # Browsers say where a form was sent from; the token alone would do for those that do not.
            if fields.get("sec-fetch-site", "same-origin") != "same-origin" or not _same(fields, door):
                token = ""
            self._desk.ask(host, token, show)
        else:
            show(None)

    def _show(
        self, method: str, asked: Mapping[str, str], door: str, host: str, target: str, outcome: Outcome | None
    ) -> None:
        ruling = self._desk.rule(host) if host else None
        reader = self._desk.languages.reader(asked.get("accept-language", ""))
        nonce = os.urandom(12).hex()
        asks = ruling is not None and ruling.action != "allow" and outcome != "no"
        token = self._desk.token(host) if asks else ""
        body = page(reader, host, ruling, token=token, nonce=nonce, outcome=outcome, own=door == SINK)
        fields = dict(headers(reader, nonce))
        if ruling is not None and ruling.action == "allow" and door != SINK:
            fields["Refresh"] = self._desk.again(host, target, asked.get("user-agent", ""))
        self._say(200 if method == "POST" else 403, fields, body, method)

    def _refuse(self, code: int) -> None:
        self._done = True
        self._say(code, {}, b"", "GET")

    def _say(self, code: int, fields: Mapping[str, str], body: bytes, method: str) -> None:
        lines = [f"HTTP/1.1 {code} {_REASONS[code]}", *(f"{name}: {value}" for name, value in fields.items())]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + (b"" if method == "HEAD" else body), last=True)


def _fields(lines: list[str]) -> dict[str, str] | None:
    """Header fields by lower-case name; ``None`` when a line is none, or one that may stand once stands twice."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or (name in fields and name in ("host", "content-length")):
            return None
        fields[name] = value.strip()
    return fields


def _host(text: str) -> str:
    """The host in it; empty when there is none.

    Letters beyond ASCII are left out: browsers send A-labels, and the tables for others are not to be had in here any more.
    """
    if not text.isascii() or "%" in text:
        return ""
    try:
        return canonical(text)
    except PolicyError:
        return ""


def _field(name: str, form: str) -> str:
    """A field of a form, as browsers send it (application/x-www-form-urlencoded); empty when there is none."""
    for pair in form.split("&"):
        key, _, value = pair.partition("=")
        if key == name:
            data = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), value.replace("+", " ").encode("latin-1"))
            return data.decode("utf-8", "replace")
    return ""


def _same(fields: Mapping[str, str], host: str) -> bool:
    """Whether the form came from a page of the same host, as far as the browser says."""
    origin = fields.get("origin")
    return origin is None or _host(origin) == host
