"""The catalogues: every sentence of the tray, of the blocked page and of the reasons on both is there in each language, places
and plurals and all; and which of them a session gets."""

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
from agent.tray.face import duration
from agent.words import Words, session_words

AGENT = Path(__file__).resolve().parents[2] / "agent"
WORDS = folder("assets") / "words"
LANGUAGES = ("ar", "es", "fr", "ja", "ru", "zh")
"""The six of the United Nations but English, and Japanese."""
SCRIPTS = {
    "ar": r"[\u0600-\u06ff]",
    "ja": r"[\u3040-\u30ff\u4e00-\u9fff]",
    "ru": r"[\u0400-\u04ff]",
    "zh": r"[\u4e00-\u9fff]",
}
SAME = {"Fairtime", "OK", "No", "{n} minute", "{n} minutes", "+{n} minute", "+{n} minutes"}
"""What French or Spanish say as English does; lengths of time aside."""
PLACE = re.compile(r"\{\w*\}")
ENTRY = re.compile(
    r'^msgid ((?:".*"\n)+)(?:msgid_plural ((?:".*"\n)+))?((?:msgstr(?:\[\d\])? (?:".*"\n)+)+)', re.MULTILINE
)


def domains() -> dict[str, tuple[str, ...]]:
    """Which sources have which sentences, as the builder says; it needs Babel, so it is read and not run."""
    for node in ast.parse((WORDS / "build.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOMAINS":
            return dict(ast.literal_eval(node.value))
    raise AssertionError("the builder names no domains")


DOMAINS = domains()


def marked(domain: str) -> Iterator[tuple[str, ...]]:
    """What is marked as a sentence in the sources, found without Babel, with its plural; and the reasons of the presets."""
    for pattern in DOMAINS[domain]:
        for source in AGENT.glob(pattern):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    name = ast.unparse(node.func).rpartition(".")[2]
                    texts = [part.value for part in node.args if isinstance(part, ast.Constant)]
                    if name == "many":
                        yield tuple(texts[:2])
                    elif name in ("words", "_words", "Said", "marked") and texts and texts[0] == node.args[0].value:  # type: ignore[attr-defined]  # a constant, as its value was found
                        yield (texts[0],)
    for preset in (folder("policies") / "presets").glob("*.toml") if domain == "page" else ():
        rules = tomllib.loads(preset.read_text(encoding="utf-8")).get("sites", {}).get("rules", ())
        yield from ((rule["reason"],) for rule in rules if "reason" in rule)


def catalogue(language: str, domain: str) -> gettext.GNUTranslations:
    return gettext.translation(domain, str(WORDS), [language])  # type: ignore[return-value]  # found, so no null


def written(path: Path) -> dict[tuple[str, ...], list[str]]:
    """Sentences (with their plurals) and what a translator wrote for them, read with a few lines of our own."""

    def joined(lines: str) -> str:
        return "".join(map(ast.literal_eval, lines.splitlines()))

    text = path.read_text(encoding="utf-8")
    assert "#, fuzzy" not in text
    assert "#~" not in text, "what nobody says any more is kept"
    found: dict[tuple[str, ...], list[str]] = {}
    for one, other, strings in ENTRY.findall(text):
        forms = re.split(r"^msgstr(?:\[\d\])? ", strings, flags=re.MULTILINE)[1:]
        found[tuple(joined(part) for part in (one, other) if part)] = [joined(form) for form in forms]
    return found


def numbers(known: gettext.GNUTranslations, form: int) -> list[int]:
    return [n for n in range(201) if known.plural(n) == form]  # type: ignore[attr-defined]  # the rule of the header


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_template_has_what_the_sources_say_and_nothing_else(domain: str) -> None:
    sentences = set(marked(domain))
    assert len(sentences) > 25
    assert sentences == set(written(WORDS / f"{domain}.pot")), "run assets/words/build.py"


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_there_with_its_places_and_compiled(language: str, domain: str) -> None:
    known = catalogue(language, domain)
    texts = written(WORDS / language / "LC_MESSAGES" / f"{domain}.po")
    assert texts.pop(("",), None), "no header"
    assert set(texts) == set(marked(domain)), "run assets/words/build.py, which says what is to be translated"
    for sentence, forms in texts.items():
        assert all(form.strip() for form in forms), f"not translated: {sentence}"
        if len(sentence) == 1:
            assert known.gettext(sentence[0]) == forms[0], "run assets/words/build.py"
            assert sorted(PLACE.findall(forms[0])) == sorted(PLACE.findall(sentence[0])), sentence
            continue
        for number in range(201):
            assert known.ngettext(*sentence, number) == forms[known.plural(number)]  # type: ignore[attr-defined]  # as above
        for number, form in enumerate(forms):
            few = len(numbers(known, number)) <= 1  # only where a form is one number's own may its words stand for it
            assert PLACE.findall(form) == PLACE.findall(sentence[1]) or (few and not PLACE.findall(form)), form
        assert all(numbers(known, form) for form in range(len(forms))), "more forms than the language has"


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_english_is_left(language: str, domain: str) -> None:
    for sentence, forms in written(WORDS / language / "LC_MESSAGES" / f"{domain}.po").items():
        words = PLACE.sub("", sentence[0])
        if not re.search("[A-Za-z]{2}", words) or sentence[0] == "Fairtime" or "min" in words.split():
            continue  # a name, or units of time
        for form in forms:
            if language in SCRIPTS:
                known = form == "OK" or not re.search(r"\w", PLACE.sub("", form))
                assert known or re.search(SCRIPTS[language], form), form
            else:
                assert form not in sentence or form in SAME, form


@pytest.mark.parametrize(
    ("language", "minutes", "text"),
    [
        ("ar", 1, "دقيقة واحدة"),
        ("ar", 2, "دقيقتان"),
        ("ar", 10, "10 دقائق"),
        ("ar", 11, "11 دقيقة"),
        ("es", 1, "1 minuto"),
        ("es", 0, "0 minutos"),
        ("fr", 0, "0 minute"),
        ("fr", 2, "2 minutes"),
        ("ja", 1, "1 分"),
        ("ru", 1, "1 минута"),
        ("ru", 12, "12 минут"),
        ("ru", 21, "21 минута"),
        ("ru", 33, "33 минуты"),
        ("ru", 160, "2 ч 40 мин"),
        ("zh", 60, "60 分钟"),
        ("zh", 120, "2 小时"),
    ],
)
def test_minutes_as_each_language_counts_them(language: str, minutes: int, text: str) -> None:
    assert duration(minutes * 60, session_words([language])) == text


@pytest.mark.parametrize(
    ("languages", "language"),
    [
        ((), "en"),
        (("xx", "fr_CA.UTF-8"), "fr"),
        (("zh-Hans-CN", "en-GB"), "zh"),
        (("en_GB.UTF-8", "fr"), "en"),
        (("ES@euro",), "es"),
        (("../../ru", "", ".UTF-8"), "en"),
    ],
)
def test_a_session_gets_the_first_language_that_there_is(languages: tuple[str, ...], language: str) -> None:
    words = session_words(languages)
    assert words.language == language
    assert words("Get help") == (
        catalogue(language, "fairtime").gettext("Get help") if language != "en" else "Get help"
    )
    assert not words.rtl


def test_arabic_is_read_from_right_to_left() -> None:
    assert session_words(["ar_EG.UTF-8"]).rtl


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
    assert say(said, Words(catalogue("fr", "page"))) == (
        "Le temps du jour pour films {x} (1 h 30 min) est écoulé. Il y en aura de nouveau demain. Tea {y}."
    )
    assert "1 小时 30 分钟" in say(said, Words(catalogue("zh", "page")))
