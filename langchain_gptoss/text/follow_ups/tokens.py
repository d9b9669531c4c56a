"""Tokens of a question, as the rules for follow-ups read them."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

from langchain_gptoss.text.normalization import normalize_prose

QUOTE = '"'
"""Word of the token that stands for a quotation: pronouns inside of it do not point out of it."""

_INVERTED = r"-(?:t-)?(?:ils?|elles?|on|je|tu|nous|vous|ce|en|y|les?|la|moi|lui|leur|là|ci)(?![\w-])"
_TOKEN = re.compile(
    rf"""(?P<quote>"[^"]*"|«[^»]*»|“[^”]*”|(?<!\w)'[^'\n]+'(?!\w))
    |(?P<inverted>{_INVERTED}|(?<=\w)\ ?(?:-|\ )?t(?:'|\ |-)(?:ils?|elles?|on)\b)
    |(?P<elided>(?:\b[cdjlmnst]|\bqu|\b(?:jus|lors|puis|quoi|pres)qu)'(?=[^\W\d_]))
    |(?P<suffix>'(?:s|re|ll|ve|d|m|t)\b)
    |(?P<word>[^\W_]+(?:(?!{_INVERTED})-[^\W_]+)*)
    |(?P<mark>[,;:?!()—–.])""",
    re.IGNORECASE | re.VERBOSE,
)
_T_SPELLINGS = re.compile(r"^-?\ ?-?t[' -]")  # "a t-il", "a t'il", "a t il"
_Y_A = re.compile(r"\by-a-", re.IGNORECASE)  # "y-a-t-il"
_APOSTROPHES = str.maketrans("’‘ʼ", "'''")


def parse_words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


@dataclass(frozen=True, kw_only=True)
class Token:
    """A word or a mark of a question.

    Attributes:
        word: In lower case, with its accents. An inverted pronoun keeps its hyphen ("-il"), and an elided word its
            apostrophe ("l'").
        is_name: True for a capital letter inside of the question, a number, or a quotation.
        is_mark: True for a punctuation mark.
    """

    word: str
    is_name: bool
    is_mark: bool


def tokenize(question: str) -> list[Token]:
    """Return the words and marks of a question in order; a quotation is one token."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(_Y_A.sub("y a-", normalize_prose(question).translate(_APOSTROPHES))):
        text, kind = match[0], match.lastgroup
        if kind == "quote":
            tokens.append(Token(word=QUOTE, is_name=True, is_mark=False))
            continue
        word = _T_SPELLINGS.sub("-", text.lower()) if kind == "inverted" else text.lower()
        is_name = kind == "word" and (text[0].isdigit() or (bool(tokens) and text[0].isupper()))
        tokens.append(Token(word=word, is_name=is_name, is_mark=kind == "mark"))
    return tokens


def join_words(tokens: Sequence[Token]) -> tuple[str, list[int]]:
    """Return the words with one space before each, and the index of the token at each character.

    Marks are words here, so that an expression does not reach over them.
    """
    text, indices = "", []
    for index, token in enumerate(tokens):
        text += f" {token.word}"
        indices += [index] * (len(token.word) + 1)
    return text, indices


def find_covered(tokens: Sequence[Token], pattern: re.Pattern[str]) -> set[int]:
    """Return the indices of the tokens that a pattern covers in the words joined by single spaces."""
    text, indices = join_words(tokens)
    return {index for match in pattern.finditer(text) for index in indices[match.start() : match.end()]}


def get_word(tokens: Sequence[Token], index: int) -> str:
    """Return the word at an index; an empty text outside of the question."""
    return tokens[index].word if 0 <= index < len(tokens) else ""


def find_last(tokens: Sequence[Token], words: Container[str], end: int) -> int:
    """Return the index of the last token before `end` that is one of the words, or -1."""
    return next((index for index in range(end - 1, -1, -1) if tokens[index].word in words), -1)


def skip_head_nouns(tokens: Sequence[Token], index: int, links: Container[str], function_words: Container[str]) -> int:
    """Return where the noun phrase begins that a possessive at `index` belongs to.

    In "the name of his wife", the name is not what "his" stands for. Names are never skipped.

    Args:
        tokens: The question.
        index: Index of the possessive.
        links: The words "of" or "de".
        function_words: Words that end a noun phrase.
    """
    start = index
    while start > 1 and tokens[start - 1].word in links:
        head = start - 2
        while head >= 0 and not (tokens[head].is_name or tokens[head].is_mark or tokens[head].word in function_words):
            head -= 1
        if head == start - 2:
            break
        start = head + 1
    return start


def get_described_noun(tokens: Sequence[Token], index: int, function_words: Container[str]) -> str:
    """Return the word after a demonstrative, or an empty text if it stands alone."""
    if index + 1 >= len(tokens):
        return ""
    token = tokens[index + 1]
    return "" if token.is_mark or token.word in function_words else token.word
