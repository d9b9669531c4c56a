"""Language detection by function words.

There are two functions because a wrong answer costs differently. `detect_language` makes the best guess, which is good
enough to choose a stemmer or the language of a reply. `identify_language` answers only if it is certain, so that the
answer can be stored in a document's metadata.
"""

from __future__ import annotations

import re

from langchain_gptoss.text.function_words import FUNCTION_WORDS
from langchain_gptoss.text.normalization import fold_for_search

DETECTED_LANGUAGES = ("en", "fr")
"""Languages that are detected with special care and have their own texts in a chatbot."""
_DEFAULT_LANGUAGE = "en"
_WORD = re.compile(r"[^\W_]+")
_FRENCH_LETTERS = re.compile("[àâæçèéêëîïôœùûÿ]", re.IGNORECASE)
# Letters that neither French nor English words have. Accents and endings would mislead about words that have them.
_FOREIGN_LETTERS = re.compile("[äöüßåøñãõáíóúąćęłńśźżčďěňřšťůžőűășțğş¿¡]", re.IGNORECASE)
# Endings that one of the two languages has often and the other hardly ever.
_ENGLISH_ENDINGS = re.compile(r"(?:ing|ness|ship|ght|th|wn|ly|ck)$")
_FRENCH_ENDINGS = re.compile(r"(?:eurs?|euses?|aux|eaux|aires?|iques?|ez|ois)$")
_SAMPLE_CHARS = 2000  # characters of a document that decide its language
_FOREIGN_LEAD = 2  # function words by which another language must lead; one more may be a name in a question
# Minimum share of function words. They are a third of English and French prose; a tenth is a table with some prose in
# it. Related languages, such as Slovak beside Czech, share many function words, so other languages need more.
_MIN_SHARE, _MIN_SHARE_FOREIGN = 0.1, 0.2
_MIN_LEAD = 1.2  # times the function words of the second language
_MIN_DISTINCT = 3  # distinct function words
_BEFORE_NAME = re.compile(r"[^\W\d_]+\s+(?=[A-ZÀ-ÖØ-Þ])")  # "de la" in "Marie de la Tour" is part of the name
# A text of fewer words is a title or a cell, and needs a larger share of function words.
_SHORT_TEXT_WORDS, _MIN_SHARE_SHORT = 20, 0.25
# Function words of another language that the first one has not, as a share of those that only the first one has. More
# than this is a text in two languages.
_MAX_MIXTURE = 0.4
_FIRST_NON_LATIN = "\u0250"

_LANGUAGES_BY_WORD: dict[str, tuple[str, ...]] = {
    word: tuple(language for language, listed in FUNCTION_WORDS.items() if word in listed)
    for word in frozenset().union(*FUNCTION_WORDS.values())
}


def detect_language(text: str) -> str | None:
    """Return the likeliest language of a text as an ISO 639-1 code, or None if nothing in it shows a language.

    Function words decide. If English and French tie, as in a query of two nouns, accents and word endings decide.

    Args:
        text: A document or a query; the first 2,000 characters are read.
    """
    text = text[:_SAMPLE_CHARS]
    words = _split_words(text)
    counts = _count_function_words(words)
    english, french = counts["en"], counts["fr"]
    foreign = max((language for language in counts if language not in DETECTED_LANGUAGES), key=counts.__getitem__)
    if counts[foreign] >= max(english, french) + _FOREIGN_LEAD:
        return foreign
    if not english and not french and _FOREIGN_LETTERS.search(text):
        return None
    if english == french:
        french += len(_FRENCH_LETTERS.findall(text))
    if english == french:
        english += sum(bool(_ENGLISH_ENDINGS.search(word)) for word in words)
        french += sum(bool(_FRENCH_ENDINGS.search(word)) for word in words)
    if english == french:
        return None
    return "en" if english > french else "fr"


def choose_language(text: str) -> str:
    """Return the likeliest language of a text as `detect_language` does, or `"en"` if nothing shows a language."""
    return detect_language(text) or _DEFAULT_LANGUAGE


def identify_language(text: str) -> str | None:
    """Return the language of a document as an ISO 639-1 code, or None if it is not certain.

    Enough of the words must be function words of one language, clearly more than of any other: a title, a table, a list
    of names or a text in two languages has no certain language. If the beginning does
    not decide, as with a table of contents, the middle is read.

    Args:
        text: The text of a document.
    """
    middle = len(text) // 2
    language = _identify_sample(text[:_SAMPLE_CHARS])
    if language is None and middle > _SAMPLE_CHARS:
        language = _identify_sample(text[middle : middle + _SAMPLE_CHARS])
    return language


def _identify_sample(text: str) -> str | None:
    if not text.isascii():
        letters = [char for char in text if char.isalpha()]
        if sum(char < _FIRST_NON_LATIN for char in letters) <= len(letters) / 2:
            return None
    words = _split_words(text)
    counts = _count_function_words(words)
    first, second = sorted(counts, key=counts.__getitem__, reverse=True)[:2]
    min_share = _MIN_SHARE if first in DETECTED_LANGUAGES else _MIN_SHARE_FOREIGN
    required = len(words) * (max(min_share, _MIN_SHARE_SHORT) if len(words) < _SHORT_TEXT_WORDS else min_share)
    if counts[first] < max(1, required, counts[second] * _MIN_LEAD) or counts[first] == counts[second]:
        return None
    decisive = _split_words(_BEFORE_NAME.sub(" ", text)) if len(words) < _SHORT_TEXT_WORDS else words
    if len(FUNCTION_WORDS[first].intersection(decisive)) < _MIN_DISTINCT:
        return None
    # Most texts have too few words of the second language for a closer look.
    others = [
        other
        for other in dict.fromkeys((second, *DETECTED_LANGUAGES))
        if counts[other] > _MAX_MIXTURE * (counts[first] - counts[other])
    ]
    return None if any(_is_mixed(words, first, other) for other in others) else first


def _is_mixed(words: list[str], first: str, other: str) -> bool:
    """Return True if a text has many words that are function words of the other language only."""
    if other == first:
        return False
    languages = [_LANGUAGES_BY_WORD[word] for word in words if word in _LANGUAGES_BY_WORD]
    only_other = sum(other in each and first not in each for each in languages)
    return only_other > _MAX_MIXTURE * sum(first in each and other not in each for each in languages)


def _split_words(text: str) -> list[str]:
    return _WORD.findall(fold_for_search(text))


def _count_function_words(words: list[str]) -> dict[str, int]:
    counts = dict.fromkeys(FUNCTION_WORDS, 0)
    for word in words:
        for language in _LANGUAGES_BY_WORD.get(word, ()):
            counts[language] += 1
    return counts
