"""The fields of a request that choose how tokens are sampled, for all routes that generate text."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.requests import Array, Flag, Integer, Number, RequestPart

MAX_CHOICES = 8
"""Largest number of answers to one request."""

MAX_CACHE_KEY_LENGTH = 64
"""Largest length of a `prompt_cache_key`, as in OpenAI's API."""

_MAX_STOPS = 64  # OpenAI's limit is 4; other servers have none
_MIN_TOP_P = 1e-6  # the models accept values above 0 only
_MAX_BIAS = 100
_SEED_BITS = 63
_SAME_NAMES = ("temperature", "min_p", "seed", "frequency_penalty", "presence_penalty", "logit_bias")


class StreamOptions(RequestPart):
    """Options of a stream."""

    include_usage: Flag = False
    include_obfuscation: Flag = False  # OpenAI's padding against eavesdroppers; has no effect here


class SamplingFields(RequestPart):
    """The fields for sampling, length, number of answers and streaming."""

    model: str
    stream: Flag = False
    stream_options: StreamOptions | None = None
    n: Integer = Field(default=1, ge=1, le=MAX_CHOICES)
    temperature: Number | None = Field(default=None, ge=0, le=2)
    top_p: Number | None = Field(default=None, ge=0, le=1)
    top_k: Integer | None = Field(default=None, ge=-1)
    min_p: Number | None = Field(default=None, ge=0, le=1)
    frequency_penalty: Number | None = Field(default=None, ge=-2, le=2)
    presence_penalty: Number | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, Any] | None = None
    max_tokens: Integer | None = Field(default=None, ge=1)
    stop: str | Annotated[Array[str], Field(max_length=_MAX_STOPS)] | None = None
    seed: Integer | None = Field(default=None, ge=-(2**_SEED_BITS), lt=2**_SEED_BITS)
    user: str | None = None

    @property
    def includes_usage(self) -> bool:
        """True if the last chunk of a stream holds the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def get_sampling_options(self, choice: int = 0) -> dict[str, Any]:
        """Return the sampling options that are set, under LangChain's names.

        Args:
            choice: Position among the answers to this request; each has its own seed.

        Raises:
            RequestRefused: A key of `logit_bias` is not a token id.
        """
        options = {name: getattr(self, name) for name in _SAME_NAMES}
        options["top_p"] = None if self.top_p is None else max(self.top_p, _MIN_TOP_P)
        options["top_k"] = None if self.top_k is None else max(self.top_k, 0)
        options["seed"] = None if self.seed is None else self.seed + choice
        options["logit_bias"] = _read_logit_bias(self.logit_bias)
        options["max_tokens"] = self.max_tokens
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        options["stop"] = [stop for stop in stops if stop] or None
        return {name: value for name, value in options.items() if value is not None}


def _read_logit_bias(bias: dict[str, Any] | None) -> dict[int, float] | None:
    for key, value in (bias or {}).items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (key.isascii() and key.isdigit() and is_number and abs(value) <= _MAX_BIAS):
            message = (
                f"Invalid 'logit_bias': {key!r} has the value {value!r}. The keys are token ids, such as \"1024\", and "
                f"the values are numbers from -{_MAX_BIAS} to {_MAX_BIAS}."
            )
            raise RequestRefused(400, message, param="logit_bias", code="invalid_value")
    return {int(key): float(value) for key, value in bias.items()} if bias else None
