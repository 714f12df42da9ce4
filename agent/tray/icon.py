"""The tray's icon: a ring of the time that is left, with its minutes inside.

Each kind has its own shape, so that colour is never the only sign: a ring that empties (time left), a ring with notches
(a quarter of an hour), a filled disc (the last minutes), an eight-sided stop sign (time is up), a cup (a break), two bars
(paused), a star (free time), ∞ (no limit), a broken ring with a question mark (no
connection), a triangle (nothing is protected).  A light disc under a dark rim keeps it readable on any panel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from agent.tray.face import Face, Kind

SIZES = (16, 22, 24, 32, 48, 64)
"""Logical pixels a panel may ask for; times the pixel density."""
OVERSAMPLE = 8
UNIT = 64
"""The drawing's own grid; every length below is in these units."""

RING = (31.5, 29.5, 7.0)
"""Radius of the dark rim, radius of the ring, and its thickness."""
SIGN_SIXTIETHS = 45
PEOPLE = ((26.0, 20.0, 46.0, 7.5), (40.5, 29.0, 46.0, 5.5))
"""The two persons of the product's sign: middle, height of the head, foot, half width."""

Colour = tuple[int, int, int, int]
PAPER: Colour = (255, 255, 255, 255)
INK: Colour = (22, 30, 46, 255)
SPENT: Colour = (196, 203, 214, 255)
COLOURS: dict[Kind, Colour] = {
    "ok": (0, 128, 96, 255),
    "soon": (214, 130, 0, 255),
    "last": (202, 58, 12, 255),
    "up": (168, 20, 36, 255),
    "rest": (92, 72, 168, 255),
    "paused": (52, 96, 180, 255),
    "free": (0, 116, 190, 255),
    "unlimited": (0, 128, 96, 255),
    "away": (98, 106, 120, 255),
    "warning": (214, 130, 0, 255),
    "family": (0, 104, 148, 255),
}


def icon(face: Face, size: int) -> Image.Image:
    """``face`` as an RGBA picture of ``size`` × ``size`` pixels; the same picture object for the same question."""
    return _cached(face.kind, face.minutes, face.sixtieths, face.flaw, size)


def size_for(scale: float, logical: int = 22) -> int:
    """Pixels to draw for a panel whose icons are ``logical`` pixels at density 1.0.

    The panel is not asked (a StatusNotifierItem never learns the size it is shown at), so twice the usual size is drawn:
    halving keeps numerals sharp, where 64 → 22 blurs them.
    """
    return max(16, round(logical * max(1.0, scale) * 2))


@lru_cache(maxsize=128)
def _cached(kind: Kind, minutes: int | None, sixtieths: int, flaw: bool, size: int) -> Image.Image:
    pen = Pen(size)
    _SHAPES[kind](pen, COLOURS[kind], minutes, sixtieths)
    if flaw:
        pen.flaw()
    return pen.picture()


class Pen:
    """Draws in units of 1/64 of the picture, larger than asked, and scales down once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.scale = size * OVERSAMPLE / UNIT
        side = size * OVERSAMPLE
        self.image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)

    def picture(self) -> Image.Image:
        return self.image.resize((self.size, self.size), Image.Resampling.BOX)

    def px(self, *units: float) -> list[float]:
        return [unit * self.scale for unit in units]

    def disc(self, radius: float, fill: Colour, centre: tuple[float, float] = (32, 32)) -> None:
        x, y = centre
        self.draw.ellipse(self.px(x - radius, y - radius, x + radius, y + radius), fill=fill)

    def wedge(self, radius: float, sixtieths: int, fill: Colour) -> None:
        """A slice from twelve o'clock, clockwise, as a kitchen timer shows it."""
        if sixtieths >= 60:
            self.disc(radius, fill)
        elif sixtieths > 0:
            box = self.px(32 - radius, 32 - radius, 32 + radius, 32 + radius)
            self.draw.pieslice(box, -90, -90 + sixtieths * 6, fill=fill)

    def polygon(self, corners: int, radius: float, fill: Colour, turn: float = 0.0) -> None:
        step = 2 * math.pi / corners
        points = [
            (32 + radius * math.sin(turn + i * step), 32 - radius * math.cos(turn + i * step)) for i in range(corners)
        ]
        self.draw.polygon([tuple(self.px(x, y)) for x, y in points], fill=fill)

    def bar(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, round_: float = 2) -> None:
        self.draw.rounded_rectangle(self.px(x0, y0, x1, y1), radius=round_ * self.scale, fill=fill)

    def numeral(self, text: str, fill: Colour, width: float, height: float) -> None:
        """``text`` as large as fits a box in the middle, bold, centred on its ink."""
        probe = _font(200)
        left, top, right, bottom = probe.getbbox(text, stroke_width=8)
        ratio = min(width * self.scale / (right - left), height * self.scale / (bottom - top))
        font = _font(max(6, int(200 * ratio)))
        stroke = max(1, round(8 * ratio))
        left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
        middle = 32 * self.scale
        spot = (middle - (left + right) / 2, middle - (top + bottom) / 2)
        self.draw.text(spot, text, font=font, fill=fill, stroke_width=stroke, stroke_fill=fill)

    def flaw(self) -> None:
        """An exclamation mark in the lower right corner: protection is not whole."""
        corner = (53.0, 53.0)
        self.disc(11, PAPER, corner)
        self.disc(9.5, COLOURS["last"], corner)
        self.bar(51.3, 46, 54.7, 54.5, PAPER)
        self.bar(51.3, 56.5, 54.7, 60, PAPER)


@lru_cache(maxsize=64)
def _font(points: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(points)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType; the tray's numerals need it")
    return font


def numeral(minutes: int) -> str:
    """At most two digits, or whole hours from a hundred minutes on (rounded down: never more than there is)."""
    return str(minutes) if minutes < 100 else f"{min(minutes // 60, 99)}h"


def _base(pen: Pen, colour: Colour, sixtieths: int, thick: float = RING[2]) -> None:
    outer, ring, _ = RING
    pen.disc(outer, INK)
    pen.disc(ring, SPENT)
    pen.wedge(ring, sixtieths, colour)
    pen.disc(ring - thick, PAPER)


def _number(pen: Pen, minutes: int | None, fill: Colour = INK, width: float = 39, height: float = 27) -> None:
    if minutes is not None:
        pen.numeral(numeral(minutes), fill, width, height)


def _ok(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    _base(pen, colour, sixtieths)
    _number(pen, minutes)


def _soon(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    _base(pen, colour, sixtieths, thick=9)
    for x0, y0, x1, y1 in ((30, 2, 34, 11.5), (30, 52.5, 34, 62), (2, 30, 11.5, 34), (52.5, 30, 62, 34)):
        pen.bar(x0, y0, x1, y1, INK, 0)
    _number(pen, minutes, width=36)


def _last(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    pen.disc(31.5, PAPER)
    pen.disc(29.5, colour)
    _number(pen, minutes, PAPER, 40, 36)


def _up(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    pen.polygon(8, 33.5, PAPER, math.pi / 8)
    pen.polygon(8, 30.5, colour, math.pi / 8)
    _number(pen, 0, PAPER, 40, 36)


def _rest(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    pen.disc(31.5, PAPER)
    pen.disc(29.5, colour)
    pen.draw.ellipse(pen.px(38, 26, 54, 42), outline=PAPER, width=int(4 * pen.scale))
    pen.bar(16, 22, 44, 46, PAPER, 7)
    for x in (22, 30, 38):
        pen.bar(x - 2, 11, x + 2, 18, PAPER)


def _paused(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    _base(pen, colour, 60)
    pen.bar(21, 18, 29, 46, colour)
    pen.bar(35, 18, 43, 46, colour)


def _free(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    _base(pen, colour, sixtieths)
    if minutes is not None:
        _number(pen, minutes)
        return
    points = [
        (32 + r * math.sin(i * math.pi / 5), 33 - r * math.cos(i * math.pi / 5)) for i, r in enumerate([18, 8] * 5)
    ]
    pen.draw.polygon([tuple(pen.px(x, y)) for x, y in points], fill=colour)


def _unlimited(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    _base(pen, colour, 60, thick=7)
    for x in (23.5, 40.5):
        box = pen.px(x - 10, 22, x + 10, 42)
        pen.draw.ellipse(box, outline=INK, width=int(5 * pen.scale))


def _away(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    pen.disc(31.5, PAPER)
    for start in range(0, 360, 60):
        pen.draw.arc(pen.px(2.5, 2.5, 61.5, 61.5), start, start + 38, fill=colour, width=int(7 * pen.scale))
    pen.numeral("?", colour, 30, 32)


def _warning(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    pen.draw.polygon([tuple(pen.px(x, y)) for x, y in ((32, 1), (64, 62), (0, 62))], fill=INK)
    pen.draw.polygon([tuple(pen.px(x, y)) for x, y in ((32, 8), (58.5, 58.5), (5.5, 58.5))], fill=colour)
    pen.bar(29, 24, 35, 43, INK)
    pen.bar(29, 47, 35, 53, INK)


def _family(pen: Pen, colour: Colour, minutes: int | None, sixtieths: int) -> None:
    """A guardian's icon: the product's own sign, or how many requests wait."""
    if minutes:
        pen.disc(31.5, PAPER)
        pen.disc(29.5, colour)
        pen.draw.polygon([tuple(pen.px(x, y)) for x, y in ((4, 62), (10, 42), (26, 58))], fill=colour)
        pen.numeral(str(min(minutes, 99)), PAPER, 38, 34)
        return
    identity(pen, colour)


def identity(pen: Pen, colour: Colour = COLOURS["ok"]) -> None:
    """The product's sign: a timer's ring, three quarters full, around a big and a small person."""
    _base(pen, colour, SIGN_SIXTIETHS)
    for x, head, foot, wide in PEOPLE:
        pen.disc(wide * 0.72, INK, (x, head))
        pen.bar(x - wide, head + wide, x + wide, foot, INK, wide * 0.8)


_SHAPES: dict[Kind, Callable[[Pen, Colour, int | None, int], None]] = {
    "ok": _ok,
    "soon": _soon,
    "last": _last,
    "up": _up,
    "rest": _rest,
    "paused": _paused,
    "free": _free,
    "unlimited": _unlimited,
    "away": _away,
    "warning": _warning,
    "family": _family,
}
