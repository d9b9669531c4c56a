"""A request to the engine: token ids, sampling parameters, and a grammar."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_gptoss.errors import ContextLengthError, InvalidInputError

_INTEGERS = ("top_k", "seed", "max_tokens", "logprobs")
_NUMBERS = ("temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty")
_OPTIONAL = frozenset({"seed", "max_tokens", "logprobs"})
MAX_LOGPROBS = 20
MAX_PENALTY, MAX_LOGIT_BIAS = 2.0, 100.0  # the ranges of OpenAI's API
MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1  # the range of torch's generators
_MAX_ID_DIGITS = 18


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """Rules for choosing the next token.

    Attributes:
        temperature: 0 picks the most likely token; 1 samples from the model's own distribution.
        top_p: Sample only from the most likely tokens whose probabilities add up to this share.
        top_k: Sample only from this many of the most likely tokens; 0 means all.
        min_p: Sample only from tokens that are at least this share as likely as the most likely one; 0 means all.
        frequency_penalty: Subtracted from the logit of a token for each time that the answer has it already, between
            -2 and 2.
        presence_penalty: Subtracted once from the logits of the tokens that the answer has already, between -2 and 2.
        logit_bias: Numbers between -100 and 100 to add to the logits of tokens, by token id. The ids may be texts, as
            in JSON; None changes nothing.
        seed: Makes sampling repeatable on the same machine; None means a fresh seed.
        max_tokens: End the answer after this many tokens; None means when the context is full.
        logprobs: Number of most likely tokens to report with each chosen token; 0 reports the chosen token only, None
            reports nothing.
        logprob_ids: Tokens whose log-probabilities are reported at every position, however unlikely they are. Engines
            on a server leave them out.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] | None = field(default=None, hash=False)
    seed: int | None = None
    max_tokens: int | None = None
    logprobs: int | None = None
    logprob_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raise an error that names the first invalid value."""
        self._check_types()
        object.__setattr__(self, "logit_bias", _read_logit_bias(self.logit_bias))
        penalty_range = f"between -{MAX_PENALTY:g} and {MAX_PENALTY:g}"
        checks = {
            "temperature": (self.temperature >= 0 and _fits_float(self.temperature), "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "min_p": (0 <= self.min_p <= 1, "between 0 and 1"),
            "frequency_penalty": (abs(self.frequency_penalty) <= MAX_PENALTY, penalty_range),
            "presence_penalty": (abs(self.presence_penalty) <= MAX_PENALTY, penalty_range),
            "seed": (self.seed is None or MIN_SEED <= self.seed <= MAX_SEED, "between -2**63 and 2**64 - 1"),
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


def _read_logit_bias(logit_bias: Any) -> dict[int, float] | None:
    """Return a bias by token id; None if there is none.

    Raises:
        InvalidInputError: It is not a mapping of token ids to numbers in the range.
    """
    if not logit_bias and (logit_bias is None or isinstance(logit_bias, Mapping)):
        return None
    if not isinstance(logit_bias, Mapping):
        raise InvalidInputError(f"logit_bias is {logit_bias!r}; it must map token ids to numbers.")
    bias: dict[int, float] = {}
    for key, value in logit_bias.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) <= MAX_LOGIT_BIAS:
            raise InvalidInputError(
                f"logit_bias has {value!r} for the token {key!r}; it must be a number between -{MAX_LOGIT_BIAS:g} and "
                f"{MAX_LOGIT_BIAS:g}."
            )
        bias[_read_token_id(key)] = float(value)
    return bias


def _read_token_id(key: Any) -> int:
    text = "" if isinstance(key, int) and abs(key) >= 10**_MAX_ID_DIGITS else str(key).strip()
    if isinstance(key, bool) or not isinstance(key, int | str) or not _is_id(text):
        raise InvalidInputError(
            f"logit_bias has the key {key!r}; its keys are token ids.",
            hint="Ask the model for the ids of a text: llm.get_token_ids(' word').",
        )
    return int(text)


def _fits_float(value: float) -> bool:
    """Return True if a number can be computed with; a whole number may have thousands of digits."""
    return not isinstance(value, int) or abs(value) <= sys.float_info.max


def _is_positive(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and value > 0 and _fits_float(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_ID_DIGITS


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """Constraint on an answer, token by token.

    Attributes:
        lark: Grammar of the complete answer, from its first token, in llguidance's Lark dialect. Control tokens are
            written `<[id]>`.
        json_schema: A JSON schema whose values are complete answers that follow the grammar, if there is one; otherwise
            None. It is for servers that accept schemas but no grammars.
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
        priority: Requests with a higher number start first; equal ones start in the order of their arrival.
        deadline_s: End the request with an error if it is not complete after this many seconds; None means never.
        cache_salt: Requests share cached prefixes only with requests of the same salt, so that nobody can find out by
            timing what others asked. None is a salt of its own.
        shared_tokens: Length of the beginning of the prompt that is shared with requests of every salt, in tokens, such
            as a system prompt that is no secret.
        is_speculative: Propose tokens by lookup in the prompt and the answer, and verify several in one step. The
            answer is the same.
    """

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop_ids: frozenset[int] = frozenset()
    grammar: Grammar | None = None
    priority: int = 0
    deadline_s: float | None = None
    cache_salt: str | None = None
    shared_tokens: int = 0
    is_speculative: bool = True

    def __post_init__(self) -> None:
        """Raise an error that names the first invalid value."""
        checks = {
            "priority": (type(self.priority) is int, "a whole number"),
            "deadline_s": (self.deadline_s is None or _is_positive(self.deadline_s), "a number of seconds above 0"),
            "cache_salt": (self.cache_salt is None or _is_text(self.cache_salt), "None or a text that is not empty"),
            "is_speculative": (type(self.is_speculative) is bool, "True or False"),
            "shared_tokens": (type(self.shared_tokens) is int and self.shared_tokens >= 0, "0 or more"),
        }
        for name, (is_valid, expected) in checks.items():
            if not is_valid:
                raise InvalidInputError(f"{name} is {getattr(self, name)!r}; it must be {expected}.")

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

    def check_vocabulary(self, vocabulary_size: int) -> None:
        """Check that all token ids of the request exist.

        Args:
            vocabulary_size: Number of logits of the model.

        Raises:
            InvalidInputError: The prompt, `logit_bias` or `logprob_ids` has a token that the model does not have.
        """
        last_id = vocabulary_size - 1
        if not 0 <= min(self.prompt_ids) <= max(self.prompt_ids) <= last_id:
            unknown_id = next(token_id for token_id in self.prompt_ids if not 0 <= token_id <= last_id)
            raise InvalidInputError(
                f"The prompt has the token {unknown_id}; the ids of this model are 0 to {last_id}.",
                hint="Token ids differ between models. Render the prompt with this model's chat format.",
            )
        for name, ids in (("logit_bias", self.sampling.logit_bias or ()), ("logprob_ids", self.sampling.logprob_ids)):
            unknown_ids = [token_id for token_id in ids if token_id >= vocabulary_size]
            if unknown_ids:
                raise InvalidInputError(
                    f"{name} names the token {unknown_ids[0]}; the ids of this model end at {last_id}.",
                    hint="Token ids differ between models. Ask this model: llm.get_token_ids(' word').",
                )
