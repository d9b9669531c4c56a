"""Sentences, words and numbers of English and French text: what citations are checked with."""

import re
import unicodedata
from collections.abc import Iterator

# A sentence ends at its mark before something that can begin another one, or at a line's end.
_BOUNDARY = re.compile(r"""(?<=[.!?…])["'”»)\]]*\s+(?=["'“«(\[]*[A-ZÀ-ÖØ-Þ0-9•*-])|\n+""")
_EDGE = " \t\r\n-*•|>#"
_WORD = re.compile(r"[^\W_]+(?:[.,:/][0-9]+)*(?:['’][^\W_]+)?")

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
        "_ _ two three four five six seven eight nine ten eleven twelve",
        "_ _ deux trois quatre cinq six sept huit neuf dix onze douze",
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


def words(text: str) -> list[str]:
    """Returns the content words and numbers of a text in order, in lower case and without accents."""
    found = (match[0].lower().replace("’", "'") for match in _WORD.finditer(text))
    kept = (
        word.split("'")[-1] if "'" in word and not word.endswith("'s") else word.removesuffix("'s") for word in found
    )
    return [_canonical(_folded(_NUMBER_WORDS.get(word, word))) for word in kept if word not in _STOPWORDS]


def numbers(text: str) -> set[str]:
    """Returns the numbers of a text, written one way: "12,90" and "12.90" are the same, and so are "two" and "2"."""
    return {_plain_number(word) for word in words(text) if word[0].isdigit()}


def negated(text: str) -> bool:
    """Returns whether a sentence says no."""
    lowered = text.lower().replace("’", "'")
    return bool(_NEGATIONS & set(re.findall(r"[^\W\d_]+", lowered))) or "n't" in lowered


def same_word(first: str, second: str) -> bool:
    """Returns whether two words differ by an ending at most: cost and costs, return and returned."""
    if first == second:
        return True
    if first[0].isdigit() or second[0].isdigit():
        return _plain_number(first) == _plain_number(second)
    shared = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    return shared >= 4 and len(first) - shared <= 3 and len(second) - shared <= 3


def missing(wanted: list[str], text: str) -> list[str]:
    """Returns those of the wanted words that a text does not hold; an amount of money holds the word "cost"."""
    there = words(text) + (["cost"] if _AMOUNT.search(text) else [])
    return [word for word in wanted if not any(same_word(word, other) for other in there)]


def coverage(wanted: list[str], text: str) -> float:
    """Returns the share of the wanted words that a text holds, from 0 to 1; 0 when nothing is wanted."""
    return 1 - len(missing(wanted, text)) / len(wanted) if wanted else 0.0


def language_of(text: str) -> str:
    """Returns `"fr"` or `"en"`, by counting function words."""
    found = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)?", text.lower().replace("’", " ").replace("'", " "))
    french = sum(word in _FRENCH for word in found)
    return "fr" if french > sum(word in _ENGLISH for word in found) else "en"


def _folded(word: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", word) if not unicodedata.combining(char))


def _canonical(word: str) -> str:
    """Returns the word that stands for its synonyms."""
    return _SYNONYMS.get(word) or _SYNONYMS.get(word.removesuffix("s"), word)


def _plain_number(word: str) -> str:
    """Returns a number with a point, without the thousands' commas and without zeros that say nothing."""
    text = re.sub(r",(?=\d{3}(?:\D|$))", "", word).replace(",", ".")
    return text.rstrip("0").rstrip(".") if re.fullmatch(r"\d+\.\d+", text) else text
