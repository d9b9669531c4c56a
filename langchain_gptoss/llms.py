"""`GptOssLLM`: the same models behind LangChain's completion interface, text in and text out."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from langchain_gptoss.language_models.base import MODEL_CONFIG, SAMPLING, GptOssModel, Turn, begun, check_names


class GptOssLLM(GptOssModel, BaseLLM):
    """Completes text with a GPT-OSS model on this machine; shares its engine with `ChatGptOss`.

    Example:
        .. code-block:: python

            from langchain_gptoss import GptOssLLM

            GptOssLLM(model="demo", max_tokens=32).invoke("The capital of France is")
    """

    model_config = MODEL_CONFIG

    raw: bool = False
    """True continues the prompt as it stands; False asks it as a user's message, which chat-trained models need."""
    echo: bool = False
    """True puts the prompt before its completion."""

    @property
    def _llm_type(self) -> str:
        return "gptoss"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # LangChain's cache knows a completion by these and its prompt, so everything that can alter one is there.
        return self.model_dump(include={*SAMPLING, "model", "stop", "raw", "echo", "chat_format", "base_url", "dtype"})

    def get_token_ids(self, text: str) -> list[int]:
        """Returns the model's own token ids of a text."""
        return self.format.encode(text)

    def generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        """See `BaseLLM.generate`. Sampling options of a call take the constructor's place, so that the cache sees them.

        Args:
            prompts: The prompts.
            *args: As `BaseLLM.generate` has them.
            **kwargs: The same, and options of this call.
        """
        own, others = _parted(kwargs)
        return BaseLLM.generate(self.model_copy(update=own), prompts, *args, **others)

    async def agenerate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        """See `generate`."""
        own, others = _parted(kwargs)
        return await BaseLLM.agenerate(self.model_copy(update=own), prompts, *args, **others)

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        turns: list[Turn] = []
        try:
            for prompt in prompts:  # the engine runs them side by side
                turns.append(self._begin(prompt, stop, kwargs))  # noqa: PERF401 (those begun end with the others)
            return LLMResult(
                generations=[[self._echoed(p, self._whole(t))] for p, t in zip(prompts, turns, strict=True)]
            )
        finally:
            for turn in turns:
                turn.stream.cancel()

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        turns: list[Turn] = []
        try:
            for prompt in prompts:
                turns.append(await begun(self._begin, prompt, stop, kwargs))  # noqa: PERF401 (each is cancelled below)
            wholes = [await self._awhole(turn) for turn in turns]
            return LLMResult(generations=[[self._echoed(p, w)] for p, w in zip(prompts, wholes, strict=True)])
        finally:
            for turn in turns:
                turn.stream.cancel()

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        turn = self._begin(prompt, stop, kwargs)
        if self.echo:
            yield GenerationChunk(text=prompt)
        with turn.stream as stream:
            for token_id in stream:
                for chunk in self._chunks(turn, token_id):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        for chunk in _flushed(turn):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        yield GenerationChunk(text="", generation_info=_info(turn))

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        turn = await begun(self._begin, prompt, stop, kwargs)
        if self.echo:
            yield GenerationChunk(text=prompt)
        with turn.stream as stream:
            async for token_id in stream:
                for chunk in self._chunks(turn, token_id):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        for chunk in _flushed(turn):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        yield GenerationChunk(text="", generation_info=_info(turn))

    def _chunks(self, turn: Turn, token_id: int) -> list[GenerationChunk]:
        chunks = [GenerationChunk(text=delta.text) for delta in turn.feed(token_id) if delta.kind == "text"]
        return _with_logprobs(chunks, turn)

    def _echoed(self, prompt: str, generation: Generation) -> Generation:
        if self.echo:
            generation.text = prompt + generation.text
        return generation

    def _whole(self, turn: Turn) -> Generation:
        return _joined([chunk for token_id in turn.stream for chunk in self._chunks(turn, token_id)], turn)

    async def _awhole(self, turn: Turn) -> Generation:
        return _joined([chunk async for token_id in turn.stream for chunk in self._chunks(turn, token_id)], turn)

    def _begin(self, prompt: str, stop: list[str] | None, options: dict[str, Any]) -> Turn:
        check_names(options, SAMPLING, "option")
        ids = self.format.encode(prompt) if self.raw else self.format.render([HumanMessage(prompt)])
        return self.begin(ids, stop, options)


def _parted(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    own = {name: value for name, value in options.items() if name in SAMPLING}
    return own, {name: value for name, value in options.items() if name not in SAMPLING}


def _flushed(turn: Turn) -> list[GenerationChunk]:
    chunks = [GenerationChunk(text=delta.text) for delta in turn.flush() if delta.kind == "text"]
    return _with_logprobs(chunks, turn)


def _with_logprobs(chunks: list[GenerationChunk], turn: Turn) -> list[GenerationChunk]:
    if chunks and (entries := turn.take_logprobs()):
        chunks[-1].generation_info = {"logprobs": {"content": entries}}
    return chunks


def _info(turn: Turn) -> dict[str, Any]:
    end = turn.end()
    return {
        "finish_reason": end.finish_reason,
        "input_tokens": end.prompt_tokens,
        "output_tokens": end.answer_tokens,
    }


def _joined(chunks: list[GenerationChunk], turn: Turn) -> Generation:
    chunks += _flushed(turn)
    info = _info(turn)
    if entries := [entry for chunk in chunks for entry in _entries(chunk)]:
        info["logprobs"] = {"content": entries}
    return Generation(text="".join(chunk.text for chunk in chunks), generation_info=info)


def _entries(chunk: GenerationChunk) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (chunk.generation_info or {}).get("logprobs", {}).get("content", [])
    return entries
