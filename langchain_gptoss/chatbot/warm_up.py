"""Reading the beginnings of the prompts before the first question."""

from __future__ import annotations

import logging

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.prompts.message import BaseMessagePromptTemplate
from langchain_core.runnables import RunnableConfig

from langchain_gptoss._flow import run_flow
from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.follow_up_prompt import build_task
from langchain_gptoss.chatbot.localization import LocalizedTexts
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.errors import GptOssError

_ANY_QUESTION = "?"  # so that the mark where a question begins is read, too
_PRIORITY = -1  # questions that arrive meanwhile are answered first
_log = logging.getLogger(__name__)


def read_shared_beginnings(settings: ChatbotSettings) -> None:
    """Let the engine read what the prompts of all users begin with, so that their first questions do not wait for it.

    Nothing is read for a model that is shown single sentences, whose prompt begins with a few words, and for models of
    other packages. A failure is logged: the questions report it.
    """
    if not isinstance(settings.llm, ChatGptOss) or settings.focus:
        return
    llm = settings.llm.model_copy(update={"max_tokens": 1, "priority": _PRIORITY})
    try:
        for message in list_shared_beginnings(settings):
            llm.invoke([message, HumanMessage(_ANY_QUESTION)])
        if settings.judge is not None:
            run_flow(settings.judge.judge(_ANY_QUESTION, _ANY_QUESTION, 0.5, RunnableConfig()))
    except GptOssError as error:
        _log.warning("The prompts were not read before the first question: %s", error)


def list_shared_beginnings(settings: ChatbotSettings) -> list[BaseMessage]:
    """Return the first messages of the prompts, in each language of the chatbot, that are the same for all users."""
    messages: dict[str, BaseMessage] = {}
    for template in (settings.prompts.passages, settings.prompts.condense):
        for texts in settings.texts.values():
            for message in _format_beginning(template, texts):
                messages.setdefault(str(message.text), message)
    return [message for text, message in messages.items() if text]


def _format_beginning(template: ChatPromptTemplate, texts: LocalizedTexts) -> list[BaseMessage]:
    values = {"instructions": texts.instructions, "task": build_task(texts.language)}
    first = template.messages[0]
    if isinstance(first, BaseMessage):
        return [first]
    if not isinstance(first, BaseMessagePromptTemplate) or not set(first.input_variables) <= values.keys():
        return []
    return first.format_messages(**values)
