"""Single-sentence mode, for models that cannot read whole passages.

A model of fewer than a billion parameters digresses in passages and conversations. It is shown the sentences nearest to
the question instead, and its answer ends early. Everything that serves only such models is in this module: other models
are answered for by `AnswerStream` and the prompt for passages.
"""

from __future__ import annotations

import json
from pathlib import Path

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.grounding.answer_stream import AnswerStream
from langchain_gptoss.chatbot.guard import render_for_model
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.chatbot.state import AnswerState
from langchain_gptoss.errors import GptOssError
from langchain_gptoss.models.shapes import parse_shape

SMALL_MODEL_PARAMETERS = 1_000_000_000
"""Number of parameters below which a model is shown single sentences."""

MAX_PASSAGES = 8
"""Default number of passages from which the sentences are chosen."""

_MAX_SENTENCES = 2  # a small model digresses after so many sentences


class BriefAnswerStream(AnswerStream):
    """The answer of a small model: it ends after the first supported sentence, or after two sentences.

    The model saw one sentence. So other passages that are as likely to answer are quoted, even beside a supported
    answer.
    """

    max_sentence_chars = 300  # a small model digresses in long sentences
    joins_bare_sentences = False

    @property
    def _has_enough(self) -> bool:
        return bool(self.citations) or len(self._sentences) >= _MAX_SENTENCES

    @property
    def _needs_quotations(self) -> bool:
        return True


def choose_focus(llm: BaseChatModel) -> int:
    """Return the number of sentences that a model is shown: 1 for a small model, 0 (whole passages) for all others.

    Args:
        llm: The chat model. Only the size of a `ChatGptOss` is known: from the catalog, or from its folder's config.
    """
    parameters = _count_parameters(llm) if isinstance(llm, ChatGptOss) else None
    return 1 if parameters is not None and parameters < SMALL_MODEL_PARAMETERS else 0


def build_sentence_messages(settings: ChatbotSettings, answer: AnswerState) -> list[BaseMessage]:
    """Return the messages for a small model: the sentences nearest to the question, and no conversation."""
    assert answer.answer_stream is not None
    spans = answer.answer_stream.spans[: settings.focus]
    context = " ".join(render_for_model(span.text) for span in spans)
    prompt = settings.prompts.sentence.partial(instructions="")
    return list(prompt.format_messages(context=context, question=answer.standalone_question))


def _count_parameters(llm: ChatGptOss) -> int | None:
    """Return a model's number of parameters, None if nothing tells it before the model is downloaded."""
    if llm.card.parameters is not None:
        return llm.card.parameters
    config = Path(llm.card.source) / "config.json"
    if llm.card.shape is not None or not config.is_file():
        return None if llm.card.shape is None else llm.card.shape.parameters
    try:
        return parse_shape(json.loads(config.read_text(encoding="utf-8"))).parameters
    except (OSError, ValueError, GptOssError):  # loading the model reports what is wrong with its config
        return None
