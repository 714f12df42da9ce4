"""A guardian's acts: each is checked, done, entered in the audit with who and from where, and told to the child."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.clock import SECOND, Millis
from agent.core.authorize import RIGHTS_LAST
from agent.core.learning import SHORTEST
from agent.core.learning import said as learning_said
from agent.core.saying import own, say
from agent.core.telling import tell
from agent.errors import NotFound, ProtocolError, Refused
from agent.ipc.answers import Done, Result, Rights
from agent.ipc.protocol import (
    PIECE,
    AcceptClock,
    AcceptList,
    Answer,
    Body,
    DeleteHistory,
    GetLists,
    Give,
    Install,
    Learn,
    Prove,
    PutList,
    Release,
    RemoveList,
    SetPin,
    TrustPublisher,
)
from agent.ipc.server import Connection
from agent.model.grant import Grant, Request
from agent.model.site import Said
from agent.service.audit import Audit
from agent.service.guardian import Guardian, WrongSecret
from agent.service.learner import done_words
from agent.service.listacts import ListActs
from agent.service.loop import Loop
from agent.service.policies import InForce, PolicyStore
from agent.service.seals import Seals
from agent.service.store import Store
from agent.service.wishes import Wish, Wishes
from agent.trust.envelope import MAX_ENVELOPE

_TIME = {True: Said("{time} more today."), False: Said("{time} fewer today.")}
_ANSWERED = {True: Said("{child}'s request is granted."), False: Said("{child}'s request is refused.")}
_ENDED = {
    "time": Said("{child}: the extra time is taken back."),
    "program": Said("{child}: the yes to the program is taken back."),
    "site": Said("{child}: the yes to the site is taken back."),
    "pause": Said("{child}: the pause has ended."),
    "lock": Said("{child}: the lock has ended."),
    "refusal": Said("{child}: the no is taken back."),
    "site-refusal": Said("{child}: the no is taken back."),
}
MOST_PIECES = 2 * MAX_ENVELOPE // PIECE
"""Of one policy; base64 makes four characters of three bytes."""


@dataclass(slots=True)
class Acts:
    """Does what a guardian asks; ``wall`` is trusted time, ``installed`` puts a new policy in force."""

    loop: Loop
    store: Store
    audit: Audit
    guardian: Guardian
    policies: PolicyStore
    seals: Seals
    wall: Callable[[], Millis]
    installed: Callable[[InForce], Awaitable[None]]
    lists: ListActs
    _giving: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One grant at a time: each is signed by a job, and what is given must not pass a ceiling meanwhile."""
    _wishes: Wishes = field(init=False)

    def __post_init__(self) -> None:
        self._wishes = Wishes(self.loop, self.store, self.wall)

    async def act(self, connection: Connection, body: Body) -> Result:
        """Do it; the server has ruled that this caller may."""
        match body:
            case Prove():
                return await self._prove(connection, body)
            case Give():
                async with self._giving:
                    return await self._give(connection, body)
            case Learn():
                return self._learn(connection, body)
            case Release():
                return self._release(connection, body)
            case Answer():
                async with self._giving:
                    return await self._answer(connection, body)
            case SetPin():
                await self.guardian.set_pin(body.pin)
                self._note(connection, "set-pin")
                return Done(sentence="The new PIN holds from now on.")
            case AcceptClock():
                self.loop.engine.confirm_clock(self.loop.host.clock.now())
                self._note(connection, "accept-clock")
                self.loop.wake()
                return Done(sentence="Limits go by the PC's clock again.")
            case Install():
                return await self._install(connection, body)
            case DeleteHistory():
                self._known(body.child)
                self.store.delete_history(body.child, body.until)
                self.loop.learner.forget(body.child)
                self.loop.save_learning()
                self._note(connection, "delete-history", body.child, f"until {body.until}")
                return Done(sentence=f"What was recorded of {body.child} until {body.until} is deleted.")
            case GetLists() | PutList() | AcceptList() | RemoveList() | TrustPublisher():
                return await self.lists.act(connection, body)
        raise ProtocolError("The service does not know this call", "Use the same version of Fairtime on both sides.")

    async def _prove(self, connection: Connection, body: Prove) -> Rights:
        now = self.loop.host.clock.now()
        account = connection.peer.account
        try:
            await self.guardian.prove(account, body.pin, now, rescue=body.rescue)
        except WrongSecret:
            self._note(connection, "wrong-rescue-code" if body.rescue else "wrong-pin")
            raise
        if body.rescue:
            self._note(connection, "rescue-code")
        connection.proven_until = self.loop.host.clock.now().boot + RIGHTS_LAST
        return Rights(seconds=RIGHTS_LAST // SECOND)

    async def _give(self, connection: Connection, body: Give) -> Done:
        self._known(body.child)
        wish = Wish(body.child, body.kind, body.seconds, body.subject, body.note, body.lasting)
        grant = self._grant(connection, wish)
        said = self._put(connection, grant, await self.seals.seal(grant))
        if body.kind == "time" and grant.seconds != body.seconds:
            said = Said("{done} There was no more to take.", (("done", said),))
        return Done(sentence=say(said), said=said, id=grant.id)

    def _grant(self, connection: Connection, wish: Wish) -> Grant:
        return self._wishes.grant(wish, self._name(connection), connection.via)

    def _put(self, connection: Connection, grant: Grant, seal: bytes) -> Said:
        """Enter a grant that was signed."""
        self.store.add_grant(grant, seal)
        name = grant.title or grant.subject.rpartition(":")[2]
        what = {
            "time": _TIME[grant.seconds > 0],
            "program": Said("{name} is allowed {how_long}."),
            "refusal": Said("{name} is not for today."),
            "site-refusal": Said("{name} is not for today."),
            "site": Said("{name} is allowed {how_long}."),
            "pause": Said("Limits rest for a while."),
            "lock": Said("The PC is paused."),
        }[grant.kind]
        time = ("time", abs(grant.seconds))
        said = Said(what.text, (time, ("name", name), ("how_long", self._wishes.how_long(grant))))
        self._note(
            connection,
            f"give-{grant.kind}",
            grant.child,
            f"{say(said).removesuffix('.')} ({grant.id}, {grant.subject or grant.kind})",
        )
        # A notice begins with a capital letter; a guardian reads the name as it is.
        shown = ("name", name[:1].upper() + name[1:])
        told = Said(what.text, (time, shown, ("how_long", self._wishes.how_long(grant))), grant.note)
        headed = Said("From {by}", (("by", grant.by),))
        self.loop.push(tell(grant.child, "granted", headed, told, rule=f"grant/{grant.id}"))
        self.loop.wake()
        return Said("{child}: {what}", (("child", grant.child), ("what", said)))

    def _learn(self, connection: Connection, body: Learn) -> Done:
        self._known(body.child)
        wall, learner = self.wall(), self.loop.learner
        if body.seconds == 0:
            known = learner.end(body.child, wall)
            self._note(connection, "learn-stop", body.child, f"{len(known.programs)} programs")
            text = Said("Fairtime does not learn any more.")
            sentence = f"Fairtime has stopped learning; {len(known.programs)} programs are on the list."
        elif body.seconds < SHORTEST:
            raise Refused("That is too short to learn anything", "Say a time from a minute to four weeks, such as 7d.")
        else:
            known = learner.begin(body.child, body.seconds, self._name(connection), wall)
            zone = self.loop.engine.rules.zone
            self._note(connection, "learn-start", body.child, f"{body.seconds} s")
            text, sentence = learning_said(known, zone), done_words(known, wall)
        self.loop.save_learning()
        headed = Said("From {by}", (("by", self._name(connection)),))
        self.loop.push(tell(body.child, "state", headed, text))
        self.loop.wake()
        self.loop.changed()
        return Done(sentence=sentence)

    def _release(self, connection: Connection, body: Release) -> Done:
        grant = self.store.end_grant(body.grant, self.wall())
        self._note(connection, "release", grant.child, f"{grant.kind} ({grant.id})")
        self.loop.wake()
        said = Said(_ENDED[grant.kind].text, (("child", grant.child),))
        return Done(sentence=say(said), said=said, id=grant.id)

    async def _answer(self, connection: Connection, body: Answer) -> Done:
        request = next((r for r in self.store.requests(limit=500) if r.id == body.request), None)
        if request is None:
            raise NotFound("There is no such request", "Look at the list of requests.", where=body.request)
        grant = self._answered(connection, body, request)
        seal = await self.seals.seal(grant) if grant is not None else b""
        state = "granted" if body.granted else "refused"
        by = self._name(connection)
        self.store.answer_request(body.request, state, self.wall(), by, body.reply)
        what = request.identity or request.subject
        self._note(connection, f"request-{state}", request.child, f"{request.kind} {what} ({request.id})")
        if grant is not None:
            self._put(connection, grant, seal)
        else:
            text = (
                own(body.reply)
                if body.reply
                else Said("Read.")
                if body.granted
                else Said("Not now. You can talk about it together.")
            )
            self.loop.push(tell(request.child, "state", Said("{by} has answered", (("by", by),)), text))
        self.loop.changed()
        done = _ANSWERED[body.granted]
        said = Said(done.text, (("child", request.child),))
        return Done(sentence=say(said), said=said, id=request.id)

    def _answered(self, connection: Connection, body: Answer, request: Request) -> Grant | None:
        """What an answer gives.  A no to a site or a program is kept for the day, so that it is not asked for again at once."""
        if not body.granted:
            if request.kind not in ("site", "program"):
                return None
            kind = "site-refusal" if request.kind == "site" else "refusal"
            wish = Wish(request.child, kind, 0, request.subject, body.reply, identity=request.identity)
            return self._grant(connection, wish)
        if request.kind == "comment":
            return None
        seconds = body.seconds if body.seconds is not None else request.seconds or 3600
        wish = Wish(request.child, request.kind, seconds, request.subject, body.reply, body.lasting, request.identity)
        return self._grant(connection, wish)

    async def _install(self, connection: Connection, body: Install) -> Done:
        pieces = connection.pieces
        if len(pieces) >= MOST_PIECES:
            pieces.clear()
            raise ProtocolError("A policy of this length is none", "Check that it is the right file.")
        pieces.append(body.policy)
        if body.more:
            return Done(sentence="Go on.")
        whole = "".join(pieces)
        pieces.clear()
        try:
            data = base64.b64decode(whole, validate=True)
        except binascii.Error as error:
            raise ProtocolError("The policy did not arrive whole", "Send it again.") from error
        found = await self.policies.install(data, self.wall())
        await self.installed(found)
        version = found.policy.version if found.policy else 0
        self._note(connection, "install-policy", detail=f"version {version}, sha256 {found.sha256[:16]}")
        return Done(sentence=f"Version {version} of the policy is in force.")

    def _known(self, name: str) -> None:
        if name not in self.loop.engine.rules.children:
            raise NotFound(
                f"There is no child “{name}”", f"The policy knows {', '.join(self.loop.engine.rules.children)}."
            )

    def _name(self, connection: Connection) -> str:
        """What the child is told: the guardian's name, where the account says it."""
        for guardian in self.loop.engine.rules.policy.family.guardians:
            if guardian.account == connection.peer.account:
                return guardian.name
        guardians = self.loop.engine.rules.policy.family.guardians
        return guardians[0].name if len(guardians) == 1 else "A guardian"

    def _note(self, connection: Connection, action: str, child: str = "", detail: str = "") -> None:
        self.audit.append(connection.peer.account, connection.via, action, child, detail, at=self.wall())
