"""The words that people read: English in the source, other languages from gettext catalogues in ``assets/words``.

``Words`` is called with an English sentence and gives it in the session's language; ``{name}`` places are filled after
translation, so that a translator may move them.  ``assets/words/build.py`` extracts and compiles the catalogues.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterable
from pathlib import Path

from agent.resources import folder

DOMAIN = "fairtime"
RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ps", "ur", "yi"})


def assets() -> Path:
    """The folder of icons and words."""
    return folder("assets")


class Words:
    """English sentences in the language of whoever reads them; ``language`` is its code, such as ``en`` or ``zh``."""

    def __init__(self, catalogue: gettext.NullTranslations | None = None, language: str = "en") -> None:
        self._catalogue = catalogue or gettext.NullTranslations()
        self.language = language

    @property
    def rtl(self) -> bool:
        """Whether it is read from right to left."""
        return self.language.partition("_")[0] in RIGHT_TO_LEFT

    def __call__(self, sentence: str, /, **places: object) -> str:
        return self._catalogue.gettext(sentence).format(**places) if places else self._catalogue.gettext(sentence)

    def many(self, one: str, other: str, n: int, **places: object) -> str:
        """``one`` or ``other`` by the language's own plural rule; ``{n}`` is always filled."""
        return self._catalogue.ngettext(one, other, n).format(n=n, **places)


ENGLISH = Words()


def marked(sentence: str) -> str:
    """``sentence`` itself: whoever shows it calls ``Words`` with it, and the catalogues know it from here."""
    return sentence


def session_words(languages: Iterable[str] = ()) -> Words:
    """Words in the first of ``languages`` that there is, in English otherwise.

    They are names of locales or language tags (``pt_BR.UTF-8``, ``zh-Hans-CN``), the best liked first; English is always
    there, so that nothing after it counts (``gettext.translation`` would go on to the next catalogue).
    """
    for tag in languages:
        # Lower case is not left to the file system: Windows' would find ``es`` under ``ES``.
        language, below, country = tag.partition(".")[0].partition("@")[0].replace("-", "_").partition("_")
        for name in (f"{language.lower()}{below}{country}", language.lower()):
            if name == "en":
                return ENGLISH
            place = assets() / "words" / name / "LC_MESSAGES" / f"{DOMAIN}.mo"
            if name.replace("_", "").isalnum() and place.is_file():
                with place.open("rb") as catalogue:
                    return Words(gettext.GNUTranslations(catalogue), name)
    return ENGLISH
