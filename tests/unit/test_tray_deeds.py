"""What happens when a row of the menu is chosen: the call that is made, the windows around it, the words after it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.errors import ConnectionFailed, FairtimeError, Refused
from agent.ipc.answers import ChildState, Document, Done, Result, Rights, Status, Text
from agent.ipc.protocol import Answer, Ask, Body, GetRecorded, GetWeek, Give, Prove, Release
from agent.model.grant import Grant, Request
from agent.model.verdict import Verdict
from agent.tray import spawn
from agent.tray.calls import body_of, command_of
from agent.tray.deeds import Deeds
from agent.tray.deedwords import proof_text
from agent.tray.menu import ACTS, GUARDED, Act
from agent.tray.news import NoticeWords
from agent.tray.readable import readable
from agent.words import ENGLISH


class FakeLink:
    """A connection that gives prepared answers and notes what it was asked."""

    def __init__(self, answers: dict[type[Any], Result | FairtimeError]) -> None:
        self.answers = answers
        self.heard: list[Body] = []
        self.closed = False

    def call(self, body: Body) -> Result:
        self.heard.append(body)
        answer = self.answers.get(type(body), Done(sentence="Done."))
        if isinstance(answer, FairtimeError):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


class FakeDesk:
    def __init__(self, folder: Path, *, browser: bool = True) -> None:
        self.place, self.browser = folder, browser
        self.opened: list[Path] = []

    def tray_available(self) -> bool:
        return True

    def why_no_tray(self) -> str:
        return ""

    def scale(self) -> float:
        return 1.0

    def prepare(self) -> str:
        return ""

    def claim(self) -> bool:
        return True

    def folder(self) -> Path:
        return self.place

    def languages(self) -> tuple[str, ...]:
        return ()

    def open_page(self, path: Path) -> bool:
        self.opened.append(path)
        return self.browser


class FakeWindow:
    closed = False

    def close(self) -> None:
        self.closed = True


class Bench:
    """Deeds with everything around them in memory; ``typed`` is what the person answers to each dialog in turn."""

    def __init__(
        self, folder: Path, *typed: tuple[spawn.Sheet | None, int], browser: bool = True, **answers: Any
    ) -> None:
        prepared = {Prove: Rights(seconds=120), **answers.get("answers", {})}
        self.link = FakeLink(prepared)
        self.guardian = [FakeLink(prepared) for _ in range(4)]
        self.typed = list(typed)
        self.dialogs: list[tuple[str, spawn.Sheet]] = []
        self.said: list[NoticeWords] = []
        self.desk = FakeDesk(folder, browser=browser)
        links = iter(self.guardian)
        self.deeds = Deeds(
            self.link, lambda: next(links), self.desk, ENGLISH, post=self._now, say=self.said.append, ask=self._ask
        )

    def _now(self, event: Callable[[], None]) -> None:
        event()

    def _ask(self, kind: str, sheet: spawn.Sheet, done: spawn.OnDone) -> Any:
        self.dialogs.append((kind, sheet))
        if self.typed:
            done(*self.typed.pop(0))
        return FakeWindow()


PIN: tuple[spawn.Sheet, int] = ({"pin": "2468", "rescue": False}, 0)


def test_more_time_asks_for_the_pin_on_a_connection_of_its_own_and_hangs_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, PIN)
    bench.deeds.do(Act("time", "mia", 900), None)
    assert bench.guardian[0].heard == [Prove(pin="2468"), Give(child="mia", kind="time", seconds=900)]
    assert bench.guardian[0].closed
    assert bench.link.heard == []
    assert [notice.text for notice in bench.said] == ["Done."]
    assert "mia gets 15 minutes more" in bench.dialogs[0][1]["text"]


def test_every_guarded_act_asks_for_the_pin_each_time(tmp_path: Path) -> None:
    for name in sorted(GUARDED):
        bench = Bench(tmp_path, PIN, PIN)
        bench.deeds.do(Act(name, "mia", 900, "x1"), None)
        bench.deeds.do(Act(name, "mia", 900, "x1"), None)
        assert [kind for kind, _ in bench.dialogs] == ["pin", "pin"]
        assert bench.link.heard == []


def test_a_wrong_pin_is_asked_again_with_the_reason_and_nothing_is_given(tmp_path: Path) -> None:
    refused = Refused("That is not the PIN.", "Try again in 4 seconds.")
    bench = Bench(tmp_path, PIN, (None, 1), answers={Prove: refused})
    bench.deeds.do(Act("time", "mia", 900), None)
    assert [sheet["error"] for _, sheet in bench.dialogs] == ["", "That is not the PIN. Try again in 4 seconds."]
    assert bench.guardian[0].heard == [Prove(pin="2468")]
    assert bench.guardian[0].closed


def test_a_closed_pin_dialog_does_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (None, 1))
    bench.deeds.do(Act("lock", "mia", 3600), None)
    assert bench.guardian[0].heard == []
    assert bench.said == []


def test_asking_needs_no_pin_and_says_what_became_of_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, answers={Ask: Done(sentence="Ana was asked for 15 minutes.")})
    bench.deeds.do(Act("ask", "mia", 900), None)
    assert bench.link.heard == [Ask(kind="time", seconds=900)]
    assert bench.said[0].text == "Ana was asked for 15 minutes."


def test_asking_with_a_sentence(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ({"seconds": 1800, "text": "the level is nearly done"}, 0))
    bench.deeds.do(Act("ask-why", "mia"), None)
    assert bench.link.heard == [Ask(kind="time", seconds=1800, text="the level is nearly done")]


def test_asking_for_a_site(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ({"site": "https://www.other.example/x", "text": "for school"}, 0))
    bench.deeds.do(Act("ask-site", "mia"), None)
    assert bench.dialogs[0][0] == "site"
    assert bench.link.heard == [Ask(kind="site", subject="https://www.other.example/x", text="for school")]
    assert bench.said[0].text == "Done."


def test_a_site_that_is_none_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    refused = Refused("“a b” is no host name", "Name its host, such as example.org.")
    bench = Bench(tmp_path, ({"site": "a b"}, 0), (None, 1), answers={Ask: refused})
    bench.deeds.do(Act("ask-site", "mia"), None)
    assert [kind for kind, _ in bench.dialogs] == ["site", "site"]
    assert bench.dialogs[1][1]["error"] == "“a b” is no host name. Name its host, such as example.org."
    assert bench.said == []


@pytest.mark.parametrize(
    ("lasting", "seconds", "words"),
    [
        (None, 3600, "mia may visit other.example for an hour."),
        ("today", 0, "mia may visit other.example today."),
        ("good", 0, "mia may visit other.example from now on."),
    ],
)
def test_the_pins_window_says_which_site_it_opens(lasting: Any, seconds: int, words: str) -> None:
    wanted = Request(id="r8", child="mia", kind="site", subject="other.example", asked=0)
    verdict = Verdict(child="mia", day="2026-03-02", remaining=None, binding=None)
    state = ChildState(child="mia", verdict=verdict, seconds_left=None, sentence="", requests=(wanted,))
    status = Status(role="child", protection="protected", policy="in force", children=(state,))
    assert proof_text(Act("grant", "mia", seconds, "r8", lasting), status, ENGLISH) == words


def test_the_pins_window_says_what_a_no_is_to() -> None:
    wanted = Request(id="r8", child="mia", kind="site", subject="other.example", asked=0)
    verdict = Verdict(child="mia", day="2026-03-02", remaining=None, binding=None)
    state = ChildState(child="mia", verdict=verdict, seconds_left=None, sentence="", requests=(wanted,))
    status = Status(role="child", protection="protected", policy="in force", children=(state,))
    assert proof_text(Act("refuse", "mia", 0, "r8"), status, ENGLISH) == "mia may not visit other.example today."


def test_a_site_with_a_no_is_told_where_it_was_asked_for(tmp_path: Path) -> None:
    refused = Refused("Ana said no to other.example for today.", "You can ask again tomorrow.")
    bench = Bench(tmp_path, ({"site": "other.example"}, 0), (None, 1), answers={Ask: refused})
    bench.deeds.do(Act("ask-site", "mia"), None)
    assert bench.dialogs[1][1]["error"] == "Ana said no to other.example for today. You can ask again tomorrow."


def test_my_week_opens_in_the_browser_from_a_private_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, answers={GetWeek: Text(text="<h1>My week</h1>", form="html")})
    bench.deeds.do(Act("week", "mia"), None)
    (page,) = bench.desk.opened
    assert page.read_text() == "<h1>My week</h1>"
    if sys.platform != "win32":  # where the folder says whose it is, no mode
        assert page.stat().st_mode & 0o077 == 0
    assert bench.dialogs == []


def test_my_week_without_a_browser_is_text(tmp_path: Path) -> None:
    bench = Bench(tmp_path, browser=False, answers={GetWeek: Text(text="My week\n3 h", form="html")})
    bench.deeds.do(Act("week", "mia"), None)
    assert [body.form for body in bench.link.heard if isinstance(body, GetWeek)] == ["html", "text"]
    assert bench.dialogs == [("text", {"title": "My week", "text": "My week\n3 h", "ok": "Close"})]


def test_what_is_recorded_shows_every_field(tmp_path: Path) -> None:
    rows = [{"day": "2026-03-02", "kind": "program", "key": "chess", "seconds": 720}]
    value = msgspec.Raw(msgspec.json.encode({"child": "mia", "rows": rows}))
    bench = Bench(tmp_path, answers={GetRecorded: Document(value=value)})
    bench.deeds.do(Act("recorded", "mia"), None)
    text = bench.dialogs[0][1]["text"]
    for fact in ("mia", "2026-03-02", "program", "chess", "720"):
        assert fact in text


def test_help_works_without_the_service(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.deeds.do(Act("help"), None)
    assert bench.link.heard == []
    assert "116 111" in bench.dialogs[0][1]["text"]


def test_a_service_that_is_away_is_said_in_a_notice(tmp_path: Path) -> None:
    away = ConnectionFailed("The service cannot be reached", "Time is still kept.")
    bench = Bench(tmp_path, answers={Ask: away})
    bench.deeds.do(Act("ask", "mia", 900), None)
    assert (bench.said[0].title, bench.said[0].text) == (away.title, away.advice)


def test_where_no_window_can_be_shown_the_command_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (None, spawn.NO_TOOLKIT))
    bench.deeds.do(Act("time", "mia", 900), None)
    assert "fairtime grant mia +15m" in bench.said[0].text


@pytest.mark.parametrize("name", sorted(ACTS - {"state", "help"}))
def test_every_act_has_a_call_and_a_command(name: str) -> None:
    body = body_of(Act(name, "mia", 900, "x1"))
    guarded = (Give, Answer, Release)
    assert isinstance(body, guarded) == (name in GUARDED)
    assert command_of(Act(name, "mia", 900, "x1")).startswith("fairtime ")


def test_readable_leaves_nothing_out() -> None:
    document = {"a_b": {"c": [1, 2], "d": True}, "rows": [{"day": "x", "left": None, "inner": {"k": 1}}], "empty": []}
    text = readable(document)
    for fact in ("a b:", "1", "2", "yes", "x", '{"k":1}'):
        assert fact in text


def test_the_pin_dialog_says_which_program_exactly_and_for_how_long() -> None:
    request = Request(
        id="r1", child="mia", kind="program", subject="chess", identity="sha256:ab", place="/home/mia/chess", asked=0
    )
    verdict = Verdict(child="mia", day="2026-03-02", remaining=None, binding=None)
    child = ChildState(child="mia", verdict=verdict, seconds_left=None, sentence="", requests=(request,))
    status = Status(role="guardian", protection="protected", policy="in force", children=(child,))
    for lasting, words in (("once", "until it is closed"), ("today", "today"), ("good", "from now on")):
        act = Act("grant", "mia", 0, "r1", lasting)  # type: ignore[arg-type]  # literals of Lasting
        text = proof_text(act, status, ENGLISH)
        assert words in text
        assert "/home/mia/chess" in text
        assert "sha256:ab" in text
        assert body_of(act) == Answer(request="r1", granted=True, lasting=lasting)
    assert proof_text(Act("refuse", "mia", 0, "r1"), status, ENGLISH) == "mia does not get chess today."
    assert "what was asked for" in proof_text(Act("grant", "mia", 0, "r2"), status, ENGLISH)


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        (Grant(id="g", child="mia", kind="pause", given=0, by="ana"), "The limits of mia hold again."),
        (Grant(id="g", child="mia", kind="lock", given=0, by="ana"), "The screen of mia is no longer locked."),
        (
            Grant(id="g", child="mia", kind="program", given=0, by="ana", subject="path:/opt/chess", title="Chess"),
            "The answer to mia about Chess no longer holds.",
        ),
        (
            Grant(id="g", child="mia", kind="site-refusal", given=0, by="ana", subject="a.example"),
            "The answer to mia about a.example no longer holds.",
        ),
        (None, "What mia was given or told ends now."),
    ],
)
def test_the_pin_dialog_says_what_ends(grant: Grant | None, said: str) -> None:
    verdict = Verdict(child="mia", day="2026-03-02", remaining=None, binding=None)
    state = ChildState(child="mia", verdict=verdict, seconds_left=None, sentence="", grants=(grant,) if grant else ())
    status = Status(role="guardian", protection="protected", policy="in force", children=(state,))
    assert proof_text(Act("release", "mia", subject="g"), status, ENGLISH) == said
