"""`GptOssLLM`: the models behind LangChain's completion interface, text in and text out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from langchain_gptoss.chat_formats.base import Delta
from langchain_gptoss.language_models.generation import (
    ChunkBuilder,
    GenerationEnd,
    astream_chunks,
    start_in_thread,
    stream_chunks,
)
from langchain_gptoss.language_models.options import (
    MODEL_CONFIG,
    SAMPLING_OPTIONS,
    SCHEDULING_OPTIONS,
    GptOssModel,
    check_option_names,
)


class GptOssLLM(GptOssModel, BaseLLM):
    """Text completion with a GPT-OSS model on this machine, on the same engine as `ChatGptOss`.

    Example:
        .. code-block:: python

            from langchain_gptoss import GptOssLLM

            GptOssLLM(model="demo", max_tokens=32).invoke("The capital of France is")
    """

    model_config = MODEL_CONFIG

    raw: bool = False
    """True continues the prompt; False sends it as a user's message, which chat-trained models need."""
    echo: bool = False
    """True returns the prompt before its completion."""

    @property
    def _llm_type(self) -> str:
        return "gptoss"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # LangChain's cache identifies a completion by these values and the prompt, so all that affect it are here.
        fields = {*SAMPLING_OPTIONS, "model", "stop", "raw", "echo", "chat_format", "base_url", "dtype"}
        return self.model_dump(include=fields)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text in the model's own vocabulary."""
        return self.format.encode(text)

    def generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        """Return completions; see `BaseLLM.generate`.

        Sampling options of the call replace those of the constructor, so that LangChain's cache takes them into
        account.

        Args:
            prompts: The prompts.
            *args: Arguments of `BaseLLM.generate`.
            **kwargs: Arguments of `BaseLLM.generate`, and options of this call.
        """
        sampling, others = _split_sampling_options(kwargs)
        return BaseLLM.generate(self.model_copy(update=sampling), prompts, *args, **others)

    async def agenerate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        """Async version of `generate`."""
        sampling, others = _split_sampling_options(kwargs)
        return await BaseLLM.agenerate(self.model_copy(update=sampling), prompts, *args, **others)

    # All prompts of a call start before the first answer is read, so that the engine runs them side by side.

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with ExitStack() as running:
            builders = [running.enter_context(self._start(prompt, stop, kwargs)) for prompt in prompts]
            return self._build_result(prompts, [list(stream_chunks(builder)) for builder in builders])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with ExitStack() as running:
            builders = [
                running.enter_context(await start_in_thread(self._start, prompt, stop, kwargs)) for prompt in prompts
            ]
            answers = [[chunk async for chunk in astream_chunks(builder)] for builder in builders]
            return self._build_result(prompts, answers)

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        builder = self._start(prompt, stop, kwargs)
        if self.echo:
            yield GenerationChunk(text=prompt)
        yield from stream_chunks(builder, run_manager)

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        builder = await start_in_thread(self._start, prompt, stop, kwargs)
        if self.echo:
            yield GenerationChunk(text=prompt)
        # Closing an async generator does not close the one inside it.
        async with aclosing(astream_chunks(builder, run_manager)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _start(self, prompt: str, stop: list[str] | None, options: dict[str, Any]) -> "TextChunkBuilder":
        check_option_names(options, SAMPLING_OPTIONS | SCHEDULING_OPTIONS, kind="option")
        if self.raw:
            return TextChunkBuilder(self.start_generation(self.format.encode(prompt), stop, options))
        messages = [HumanMessage(prompt)]
        prompt_ids = self.format.render(messages)
        return TextChunkBuilder(self.start_generation(prompt_ids, stop, options, messages=messages))

    def _build_result(self, prompts: list[str], answers: list[list[GenerationChunk]]) -> LLMResult:
        prefixes = prompts if self.echo else [""] * len(prompts)
        generations = [[_merge_chunks(prefix, chunks)] for prefix, chunks in zip(prefixes, answers, strict=True)]
        return LLMResult(generations=generations)


class TextChunkBuilder(ChunkBuilder[GenerationChunk]):
    """Chunks of a completion, without reasoning and tool calls."""

    def _build_chunk(self, delta: Delta) -> GenerationChunk | None:
        return GenerationChunk(text=delta.text) if delta.kind == "text" else None

    def _build_last_chunk(self, end: GenerationEnd) -> GenerationChunk:
        info = {
            "finish_reason": end.finish_reason,
            "input_tokens": end.prompt_tokens,
            "cached_tokens": end.cached_tokens,
            "output_tokens": end.answer_tokens,
        }
        return GenerationChunk(text="", generation_info=info)


def _split_sampling_options(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    sampling = {name: value for name, value in options.items() if name in SAMPLING_OPTIONS}
    return sampling, {name: value for name, value in options.items() if name not in SAMPLING_OPTIONS}


def _merge_chunks(prefix: str, chunks: list[GenerationChunk]) -> Generation:
    *text_chunks, last_chunk = chunks
    info: dict[str, Any] = dict(last_chunk.generation_info or {})
    logprobs = [
        entry
        for chunk in text_chunks
        if chunk.generation_info
        for entry in chunk.generation_info["logprobs"]["content"]
    ]
    if logprobs:
        info["logprobs"] = {"content": logprobs}
    return Generation(text=prefix + "".join(chunk.text for chunk in text_chunks), generation_info=info)
