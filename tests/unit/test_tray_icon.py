"""The tray's icon: shape and number tell states apart, at the sizes panels use."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from agent.tray.face import Face, Kind
from agent.tray.icon import SIZES, icon, numeral, size_for

KINDS: tuple[Kind, ...] = get_args(Kind)
TYPICAL = {"ok": 42, "soon": 12, "last": 4, "up": 0, "rest": 0, "free": None, "family": 2}


def typical(kind: Kind) -> Face:
    return Face(kind, TYPICAL.get(kind), {"ok": 40, "soon": 8, "last": 3}.get(kind, 60))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two greyscale pictures, 0–255."""
    return float(ImageStat.Stat(ImageChops.difference(one, other)).mean[0])


def grey(face: Face, size: int) -> Image.Image:
    paper = Image.new("RGBA", (size, size), (240, 240, 240, 255))
    paper.alpha_composite(icon(face, size))
    return paper.convert("L")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_at_every_size(kind: Kind, size: int) -> None:
    picture = icon(typical(kind), size)
    assert (picture.mode, picture.size) == ("RGBA", (size, size))
    assert picture.getchannel("A").getextrema()[1] == 255
    assert len(picture.getcolors(size * size) or ()) > 4


@pytest.mark.parametrize(("one", "other"), list(combinations(KINDS, 2)))
def test_kinds_differ_without_colour_at_22_pixels(one: Kind, other: Kind) -> None:
    assert difference(grey(typical(one), 22), grey(typical(other), 22)) > 8


def test_each_minute_looks_different_from_the_next() -> None:
    for minutes in range(1, 99):
        assert icon(Face("ok", minutes, 30), 22).tobytes() != icon(Face("ok", minutes + 1, 30), 22).tobytes()


def test_ring_empties() -> None:
    def green(sixtieths: int) -> int:
        pixels = icon(Face("ok", None, sixtieths), 64).convert("RGBA").tobytes()
        return sum(1 for i in range(0, len(pixels), 4) if pixels[i] < 60 and pixels[i + 1] > 100)

    amounts = [green(part) for part in range(0, 61, 5)]
    assert amounts == sorted(amounts)
    assert amounts[0] == 0


def test_a_flaw_is_seen() -> None:
    assert difference(grey(Face("ok", 42, 40), 22), grey(Face("ok", 42, 40, flaw=True), 22)) > 4


def test_the_same_question_is_drawn_once() -> None:
    assert icon(Face("ok", 7, 7), 44) is icon(Face("ok", 7, 7), 44)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0, "0"), (42, "42"), (99, "99"), (100, "1h"), (119, "1h"), (120, "2h"), (179, "2h"), (9999, "99h")],
)
def test_numeral(minutes: int, text: str) -> None:
    assert numeral(minutes) == text


@given(st.floats(0.1, 8))
def test_density_never_makes_it_smaller_than_a_panel_icon(scale: float) -> None:
    assert size_for(scale) >= 44
