"""Words that are broken at the end of a line: one word again, or a compound that keeps its hyphen."""

import gzip
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files

from langchain_gptoss.ingest.readers.pdf.words import LINE_HYPHEN
from langchain_gptoss.text.language import detect_language

_SOFT_HYPHEN, _TYPESET_HYPHEN = "\u00ad", "\u2010"  # 2010 is what browsers write when they hyphenate
_BREAK = re.compile(rf"(?:(?<=[^\s-])([-{_SOFT_HYPHEN}{_TYPESET_HYPHEN}])|{LINE_HYPHEN})[ \t]*\n[ \t]*(?=[^\s-])")
_MAX_WORD_CHARS = 100
_WORD = re.compile(r"[^\W\d_]+")
_COMPOUND = re.compile(rf"(?<![^\W\d_])[^\W\d_]+(?:[-{_TYPESET_HYPHEN}][^\W\d_]+)+")
_PAGE_END = re.compile(rf"[^\W_][-{_SOFT_HYPHEN}{_TYPESET_HYPHEN}{LINE_HYPHEN}]\s*$")
_PAGE_START = re.compile(rf"\s*([^\W_]\S{{0,{_MAX_WORD_CHARS}}})\s+")
_AFTER = re.compile(rf"\S{{0,{_MAX_WORD_CHARS}}}")
_LETTERS_BEFORE, _LETTERS_AFTER = re.compile(r"[^\W\d_]*$"), re.compile(r"[^\W\d_]*")
# Addresses, paths, numbers of parts: a hyphen in them is always one that the author wrote.
_CODE = re.compile(r"[\d@/\\_=#&]|^www\.|\w\.\w")
_PUNCTUATION = ".,;:!?()[]{}«»\"'“”‘’…"
# Pronouns and particles that French joins to a word with a hyphen: "est-il", "peut-être", "rendez-vous", "celui-ci".
_PARTICLES = re.compile("(?:ils|elles?|je|[nv]ous|lui|leur|[mt]oi|là|être|mêmes?|dire|vis|dess(?:ou|u)s)")
_SHORT_PARTICLES = re.compile("il|on|tu|l[aes]|les|en|c[ei]|te|me|y")
# Endings by which a part that is no word shows that it is the rest of one.
_ENDING = re.compile(
    r"(?:[aei]tions?|[st]ions?|ments?|ings?|[ae]nces?|[ae]nts?|[ai]bles?|ible?s|ously|ous|ives?|it(?:y|ies)|[ai]lly|"
    r"ness(?:es)?|isms?|ists?|[ai]cal(?:ly)?|iz(?:e[ds]?|ing)|is(?:e[ds]?|ing|ation)|ures?|ary|ories|ory|"
    r"iques?|eurs?|euses?|trices?|ités?|ages?|oires?|aires?|ées?|ifs?|ives|ances?|er(?:ont|ait|aient)|issent|"
    r"ung(?:en)?|heit(?:en)?|keit(?:en)?|schaft(?:en)?|lich(?:e[nrs]?)?|ci[oó]n(?:es)?|dades?|zion[ei]|mente|"
    r"^(?:ers?|est|ful|fully|less|ties|r(?:ai[st]?|as?|ez|ons|ont)))$"
)
_INFLECTIONS = (
    ("ies", "y"),
    ("es", ""),
    ("s", ""),
    ("ed", ""),
    ("d", ""),
    ("ing", ""),
    ("ing", "e"),
    ("ly", ""),
    ("x", ""),
)
_DICTIONARIES = ("en", "fr")
_MAX_ENDING_CHARS = 4
_MAX_SYLLABLES_CHARS = 6
_MIN_PART_CHARS = 2  # no language leaves a single letter on a line


def join_broken_words(pages: Iterable[str]) -> list[str]:
    """Return the texts of pages with the words that a line's end breaks in one piece.

    The hyphen goes if the word without it occurs in the document, or in the language as far as its common words and
    endings tell. Otherwise it stays, as in codes, addresses and compounds, and the two lines become one.

    Args:
        pages: The texts of the pages, in which `LINE_HYPHEN` and a line break stand for a hyphen at a line's end.
    """
    texts = _move_broken_words(list(pages))
    if not any(_BREAK.search(text) for text in texts):
        return [text.replace(LINE_HYPHEN, "-") for text in texts]
    document = _Vocabulary(texts)
    return ["".join(_join_lines(text, document)).replace(LINE_HYPHEN, "-") for text in texts]


def _move_broken_words(texts: list[str]) -> list[str]:
    """Return texts of pages with the rest of a word that a page's end breaks on the page of its beginning."""
    for page in range(1, len(texts)):
        before, text = texts[page - 1 : page + 1]
        rest = _PAGE_START.match(text)
        if rest and _PAGE_END.search(before, max(len(before) - _MAX_WORD_CHARS, 0)):
            texts[page - 1] = f"{before.rstrip()}\n{rest[1]}"
            texts[page] = text[rest.end() :]
    return texts


def _join_lines(text: str, document: "_Vocabulary") -> Iterator[str]:
    position = 0
    for match in _BREAK.finditer(text):
        before, after = _find_parts(text, match)
        yield text[position : match.start()]
        yield document.choose_hyphen(before, after, match[1] or "-")
        position = match.end()
    yield text[position:]


def _find_parts(text: str, match: re.Match[str]) -> tuple[str, str]:
    """Return what stands before and after the hyphen, up to white space."""
    after = _AFTER.match(text, match.end())
    before = text[_find_word_start(text, match.start()) : match.start()]
    return before.lstrip(_PUNCTUATION), (after[0] if after else "").rstrip(_PUNCTUATION)


def _find_word_start(text: str, end: int) -> int:
    start = end
    while start > max(0, end - _MAX_WORD_CHARS) and not text[start - 1].isspace():
        start -= 1
    return start


class _Vocabulary:
    """The words and compounds of a document, without those at a hyphen that ends a line."""

    def __init__(self, texts: list[str]) -> None:
        self.words: set[str] = set()
        self.compounds: set[str] = set()
        for text in texts:
            whole = _remove_broken(text).casefold()
            self.words.update(_WORD.findall(whole))
            self.compounds.update(item.replace(_TYPESET_HYPHEN, "-") for item in _COMPOUND.findall(whole))
        self.language = detect_language(" ".join(texts))
        self.dictionary = _load_dictionary(self.language)

    def choose_hyphen(self, before: str, after: str, mark: str) -> str:
        """Return what joins the two parts of a word: nothing, or the hyphen.

        Args:
            before: The part before the hyphen, from the last white space on.
            after: The part after the line's end, up to white space.
            mark: The hyphen as it stands in the file.
        """
        if mark == _SOFT_HYPHEN or after.casefold().startswith(("d'hui", "d’hui")):
            return ""
        if self._is_compound(before, after):
            return mark
        left, right = _find_letters(before, after)
        return "" if self._is_word(left, right, is_typeset=mark == _TYPESET_HYPHEN) else mark

    def _is_compound(self, before: str, after: str) -> bool:
        """Return True if the hyphen cannot be one of a broken word, whatever the words are."""
        left, right = _LETTERS_BEFORE.search(before), _LETTERS_AFTER.match(after)
        first, second = left[0] if left else "", right[0] if right else ""
        if _CODE.search(before) or _CODE.search(after) or min(len(first), len(second)) < _MIN_PART_CHARS:
            return True
        return second[0].isupper() and not first.isupper()

    def _is_word(self, left: str, right: str, *, is_typeset: bool) -> bool:
        joined = left + right
        if f"{left}-{right}" in self.compounds:
            return False
        if joined in self.words:
            return True
        if _PARTICLES.fullmatch(right) or (self.language != "en" and _SHORT_PARTICLES.fullmatch(right)):
            return False
        if self.dictionary.has_word(joined):
            return True
        has_left, has_right = (part in self.words or self.dictionary.has_word(part) for part in (left, right))
        if is_typeset:
            return True
        if not self.dictionary:
            return not (has_left and has_right)
        if has_left and has_right:
            return False
        if self.dictionary.has_relative(left, right):
            return True
        if not self.dictionary.can_join(left, right):
            return False
        has_ending = bool(_ENDING.search(right))
        if has_left:
            return has_ending and not has_right
        return not has_right or (has_ending and len(right) <= _MAX_SYLLABLES_CHARS)  # "cation", "ration", "nation"


def _remove_broken(text: str) -> str:
    """Return a text without the parts of words before and after a hyphen that ends a line."""
    kept, position = [], 0
    for match in _BREAK.finditer(text):
        kept.append(text[position : _find_word_start(text, match.start())])
        after = _AFTER.match(text, match.end())
        position = after.end() if after else match.end()
    return " ".join((*kept, text[position:]))


def _find_letters(before: str, after: str) -> tuple[str, str]:
    left, right = _LETTERS_BEFORE.search(before), _LETTERS_AFTER.match(after)
    return (left[0] if left else "").casefold(), (right[0] if right else "").casefold()


class _Dictionary:
    """Common words of some languages.

    Args:
        languages: Codes of the languages.
    """

    def __init__(self, *languages: str) -> None:
        self._sorted = sorted(frozenset[str]().union(*map(_read_common_words, languages)))
        self._words = frozenset(self._sorted)
        self._parts = frozenset(word[i : i + 3] for word in self._sorted for i in range(len(word) - 2))

    def __bool__(self) -> bool:
        return bool(self._words)

    def has_word(self, word: str) -> bool:
        """Return True if a word or its base form is common."""
        return word in self._words or any(
            word.endswith(ending) and word[: -len(ending)] + base in self._words
            for ending, base in _INFLECTIONS
            if len(word) - len(ending) > _MIN_PART_CHARS
        )

    def has_relative(self, left: str, right: str) -> bool:
        """Return True if a common word begins as the joined word does, past the place where it is broken."""
        joined = left + right
        stem = joined[: max(len(left) + _MIN_PART_CHARS, len(joined) - _MAX_ENDING_CHARS)]
        place = bisect_left(self._sorted, stem)
        return place < len(self._sorted) and self._sorted[place].startswith(stem)

    def can_join(self, left: str, right: str) -> bool:
        """Return True if common words have the letters that meet where the two parts join."""
        place, joined = len(left), left + right
        return all(joined[start : start + 3] in self._parts for start in (place - 2, place - 1))


@cache
def _load_dictionary(language: str | None) -> _Dictionary:
    """Load the common words of a language: of all languages if it is None, of none if it has no list."""
    return _Dictionary(*(item for item in _DICTIONARIES if language in (None, item)))


def _read_common_words(language: str) -> frozenset[str]:
    data = files("langchain_gptoss.ingest.readers.pdf").joinpath(f"common_words.{language}.txt.gz").read_bytes()
    return frozenset(gzip.decompress(data).decode().split())
