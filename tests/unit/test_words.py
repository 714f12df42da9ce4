"""The catalogues: every sentence of the blocked page and of the reasons on it is there in each language, places and all."""

from __future__ import annotations

import ast
import gettext
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.saying import length, say
from agent.model.site import Said
from agent.resources import folder
from agent.words import Words

AGENT = Path(__file__).resolve().parents[2] / "agent"
SOURCES = ("filter/page.py", "core/saying.py", "core/siteplan.py", "core/siteanswers.py", "helplines.py")
LANGUAGES = ("ar", "es", "fr", "ja", "ru", "zh")
"""The six of the United Nations but English, and Japanese."""
PLACE = re.compile(r"\{\w*\}")


def marked() -> Iterator[str]:
    """What is marked as a sentence in the sources, found without Babel; and the reasons of the presets."""
    for name in SOURCES:
        for node in ast.walk(ast.parse((AGENT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("words", "Said"):
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield first.value
    for preset in (folder("policies") / "presets").glob("*.toml"):
        rules = tomllib.loads(preset.read_text(encoding="utf-8")).get("sites", {}).get("rules", ())
        yield from (rule["reason"] for rule in rules if "reason" in rule)


def catalogue(language: str) -> gettext.GNUTranslations:
    return gettext.translation("page", str(folder("assets") / "words"), [language])  # type: ignore[return-value]  # found, so no null


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_there_with_its_places(language: str) -> None:
    known = catalogue(language)
    sentences = set(marked())
    assert len(sentences) > 25
    same = {
        sentence
        for sentence in sentences
        if known.gettext(sentence) == sentence and known._catalog.get(sentence) is None
    }  # type: ignore[attr-defined]  # what is there, and not what is the same
    assert same == set(), "not translated"
    for sentence in sentences:
        assert sorted(PLACE.findall(known.gettext(sentence))) == sorted(PLACE.findall(sentence)), sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_was_written(language: str) -> None:
    """The .po as a translator sees it, read with a few lines of our own."""
    text = (folder("assets") / "words" / language / "LC_MESSAGES" / "page.po").read_text(encoding="utf-8")
    assert "#, fuzzy" not in text
    entries = re.findall(r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n)+)', text, re.MULTILINE)
    known = catalogue(language)
    for pair in entries[1:]:  # the first is the header
        written = ["".join(map(ast.literal_eval, part.splitlines())) for part in pair]
        assert written[1]
        assert known.gettext(written[0]) == written[1]
    assert len(entries) > 25


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (1800, "30 min"), (3600, "1 h"), (3900, "1 h 05 min"), (7259, "2 h")],
)
def test_a_length_of_time_in_english(seconds: int, text: str) -> None:
    assert length(seconds) == text


def test_a_reason_is_filled_in_after_it_was_translated() -> None:
    said = Said(
        "Today's {time} of {title} are used up. There is more tomorrow.",
        (("time", 5400), ("title", "films {x}")),
        "Tea {y}.",
    )
    assert say(said) == "Today's 1 h 30 min of films {x} are used up. There is more tomorrow. Tea {y}."
    assert say(said, Words(catalogue("fr"))) == (
        "Le temps du jour pour films {x} (1 h 30 min) est écoulé. Il y en aura de nouveau demain. Tea {y}."
    )
    assert "1 小时 30 分钟" in say(said, Words(catalogue("zh")))
