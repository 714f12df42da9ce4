"""The words that people read: English in the source, other languages from gettext catalogues in ``assets/words``.

``Words`` is called with an English sentence and gives it in the session's language; ``{name}`` places are filled after
translation, so that a translator may move them.  ``assets/words/build.py`` extracts and compiles the catalogues.
"""

from __future__ import annotations

import gettext
from pathlib import Path

from agent.resources import folder

DOMAIN = "fairtime"


def assets() -> Path:
    """The folder of icons and words."""
    return folder("assets")


class Words:
    """English sentences in the language of whoever reads them."""

    def __init__(self, catalogue: gettext.NullTranslations | None = None) -> None:
        self._catalogue = catalogue or gettext.NullTranslations()

    def __call__(self, sentence: str, **places: object) -> str:
        return self._catalogue.gettext(sentence).format(**places) if places else self._catalogue.gettext(sentence)

    def many(self, one: str, other: str, n: int, **places: object) -> str:
        """``one`` or ``other`` by the language's own plural rule; ``{n}`` is always filled."""
        return self._catalogue.ngettext(one, other, n).format(n=n, **places)


ENGLISH = Words()


def session_words(languages: list[str] | None = None) -> Words:
    """Words in the session's language (LANGUAGE, LC_ALL, LC_MESSAGES, LANG), English where there is no catalogue."""
    return Words(gettext.translation(DOMAIN, str(assets() / "words"), languages=languages, fallback=True))
