"""Scores of the allowed answers to a question, from the log-probabilities of one forward pass per question.

An answer may have several spellings, and a spelling several tokens. The probability of an answer is the sum over its
spellings, and that of a spelling the product along its tokens. All passes of a call are submitted together.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.chat_formats.base import PromptOptions
from langchain_gptoss.engine import TokenLogprobs, TokenStream
from langchain_gptoss.errors import GptOssError
from langchain_gptoss.language_models.options import GptOssModel

Path = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ScoringPrompt:
    """A prompt and the answers that may follow it.

    Attributes:
        prompt_ids: Token ids up to the first token of the answer.
        messages: The messages of the prompt.
        labels: For each answer, the token ids of its spellings, the main one first.
    """

    prompt_ids: tuple[int, ...]
    messages: Sequence[BaseMessage]
    labels: tuple[tuple[Path, ...], ...]


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """The scores of one prompt.

    Attributes:
        logprobs: Log-probability of each answer, not normalized over the answers.
        prompt_tokens: Length of the prompts of its passes in tokens.
        cached_tokens: Length of the parts of them that came from the prefix cache.
        passes: Number of forward passes.
    """

    logprobs: tuple[float, ...]
    prompt_tokens: int
    cached_tokens: int
    passes: int


@dataclass(kw_only=True)
class _Pass:
    """A forward pass: which tokens follow a prompt and the beginning of an answer, and how likely."""

    prompt: ScoringPrompt
    begin: Path
    token_ids: tuple[int, ...]
    is_constrained: bool
    values: dict[int, float] = field(default_factory=dict)
    cached_tokens: int = 0


def encode_labels(labels: Sequence[Sequence[str]], encode: Callable[[str], list[int]]) -> tuple[tuple[Path, ...], ...]:
    """Return the token ids of the spellings of each answer.

    Further spellings count if they are one token: the rest of a longer one is almost certain once it has begun, or
    belongs to another text, and each token of it would take a pass of its own. No token counts for two answers.

    Args:
        labels: The spellings of each answer, the main one first.
        encode: Returns the token ids of a text.
    """
    taken = {tuple(encode(spellings[0])) for spellings in labels}
    result = []
    for spellings in labels:
        paths = [tuple(encode(spellings[0]))]
        for spelling in spellings[1:]:
            path = tuple(encode(spelling))
            if len(path) == 1 and path not in taken:
                taken.add(path)
                paths.append(path)
        result.append(tuple(paths))
    return tuple(result)


def score_labels(
    llm: GptOssModel, prompts: Sequence[ScoringPrompt], options: PromptOptions, overrides: Mapping[str, Any]
) -> Flow[list[LabelScores]]:
    """Return the scores of the answers to each prompt.

    Args:
        llm: The model.
        prompts: The prompts; equal beginnings are read once.
        options: The options with which they were rendered.
        overrides: Options for scheduling of this call.

    Raises:
        GptOssError: The engine reports no log-probabilities.
    """
    is_remote = llm.engine is None and llm.base_url is not None
    passes = [
        _Pass(prompt=prompt, begin=begin, token_ids=token_ids, is_constrained=is_remote)
        for prompt in prompts
        for begin, token_ids in _list_branches(prompt.labels)
    ]
    yield from _run_passes(llm, passes, options, overrides)
    if missing := _list_missing_passes(prompts, passes):
        yield from _run_passes(llm, missing, options, overrides)
        passes += missing
    return [_summarize(prompt, [item for item in passes if item.prompt is prompt]) for prompt in prompts]


def _list_branches(labels: Sequence[Sequence[Path]]) -> list[tuple[Path, tuple[int, ...]]]:
    """Return the beginnings of answers, and the tokens that may follow each of them."""
    branches: dict[Path, dict[int, None]] = {}
    for path in (path for paths in labels for path in paths):
        for index, token_id in enumerate(path):
            branches.setdefault(path[:index], {})[token_id] = None
    return [(begin, tuple(token_ids)) for begin, token_ids in branches.items()]


def _list_missing_passes(prompts: Sequence[ScoringPrompt], passes: Sequence[_Pass]) -> list[_Pass]:
    """Return passes for answers of which a server reported no spelling: it reports the most likely tokens only.

    Such a pass allows one token, which is then reported as the chosen one.
    """
    missing = []
    for prompt in prompts:
        known = _collect_values([item for item in passes if item.prompt is prompt])
        for paths in prompt.labels:
            if any(_sum_path(path, known) is not None for path in paths):
                continue
            steps = [(paths[0][:index], token_id) for index, token_id in enumerate(paths[0])]
            missing += [
                _Pass(prompt=prompt, begin=begin, token_ids=(token_id,), is_constrained=True)
                for begin, token_id in steps
                if (begin, token_id) not in known
            ]
    return missing


def _run_passes(
    llm: GptOssModel, passes: Sequence[_Pass], options: PromptOptions, overrides: Mapping[str, Any]
) -> Flow[None]:
    streams: list[TokenStream] = []
    is_over = False

    def start() -> None:
        for item in passes:
            if is_over:
                return
            prompt_ids = [*item.prompt.prompt_ids, *item.begin]
            stream = llm.start_scoring(
                prompt_ids,
                item.token_ids,
                overrides,
                options,
                messages=item.prompt.messages,
                is_constrained=item.is_constrained,
            )
            streams.append(stream)

    try:
        yield from call(start)
        read = yield from call(lambda: [_read_last(stream) for stream in streams], lambda: _aread_all(streams))
    finally:  # the caller may be cancelled while another thread submits
        is_over = True
        for stream in streams:
            if stream.finish_reason is None:
                stream.cancel()
    for item, stream, (token_id, logprobs) in zip(passes, streams, read, strict=True):
        item.cached_tokens = stream.cached_tokens
        item.values = _select_values(item, token_id, logprobs)


def _read_last(stream: TokenStream) -> tuple[int | None, TokenLogprobs | None]:
    token_ids = list(stream)
    return token_ids[-1] if token_ids else None, stream.logprobs


async def _aread_all(streams: Sequence[TokenStream]) -> list[tuple[int | None, TokenLogprobs | None]]:
    return [await _aread_last(stream) for stream in streams]


async def _aread_last(stream: TokenStream) -> tuple[int | None, TokenLogprobs | None]:
    token_ids = [token_id async for token_id in stream]
    return token_ids[-1] if token_ids else None, stream.logprobs


def _select_values(item: _Pass, token_id: int | None, logprobs: TokenLogprobs | None) -> dict[int, float]:
    if token_id is None or logprobs is None:
        raise GptOssError(
            "The model reported no log-probabilities, and a decision is made from them.",
            hint="Run the model on this machine, or on a server that reports log-probabilities (vLLM, llama.cpp).",
        )
    values = {**dict(logprobs.top), **dict(logprobs.requested), token_id: logprobs.chosen}
    return {token_id: values[token_id] for token_id in item.token_ids if token_id in values}


def _collect_values(passes: Sequence[_Pass]) -> dict[tuple[Path, int], float]:
    return {(item.begin, token_id): value for item in passes for token_id, value in item.values.items()}


def _sum_path(path: Path, values: Mapping[tuple[Path, int], float]) -> float | None:
    """Return the log-probability of a spelling; None if that of a token of it is unknown."""
    steps = [values.get((path[:index], token_id)) for index, token_id in enumerate(path)]
    known = [step for step in steps if step is not None]
    return sum(known) if len(known) == len(steps) else None


def _summarize(prompt: ScoringPrompt, passes: Sequence[_Pass]) -> LabelScores:
    values = _collect_values(passes)
    sums = [[_sum_path(path, values) for path in paths] for paths in prompt.labels]
    return LabelScores(
        logprobs=tuple(_add_logs([value for value in row if value is not None]) for row in sums),
        prompt_tokens=sum(len(prompt.prompt_ids) + len(item.begin) for item in passes),
        cached_tokens=sum(item.cached_tokens for item in passes),
        passes=len(passes),
    )


def _add_logs(values: Sequence[float]) -> float:
    """Return the logarithm of the sum of numbers that are given by their logarithms."""
    largest = max(values, default=-math.inf)
    if largest == -math.inf:
        return -math.inf
    return largest + math.log(sum(math.exp(value - largest) for value in values))
