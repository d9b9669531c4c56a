"""The interface of a chat completion, and the objects of OpenAI's API that all kinds of it have."""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_gptoss.serve.openai.chat_requests import ChatCompletionRequest
from langchain_gptoss.serve.openai.messages import convert_messages


class ChatCompletion(ABC):
    """One chat completion, at once or as a stream of chunks.

    Attributes:
        request: The request.
        config: The configuration of the run.
        messages: The messages of the request.
        ignored_fields: Known fields of the request that have no effect on this kind of completion.
    """

    ignored_fields: Sequence[str] = ()

    def __init__(self, request: ChatCompletionRequest, config: RunnableConfig) -> None:
        """Read the messages.

        Raises:
            RequestRefused: The request is invalid.
        """
        self.request, self.config = request, config
        self.messages = convert_messages(request.messages)
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())

    @abstractmethod
    async def create(self) -> dict[str, Any]:
        """Return the whole completion."""

    @abstractmethod
    def stream(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the completion in chunks."""

    def build_completion(self, choices: Sequence[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
        """Return the whole completion."""
        return {**self._build_head("chat.completion"), "choices": list(choices), "usage": usage}

    def build_chunk(
        self, delta: dict[str, Any], *, index: int = 0, finish_reason: str | None = None, logprobs: Any = None
    ) -> dict[str, Any]:
        """Return a chunk of one choice."""
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        usage = {"usage": None} if self.request.includes_usage else {}
        return {**self._build_head("chat.completion.chunk"), "choices": [choice], **usage}

    def build_last_chunks(self, usage: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the chunk with the usage, if the client asks for it."""
        if not self.request.includes_usage:
            return []
        return [{**self._build_head("chat.completion.chunk"), "choices": [], "usage": usage}]

    def _build_head(self, object_type: str) -> dict[str, Any]:
        return {"id": self._id, "object": object_type, "created": self._created, "model": self.request.model}


def build_choice(
    message: dict[str, Any], *, index: int = 0, finish_reason: str = "stop", logprobs: Any = None
) -> dict[str, Any]:
    """Return a choice of a whole completion."""
    return {
        "index": index,
        "message": {"role": "assistant", **message},
        "logprobs": logprobs,
        "finish_reason": finish_reason,
    }


def build_reasoning(text: str | None) -> dict[str, str]:
    """Return the fields with reasoning, under both names that clients read; empty without reasoning."""
    return {"reasoning_content": text, "reasoning": text} if text else {}
