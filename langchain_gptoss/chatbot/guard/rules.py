"""What instructions to a model look like in English and French: patterns for `injection`.

They are matched on folded text: lower case, without accents, lookalike letters written in Latin. A document may tell
its reader what to do ("Send the form to the town hall", "Run the following command"), so a verb in the imperative
proves nothing. A pattern wants something besides that only a model is told: its answer, its instructions, its role, a
request to write or to judge a text, or the marks of its chat format.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from langchain_gptoss.chatbot.guard.english import ENGLISH, Kind
from langchain_gptoss.chatbot.guard.french import FRENCH

# Kinds after which the rest of the paragraph is what the writer wants said.
STRONG: frozenset[Kind] = frozenset({"override", "role", "control", "address"})

# Where a sentence, a list item or a quotation begins, and what may stand before its verb.
_BEGIN = re.compile(r"""(?:^|(?<=[.!?:;\n"“”«•*(\[])|(?<=[-–—] ))\s*""")
_PREFIX = re.compile(
    r"(?:(?:please|kindly|now|then|also|and|so|next|finally|instead|just|always|only|simply|first|you (?:must|should"
    r"|will|have to|need to|are to|shall)|(?:can|could|will|would) you|make sure (?:to|you)|be sure to|i want you to"
    r"|remember to|it is (?:important|essential) (?:to|that you)|merci de|veuillez|s'il (?:te|vous) plait|peux-tu"
    r"|pouvez-vous|pourrais-tu|pourriez-vous|tu (?:dois|vas)|vous (?:devez|allez)|maintenant|ensuite|puis|et|alors"
    r"|toujours|d'abord|enfin|n'oubliez? pas de|je veux que tu|il faut)[,:]?\s+|merci d'|n'oubliez? pas d')*"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern, and what it is a sign of.

    Attributes:
        kind: Of the instruction.
        pattern: What to look for.
        needs: One of these stands in every text that the pattern matches; looking for them first saves time.
    """

    kind: Kind
    pattern: "re.Pattern[str]"
    needs: tuple[str, ...]


_ALL = [
    Rule(kind, re.compile(pattern.removeprefix("^")), tuple(needs)) for kind, pattern, *needs in [*ENGLISH, *FRENCH]
]
_FIRST = [rule for rule in _ALL if not rule.needs]
_ANYWHERE = [rule for rule in _ALL if rule.needs]


def matches(folded: str) -> Iterator[tuple[Kind, int, int]]:
    """Yields what the rules find in a folded text: kind, start, end."""
    for begin in _BEGIN.finditer(folded):
        places = {begin.end(), _PREFIX.match(folded, begin.end()).end()}  # type: ignore[union-attr]  # it can be empty
        for place in places:
            for rule in _FIRST:
                if match := rule.pattern.match(folded, place):
                    yield rule.kind, begin.end(), match.end()
    for rule in _ANYWHERE:
        if any(word in folded for word in rule.needs):
            for match in rule.pattern.finditer(folded):
                yield rule.kind, *match.span()
