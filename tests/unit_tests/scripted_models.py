"""Models whose engine replays harmony output, and the harmony output of typical answers."""

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss import ChatGptOss, GptOssLLM
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenLogprobs, TokenStream

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
REASONING = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
RARE = math.log(1e-9)  # log-probability of the tokens that a test does not name
PREAMBLE = "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It rains in {city}."


def get_time(city: str) -> str:
    """Return the time in a city."""
    return "noon"


def encode(text: str) -> list[int]:
    """Return the ids of a text in which names of control tokens become control tokens."""
    return ENCODING.encode(text, allowed_special="all")


def write_call(name: str, arguments: str, end: str = "<|call|>") -> str:
    """Return a call with reasoning before it, as harmony text."""
    return f"{REASONING}<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}{end}"


def write_answer(text: str, end: str = "<|return|>") -> str:
    """Return an answer with reasoning before it, as harmony text."""
    return f"{REASONING}<|channel|>final<|message|>{text}{end}"


def write_final(text: str) -> str:
    """Return an answer without reasoning."""
    return f"<|channel|>final<|message|>{text}<|return|>"


class RecordingEngine(ScriptedEngine):
    """A scripted engine that keeps its streams."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.streams: list[TokenStream] = []

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Start a generation and keep its stream."""
        self.streams.append(super().submit(request))
        return self.streams[-1]


class SlowEngine(RecordingEngine):
    """A scripted engine that takes a millisecond for each token, as a model would."""

    def _replay(self, *args: Any) -> Iterator[int]:
        tokens = super()._replay(*args)
        while True:
            time.sleep(0.001)
            try:
                token_id = next(tokens)
            except StopIteration as end:
                return end.value
            yield token_id


def build_engine(*completions: str, **options: Any) -> RecordingEngine:
    """Return an engine that gives the completions, one for each request."""
    return RecordingEngine([encode(text) for text in completions], **options)


def build_chat_model(*completions: str, **options: Any) -> ChatGptOss:
    """Return a chat model that gives the completions, one for each call."""
    return ChatGptOss(model="gpt-oss-20b", engine=build_engine(*completions), **options)


def build_completion_model(*completions: str, **options: Any) -> GptOssLLM:
    """Return a completion model that gives the completions, one for each call."""
    return GptOssLLM(model="gpt-oss-20b", engine=build_engine(*completions), **options)


def read_prompt(llm: ChatGptOss | GptOssLLM, call: int = 0) -> str:
    """Return the prompt of a call, as text."""
    return ENCODING.decode(llm.engine.requests[call].prompt_ids)


@cache  # the library takes several milliseconds for a call
def _encode_token(text: str) -> int:
    return ENCODING.encode(text)[0]


class ScoringEngine(ScriptedEngine):
    """An engine that gives one token with log-probabilities, from the probabilities that a function returns.

    Like the engine on this machine it reports the requested tokens; with `top_count` it reports as a server does: the
    likeliest tokens, and the chosen one, which a grammar of alternatives restricts. Requests that ask for no token's
    log-probability get the completions, one after the other.
    """

    def __init__(
        self,
        get_shares: Callable[[str], dict[str, float]],
        *,
        top_count: int | None = None,
        completions: Sequence[str] = (),
    ) -> None:
        super().__init__([encode(text) for text in completions])
        self._get_shares = get_shares
        self._top_count = top_count

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Start a generation of one token, or the next completion."""
        limit = request.compute_token_limit(self.context_length)
        self.requests.append(request)
        if request.sampling.logprob_ids:
            return self._loop.submit(self._score(request))
        return self._loop.submit(self._replay(self._completions.pop(0), request, limit))

    def _score(self, request: GenerationRequest) -> Iterator[tuple[int, TokenLogprobs]]:
        shares = self._get_shares(ENCODING.decode(request.prompt_ids))
        values = {_encode_token(text): math.log(share) for text, share in shares.items()}
        allowed = re.findall(r"<\[(\d+)\]>", request.grammar.lark) if request.grammar else values
        chosen = max(map(int, allowed), key=lambda token_id: values.get(token_id, RARE))
        top = sorted(values.items(), key=lambda item: -item[1])[: self._top_count or 20]
        requested = [(token_id, values.get(token_id, RARE)) for token_id in request.sampling.logprob_ids]
        yield (
            chosen,
            TokenLogprobs(
                chosen=values.get(chosen, RARE),
                top=tuple(top),
                requested=() if self._top_count else tuple(requested),
            ),
        )
        return "length"
