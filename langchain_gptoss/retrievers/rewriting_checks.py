"""Checks of a question that a model has rewritten: whether it may be searched for instead of the user's."""

from __future__ import annotations

import re

from langchain_gptoss.text.follow_ups import is_generic_word
from langchain_gptoss.text.language import detect_language
from langchain_gptoss.text.names import extract_names
from langchain_gptoss.text.quantities import is_calendar_word
from langchain_gptoss.text.words import extract_content_words, find_missing_words

_MIN_SHARED = 0.5  # share of the rewritten question's content words that must come from the conversation
_MAX_INVENTED = 1  # words such as "get" in "Where can I get the vaccine?"
_MAX_ALIKE = 1  # long words that may be spelled alike in both languages, such as "restaurant"
_MAX_GROWTH = 3  # maximum length of the rewritten question, in lengths of the two questions together
_STEM_LETTERS = 6  # of a word; the rest is mostly an ending
_NAME_LETTERS = 3  # that a name has in common with its translation: "Brussels", "Bruxelles"
_NUMBER = re.compile(r"\d+(?:[.,\u00a0\u202f ]\d+)*")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")  # shorter words are often spelled alike in both languages
# What a question asks for by its first word, and the words with which another question may ask for the same.
_ASKED = [
    (
        re.compile(r"\b(?:combien|how (?:much|many))\b", re.IGNORECASE),
        re.compile(
            r"\b(?:combien|how|prix|tarifs?|co[uû]t\w*|montants?|nombre|durée|délais?|price\w*|cost\w*|fees?|fares?|amount"
            r"|number|charge\w*|pay\w*)\b",
            re.IGNORECASE,
        ),
    ),
    (
        re.compile(r"\b(?:quand|when)\b", re.IGNORECASE),
        re.compile(
            r"\b(?:quand|when|dates?|heures?|hours?|time|jours?|days?|horaires?|délais?|année|year|long)\b",
            re.IGNORECASE,
        ),
    ),
    (
        re.compile(r"(?:\boù\b|\bwhere\b)", re.IGNORECASE),
        re.compile(
            r"(?:\boù\b|\b(?:where|lieux?|endroits?|places?|adresses?|addresse?s?|quel\w*|which|what)\b)", re.IGNORECASE
        ),
    ),
]
_INNER_END = re.compile(r"[?!][\"'»”)\s]+\w")


def find_fault(rewritten: str, question: str, previous: str, conversation: str) -> str | None:
    """Return the reason why a rewritten question is not usable, or None.

    Small models answer the question, translate it, repeat the question before it, or write about something else. None
    of this may be searched for.

    Args:
        rewritten: The question of the model.
        question: The question of the user.
        previous: The question that it follows.
        conversation: The text of the conversation before it.
    """
    if not rewritten:
        return "is empty"
    if len(rewritten) > _MAX_GROWTH * (len(question) + len(previous)):
        return "is too long"
    language, rewritten_language = detect_language(question), detect_language(rewritten)
    if language and rewritten_language and language != rewritten_language:
        return "is in another language"
    if question.rstrip().endswith("?") and not rewritten.endswith("?"):
        return "does not end with a question mark"
    if _INNER_END.search(rewritten):
        return "is more than one question"
    return _find_lost_part(rewritten, question) or _find_invented_part(rewritten, question, conversation)


def has_more_context(rewritten: str, question: str, conversation: str) -> bool:
    """Return True if a rewritten question has a content word of the conversation that the follow-up has not.

    A day alone is no topic: "May I camp on the beach on Saturday?" is only what a model writes that has just read of
    Saturday. A conversation in another language explains every word that the follow-up has not.
    """
    words = [word for word in extract_content_words(rewritten) if len(word) > 1 and not is_calendar_word(word)]
    has_other_language = is_foreign(conversation, question)
    if has_other_language:
        words = [word for word in words if not is_generic_word(word)]
    added = extract_stems(" ".join(words)) - extract_stems(question)
    return bool(added if has_other_language else added & extract_stems(conversation))


def keeps_topic(rewritten: str, question: str) -> bool:
    """Return True if a rewritten question has at least half of the stems of another one."""
    stems = extract_stems(question)
    return len(stems & extract_stems(rewritten)) >= _MIN_SHARED * len(stems)


def is_foreign(text: str, question: str) -> bool:
    """Return True if a text is in another language than a question, as far as both are known."""
    languages = detect_language(text), detect_language(question)
    return None not in languages and languages[0] != languages[1]


def is_translation(translated: str, question: str, language: str) -> bool:
    """Return True if a text may be the translation of a question into a language."""
    return (
        detect_language(translated) == language
        and translated.endswith("?")
        and len(translated) <= _MAX_GROWTH * len(question)
        and _extract_numbers(translated) == _extract_numbers(question)
        and not _INNER_END.search(translated)
    )


def extract_stems(text: str) -> set[str]:
    """Return the first letters of the content words, so that singular and plural are equal."""
    return {word[:_STEM_LETTERS].rstrip("s") for word in extract_content_words(text)} - {""}


def _find_lost_part(rewritten: str, question: str) -> str | None:
    for asked_by, asked_alike in _ASKED:
        if (word := asked_by.search(question)) and not asked_alike.search(rewritten):
            return f"does not ask {word[0].lower()!r}"
    if lost := sorted(_extract_numbers(question) - _extract_numbers(rewritten)):
        return f"leaves out the number {lost[0]}"
    stems = extract_stems(rewritten)
    # "Y a-t-il" has a "t" that is no word.
    words = [word for word in extract_content_words(question) if len(word) > 1 and not is_generic_word(word)]
    lost_words = [word for word in find_missing_words(words, rewritten) if not extract_stems(word) & stems]
    if lost_words:
        return f"leaves out {lost_words[0]!r}"
    # A word such as "price" may be said otherwise, but not be missing where it is all that was asked.
    asked = extract_stems(question)
    return "leaves out what is asked" if asked and not asked & stems else None


def _find_invented_part(rewritten: str, question: str, conversation: str) -> str | None:
    known = f"{question} {conversation}"
    if invented := sorted(_extract_numbers(rewritten) - _extract_numbers(known)):
        return f"has the number {invented[0]}, which nobody mentioned"
    has_other_language = is_foreign(conversation, question)
    letters = _NAME_LETTERS if has_other_language else _STEM_LETTERS
    known_beginnings = {word[:letters] for word in extract_content_words(known)}
    if names := [name for name in extract_names(rewritten) if name[:letters] not in known_beginnings]:
        return f"has the name {names[0]!r}, which nobody mentioned"
    stems = extract_stems(rewritten)
    if has_other_language:  # the words of the conversation come back translated
        words = _find_untranslated(rewritten, question, conversation)
        return f"has the word {words[0]!r} of another language" if len(words) > _MAX_ALIKE else None
    words = [word for word in extract_content_words(rewritten) if len(word) > 1 and not is_generic_word(word)]
    invented_words = [word for word in words if not extract_stems(word) & extract_stems(known)]
    if len(invented_words) > _MAX_INVENTED:
        return f"has the words {invented_words[0]!r} and {invented_words[1]!r}, which nobody mentioned"
    is_known = len(stems & extract_stems(known)) >= _MIN_SHARED * len(stems)
    return None if stems and is_known else "is about something else"


def _find_untranslated(rewritten: str, question: str, conversation: str) -> list[str]:
    """Return the words of a rewritten question that it has from a conversation in another language, without names."""
    own_words = _split_words(question) | {*extract_names(rewritten), *extract_names(conversation)}
    return sorted((_split_words(rewritten) & _split_words(conversation)) - own_words)


def _split_words(text: str) -> set[str]:
    return set(_LONG_WORD.findall(text.lower()))


def _extract_numbers(text: str) -> set[str]:
    return {re.sub(r"\D", "", number) for number in _NUMBER.findall(text)}
