"""Analysis of a sentence for checks: its words with their roots, its names, its quantities, and its clauses.

There is no parser. Closed lists of function words and verbs and the punctuation are enough to tell which words belong
together; where they leave a doubt, a word belongs to several clauses.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from langchain_gptoss.text.function_words import FUNCTION_WORDS, STOP_WORDS
from langchain_gptoss.text.normalization import fold_accents, normalize_for_checks
from langchain_gptoss.text.quantities import Quantity, extract_quantities, is_calendar_word
from langchain_gptoss.text.roots import are_related, find_root
from langchain_gptoss.text.synonyms import find_synonym_groups
from langchain_gptoss.text.verbs import find_infinitive, is_auxiliary
from langchain_gptoss.text.word_lists import parse_words

_WORD = re.compile(r"[^\W_]+")
_ELIDED = parse_words("l d j n s c m t qu jusqu lorsqu puisqu quoiqu")
_OTHER_FUNCTION_WORDS = parse_words(
    """according all any anyone both each either every everyone however just least less more most neither never
    nobody none nor nothing only per please same some someone still such than through too unless until upon very
    whether within without yes yet aucun aucune ainsi alors aussi autre autres certain certaine certains certaines
    chacun chaque deja encore jamais lorsque ni non oui personne plusieurs pourtant quelque quelques rien sauf
    selon sinon tel telle toujours trop uniquement seulement votre vos you your we our us my i one ones there here
    also within toutefois after before well among back latest earliest out up off away down apres avant once total
    today currently now nowadays partie part aujourd hui actuellement maintenant even though bien possible
    possibilite possibly optional optionally compulsory mandatory obligatory obligatoire obligatoires facultatif
    facultative lieu aside itself itselves themselves eux celle celui celles ceux again altogether actually namely
    respectively disponible disponibles available long afterwards then therefore thus hence t besides apart outre
    hormis except excepte cependant although though while whereas because since if during"""
)
PRONOUNS = parse_words(
    """he she it they him her his its their them this that these those il elle ils elles celui celle ceux celles
    celui-ci cela ca ce lui leur son sa ses y en on qui which who"""
)
"""Words that stand for something that was named before."""
_SUBJECT_PRONOUNS = parse_words("he she it they we you i il elle ils elles on nous vous je")
_OBJECT_STARTS = parse_words(
    """the a an this that these those his her its their it them him le la les l un une des ce cet cette son sa ses"""
)
_DETERMINERS = parse_words(
    """the a an this that these those his her its their our your my of no any each every le la les l un une des du de
    d ce cet cette ces son sa ses leur leurs votre vos notre nos mon ma mes au aux pour par avec for with per in
    on at"""
)
_BOUNDARY_MARK = re.compile(r"[;:!?()\[\]\n|]|[,.](?=\s)|\s[–—-]\s")
_BOUNDARY_WORDS = parse_words(
    """and or nor but however whereas while although though unless except excluding excepted if because who which
    whose where provided when et ou ni mais cependant toutefois tandis alors sauf excepte hormis hors si car parce
    qui dont lorsque quand after before until since when avant apres depuis pendant"""
)
_TEMPORAL_WORDS = parse_words("after before until since when avant apres depuis pendant")
_ARTICLES = parse_words("the le la les l celui celle ceux celles")
_COORDINATIONS = parse_words("and but while whereas or et mais tandis alors ou")
_RELATIVE = parse_words("who which whose where qui dont que")
_SENTENCE_MARKS = frozenset(".!?\n")
# Conjunctions of exceptions and conditions: what follows is a clause of its own without a verb, too.
_SCOPE_WORDS = parse_words("except excepting excluding excepted unless if provided sauf excepte hormis hors si")
_SENTENCE_START = re.compile(r"""(?:^|[.!?…:\n]|^\W*[-*•])["'“”«»(\[\s*-]*$""")
# Phrases that open a clause as a conjunction does.
_CONJUNCTION_PHRASES = {
    "except": re.compile(
        r"\b(?:(?:à l['’]|with the )(?:seule )?(?:exception|exclusion)|apart from|other than|à part\b|en dehors d)",
        re.IGNORECASE,
    ),
    "unless": re.compile(r"\b(?:à moins (?:qu|d)|sauf si)", re.IGNORECASE),
    "if": re.compile(
        r"\b(?:à (?:la (?:seule )?)?condition (?:qu|d)|sous réserve|pourvu qu|en cas d|as long as|on condition"
        r"|in case|subject to)",
        re.IGNORECASE,
    ),
}
_BEFORE_SUMMER = re.compile(r"\b(?:en|cet|chaque|un|d['’]|l['’]|d['’]un)\s*$", re.IGNORECASE)  # "été" is "been", too
_DENIAL = re.compile(r"\b(?:not|pas|non|never|jamais)\b", re.IGNORECASE)
_BEFORE_DOORS = re.compile(r"\b(?:its|their|ses|leurs)\s$", re.IGNORECASE)
_CONTEXT_CHARS = 8
_MAX_LABEL_WORDS = 3  # before a colon: "Price per day: 22 €" is one statement


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A word of a text.

    Attributes:
        start: Offset of its first character in the analysed text.
        end: Offset after its last character.
        spelling: The word as written.
        word: The word in lower case and without accents.
        root: Its root.
        groups: Groups of synonyms that it belongs to.
        is_content: True if it is no function word and no part of a quantity.
        is_unit: True if it is no function word and part of a quantity: "doors" in "3 doors".
        is_name: True for a content word with a capital letter inside of a sentence, and for an acronym.
        is_initial: True for a word with a capital letter at the beginning of a sentence: it may be a name.
        clauses: Indexes of the clauses that it may belong to.
    """

    start: int
    end: int
    spelling: str
    word: str
    root: str
    groups: frozenset[int]
    is_content: bool
    is_unit: bool
    is_name: bool
    is_initial: bool
    clauses: frozenset[int] = frozenset()

    def matches(self, other: Token) -> bool:
        """Return True if two words mean the same; names must be equal but for case and accents."""
        if self.is_name or other.is_name:
            return self.word == other.word or (not (self.is_name and other.is_name) and self.root == other.root)
        return are_related(self.root, other.root) or not self.groups.isdisjoint(other.groups)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """A part of a sentence with a verb or a quantity of its own, as far as lists of words can tell.

    Attributes:
        start: Offset of its first character in the analysed text.
        end: Offset after its last character.
        opener: The conjunction at its beginning in lower case, "" if there is none.
        verb: Index of its first verb among the tokens, None if it has none.
        sentence: Number of its sentence in the text.
    """

    start: int
    end: int
    opener: str
    verb: int | None
    sentence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """The words, quantities and clauses of a text.

    Attributes:
        text: The text in the spelling for checks; offsets refer to it.
        language: The language whose stemmer was used.
        tokens: All words in order.
        quantities: All quantities in order.
        clauses: The clauses in order.
    """

    text: str
    language: str
    tokens: tuple[Token, ...]
    quantities: tuple[Quantity, ...]
    clauses: tuple[Clause, ...]

    @property
    def content(self) -> tuple[Token, ...]:
        """The content words in order."""
        return tuple(token for token in self.tokens if token.is_content)

    @property
    def groups(self) -> tuple[frozenset[int], ...]:
        """Indexes of the clauses that state one thing each; phrases and relative clauses belong to the one before."""
        groups: list[set[int]] = []
        for index, clause in enumerate(self.clauses):
            is_phrase = clause.verb is None and clause.opener not in _COORDINATIONS
            is_same_sentence = bool(groups) and self.clauses[index - 1].sentence == clause.sentence
            if is_same_sentence and (is_phrase or clause.opener in _RELATIVE):
                groups[-1].add(index)
            else:
                groups.append({index})
        return tuple(map(frozenset, groups))

    @property
    def subject(self) -> tuple[Token, ...]:
        """The words before the first verb; empty if no verb is known."""
        verb = next((clause.verb for clause in self.clauses if clause.verb is not None), None)
        return self.tokens[:verb] if verb is not None else ()

    @property
    def words(self) -> frozenset[str]:
        """All words in lower case and without accents."""
        return frozenset(token.word for token in self.tokens)

    def find_clauses(self, quantity: Quantity) -> frozenset[int]:
        """Return the indexes of the clauses in which a quantity begins."""
        return frozenset(
            index for index, clause in enumerate(self.clauses) if clause.start <= quantity.start < clause.end
        )


@lru_cache(maxsize=8192)
def analyse(text: str, language: str) -> Analysis:
    """Return the analysis of a text.

    Args:
        text: A sentence, or a few.
        language: ISO 639-1 code of the language whose stemmer is used; that of the claim also for the evidence.
    """
    text = normalize_for_checks(text)
    quantities = extract_quantities(text)
    tokens = _tokenize(text, language, quantities)
    clauses, members = _split_clauses(text, tokens, quantities, language)
    placed = tuple(replace(token, clauses=clauses_) for token, clauses_ in zip(tokens, members, strict=True))
    return Analysis(text=text, language=language, tokens=placed, quantities=quantities, clauses=clauses)


def _tokenize(text: str, language: str, quantities: Sequence[Quantity]) -> list[Token]:
    tokens = []
    spans = iter(quantities)
    quantity = next(spans, None)
    for match in _WORD.finditer(text):
        spelling, start = match[0], match.start()
        while quantity is not None and quantity.end <= start:
            quantity = next(spans, None)
        word = fold_accents(spelling).lower()
        is_genitive = word == "s" and text[max(0, start - 1) : start] in ("'", "’")
        is_elided = word in _ELIDED and text[match.end() : match.end() + 1] in ("'", "’")
        if is_genitive or (is_elided and word != "n"):  # "n'" is a negation
            continue
        in_quantity = quantity is not None and quantity.start <= start < quantity.end
        is_summer = word == "ete" and bool(_BEFORE_SUMMER.search(text[max(0, start - 8) : start]))
        before = text[max(0, start - _CONTEXT_CHARS) : start]
        is_inside = spelling[0].isupper() and not _SENTENCE_START.search(before)
        has_topic = (
            is_summer
            or (is_inside and _can_be_name(spelling) and not is_calendar_word(word))
            or not _is_function_word(word, language)
        )
        is_idiom = word in ("doors", "portes") and bool(_BEFORE_DOORS.search(before))  # "opened its doors"
        has_topic = has_topic and not is_idiom
        is_content = has_topic and not in_quantity
        is_capital = is_content and spelling[0].isupper() and not is_calendar_word(word)
        is_acronym = is_capital and len(spelling) > 1 and spelling.isupper()
        is_initial = is_capital and not is_acronym and not is_inside
        root = find_root(word, language)
        tokens.append(
            Token(
                start=start,
                end=match.end(),
                spelling=spelling,
                word=word,
                root=root,
                groups=find_synonym_groups(root, language),
                is_content=is_content,
                is_unit=has_topic and in_quantity and not spelling[0].isdigit(),
                is_name=is_capital and not is_initial,
                is_initial=is_initial,
            )
        )
    return tokens


def _can_be_name(spelling: str) -> bool:
    """Return True for a capitalized word that is longer than an article, or a single letter as in "line B"."""
    return len(spelling) > 2 or (spelling.isupper() and spelling not in ("I", "À"))


@lru_cache(maxsize=16384)
def _is_function_word(word: str, language: str) -> bool:
    return (
        word in _FOLDED_STOP_WORDS
        or word in _OTHER_FUNCTION_WORDS
        or word in FUNCTION_WORDS.get(language, ())
        or (is_auxiliary(word) and word not in ("need", "needs"))
    )


_FOLDED_STOP_WORDS = frozenset(fold_accents(word) for word in STOP_WORDS) - {
    "answer",
    "need",
    "reponse",
    "long",
    "tell",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Segment:
    """A part of a text between punctuation marks and conjunctions.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last character.
        opener: The conjunction at its beginning, "" if there is none.
        verb: Index of its first verb among the tokens, None if it has none.
        sentence: Number of its sentence in the text.
        is_separate: True if a semicolon or the end of a sentence is before it.
        is_complete: True if it is a clause of its own.
    """

    start: int
    end: int
    opener: str
    verb: int | None
    sentence: int
    is_separate: bool
    is_complete: bool


def _split_clauses(
    text: str, tokens: Sequence[Token], quantities: Sequence[Quantity], language: str
) -> tuple[tuple[Clause, ...], list[frozenset[int]]]:
    """Return the clauses, and for each token the indexes of those that it may belong to."""
    segments = _split_segments(text, tokens, quantities, language)
    runs: list[list[_Segment]] = []  # segments without a semicolon or the end of a sentence between them
    for segment in segments:
        if segment.is_separate or not runs:
            runs.append([])
        runs[-1].append(segment)
    clauses: list[Clause] = []
    owners: dict[int, frozenset[int]] = {}
    for run in runs:
        _add_clauses(run, clauses, owners)
    starts = [segment.start for segment in segments]
    return tuple(clauses), [owners[starts[bisect_right(starts, token.start) - 1]] for token in tokens]


def _add_clauses(run: Sequence[_Segment], clauses: list[Clause], owners: dict[int, frozenset[int]]) -> None:
    """Add the clauses of neighbouring segments; those between two complete ones may belong to either."""
    first = len(clauses)
    count = max(1, sum(segment.is_complete for segment in run))
    seen = 0
    for segment in run:
        seen += segment.is_complete
        last = max(0, seen - 1)
        can_be_next = not segment.is_complete and 0 < seen < count
        owners[segment.start] = frozenset({first + last, first + last + 1} if can_be_next else {first + last})
        if segment.is_complete or segment is run[0]:
            is_lead = segment.is_complete and seen == 1 and segment is not run[0]
            if is_lead:  # "In Namur, parking is free": the segments before the verb belong to it
                lead = clauses.pop()
                clauses.append(_create_clause(segment, start=lead.start, opener=lead.opener or segment.opener))
            else:
                clauses.append(_create_clause(segment, start=segment.start, opener=segment.opener))
        else:
            clauses[-1] = replace(clauses[-1], end=segment.end)


def _create_clause(segment: _Segment, *, start: int, opener: str) -> Clause:
    return Clause(start=start, end=segment.end, opener=opener, verb=segment.verb, sentence=segment.sentence)


def _split_segments(
    text: str, tokens: Sequence[Token], quantities: Sequence[Quantity], language: str
) -> list[_Segment]:
    cuts: dict[int, tuple[str, str]] = {0: ("", "")}  # the mark before, and the conjunction
    for match in _BOUNDARY_MARK.finditer(text):
        is_label = match[0] == ":" and len(text[max(cuts) : match.start()].split()) <= _MAX_LABEL_WORDS
        if not is_label and not _is_inside(match.start(), quantities):
            cuts[match.end()] = (match[0], "")
    for opener, pattern in _CONJUNCTION_PHRASES.items():
        cuts |= {match.start(): ("", opener) for match in pattern.finditer(text)}
    for token in tokens:
        is_part = any(quantity.start <= token.start < quantity.end for quantity in quantities)
        if token.word in _BOUNDARY_WORDS and not is_part:
            last = max(cut for cut in cuts if cut <= token.start)
            if text[last : token.start].strip():
                cuts[token.start] = ("", token.word)
            elif not cuts[last][1]:  # directly after a punctuation mark
                cuts[last] = (cuts[last][0], token.word)
    starts = _drop_phrases(cuts, tokens, len(text), language)
    segments: list[_Segment] = []
    sentence = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if not text[start:end].strip():
            continue
        mark, opener = cuts[start]
        sentence += mark in _SENTENCE_MARKS
        verb = _find_verb(tokens, start, end, language)
        has_quantity = any(start <= quantity.start < end for quantity in quantities)
        segments.append(
            _Segment(
                start=start,
                end=end,
                opener=opener,
                verb=verb,
                sentence=sentence,
                is_separate=mark in _SENTENCE_MARKS or mark in (";", "|"),
                is_complete=verb is not None
                or has_quantity
                or opener in _SCOPE_WORDS
                or (opener in _COORDINATIONS and bool(_DENIAL.search(text[start:end]))),
            )
        )
    segments = _mark_elliptic(segments, tokens)
    first = _Segment(start=0, end=len(text), opener="", verb=None, sentence=0, is_separate=False, is_complete=False)
    return [replace(segments[0], start=0), *segments[1:]] if segments else [first]


def _drop_phrases(cuts: dict[int, tuple[str, str]], tokens: Sequence[Token], length: int, language: str) -> list[int]:
    """Return the cuts without those before "after lunch" and the like: only a part with a verb is a clause."""
    starts = sorted(cut for cut in cuts if cut < length) or [0]
    ends = [*starts[1:], length]
    return [
        start
        for start, end in zip(starts, ends, strict=True)
        if not (start and cuts[start][0] == "" and cuts[start][1] in _TEMPORAL_WORDS)
        or _find_verb(tokens, start, end, language) is not None
    ]


def _mark_elliptic(segments: Sequence[_Segment], tokens: Sequence[Token]) -> list[_Segment]:
    """Return the segments with those complete that repeat the one before without its verb.

    "Royan handles rentals, and Saintes sales": the second part is a statement of its own.
    """
    marked = list(segments)
    for index, segment in enumerate(segments[1:], 1):
        before = marked[index - 1]
        is_coordinated = segment.opener in _COORDINATIONS or segment.is_separate or not segment.opener
        if segment.is_complete or not is_coordinated:
            continue
        own = [t for t in tokens if t.is_content and segment.start <= t.start < segment.end]
        others = [t for t in tokens if t.is_content and before.start <= t.start < before.end]
        repeated = [t for t in own if any(t.root == other.root for other in others)]
        names_other = bool(own) and own[0].is_name and any(not t.is_name for t in own)  # "and Yves the workshop"
        is_parallel = bool(repeated) and own[0] not in repeated
        first_word = next((t.word for t in tokens if segment.start <= t.start < segment.end), "")
        can_repeat = segment.opener in _COORDINATIONS or first_word in _ARTICLES
        is_parallel |= can_repeat and bool(repeated) and len(own) > len(repeated)
        if is_parallel or (names_other and segment.opener in _COORDINATIONS):
            marked[index - 1 : index + 1] = [replace(before, is_complete=True), replace(segment, is_complete=True)]
    return marked


def _is_inside(offset: int, quantities: Iterable[Quantity]) -> bool:
    return any(quantity.start < offset < quantity.end for quantity in quantities)


def _find_verb(tokens: Sequence[Token], start: int, end: int, language: str) -> int | None:
    """Return the index of the first token in a part of the text that is a verb by its form and place."""
    previous: Token | None = None
    for index in range(bisect_left(tokens, start, key=lambda token: token.start), len(tokens)):
        token = tokens[index]
        if token.start >= end:
            break
        # "a" is "has" in French only, and "à" is no verb.
        is_article = token.word == "a" and (language != "fr" or token.spelling.lower() != "a")
        if is_auxiliary(token.word) and not is_article:
            return index
        infinitive = find_infinitive(token.word)
        following = tokens[index + 1 : index + 2]
        if infinitive is not None and _is_verb_place(token, infinitive, previous, following):
            return index
        if infinitive is None and _is_likely_verb(token, previous, following):
            return index
        previous = token
    return None


def _is_verb_place(token: Token, infinitive: str, previous: Token | None, following: Sequence[Token]) -> bool:
    next_word = following[0].word if following else ""
    if token.word.endswith("ing") or (token.word.endswith("ed") and next_word in ("by", "in", "at", "on")):
        return False  # "the tickets bought by members" has its verb later
    if previous is None:
        is_polite = token.word.endswith("ez")  # "Comptez dix jours"
        return is_polite or (token.word == infinitive and next_word in _DETERMINERS)  # an imperative
    return previous.word not in _DETERMINERS


def _is_likely_verb(token: Token, previous: Token | None, following: Sequence[Token]) -> bool:
    """Return True for a word between a noun and "the" or a pronoun that has the ending of a verb."""
    next_word = following[0].word if following else ""
    is_past = token.word.endswith("ed") and previous is not None and next_word != "by"
    if (
        is_past
        and previous is not None
        and (previous.is_name or (previous.is_content and following[:1] and following[0].is_name))
    ):
        return True
    return (
        token.is_content
        and not token.is_name
        and previous is not None
        and (previous.is_content or previous.word in _SUBJECT_PRONOUNS)
        and token.word.endswith(("s", "ed", "ent", "e", "it", "ait"))
        and next_word in _OBJECT_STARTS
    )
