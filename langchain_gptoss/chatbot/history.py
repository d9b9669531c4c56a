"""The conversation before a question: shortening it, and completing a follow-up from it."""

import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.utils import count_tokens_approximately

from langchain_gptoss.retrievers.query_rewriting import get_recent_texts
from langchain_gptoss.text.dialogue_acts import detect_dialogue_act, remove_courtesies
from langchain_gptoss.text.follow_ups import find_antecedent, is_follow_up

_CITATION_MARKERS = re.compile(r"\s*\[(?:\d+|\?)\]")
_SPEAKERS = {"human": "User", "ai": "Assistant"}
# Weight of the earlier question beside the follow-up's 1, measured on pairs of questions over the sample handbook.
_EARLIER_WEIGHT = 0.6


def expand_follow_up(question: str, history: Sequence[BaseMessage]) -> list[tuple[str, float]]:
    """Return the question, and the earlier question that it follows, with weights.

    A question that can be understood alone is returned alone, so that a change of topic is not searched for together
    with what came before it.
    """
    earlier = [str(message.text) for message in history if isinstance(message, HumanMessage)]
    earlier = [remove_courtesies(text) for text in earlier if not _is_courtesy(text)]
    if not earlier or not is_follow_up(question, get_recent_texts(history)):
        return [(question, 1.0)]
    return [(question, 1.0), (find_antecedent(earlier), _EARLIER_WEIGHT)]


def _is_courtesy(text: str) -> bool:
    act = detect_dialogue_act(text)
    return act is not None and act.kind != "summary"


def split_by_budget(messages: Sequence[BaseMessage], budget: int) -> tuple[list[BaseMessage], list[BaseMessage]]:
    """Split a conversation into the part that exceeds the budget and the recent part, which begins with a question.

    A conversation over the budget is cut to half of it, so that not every question needs a new summary.

    Args:
        messages: The conversation.
        budget: Maximum length of the recent part, in tokens of about four characters.
    """
    if count_tokens_approximately(messages) <= budget:
        return [], list(messages)
    start = len(messages)
    while start and count_tokens_approximately(messages[start - 1 :]) <= budget // 2:
        start -= 1
    while start < len(messages) and not isinstance(messages[start], HumanMessage):
        start += 1
    return list(messages[:start]), list(messages[start:])


def format_conversation(messages: Sequence[BaseMessage]) -> str:
    """Return a conversation as text, one line for each message."""
    return "\n".join(f"{_SPEAKERS.get(message.type, message.type)}: {message.text}" for message in messages)


def prepend_summary(summary: str, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages after the summary of what came before them, if there is one."""
    return [SystemMessage(summary), *messages] if summary else list(messages)


def remove_citation_markers(answer: str) -> str:
    """Return an answer without its numbers in brackets: sessions do not keep the citations."""
    return _CITATION_MARKERS.sub("", answer).strip()
