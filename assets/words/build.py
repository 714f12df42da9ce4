"""Gathers the sentences that people read into templates and compiles every catalogue beside them.

``fairtime.pot`` has those of the tray, ``page.pot`` those of the blocked page, with the reasons that the rules for sites and the
presets give: a domain of its own, so that the one can be in more languages than the other.  Run ``python assets/words/build.py``
after changing a sentence; needs Babel (a tool for developers, never installed with the product).  ``words("…")``,
``words.many("…", "…", n)``, ``Said("…")`` and ``marked("…")`` mark sentences.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

HERE = Path(__file__).resolve().parent
AGENT = HERE.parent.parent / "agent"
PRESETS = HERE.parent.parent / "policies" / "presets"
DOMAINS = {
    "fairtime": ("tray/*.py", "core/*.py", "service/*.py", "platforms/*/desk.py", "helplines.py"),
    "page": ("filter/page.py", "core/saying.py", "core/siteplan.py", "core/siteanswers.py", "helplines.py"),
}
KEYWORDS = {"words": None, "_words": None, "many": (1, 2), "Said": None, "marked": None}


def template(domain: str) -> Catalog:
    """Every marked sentence with the files it stands in (no line numbers: they would change with every edit)."""
    catalogue = Catalog(
        domain=domain, project="Fairtime", header_comment=f"# Sentences of {' and '.join(DOMAINS[domain])}."
    )
    found = extract_from_dir(str(AGENT), [(source, "python") for source in DOMAINS[domain]], keywords=KEYWORDS)
    for name, _line, message, comments, context in sorted(found, key=lambda row: (row[0], row[1])):
        catalogue.add(message, locations=[(f"agent/{name}", 0)], auto_comments=comments, context=context)
    for preset in sorted(PRESETS.glob("*.toml")) if domain == "page" else ():
        rules = tomllib.loads(preset.read_text(encoding="utf-8")).get("sites", {}).get("rules", ())
        for reason in (rule["reason"] for rule in rules if "reason" in rule):
            catalogue.add(reason, locations=[(f"policies/presets/{preset.name}", 0)])
    return catalogue


def print_missing(source: Path, catalogue: Catalog, messages: Catalog) -> None:
    """Say what a translator has to do: sentences that are new, and those that nobody says any more."""
    wanted = {message.id for message in messages if message.id}
    known = {message.id for message in catalogue if message.id and message.string}
    for what, sentences in (("to translate", wanted - known), ("not said any more", known - wanted)):
        for sentence in sorted(map(str, sentences)):
            print(f"{source.relative_to(HERE)}: {what}: {sentence}")


def main() -> None:
    for domain in DOMAINS:
        messages = template(domain)
        with (HERE / f"{domain}.pot").open("wb") as out:
            write_po(out, messages, include_lineno=False, width=100, omit_header=True)
        for source in sorted(HERE.glob(f"*/LC_MESSAGES/{domain}.po")):
            with source.open("rb") as text:
                catalogue = read_po(text, domain=domain)
            print_missing(source, catalogue, messages)
            with source.with_suffix(".mo").open("wb") as out:
                write_mo(out, catalogue)


if __name__ == "__main__":
    main()
