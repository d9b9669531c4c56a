"""One generation: token ids from the engine become deltas, and the drivers turn these into a stream of chunks.

`Generation` is the same for sync and async. `stream_chunks` and `astream_chunks` differ only in the way in which they
wait for the next token and call back.
"""

import asyncio
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypedDict, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from langchain_core.runnables import run_in_executor

from langchain_gptoss.chat_formats.base import DEFAULT_OPTIONS, ChatFormat, Delta, Parser, PromptOptions, Repair
from langchain_gptoss.chat_formats.stop_filter import StopFilter
from langchain_gptoss.engine import TokenLogprobs, TokenStream
from langchain_gptoss.language_models.loop_detection import LoopDetector
from langchain_gptoss.language_models.schema_check import check_arguments, is_enforced_completely

CUT_REASONS = frozenset({"length", "repetition"})
"""Finish reasons of an answer that the model did not end."""

ChunkT = TypeVar("ChunkT", GenerationChunk, ChatGenerationChunk)
BuilderT = TypeVar("BuilderT", bound="ChunkBuilder[Any]")


class InvalidCall(TypedDict):
    """A tool call that cannot be made.

    Attributes:
        index: Position of the call in the answer, from 0.
        name: Name of the tool as the model wrote it.
        args: The arguments as the model wrote them.
        error: The reason.
    """

    index: int
    name: str
    args: str
    error: str


@dataclass(frozen=True, kw_only=True)
class GenerationEnd:
    """The end of an answer, with lengths in tokens.

    Attributes:
        finish_reason: `"stop"`, `"length"`, `"tool_calls"`, `"repetition"` or `"cancelled"`.
        prompt_tokens: Length of the prompt.
        cached_tokens: Length of the part of the prompt that came from the prefix cache.
        answer_tokens: Length of the whole output.
        reasoning_tokens: Length of the reasoning in it.
        repairs: The malformed places in the output, and their interpretation.
        invalid_calls: Tool calls that cannot be made, by their ids.
        model_name: Name of the model.
    """

    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    answer_tokens: int
    reasoning_tokens: int
    repairs: tuple[Repair, ...]
    invalid_calls: dict[str, InvalidCall]
    model_name: str


class Generation:
    """One answer in progress.

    The caller moves the token ids from `tokens` to `feed` and calls `flush` after the last one.

    Attributes:
        tokens: The engine's stream of token ids.
    """

    def __init__(
        self,
        tokens: TokenStream,
        chat_format: ChatFormat,
        stop_filter: StopFilter,
        options: PromptOptions = DEFAULT_OPTIONS,
        *,
        prompt_tokens: int,
        model_name: str,
        parser: Parser | None = None,
        loop_detector: LoopDetector | None = None,
    ) -> None:
        """Create a generation.

        Args:
            tokens: The engine's stream of token ids.
            chat_format: The format that the output is written in.
            stop_filter: The stop strings.
            options: The options with which the prompt was rendered.
            prompt_tokens: Length of the prompt in tokens.
            model_name: Name of the model.
            parser: Reads the output; None means the chat format's parser of an answer.
            loop_detector: Notices an answer that repeats itself without end; None lets it continue.
        """
        self.tokens = tokens
        self._parser = parser or chat_format.parser(
            [tool.name for tool in options.callable_tools], offered_tools=[tool.name for tool in options.tools]
        )
        self._format = chat_format
        self._checked_tools = {
            tool.name: tool
            for tool in options.callable_tools
            if options.enforces_arguments(tool) and not is_enforced_completely(tool)
        }
        self._call_ids: list[str] = []
        self._call_names: list[str] = []
        self._call_arguments: list[str] = []
        self._logprobs: list[tuple[TokenLogprobs, int]] = []
        self._allows_parallel_calls = options.parallel_tool_calls
        self._has_last_call = False
        self._has_stop_token = False
        self._stop_filter = stop_filter
        self._loop_detector = loop_detector
        self._has_loop = False
        self._model_name = model_name
        self._prompt_tokens = prompt_tokens
        self._answer_tokens = 0
        self._reasoning_tokens = 0

    def cancel(self) -> None:
        """Stop the engine within one token; without effect on an answer that has ended."""
        self.tokens.cancel()

    def get_call_id(self, index: int) -> str:
        """Return the id of a tool call of this answer."""
        while len(self._call_ids) <= index:
            self._call_ids.append(f"call_{uuid.uuid4().hex[:24]}")
        return self._call_ids[index]

    def feed(self, token_id: int) -> list[Delta]:
        """Return the output that this token completes; stop the engine at a stop string, made-up message or loop."""
        self._answer_tokens += 1
        if self._loop_detector is not None and self._loop_detector.feed(token_id):
            self._has_loop = True
            self.cancel()
        self._has_stop_token = token_id in self._format.stop_ids
        deltas = self._parser.feed(token_id)
        if self._parser.has_ended:
            self.cancel()
        if deltas and deltas[-1].kind == "reasoning":
            self._reasoning_tokens += 1
        if self.tokens.logprobs is not None:
            self._record_logprobs(self.tokens.logprobs, token_id, deltas)
        return self._filter(deltas)

    def flush(self) -> list[Delta]:
        """Return the output that was held back; called after the last token."""
        is_stopped = self._stop_filter.is_stopped or self._has_last_call
        deltas = [] if is_stopped else self._filter(self._parser.flush(is_complete=self._is_complete))
        text = self._stop_filter.flush()
        return [*deltas, Delta("text", text)] if text else deltas

    def take_logprobs(self) -> list[dict[str, Any]]:
        """Return the log-probabilities of the answer's tokens since the last call, in the form of OpenAI's API."""
        logprobs, self._logprobs = self._logprobs, []
        return [format_logprobs(entry, token_id, self._format) for entry, token_id in logprobs]

    def build_end(self) -> GenerationEnd:
        """Return the end of the answer; called after `flush`."""
        errors = {**self._find_schema_errors(), **self._parser.call_errors}
        return GenerationEnd(
            finish_reason=self._find_finish_reason(),
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self.tokens.cached_tokens,
            answer_tokens=self._answer_tokens,
            reasoning_tokens=self._reasoning_tokens,
            repairs=tuple(self._parser.repairs),
            invalid_calls={
                self.get_call_id(index): InvalidCall(
                    index=index,
                    name=self._call_names[index],
                    args=arguments,
                    error=errors[index],
                )
                for index, arguments in enumerate(self._call_arguments)
                if index in errors
            },
            model_name=self._model_name,
        )

    def _find_schema_errors(self) -> dict[int, str]:
        """Return the reasons for which calls violate what a grammar leaves out of an enforced schema, by position."""
        errors = {}
        for index, (name, text) in enumerate(zip(self._call_names, self._call_arguments, strict=True)):
            tool = self._checked_tools.get(name)
            if tool is None or index in self._parser.call_errors:
                continue
            try:
                arguments = json.loads(text or "{}", strict=False)
            except ValueError:
                continue  # the parser reports what cannot be read
            if reason := check_arguments(tool, arguments):
                errors[index] = f"The arguments do not follow the schema of the tool. {reason}"
        return errors

    @property
    def _is_complete(self) -> bool:
        """True if the model ended its turn."""
        has_hidden_stop_token = self.tokens.finish_reason == "stop" and not self.tokens.sends_stop_token
        return self._has_stop_token or has_hidden_stop_token

    def _find_finish_reason(self) -> str:
        if self._stop_filter.is_stopped:
            return "stop"
        if self._has_last_call:
            return "tool_calls"
        if self._has_loop:
            return "repetition"
        reason = "stop" if self._parser.has_ended else self.tokens.finish_reason or "cancelled"
        if reason != "stop" or not self._call_arguments:
            return reason
        return "length" if self._parser.is_call_cut else "tool_calls"

    def _filter(self, deltas: list[Delta]) -> list[Delta]:
        """Return the deltas up to a stop string or a second call that is not allowed."""
        filtered = []
        for delta in deltas:
            if delta.kind == "tool_call":
                if delta.call_index and not self._allows_parallel_calls:
                    self._has_last_call = True
                    break
                if delta.call_index == len(self._call_arguments):
                    self._call_arguments.append("")
                    self._call_names.append(delta.name or "")
                self._call_arguments[delta.call_index] += delta.text
            if delta.kind != "text":
                filtered.append(delta)
            elif delta.is_separator and not self._stop_filter.is_stopped:
                # The model did not write the separator, so a stop string may not contain any of it.
                filtered.append(Delta("text", self._stop_filter.flush() + delta.text))
            elif text := self._stop_filter.feed(delta.text):
                filtered.append(delta if text == delta.text else Delta("text", text))
        if self._stop_filter.is_stopped or self._has_last_call:
            self.cancel()
        return filtered

    def _record_logprobs(self, logprobs: TokenLogprobs, token_id: int, deltas: list[Delta]) -> None:
        if deltas and deltas[-1].kind != "text":
            self._logprobs.clear()
        elif deltas or _is_incomplete_character(self._format.decode_token(token_id)):
            self._logprobs.append((logprobs, token_id))


class ChunkBuilder(ABC, Generic[ChunkT]):
    """Conversion of the output of one generation to LangChain chunks; a context manager that ends the generation.

    Attributes:
        generation: The generation.
    """

    def __init__(self, generation: Generation) -> None:
        self.generation = generation

    def __enter__(self) -> Self:
        """Return the builder."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the engine if the answer has not ended."""
        self.generation.cancel()

    def feed(self, token_id: int | None) -> list[ChunkT]:
        """Return the chunks that a token completes; None marks the end of the tokens."""
        if token_id is not None:
            return self._build_chunks(self.generation.feed(token_id))
        chunks = self._build_chunks(self.generation.flush())
        chunks.append(self._build_last_chunk(self.generation.build_end()))
        return chunks

    def _build_chunks(self, deltas: list[Delta]) -> list[ChunkT]:
        chunks = [chunk for delta in deltas if (chunk := self._build_chunk(delta)) is not None]
        if chunks and chunks[-1].text and (logprobs := self.generation.take_logprobs()):
            chunks[-1].generation_info = {"logprobs": {"content": logprobs}}
        return chunks

    @abstractmethod
    def _build_chunk(self, delta: Delta) -> ChunkT | None:
        """Return the chunk of a delta; None leaves the delta out."""

    @abstractmethod
    def _build_last_chunk(self, end: GenerationEnd) -> ChunkT:
        """Return the chunk with the metadata of the whole answer."""


def stream_chunks(
    builder: ChunkBuilder[ChunkT], run_manager: CallbackManagerForLLMRun | None = None
) -> Iterator[ChunkT]:
    """Yield the chunks of a generation, and stop the engine when the caller stops reading."""
    with builder:
        tokens, has_tokens = iter(builder.generation.tokens), True
        while has_tokens:
            token_id = next(tokens, None)
            has_tokens = token_id is not None
            for chunk in builder.feed(token_id):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk


async def astream_chunks(
    builder: ChunkBuilder[ChunkT], run_manager: AsyncCallbackManagerForLLMRun | None = None
) -> AsyncGenerator[ChunkT, None]:
    """Async version of `stream_chunks`."""
    with builder:
        tokens, has_tokens = aiter(builder.generation.tokens), True
        while has_tokens:
            token_id = await anext(tokens, None)
            has_tokens = token_id is not None
            for chunk in builder.feed(token_id):
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk


async def start_in_thread(start: Callable[..., BuilderT], *arguments: Any) -> BuilderT:
    """Return `start(*arguments)`, run on another thread, because loading and rendering would block the event loop.

    If the caller is cancelled meanwhile, the generation is cancelled as soon as it starts.
    """
    starting = asyncio.ensure_future(run_in_executor(None, start, *arguments))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_cancel_generation)
        raise


def _cancel_generation(starting: "asyncio.Future[Any]") -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().generation.cancel()


def _is_incomplete_character(token_bytes: bytes) -> bool:
    try:
        token_bytes.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def format_logprobs(logprobs: TokenLogprobs, token_id: int, chat_format: ChatFormat) -> dict[str, Any]:
    """Return the log-probabilities at one position in the form of OpenAI's API."""

    def format_entry(token: int, logprob: float) -> dict[str, Any]:
        token_bytes = chat_format.decode_token(token)
        return {"token": token_bytes.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(token_bytes)}

    top_entries = [format_entry(token, logprob) for token, logprob in logprobs.top]
    return format_entry(token_id, logprobs.chosen) | {"top_logprobs": top_entries}
