"""Gathers the sentences of tray and blocked page into ``fairtime.pot`` and compiles every ``*/LC_MESSAGES/fairtime.po`` beside it.

Run ``python assets/words/build.py`` after changing a sentence; needs Babel (a tool for developers, never installed with the
product).  ``words("…")`` and ``words.many("…", "…", n)`` mark sentences.
"""

from __future__ import annotations

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

HERE = Path(__file__).resolve().parent
AGENT = HERE.parent.parent / "agent"
SOURCES = ("tray/**.py", "helplines.py", "filter/page.py")
KEYWORDS = {"words": None, "_words": None, "many": (1, 2)}


def template() -> Catalog:
    """Every marked sentence with the files it stands in (no line numbers: they would change with every edit)."""
    catalogue = Catalog(domain="fairtime", project="Fairtime", header_comment="# Sentences of tray and blocked page.")
    found = extract_from_dir(str(AGENT), [(source, "python") for source in SOURCES], keywords=KEYWORDS)
    for name, _line, message, comments, context in sorted(found, key=lambda row: (row[0], row[1])):
        catalogue.add(message, locations=[(f"agent/{name}", 0)], auto_comments=comments, context=context)
    return catalogue


def main() -> None:
    with (HERE / "fairtime.pot").open("wb") as out:
        write_po(out, template(), include_lineno=False, width=100, omit_header=True)
    for source in sorted(HERE.glob("*/LC_MESSAGES/fairtime.po")):
        with source.open("rb") as text:
            catalogue = read_po(text, domain="fairtime")
        with source.with_suffix(".mo").open("wb") as out:
            write_mo(out, catalogue)


if __name__ == "__main__":
    main()
