"""The page in the place of one that is not open: what holds, why, how to ask, where to get help.  Pure.

No script, nothing from elsewhere, no frame around it, no trace of it in any cache.  It is in the language that the browser asks
for, if there is a catalogue (``page`` in ``assets/words``).
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from agent.core.saying import say
from agent.core.sites import HELPLINE, Ruling
from agent.helplines import help_text
from agent.words import RIGHT_TO_LEFT, Words

DOMAIN = "page"
LANGUAGES = 8
"""Languages of an Accept-Language line that are tried."""

Outcome = Literal["asked", "already", "open", "no", "too-many", "refused", "silent", "stale"]
"""As ``Answered``; nobody answered in time; the page from which was asked is too old."""

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --quiet: #5a6377; --paper: #f4f6fb; --card: #fff; --act: #2454c5; --on: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf5; --quiet: #a5aec2; --paper: #12161f; --card: #1c2230; --act: #8fb0ff; --on: #10141d }
}
body { margin: 0; padding: 6vh 1.2rem; background: var(--paper); color: var(--ink); font: 1.1rem/1.6 system-ui, sans-serif }
main { max-width: 34rem; margin: auto; padding: 2rem; background: var(--card); border-radius: 1rem }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.3; overflow-wrap: anywhere }
p { margin: 0 0 1rem; white-space: pre-line }
input { padding: .7rem; border: 1px solid var(--quiet); border-radius: .6rem; background: var(--paper); color: var(--ink); font: inherit }
button { padding: .7rem 1.4rem; border: 0; border-radius: .6rem; background: var(--act); color: var(--on); font: inherit; font-weight: 600; cursor: pointer }
button:focus-visible, summary:focus-visible { outline: 3px solid var(--ink); outline-offset: 3px }
.said { padding: .8rem 1rem; border-inline-start: .3rem solid var(--act); background: var(--paper) }
details { margin-top: 1.5rem } summary { cursor: pointer; font-weight: 600 } details p { margin-top: .8rem }
footer { margin-top: 1.5rem; color: var(--quiet); font-size: .9rem }
"""


class Reader(Struct, frozen=True):
    """Words in one language, and which."""

    words: Words
    language: str = "en"

    @property
    def direction(self) -> str:
        return "rtl" if self.language.partition("_")[0] in RIGHT_TO_LEFT else "ltr"


class Languages:
    """The catalogues there are, read at once: later this process has no right to read anything."""

    def __init__(self, folder: Path) -> None:
        self._readers: dict[str, Reader] = {"en": Reader(Words())}
        for place in folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"):
            name = place.parent.parent.name
            self._readers[name] = Reader(Words(gettext.translation(DOMAIN, str(folder), [name])), name)

    def reader(self, accepted: str) -> Reader:
        """For an Accept-Language line: the first of its languages that there is, English otherwise."""
        for tag in accepted.split(",")[:LANGUAGES]:
            language = tag.partition(";")[0].strip().replace("-", "_")
            for name in (language, language.partition("_")[0].lower()):
                if name in self._readers:
                    return self._readers[name]
        return self._readers["en"]


def page(
    reader: Reader,
    host: str,
    ruling: Ruling | None,
    *,
    token: str,
    nonce: str,
    outcome: Outcome | None = None,
    own: bool = False,
) -> bytes:
    """The whole page.  ``ruling`` is ``None`` when it is not known which page was wanted; then there is no asking, but for the
    page at our ``own`` address, which has a field for the site."""
    words = reader.words
    shut = ruling is not None and ruling.action != "allow"
    ask, get_help = words("Ask for it"), words("Get help")
    origin = words("This page comes from Fairtime on this PC.")
    title, why = _title(words, host, ruling)
    if own and ruling is None:
        title = ask
    parts = [f"<h1>{_text(title)}</h1>"]
    if why:
        parts.append(f'<p dir="auto">{_text(why)}</p>')
    if outcome is not None:
        parts.append(f'<p class="said" role="status">{_text(_said(words, outcome))}</p>')
    if shut and outcome in (None, "silent", "stale"):
        parts.append(
            f'<form method="post" action="/"><input type="hidden" name="token" value="{_text(token)}">'
            f"{_hidden_site(host) if own else ''}"
            f"<button>{_text(ask)}</button></form>"
        )
    if own and ruling is None:
        parts.append(
            f'<form method="get" action="/"><input name="site" placeholder="example.org" dir="ltr" maxlength="253" required '
            f'aria-label="{_text(ask)}"> <button>{_text(ask)}</button></form>'
        )
    paragraphs = "".join(f"<p>{_text(part)}</p>" for part in help_text(words).split("\n\n"))
    parts.append(f"<details><summary>{_text(get_help)}</summary>{paragraphs}</details>")
    parts.append(f"<footer>{_text(origin)}</footer>")
    return (
        f'<!doctype html><html lang="{_text(reader.language.replace("_", "-"))}" dir="{reader.direction}"><head>'
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{_text(title)}</title><style nonce="{nonce}">{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    ).encode()


def _hidden_site(host: str) -> str:
    return f'<input type="hidden" name="site" value="{_text(host)}">'


def _title(words: Words, host: str, ruling: Ruling | None) -> tuple[str, str]:
    if ruling is None:
        return words("This page is not open for you"), ""
    if ruling.action == "allow":
        again = words("Load the page again. It may take a minute until the browser notices.")
        return words("{host} is open for you", host=host), "" if ruling.rule == HELPLINE else again
    if ruling.action == "ask":
        title = words("{host} opens when you ask for it", host=host)
    else:
        title = words("{host} is not open for you", host=host)
    why = [words("It leads to {name}.", name=ruling.name)] if ruling.led else []
    if ruling.said is not None:
        why.append(say(ruling.said, words))
    elif ruling.reason:
        why.append(words(ruling.reason))  # a guardian's, or one of the presets'
    elif ruling.group:
        why.append(words("It belongs to “{group}”.", group=ruling.group))
    elif not ruling.name:
        why.append(words("It is not on your list yet."))
    return title, "\n".join(why)


def _said(words: Words, outcome: Outcome) -> str:
    match outcome:
        case "asked":
            return words("You have asked. When a guardian says yes, load the page again.")
        case "already":
            return words("You have asked for this already. Nobody has answered yet.")
        case "open":
            return words("This is open for you now. Load the page again.")
        case "no":
            return words("A guardian has said no to this for today. You can ask again tomorrow.")
        case "too-many":
            return words("You have asked for a lot in a short time. Please wait a little, or talk to a guardian.")
        case "refused":
            return words("This cannot be asked for here. Talk to a guardian.")
        case "silent":
            return words("The question could not be passed on. Please try again in a moment.")
        case "stale":
            return words("This page was open for a long time. Please ask once more.")


def headers(reader: Reader, nonce: str) -> Mapping[str, str]:
    """What a browser has to keep to with this page."""
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Language": reader.language.replace("_", "-"),
        "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Vary": "Accept-Language",
    }


def _text(text: str) -> str:
    return text.translate(_ESCAPES)
