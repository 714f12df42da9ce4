"""What one child's question gets: by the child's plan, from memory or from others.

Nothing here opens, writes or logs anything: it is on the way of every packet.  Without a plan and lists every answer is
SERVFAIL: a child whose rules are not known is not let through.
"""

from __future__ import annotations

import ipaddress
import struct
import sys
from collections.abc import Callable, Mapping
from functools import partial

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.answers is for Linux")

from agent.core.sites import Names, Ruling, SiteMatcher, sentence
from agent.filter import local, private, wire
from agent.filter.cache import KEPT, Cache, Kept, kept
from agent.filter.forward import Asker, Forwarder, Reply
from agent.filter.loop import Loop
from agent.filter.safesearch import SafeSearch
from agent.filter.uses import Tally, Uses
from agent.model.site import SINK, SitePlan

BLOCK_TTL = 2
"""Seconds that "not open" may be remembered: an approval is to work within two."""
TTL = 60
"""Seconds that an allowed answer may: hours end, and guardians change their minds."""
WATCHED_TTL = 30
"""Seconds for what is timed, so that every minute of use is seen."""
LED = 256
"""Hosts of which is known that they lead to what is closed, for the page in their place."""
HOT = KEPT
"""Questions whose answer is kept byte by byte.  Only what came before is: a flood of names of which none comes twice drives
nothing out."""

_SINK = ipaddress.IPv4Address(SINK).packed
_LOOPBACK = {wire.A: b"\x7f\0\0\1", wire.AAAA: bytes(15) + b"\1"}
_COUNTED = (wire.A, wire.AAAA, wire.HTTPS)
_NOT_READY, _FILTERED, _NO_SERVER = 14, 17, 22
"""Extended errors (RFC 8914, 4)."""
_NO_DATA = wire.no_data(BLOCK_TTL)
_BLOCKED = (wire.record(wire.A, BLOCK_TTL, _SINK),)
_BLOCKED_HEAD = {flags: wire.HEADER.pack(0, wire.QR | wire.RA | flags, 1, 1, 0, 0)[2:] for flags in (0, wire.RD)}
_PLAIN = b"\1\0\0\1" + bytes(6)
"""The head of a question, after its number: recursion is desired, one question, and nothing else."""
_PLAIN_END = b"\0\0\1\0\1"
_SHORT = 45
"""Labels are shorter in the names of ``quick``: the length of a longer one could be a letter as well."""
_DOTTED = bytes(46 if 0 < byte < _SHORT else byte for byte in range(256)).lower()
_STRANGE = bytes(
    byte for byte in range(256) if not 0 < byte < _SHORT and _DOTTED[byte] not in wire.ORDINARY.replace(b".", b"")
)
_PLAIN_LONGEST = 12 + wire.LONGEST_NAME - 1
_PLAIN_BLOCKED = _BLOCKED_HEAD[wire.RD]

Send = Callable[[bytes], object]
_HOT_ENTRY = tuple[float, bytes, Tally | None]


class Answers:
    """One child's.  ``hot`` maps a question without its number to ``(until, answer without its number, tally)``."""

    def __init__(self, loop: Loop, forwarder: Forwarder, safe: SafeSearch, child: str) -> None:
        self.uses = Uses(child)
        self.hot: dict[bytes, _HOT_ENTRY] = {}
        self.matcher: SiteMatcher | None = None
        self._loop = loop
        self._forwarder = forwarder
        self._safe = safe
        self._asker = Asker()
        self._cache = Cache()
        self._instead: Mapping[str, str | bytes] = {}
        self._leads: dict[str, tuple[str, ...]] = {}

    def adopt(self, plan: SitePlan, names: Names | None) -> None:
        """Answer by this plan from now on; not at all until there are ``names``."""
        self.matcher = None if names is None else SiteMatcher(plan, names)
        self._instead = self._safe.table(plan)
        self.hot.clear()

    def forget_hot(self) -> None:
        """Look everything up again, without forgetting what others answered."""
        self.hot.clear()

    def ruling(self, host: str) -> Ruling | None:
        """What holds for a host and for where it leads, if that was seen; ``None`` before there are rules."""
        matcher = self.matcher
        return None if matcher is None else matcher.led(matcher.ruling(host), self._leads.get(host, ()))

    def refused(self, host: str) -> bool:
        """Whether a guardian said no to a host for today."""
        return self.matcher is not None and self.matcher.refused(host)

    # ---- a question ----------------------------------------------------------------------------------------------

    def answer(self, data: bytes, send: Send, *, datagram: bool) -> bytes | None:
        """The answer to a packet, or ``None``: there is none, or it goes to ``send`` later."""
        try:
            query = wire.read_query(data)
        except wire.Malformed:
            return None
        except wire.Unanswerable as error:
            return wire.failure(data, error.code)
        found = self._resolve(query, send, data[2:] if datagram else b"")
        return wire.cut(query, found) if datagram and found is not None else found

    def quick(self, data: bytes) -> bytes | None:
        """The answer to the plainest of questions (the address of a name, and nothing about EDNS) when the name is not open;
        ``None`` for everything else.  As ``answer``, in half the time: for the many names of a page that has been shut, and for
        who asks for names by the thousand."""
        if data[2:12] != _PLAIN or data[-5:] != _PLAIN_END:
            return None
        at = 12
        end = len(data) - 5
        dots = -1
        while at < end:
            length = data[at]
            if not 0 < length < _SHORT:
                return None
            at += length + 1
            dots += 1
        name = data[13:end].translate(_DOTTED, _STRANGE)
        if at != end or end > _PLAIN_LONGEST or len(name) != end - 13 or name.count(b".") != dots:
            return None
        host = name.decode("ascii")
        if self.matcher is None or local.is_special(host):
            return None
        ruling = self.matcher.ruling(host)
        if ruling.action == "allow":
            return None
        tally = self.uses.of(host, ruling)
        if tally is not None:
            tally.times += 1
        return data[:2] + _PLAIN_BLOCKED + data[12:] + _BLOCKED[0]

    def _resolve(self, query: wire.Query, send: Send, hot: bytes) -> bytes | None:
        matcher = self.matcher
        if matcher is None:
            return _explained(query, wire.SERVFAIL, _NOT_READY, "The rules for sites are not loaded yet.")
        if query.klass != wire.IN or query.type in (wire.AXFR, wire.IXFR):
            return wire.reply(query, wire.REFUSED)
        host = query.host
        if not query.ordinary:
            return _no_name(query, "This is no host name.")
        here = local.answer(host, query.type)
        if here is not None and here != "network":
            return _local(query, here)
        ruling = matcher.ruling(host)
        if local.is_reverse(host):
            if not matcher.plan.addresses:
                return _no_name(query, "Names of addresses are not open for you.")
        elif ruling.action != "allow":
            if here == "network":
                return _no_name(query, sentence(ruling, host))
            return self._blocked(query, ruling, hot)
        else:
            instead = self._instead.get(host)
            if instead is not None:
                return self._rewritten(query, instead, ruling, send)
        found = self._cache.get(query.key, self._loop.now)
        if found is not None:
            return self._known(query, found, ruling, hot)
        if self._forwarder.ask(query, self._asker, partial(self._arrived, query, send, bool(hot))):
            return None
        return _explained(query, wire.SERVFAIL, _NO_SERVER, "Too many questions wait for an answer.")

    def _blocked(self, query: wire.Query, ruling: Ruling, hot: bytes) -> bytes:
        tally = self._count(query, ruling)
        extra = wire.explained(_FILTERED, sentence(ruling, query.host)) if query.edns else b""
        if not extra and query.type == wire.A and not query.flags & wire.CD:
            reply = query.number + _BLOCKED_HEAD[query.flags & wire.RD] + query.wire + _BLOCKED[0]
        elif query.type == wire.A:
            reply = wire.reply(query, wire.NOERROR, _BLOCKED, extra=extra)
        else:
            reply = wire.reply(query, wire.NOERROR, authority=_NO_DATA, extra=extra)
        if hot and tally is not None and tally.times > 1:
            # Until the plan changes or the minute is over: both empty it.
            self._keep_hot(hot, reply, TTL, tally)
        return reply

    def _count(self, query: wire.Query, ruling: Ruling) -> Tally | None:
        if not ruling.recorded or query.type not in _COUNTED or "." not in query.host:
            return None
        tally = self.uses.of(query.host, ruling)
        if tally is not None:
            tally.times += 1
        return tally

    def _keep_hot(self, key: bytes, reply: bytes, seconds: float, tally: Tally | None) -> None:
        if len(self.hot) >= HOT:
            self.hot.clear()
        self.hot[key] = (self._loop.now + seconds, reply[2:], tally)

    # ---- others' answers -----------------------------------------------------------------------------------------

    def _known(self, query: wire.Query, found: Kept, ruling: Ruling, hot: bytes) -> bytes:
        if found.leads and self.matcher is not None:
            ruling = self.matcher.led(ruling, found.leads)
            if ruling.action != "allow":
                if len(self._leads) >= LED:
                    del self._leads[next(iter(self._leads))]
                self._leads[query.host] = found.leads
                return self._blocked(query, ruling, hot)
        now = self._loop.now
        tally = self._count(query, ruling) if wire.code_of(found.data) == wire.NOERROR else None
        most = WATCHED_TTL if ruling.watched else TTL
        reply = wire.to_asker(query, found.at(now, most))
        if hot and len(reply) <= query.size:
            self._keep_hot(hot, reply, found.same_for(now, most), tally)
        return reply

    def _arrived(self, query: wire.Query, send: Send, datagram: bool, reply: Reply | None) -> None:
        """The answer of others is there, or there will be none."""
        answer = self._judge(query, reply)
        send(wire.cut(query, answer) if datagram else answer)

    def _judge(self, query: wire.Query, reply: Reply | None) -> bytes:
        matcher = self.matcher
        if reply is None or matcher is None:
            return _explained(query, wire.SERVFAIL, _NO_SERVER, "No name server answers.")
        ruling = matcher.ruling(query.host)
        reverse = local.is_reverse(query.host)
        if not reverse and ruling.action != "allow":
            return self._blocked(query, ruling, b"")  # decided while the question was out
        named = bool(ruling.name) and not ruling.group  # by a guardian, who may mean the printer
        may_lead_home = reverse or named or local.answer(query.host, query.type) == "network"
        if not may_lead_home and private.leads_home(reply.data, reply.records):
            text = "Its address is one of the home network, which no public name may have."
            return wire.reply(query, wire.NOERROR, authority=_NO_DATA, extra=wire.explained(_FILTERED, text))
        try:
            leads = () if reverse else wire.leads(reply.data, reply.records)
        except wire.Malformed:
            return _explained(query, wire.SERVFAIL, _FILTERED, "Where it leads cannot be told.")
        self._leads.pop(query.host, None)
        found = kept(reply.data, query.wire, reply.records, self._loop.now, leads)
        self._cache.put(query.key, found)
        return self._known(query, found, ruling, b"")

    # ---- safe search ---------------------------------------------------------------------------------------------

    def _rewritten(self, query: wire.Query, instead: str | bytes, ruling: Ruling, send: Send) -> bytes | None:
        """The address of another server in the place of its own.  All else it has, hints at addresses too, is not there."""
        if query.type not in (wire.A, wire.AAAA):
            return wire.reply(query, wire.NOERROR, authority=_NO_DATA)
        if isinstance(instead, bytes):
            self._count(query, ruling)
            if query.type == wire.A:
                return wire.reply(query, wire.NOERROR, (wire.record(wire.A, TTL, instead),))
            return wire.reply(query, wire.NOERROR, authority=_NO_DATA)
        question = wire.write_question(instead, query.type)
        target = wire.Query(
            b"\0\0", wire.RD, instead, True, query.type, wire.IN, question, False, False, wire.LONGEST_QUERY
        )
        found = self._cache.get(target.key, self._loop.now)
        if found is not None:
            return self._led(query, target, found.data, ruling)
        if self._forwarder.ask(target, self._asker, partial(self._arrived_instead, query, target, send)):
            return None
        return _explained(query, wire.SERVFAIL, _NO_SERVER, "Too many questions wait for an answer.")

    def _arrived_instead(self, query: wire.Query, target: wire.Query, send: Send, reply: Reply | None) -> None:
        matcher = self.matcher
        if reply is None or matcher is None:
            send(_explained(query, wire.SERVFAIL, _NO_SERVER, "No name server answers."))
            return
        ruling = matcher.ruling(query.host)
        if ruling.action != "allow":
            send(self._blocked(query, ruling, b""))
            return
        if private.leads_home(reply.data, reply.records):
            send(_explained(query, wire.SERVFAIL, _FILTERED, "The address of safe search is one of the home network."))
            return
        self._cache.put(target.key, kept(reply.data, target.wire, reply.records, self._loop.now))
        send(self._led(query, target, reply.data, ruling))

    def _led(self, query: wire.Query, target: wire.Query, data: bytes, ruling: Ruling) -> bytes:
        """``query``'s name leads (CNAME) to ``target``'s, which has the addresses in ``data``."""
        if wire.code_of(data) != wire.NOERROR:
            return _explained(query, wire.SERVFAIL, _NO_SERVER, "Safe search has no address now.")
        self._count(query, ruling)
        ttl = WATCHED_TTL if ruling.watched else TTL
        name = target.wire[:-4]
        owner = struct.pack(">H", 0xC000 | (12 + len(query.wire) + 12))  # the name in the CNAME record
        addresses = [
            wire.record(query.type, ttl, data[one.data_at : one.data_at + one.length], owner)
            for one in wire.read_answer(data, target.wire)
            if one.section == 0 and one.type == query.type
        ]
        return wire.reply(query, wire.NOERROR, (wire.record(wire.CNAME, ttl, name), *addresses[:16]))


def _local(query: wire.Query, answer: local.Answer) -> bytes:
    if answer == "no-name":
        return wire.reply(query, wire.NXDOMAIN, authority=_NO_DATA)
    if answer == "loopback" and query.type in _LOOPBACK:
        return wire.reply(query, wire.NOERROR, (wire.record(query.type, TTL, _LOOPBACK[query.type]),))
    return wire.reply(query, wire.NOERROR, authority=_NO_DATA)


def _no_name(query: wire.Query, text: str) -> bytes:
    return wire.reply(query, wire.NXDOMAIN, authority=_NO_DATA, extra=wire.explained(_FILTERED, text))


def _explained(query: wire.Query, code: int, why: int, text: str) -> bytes:
    return wire.reply(query, code, extra=wire.explained(why, text))
