"""Sentences, words and numbers of English and French text: what citations are checked with."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

# A sentence ends at its mark before something that can begin another one, or at a line's end; but not at a line that
# a PDF broke within a sentence, after which the next line goes on with a small letter.
_BOUNDARY = re.compile(
    r"""(?<=[.!?…])["'”»)\]]*\s+(?=["'“«(\[]*[A-ZÀ-ÖØ-Þ0-9•*-])|(?<![\w,’'-])\n+|\n\n+|\n(?![a-zß-öø-ÿ])"""
)
_EDGE = " \t\r\n-*•|>#"
_WORD = re.compile(r"[^\W_]+(?:[.,:/][0-9]+)*(?:['’][^\W_]+)?")
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss"})


_HIDDEN = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")  # soft hyphens and characters without width
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-[ \t]*\r?\n[ \t]*(?=[a-zß-öø-ÿ])")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?!\d)")
_HOUR = re.compile(r"\b(\d{1,2})\s?h(?:\s?(\d{2}))?\b", re.IGNORECASE)
_SCALED = re.compile(
    r"(\d+(?:[.,]\d+)?)[ \u00a0\u202f-]?(thousand|mille|millions?|billions?|milliards?)\b", re.IGNORECASE
)
_SCALES = {"thousand": 1000, "mille": 1000, "million": 10**6, "billion": 10**9, "milliard": 10**9}

_STOPWORDS = frozenset(
    """a about all also am an and answer any are as at be been but by can could did do does for from get give had has
    have he her his how i if in into is it its know long many may me more most much must my need no not of on one only
    or our please she should so some tell than that the their them then there these they this those to us was we were
    what when where which who whom whose why will with would yes you your
    à au aux avec ce ces cela cette comme comment combien dans de des du elle elles en est et être il ils je la le
    les leur longtemps lui ma mais me mes mon ne non nous on ou où oui par pas peut peux plus pour pouvez puis
    puis-je quand que quel quelle quelles quels quelqu qui quoi réponse sa se ses si son sont sur ta te tes ton
    tous tout très tu un une vos votre vous y""".split()  # noqa: SIM905 (a list of 160 strings would be 160 lines)
)
_NEGATIONS = frozenset("no not never cannot nor without none aucun aucune jamais ne sans non pas".split())  # noqa: SIM905
_NUMBER_WORDS = {
    word: str(number)
    for words in (
        "_ _ two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
        "_ _ deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze",
    )
    for number, word in enumerate(words.split())
    if word != "_"
}
# Words that people and documents use for the same thing; each stands for the first of its line.
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
_STEM = 4  # letters that two words share at least if they are the same but for the ending
_AMOUNT = re.compile(r"[$€£]\s?\d|\d\s?(?:[$€£]|euros?\b|eur\b|dollars?\b|usd\b)", re.IGNORECASE)
_FRENCH = frozenset(
    """à au aux ai as-tu avez avec ce ces cette combien comment dans de des du elle en est et il ils je la le les leur
    ma mes mon ne nous où par pas peut peux pour pourquoi puis puis-je quand que quel quelle quelles quels qui quoi sa
    ses son sont sous sur un une vos votre vous""".split()  # noqa: SIM905
)
_ENGLISH = frozenset(
    """a an and are can do does for have how i in is it many much my of on or the there to what when where which who
    why will with you your""".split()  # noqa: SIM905
)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yields the span of each sentence, list item or table row; `text[start:end]` has no white space at its ends."""
    start = 0
    for boundary in [*_BOUNDARY.finditer(text), None]:
        end = len(text) if boundary is None else _closed(boundary)
        while start < end and text[start] in _EDGE:
            start += 1
        while end > start and text[end - 1] in " \t\r\n|":
            end -= 1
        if end > start:
            yield start, end
        if boundary is not None:
            start = boundary.end()


def _closed(boundary: "re.Match[str]") -> int:
    """Returns where the sentence before a boundary ends, its closing quotation marks included."""
    return boundary.start() + len(boundary[0].rstrip())


def plain(text: str) -> str:
    """Returns a text as its words are read: without hidden characters, broken words, and spaces within a number."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _HIDDEN.sub("", text))
    if "\n" in text:
        text = _BROKEN_WORD.sub("", text)
    if not any(map(str.isdecimal, text)):
        return text
    text = _GROUPED.sub(lambda match: re.sub(r"\D", "", match[0]), text)
    text = _SCALED.sub(_unscaled, text)
    return _HOUR.sub(lambda match: f"{match[1]}:{match[2] or '00'}", text)


def _unscaled(match: "re.Match[str]") -> str:
    value = float(match[1].replace(",", ".")) * _SCALES[match[2].lower().removesuffix("s")]
    return str(int(value)) if value.is_integer() else match[0]


def words(text: str) -> list[str]:
    """Returns the content words and numbers of a text in order, in lower case and without accents."""
    return [word for _, word in spelled_words(text)]


def spelled_words(text: str) -> list[tuple[str, str]]:
    """Returns the content words and numbers of a text in order, each as it is written and as `words` has it."""
    found = []
    for match in _WORD.finditer(plain(text)):
        written = match[0].replace("’", "'")
        genitive = written.lower().endswith("'s")
        written = written[:-2] if genitive else written.rsplit("'", 1)[-1]
        word = written.lower()
        if word and word not in _STOPWORDS:
            found.append((written, _canonical(_folded(_NUMBER_WORDS.get(word, word)))))
    return found


def is_stopword(word: str) -> bool:
    """Returns whether a word says nothing about what a text is about."""
    return word.lower() in _STOPWORDS


def numbers(text: str) -> set[str]:
    """Returns the numbers of a text, written one way: "12,90" and "12.90" are the same, and so are "two" and "2"."""
    return {plain_number(word) for word in words(text) if word[0].isdigit()}


def negated(text: str) -> bool:
    """Returns whether a sentence says no."""
    lowered = text.lower().replace("’", "'")
    return bool(_NEGATIONS & set(re.findall(r"[^\W\d_]+", lowered))) or "n't" in lowered


def same_word(first: str, second: str) -> bool:
    """Returns whether two words differ by an ending at most: cost and costs, return and returned."""
    if first == second:
        return True
    if first[0].isdigit() or second[0].isdigit():
        return plain_number(first) == plain_number(second)
    shared = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    return shared >= _STEM and len(first) - shared <= 3 and len(second) - shared <= 3


class Lexicon:
    """The words of a text, to be looked up by all their endings."""

    def __init__(self, text: str) -> None:
        self.words = words(text)
        self._places: dict[str, list[int]] = {}
        for place, word in enumerate(self.words):
            self._places.setdefault(word, []).append(place)
        if _AMOUNT.search(text):
            self._places.setdefault("cost", [])  # an amount of money holds the word "cost"
        self._similar: dict[str, list[str]] = {}
        for word in self._places:
            self._similar.setdefault(_key(word), []).append(word)

    def __contains__(self, word: str) -> bool:
        return word in self._places or any(same_word(word, other) for other in self._similar.get(_key(word), ()))

    def places(self, word: str) -> list[int]:
        """Returns where a word stands, counted in words."""
        same = (other for other in self._similar.get(_key(word), ()) if same_word(word, other))
        return [place for other in same for place in self._places[other]]


def _key(word: str) -> str:
    """Returns what words that are the same have in common."""
    return plain_number(word) if word[0].isdigit() else word[:_STEM]


@lru_cache(maxsize=8192)
def lexicon(text: str) -> Lexicon:
    """Returns the words of a text; passages and their sentences are looked into many times for one answer."""
    return Lexicon(text)


def missing(wanted: list[str], text: str) -> list[str]:
    """Returns those of the wanted words that a text does not hold; an amount of money holds the word "cost"."""
    there = lexicon(text)
    return [word for word in wanted if word not in there]


def coverage(wanted: list[str], text: str) -> float:
    """Returns the share of the wanted words that a text holds, from 0 to 1; 0 when nothing is wanted."""
    return 1 - len(missing(wanted, text)) / len(wanted) if wanted else 0.0


def language_of(text: str) -> str:
    """Returns `"fr"` or `"en"`, by counting function words."""
    found = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)?", text.lower().replace("’", " ").replace("'", " "))
    french = sum(word in _FRENCH for word in found)
    return "fr" if french > sum(word in _ENGLISH for word in found) else "en"


def _folded(word: str) -> str:
    if word.isascii():
        return word
    letters = unicodedata.normalize("NFKD", word).translate(_LIGATURES)
    return "".join(char for char in letters if not unicodedata.combining(char))


def _canonical(word: str) -> str:
    """Returns the word that stands for its synonyms."""
    return _SYNONYMS.get(word) or _SYNONYMS.get(word.removesuffix("s"), word)


def plain_number(word: str) -> str:
    """Returns a number with a point, without the thousands' commas and without zeros that say nothing."""
    text = re.sub(r",(?=\d{3}(?:\D|$))", "", word).replace(",", ".")
    return text.rstrip("0").rstrip(".") if re.fullmatch(r"\d+\.\d+", text) else text
