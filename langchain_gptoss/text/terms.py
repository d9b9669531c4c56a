"""Search terms: the words of a text without accents and endings, stemmed in the text's language.

Documents and queries are analysed in the same way, so the query "l'école" finds "ECOLES".
"""

from __future__ import annotations

import re
import threading
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.language import DETECTED_LANGUAGES, detect_language
from langchain_gptoss.text.normalization import fold_for_search

STEMMER_NAMES = {
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
"""ISO 639-1 codes of the languages that Snowball stems, with Snowball's names for them."""

# The vowel signs of Indian and Thai script belong to the word, although they are no letters.
_MARKS = (
    "\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963\u0981-\u0983\u09bc-\u09cd\u0a01-\u0a03\u0a3c-\u0a4d"
    "\u0a81-\u0a83\u0abc-\u0acd\u0b82\u0bbe-\u0bcd\u0c00-\u0c03\u0c3e-\u0c4d\u0c81-\u0c83\u0cbc-\u0ccd\u0d00-\u0d03"
    "\u0d3e-\u0d4d\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
)
_LAST_WITHOUT_MARKS = "\u08ff"
_WORD_WITHOUT_MARKS = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_LETTERS = f"(?:[^\\W_][{_MARKS}]*)+"
_WORD = re.compile(f"{_LETTERS}(?:'{_LETTERS})*")
_BROKEN_WORD = re.compile(r"([^\W\d_]{1,40})-[ \t]*\r?\n[ \t]*([^\W\d_]+)")
_GROUPED_NUMBER = re.compile(r"(?<![\d.,'])\d{1,3}(?:(?: \d{3})+|(?:,\d{3})+|(?:\.\d{3})+|(?:'\d{3})+)(?!\d)")
# French words that are written together with the next word and mean nothing in a search.
_ELIDED = frozenset("c d j jusqu l lorsqu m n puisqu qu quoiqu s t".split())  # noqa: SIM905


def split_words(text: str) -> list[str]:
    """Return all words and numbers of a text in order, in lower case and without accents.

    A French article that is written together with its noun is left out ("l'école": "ecole"), and so is the English
    genitive ("the school's": "school"). A compound with hyphens is several words. Words that a line end broke at a
    hyphen ("infor-/mation"), and numbers whose digits are grouped ("12 500"), are found by their parts and as a whole;
    the wholes come last. Unlike `words.extract_content_words`, it keeps function words and does not merge synonyms: a
    search index needs both.
    """
    words: list[str] = []
    text = fold_for_search(text)
    pattern = _WORD_WITHOUT_MARKS if text.isascii() or max(text) <= _LAST_WITHOUT_MARKS else _WORD
    for word in pattern.findall(text):
        if "'" in word:
            *first, last = word.split("'")
            parts = [part for part in first if part not in _ELIDED]
            # "don't" and "aujourd'hui" are one word; "school's" is the word before the apostrophe.
            word = "".join(parts) if last == "s" and parts else "".join([*parts, last])
        words.append(word)
    if "\n" in text:
        words += ("".join(parts) for parts in _BROKEN_WORD.findall(text))
    words += (re.sub(r"\D", "", number) for number in _GROUPED_NUMBER.findall(text))
    return words


class TermAnalyser:
    """Turns texts into search terms, in one language or in the language that is detected for each text.

    A text whose language is not detected gets the stems of every language that can be detected, so that a query of one
    word still finds its documents. Several threads may use it at once.

    Args:
        language: An ISO 639-1 code that Snowball stems, such as `"fr"`, or None to detect English and French.

    Raises:
        InvalidInputError: Snowball has no stemmer for the language.
        MissingDependencyError: The extra `rag` is not installed.
    """

    def __init__(self, language: str | None) -> None:
        if language is not None and language not in STEMMER_NAMES:
            raise InvalidInputError(
                f"There is no stemmer for language={language!r}.",
                hint=f"Use one of {', '.join(STEMMER_NAMES)}, or None to detect English and French.",
            )
        self.language = language
        stemmer = require("Stemmer", extra="rag").Stemmer
        self._stemmers: dict[str, Any] = {
            code: stemmer(STEMMER_NAMES[code]) for code in ([language] if language else DETECTED_LANGUAGES)
        }
        self._lock = threading.Lock()  # a PyStemmer stemmer has a cache that threads must not use at the same time

    def analyse_document(self, text: str, *, language: str | None = None) -> list[str]:
        """Return the terms of a document in order.

        Args:
            text: The document.
            language: ISO 639-1 code from the document's metadata, or None if the metadata has none.
        """
        words = split_words(text)
        stemmed = [self._stem(code, words) for code in self._choose_languages(text, language)]
        if len(stemmed) == 1:
            return stemmed[0]
        return [term for stems in zip(*stemmed, strict=True) for term in dict.fromkeys(stems)]

    def analyse_query(self, text: str) -> list[tuple[str, ...]]:
        """Return the words of a query in order, each as the terms under which documents may hold it."""
        words = split_words(text)
        stemmed = [self._stem(code, words) for code in self._choose_languages(text, None)]
        return [tuple(dict.fromkeys(stems)) for stems in zip(*stemmed, strict=True)]

    def _choose_languages(self, text: str, declared: str | None) -> list[str]:
        language = self.language or (declared if declared in self._stemmers else detect_language(text))
        return [language] if language in self._stemmers else list(self._stemmers)

    def _stem(self, language: str, words: list[str]) -> list[str]:
        with self._lock:
            stems: list[str] = self._stemmers[language].stemWords(words)
        return stems
