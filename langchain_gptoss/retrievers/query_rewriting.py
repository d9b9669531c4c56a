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
from langchain_gptoss.retrievers.rewriting_checks import (
    find_fault,
    has_more_context,
    is_foreign,
    is_translation,
    keeps_topic,
)
from langchain_gptoss.text.follow_ups import find_antecedent, has_question_opening, is_follow_up
from langchain_gptoss.text.language import detect_language

_LANGUAGE_NAMES = {"en": "English", "fr": "French"}
_SPEAKERS = {"human": "User", "ai": "Assistant"}
_MAX_MESSAGES = 6  # last messages of the conversation that the model reads
_MAX_MESSAGE_CHARS = 800

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
_TRANSLATION_PROMPTS = {
    "en": "Translate the question into English. Do not answer it. Write the translation and nothing else.",
    "fr": "Traduis la question en français. N'y réponds pas. Écris la traduction et rien d'autre.",
}
_LABEL = re.compile(r"^\W*(?:complete|standalone|rewritten|last|question|dernière)[\w\s]{0,20}:\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class RewrittenQuestion:
    """A question that can be searched for without the conversation.

    Attributes:
        question: The question.
        reason: A sentence for people that says how it was made.
        antecedent: The question before it that it begins with, "" if it stands alone.
    """

    question: str
    reason: str
    antecedent: str = ""


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
    answer = yield from _ask(llm, prompt, _fill_variables(question, history), config)
    rewritten = _check_rewriting(answer, question, history)
    if rewritten.antecedent and is_foreign(rewritten.antecedent, question):
        rewritten = yield from _translate_antecedent(llm, rewritten, question, config)
    return rewritten


def _ask(
    llm: BaseChatModel, prompt: ChatPromptTemplate, variables: dict[str, str], config: RunnableConfig
) -> Flow[str]:
    """Return the question in the model's answer to a prompt."""
    chain = prompt | llm
    answer = yield from call(lambda: chain.invoke(variables, config), lambda: chain.ainvoke(variables, config))
    return _extract_question(str(answer.text))


def _translate_antecedent(
    llm: BaseChatModel, rewritten: RewrittenQuestion, question: str, config: RunnableConfig
) -> Flow[RewrittenQuestion]:
    """Return the follow-up together with the question before it in the language of the follow-up.

    Documents are hardly found by a question in two languages. A small model translates better than it rewrites.
    """
    language = detect_language(question) or ""
    if language not in _TRANSLATION_PROMPTS:
        return rewritten
    prompt = ChatPromptTemplate.from_messages([("system", _TRANSLATION_PROMPTS[language]), ("human", "{question}")])
    translated = yield from _ask(llm, prompt, {"question": rewritten.antecedent}, config)
    is_usable = is_translation(translated, rewritten.antecedent, language)
    if not is_usable or not has_more_context(translated, question, rewritten.antecedent):
        return rewritten
    return RewrittenQuestion(
        question=f"{translated} {question}",
        reason=f"{rewritten.reason.removesuffix('.')}, translated.",
        antecedent=translated,
    )


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
    """Return the first line of the model's answer without a label and quotation marks, as a question."""
    lines = [line for line in answer.strip().splitlines() if line.strip()]
    text = _LABEL.sub("", lines[0]).strip().strip("\"'«»“” ") if lines else ""
    # Small models leave out the question mark.
    return f"{text}?" if text and text[-1].isalnum() and has_question_opening(text) else text


def _check_rewriting(rewritten: str, question: str, history: Sequence[BaseMessage]) -> RewrittenQuestion:
    questions = [str(message.text) for message in history if isinstance(message, HumanMessage)]
    previous = find_antecedent(questions)
    conversation = " ".join(str(message.text) for message in history)
    is_found = is_follow_up(question, get_recent_texts(history))
    adds_context = has_more_context(rewritten, question, conversation)
    fault = find_fault(rewritten, question, previous, conversation)
    if fault is None and not adds_context:
        fault = "adds nothing to the follow-up" if is_found else "adds nothing"
    if fault is None:
        return RewrittenQuestion(question=rewritten, reason="The model rewrote it.")
    # A question with the topics of both shows that the model misses one of them, even if its wording is not usable.
    if not is_found and not (keeps_topic(rewritten, question) and keeps_topic(rewritten, previous)):
        return RewrittenQuestion(
            question=question, reason=f"The model's question {fault}, and the question can be understood alone."
        )
    return RewrittenQuestion(
        question=f"{previous} {question}".strip(),
        antecedent=previous,
        reason=f"The model's question {fault}, so the question is searched for together with the one before it.",
    )
