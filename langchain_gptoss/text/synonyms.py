"""Synonyms of English and French, for comparing claims with documents. The groups are in `synonyms.txt`."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from langchain_gptoss.text.roots import find_root

_LANGUAGES = ("en", "fr")


@lru_cache(maxsize=1)
def _load_groups() -> dict[str, dict[str, frozenset[int]]]:
    """Return the numbers of the groups of each root, by language."""
    text = files("langchain_gptoss.text").joinpath("synonyms.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    groups: dict[str, dict[str, set[int]]] = {language: {} for language in _LANGUAGES}
    for number, line in enumerate(lines):
        for language, words in zip(_LANGUAGES, line.split("|"), strict=True):
            for word in words.split():
                groups[language].setdefault(find_root(word, language), set()).add(number)
    return {
        language: {root: frozenset(numbers) for root, numbers in roots.items()} for language, roots in groups.items()
    }


def find_synonym_groups(root: str, language: str) -> frozenset[int]:
    """Return the numbers of the groups of synonyms that a root belongs to; empty for other languages.

    Two words of one language or of two mean the same if they have a group in common.
    """
    return _load_groups().get(language, {}).get(root, frozenset())
