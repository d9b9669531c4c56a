"""`GptOssLLM`: the same models behind LangChain's completion interface, text in and text out."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from langchain_gptoss._models import MODEL_CONFIG, SAMPLING, GptOssModel, Turn, begun, check_names


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

    @property
    def _llm_type(self) -> str:
        return "gptoss"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.model_dump(include={"model", "temperature", "top_p", "top_k", "seed", "max_tokens", "stop", "raw"})

    def get_token_ids(self, text: str) -> list[int]:
        """Returns the model's own token ids of a text."""
        return self.format.encode(text)

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
            return LLMResult(generations=[[_whole(turn)] for turn in turns])
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
            return LLMResult(generations=[[await _awhole(turn)] for turn in turns])
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
        with turn.stream as stream:
            for token_id in stream:
                for chunk in _chunks(turn.feed(token_id)):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield from _chunks(turn.flush())
        yield GenerationChunk(text="", generation_info=_info(turn))

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        turn = await begun(self._begin, prompt, stop, kwargs)
        with turn.stream as stream:
            async for token_id in stream:
                for chunk in _chunks(turn.feed(token_id)):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        for chunk in _chunks(turn.flush()):
            yield chunk
        yield GenerationChunk(text="", generation_info=_info(turn))

    def _begin(self, prompt: str, stop: list[str] | None, options: dict[str, Any]) -> Turn:
        check_names(options, SAMPLING, "option")
        ids = self.format.encode(prompt) if self.raw else self.format.render([HumanMessage(prompt)])
        return self.begin(ids, stop, options)


def _chunks(deltas: Iterable[Any]) -> Iterator[GenerationChunk]:
    return (GenerationChunk(text=delta.text) for delta in deltas if delta.kind == "text")


def _info(turn: Turn) -> dict[str, Any]:
    end = turn.end()
    return {
        "finish_reason": end.finish_reason,
        "input_tokens": end.prompt_tokens,
        "output_tokens": end.answer_tokens,
    }


def _whole(turn: Turn) -> Generation:
    parts = [chunk.text for token_id in turn.stream for chunk in _chunks(turn.feed(token_id))]
    parts += [chunk.text for chunk in _chunks(turn.flush())]
    return Generation(text="".join(parts), generation_info=_info(turn))


async def _awhole(turn: Turn) -> Generation:
    parts = []
    async for token_id in turn.stream:
        parts += [chunk.text for chunk in _chunks(turn.feed(token_id))]
    parts += [chunk.text for chunk in _chunks(turn.flush())]
    return Generation(text="".join(parts), generation_info=_info(turn))
