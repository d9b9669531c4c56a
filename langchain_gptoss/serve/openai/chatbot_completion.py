"""Chat completions by the chatbot, whose messages also have `sources` and `citations`.

The chatbot follows its own rules: it ignores the client's system messages and the options for sampling and length.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.chat_requests import ChatCompletionRequest
from langchain_gptoss.serve.openai.completion import ChatCompletion, build_choice, build_reasoning
from langchain_gptoss.serve.openai.usage import convert_usage

_MODEL_OPTIONS = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "logit_bias", "seed", "stop"}
    | {"max_tokens", "max_completion_tokens", "reasoning_effort", "include_reasoning"}
)


class ChatbotCompletion(ChatCompletion):
    """The chatbot's answer to the last message; the messages before it are the conversation."""

    def __init__(self, chatbot: Runnable[Any, Any], request: ChatCompletionRequest, config: RunnableConfig) -> None:
        """Read the request; see `ChatCompletion`.

        Raises:
            RequestRefused: The request asks for something that the chatbot does not do, or has no question.
        """
        super().__init__(request, config)
        self._chatbot = chatbot
        options = request.get_model_options()
        for name in ("tools", "response_format", "logprobs"):
            if name in options:
                field = "functions" if name == "tools" and request.functions else name
                message = f"The chatbot does not support {field}: it answers from its documents only."
                raise RequestRefused(400, message, param=field)
        if request.n > 1:
            raise RequestRefused(400, "The chatbot gives one answer, n=1.", param="n")
        self.ignored_fields = sorted(_MODEL_OPTIONS & request.model_fields_set)
        *earlier, last = self.messages
        if last.type != "human":
            raise RequestRefused(400, 'The last message must be the question, of the role "user".', param="messages")
        # A client's system message would compete with the chatbot's own instructions.
        history = [message for message in earlier if message.type in ("human", "ai")]
        self._input = {"question": str(last.text), "chat_history": history}

    async def create(self) -> dict[str, Any]:
        """Return the whole completion."""
        output: ChatbotOutput = await self._chatbot.ainvoke(self._input, self.config)
        choice = build_choice({"content": output.answer, **_get_evidence(output)})
        return self.build_completion([choice], convert_usage(output.usage))

    async def stream(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the completion in chunks: sources with the first one, citations and the rest with the last."""
        usage: Any = None
        role = {"role": "assistant", "content": ""}
        output: Any = self._chatbot.astream(self._input, self.config)
        async with aclosing(output) as chunks:
            async for chunk in chunks:
                delta = _build_delta(chunk)
                if "citations" in chunk:
                    usage = chunk.usage
                    evidence = _get_evidence(chunk)
                    evidence.pop("sources", None)
                    yield self.build_chunk({**role, **delta, **evidence}, finish_reason="stop")
                elif delta:
                    yield self.build_chunk({**role, **delta})
                    role = {}
        for usage_chunk in self.build_last_chunks(convert_usage(usage)):
            yield usage_chunk


def _build_delta(chunk: ChatbotOutput) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    if "sources" in chunk:
        delta["sources"] = [source.model_dump(mode="json") for source in chunk.sources]
    if chunk.answer:
        delta["content"] = chunk.answer
    return {**delta, **build_reasoning(chunk.reasoning)}


def _get_evidence(output: ChatbotOutput) -> dict[str, Any]:
    """Return the fields of the chatbot's answer that OpenAI's API does not have."""
    names = {"sources", "citations", "unsupported", "abstained", "reason", "disclaimer", "metadata"}
    return output.model_dump(mode="json", include=names)
