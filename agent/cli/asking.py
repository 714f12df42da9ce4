"""Commands that ask the service: status, why, agreement, doctor, requests."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

import msgspec

from agent.cli import options as shared
from agent.cli.abilities import ABILITIES
from agent.cli.calling import ask
from agent.clock import SECOND
from agent.core.timewords import duration_words, parse_duration
from agent.errors import FairtimeError
from agent.ipc.answers import Document, Done, Requests, SiteTime, Status, Text
from agent.ipc.client import Client
from agent.ipc.protocol import Answer, Ask, GetAgreement, GetDoctor, GetStatus, GetWhy, ListRequests
from agent.model.grant import Request


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    one = sub.add_parser("status", help="time left and why")
    shared.child(one)
    shared.as_json(one)
    one.set_defaults(run=_status)
    one = sub.add_parser("why", help="what would be decided about a program or site, and by which rule")
    one.add_argument("subject", metavar="PROGRAM|SITE", help="a program (its file, or its name) or the host of a site")
    shared.child(one)
    one.set_defaults(run=_why)
    one = sub.add_parser("agreement", help="the policy in plain language")
    shared.child(one)
    one.set_defaults(run=_agreement)
    one = sub.add_parser("doctor", help="the state of protection of this PC")
    shared.as_json(one)
    one.set_defaults(run=_doctor)
    one = sub.add_parser("request", help="ask for time, a program or a site; list and answer requests")
    one.add_argument(
        "what", nargs="?", help="time such as 30m, a program, or a site with --site; nothing lists requests"
    )
    one.add_argument("--site", action="store_true", help="it is a site")
    one.add_argument("--text", default="", help="why")
    one.add_argument("--grant", metavar="ID", help="guardian: grant a request")
    one.add_argument("--refuse", metavar="ID", help="guardian: refuse a request")
    one.add_argument("--for", dest="time", metavar="once|today|good|TIME", help="guardian: how long it is granted")
    one.add_argument("--reply", default="", help="guardian: words for the child")
    one.set_defaults(run=_request)


def text_of(status: Status) -> str:
    """A status for people."""
    out = []
    for child in status.children:
        out.append(f"{child.child}: {child.sentence}")
        out += [f"  {child.learning}"] if child.learning else []
        out += [f"  {p.title}: {duration_words(p.seconds * SECOND)}" for p in child.programs[:8]]
        out += [f"  {s.title}: {duration_words(s.seconds * SECOND)}, {_left(s)}" for s in child.sites]
        out += [f"  asked: {asked_words(r)}" for r in child.requests]
    if not status.children:
        out.append("No child has limits on this PC yet.")
    out.append(f"This PC is {status.protection}; policy: {status.policy}.")
    out += [f"  ! {note}" for note in status.notes]
    return "\n".join(out)


def _left(site: SiteTime) -> str:
    return f"{duration_words(site.left * SECOND)} left" if site.left else "used up"


def asked_words(request: Request) -> str:
    """What a child asked for: ``time 30 min (film)``."""
    what = duration_words(request.seconds * SECOND) if request.kind == "time" else request.subject
    return " ".join(part for part in (request.kind, what, f"({request.text})" if request.text else "") if part)


def _status(options: argparse.Namespace) -> int:
    status = ask(GetStatus(child=options.child))
    assert isinstance(status, Status)
    print(msgspec.json.encode(status).decode() if options.json else text_of(status))
    return 0


def _why(options: argparse.Namespace) -> int:
    print(_text(ask(GetWhy(subject=options.subject, child=options.child))))
    return 0


def _agreement(options: argparse.Namespace) -> int:
    print(_text(ask(GetAgreement(child=options.child))))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    document = ask(GetDoctor())
    assert isinstance(document, Document)
    if options.json:
        print(bytes(document.value).decode())
        return 0
    print(doctor_text(msgspec.json.decode(bytes(document.value))))
    return 0


def doctor_text(report: dict[str, Any]) -> str:
    """A doctor's report for people."""
    out = [f"This PC is {report['protection']}."]
    for finding in report["findings"]:
        mark = {"ok": "+", "note": " ", "weak": "!", "open": "!!"}.get(finding["severity"], "?")
        out.append(f"{mark:>2} {finding['title']}" + (f"\n   {finding['advice']}" if finding["advice"] else ""))
    told = {text for finding in report["findings"] for text in (finding["title"], finding["advice"])}
    told |= {ability["why"] for ability in report["abilities"]}
    out += [f" ! {note}" for note in report["notes"] if note not in told]
    for heading, present in (("What works on this PC:", True), ("What does not:", False)):
        abilities = [ability for ability in report["abilities"] if ability["present"] is present]
        out += [heading] * bool(abilities)
        for ability in abilities:
            words = ABILITIES.get(ability["capability"], ability["capability"])
            out.append(f" {'+' if present else '-'} {words}" + (f": {ability['why']}" if ability["why"] else ""))
    return "\n".join(out)


def _request(options: argparse.Namespace) -> int:
    ident = options.grant or options.refuse
    if ident:
        from agent.cli.guardian import how_long, prove

        time, lasting = how_long(options.time) if options.time else (None, None)
        with closing(Client()) as client:
            prove(client)
            done = client.call(
                Answer(request=ident, granted=bool(options.grant), reply=options.reply, seconds=time, lasting=lasting)
            )
        assert isinstance(done, Done)
        print(done.sentence)
        return 0
    if options.what is None:
        found = ask(ListRequests())
        assert isinstance(found, Requests)
        for request in found.requests:
            print(f"{request.id}  {request.child}: {asked_words(request)} [{request.state}]")
            if request.identity:
                print(f"    {request.place or 'no file'}  {request.identity}")
        if not found.requests:
            print("There are no requests.")
        return 0
    if options.site:
        body = Ask(kind="site", subject=options.what, text=options.text)
    else:
        try:
            body = Ask(kind="time", seconds=parse_duration(options.what.removeprefix("+")), text=options.text)
        except ValueError:
            body = Ask(kind="program", subject=options.what, text=options.text)
    done = ask(body)
    assert isinstance(done, Done)
    print(done.sentence)
    return 0


def _text(answer: object) -> str:
    if not isinstance(answer, Text):
        raise FairtimeError("The service answered something else", "Use the same version of Fairtime on both sides.")
    return answer.text
