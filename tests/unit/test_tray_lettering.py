"""Right-to-left text: marks for those who order a line themselves, joined and ordered letters for Tk on X11, which does not."""

from __future__ import annotations

import gettext
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.helplines import help_text
from agent.tray.lettering import RIGHT, drawn, foreign, led, wrapped
from agent.words import ENGLISH, Words, assets

laid_out = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system lays letters out")


def test_a_line_that_begins_with_a_name_is_still_read_from_the_right() -> None:
    assert led("Minetest: دقيقة", rtl=True) == f"{RIGHT}Minetest: دقيقة"
    assert led("15 دقيقة", rtl=True) == "15 دقيقة"
    assert led("Minetest\nدقيقة", rtl=True) == f"{RIGHT}Minetest\nدقيقة"
    assert led("Minetest: دقيقة", rtl=False) == "Minetest: دقيقة"
    assert led("", rtl=True) == ""


@given(st.text(st.characters(codec="ascii")))
def test_without_such_letters_nothing_changes(text: str) -> None:
    assert not foreign(text)
    assert drawn(text, rtl=True) == text
    assert wrapped(text, lambda _: False, rtl=True) == text


@laid_out
def test_letters_are_joined_and_go_from_the_right() -> None:
    shown = drawn("وقت: 15 دقيقة (PIN)", rtl=True)
    assert shown.startswith("(PIN) ")
    assert "15" in shown
    assert unicodedata.normalize("NFKC", shown)[::-1].startswith("وقت:")
    assert not any(
        "ARABIC LETTER" in unicodedata.name(letter) and "FORM" not in unicodedata.name(letter) for letter in shown
    )


@laid_out
def test_marks_that_order_a_line_are_not_drawn() -> None:
    assert RIGHT not in drawn(f"{RIGHT}Minetest: دقيقة", rtl=True)


@laid_out
def test_lines_are_broken_before_they_are_ordered() -> None:
    text = "واحد اثنان خمسة\nأربعة"
    shown = wrapped(text, lambda line: len(line) <= 12, rtl=True).split("\n")
    back = [unicodedata.normalize("NFKC", line)[::-1] for line in shown]
    assert back == ["واحد اثنان", "خمسة", "أربعة"]


@laid_out
@given(st.lists(st.sampled_from(["وقت", "دقيقة", "Minetest", "15", "…"]), min_size=1), st.integers(1, 30))
def test_no_word_is_lost_by_breaking(words: list[str], room: int) -> None:
    shown = wrapped(" ".join(words), lambda line: len(line) <= room, rtl=True)
    kept = sorted(unicodedata.normalize("NFKC", shown).replace("\n", "").replace(" ", ""))
    assert kept == sorted(unicodedata.normalize("NFKC", "".join(words)))


@laid_out
@pytest.mark.parametrize("domain", ["fairtime", "page"])
def test_the_numbers_of_help_lines_can_be_dialled_as_they_stand(domain: str) -> None:
    """Groups of digits after Arabic letters change places unless they are held together."""
    words = Words(gettext.translation(domain, str(assets() / "words"), ["ar"]), "ar")
    shown = drawn(help_text(words).replace("\n", " "), rtl=True)
    for number in ("116 111", "0800 1111", "0120-99-7777", "988", "112"):
        assert number in help_text(ENGLISH)
        assert number in shown
