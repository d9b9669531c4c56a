"""Roots of words: two words with related roots differ only by grammar ("deliver", "delivery", "delivered")."""

from __future__ import annotations

import threading
from functools import lru_cache

from langchain_gptoss._optional import require
from langchain_gptoss.text.terms import STEMMER_NAMES
from langchain_gptoss.text.verbs import find_infinitive
from langchain_gptoss.text.word_lists import parse_words

_lock = threading.Lock()  # a PyStemmer stemmer has a cache that threads must not use at the same time
# What Snowball leaves of endings that make a noun or an adjective of a verb.
_REMAINDERS = parse_words(
    """e i y s r t at ion ation it ition ment ement er or ur eur ant anc ent enc abl ibl al el il iv if ur iqu ic ag is
    iz aison ison ist ism ness ship hood atric teur euse ure eri atur ature etur ertur"""
) | {""}
_SAFE_REMAINDERS = frozenset(("ment", "abl"))  # "payment" and "payable" of "pay"
_SHORT_PREFIX = 3
_PLURALS = frozenset("esiy")
_MIN_PREFIX, _SAFE_PREFIX = 4, 5  # letters that related roots share; the longer one if both have an ending


@lru_cache(maxsize=32)
def _load_stemmer(language: str) -> object:
    return require("Stemmer", extra="rag").Stemmer(STEMMER_NAMES[language])


@lru_cache(maxsize=65536)
def find_root(word: str, language: str) -> str:
    """Return the root of a word: the stem of its infinitive if it is a verb, else its own stem.

    Args:
        word: A word in lower case and without accents.
        language: ISO 639-1 code; languages without a stemmer are treated as English.
    """
    code = language if language in STEMMER_NAMES else "en"
    if code in ("en", "fr"):
        word = find_infinitive(word) or word
    with _lock:
        stem: str = _load_stemmer(code).stemWord(word)  # type: ignore[attr-defined]
    return stem


@lru_cache(maxsize=65536)
def are_related(first: str, second: str) -> bool:
    """Return True if two roots are equal or differ by endings that make a noun or an adjective of a verb."""
    if first == second:
        return True
    shared = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    rests = (first[shared:], second[shared:])
    is_safe = len(max(rests, key=len)) > 1 and not all(rests)
    if sorted(rests)[0] == "" and sorted(rests)[1] in _SAFE_REMAINDERS:
        return shared >= _SHORT_PREFIX
    enough = _MIN_PREFIX if is_safe or rests[0] + rests[1] in _PLURALS else _SAFE_PREFIX
    return shared >= enough and all(rest in _REMAINDERS for rest in rests)
