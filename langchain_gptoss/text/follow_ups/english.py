"""Rules for follow-up questions in English."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from langchain_gptoss.text.follow_ups.tokens import (
    Token,
    find_covered,
    find_last,
    get_described_noun,
    get_word,
    parse_words,
    skip_head_nouns,
)

OPENING = re.compile(
    r"""^\W*(?:(?:and|or|but|also|plus|then|otherwise|(?:what|how)\ about|what\ if|same\ (?:question|thing|for|with)
    |(?:so|ok|okay|yes|no|well|right|sure|fine|great|thanks|hm+),?\s+(?:and|but|what|how|then|why|when|where|who|is
      |are
      |does|do|can|could|would|will)
    |(?:if|why|how|when)\ (?:so|not)|if\ (?:yes|no)|in\ (?:that|this|such\ an?)\ (?:case|event|situation)
    |(?:what|who|where|how|when|why)\ else\W*$|any(?:thing|one|body|where)\ else
    |(?:is|are|does|do|did|would|will|has)\ the\ same|(?:any|some|tell\ me|give\ me|say|show\ me)\ more
    |(?:only|except|unless|even)\ (?:if|for|on|in|with|when))\b(?!-))""",
    re.IGNORECASE | re.VERBOSE,
)
"""Openings that continue a conversation."""
ENDING = re.compile(
    r"""\b(?:too|as\ well|either|instead|then|though|(?:what|who|where|how|anything|something)\ else
    |(?:for|as\ an)\ (?:example|instance)|the\ (?:latter|former|others?)|(?:another|other|the\ \w+|an?\ \w+(?:er|ed
      |nt|le))\ ones?
    |the\ (?:first|second|third|last|other)|why\ (?:so|is\ that)|do\ so)\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
"""Endings that compare with something said before."""
DEFINITE_NOUN = re.compile(
    r"""(?<!\bof\ )(?<!\bfor\ )\bthe\ (\w{3,})\b
    (?!\ (?:of|for|in|on|at|to|from|with|by|between|that|which|who|and|or)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A noun that says what it means only together with what was said before: "Can the limit be raised?".

"The bonus of the directors" says what it means."""
FRAGMENT_OPENINGS = parse_words(
    """any some no for in on at to from by with without during after before until since between under over abroad
    only even also except including unless not the a an my our your per like as about within outside"""
)
"""First words of a question without a verb, such as "For children?"."""
QUESTION_WORDS = parse_words("what which who whom whose when where why how")
AUXILIARIES = parse_words(
    """am is are was were be been being do does did done have has had can could may might must shall should will
    would isn aren wasn weren don doesn didn haven hasn hadn wouldn shouldn couldn cannot 's 're"""
)
GENERIC_WORDS = parse_words(
    """explain explains explained explanation further detail details detailed elaborate example examples clarify
    clarification rephrase reformulate simpler simple simply summarise summarize summary shorter short briefly
    longer continue go going repeat expand develop word words term terms point points list lists bullet step steps
    translate english french sentence sentences way ways mean means meant meaning understand information info sure
    source sources reference references page section document documents documentation quote cite link links specific
    specifically precise deeper depth plain language different answer answers question questions last first second
    third next previous part bit little thing things something anything everything else case cases really actually
    exactly certain cost costs deadline deadlines exception exceptions condition conditions reason reasons advantage
    advantages disadvantage disadvantages benefit benefits drawback drawbacks difference differences amount minimum
    maximum limit limits penalty penalties consequence consequences requirement requirements required needed
    procedure process duration address phone number option options alternative alternatives rule rules risk risks
    purpose result results effect effects proof evidence follow following happen happens happened work works worked
    apply applies applied take takes took change changes changed need needs start starts end ends pay pays paid win
    wins won decide decides decided say says said true correct right wrong available possible allowed valid included
    free mandatory optional necessary useful important normal better best worse worst cheaper cheapest cheap
    expensive faster fastest fast slower larger largest bigger biggest smaller smallest higher highest lower lowest
    older oldest newer newest easier easiest safer safest year month week day date time hour hours percent type
    types kind kinds soon early late often far big old high please ok okay thing year's day's total exact whole
    extra additional again instead then either too also still yet even only just same other others another however
    because due come comes came got getting keep let make makes done doing did use used people person persons
    country place person's both ones"""
)
"""Words that say nothing without what was said before, beside function words."""

REFERENCE_NOUNS = parse_words(
    """rule offer cost product device item service plan option contract policy insurance card account period
    deadline delay amount document form case right obligation procedure request file model version order discount
    guarantee warranty ticket subscription benefit leave tax decision condition exception situation problem point
    topic data answer page sentence paragraph chapter step clause permission approach feature setting error message
    invoice sum fine one ones stuff"""
)
"""Nouns that people use for what was said before: "this offer"."""

_PERSONAL = parse_words("it he she they them him her")
_POSSESSIVES = parse_words("its his her their hers theirs")
_DEMONSTRATIVES = parse_words("this that these those")
_HAVE = parse_words("have has had")
_COPULAS = parse_words("is are was were be 's 're am")
_DETERMINERS = parse_words(
    """a an the my your our his her its their this that these those some any each every no both all many several few
    another other such one two three four five six seven eight nine ten 's which whose certain most more"""
)
_PREPOSITIONS = parse_words(
    """of in on at to for from by with without about into onto over under between among against through during
    before after since until till within like than as per via toward towards near around across along behind beyond
    despite upon regarding concerning because"""
)
_CLAUSE_OPENINGS = parse_words(
    """, ; : ( — – and or but nor if when while because since after before until although though unless whereas that
    which who whose where whom than as once whether how why what so"""
)
_FUNCTION_WORDS = (
    AUXILIARIES
    | QUESTION_WORDS
    | _DETERMINERS
    | _PREPOSITIONS
    | _CLAUSE_OPENINGS
    | parse_words(
        """i me you we us it he she they them him hers theirs there here not also still ever usually often always never
    only just already even really exactly more less very too then now later once n't 't there's please much long far
    someone somebody anyone anybody everyone mostly first originally generally typically"""
    )
)
_PEOPLE = parse_words("someone somebody anyone anybody everyone everybody nobody people")
# "What year was it built?" asks when: the year is not what was built.
_MEASURES = parse_words(
    """year years date day days month months century centuries decade time times age percentage percent number
    amount type types kind kinds sort part way color colour size price reason length height"""
)
_VERBS_AFTER_WHAT = parse_words(
    "happens happened happen costs matters works means meant changes changed applies counts"
)
_DEICTIC = parse_words(
    """year month week morning afternoon evening weekend summer winter spring autumn fall season quarter day days
    century website site chatbot chat conversation"""
)
_EXISTENTIAL = AUXILIARIES | parse_words("exist exists existed been remain remained isn't aren't")
_GENERIC_THOSE = parse_words(
    """responsible interested affected able who whom which that whose with without of in from under over aged living
    for at on"""
)
_IMPERSONAL = re.compile(
    r"""\ (?:
    (?:is|was|isn|would|will|can|could|should|might|may|must)\ (?:'t\ )?it\ (?:(?:be|have\ been|become)\ )?
      (?:[\w-]+\ ){0,4}?(?:to|that|if|when|whether|who|for\ [\w-]+(?:\ [\w-]+){0,3}\ to)
    | it\ (?:is|was|'s|were|be|is\ being|has\ been|had\ been|would\ be|will\ be|became|becomes)\ (?:[\w-]+\ ){1,4}?
      (?:to|that|if|when|who|for\ [\w-]+(?:\ [\w-]+){0,3}\ to)
    | it\ (?:[\w-]+\ ){0,2}?(?:takes?|took|taken|costs?|means?|meant|matters?|requires?|hurts?|helps?|happens?
      |happened
      |makes?\ sense|pays?|feels?|follows?)\ (?:[\w-]+\ ){0,5}?(?:to|if|that|when|whether
      |for\ [\w-]+(?:\ [\w-]+){0,3}\ to)
    | (?:find|finds|found|make|makes|made|making|consider|considers|considered|think|thought|deem|deemed|believed
      |believe)\ it
      \ (?:[\w-]+\ ){0,2}?[\w-]+\ (?:to|that|for)
    | what\ (?:time|day|date|year)\ (?:is|was)\ it(?=\ (?:in|on|at|now)\ )
    | what\ time\ is\ it | is\ it\ (?:raining|snowing|cold|hot|warm|sunny|windy|dark)
    | (?:does|did|will|would)\ it\ (?:rain|snow) | how\ far\ is\ it\ (?:from\ .*?\ to|to\ .*?\ from)
    | (?:what|how|when|where|why|who)\ (?:is|was)\ it\ that | what\ is\ it\ (?:called\ when|like\ to)
    | what\ (?:does|did)\ it\ (?:mean|take|cost)\ (?:to|if|when|for) | as\ it\ (?:were|is\ known)
    | it\ (?:seems?|seemed|appears?|appeared|turns?\ out|turned\ out) | when\ it\ comes\ to | have\ it\ that
    | it\ (?:is|was)\ (?:[\w-]+ly\ )?(?:said|believed|thought|estimated|claimed|assumed|known|argued|suggested
      |reported)
    )(?=\ )""",
    re.VERBOSE,
)  # fmt: skip
_REFERRING = re.compile(
    r"""\ (?:which\ ones?(?!\ of)(?!.*\ or\ )|(?:another|the\ other)\ one|the\ (?:latter|former)\ (?=[?,]|is|was|are
      |were)
    |the\ (?:first|second|third|last|other|next|cheap\w*|[\w-]+est)\ one(?!\ (?:of|to|who|that|which|in))
      |the\ same\ \?|which\ of\ (?:them|these|those)
    |(?:those\ ones|these\ ones|this\ one|that\ one(?=\ (?:\?|is|was)))|both\ of\ (?:them|these|those)|(?:you
      |your)\ (?:just\ )?(?:said|say|mentioned|mention
      |wrote|mean|told|answer)|mentioned\ (?:above|before|earlier)|above\ answer)\b""",
    re.VERBOSE,
)


def has_open_pronoun(
    tokens: Sequence[Token],
    *,
    is_known: Callable[[str], bool],
    conversation: Sequence[str] = (),
) -> bool:
    """Return True if a question has a pronoun that nothing in the question explains.

    Args:
        tokens: The question.
        is_known: Whether a noun after "this" or "that" was named before.
        conversation: Texts of the last messages.
    """
    if find_covered(tokens, _REFERRING):
        return True
    impersonal = find_covered(tokens, _IMPERSONAL)
    for index, token in enumerate(tokens):
        if index in impersonal or not _is_pronoun(tokens, index) or _is_explained(tokens, index):
            continue
        noun = get_described_noun(tokens, index, _FUNCTION_WORDS) if token.word in _DEMONSTRATIVES else ""
        if not noun or is_known(noun):
            return True
    return False


def _is_pronoun(tokens: Sequence[Token], index: int) -> bool:
    word, before, after = (get_word(tokens, at) for at in (index, index - 1, index + 1))
    if tokens[index].is_name:
        return False
    if word in _PERSONAL or word in _POSSESSIVES:
        return True
    if word == "there":
        return not {before, after} & _EXISTENTIAL and get_word(tokens, index - 2) not in AUXILIARIES
    if word not in _DEMONSTRATIVES or after in _DEICTIC or after == "of":
        return False
    if word in ("this", "these"):
        return True
    if word == "those" and (after in _GENERIC_THOSE or after.endswith(("ing", "ed"))):
        return False
    is_last = after in ("", "?", ".", "!")
    is_placed = before in AUXILIARIES | QUESTION_WORDS | _PREPOSITIONS | {"", "and", "or", "but"} and before != "in"
    return is_last or (is_placed and not (before in QUESTION_WORDS and after in AUXILIARIES and word == "those"))


def _is_explained(tokens: Sequence[Token], index: int) -> bool:
    word = tokens[index].word
    is_possessive = word in _POSSESSIVES and (word != "her" or _has_noun_after(tokens, index))
    if _is_named_after_comma(tokens, index):
        return True
    if is_possessive:
        return _has_possessor(tokens, index)
    if word == "there":
        return any(_is_noun(tokens, at) for at in range(index))
    before = get_word(tokens, index - 1)
    if word == "it" and get_word(tokens, index + 1) == "'s" and _has_noun_after(tokens, index + 1):
        return any(_is_noun(tokens, at) for at in range(index))  # "it's" for "its"
    boundary = find_last(tokens, _CLAUSE_OPENINGS, index)
    if boundary <= 0:
        is_object_clause = (
            before not in _FUNCTION_WORDS
            or find_last(tokens, {"to"}, index) > 0
            or (before.endswith("ing") and get_word(tokens, index - 2) in _PREPOSITIONS)
        )
        return is_object_clause and any(tokens[at].is_name and _is_noun(tokens, at) for at in range(index))
    nouns = [at for at in range(boundary) if _is_noun(tokens, at, with_question_phrase=True)]
    people = any(tokens[at].word in _PEOPLE or tokens[at].word == "who" for at in range(boundary))
    if word not in ("it", *_DEMONSTRATIVES) and people:
        return True
    if tokens[0].word in _PREPOSITIONS and get_word(tokens, boundary) == ",":
        nouns = [at for at in nouns if tokens[at].is_name and not tokens[at].word.isdigit()]
    return bool(nouns)


def _has_possessor(tokens: Sequence[Token], index: int) -> bool:
    first, before = tokens[0].word, get_word(tokens, index - 1)
    if first == "who" and before not in _COPULAS and get_word(tokens, 1) not in ("do", "does", "did"):
        return True
    if any(tokens[at].word in _PEOPLE or tokens[at].word in ("one", "you") for at in range(index)):
        return True
    start = skip_head_nouns(tokens, index, ("of",), _FUNCTION_WORDS)  # "the name of his wife": the name is not his
    nouns = [at for at in range(start) if _is_noun(tokens, at, with_question_phrase=before not in AUXILIARIES - _HAVE)]
    return bool(nouns)


def _is_named_after_comma(tokens: Sequence[Token], index: int) -> bool:
    """Return True for "In his first year, what did Einstein publish?"."""
    comma = next((at for at in range(index, len(tokens)) if tokens[at].word == ","), -1)
    is_opening = find_last(tokens, {","}, index) < 0 and tokens[0].word not in QUESTION_WORDS | AUXILIARIES | {"when"}
    is_clause = tokens[0].word in ("when", "while", "after", "before", "since", "although")
    if comma < 0 or not (is_opening or is_clause):
        return False
    return any(tokens[at].is_name and not tokens[at].word.isdigit() for at in range(comma + 1, len(tokens)))


def _is_noun(tokens: Sequence[Token], index: int, *, with_question_phrase: bool = False) -> bool:
    """Return True for a word that can be what a pronoun stands for."""
    token = tokens[index]
    if token.is_mark:
        return False
    if token.is_name:
        return not token.word.isdigit() and token.word not in _FUNCTION_WORDS
    word, before = token.word, get_word(tokens, index - 1)
    if word in _FUNCTION_WORDS:
        return False
    if before in ("which", "what", "whose", "many"):
        return with_question_phrase and word not in _MEASURES | _VERBS_AFTER_WHAT
    if before in _DETERMINERS:
        return word not in _MEASURES or get_word(tokens, index + 1) == "of"
    if before in AUXILIARIES:
        return not word.endswith(("ed", "ing", "en"))
    if before in _PREPOSITIONS or before in ("and", "or", "if", "when", "while", "although", "unless"):
        return word.endswith("s") and not word.endswith("ss")
    if index == 0:
        return word.endswith("s") or get_word(tokens, 1) in AUXILIARIES
    return _is_noun(tokens, index - 1, with_question_phrase=with_question_phrase) and before not in _FUNCTION_WORDS


def _has_noun_after(tokens: Sequence[Token], index: int) -> bool:
    after = get_word(tokens, index + 1)
    return bool(after) and after not in _FUNCTION_WORDS and not tokens[index + 1].is_mark
