"""Commands as people type them, right and wrong, against a running service: exit codes, one document for --json, words."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import main
from agent.cli.accounts import own_account
from agent.cli.trial import PIN
from tests.service.test_service import Household


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    made = Household(tmp_path_factory.mktemp("h"))
    made.start()
    yield made
    made.close()


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def typed(home: Household, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Type a command; ``pin`` is what comes from a pipe."""
    monkeypatch.setenv("FAIRTIME_SOCKET", home.socket)

    def run(*words: str, pin: str = "") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(pin + "\n" if pin else ""))
        try:
            code = main(list(words))
        except SystemExit as error:
            assert isinstance(error.code, int)
            code = error.code
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        assert code == 0 or not told.out or "check" in words, "what failed prints no answer"
        return Outcome(code, told.out, told.err)

    return run


def test_no_words_or_wrong_words_are_usage(typed) -> None:
    for words in (
        [],
        ["bogus"],
        ["why"],
        ["grant"],
        ["grant", "+30m"],
        ["lock"],
        ["pause", "--child", "you"],
        ["policy"],
        ["policy", "new", "--preset", "baby"],
        ["policy", "check"],
        ["audit"],
        ["service"],
        ["simulate"],
        ["simulate", "--policy", "x", "--start", "tomorrow"],
        ["summary", "--week", "last"],
        ["summary", "--json", "--html", "x"],
        ["policy", "sign", "x", "--expires", "2026-13-01"],
    ):
        told = typed(*words)
        assert told.code == 2, words
        assert "usage:" in told.err


@pytest.mark.parametrize("words", [["status"], ["doctor"], ["summary"]])
def test_json_is_one_document_and_nothing_else(typed, words: list[str]) -> None:
    told = typed(*words, "--json")
    assert told.code == 0
    assert isinstance(json.loads(told.out), dict)
    assert told.err == ""
    assert told.out.count("\n") == 1
    assert typed(*words).out.strip()


@pytest.mark.parametrize("words", [["status", "--child", "nobody"], ["summary", "--child", "nobody"]])
def test_what_fails_leaves_standard_output_empty(typed, words: list[str]) -> None:
    told = typed(*words, "--json")
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("fairtime: ")


def test_time_is_given_and_taken_with_a_pin(typed) -> None:
    wrong = typed("grant", "+30m", "--child", "you", pin="9999")
    assert wrong.code == 1
    assert "This is not the PIN" in wrong.err
    more = typed("grant", "+30m", "--child", "you", "--note", "Well done.", pin=PIN)
    assert more.code == 0
    assert "30 min more" in more.out
    less = typed("grant", "-15m", "--child", "you", pin=PIN)
    assert less.code == 0, less.err
    assert "15 min" in less.out
    for words, title in (
        (["grant", "+3x", "--child", "you"], "is not a length of time"),
        (["grant", "arcade", "--child", "you"], "For how long?"),
        (["grant", "+30m", "--child", "leo"], "There is no child"),
    ):
        told = typed(*words, pin=PIN)
        assert told.code == 1, words
        assert title in told.err
        assert len(told.err.splitlines()) >= 2, "advice comes with it"


def test_a_child_is_meant_however_its_name_is_written(typed) -> None:
    assert "30 min more" in typed("grant", "+30m", "--child", "YOU", pin=PIN).out
    assert typed("agreement", "--child", "You").out == typed("agreement", "--child", "you").out
    assert typed("status", "--child", own_account()).out.startswith("you: ")


def test_a_lock_closes_what_a_pause_left_open(typed) -> None:
    def shown(words: str) -> bool:
        end = time.monotonic() + 30
        while words not in (told := typed("status").out) and time.monotonic() < end:
            time.sleep(0.1)
        return words in told

    def given(*words: str) -> str:
        done = typed(*words, "--child", "you", pin=PIN)
        assert done.code == 0, done.err
        return str(done.out.rpartition("[")[2].strip("]\n"))

    rests = given("pause", "--for", "1h")
    assert shown("Limits are resting")
    locks = given("lock")
    assert shown("has paused the PC")
    assert typed("release", locks, pin=PIN).code == 0
    assert shown("Limits are resting")
    assert typed("release", rests, pin=PIN).code == 0


def test_the_doctor_says_each_thing_once_and_in_words(typed) -> None:
    lines = [line.strip(" +-!") for line in typed("doctor").out.splitlines()]
    assert len(lines) == len(set(lines))
    assert not {"scan", "start-events", "exec-gate"} & {line.partition(":")[0] for line in lines}


def test_why_knows_programs_by_their_names_and_sites_by_their_addresses(typed, home: Household) -> None:
    for name in ("discord", "Discord", "minecraft"):
        told = typed("why", name, "--child", "you")
        assert told.code == 0, told.err
        assert "[rule " in told.out
    by_path = typed("why", str(home.programs["arcade"]))
    assert by_path.out.startswith("arcade: block. arcade is for the weekend.")
    for address in ("example.org", "https://www.example.org/a?b=c.d", "www.example.org/index.html"):
        told = typed("why", address)
        assert told.code == 0, told.err
        assert "example.org: " in told.out
        assert "[rule you/" in told.out
    told = typed("why", "no-such-thing")
    assert told.code == 1
    assert "Nothing called “no-such-thing” is known here" in told.err


def test_a_request_is_listed_and_answered(typed) -> None:
    assert typed("request", "+20m", "--text", "film").code == 0
    listed = typed("request").out
    assert "time 20 min (film) [open]" in listed
    assert "asked: time 20 min (film)" in typed("status").out
    ident = next(line.split()[0] for line in listed.splitlines() if "film" in line)
    assert typed("request", "--grant", ident, pin=PIN).code == 0
    assert typed("request", "--refuse", "nonsense", pin=PIN).code == 1


def test_a_no_to_a_site_answers_whoever_asks_again_until_it_is_withdrawn(typed) -> None:
    def ident(command: str, words: str) -> str:
        return next(line.split()[0] for line in typed(command).out.splitlines() if words in line)

    assert typed("request", "--site", "www.games.example", "--text", "one level").code == 0
    refused = typed("request", "--refuse", ident("request", "games.example"), "--reply", "After tea.", pin=PIN)
    assert refused.code == 0, refused.err
    again = typed("request", "--site", "m.games.example")
    assert again.code == 1
    assert "said no to m.games.example for today. After tea." in again.err
    assert "You can ask again tomorrow." in again.err
    assert "[open]" not in "".join(line for line in typed("request").out.splitlines() if "games.example" in line)
    why = typed("why", "games.example")
    assert "games.example: block." in why.out
    assert "said no to games.example for today. After tea. You can ask again tomorrow." in why.out
    assert "[rule grant/" in why.out
    assert "no to games.example until " in typed("grants").out
    ended = typed("release", ident("grants", "no to games.example"), pin=PIN)
    assert "the no is taken back" in ended.out
    assert typed("request", "--site", "m.games.example").code == 0


@pytest.mark.parametrize(
    ("first", "again"), [("Chess  Master", "chess master"), ("ARCADE", "ARCADE"), ("discord", "Discord")]
)
def test_a_no_to_a_program_answers_whoever_asks_again_and_closes_nothing(
    typed, home: Household, first: str, again: str
) -> None:
    first, again = (word.replace("ARCADE", str(home.programs["arcade"])) for word in (first, again))
    title = first.rpartition("/")[2]

    def ident(command: str, words: str) -> str:
        return next((line.split()[0] for line in typed(command).out.splitlines() if words in line), "")

    rule = typed("why", first).out
    assert typed("request", first).code == 0
    asked = ident("request", f"program {first} [open]")
    assert typed("request", "--refuse", asked, "--reply", "After tea.", pin=PIN).code == 0
    refused = typed("request", again)
    assert refused.code == 1
    assert f"said no to {title} for today. After tea." in refused.err
    assert "You can ask again tomorrow." in refused.err
    assert not ident("request", f"program {again} [open]")
    assert typed("why", first).out == rule, "it decides on no program"
    assert "the no is taken back" in typed("release", ident("grants", f"no to {title}"), pin=PIN).out
    assert typed("request", again).code == 0
    assert typed("request", "--refuse", ident("request", f"program {again} [open]"), pin=PIN).code == 0
    assert typed("request", first).code == 1
    typed("release", ident("grants", "no to "), pin=PIN)


def test_a_yes_after_a_no_to_a_program_ends_it(typed, home: Household) -> None:
    arcade = str(home.programs["arcade"])
    assert typed("request", arcade).code == 0
    asked = next(line.split()[0] for line in typed("request").out.splitlines() if f"program {arcade} [open]" in line)
    assert typed("request", "--refuse", asked, pin=PIN).code == 0
    assert typed("request", arcade).code == 1
    assert typed("grant", arcade, "--child", "you", "--for", "1h", pin=PIN).code == 0
    assert typed("request", arcade).code == 0
    # As it was, for the other tests of this household.
    asked = next(line.split()[0] for line in typed("request").out.splitlines() if f"program {arcade} [open]" in line)
    assert typed("request", "--refuse", asked, pin=PIN).code == 0
    for line in typed("grants").out.splitlines():
        if "arcade" in line:
            assert typed("release", line.split()[0], pin=PIN).code == 0


def test_without_a_service_the_words_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAIRTIME_SOCKET", str(tmp_path / "none.sock"))
    for words in (["status", "--json"], ["doctor"], ["why", "x"], ["summary"], ["agreement"], ["request"]):
        assert main(words) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith("fairtime: ")
        assert len(told.err.splitlines()) == 2, told.err
