"""What a sentence states that may not be swapped: names, dates, quantities with their units, and yes or no.

Two sentences can share nearly all words and say opposite things. Citations are checked with these functions, and a
question's names tell whether passages are about the same thing.
"""

import re
from functools import lru_cache

from langchain_gptoss.text.sentences import is_stopword, negated, plain, plain_number, words

_NAME = re.compile(r"(?:\b(?:[ldjnscmtLDJNSCMT]|[Qq]u)['’])?([^\W_]+(?:-[^\W_]+)*)")
_OPENING = re.compile(r"""(?:^|(?<!\s[A-Z])\.|[!?…:\n]|^\W*[-*•])["'“”«»(\[\s*-]*$""")
_LOOKED_BACK = 8  # characters before a word that tell whether it opens a sentence

_MONTHS = (
    "january janvier",
    "february fevrier",
    "march mars",
    "april avril",
    "may mai",
    "june juin",
    "july juillet",
    "august aout",
    "september septembre",
    "october octobre",
    "november novembre",
    "december decembre",
)
_DAYS = (
    "monday lundi",
    "tuesday mardi",
    "wednesday mercredi",
    "thursday jeudi",
    "friday vendredi",
    "saturday samedi",
    "sunday dimanche",
)
_MONTH_OF = {word: line.split()[0] for line in _MONTHS for word in line.split()}
_DAY_OF = {form: line.split()[0] for line in _DAYS for word in line.split() for form in (word, f"{word}s")}

# Each line is one unit; units of one line are the same.
_UNITS = (
    "% percent pourcent",
    "euro euros eur €",
    "dollar dollars usd $",
    "pound pounds gbp £ livres sterling",
    "centime centimes cent cents",
    "second seconds seconde secondes sec",
    "minute minutes min",
    "hour hours heure heures hr hrs",
    "day days jour jours",
    "week weeks semaine semaines",
    "month months mois",
    "year years an ans annee annees",
    "km kilometre kilometres kilometer kilometers",
    "m metre metres meter meters",
    "cm centimetre centimetres centimeter centimeters",
    "mm millimetre millimetres millimeter millimeters",
    "mile miles",
    "kg kilo kilos kilogram kilograms kilogramme kilogrammes",
    "g gram grams gramme grammes",
    "mg milligram milligrams milligramme milligrammes",
    "tonne tonnes ton tons",
    "l litre litres liter liters",
    "ml millilitre millilitres milliliter milliliters",
    "gb go",
    "mb mo",
    "kw",
    "kwh",
    "°c celsius",
    "°f fahrenheit",
)
_UNIT_OF = {word: line.split()[0] for line in _UNITS for word in line.split()}
_TOKEN = re.compile(r"[€$£]|%|°[cCfF]|\d+(?:[.,:/]\d+)*|[^\W\d_]+")
_UNIT_REACH = 2  # words that may stand between a number and its unit: "five working days"

# Of each pair, a sentence that has one side is not supported by one that has only the other.
_OPPOSITES = (
    ("before avant", "after apres"),
    ("more plus", "less fewer moins"),
    ("minimum least", "maximum most"),
    ("above over dessus", "below under dessous"),
    ("required mandatory compulsory obligatoire", "optional voluntary facultatif facultative"),
    ("allowed permitted autorise autorisee autorises", "forbidden prohibited banned interdit interdite interdits"),
    ("increase increased rise rose hausse augmente", "decrease decreased fall fell baisse diminue"),
    ("first premier premiere", "last dernier derniere"),
    ("north nord", "south sud"),
    ("east est", "west ouest"),
    ("accepted accepte acceptee", "refused rejected refuse refusee"),
    ("free gratuit gratuite gratuits", "paid payant payante payants"),
    ("open ouvert ouverte", "closed ferme fermee"),
    ("always toujours", "never jamais"),
    ("won gagne", "lost perdu"),
    ("born ne nee", "died mort morte"),
    ("with avec", "without sans"),
)  # fmt: skip
_AMBIGUOUS = frozenset("plus est ne over more most least under".split())  # noqa: SIM905 (French "plus", "est", "ne")
_SIDES = [
    tuple(frozenset(word for word in side.split() if word not in _AMBIGUOUS) for side in pair) for pair in _OPPOSITES
]
_CLAUSE_END = re.compile(
    r"[;:]\s|,\s|\s(?:but|however|whereas|while|mais|cependant|tandis que|alors que)\s", re.IGNORECASE
)


@lru_cache(maxsize=4096)
def names(text: str) -> tuple[str, ...]:
    """Returns the words of names in order, as `words` has them: capitals within a sentence, and acronyms."""
    text = plain(text)
    found: list[str] = []
    for match in _NAME.finditer(text):
        name = match[1]
        folded = "".join(words(name)[:1])
        if not name[0].isupper() or is_stopword(name) or folded in _MONTH_OF or folded in _DAY_OF:
            continue
        acronym = len(name) > 1 and name.isupper()
        if acronym or not _OPENING.search(text[max(0, match.start() - _LOOKED_BACK) : match.start()]):
            found += words(name)
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)
def dates(text: str) -> frozenset[str]:
    """Returns the days of the week that a text names, and the months that stand beside a number, in English."""
    tokens = _tokens(text)
    found = {_DAY_OF[token] for token in tokens if token in _DAY_OF}
    for place, token in enumerate(tokens):
        beside = tokens[max(0, place - 1) : place] + tokens[place + 1 : place + 2]
        if token in _MONTH_OF and (
            any(other[0].isdigit() for other in beside) or token not in ("may", "march", "mars")
        ):
            found.add(_MONTH_OF[token])
    return frozenset(found)


@lru_cache(maxsize=4096)
def quantities(text: str) -> dict[str, frozenset[str]]:
    """Returns the numbers of a text and the units that each stands with, which may be none."""
    tokens = _tokens(text)
    found: dict[str, set[str]] = {}
    for place, token in enumerate(tokens):
        if not token[0].isdigit():
            continue
        units = found.setdefault(plain_number(token), set())
        if place and tokens[place - 1] in "€$£":
            units.add(_UNIT_OF[tokens[place - 1]])
            continue
        for other in tokens[place + 1 : place + 2 + _UNIT_REACH]:
            if other[0].isdigit():
                break
            if other in _UNIT_OF:
                units.add(_UNIT_OF[other])
                break
    return {number: frozenset(units) for number, units in found.items()}


def _tokens(text: str) -> list[str]:
    """Returns words, numbers and signs of units in order, written the one way that `words` writes them."""
    return [
        token.lower() if token[0] in "€$£%°" else "".join(words(token)) or token.lower()
        for token in _TOKEN.findall(plain(text))
    ]


def same_quantities(claim: str, evidence: str) -> bool:
    """Returns whether evidence holds every number of a claim, and none of them with other units only."""
    held = quantities(evidence)
    return all(
        number in held and (not units or not held[number] or bool(units & held[number]))
        for number, units in quantities(claim).items()
    )


def contradicts(claim: str, evidence: str) -> bool:
    """Returns whether evidence says no where a claim says yes, or the other way, or the opposite of one of its words.

    Of evidence that has several clauses, the one counts that shares most words with the claim: "Standard delivery is
    free, express is not" does not contradict "Standard delivery is free".
    """
    said = set(re.findall(r"[^\W\d_]+", " ".join(words(claim))))
    clause = _nearest_clause(claim, evidence)
    if negated(claim) != negated(clause):
        return True
    held = set(words(evidence))
    return any(
        (said & one and held & other and not held & one) or (said & other and held & one and not held & other)
        for one, other in _SIDES
    )


def _nearest_clause(claim: str, evidence: str) -> str:
    clauses = [clause for clause in _CLAUSE_END.split(evidence) if words(clause)]
    if len(clauses) < 2:
        return evidence
    said = set(words(claim))
    shared = [len(said & set(words(clause))) for clause in clauses]
    best = max(shared)
    if shared.count(best) > 1 or best < len(said) / 2:  # the claim runs over several clauses
        return evidence
    return clauses[shared.index(best)]
