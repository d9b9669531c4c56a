"""A follow-up question made complete: rewritten by a chat model, and checked before it is searched for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.language import detect_language
from langchain_gptoss.text.words import extract_content_words

_NAMES = {"en": "English", "fr": "French"}
_REMEMBERED = 6  # messages that are shown to the model
_SHOWN = 800  # characters of each
_MIN_SHARED = 0.5  # of the rewritten question's content words that must come from the conversation
_MAX_GROWTH = 3  # times the two questions' length

CONDENSE_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "Rewrite the last question so that it can be understood without the conversation: replace words such as "
            "it, that, there by what they stand for. Do not answer it. Keep its language{language}. If it is complete "
            "already, repeat it. Write the question and nothing else.",
        ),
        ("human", "Conversation:\n{conversation}\n\nLast question: {question}\n\nComplete question:"),
    ]
)
_LABEL = re.compile(r"^\W*(?:complete|standalone|rewritten|last|question)[\w\s]{0,20}:\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Standalone:
    """A question that can be searched for by itself.

    Attributes:
        question: The question.
        reason: How it came about, for people.
    """

    question: str
    reason: str


class HistoryInput(TypedDict):
    """A question and the conversation before it; `input` is LangChain's older name for `question`."""

    question: NotRequired[str]
    input: NotRequired[str]
    chat_history: NotRequired[Sequence[BaseMessage]]


def read_input(value: Any) -> tuple[str, list[BaseMessage]]:
    """Returns the question and the conversation before it.

    Raises:
        InvalidInputError: It holds no question.
    """
    given: Mapping[str, Any] = value if isinstance(value, Mapping) else {"question": value}
    question = given.get("question", given.get("input"))
    if not isinstance(question, str) or not question.strip():
        raise InvalidInputError('The question is empty. Pass it as a string or as {"question": "..."}.')
    return question.strip(), list(given.get("chat_history") or [])


def rewrite(
    llm: BaseChatModel,
    question: str,
    history: Sequence[BaseMessage],
    config: RunnableConfig,
    *,
    prompt: ChatPromptTemplate = CONDENSE_PROMPT,
) -> Standalone:
    """Returns the question made complete by a chat model, or together with the one before where that fails."""
    if not history:
        return Standalone(question=question, reason="There is no conversation before it.")
    answer = (prompt | llm).invoke(_input(question, history), config)
    return _checked(str(answer.text), question, history)


async def arewrite(
    llm: BaseChatModel,
    question: str,
    history: Sequence[BaseMessage],
    config: RunnableConfig,
    *,
    prompt: ChatPromptTemplate = CONDENSE_PROMPT,
) -> Standalone:
    """Returns what `rewrite` does."""
    if not history:
        return Standalone(question=question, reason="There is no conversation before it.")
    answer = await (prompt | llm).ainvoke(_input(question, history), config)
    return _checked(str(answer.text), question, history)


def _input(question: str, history: Sequence[BaseMessage]) -> dict[str, str]:
    speakers = {"human": "User", "ai": "Assistant"}
    lines = [
        f"{speakers[message.type]}: {' '.join(str(message.text).split())[:_SHOWN]}"
        for message in history
        if message.type in speakers and str(message.text).strip()
    ]
    language = _NAMES.get(detect_language(question) or "")
    return {
        "conversation": "\n".join(lines[-_REMEMBERED:]),
        "question": question,
        "language": f", {language}" if language else "",
    }


def _checked(answer: str, question: str, history: Sequence[BaseMessage]) -> Standalone:
    lines = [line for line in answer.strip().splitlines() if line.strip()]
    rewritten = _LABEL.sub("", lines[0]).strip().strip("\"'«»“” ") if lines else ""
    asked = [str(message.text) for message in history if isinstance(message, HumanMessage)]
    before = asked[-1] if asked else ""
    fault = _fault(rewritten, question, before, " ".join([question, *(str(message.text) for message in history)]))
    if fault is None:
        return Standalone(question=rewritten, reason="The model rewrote it.")
    return Standalone(
        question=f"{before} {question}".strip(),
        reason=f"The model's rewriting {fault}, so the question before is searched for together with it.",
    )


def _fault(rewritten: str, question: str, before: str, conversation: str) -> str | None:
    """Returns what makes a rewriting unusable, or None.

    Small models answer the question, translate it, or talk about something else; none of this may reach the search.
    """
    if not rewritten:
        return "is empty"
    if len(rewritten) > _MAX_GROWTH * (len(question) + len(before)):
        return "is too long to be a question"
    told, found = detect_language(question), detect_language(rewritten)
    if told and found and told != found:
        return "is in another language"
    if question.rstrip().endswith("?") and not rewritten.endswith("?"):
        return "is no question"
    content = _content(rewritten)
    if not content or len(content & _content(conversation)) < _MIN_SHARED * len(content):
        return "is about something else"
    own = _content(question)
    if own and not own & content:
        return "leaves out what was asked"
    return None


def _content(text: str) -> set[str]:
    """Returns the beginnings of the words that say something: a plural is the same word."""
    return {word[:6].rstrip("s") for word in extract_content_words(text)} - {""}
