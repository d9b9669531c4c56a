"""Chat completions by the chat model: up to eight answers, with tools, structured output and log-probabilities."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import add_usage
from langchain_core.runnables import RunnableConfig

from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.language_models.generation import CUT_REASONS
from langchain_gptoss.serve.openai.chat_requests import ChatCompletionRequest
from langchain_gptoss.serve.openai.completion import ChatCompletion, build_choice, build_reasoning
from langchain_gptoss.serve.openai.concurrency import merge_streams, run_together
from langchain_gptoss.serve.openai.models import get_client_options
from langchain_gptoss.serve.openai.tool_calls import CallStream, build_calls
from langchain_gptoss.serve.openai.usage import sum_choices

# Options that OpenAI's API does not have, so that other chat models do not know them.
_OWN_OPTIONS = ("top_k", "min_p", "include_reasoning")
_CUT_REASONS = CUT_REASONS | {"max_tokens", "MAX_TOKENS"}


class ModelCompletion(ChatCompletion):
    """A completion by the chat model."""

    def __init__(self, llm: BaseChatModel, request: ChatCompletionRequest, config: RunnableConfig) -> None:
        """Read the request; see `ChatCompletion`."""
        super().__init__(request, config)
        self._llm = llm
        self._options = [self._read_options(index) for index in range(request.n)]

    def _read_options(self, index: int) -> dict[str, Any]:
        options = self.request.get_model_options(index)
        if isinstance(self._llm, ChatGptOss):
            return options | get_client_options(self._llm)
        self.ignored_fields = [name for name in _OWN_OPTIONS if name in options]
        if bias := options.get("logit_bias"):
            options["logit_bias"] = {str(token_id): value for token_id, value in bias.items()}
        return {name: value for name, value in options.items() if name not in _OWN_OPTIONS}

    async def create(self) -> dict[str, Any]:
        """Return the whole completion."""
        answers = await run_together(
            [self._llm.ainvoke(self.messages, self.config, **options) for options in self._options]
        )
        choices = [self._build_choice(index, answer) for index, answer in enumerate(answers)]
        return self.build_completion(choices, sum_choices([answer.usage_metadata for answer in answers]))

    async def stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the completion in chunks; those of several answers alternate."""
        choices = [_ChoiceStream(self, index) for index in range(self.request.n)]
        streams = [choice.stream(self._llm, self._options[choice.index]) for choice in choices]
        async with aclosing(streams[0] if len(streams) == 1 else merge_streams(streams)) as chunks:
            async for chunk in chunks:
                yield chunk
        for chunk in self.build_last_chunks(sum_choices([choice.usage for choice in choices])):
            yield chunk

    def _build_choice(self, index: int, answer: AIMessage) -> dict[str, Any]:
        calls = build_calls(answer, as_function=self.request.uses_functions)
        text = str(answer.text)
        message = {
            "content": text if text or not calls else None,
            **build_reasoning(answer.additional_kwargs.get("reasoning_content")),
            **calls,
        }
        reason = choose_finish_reason(
            answer.response_metadata.get("finish_reason"), bool(calls), as_function=self.request.uses_functions
        )
        logprobs = answer.response_metadata.get("logprobs") if self.request.logprobs else None
        return build_choice(message, index=index, finish_reason=reason, logprobs=logprobs)


class _ChoiceStream:
    """One streamed answer.

    Attributes:
        index: Position among the answers.
        usage: LangChain's usage of the answer, after its end.
    """

    def __init__(self, completion: ModelCompletion, index: int) -> None:
        self.index = index
        self.usage: Any = None
        self._completion = completion
        self._as_function = completion.request.uses_functions
        self._calls = CallStream(as_function=self._as_function)

    async def stream(self, llm: BaseChatModel, options: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the chunks of the answer; the first one has the role."""
        completion, reason = self._completion, None
        role = {"role": "assistant", "content": ""}
        answer: Any = llm.astream(completion.messages, completion.config, **options)
        async with aclosing(answer) as chunks:
            async for chunk in chunks:
                reason = chunk.response_metadata.get("finish_reason") or reason
                self.usage = add_usage(self.usage, chunk.usage_metadata)
                if delta := self._build_delta(chunk):
                    logprobs = chunk.response_metadata.get("logprobs") if completion.request.logprobs else None
                    yield completion.build_chunk({**role, **delta}, index=self.index, logprobs=logprobs)
                    role = {}
        reason = choose_finish_reason(reason, self._calls.has_calls, as_function=self._as_function)
        yield completion.build_chunk(role, index=self.index, finish_reason=reason)

    def _build_delta(self, chunk: AIMessage) -> dict[str, Any]:
        text = str(chunk.text)
        return {
            **build_reasoning(chunk.additional_kwargs.get("reasoning_content")),
            **({"content": text} if text else {}),
            **self._calls.build_delta(chunk),
        }


def choose_finish_reason(reason: str | None, has_calls: bool, *, as_function: bool = False) -> str:
    """Return OpenAI's finish reason.

    Args:
        reason: The model's own reason.
        has_calls: True if the answer has calls, valid or not.
        as_function: True if the calls are delivered in OpenAI's older form.
    """
    if reason in _CUT_REASONS:
        return "length"
    if has_calls:
        return "function_call" if as_function else "tool_calls"
    return "content_filter" if reason == "content_filter" else "stop"
