"""The manual page and the shells' completions, made of the command line's own parsers: what they say is what it understands."""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import os
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from agent.bundle import version
from agent.cli import parser

_WHAT = "screen-time limits for the family PC, fair and in the open"
SHELLS = {"bash": "fairtime.bash", "zsh": "_fairtime", "fish": "fairtime.fish"}
_EXAMPLES = (
    ("fairtime status", "how much time is left, and why"),
    ("fairtime grant +30m --child mia", "half an hour more today"),
    ("fairtime grant discord --for 1h --child mia", "a program, for an hour"),
    ("fairtime request", "what the children ask for; with --grant ID --for today, a yes"),
    ("fairtime why example.org --child mia", "what would be decided, and by which rule"),
    ("fairtime summary --html week.html", "the week as a page"),
    ("fairtime doctor", "what protects this PC, and what weakens it"),
)
_MORE = (
    (
        "EXAMPLES",
        "".join(f".TP\n.B {line.replace('-', chr(92) + '-')}\n{words}\n" for line, words in _EXAMPLES).rstrip(),
    ),
    ("EXIT STATUS", "0: done.  1: refused, or failed, with the reason on standard error.  2: the call was wrong."),
    (
        "FILES",
        "/etc/fairtime/family.toml: the policy as its guardian writes it.\n.br\n"
        "/etc/fairtime/guardian.key: the key that signs it, encrypted.\n.br\n"
        "/var/lib/fairtime: the policy in force, the ledger and the audit; the service's alone.",
    ),
    ("SEE ALSO", "/usr/share/doc/fairtime/guardian.md, /usr/share/doc/fairtime/limits.md"),
)


def write(folder: Path, epoch: int) -> None:
    """``fairtime.1.gz`` and a completion for each shell into ``folder``; the same bytes for the same ``epoch`` (seconds)."""
    folder.mkdir(parents=True, exist_ok=True)
    # Help is wrapped to the terminal's width, which is nobody's here.
    os.environ["COLUMNS"] = "100"
    (folder / "fairtime.1.gz").write_bytes(gzip.compress(page(epoch).encode(), 9, mtime=epoch))
    for shell, name in SHELLS.items():
        (folder / name).write_text(completion(shell), encoding="utf-8")


def page(epoch: int) -> str:
    """fairtime(1)."""
    made = Manpage(_for_people())
    made.source, made.manual = f"Fairtime {version()}", "Fairtime"
    made.date = dt.datetime.fromtimestamp(epoch, dt.UTC).strftime("%Y-%m-%d")
    # man-db finds a page by this line (lexgrog(1)).
    text = str(made).rstrip().replace(".SH NAME\nfairtime\n", f".SH NAME\nfairtime \\- {_WHAT}\n", 1) + "\n"
    return text + "".join(f".SH {title}\n{words}\n" for title, words in _MORE)


def completion(shell: str) -> str:
    """The script for ``bash``, ``zsh`` or ``fish``."""
    return str(shtab.complete(_for_people(), shell=shell)).rstrip() + "\n"


def _for_people() -> argparse.ArgumentParser:
    """Without the commands that only Fairtime's own parts use, which are those without a word of help."""
    made = parser()
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {one.dest for one in action._choices_actions}
            for name in [name for name in action.choices if name not in said]:
                del action.choices[name]
    return made
