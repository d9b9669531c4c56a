"""Agreement of French pronouns: whether a conversation names anything that "il" or "elles" can stand for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from langchain_gptoss.text.follow_ups.tokens import parse_words, tokenize
from langchain_gptoss.text.language import detect_language

_MASCULINE = parse_words("le du au un ce cet quel aucun")
_FEMININE = parse_words("la une cette ma ta sa quelle aucune")
_PLURAL = parse_words(
    """les des ces mes tes ses nos vos leurs aux quels quelles plusieurs certains certaines deux trois quatre"""
)
_OTHER = parse_words("l' mon ton son notre votre leur chaque")
_PEOPLE = parse_words("qui on quelqu'un -on")
_MAX_CHARS = 2000


def has_agreeing_noun(pronoun: str, conversation: Sequence[str]) -> bool:
    """Return True unless all nouns of the conversation have another gender or number than the pronoun.

    The gender of a noun is known by its article only. Names agree with every pronoun.

    Args:
        pronoun: "il", "ils", "elle" or "elles", with a hyphen before it or without.
        conversation: Texts of the last messages; without any text in French, every pronoun agrees.
    """
    pronoun = pronoun.removeprefix("-")
    if pronoun not in ("il", "ils", "elle", "elles"):
        return True
    # The nouns of another language have other genders.
    texts = [text for text in conversation if detect_language(text) in ("fr", None)]
    kinds = [kind for text in texts for kind in _list_kinds(text[-_MAX_CHARS:])]
    wanted = "plural" if pronoun.endswith("s") else "masculine" if pronoun == "il" else "feminine"
    return not kinds or wanted in kinds or "any" in kinds


def _list_kinds(text: str) -> Iterator[str]:
    """Yield the gender or number of each noun of a text, and "any" for a noun that may have every one."""
    before = ""
    for token in tokenize(text):
        if token.is_mark:
            continue
        word = token.word
        if (token.is_name and not word.isdigit()) or word in _PEOPLE:
            yield "any"
        elif word.isdigit() or before in _PLURAL:
            yield "plural"
        elif before in _MASCULINE:
            yield "masculine"
        elif before in _FEMININE:
            yield "feminine"
        elif before in _OTHER and word not in _MASCULINE | _FEMININE | _PLURAL | _OTHER:
            yield "any"
        before = word
