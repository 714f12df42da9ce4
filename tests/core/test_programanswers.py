"""A no to a program that was asked for by name: it is known again by the program and by the words, and ends with a yes or the day."""

from __future__ import annotations

import pytest

from agent.core.judge import permitted, verdict_on
from agent.core.programanswers import answer, no_subject, no_words
from agent.core.programs import Match, Matcher
from agent.model.grant import Grant, GrantKind
from agent.model.program import ProgramId
from agent.model.usage import Usage
from tests.core.scene import clock, mia, now

CHESS = ProgramId(name="chess", path="/usr/games/chess", package="deb:chess", protected=True, application=True)
OWN = ProgramId(name="chess", path="/home/mia/chess", sha256="ab")
WALL = clock("15:00")


def word(kind: GrantKind, subject: str, ident: str = "n", until: int | None = WALL + 1, note: str = "") -> Grant:
    return Grant(
        id=ident, child="mia", kind=kind, subject=subject, title="Chess", given=0, until=until, by="Ana", note=note
    )


def found(program: ProgramId) -> tuple[ProgramId, Match]:
    child = mia("")
    return program, Matcher(child, now(child).plan).match(program)


@pytest.mark.parametrize(
    ("grants", "words", "program", "ident"),
    [
        ((), "chess", None, ""),
        ((word("refusal", no_subject("", "Chess")),), " chess ", None, "n"),
        ((word("refusal", no_subject("", "the  Chess game")),), "the chess game", None, "n"),
        ((word("refusal", no_subject("", "x" * 500)),), "X" * 499, None, "n"),
        ((word("refusal", no_subject("", "chess")),), "draughts", None, ""),
        ((word("refusal", no_subject("deb:chess", "chess")),), "/usr/games/chess", CHESS, "n"),
        ((word("refusal", no_subject("deb:chess", "chess")),), "/home/mia/chess", OWN, ""),
        ((word("refusal", no_subject("sha256:ab", "chess")),), "/home/mia/chess", OWN, "n"),
        ((word("refusal", "sha256:ab"),), "/home/mia/chess", OWN, "n"),
        ((word("refusal", "sha256:ab", until=WALL),), "/home/mia/chess", OWN, ""),
        ((word("refusal", no_subject("deb:chess", "c")), word("program", "deb:chess", "y")), "chess", CHESS, "y"),
        ((word("program", "deb:chess", "y", None), word("refusal", no_subject("deb:chess", "c"))), "chess", CHESS, "n"),
        ((word("site-refusal", "asked:chess"), word("time", "asked:chess")), "chess", None, ""),
    ],
)
def test_the_last_word_on_what_is_asked_for(
    grants: tuple[Grant, ...], words: str, program: ProgramId | None, ident: str
) -> None:
    said = answer(words, found(program) if program is not None else None, grants, WALL)
    assert (said.id if said else "") == ident


def test_a_no_to_words_closes_no_program() -> None:
    child = mia("")
    at = now(child)
    for program, known in ((CHESS, "deb:chess"), (CHESS, "path:/usr/games/chess"), (OWN, "sha256:ab"), (OWN, "")):
        matcher = Matcher(child, at.plan)
        refusal = word("refusal", no_subject(known, "chess"))
        assert not permitted(refusal.subject, program, "chess", strong=True)
        usage = Usage(child="mia", since="2026-01-01")
        assert verdict_on(matcher, program, at, usage, (refusal,)) == verdict_on(matcher, program, at, usage, ())


def test_a_no_is_told_with_the_guardians_own_words() -> None:
    assert no_words(word("refusal", "x")) == "Ana said no to Chess for today."
    assert no_words(word("refusal", "x", note="After tea.")) == "Ana said no to Chess for today. After tea."
