"""From text to search terms: words, without accents, without endings, in the text's language.

Both sides of a search pass through here, documents and queries, so that "l'école" finds "ECOLES" and nothing depends
on how carefully a question was typed.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.function_words import FUNCTION_WORDS

# ISO 639-1 codes of the languages that Snowball stems, and its names for them.
STEMMED = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
DETECTED = ("en", "fr")

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
# What French puts before an apostrophe and means nothing in a search.
_ELIDED = frozenset("c d j jusqu l lorsqu m n puisqu qu quoiqu s t".split())  # noqa: SIM905
_FRENCH_LETTERS = re.compile("[àâæçèéêëîïôœùûÿ]", re.IGNORECASE)
# Letters that neither French nor English words have, for words that both accents and endings may mislead about.
_FOREIGN_LETTERS = re.compile("[äöüßåøñãõáíóúąćęłńśźżčďěňřšťůžőűășțğş¿¡]", re.IGNORECASE)
# Endings that one of the two languages has often and the other hardly ever.
_ENGLISH_ENDINGS = re.compile(r"(?:ing|ness|ship|ght|th|wn|ly|ck)$")
_FRENCH_ENDINGS = re.compile(r"(?:eurs?|euses?|aux|eaux|oirs?|aires?|iques?|ements?|er|ez|ois|ais|ites?)$")
_READ = 2000  # characters of a document that decide its language
_FOREIGN_LEAD = 2  # function words; one more than English or French may be a name in a question
# What makes a language certain: of English and French prose, function words are a third; a tenth of a table with some
# prose in it. Relatives of the other languages, such as Slovak, have many of their words, so more is asked of these.
_SHARE, _FOREIGN_SHARE, _LEAD = 0.1, 0.2, 1.2
_SHORT, _DIFFERENT = 20, 3  # a text of so many words must have so many different function words
_BEYOND_LATIN = "\u0250"
_UNDECOMPOSED = str.maketrans("øłđıð", "oldid")  # Unicode takes no accent off these


def detect_language(text: str) -> str | None:
    """Returns the likeliest language of a text, as an ISO 639-1 code, or None where the text does not say.

    Function words decide; where English and French tie, as in a query of two nouns, accents and endings do. This is a
    guess, good enough to choose a stemmer; `language_of` gives what may be written down.

    Args:
        text: A document or a query; the first 2,000 characters are read.
    """
    found = _small_words(text[:_READ])
    counts = _counts(found)
    english, french = counts["en"], counts["fr"]
    foreign = max((language for language in counts if language not in DETECTED), key=counts.__getitem__)
    if counts[foreign] >= max(english, french) + _FOREIGN_LEAD:
        return foreign
    if not english and not french and _FOREIGN_LETTERS.search(text[:_READ]):
        return None
    if english == french:
        french += len(_FRENCH_LETTERS.findall(text[:_READ]))
    if english == french:
        english += sum(bool(_ENGLISH_ENDINGS.search(word)) for word in found)
        french += sum(bool(_FRENCH_ENDINGS.search(word)) for word in found)
    if english == french:
        return None
    return "en" if english > french else "fr"


def language_of(text: str) -> str | None:
    """Returns the language that a document is certainly in, as an ISO 639-1 code, or None.

    Enough of its words must be function words of one language, and clearly fewer be those of any other. Where the
    beginning does not say, as with a table of contents, the middle is asked.

    Args:
        text: A document's text.
    """
    middle = len(text) // 2
    return _certain(text[:_READ]) or (_certain(text[middle : middle + _READ]) if middle > _READ else None)


def _certain(text: str) -> str | None:
    letters = [char for char in text if char.isalpha()]
    if sum(char < _BEYOND_LATIN for char in letters) <= len(letters) / 2:
        return None
    found = _small_words(text)
    counts = _counts(found)
    first, second = sorted(counts, key=counts.__getitem__, reverse=True)[:2]
    known = first in DETECTED
    least = len(found) * (_SHARE if known else _FOREIGN_SHARE)
    if counts[first] < max(1, least, counts[second] * _LEAD) or counts[first] == counts[second]:
        return None
    different = len(FUNCTION_WORDS[first].intersection(found))
    return first if different >= _DIFFERENT or (known and len(found) < _SHORT) else None


def _small_words(text: str) -> list[str]:
    folded = fold(text.lower()).translate(_UNDECOMPOSED)
    return [part for word in _WORD.findall(folded) for part in word.split("'")]


def _counts(found: list[str]) -> dict[str, int]:
    return {language: sum(word in known for word in found) for language, known in FUNCTION_WORDS.items()}


def function_words() -> frozenset[str]:
    """Returns the words that say nothing about what an English or French text is about, without accents."""
    return FUNCTION_WORDS["en"] | FUNCTION_WORDS["fr"]


def words(text: str) -> list[str]:
    """Returns the words and numbers of a text, in lower case and without accents.

    A French article that is written together with its noun is left out (l'école: ecole), and so is the English
    genitive (the school's: school); a compound with hyphens is several words.
    """
    found: list[str] = []
    for word in _WORD.findall(fold(text.lower())):
        if "'" in word:
            *before, last = word.split("'")
            kept = [part for part in before if part not in _ELIDED]
            # don't, aujourd'hui: one word; school's: the word before.
            word = "".join(kept) if last == "s" and kept else "".join([*kept, last])
        found.append(word)
    return found


class _Plain(dict[int, str]):
    """Characters without the accents of Latin letters; in other scripts a mark can make another letter."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        base = unicodedata.normalize("NFKD", char)
        latin = base[0].isascii() and all(map(unicodedata.combining, base[1:]))
        self[code] = base[0] if latin else char
        return self[code]


_PLAIN = _Plain({ord("œ"): "oe", ord("æ"): "ae", ord("ß"): "ss", ord("’"): "'"})


def fold(text: str) -> str:
    """Returns a text without accents, and with straight apostrophes."""
    return text if text.isascii() else unicodedata.normalize("NFC", text).translate(_PLAIN)


class Analyser:
    """Makes search terms of texts in one language, or of texts whose language is detected one by one.

    A text whose language cannot be told gets the stems of every language that can be detected, so that a query of one
    word still meets its documents. May be called from several threads.

    Args:
        language: An ISO 639-1 code that Snowball stems, such as `"fr"`, or None to detect English and French.

    Raises:
        InvalidInputError: The language is not stemmed.
        MissingDependencyError: The extra `rag` is not installed.
    """

    def __init__(self, language: str | None) -> None:
        if language is not None and language not in STEMMED:
            raise InvalidInputError(
                f"language is {language!r}, which is not stemmed here. Known are {', '.join(STEMMED)}; "
                "None detects English and French."
            )
        self.language = language
        stemmer = require("Stemmer", extra="rag").Stemmer
        self._stemmers: dict[str, Any] = {
            code: stemmer(STEMMED[code]) for code in ([language] if language else DETECTED)
        }
        self._lock = threading.Lock()  # a PyStemmer stemmer keeps a cache that is not safe between threads

    def document_terms(self, text: str, *, language: str | None = None) -> list[str]:
        """Returns a document's terms in order; `language` is what its metadata says, if it does."""
        found = words(text)
        stemmed = [self._stems(code, found) for code in self._languages(text, language)]
        if len(stemmed) == 1:
            return stemmed[0]
        return [term for stems in zip(*stemmed, strict=True) for term in dict.fromkeys(stems)]

    def query_terms(self, text: str) -> list[tuple[str, ...]]:
        """Returns a query's words in order, each as the terms that it may stand under in the index."""
        found = words(text)
        stemmed = [self._stems(code, found) for code in self._languages(text, None)]
        return [tuple(dict.fromkeys(stems)) for stems in zip(*stemmed, strict=True)]

    def _languages(self, text: str, told: str | None) -> list[str]:
        language = self.language or (told if told in self._stemmers else detect_language(text))
        return [language] if language in self._stemmers else list(self._stemmers)

    def _stems(self, language: str, found: list[str]) -> list[str]:
        with self._lock:
            stems: list[str] = self._stemmers[language].stemWords(found)
        return stems
