"""A follow-up question ("and for express delivery?") is asked together with the question it follows."""

import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_gptoss.chatbot.text import words

_OPENING = re.compile(
    r"^\W*(and|or|but|also|then|what about|how about|why|et|ou|mais|alors|pourquoi|qu'en est-il)\b", re.IGNORECASE
)
_REFERENCE = re.compile(
    r"\b(it|its|they|them|that|those|these|this one|that one|the same"
    r"|il|elle|ils|elles|cela|ça|celui-ci|celle-ci|en|y)\b",
    re.IGNORECASE,
)
_STANDALONE_WORDS = 2
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


def _follows(question: str) -> bool:
    pointing = _OPENING.search(question) or _REFERENCE.search(question)
    return bool(pointing) or len(words(question)) < _STANDALONE_WORDS
