"""`ChatGptOss`: a GPT-OSS model on this machine as a LangChain chat model."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, Self, get_args

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel, agenerate_from_stream, generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr

from langchain_gptoss.chat_formats.base import DEFAULT_EFFORT, Delta, PromptOptions, ReasoningEffort
from langchain_gptoss.language_models.generation import (
    ChunkBuilder,
    Generation,
    GenerationEnd,
    astream_chunks,
    start_in_thread,
    stream_chunks,
)
from langchain_gptoss.language_models.message_chunks import AnswerChunk, build_call_metadata, invalidate_calls
from langchain_gptoss.language_models.options import (
    MODEL_CONFIG,
    SAMPLING_OPTIONS,
    SCHEDULING_OPTIONS,
    GptOssModel,
    check_option_names,
    read_configured_options,
)
from langchain_gptoss.language_models.structured_output import Method, build_structured_output
from langchain_gptoss.language_models.tools import (
    convert_to_openai_tools,
    read_allowed_tools,
    read_response_format,
    read_tool_choice,
    read_tools,
)

_CALL_OPTIONS = (
    SAMPLING_OPTIONS
    | SCHEDULING_OPTIONS
    | {
        "model",
        "reasoning_effort",
        "include_reasoning",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "strict",
    }
)

# Under output_version="v1" a tool call merges into the content block with the same index. langchain-core 1.8 counts the
# blocks of text and reasoning from 0, and there may be many of them, such as reasoning between calls.
_FIRST_CALL_INDEX = 1000


class ChatGptOss(GptOssModel, BaseChatModel):
    """A GPT-OSS model that runs on this machine.

    Setup:
        .. code-block:: bash

            pip install ".[rag,demo]"    # in a checkout; a wheel: pip install "langchain_gptoss-VERSION.whl[rag,demo]"

    Key init args:
        model: `"demo"`, `"gpt-oss-20b"`, `"gpt-oss-120b"`, a folder, or a hub id.
        temperature, top_p, top_k, min_p, seed: How tokens are sampled.
        frequency_penalty, presence_penalty, logit_bias: Make tokens more or less likely, as in OpenAI's API.
        max_tokens: Maximum length of the answer; by default an eighth of the context for models that do not reason.
        stops_loops: Ends an answer that repeats itself without end; True by default.
        stop: Strings that end an answer.
        reasoning_effort: `"low"`, `"medium"` or `"high"`, for models that reason.
        priority, deadline_s, cache_salt, is_speculative: How the engine schedules and caches requests.
        device, dtype: Device and number type of the model; chosen automatically by default.
        base_url: URL of a vLLM or llama.cpp server that runs the model instead of this machine.

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
                '''Return the weather in a city.'''

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
    """Amount of reasoning before the answer; None: the model's default, medium."""
    include_reasoning: bool = True
    """False leaves the reasoning out of the message; the model reasons all the same."""
    streaming: bool = False
    """Accepted as in other chat models and without effect: `invoke` always folds `stream`."""

    _models_by_name: dict[str, "ChatGptOss"] = PrivateAttr(default_factory=dict)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field, and drop the models of earlier calls with `model=`, which have the old value."""
        super().__setattr__(name, value)
        if name in type(self).model_fields and self.__pydantic_private__:
            self._models_by_name.clear()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; see `GptOssModel.model_copy`."""
        copied = super().model_copy(update=update, deep=deep)
        copied._models_by_name = {}
        return copied

    @property
    def _llm_type(self) -> str:
        return "gptoss-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.model_dump(include={*SAMPLING_OPTIONS, "model", "stop", "reasoning_effort"})

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="gptoss", ls_model_type="chat", ls_model_name=str(kwargs.get("model", self.model))
        )
        temperature = kwargs.get("temperature", self.temperature)
        params["ls_temperature"] = self.card.temperature if temperature is None else temperature
        if isinstance(max_tokens := kwargs.get("max_tokens", self.max_tokens), int):
            params["ls_max_tokens"] = max_tokens
        if stops := stop or self.stop:
            params["ls_stop"] = stops
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text in the model's own vocabulary."""
        return self.format.encode(text)

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
    ) -> int:
        """Return the length in tokens of the prompt with these messages and tools.

        The length is exact. Messages that the model cannot read, such as a tool result without its call, are counted
        too, so that `trim_messages` can count any part of a conversation.
        """
        return self.format.count_tokens(messages, self._build_prompt_options({"tools": tools}))

    def bind_tools(
        self,
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with tools that it may call.

        Args:
            tools: Functions with type hints and a docstring, LangChain tools, Pydantic models, TypedDicts, or JSON
                schemas.
            tool_choice: `"auto"` (or None), `"none"` (or False), `"any"` (or `"required"` or True), a tool's name, or
                a dict of OpenAI's API, `allowed_tools` included. The arguments of a required call always follow the
                tool's schema.
            parallel_tool_calls: False allows one call per answer.
            strict: True enforces the schemas of all calls during generation.
            **kwargs: Further options of a call, such as `reasoning_effort`.

        Raises:
            InvalidInputError: A tool has an unknown form, or the choice names no tool. Two tools with the same name
                are rejected when the model is called.
        """
        converted = convert_to_openai_tools(tools, strict=strict)
        read_tool_choice(tool_choice, [tool["function"]["name"] for tool in converted])
        options: dict[str, Any] = {"tools": converted, **kwargs}
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
        """Return a runnable that answers with a value of a schema.

        Args:
            schema: A Pydantic model (v1 or v2), which gives instances; or a TypedDict or a JSON schema, which give
                dicts.
            method: `"json_schema"` enforces the schema during generation and leaves the reasoning before the answer
                free. `"function_calling"` requires a tool call. `"json_mode"` enforces JSON of any schema.
            include_raw: True returns a dict with `raw`, `parsed` and `parsing_error`.
            strict: False shows the schema to the model without enforcing it.
            **kwargs: Further options of a call, such as `reasoning_effort`.

        Raises:
            InvalidInputError: The method is unknown, or the schema cannot be read.
        """
        return build_structured_output(self, schema, kwargs, method=method, strict=strict, include_raw=include_raw)

    # The scheduling options may also stand in the configuration of the run, which these four methods read.

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Return the answer; see `BaseChatModel.invoke`."""
        return super().invoke(input, config, stop=stop, **{**read_configured_options(config), **kwargs})

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Async version of `invoke`."""
        return await super().ainvoke(input, config, stop=stop, **{**read_configured_options(config), **kwargs})

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Return an iterator over the chunks of the answer; see `BaseChatModel.stream`."""
        return super().stream(input, config, stop=stop, **{**read_configured_options(config), **kwargs})

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Async version of `stream`."""
        return super().astream(input, config, stop=stop, **{**read_configured_options(config), **kwargs})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(stream_chunks(self._start(messages, stop, kwargs), run_manager))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        builder = await start_in_thread(self._start, messages, stop, kwargs)
        return await agenerate_from_stream(astream_chunks(builder, run_manager))

    # All calls for a whole answer pass these two methods, also those that stream on the way, as agents do.

    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return _invalidate_calls(super()._generate_with_cache(*args, **kwargs))

    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return _invalidate_calls(await super()._agenerate_with_cache(*args, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from stream_chunks(self._start(messages, stop, kwargs), run_manager)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        builder = await start_in_thread(self._start, messages, stop, kwargs)
        # Closing an async generator does not close the one inside it.
        async with aclosing(astream_chunks(builder, run_manager)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _start(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> "_MessageChunkBuilder":
        check_option_names(options, _CALL_OPTIONS, kind="option")
        if (model := options.get("model", self.model)) != self.model:
            others = {name: value for name, value in options.items() if name != "model"}
            return self._get_other_model(model)._start(messages, stop, others)
        prompt_options = self._build_prompt_options(options)
        prompt_ids = self.format.render(messages, prompt_options)
        return _MessageChunkBuilder(
            self.start_generation(prompt_ids, stop, options, prompt_options, messages=messages),
            include_reasoning=options.get("include_reasoning", self.include_reasoning),
        )

    def _get_other_model(self, model: str) -> "ChatGptOss":
        """Return a chat model with the same options for another model, which a call may name."""
        if model not in self._models_by_name:
            fields = {name: getattr(self, name) for name in self.model_fields_set if name not in {"model", "profile"}}
            self._models_by_name[model] = type(self)(**fields, model=model)
        return self._models_by_name[model]

    def _build_prompt_options(self, options: Mapping[str, Any]) -> PromptOptions:
        strict = options.get("strict")
        tools = read_tools(options.get("tools"), strict=strict)
        response_format, is_enforced = read_response_format(options.get("response_format"), strict=strict)
        choice, names = options.get("tool_choice"), [tool.name for tool in tools]
        return PromptOptions(
            reasoning_effort=options.get("reasoning_effort", self.reasoning_effort),
            tools=tools,
            tool_choice=read_tool_choice(choice, names),
            allowed_tools=read_allowed_tools(choice, names),
            parallel_tool_calls=options.get("parallel_tool_calls") is not False,
            response_format=response_format,
            enforces_response_format=is_enforced,
        )

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
            tool_call_streaming=True,
            structured_output=True,
            temperature=True,
        )
        if card.context_length:
            profile["max_input_tokens"] = card.context_length
            profile["max_output_tokens"] = card.context_length
        if (self.chat_format or card.chat_format) == "harmony":
            profile["reasoning_output"] = True
            profile["reasoning_effort_levels"] = list(get_args(ReasoningEffort))
            profile["reasoning_effort_default"] = DEFAULT_EFFORT
        return profile


class _MessageChunkBuilder(ChunkBuilder[ChatGenerationChunk]):
    """Chunks of a message."""

    def __init__(self, generation: Generation, *, include_reasoning: bool) -> None:
        super().__init__(generation)
        self._include_reasoning = include_reasoning

    def _build_chunk(self, delta: Delta) -> ChatGenerationChunk | None:
        if delta.kind == "text":
            return ChatGenerationChunk(message=AnswerChunk(content=delta.text))
        if delta.kind == "reasoning":
            if not self._include_reasoning:
                return None
            message = AnswerChunk(content="", additional_kwargs={"reasoning_content": delta.text})
            return ChatGenerationChunk(message=message)
        call = tool_call_chunk(
            name=delta.name,
            args=delta.text,
            id=self.generation.get_call_id(delta.call_index) if delta.name else None,
            index=_FIRST_CALL_INDEX + delta.call_index,
        )
        return ChatGenerationChunk(message=AnswerChunk(content="", tool_call_chunks=[call]))

    def _build_last_chunk(self, end: GenerationEnd) -> ChatGenerationChunk:
        usage = UsageMetadata(
            input_tokens=end.prompt_tokens,
            output_tokens=end.answer_tokens,
            total_tokens=end.prompt_tokens + end.answer_tokens,
            input_token_details={"cache_read": end.cached_tokens},
            output_token_details={"reasoning": end.reasoning_tokens},
        )
        metadata: dict[str, Any] = {
            "finish_reason": end.finish_reason,
            "model_name": end.model_name,
            "model_provider": "gptoss",
        }
        if end.repairs:
            metadata["repairs"] = [asdict(repair) for repair in end.repairs]
        metadata |= build_call_metadata(end.invalid_calls, first_index=_FIRST_CALL_INDEX)
        # An empty answer has one chunk and no sum, so this one is an ordinary chunk if it can be.
        chunk_class = AnswerChunk if end.invalid_calls else AIMessageChunk
        message = chunk_class(content="", usage_metadata=usage, response_metadata=metadata, chunk_position="last")
        return ChatGenerationChunk(message=message, generation_info={"finish_reason": end.finish_reason})


def _invalidate_calls(result: ChatResult) -> ChatResult:
    """Return the result with the calls that cannot be made among the invalid calls.

    Results from a cache and from LangChain's event streams have them among the valid calls.
    """
    for generation in result.generations:
        if isinstance(generation.message, AIMessage):
            generation.message = invalidate_calls(generation.message)
    return result
