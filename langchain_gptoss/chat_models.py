"""`ChatGptOss`: a GPT-OSS model on this machine as a LangChain chat model."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel, agenerate_from_stream, generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr

from langchain_gptoss.chat_formats.base import Delta, ReasoningEffort, Task
from langchain_gptoss.language_models.base import MODEL_CONFIG, SAMPLING, GptOssModel, Turn, TurnEnd, begun, check_names
from langchain_gptoss.language_models.structured_output import Method, structured
from langchain_gptoss.language_models.tools import openai_tools, read_choice, read_format, read_tools, without_calls

_OPTIONS = SAMPLING | {
    "model",
    "reasoning_effort",
    "include_reasoning",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "strict",
}

# Under output_version="v1" a tool call whose index is that of a content block merges into it; langchain-core 1.8 counts
# blocks of text and reasoning from 0, and there may be many, such as thoughts between calls.
_FIRST_CALL_INDEX = 1000


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
        base_url: Of a vLLM or llama.cpp server that runs the model instead of this machine.

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

    Tool calling:
        .. code-block:: python

            def get_weather(city: str) -> str:
                '''Returns the weather in a city.'''

            llm.bind_tools([get_weather]).invoke("What is the weather in Nantes?").tool_calls

    Structured output:
        .. code-block:: python

            from pydantic import BaseModel

            class City(BaseModel):
                name: str
                country: str

            llm.with_structured_output(City).invoke("Which city is the capital of France?")

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
    include_reasoning: bool = True
    """False drops the reasoning; the model still thinks."""
    streaming: bool = False
    """Accepted as in other chat models: `invoke` folds `stream` either way."""

    _others: dict[str, "ChatGptOss"] = PrivateAttr(default_factory=dict)

    def __setattr__(self, name: str, value: Any) -> None:
        """Forgets the models that calls asked for, which were made with the old value."""
        super().__setattr__(name, value)
        if name in type(self).model_fields and self.__pydantic_private__:
            self._others.clear()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """See `GptOssModel.model_copy`."""
        copied = super().model_copy(update=update, deep=deep)
        copied._others = {}
        return copied

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

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
    ) -> int:
        """Returns the exact length of the prompt that these messages and tools make, in tokens."""
        return len(self.format.render(messages, self._task({"tools": tools})))

    def bind_tools(
        self,
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Returns this model with tools that it may call.

        Args:
            tools: Functions with type hints and a docstring, LangChain tools, Pydantic models, TypedDicts, or JSON
                schemas.
            tool_choice: `"auto"` (or None), `"none"` (or False), `"any"` (or `"required"` or True), a tool's name, or
                OpenAI's dict. A demanded call is held to the tool's schema.
            parallel_tool_calls: False allows one call an answer.
            strict: True holds every call to its schema while it is written.
            **kwargs: Further options of a call, such as `reasoning_effort`.

        Raises:
            InvalidInputError: A tool that cannot be understood, or a choice that names none. Two tools of one name
                are refused when the model is called.
        """
        written = openai_tools(tools, strict=strict)
        read_choice(tool_choice, [tool["function"]["name"] for tool in written])
        options: dict[str, Any] = {"tools": written, **kwargs}
        if tool_choice is not None:
            options["tool_choice"] = tool_choice
        if parallel_tool_calls is not None:
            options["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(**options)

    def with_structured_output(
        self,
        schema: Mapping[str, Any] | type | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Returns a runnable that answers with a value of a schema.

        Args:
            schema: A Pydantic model, v1 or v2, whose instances come back; or a TypedDict or a JSON schema, for dicts.
            method: `"json_schema"` holds the answer to the schema while it is written; the reasoning before it stays
                free. `"function_calling"` demands a tool call. `"json_mode"` holds the answer to JSON alone.
            include_raw: True returns a dict with `raw`, `parsed` and `parsing_error`.
            strict: False asks for the schema without holding the answer to it.
            **kwargs: Further options of a call, such as `reasoning_effort`.

        Raises:
            InvalidInputError: An unknown method, or a schema that cannot be read.
        """
        return structured(self, schema, kwargs, method=method, strict=strict, include_raw=include_raw)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._chunks(self._begin(messages, stop, kwargs), run_manager))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = await begun(self._begin, messages, stop, kwargs)
        return await agenerate_from_stream(self._achunks(turn, run_manager))

    # Every way to a whole answer ends in these two, those that stream on the way too, as agents do.
    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return _strict(super()._generate_with_cache(*args, **kwargs))

    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return _strict(await super()._agenerate_with_cache(*args, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks(self._begin(messages, stop, kwargs), run_manager)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = await begun(self._begin, messages, stop, kwargs)
        # Closed by hand: leaving an async generator does not leave the one inside it.
        async with aclosing(self._achunks(turn, run_manager)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _chunks(self, turn: Turn, run_manager: CallbackManagerForLLMRun | None) -> Iterator[ChatGenerationChunk]:
        with turn.stream as stream:
            for token_id in stream:
                for chunk in self._fed(turn, token_id):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        for chunk in self._flushed(turn):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _achunks(
        self, turn: Turn, run_manager: AsyncCallbackManagerForLLMRun | None
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        with turn.stream as stream:
            async for token_id in stream:
                for chunk in self._fed(turn, token_id):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        for chunk in self._flushed(turn):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _begin(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> Turn:
        check_names(options, _OPTIONS, "option")
        if (model := options.get("model", self.model)) != self.model:
            others = {name: value for name, value in options.items() if name != "model"}
            return self._other(model)._begin(messages, stop, others)
        task = self._task(options)
        sampling = {name: value for name, value in options.items() if name in SAMPLING}
        turn = self.begin(self.format.render(messages, task), stop, sampling, task)
        turn.model, turn.shows_reasoning = self.card.name, options.get("include_reasoning", self.include_reasoning)
        return turn

    def _other(self, model: str) -> "ChatGptOss":
        """Returns the same chat model for another model, as a call may ask for."""
        if model not in self._others:
            given = {name: getattr(self, name) for name in self.model_fields_set if name not in {"model", "profile"}}
            self._others[model] = type(self)(**given, model=model)
        return self._others[model]

    def _task(self, options: Mapping[str, Any]) -> Task:
        strict = options.get("strict")
        tools = read_tools(options.get("tools"), strict=strict)
        response_format, constrained = read_format(options.get("response_format"), strict=strict)
        return Task(
            reasoning_effort=options.get("reasoning_effort", self.reasoning_effort),
            tools=tools,
            tool_choice=read_choice(options.get("tool_choice"), [tool.name for tool in tools]),
            parallel=options.get("parallel_tool_calls") is not False,
            response_format=response_format,
            constrained=constrained,
        )

    def _fed(self, turn: Turn, token_id: int) -> list[ChatGenerationChunk]:
        deltas = turn.feed(token_id)
        chunks = [_chunk(delta, turn) for delta in deltas if delta.kind != "reasoning" or turn.shows_reasoning]
        return _with_logprobs(chunks, turn)

    def _flushed(self, turn: Turn) -> Iterator[ChatGenerationChunk]:
        deltas = [delta for delta in turn.flush() if delta.kind != "reasoning" or turn.shows_reasoning]
        yield from _with_logprobs([_chunk(delta, turn) for delta in deltas], turn)
        yield self._last_chunk(turn.end())

    def _last_chunk(self, end: TurnEnd) -> ChatGenerationChunk:
        usage = UsageMetadata(
            input_tokens=end.prompt_tokens,
            output_tokens=end.answer_tokens,
            total_tokens=end.prompt_tokens + end.answer_tokens,
            input_token_details={"cache_read": end.cached_tokens},
            output_token_details={"reasoning": end.reasoning_tokens},
        )
        metadata: dict[str, Any] = {
            "finish_reason": end.finish_reason,
            "model_name": end.model,
            "model_provider": "gptoss",
        }
        if end.mended:
            metadata["mended"] = [{"found": mend.found, "assumed": mend.assumed} for mend in end.mended]
        if end.broken_calls:
            metadata["broken_calls"] = end.broken_calls
        message = AIMessageChunk(content="", usage_metadata=usage, response_metadata=metadata, chunk_position="last")
        return ChatGenerationChunk(message=message, generation_info={"finish_reason": end.finish_reason})

    def _resolve_model_profile(self) -> ModelProfile | None:
        card = self.card
        profile = ModelProfile(
            name=card.name,
            open_weights=True,
            text_inputs=True,
            image_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            text_outputs=True,
            tool_calling=True,
            tool_choice=True,
            structured_output=True,
            temperature=True,
        )
        if card.context_length:
            profile["max_input_tokens"] = card.context_length
            profile["max_output_tokens"] = card.context_length
        if (self.chat_format or card.chat_format) == "harmony":
            profile["reasoning_output"] = True
        return profile


def _chunk(delta: Delta, turn: Turn) -> ChatGenerationChunk:
    if delta.kind == "reasoning":
        message = AIMessageChunk(content="", additional_kwargs={"reasoning_content": delta.text})
    elif delta.kind == "tool_call":
        call = tool_call_chunk(
            name=delta.name,
            args=delta.text,
            id=turn.call_id(delta.call) if delta.name else None,
            index=_FIRST_CALL_INDEX + delta.call,
        )
        message = AIMessageChunk(content="", tool_call_chunks=[call])
    else:
        message = AIMessageChunk(content=delta.text)
    return ChatGenerationChunk(message=message)


def _with_logprobs(chunks: list[ChatGenerationChunk], turn: Turn) -> list[ChatGenerationChunk]:
    if chunks and chunks[-1].text and (entries := turn.take_logprobs()):
        chunks[-1].generation_info = {"logprobs": {"content": entries}}
    return chunks


def _strict(result: ChatResult) -> ChatResult:
    """Returns the result with each call whose arguments are no JSON object among the invalid ones.

    Adding up chunks, LangChain completes JSON that was cut off; a call that the token limit cut must not be made.
    """
    for generation in result.generations:
        message = generation.message
        broken = message.response_metadata.get("broken_calls")
        if broken and isinstance(message, AIMessage):
            generation.message = without_calls(message, broken)
    return result
