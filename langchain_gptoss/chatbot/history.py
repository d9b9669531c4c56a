"""The conversation before a question: what of it a follow-up needs, and what of it still fits."""

import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from langchain_gptoss.text.words import extract_content_words

_OPENING = re.compile(
    r"^\W*(and|or|but|also|then|what about|how about|why|et|ou|mais|alors|pourquoi|qu'en est-il)\b", re.IGNORECASE
)
_REFERENCE = re.compile(
    r"\b(it|its|they|them|that|those|these|this one|that one|the same"
    r"|il|elle|ils|elles|cela|ça|celui-ci|celle-ci|en|y)\b",
    re.IGNORECASE,
)
_STANDALONE_WORDS = 2
_MARKERS = re.compile(r"\s*\[(?:\d+|\?)\]")
_SPEAKERS = {"human": "User", "ai": "Assistant"}
# What the earlier question weighs against the follow-up's 1: measured on pairs of questions over the sample handbook.
_EARLIER_WEIGHT = 0.6


def with_earlier(question: str, history: Sequence[BaseMessage]) -> list[tuple[str, float]]:
    """Returns the texts that make the question complete, with weights: the question, and the one it follows.

    A question follows another when it opens with "and" or "what about", points back ("it", "elle"), or has hardly a
    content word of its own.
    """
    earlier = [str(message.text) for message in history if isinstance(message, HumanMessage)]
    if not earlier or not _follows(question):
        return [(question, 1.0)]
    before = next((text for text in reversed(earlier) if not _follows(text)), earlier[-1])
    return [(question, 1.0), (before, _EARLIER_WEIGHT)]


def overflowing(messages: Sequence[BaseMessage], budget: int) -> tuple[list[BaseMessage], list[BaseMessage]]:
    """Returns a conversation in two: what no longer fits, and what does, which begins with a question.

    Half of the budget is freed at a time, so that not every question has a summary made.

    Args:
        messages: The conversation.
        budget: What may be kept word by word, in tokens of about four characters.
    """
    if count_tokens_approximately(messages) <= budget:
        return [], list(messages)
    kept = len(messages)
    while kept and count_tokens_approximately(messages[kept - 1 :]) <= budget // 2:
        kept -= 1
    while kept < len(messages) and not isinstance(messages[kept], HumanMessage):
        kept += 1
    return list(messages[:kept]), list(messages[kept:])


def spoken(messages: Sequence[BaseMessage]) -> str:
    """Returns a conversation as text, a line for each message."""
    return "\n".join(f"{_SPEAKERS.get(message.type, message.type)}: {message.text}" for message in messages)


def without_markers(answer: str) -> str:
    """Returns an answer without the numbers in brackets: they point to citations that are not remembered."""
    return _MARKERS.sub("", answer).strip()


def _follows(question: str) -> bool:
    pointing = _OPENING.search(question) or _REFERENCE.search(question)
    return bool(pointing) or len(extract_content_words(question)) < _STANDALONE_WORDS
