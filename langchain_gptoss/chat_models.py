"""`ChatGptOss`: a GPT-OSS model on this machine as a LangChain chat model."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel, agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from langchain_gptoss._models import MODEL_CONFIG, GptOssModel, Turn, TurnEnd, begun
from langchain_gptoss.chat_formats.base import Delta, ReasoningEffort


class ChatGptOss(GptOssModel, BaseChatModel):
    """A GPT-OSS model that runs on this machine.

    Setup:
        .. code-block:: bash

            pip install "langchain-gptoss[demo]"

    Key init args:
        model: `"demo"`, `"gpt-oss-20b"`, `"gpt-oss-120b"`, a folder, or a hub id.
        temperature, top_p, top_k, seed: How tokens are sampled.
        max_tokens: The longest answer.
        stop: Strings that end an answer.
        reasoning_effort: `"low"`, `"medium"` or `"high"`, for models that reason.
        device, dtype: Where the model runs and in which number type; chosen when not given.

    Instantiate:
        .. code-block:: python

            from langchain_gptoss import ChatGptOss

            llm = ChatGptOss(model="demo")

    Invoke:
        .. code-block:: python

            llm.invoke("What is the capital of France?").content

    Stream:
        .. code-block:: python

            for chunk in llm.stream("Count to three."):
                print(chunk.text, end="")

    Async:
        .. code-block:: python

            await llm.ainvoke("What is the capital of France?")

    Token usage:
        .. code-block:: python

            llm.invoke("Hello").usage_metadata
            # {'input_tokens': 31, 'output_tokens': 10, 'total_tokens': 41, ...}

    Response metadata:
        .. code-block:: python

            llm.invoke("Hello").response_metadata
            # {'finish_reason': 'stop', 'model_name': 'demo', 'model_provider': 'gptoss'}
    """

    model_config = MODEL_CONFIG

    reasoning_effort: ReasoningEffort | None = None
    """How long the model thinks before it answers; None: its own default, medium."""
    streaming: bool = False
    """Accepted as in other chat models: `invoke` folds `stream` either way."""

    @property
    def _llm_type(self) -> str:
        return "gptoss-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.model_dump(include={"model", "temperature", "top_p", "top_k", "seed", "max_tokens", "stop"}) | {
            "reasoning_effort": self.reasoning_effort
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="gptoss", ls_model_type="chat", ls_model_name=str(kwargs.get("model", self.model))
        )
        temperature = kwargs.get("temperature", self.temperature)
        params["ls_temperature"] = self.card.temperature if temperature is None else temperature
        if (max_tokens := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = max_tokens
        if stops := stop or self.stop:
            params["ls_stop"] = stops
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """Returns the model's own token ids of a text."""
        return self.format.encode(text)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        turn = self._begin(messages, stop, kwargs)
        with turn.stream as stream:
            for token_id in stream:
                for delta in turn.feed(token_id):
                    chunk = _chunk(delta)
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        for delta in turn.flush():
            chunk = _chunk(delta)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        yield self._last_chunk(turn.end())

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = await begun(self._begin, messages, stop, kwargs)
        with turn.stream as stream:
            async for token_id in stream:
                for delta in turn.feed(token_id):
                    chunk = _chunk(delta)
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        for delta in turn.flush():
            chunk = _chunk(delta)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        yield self._last_chunk(turn.end())

    def _begin(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> Turn:
        options = dict(options)
        effort = options.pop("reasoning_effort", self.reasoning_effort)
        return self.begin(self.format.render(messages, reasoning_effort=effort), stop, options)

    def _last_chunk(self, end: TurnEnd) -> ChatGenerationChunk:
        usage = UsageMetadata(
            input_tokens=end.prompt_tokens,
            output_tokens=end.answer_tokens,
            total_tokens=end.prompt_tokens + end.answer_tokens,
            output_token_details={"reasoning": end.reasoning_tokens},
        )
        metadata = {"finish_reason": end.finish_reason, "model_name": self.card.name, "model_provider": "gptoss"}
        message = AIMessageChunk(content="", usage_metadata=usage, response_metadata=metadata, chunk_position="last")
        return ChatGenerationChunk(message=message, generation_info={"finish_reason": end.finish_reason})


def _chunk(delta: Delta) -> ChatGenerationChunk:
    if delta.kind == "reasoning":
        message = AIMessageChunk(content="", additional_kwargs={"reasoning_content": delta.text})
    else:
        message = AIMessageChunk(content=delta.text)
    return ChatGenerationChunk(message=message)
