"""Decide whether a punctuation mark ends a sentence, from the word before it and the words after it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from langchain_gptoss.text.sentences import abbreviations

CANDIDATE = re.compile(
    r"""(?<![.!?…])(?P<marks>\.(?:[ \u00a0]\.)+|[.!?…؟।]+)"""
    r"""(?P<close>(?:["'”’»)\]*_]|[ \u00a0\u202f]»|\[\d{1,3}\]|[¹²³⁴-⁹])*)(?=\s|$)"""
    r"""|(?P<wide>[。！？]+)(?P<wide_close>[」』）”"]*)"""
)
"""A mark that may end a sentence, with the closing quotation marks and brackets after it."""

_OPENING = " \t\u00a0\u202f\"'“‘«»([{*_¿¡—–-•"
_WORD = re.compile(r"[^\W_]+(?:[.'’-][^\W_]+)*")
_TOKEN = re.compile(r"[^\s«»\"“”„()\[\]{}<>|/,;:!?'’*_=+]+$")
_MAX_TOKEN_CHARS = 40
_MAX_CONTEXT_CHARS = 400  # before a mark; without a limit, a text of abbreviations takes quadratic time
_MAX_BRACKET_CHARS = 300  # a bracket that stays open longer was never meant to be closed
_ADDRESS = re.compile(r"://|^www\.|@|\.\w{2,4}/", re.IGNORECASE)
_INITIALS = re.compile(r"[A-ZÀ-Þ][a-z]?\.-?[A-ZÀ-Þ]")
_DOTTED = re.compile(r"[^\W\d_]{1,3}(?:\.-?[^\W\d_]{1,3})+")
_LIST_NUMBER = re.compile(r"\(?(?:\d{1,3}|[a-z]|[ivx]{1,5}|[IVX]{2,5})\)?")
_LABEL = re.compile(
    r"(?i:article|art\.|section|sec\.|§|chapter|chapitre|chap\.|annexe|appendix|step|étape|figure|fig\.|table|tableau"
    r"|note|question|partie|part|titre|title|n°|no\.|exhibit|schedule)\s*(?:\d[\w.-]*|\b[IVXL]+|\b[A-Z])(?:\s?er)?"
)
_MIXED_CASE = re.compile(r"[a-z]{1,3}[A-Z]|[a-z]+\d|[a-z][a-z-]*\.(?:com|org|net|fr|eu|io|de|be|ch|ca)\b")
_REFERENCE = re.compile(r"\d|[IVXLC]+\b|[A-Z]{1,4}[.\s-]?\d|[A-Z]{1,3}[./-]|[A-Z]\b|[a-z]|[°#]")
_CONTRACTION = re.compile(r"(?:[LDJCNSM]|Qu|It|There|That|He|She|We|You|They|I|What|Who)['’]|Don['’]t|Can['’]t")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{2,5}", re.IGNORECASE)
_VOWEL = re.compile(r"[aeiouyà-öø-ÿœæ]", re.IGNORECASE)
_MIN_WORD_LETTERS = 5  # a longer word that is no known abbreviation ends a sentence even before a small letter


class TextEndsError(Exception):
    """The decision needs text that is not there yet."""


@dataclass(slots=True)
class Following:
    """The text after a mark.

    Attributes:
        text: The whole text.
        start: Offset of the first character after the white space.
        is_complete: False if more text may come: reading beyond the end raises `TextEndsError`.
    """

    text: str
    start: int
    is_complete: bool

    def read_character(self) -> str:
        """Return the first character, "" at the end of the text."""
        if self.start < len(self.text):
            return self.text[self.start]
        return self._report_end()

    def find_words(self) -> tuple[str, str]:
        """Return the first two words after opening marks; "" for what is not a word or not in the same line."""
        at = self.start
        while at < len(self.text) and self.text[at] in _OPENING:
            at += 1
        first = _WORD.match(self.text, at)
        end = first.end() if first else at
        rest = end
        while rest < len(self.text) and self.text[rest] in " \u00a0":
            rest += 1
        second = _WORD.match(self.text, rest) if rest > end else None
        if (second.end() if second else rest) >= len(self.text):
            self._report_end()
        return first.group() if first else "", second.group() if second else ""

    def read_after_openings(self) -> str:
        """Return the first character that is no opening mark, "" at the end of the text."""
        at = self.start
        while at < len(self.text) and self.text[at] in _OPENING:
            at += 1
        return self.text[at] if at < len(self.text) else self._report_end()

    def _report_end(self) -> str:
        if not self.is_complete:
            raise TextEndsError
        return ""


def is_sentence_end(text: str, sentence_start: int, match: re.Match[str], following: Following) -> bool:
    """Return True if a candidate ends a sentence.

    Args:
        text: The text.
        sentence_start: Where the sentence of the candidate begins.
        match: A match of `CANDIDATE`.
        following: The text after the candidate and the white space behind it.

    Raises:
        TextEndsError: `following` ends before the decision is certain.
    """
    if match["wide"]:
        return True
    if _is_plain_end(text, sentence_start, match, following.start):
        return True
    before = text[max(sentence_start, match.start() - _MAX_CONTEXT_CHARS) : match.start()]
    marks, close = match["marks"], match["close"]
    next_character = following.read_after_openings()
    if following.read_character() in ",;:)]}%" and next_character:
        return False
    if _is_bracketed(text, match) or (marks.strip(".") == "" and not before.strip(_OPENING)):
        return False
    is_small = next_character.islower() and not _is_brand(following, next_character)
    if "!" in marks or "?" in marks or "…" in marks or len(marks) > 1:
        is_plain = not close or not any(mark in close for mark in "\"'”’»")
        return not is_small and (is_plain or following.find_words()[1].lower() not in abbreviations.SPEECH_VERBS)
    if _is_in_brackets(before) and ")" not in close:
        return False
    return _is_end_at_point(before, close, following, next_character, is_small=is_small)


def _is_plain_end(text: str, sentence_start: int, match: re.Match[str], next_start: int) -> bool:
    """Return True for an ordinary word before the point and a capital letter after it, which needs no further look."""
    if match["marks"] != "." or match["close"] or not text[next_start : next_start + 1].isupper():
        return False
    end = match.start()
    word = text[max(sentence_start, end - _MAX_TOKEN_CHARS) : end].rpartition(" ")[2]
    is_ordinary = len(word) >= _MIN_WORD_LETTERS and word.isalpha() and word.islower()
    if not is_ordinary or word in abbreviations.ALL or not _VOWEL.search(word):
        return False
    return text.find("(", max(sentence_start, end - _MAX_BRACKET_CHARS), end) < 0


def _is_bracketed(text: str, match: re.Match[str]) -> bool:
    """Return True for [...], (!) and the like."""
    before = text[match.start() - 1] if match.start() else ""
    return before in ("(", "[") and match["close"][:1] in (")", "]")


def _is_in_brackets(before: str) -> bool:
    """Return True if a bracket within the sentence is still open."""
    opening = before.rfind("(")
    return opening > 0 and before.rfind(")") < opening and len(before) - opening <= _MAX_BRACKET_CHARS


def _is_brand(following: Following, next_character: str) -> bool:
    """Return True for iPhone, eBay, example.com: a small letter begins the sentence."""
    return "a" <= next_character <= "z" and _MIXED_CASE.match(following.find_words()[0]) is not None


def _is_end_at_point(before: str, close: str, following: Following, next_character: str, *, is_small: bool) -> bool:
    last_words = before.split()[-2:]
    token_match = _TOKEN.search(before[-_MAX_TOKEN_CHARS:])
    head = before.strip(_OPENING)
    token = token_match.group().lstrip(_OPENING) if token_match else ""
    if not token or not last_words or _ADDRESS.search(last_words[-1]):
        return not is_small
    if _LIST_NUMBER.fullmatch(head) or _LABEL.fullmatch(head):
        return False
    word = token.lower()
    previous = before[: len(before) - len(token)].split()[-1:] or [""]
    if word in abbreviations.INTRODUCERS:
        return False
    if _is_title(token, previous[0]):
        is_street = word in abbreviations.STREETS and previous[0][:1].isupper() and previous[0].isalpha()
        return is_street and _is_sentence_start(following, is_strict=True)
    if token[-1].isdigit():
        return not is_small
    if word in abbreviations.REFERENCES:
        if is_small or _REFERENCE.match(following.text, following.start):
            following.find_words()  # the first letters of "Any" look like a label
            return not is_small and not _is_reference(following) and _is_end_after_reference(word, following)
        return _is_end_after_reference(word, following)
    if len(word) == 1:
        return _is_end_at_letter(token, previous[0], following, next_character, is_small=is_small)
    if word in abbreviations.FINAL:
        return _is_end_at_final_abbreviation(word, following, next_character, is_small=is_small)
    if word not in abbreviations.OTHERS and _INITIALS.fullmatch(token):
        return _is_end_at_letter(token, previous[0], following, next_character, is_small=is_small)
    if word in abbreviations.OTHERS or _DOTTED.fullmatch(token) or _is_unknown_abbreviation(token):
        is_strict = word in abbreviations.BEFORE_NAMES
        return not is_small and not next_character.isdigit() and _is_sentence_start(following, is_strict=is_strict)
    return not is_small or (not close and _is_ordinary_word(word) and bool(following.find_words()[1]))


def _is_title(token: str, previous: str) -> bool:
    word = token.lower()
    is_written_as_title = token[0].isupper() or word in abbreviations.TITLES_IN_ANY_CASE
    is_unit = len(token) == 1 and _is_number(previous)
    return word in abbreviations.TITLES and is_written_as_title and not is_unit


def _is_end_after_reference(word: str, following: Following) -> bool:
    """Return True if a reference without a number ends a sentence."""
    return word in abbreviations.WORDS_AMONG_REFERENCES or _is_sentence_start(following)


def _is_reference(following: Following) -> bool:
    """Return True if a number, a Roman number or a letter follows that a reference can point to."""
    first, _ = following.find_words()
    if first.lower() in abbreviations.STARTERS and not (len(first) == 1 and first != "I"):
        return False
    return not first or first[0].isdigit() or any(c.isdigit() for c in first) or (len(first) <= 4 and first.isupper())


def _is_end_at_letter(token: str, previous: str, following: Following, next_character: str, *, is_small: bool) -> bool:
    """Return True if the point after a single letter ends a sentence: a unit, a label, but no initial."""
    if is_small:
        return False
    if _is_number(previous) and token not in "pnv":
        return not next_character.isdigit() or (token.islower() and token != "h")
    if next_character.isdigit():
        return False
    if token.islower() or previous.lower().strip(_OPENING) in abbreviations.LABELS:
        return token not in "pnvcfs" and _is_sentence_start(following)
    first, _ = following.find_words()
    is_in_name = not previous[:1].islower() or first.lower() in abbreviations.NAME_PARTS
    return not is_in_name and first[:1].isupper() and first.lower() in abbreviations.STARTERS


def _is_end_at_final_abbreviation(word: str, following: Following, next_character: str, *, is_small: bool) -> bool:
    if is_small:
        return False
    if word in ("a.m", "p.m", "am", "pm"):
        return following.find_words()[0].lower() not in abbreviations.TIME_WORDS
    return True


def _is_sentence_start(following: Following, *, is_strict: bool = False) -> bool:
    """Return True if the words that follow begin a sentence and do not continue a name.

    Args:
        following: The text after the point.
        is_strict: True if only articles, pronouns and the like begin a sentence.
    """
    first, second = following.find_words()
    if not first[:1].isupper():
        return False
    if first.lower() in abbreviations.STARTERS or _CONTRACTION.match(first):
        return True
    return not is_strict and len(first) > 1 and second[:1].islower() and second not in abbreviations.NAME_LINKS


def _is_number(token: str) -> bool:
    return bool(token) and token[-1].isdigit()


def _is_unknown_abbreviation(token: str) -> bool:
    """Return True for a word without a vowel, such as "Bldg", that is no acronym such as "PDF"."""
    return not token.isupper() and _CONSONANTS.fullmatch(token) is not None


def _is_ordinary_word(word: str) -> bool:
    if not word.replace("-", "").isalpha():
        return False
    return word in abbreviations.SHORT_WORDS or (len(word) >= _MIN_WORD_LETTERS and _VOWEL.search(word) is not None)
