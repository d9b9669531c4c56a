"""Detection of follow-up questions in English and French.

A question is a follow-up if it cannot be understood alone: it opens as a continuation ("and for express?"), it has a
pronoun that nothing in the question explains ("How long does it take?"), it is no full question ("For children?"), or
it has only words that need a topic from before ("Can you explain further?"). Pronouns that are explained, and
impersonal ones ("Is it possible to", "il faut"), are no sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import ModuleType

from langchain_gptoss.text.dialogue_acts import detect_dialogue_act, remove_courtesies
from langchain_gptoss.text.follow_ups import english, french
from langchain_gptoss.text.follow_ups.tokens import QUOTE, Token, tokenize
from langchain_gptoss.text.language import detect_language
from langchain_gptoss.text.names import extract_names
from langchain_gptoss.text.words import extract_content_words, find_missing_words

_RULES: dict[str, ModuleType] = {"en": english, "fr": french}
_MAX_FRAGMENT_WORDS = 5
_MAX_WORDS_BEFORE_ENDING = 10
_MAX_GENERIC_WORDS = 3
_MAX_WORDS_WITH_NOUN = 3  # content words of "Can the contract be cancelled early?"
_MAX_OPEN_WORDS = 3  # content words of "Is a medical certificate required?"
_OPENING_CHARS = 40
_YEAR_DIGITS = 4
_MIN_DESCRIPTION_WORDS = 3  # "How much success did this expedition with Braddock find?" can be searched for alone
_AUXILIARIES = english.AUXILIARIES | french.AUXILIARIES
_QUESTION_WORDS = english.QUESTION_WORDS | french.QUESTION_WORDS
_GENERIC_WORDS = english.GENERIC_WORDS | french.GENERIC_WORDS


def is_follow_up(question: str, conversation: Sequence[str] = ()) -> bool:
    """Return True if a question cannot be understood without the conversation before it.

    Args:
        question: The question.
        conversation: Texts of the last messages before it. "This church" continues them if they mention a church.
    """
    act = detect_dialogue_act(question)
    if act is not None and act.kind != "summary":
        return False
    question = " ".join(remove_courtesies(question).split())
    tokens = tokenize(question)
    language = detect_language(question)
    rules = [_RULES[language]] if language in _RULES else list(_RULES.values())
    if _has_generic_words_only(question, tokens) or any(_is_continuation(question, tokens, each) for each in rules):
        return True
    if any(_has_mentioned_noun(question, conversation, each) for each in rules):
        return True
    return any(
        each.has_open_pronoun(
            tokens,
            is_known=partial(
                _is_known_noun, question=question, conversation=conversation, reference_nouns=each.REFERENCE_NOUNS
            ),
            conversation=conversation,
        )
        for each in rules
    )


def may_be_follow_up(question: str, conversation: Sequence[str]) -> bool:
    """Return True if a question looks complete and may yet depend on the conversation before it.

    It is short, names nothing, and does not repeat what was spoken of: "Is there a student discount?" may be about the
    museum. Only a reader of the conversation can tell it from "Who may donate blood?".

    Args:
        question: The question.
        conversation: Texts of the last messages before it.
    """
    if not conversation or detect_dialogue_act(question) is not None:
        return False
    question = remove_courtesies(question)
    words = [word for word in extract_content_words(question) if len(word) > 1]
    if (
        not 0 < len(words) <= _MAX_OPEN_WORDS
        or extract_names(question)
        or QUOTE in {token.word for token in tokenize(question)}
    ):
        return False
    topics = [word for word in words if not is_generic_word(word)]
    return len(find_missing_words(topics, " ".join(conversation))) == len(topics)


def has_question_opening(text: str) -> bool:
    """Return True if a text begins with a question word or an auxiliary, as "How much ..." and "Est-ce que ..."."""
    words = [token.word for token in tokenize(text[:_OPENING_CHARS]) if not token.is_mark]
    return bool(words) and words[0] in _QUESTION_WORDS | _AUXILIARIES


def is_generic_word(word: str) -> bool:
    """Return True if a content word says nothing without what was said before: "details", "cost", "exception"."""
    return word in _GENERIC_WORDS


def find_antecedent(questions: Sequence[str]) -> str:
    """Return the question that the next follow-up continues: the last one that can be understood alone.

    Args:
        questions: The earlier questions in order; an empty text is returned if there are none.
    """
    for index in range(len(questions) - 1, 0, -1):
        if not is_follow_up(questions[index], questions[:index]):
            return questions[index]
    return questions[0] if questions else ""


def _is_continuation(question: str, tokens: Sequence[Token], rules: ModuleType) -> bool:
    """Return True for an opening or ending that continues something, and for a question without a verb."""
    words = [token.word for token in tokens if not token.is_mark]
    if rules.OPENING.search(question) or (len(words) <= _MAX_WORDS_BEFORE_ENDING and rules.ENDING.search(question)):
        return True
    has_verb = any(word in _AUXILIARIES or word.startswith("-") for word in words)
    if has_verb or not words or len(words) > _MAX_FRAGMENT_WORDS:
        return False
    if any(word in _QUESTION_WORDS for word in words):
        topics = [word for word in extract_content_words(question) if word not in rules.FRAGMENT_OPENINGS]
        return question.endswith("?") and len(topics) < 2
    return question.endswith("?") and (len(words) == 1 or words[0] in rules.FRAGMENT_OPENINGS)


def _has_mentioned_noun(question: str, conversation: Sequence[str], rules: ModuleType) -> bool:
    """Return True for a short question about "the limit" or "the contract" if the conversation explains which one.

    A generic noun, such as "limit", needs no mention: it is the limit of what was spoken about.
    """
    words, text = extract_content_words(question), " ".join(conversation)
    if not text or not 1 < len(words) <= _MAX_WORDS_WITH_NOUN or extract_names(question):
        return False
    for noun in rules.DEFINITE_NOUN.findall(question):
        noun_words = extract_content_words(noun)
        is_generic = len(words) < _MAX_WORDS_WITH_NOUN and all(map(is_generic_word, noun_words))
        if noun_words and (is_generic or not find_missing_words(noun_words, text)):
            return True
    return False


def _has_generic_words_only(question: str, tokens: Sequence[Token]) -> bool:
    words = [word for word in extract_content_words(question) if len(word) > 1 or word.isdigit()]
    if len(words) > _MAX_GENERIC_WORDS or QUOTE in {token.word for token in tokens}:
        return False
    if any(len(word) == _YEAR_DIGITS and word.isdigit() for word in words) and len(words) > 1:
        return False
    return all(word in _GENERIC_WORDS or word[0].isdigit() for word in words)


def _is_known_noun(noun: str, *, question: str, conversation: Sequence[str], reference_nouns: frozenset[str]) -> bool:
    """Return True if a noun after a demonstrative points to the conversation and does not describe a thing itself."""
    words = extract_content_words(noun)
    if len(extract_content_words(question)) < _MIN_DESCRIPTION_WORDS:
        return True
    is_reference = any({word, word.removesuffix("s")} & reference_nouns for word in words)
    return is_reference or not find_missing_words(words, " ".join(conversation))
