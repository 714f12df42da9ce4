"""Words, notices, window processes and the Linux desk, each alone."""

from __future__ import annotations

import ast
import gettext
import io
import re
import struct
import sys
import threading
from pathlib import Path

import pytest

from agent.errors import ConnectionFailed
from agent.tray import dialogs, spawn
from agent.tray.news import NoticeWords
from agent.tray.notices import Notices, plain
from agent.tray.view import view
from agent.words import ENGLISH, Words, assets, session_words

TRAY = Path(dialogs.__file__).parent
WORDS = NoticeWords("5 minutes left", "Save your drawing.", urgent=True, countdown=False)


def catalogue(translations: dict[str, str]) -> gettext.GNUTranslations:
    """A compiled catalogue in memory (the .mo format of the GNU gettext manual, 10.3)."""
    rows = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **translations}.items())
    keys, values = [row[0].encode() for row in rows], [row[1].encode() for row in rows]
    at = 28 + 16 * len(rows)
    tables, body = b"", b""
    for texts in (keys, values):
        for text in texts:
            tables += struct.pack("<II", len(text), at + len(body))
            body += text + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(rows), 28, 28 + 8 * len(rows), 0, 0)
    return gettext.GNUTranslations(io.BytesIO(head + tables + body))


def test_words_are_translated_and_their_places_filled() -> None:
    words = Words(catalogue({"Get help": "Obtener ayuda", "{time} left": "quedan {time}"}))
    assert words("Get help") == "Obtener ayuda"
    assert words("{time} left", time="5") == "quedan 5"
    assert "Obtener ayuda" in [row.label for row in view(None, words).rows]


def test_without_a_catalogue_words_are_english() -> None:
    assert session_words(["xx"])("Get help") == "Get help"
    assert ENGLISH.many("{n} minute", "{n} minutes", 1) == "1 minute"


def test_every_sentence_of_the_tray_is_in_the_template() -> None:
    """Run ``python assets/words/build.py`` when this fails."""
    known = ast_strings((assets() / "words" / "fairtime.pot").read_text(encoding="utf-8"))
    for source in TRAY.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _marks(node.func):
                for argument in node.args[:1]:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        assert argument.value in known, f"{source.name}: {argument.value!r}"


def _marks(function: ast.expr) -> bool:
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    return name in ("words", "_words", "many")


def ast_strings(template: str) -> set[str]:
    """The msgids of a template; a long one goes on over several lines."""
    entries = re.findall(r'^(?:msgid|msgid_plural) ((?:"(?:[^"\\]|\\.)*"\n)+)', template, re.MULTILINE)
    return {"".join(ast.literal_eval(line) for line in entry.splitlines()) for entry in entries}


def test_icons_are_there_in_every_size() -> None:
    for size in (16, 22, 24, 32, 48, 64, 128, 256, 512):
        assert (assets() / "icons" / f"fairtime-{size}.png").is_file()
    assert "<svg" in (assets() / "icons" / "fairtime.svg").read_text()


def test_a_program_name_cannot_be_markup_in_a_notice() -> None:
    assert plain('<a href="x">game</a>') == '‹a href="x"›game‹/a›'


@pytest.mark.parametrize("failure", [False, OSError("gone"), RuntimeError("no loop")])
def test_a_notice_that_the_desktop_does_not_take_goes_the_next_way(failure: bool | Exception) -> None:
    shown = threading.Event()
    seen: list[NoticeWords] = []

    def first(_: NoticeWords) -> bool:
        if isinstance(failure, Exception):
            raise failure
        return failure

    def last(words: NoticeWords) -> bool:
        seen.append(words)
        shown.set()
        return True

    notices = Notices((lambda _: False, last), first=first)
    notices.show(WORDS)
    assert shown.wait(10)
    notices.close()
    assert seen == [WORDS]


def test_a_notice_goes_the_next_way_where_the_desktops_library_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it that was not packed, say."""
    monkeypatch.setitem(sys.modules, "desktop_notifier", None)
    shown = threading.Event()
    seen: list[NoticeWords] = []

    def way(words: NoticeWords) -> bool:
        seen.append(words)
        shown.set()
        return True

    notices = Notices((way,))
    notices.show(WORDS)
    assert shown.wait(10)
    notices.close()
    assert seen == [WORDS]


def test_a_notice_that_is_lost_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def way(_: NoticeWords) -> bool:
        raise LookupError("nobody thought of this")

    notices = Notices(first=way)
    notices.show(WORDS)
    notices.close()
    assert "a notice was lost" in caplog.text
    assert "nobody thought of this" in caplog.text


def test_a_notice_that_was_shown_is_not_shown_twice() -> None:
    shown = threading.Event()
    seen: list[NoticeWords] = []

    def way(words: NoticeWords) -> bool:
        seen.append(words)
        shown.set()
        return True

    notices = Notices((way,), first=way)
    notices.show(WORDS)
    assert shown.wait(10)
    notices.close()
    assert len(seen) == 1


def window(program: str) -> tuple[list[spawn.Sheet | None], list[int]]:
    """Run a window process that is this little program; what it gave and its exit code."""
    ended = threading.Event()
    answers: list[spawn.Sheet | None] = []
    codes: list[int] = []

    def done(answer: spawn.Sheet | None, code: int) -> None:
        answers.append(answer)
        codes.append(code)
        ended.set()

    spawn.ask("pin", {"text": "PIN?"}, done, argv=[sys.executable, "-c", program])
    assert ended.wait(20)
    return answers, codes


def test_a_window_gets_its_words_and_gives_its_answer() -> None:
    program = "import sys, json; s = json.loads(sys.stdin.readline()); print(json.dumps({'pin': s['text'] + '1'}))"
    assert window(program) == ([{"pin": "PIN?1"}], [0])


def test_a_window_that_was_closed_gives_nothing() -> None:
    assert window("import sys; sys.stdin.readline(); sys.exit(1)") == ([None], [1])


def test_a_window_that_dies_before_reading_is_no_error() -> None:
    assert window("import os; os._exit(9)") == ([None], [9])


def test_closing_ends_the_windows_input() -> None:
    ended = threading.Event()
    live = spawn.Window(
        "window",
        {},
        on_sheet=lambda _: None,
        on_end=lambda _: ended.set(),
        argv=[sys.executable, "-c", "import sys; sys.stdin.read()"],
    )
    assert live.send({"seconds": 3})
    live.close()
    assert ended.wait(20)
    assert not live.send({"seconds": 2})


def test_no_secret_is_an_argument() -> None:
    assert spawn.command("pin")[1:] == ["-m", "agent.tray.dialogs", "pin"]


def test_frozen_windows_are_started_by_the_program_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert spawn.command("pin") == [sys.executable, "dialog", "pin"]


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["pin", "2468"]])
def test_dialogs_take_one_known_kind(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dialogs.main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_from_the_menu_a_tray_that_runs_already_is_shown_in_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent import platforms
    from agent.ipc import client
    from agent.tray import app

    class Elsewhere:
        def languages(self) -> tuple[str, ...]:
            return ()

        def claim(self) -> bool:
            return False

    class Silent:
        closed = False

        def call(self, body: object) -> object:
            raise ConnectionFailed("Fairtime's service does not answer", "Try again.")

        def close(self) -> None:
            self.closed = True

    link, shown = Silent(), []

    def ask(kind: str, sheet: spawn.Sheet, on_done: spawn.OnDone) -> None:
        shown.append((kind, sheet["text"]))
        on_done(None, 0)

    monkeypatch.setattr(platforms, "desk", lambda: Elsewhere())
    monkeypatch.setattr(client, "Client", lambda socket, via: link)
    monkeypatch.setattr(spawn, "ask", ask)
    assert app.run() == 0
    assert shown == []  # at login there is nothing to show twice
    assert app.run(show=True) == 0
    ((kind, text),) = shown
    assert kind == "text"
    assert text
    assert link.closed
