"""What the service answers: reads here, a guardian's acts in ``acts``.  The server has ruled on every call before."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from agent.clock import SECOND, Millis
from agent.core import explain, programanswers, siteanswers
from agent.core.agreement import agreement
from agent.core.authorize import Who
from agent.core.catalogue import as_installed, known_as
from agent.core.learning import listing, propose
from agent.core.learning import said as learning_said
from agent.core.rules import ChildRules
from agent.core.saying import say
from agent.core.siterules import asked_for
from agent.errors import NotFound, Refused
from agent.ipc.answers import ChildState, Document, Done, Entrance, Event, Requests, Result, Status, Text
from agent.ipc.protocol import (
    Ask,
    Body,
    GetAgreement,
    GetAudit,
    GetDoctor,
    GetLearned,
    GetLogin,
    GetRecorded,
    GetStatus,
    GetWeek,
    GetWhy,
    Idle,
    ListRequests,
    SetGoal,
    Subscribe,
)
from agent.ipc.server import Connection
from agent.model.grant import Grant, Request
from agent.model.program import ProgramId
from agent.model.site import Said
from agent.model.sitewhy import Because, WhySite
from agent.model.verdict import Notify
from agent.service import jobs
from agent.service.audit import Audit
from agent.service.doctor import Doctor
from agent.service.engine import Child
from agent.service.learner import active
from agent.service.ledger_requests import MAX_OPEN_REQUESTS
from agent.service.lists import Lists
from agent.service.loop import Loop
from agent.service.policies import PolicyStore
from agent.service.sites import Sites
from agent.service.status import child_state
from agent.service.store import Store
from agent.summary.facts import gather
from agent.summary.wanted import Wanted

MOST_RECORDED = 150
"""Rows of one kind in one answer: a frame holds them."""


@dataclass(slots=True)
class Api:
    """Answers calls that change nothing but requests and goals; ``act`` does the rest."""

    loop: Loop
    store: Store
    audit: Audit
    policies: PolicyStore
    doctor: Doctor
    act: Callable[[Connection, Body], Awaitable[Result]]
    sites: Sites
    lists: Lists
    goals: dict[str, int] = field(default_factory=dict)

    async def answer(self, connection: Connection, body: Body) -> Result:
        """The answer to one call that was ruled to be allowed."""
        await self.loop.ready.wait()
        who = connection.who
        match body:
            case GetStatus():
                return self.status(who, body.child)
            case Subscribe():
                connection.subscribed = True
                return self.status(who, None)
            case GetWeek():
                return await self._week(who, body)
            case GetAgreement():
                return Text(text=self._agreements(who, body.child))
            case GetRecorded():
                return _document(self._recorded(self._one(who, body.child), body.limit))
            case GetWhy():
                return Text(text=await self._why(who, body))
            case GetLogin():
                return self._login(connection, body)
            case GetDoctor():
                return _document(await self.doctor.report())
            case GetAudit():
                return _document(self.audit.document(body.limit))
            case GetLearned():
                return Text(text=self._learned(self._one(who, body.child), body.form))
            case ListRequests():
                return Requests(requests=self._requests(who, body.child))
            case Ask():
                return self._ask(who, body)
            case SetGoal():
                return self._goal(who, body)
            case Idle():
                now = self.loop.host.clock.now().boot
                self.loop.idleness.say(connection.peer.account, body.seconds * SECOND, now)
                return Done(sentence="")
        return await self.act(connection, body)

    # ---- states --------------------------------------------------------------------------------------------------

    def status(self, who: Who, child: str | None) -> Status:
        """The state that a caller may see."""
        names: Sequence[str] = tuple(self.loop.engine.rules.children)
        if child is not None:
            names = (self._known(child),)
        elif who.role == "child" and who.child is not None:
            names = (who.child,)
        protection, notes = self.doctor.verdict(None if who.role != "child" else who.child)
        return Status(
            role=who.role,
            protection=protection,
            policy=self.policies.now.state,
            notes=notes,
            children=tuple(self.state(name) for name in names),
        )

    def state(self, name: str) -> ChildState:
        """One child's state."""
        child = self._child(name)
        known = active(self.loop.learner.of, name)
        return child_state(
            child,
            self._grants(name),
            self.store.requests(name, open_only=True, limit=MAX_OPEN_REQUESTS),
            self.goals.get(name),
            learning_said(known, self.loop.engine.rules.zone) if known is not None else None,
            self.sites.times(child),
        )

    def event(self, connection: Connection, notice: Notify | None) -> Event | None:
        """What a subscriber is sent: a notice of its own child's, or its newest state."""
        who = connection.who
        if notice is not None:
            mine = who.role != "child" or who.child == notice.child
            return Event(notice=notice) if mine else None
        return Event(status=self.status(who, None))

    # ---- questions -----------------------------------------------------------------------------------------------

    async def _week(self, who: Who, body: GetWeek) -> Result:
        today = self.loop.engine.today()
        try:
            day = dt.date.fromisoformat(body.day) if body.day else today
        except ValueError as error:
            raise NotFound(f"There is no day {body.day}", "Write year-month-day, such as 2026-11-24.") from error
        names: Sequence[str] | None = None
        if body.child is not None or who.role == "child":
            names = (self._one(who, body.child),)
        self.loop.save()
        protection, notes = self.doctor.verdict(None)
        facts = gather(
            self.store,
            self.loop.engine.rules,
            day,
            today,
            children=names,
            protection=protection,
            notes=notes,
        )
        page = await jobs.run("summary", msgspec.json.encode(Wanted(form=body.form, facts=facts)))
        if body.form == "json":
            return Document(value=msgspec.Raw(page))
        return Text(text=page.decode(), form=body.form)

    def _agreements(self, who: Who, child: str | None) -> str:
        names = (self._one(who, child),) if child is not None or who.role == "child" else None
        rules = self.loop.engine.rules
        return "\n\n".join(agreement(rules, name, self.loop.engine.today(name)) for name in names or rules.children)

    def _recorded(self, name: str, limit: int) -> dict[str, object]:
        every = ("", "9999-12-31")
        rows = self.store.rows(name, *every)
        limit = min(limit, MOST_RECORDED)
        return {
            "child": name,
            "kept_weeks": self.loop.engine.rules.policy.family.retention_weeks,
            "use": msgspec.to_builtins(rows[-limit:][::-1]),
            "use_rows": len(rows),
            "events": msgspec.to_builtins(self.store.events(name, *every)[-limit // 3 :][::-1]),
            "grants": msgspec.to_builtins(self.store.grants(name)[-limit // 3 :][::-1]),
            "requests": msgspec.to_builtins(self.store.requests(name, limit=limit // 3)),
            "learned": msgspec.to_builtins(self.loop.learner.of.get(name)),
            "never": "No text, keys, screenshots or full addresses are recorded.",
        }

    async def _why(self, who: Who, body: GetWhy) -> str:
        name = self._one(who, body.child)
        child = self._child(name)
        subject = body.subject
        program = self._program(child, subject)
        if program is not None:
            return explain.program(self.loop.questions.why(child, program))
        if ("." in subject or ":" in subject) and not subject.startswith("/"):
            return await self._why_site(child, subject)
        for limit in child.rules.plan(self.loop.engine.today(name)).programs:
            if subject in (limit.source.program, limit.source.name, limit.source.group, limit.source.id):
                why = limit.source.reason or f"{limit.title}: {limit.action}."
                return f"{why} [rule {limit.id}]"
        raise NotFound(
            f"Nothing called “{subject}” is known here",
            "Give the path of a program, its command, its name in the catalogue, or a host name.",
        )

    async def _why_site(self, child: Child, subject: str) -> str:
        """A job looks it up: only it and the resolver hold the lists."""
        await self.lists.ensure()
        book = self.lists.book
        asked = WhySite(plan=self.sites.plan(child), host=subject, book=str(book) if book is not None else "")
        found = msgspec.json.decode(await jobs.run("why-site", msgspec.json.encode(asked)), type=Because)
        if found.verdict is None:
            raise Refused(found.title, found.advice)
        verdict = found.verdict
        groups = f" It is in {', '.join(verdict.groups)}." if verdict.groups else ""
        return f"{verdict.host}: {verdict.action}. {verdict.sentence}{groups} [rule {verdict.rule}]"

    def _program(self, child: Child, subject: str) -> ProgramId | None:
        """The program that a guardian or child means: a file, one that was refused, one that runs, one in the catalogue."""
        found = self.loop.host.identify(subject)
        if found is not None:
            return found.program
        remembered = self.loop.remembered.get((child.rules.name, subject))
        if remembered is not None:
            return remembered
        for process in self.loop.snapshot.processes:
            if process.account in child.rules.child.accounts and subject in (
                process.program.name,
                process.program.path,
            ):
                return process.program
        entry = known_as(child.rules, subject)
        return as_installed(entry) if entry is not None else None

    def _login(self, connection: Connection, body: GetLogin) -> Entrance:
        account = connection.peer.account if connection.who.role == "child" else body.account
        found = self.loop.questions.entry(account, self.loop.host.clock.now(), self.wall)
        if not found.allowed:
            name = self.loop.engine.rules.accounts[account]
            self.loop.event(name, "blocked", "login", found.rule, found.sentence)
        return Entrance(allowed=found.allowed, sentence=found.sentence)

    def _learned(self, name: str, form: str) -> str:
        known = self.loop.learner.of.get(name)
        if known is None:
            raise NotFound(
                f"Nothing was learned of {name}", "A guardian begins with “fairtime learn start --child NAME --for 7d”."
            )
        return propose(known) if form == "rules" else listing(known, self.loop.engine.rules.zone)

    def _requests(self, who: Who, child: str | None) -> tuple[Request, ...]:
        if child is not None or who.role == "child":
            return self.store.requests(self._one(who, child), limit=50)
        return self.store.requests(limit=50)

    # ---- a child's own acts ----------------------------------------------------------------------------------------

    def _ask(self, who: Who, body: Ask) -> Done:
        assert who.child is not None, "the table of rights lets only children ask"
        if body.kind == "time" and not 0 < body.seconds <= 4 * 3600:
            raise Refused("Ask for at most four hours", "A guardian can give more in one go.")
        if body.kind in ("program", "site") and not body.subject:
            raise Refused(f"Which {body.kind}?", "Name it.")
        subject = asked_for(body.subject) if body.kind == "site" else body.subject
        if subject is None:
            no = Said("“{name}” is no host name", (("name", body.subject),))
            raise Refused(say(no), "Name its host, such as example.org.", said=no)
        answered = self._said_no(who.child, body.kind, subject)
        if answered is not None:
            raise Refused(say(answered), "You can ask again tomorrow.", said=answered)
        request = self.store.add_request(
            Request(
                id=secrets.token_hex(6),
                child=who.child,
                kind=body.kind,
                seconds=body.seconds,
                subject=subject,
                text=body.text,
                asked=self.wall,
            )
        )
        self.loop.changed()
        done = Said("A guardian will see what you asked.")
        return Done(sentence=say(done), said=done, id=request.id)

    def _said_no(self, name: str, kind: str, subject: str) -> Said | None:
        """A guardian's no to what a child asks for, while it holds; ``None`` when there is none."""
        if kind == "site":
            said = self.sites.answer(name, subject)
            return siteanswers.no_said(said, subject) if said is not None and said.kind == "site-refusal" else None
        if kind != "program":
            return None
        child = self._child(name)
        program = self._program(child, subject)
        found = (program, self.loop.questions.match(child, program)) if program is not None else None
        word = programanswers.answer(subject, found, self.loop.engine.grants_of(name), self.wall)
        return programanswers.no_said(word) if word is not None and word.kind == "refusal" else None

    def _goal(self, who: Who, body: SetGoal) -> Done:
        assert who.child is not None, "the table of rights lets only children set goals"
        if body.seconds:
            self.goals[who.child] = body.seconds
        else:
            self.goals.pop(who.child, None)
        self.store.record((), {"goals": msgspec.json.encode(self.goals)})
        self.loop.changed()
        return Done(sentence="Your goal is set." if body.seconds else "Your goal is gone.")

    # ---- within --------------------------------------------------------------------------------------------------

    @property
    def wall(self) -> Millis:
        """Trusted time now."""
        keeper = self.loop.engine.keeper
        now = self.loop.host.clock.now()
        return now.wall if keeper is None else keeper.wall + max(0, now.boot - keeper.boot)

    def _grants(self, name: str) -> tuple[Grant, ...]:
        day = self.loop.engine.today(name).isoformat()
        return self.store.grants(name, day=day, at=self.wall)

    def _known(self, name: str) -> str:
        if name not in self.loop.engine.rules.children:
            known = ", ".join(self.loop.engine.rules.children) or "nobody yet"
            raise NotFound(f"There is no child “{name}”", f"The policy knows {known}.")
        return name

    def _one(self, who: Who, child: str | None) -> str:
        """The child that a call is about."""
        if child is not None:
            return self._known(child)
        if who.child is not None:
            return who.child
        names = tuple(self.loop.engine.rules.children)
        if len(names) != 1:
            raise NotFound("Which child?", f"Say it with --child: {', '.join(names) or 'there is none yet'}.")
        return names[0]

    def _child(self, name: str) -> Child:
        child = self.loop.engine.children.get(self._known(name))
        if child is None or child.decision is None:
            raise NotFound(f"{name} is new here", "Try again in a second.")
        return child

    def rules_of(self, name: str) -> ChildRules:
        """A child's rules; ``NotFound`` for nobody."""
        return self.loop.engine.rules.children[self._known(name)]


def _document(value: object) -> Document:
    return Document(value=msgspec.Raw(msgspec.json.encode(value)))
