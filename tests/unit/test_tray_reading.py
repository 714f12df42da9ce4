"""What the service says, in the session's language: limits, notices, answers and refusals, over the wire and on the screen."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

from agent.core.explain import said
from agent.core.saying import say
from agent.core.telling import tell
from agent.errors import ConnectionFailed, FairtimeError, Refused
from agent.ipc import client
from agent.ipc.answers import ChildState, Event, Failure, Message, Status
from agent.model.site import Said
from agent.model.verdict import Constraint, Verdict
from agent.tray.deedwords import state_text
from agent.tray.menu import Act
from agent.tray.news import notice
from agent.tray.reading import REFUSALS, noted, refused, told
from agent.tray.view import view
from agent.words import ENGLISH, session_words

AGENT = Path(__file__).resolve().parents[2] / "agent"
RUSSIAN = session_words(["ru"])
LEFT = Said("{time} left of today's {limit}.", (("time", 1500), ("limit", 3600)))
HOURS = Said("Your hours end at {time}.", (("time", "18:00"),))


def state() -> ChildState:
    limits = tuple(
        Constraint(kind=kind, rule=f"mia/{kind}", left=1_500_000, sentence=say(text), said=text)  # type: ignore[arg-type]  # two literals
        for kind, text in (("day", LEFT), ("window", HOURS))
    )
    verdict = Verdict(child="mia", day="2026-03-02", remaining=1_500_000, binding=limits[0], constraints=limits)
    why = said(verdict)
    return ChildState(child="mia", verdict=verdict, seconds_left=1500, sentence=say(why), said=why)


def over_the_wire(message: Message) -> Message:
    return msgspec.json.decode(msgspec.json.encode(message), type=Message)


def status() -> Status:
    event = over_the_wire(
        Event(status=Status(role="child", protection="protected", policy="in force", children=(state(),)))
    )
    assert isinstance(event, Event)
    assert event.status is not None
    return event.status


def test_the_menu_says_why_in_the_language_of_the_session() -> None:
    shown = view(status(), RUSSIAN)
    assert [row.label for row in shown.rows[:2]] == ["Ещё 25 минут", "Осталось 25 мин из 1 ч на сегодня."]
    assert shown.tooltip == "Ещё 25 минут. Осталось 25 мин из 1 ч на сегодня."
    assert "25 min left of today's 1 h." in [row.label for row in view(status()).rows]


def test_every_limit_is_read_out_in_the_language_of_the_session() -> None:
    text = state_text(Act("state", "mia"), status(), RUSSIAN)
    assert text.splitlines()[:6] == [
        "Ещё 25 минут",
        "",
        "Осталось 25 мин из 1 ч на сегодня.",
        "",
        "Другие ограничения на сегодня:",
        "  Твои часы заканчиваются в 18:00.",
    ]


def test_a_notice_is_in_the_language_of_the_session_and_a_guardians_words_are_their_own() -> None:
    grace = Said("{why} You have {time} to save your work.", (("why", LEFT), ("time", 60)))
    sent = over_the_wire(Event(notice=tell("mia", "grace", Said("Time is up"), grace, left=60_000)))
    assert isinstance(sent, Event)
    assert sent.notice is not None
    shown = notice(sent.notice, RUSSIAN)
    assert shown.title == "Время вышло"
    assert shown.text == "Осталось 25 мин из 1 ч на сегодня. Осталось 1 мин, чтобы сохранить работу."
    own = notice(tell("mia", "blocked", "Close", "No", rule="x"), RUSSIAN)
    assert (own.title, own.text) == ("Close", "No"), "a program's name and a guardian's words stay as they are"
    assert told(None, "Tea!", RUSSIAN) == "Tea!"


@pytest.mark.parametrize(
    ("failure", "title", "advice"),
    [
        (
            Failure(
                id=7,
                code="refused",
                title="x",
                advice="You can ask again tomorrow.",
                said=Said("{by} said no to {title} for today.", (("by", "Ana"), ("title", "Chess")), "Tea."),
            ),
            "Ответ на просьбу о Chess на сегодня — «нет» (Ana). Tea.",
            "Завтра можно попросить снова.",
        ),
        (
            Failure(id=7, code="refused", title="This is not the PIN", advice="Wait 32 seconds …", retry_after=32),
            "Это не тот PIN-код",
            "Следующая попытка через 32 секунды.",
        ),
        (
            Failure(id=7, code="refused", title="There were too many wrong tries from this account", retry_after=900),
            "С этой учётной записи было слишком много неверных попыток",
            "Следующая попытка через 15 минут. Запасной код с бумаги пока работает.",
        ),
        (Failure(id=7, code="unknown", title="No such thing"), "No such thing", ""),
    ],
)
def test_a_refusal_crosses_the_wire_with_its_parts(failure: Failure, title: str, advice: str) -> None:
    with pytest.raises(FairtimeError) as raised:
        client._result(over_the_wire(failure), 7)
    assert refused(raised.value, RUSSIAN) == (title, advice)


def test_a_lost_connection_is_told_in_the_language_of_the_session() -> None:
    error = ConnectionFailed("Fairtime's service does not answer", "It may be starting: try again in a moment. …")
    assert refused(error, RUSSIAN)[0] == "Служба Fairtime не отвечает"
    assert refused(Refused("A", "B"), ENGLISH) == ("A", "B")
    assert noted("", RUSSIAN) == "", "an empty message is a catalogue's own header"


def test_what_the_tray_knows_of_refusals_is_what_the_service_says() -> None:
    """They are looked up by their words, so a word that changes there must change here."""
    said_there = set[str]()
    for folder in ("service", "ipc", "platforms"):
        for source in (AGENT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    said_there.add(node.value)
    composed = {"This is not the PIN", "This is not the rescue code", "Try again."}
    assert "This is not the " in said_there
    assert set(REFUSALS) - said_there <= composed
