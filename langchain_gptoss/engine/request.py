"""A request to the engine: token ids, sampling parameters, and a grammar."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_gptoss.errors import ContextLengthError, InvalidInputError

_INTEGERS, _NUMBERS = ("top_k", "seed", "max_tokens", "logprobs"), ("temperature", "top_p")
_OPTIONAL = frozenset({"seed", "max_tokens", "logprobs"})
MAX_LOGPROBS = 20


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """Rules for choosing the next token.

    Attributes:
        temperature: 0 picks the most likely token; 1 samples from the model's own distribution.
        top_p: Sample only from the most likely tokens whose probabilities add up to this share.
        top_k: Sample only from this many of the most likely tokens; 0 means all.
        seed: Makes sampling repeatable on the same machine; None means a fresh seed.
        max_tokens: End the answer after this many tokens; None means when the context is full.
        logprobs: Number of most likely tokens to report with each chosen token; 0 reports the chosen token only, None
            reports nothing.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int | None = None
    logprobs: int | None = None

    def __post_init__(self) -> None:
        """Raise an error that names the first invalid value."""
        self._check_types()
        checks = {
            "temperature": (self.temperature >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "max_tokens": (self.max_tokens is None or self.max_tokens > 0, "1 or more"),
            "logprobs": (self.logprobs is None or 0 <= self.logprobs <= MAX_LOGPROBS, f"between 0 and {MAX_LOGPROBS}"),
        }
        for name, (is_valid, expected) in checks.items():
            if not is_valid:
                raise InvalidInputError(f"{name} is {getattr(self, name)!r}; it must be {expected}.")

    def _check_types(self) -> None:
        for names, types, expected in (
            (_NUMBERS, (int, float), "a number"),
            (_INTEGERS, (int,), "a whole number"),
        ):
            for name in names:
                value = getattr(self, name)
                if not isinstance(value, types) and not (value is None and name in _OPTIONAL):
                    raise InvalidInputError(f"{name} is {value!r}; it must be {expected}.")


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """Constraint on an answer, token by token.

    Attributes:
        lark: Grammar of the complete answer, from its first token, in llguidance's Lark dialect. Control tokens are
            written `<[id]>`.
        json_schema: The JSON schema, if the complete answer is one JSON value; otherwise None. It is for servers that
            accept schemas but no grammars.
    """

    lark: str
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One generation.

    Attributes:
        prompt_ids: Token ids of the prompt; at least one.
        sampling: Rules for choosing tokens.
        stop_ids: Tokens that end the answer. The stop token is the last token of the stream.
        grammar: Constraint on the answer; None leaves the model free.
    """

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop_ids: frozenset[int] = frozenset()
    grammar: Grammar | None = None

    def compute_token_limit(self, context_length: int) -> int:
        """Return the maximum number of tokens in the answer.

        Args:
            context_length: Number of tokens that the model's context holds, prompt and answer together.

        Raises:
            ContextLengthError: The prompt leaves no space for an answer.
            InvalidInputError: The prompt is empty.
        """
        if not self.prompt_ids:
            raise InvalidInputError("The prompt has no tokens.", hint="Pass at least one token.")
        free_tokens = context_length - len(self.prompt_ids)
        if free_tokens < 1:
            raise ContextLengthError(len(self.prompt_ids), context_length)
        return min(free_tokens, self.sampling.max_tokens or free_tokens)
