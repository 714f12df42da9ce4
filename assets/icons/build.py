"""Writes the product's icon: ``fairtime.svg`` and PNGs.  Run ``python assets/icons/build.py`` after changing ``identity``.

Both come from the numbers in ``agent.tray.icon``, so that the icon in the panel and the one in the menu are one drawing.
"""

from __future__ import annotations

from pathlib import Path

from agent.tray.icon import COLOURS, INK, PAPER, PEOPLE, RING, SIGN_SIXTIETHS, SPENT, Colour, Pen, identity

HERE = Path(__file__).resolve().parent
SIZES = (16, 22, 24, 32, 48, 64, 128, 256, 512)


def hexa(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour[:3])


def svg() -> str:
    """The sign as SVG in the grid of ``Pen``: three quarters of a ring, so the slice ends at nine o'clock."""
    outer, ring, thick = RING
    assert SIGN_SIXTIETHS == 45
    shapes = [
        f'<circle cx="32" cy="32" r="{outer}" fill="{hexa(INK)}"/>',
        f'<circle cx="32" cy="32" r="{ring}" fill="{hexa(SPENT)}"/>',
        f'<path d="M32 32V{32 - ring}A{ring} {ring} 0 1 1 {32 - ring} 32Z" fill="{hexa(COLOURS["ok"])}"/>',
        f'<circle cx="32" cy="32" r="{ring - thick}" fill="{hexa(PAPER)}"/>',
    ]
    for x, head, foot, wide in PEOPLE:
        top = head + wide
        shapes.append(f'<circle cx="{x}" cy="{head}" r="{wide * 0.72:.2f}" fill="{hexa(INK)}"/>')
        shapes.append(
            f'<rect x="{x - wide}" y="{top}" width="{wide * 2}" height="{foot - top}" rx="{wide * 0.8:.2f}"'
            f' fill="{hexa(INK)}"/>'
        )
    body = "\n  ".join(shapes)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img" aria-label="Fairtime">\n'
        f"  {body}\n</svg>\n"
    )


def main() -> None:
    (HERE / "fairtime.svg").write_text(svg(), encoding="utf-8")
    for size in SIZES:
        pen = Pen(size)
        identity(pen)
        pen.picture().save(HERE / f"fairtime-{size}.png", optimize=True)


if __name__ == "__main__":
    main()
