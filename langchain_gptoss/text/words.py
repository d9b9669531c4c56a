"""Content words of English and French text, for comparing questions, claims and passages.

Words are compared without accents, endings and function words, number words are digits, and common synonyms are the
same word. The weights in `chatbot/grounding/calibration.json` are fitted on these words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from langchain_gptoss.text.function_words import STOP_WORDS
from langchain_gptoss.text.normalization import fold_accents, normalize_number, normalize_prose

_WORD = re.compile(r"[^\W_]+(?:[.,:/][0-9]+)*(?:['’][^\W_]+)?")
_NUMBER_WORDS = {
    word: str(number)
    for words in (
        "_ _ two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
        "_ _ deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze",
    )
    for number, word in enumerate(words.split())
    if word != "_"
}
# Each line holds words that people and documents use for the same thing; the first one represents all.
_SYNONYMS = {
    word: line.split()[0]
    for line in (
        "cost price rate fee charge cout coute prix tarif frais",
        "shipping delivery shipment postage livraison expedition envoi",
        "euro eur",
        "dollar usd",
    )
    for word in line.split()
}
_MIN_SHARED_LETTERS, _MAX_ENDING_LETTERS = 4, 3  # of two words that differ only by their endings
_AMOUNT = re.compile(r"[$€£]\s?\d|\d\s?(?:[$€£]|euros?\b|eur\b|dollars?\b|usd\b)", re.IGNORECASE)


def extract_content_words(text: str) -> list[str]:
    """Return the content words and numbers of a text in order, in lower case and without accents.

    Unlike `terms.split_words`, it leaves out function words, writes number words as digits and merges synonyms: claims
    and passages are compared by their topics.
    """
    return [word for _, word in extract_words_with_spelling(text)]


def extract_words_with_spelling(text: str) -> list[tuple[str, str]]:
    """Return the content words of a text in order, each as it is spelled and as `extract_content_words` has it."""
    pairs = []
    for match in _WORD.finditer(normalize_prose(text)):
        spelling = match[0].replace("’", "'")
        is_genitive = spelling.lower().endswith("'s")
        spelling = spelling[:-2] if is_genitive else spelling.rsplit("'", 1)[-1]
        word = spelling.lower()
        if word and word not in STOP_WORDS:
            pairs.append((spelling, _replace_synonym(fold_accents(_NUMBER_WORDS.get(word, word)))))
    return pairs


def _replace_synonym(word: str) -> str:
    return _SYNONYMS.get(word) or _SYNONYMS.get(word.removesuffix("s"), word)


def is_stop_word(word: str) -> bool:
    """Return True for a word that does not show the topic of a text, in any case."""
    return word.lower() in STOP_WORDS


def is_same_word(first: str, second: str) -> bool:
    """Return True if two content words are equal or differ only by an ending: "cost" and "costs"."""
    if first == second:
        return True
    if first[0].isdigit() or second[0].isdigit():
        return normalize_number(first) == normalize_number(second)
    shared = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    longest_ending = max(len(first), len(second)) - shared
    return shared >= _MIN_SHARED_LETTERS and longest_ending <= _MAX_ENDING_LETTERS


class Lexicon:
    """The content words of a text, which are found with any ending.

    Args:
        text: The text.

    Attributes:
        words: Its content words in order.
    """

    def __init__(self, text: str) -> None:
        self.words = extract_content_words(text)
        self._positions: dict[str, list[int]] = {}
        for position, word in enumerate(self.words):
            self._positions.setdefault(word, []).append(position)
        if _AMOUNT.search(text):
            self._positions.setdefault("cost", [])  # an amount of money answers a question for the cost
        self._by_key: dict[str, list[str]] = {}
        for word in self._positions:
            self._by_key.setdefault(_make_key(word), []).append(word)

    def __contains__(self, word: str) -> bool:
        return word in self._positions or any(is_same_word(word, other) for other in self._get_similar(word))

    def find_positions(self, word: str) -> list[int]:
        """Return the positions of a word among the content words."""
        same = (other for other in self._get_similar(word) if is_same_word(word, other))
        return [position for other in same for position in self._positions[other]]

    def _get_similar(self, word: str) -> Sequence[str]:
        return self._by_key.get(_make_key(word), ())


def _make_key(word: str) -> str:
    """Return a key that is equal for all words that `is_same_word` can accept."""
    return normalize_number(word) if word[0].isdigit() else word[:_MIN_SHARED_LETTERS]


@lru_cache(maxsize=8192)
def build_lexicon(text: str) -> Lexicon:
    """Return the lexicon of a text; it is cached, because one answer looks into the same passages many times."""
    return Lexicon(text)


def find_missing_words(words: Sequence[str], text: str) -> list[str]:
    """Return the content words that a text does not have; an amount of money counts as the word "cost"."""
    lexicon = build_lexicon(text)
    return [word for word in words if word not in lexicon]


def calculate_coverage(words: Sequence[str], text: str) -> float:
    """Return the share of content words that a text has, from 0 to 1; 0 if there are no words."""
    return 1 - len(find_missing_words(words, text)) / len(words) if words else 0.0
