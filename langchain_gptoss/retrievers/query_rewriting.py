"""Query rewriting: a chat model completes a follow-up question, and the result is checked before it is searched for."""

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

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.follow_ups import find_antecedent, is_follow_up
from langchain_gptoss.text.language import detect_language
from langchain_gptoss.text.words import extract_content_words

_LANGUAGE_NAMES = {"en": "English", "fr": "French"}
_SPEAKERS = {"human": "User", "ai": "Assistant"}
_MAX_MESSAGES = 6  # last messages of the conversation that the model reads
_MAX_MESSAGE_CHARS = 800
_MIN_SHARED = 0.5  # share of the rewritten question's content words that must come from the conversation
_MAX_GROWTH = 3  # maximum length of the rewritten question, in lengths of the two questions together
_STEM_LETTERS = 6  # of a word; the rest is mostly an ending

CONDENSE_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "Rewrite the last question so that it can be understood without the conversation: replace words such as "
            "it, that, there by what they stand for. Do not answer it. Keep its language. If it is complete "
            "already, repeat it. Write the question and nothing else.",
        ),
        ("human", "Conversation:\n{conversation}\n\nLast question{language}: {question}\n\nComplete question:"),
    ]
)
_LABEL = re.compile(r"^\W*(?:complete|standalone|rewritten|last|question)[\w\s]{0,20}:\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class RewrittenQuestion:
    """A question that can be searched for without the conversation.

    Attributes:
        question: The question.
        reason: A sentence for people that says how it was made.
    """

    question: str
    reason: str


class HistoryInput(TypedDict):
    """A question and the conversation before it; `input` is LangChain's older name for `question`."""

    question: NotRequired[str]
    input: NotRequired[str]
    chat_history: NotRequired[Sequence[BaseMessage]]


def read_input(value: Any) -> tuple[str, list[BaseMessage]]:
    """Return the question and the conversation before it.

    Args:
        value: A question, or a `HistoryInput`.

    Raises:
        InvalidInputError: The question is missing or empty.
    """
    fields: Mapping[str, Any] = value if isinstance(value, Mapping) else {"question": value}
    question = fields.get("question", fields.get("input"))
    if not isinstance(question, str) or not question.strip():
        raise InvalidInputError("The question is empty.", hint='Pass it as a string or as {"question": "..."}.')
    return question.strip(), list(fields.get("chat_history") or [])


def rewrite_question(
    llm: BaseChatModel,
    question: str,
    history: Sequence[BaseMessage],
    config: RunnableConfig,
    *,
    prompt: ChatPromptTemplate = CONDENSE_PROMPT,
) -> Flow[RewrittenQuestion]:
    """Return a follow-up question completed by a chat model.

    Without a conversation the model is not called. If its question is not usable, a follow-up is put together with the
    question that it follows, and a question that can be understood alone stays as it is.

    Args:
        llm: The chat model.
        question: The follow-up question.
        history: The conversation before it.
        config: Config of the model's run.
        prompt: Prompt with the variables `conversation`, `question` and `language`.
    """
    if not history:
        return RewrittenQuestion(question=question, reason="There is no conversation before it.")
    chain, variables = prompt | llm, _fill_variables(question, history)
    answer = yield from call(lambda: chain.invoke(variables, config), lambda: chain.ainvoke(variables, config))
    return _check_rewriting(_extract_question(str(answer.text)), question, history)


def get_recent_texts(history: Sequence[BaseMessage]) -> list[str]:
    """Return the texts of the last questions and answers, each cut to the length that a model reads of it."""
    texts = [
        " ".join(str(message.text).split())[:_MAX_MESSAGE_CHARS] for message in history if message.type in _SPEAKERS
    ]
    return [text for text in texts if text][-_MAX_MESSAGES:]


def _fill_variables(question: str, history: Sequence[BaseMessage]) -> dict[str, str]:
    lines = [
        f"{_SPEAKERS[message.type]}: {' '.join(str(message.text).split())[:_MAX_MESSAGE_CHARS]}"
        for message in history
        if message.type in _SPEAKERS and str(message.text).strip()
    ]
    language = _LANGUAGE_NAMES.get(detect_language(question) or "")
    return {
        "conversation": "\n".join(lines[-_MAX_MESSAGES:]),
        "question": question,
        "language": f", {language}" if language else "",
    }


def _extract_question(answer: str) -> str:
    """Return the first line of the model's answer without a label and quotation marks."""
    lines = [line for line in answer.strip().splitlines() if line.strip()]
    return _LABEL.sub("", lines[0]).strip().strip("\"'«»“” ") if lines else ""


def _check_rewriting(rewritten: str, question: str, history: Sequence[BaseMessage]) -> RewrittenQuestion:
    questions = [str(message.text) for message in history if isinstance(message, HumanMessage)]
    previous = find_antecedent(questions)
    conversation = " ".join(str(message.text) for message in history)
    needs_more = is_follow_up(question, get_recent_texts(history))
    fault = _find_fault(rewritten, question, previous, conversation)
    if fault is None and needs_more and not _has_more_context(rewritten, question, conversation):
        fault = "adds nothing to the follow-up"
    if fault is None:
        return RewrittenQuestion(question=rewritten, reason="The model rewrote it.")
    if not needs_more:
        return RewrittenQuestion(
            question=question, reason=f"The model's question {fault}, and the question can be understood alone."
        )
    return RewrittenQuestion(
        question=f"{previous} {question}".strip(),
        reason=f"The model's question {fault}, so the question is searched for together with the one before it.",
    )


def _has_more_context(rewritten: str, question: str, conversation: str) -> bool:
    """Return True if a rewritten question has a content word of the conversation that the follow-up has not."""
    return bool((_extract_stems(rewritten) - _extract_stems(question)) & _extract_stems(conversation))


def _find_fault(rewritten: str, question: str, previous: str, conversation: str) -> str | None:
    """Return the reason why a rewritten question is not usable, or None.

    Small models answer the question, translate it, or write about something else. None of this may be searched for.
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
    stems = _extract_stems(rewritten)
    if not stems or len(stems & _extract_stems(f"{question} {conversation}")) < _MIN_SHARED * len(stems):
        return "is about something else"
    question_stems = _extract_stems(question)
    if question_stems and not question_stems & stems:
        return "leaves out the topic of the question"
    return None


def _extract_stems(text: str) -> set[str]:
    """Return the first letters of the content words, so that singular and plural are equal."""
    return {word[:_STEM_LETTERS].rstrip("s") for word in extract_content_words(text)} - {""}
