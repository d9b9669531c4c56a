"""Bounds and approximations: at least, at most, more than, until, from ... on, within, about."""

from __future__ import annotations

import re

from langchain_gptoss.text.quantities.model import Quantity

_BEFORE_LINES = {
    "min": """at least|no earlier than|not earlier than|not before|pas avant|au moins egale?s? a|no less than
    |not less than|no fewer than|not fewer than
    |(?:an? |the )?minimum(?: of)?
    |min\\.?|au moins|(?:un |au )?minimum(?: de)?|mini
    |pas moins de|≥|>=|superieure?s? ou egale?s? a|greater than or equal to|equal to or greater than
    |a partir d[eu']|a partir de l'
    |start(?:s|ing)? (?:at|from)|commence(?:nt)? a|upwards of|from|dès(?: l[ea'])?|a compter d[eu']
    |minimum :""",
    "max": """at (?:the )?most|dans la limite (?:totale )?d[e']|(?:la |une |the |a )limite? (?:de|of)
    |no later than|not later than|au plus tard(?: dans les| sous)?|au plus egale?s? a|no more than|not more than
    |no longer than|(?:not|n't) exceed(?:ing)?|cannot exceed
    |never exceeds?|without exceeding|up to|as much as|(?:a |the )?maximum(?: of)?|max\\.?|maxi|au plus
    |(?:un |au )?maximum(?: de)?|jusqu'a|jusqu'au|n(?:e |')(?:\\w+ )?(?:pas |jamais )?(?:depass\\w+
    |exced\\w+)(?: pas| jamais)?|sans (?:depasser|exceder)|pas plus de|≤|<=
    |less than or equal to|equal to or less than|limite[es]{0,2} a|limited to|capped at|plafonnee?s? a
    |inferieure?s? ou egale?s? a|pas excede[r]?|pas depasse[r]?""",
    "above": """more than|over|above|exceed(?:s|ing)?|in excess of|greater than|higher than|longer than|older than
    |larger than|heavier than|taller than|bigger than
    |plus d[e'u]|au-dessus d[e'u]|au-dela d[e'u]|au dela d[e'u]|superieure?s? a|depass(?:e|ent|ant)|excede(?:nt)?|>
    |beyond""",
    "below": """less than|under|below|fewer than|lower than|younger than|shorter than|smaller than|lighter than
    |moins d[e'u]|en dessous d[e'u]|au-dessous d[e'u]
    |en-dessous d[e'u]|inferieure?s? a|<""",
    "within": """within|sous|dans (?:les|un delai de|l'|la)|in less than|in no more than|d'ici|in at most|a delai de
    |un delai (?:maximal|maximum) de""",
    "after": """after|apres|au bout de|a l'issue de""",
    "about": """about|around|approximately|approx\\.?|roughly|circa|c\\.|some|nearly|almost|close to|environ
    |pres d[e']|presque|a peu pres|quelque|autour de
    |de l'ordre de|~|≈|ca\\.|plus ou moins|more or less|on average|estimated at|d'environ|avoisin\\w+""",
}
_DATE_LINES = {
    "max": """until|till|up to|up until|by|no later than|not later than|through|jusqu'au|jusqu'a|jusqu'en
    |au plus tard|d'ici(?: fin| le| au)?|at the latest by""",
    "below": "before|avant|prior to|earlier than|ahead of|avant le|avant la fin de",
    "min": """since|depuis|from|as of|as from|starting(?: on| in| from)?|beginning(?: on| in)?|a partir d[eu']
    |a compter d[eu']|dès|no earlier than|not before|pas avant|effective""",
    "above": "after|apres|following|past|later than",
    "opens": """(?:re)?opens|(?:re)?opened|(?:will|to|shall|may|can|doors) (?:re)?open|starts?|started|begins?|began
    |commences?|(?:re)?ouvre(?:nt)?|commence(?:nt)?|debute(?:nt)?|opening|ouverture""",
    "closes": """closes|(?:will|to|shall|may|doors) close|ends?|ended|finish(?:es|ed)?|expires?|expired|ferme(?:nt)?
    |(?:se )?termine(?:nt)?|finit|expire(?:nt)?|prend fin|shuts?|closing|fermeture|s'acheve""",
    "about": "about|around|circa|c\\.|vers|environ|autour d[eu]|roughly",
}


def _compile_before(lines: dict[str, str]) -> re.Pattern[str]:
    """Return the pattern of bound words before a number; the line breaks of a table are no part of its patterns."""
    joined = {name: re.sub(r"\n *", "", line) for name, line in lines.items()}
    groups = [f"(?P<{name}>{phrases})" for name, phrases in joined.items()]
    return re.compile(
        rf"(?:(?<![\w'-])|(?<=[dnl]')|(?<=\s))(?:{'|'.join(groups)})"
        r"(?:(?<=')|(?<=[≥≤<>=~≈])|(?= ?[:]?))[ :]*(?:(?:the|a|an|le|la|les|l'|its|age|ages|aged|du|de|d'"
        r"|at|on|in|a|au|en) ?){0,2}(?<![\w])$"
    )


_AMOUNT_BEFORE = _compile_before(_BEFORE_LINES)
_DATE_BEFORE = _compile_before(_DATE_LINES)
_LABEL = re.compile(
    r"\b(?:(?P<min>minimum|minimale?s?|min\.?)|(?P<max>maximum|maximale?s?|max\.?"
    r"|plafond|ceiling|limite|limit))"
    r"(?: (?!and\b|et\b|or\b|ou\b|is\b|of\b)[^\W\d]+){0,4}? ?(?:is|are|was|of|:|=|est|sont|est de|est d'"
    r"|de|d'|est fixee? a|is set at)(?: (?:the|a|de|d'))? ?$"
)
_AFTER = re.compile(
    r"(?: old| d'age| of age| (?:de|d'|of) ?[a-z]+(?= (?:ou|et|or"
    r"|and) ))?[ ,(]{0,2}(?:(?P<min>\+(?! ?[\w])|(?:or|and) (?:more|over|above|up|older|older"
    r"|greater|longer|upwards?)|(?:ou|et) (?:plus|davantage|au-dela)(?! de)"
    r"|minimum|mini|min\.|at (?:the )?least|at (?:a )?minimum|au moins|au minimum|ou superieur|onwards?"
    r"|and later|et apres)"
    r"|(?P<max>(?:or|and) (?:less|fewer|under|below|younger|earlier|shorter)|(?:ou|et) moins(?! de)"
    r"|maximum|maxi|max\.?|at (?:the )?most|at (?:the )?latest|au plus(?: tard)?|au maximum|tout au plus)"
    r"|(?P<about>or so|environ|approximately|approx\.?|or thereabouts|a peu pres))(?![\w])\)?"
)
_AGE = re.compile(
    r"\b(?:aged?|ages|agee?s?)(?: (?:of|de|between|from|entre|under|over))? ?$"
    r"|\b(?:children|kids|infants|people|persons|adults|anyone|those|teenagers) (?:aged |who are )?"
    r"(?:under|over|below|above|younger than|older than)(?: the age of)? $"
)
CHANGE = re.compile(
    r"\b(?:increas|ris|rose|grow|grew|fall|fell|drop|decreas|reduc|chang|went|go(?:es|ing)?\b|augment|pass"
    r"|baiss|diminu|rais|cut|up\b|down\b"
    r"|move|climb|hausse|evolu|rédui|reduit|releve|abaiss|porte\b)\w*(?: [^\s.;]+){0,4} (?:from|de|du) ?$"
)
"""Words before "from" that tell a change, not a range: "rose from 2 to 3 %"."""
_NEGATED = re.compile(
    r"(?:\b(?:not|cannot|never|no)|n't)(?: [a-z]+){0,2} ?$|\bn(?:e |')[^.;:]{0,30}\b(?:pas|jamais)(?: [a-z]+){0,2} ?$"
)
_ON = re.compile(r" on(?:wards?)?(?![\w])(?! (?:the|a|request|demand|average|weekdays|[a-z]+days?)\b)")


def add_bound(text: str, quantity: Quantity) -> Quantity:
    """Return a quantity with its bound and the words of it.

    Args:
        text: The folded text in lower case.
        quantity: A single value or a range; a range can only be approximate.
    """
    before = text[max(0, quantity.start - 60) : quantity.start]
    if quantity.kind == "amount" and not quantity.unit and _AGE.search(before):
        quantity = quantity.change(unit="year")
    pattern = _DATE_BEFORE if quantity.kind in ("date", "time") else _AMOUNT_BEFORE
    if quantity.kind in ("ordinal", "identifier"):
        return quantity
    match = pattern.search(before)
    name = match.lastgroup if match else None
    if match and name in ("above", "below") and _NEGATED.search(before, 0, match.start()):
        name = "max" if name == "above" else "min"
    if match and name == "min" and CHANGE.search(before):
        return quantity
    if match and name:
        quantity = _apply(quantity, name).change(start=quantity.start - (len(before) - match.start()))
        if name in ("min", "above") and quantity.kind == "date" and (on := _ON.match(text, quantity.end)):
            quantity = quantity.change(end=on.end())
        if name != "about":
            return quantity
        again = pattern.search(text[max(0, quantity.start - 60) : quantity.start])
        if again and again.lastgroup not in (None, "about"):
            return _apply(quantity, again.lastgroup)
        return quantity
    after = _AFTER.match(text, quantity.end)
    if after and after.lastgroup and quantity.is_single:
        return _apply(quantity, after.lastgroup).change(end=after.end())
    label = _LABEL.search(before) if quantity.kind == "amount" and quantity.is_single else None
    if label and label.lastgroup:
        return _apply(quantity, label.lastgroup)
    return quantity


def _apply(quantity: Quantity, name: str) -> Quantity:
    """Return a quantity with one kind of bound."""
    if name == "about":
        return quantity.change(is_approximate=True)
    if not quantity.is_single:
        return quantity
    if name in ("min", "above", "opens", "after"):
        is_soft = name in ("opens", "after")
        return quantity.change(
            high=None, high_date=None, is_low_inclusive=name in ("min", "opens"), is_soft_bound=is_soft
        )
    is_soft = name in ("within", "closes")
    return quantity.change(low=None, low_date=None, is_high_inclusive=name != "below", is_soft_bound=is_soft)
