"""Requests and events of the two kinds of servers: vLLM's completions endpoint and llama-server's own.

The fields are those of vLLM's OpenAI-compatible server (`/v1/completions`, `return_token_ids`, since 0.10.2) and of
llama.cpp's `tools/server/README.md` (`/completion`, `return_tokens`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.token_stream import FinishReason, TokenLogprobs
from langchain_gptoss.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a server's stream.

    Attributes:
        tokens: Token ids with their log-probabilities, if these were requested.
        finish_reason: Reason for the end of the answer; None while it continues.
        cached_tokens: Number of prompt tokens from the server's cache, if the server reports it.
    """

    tokens: tuple[tuple[int, TokenLogprobs | None], ...] = ()
    finish_reason: FinishReason | None = None
    cached_tokens: int | None = None


class ServerProtocol(ABC):
    """Protocol of one kind of server.

    Attributes:
        path: Path of the endpoint below the server's root.
    """

    path: str

    @abstractmethod
    def build_body(self, request: GenerationRequest, model: str, limit: int) -> dict[str, Any]:
        """Return the JSON body of a request.

        Args:
            request: The request.
            model: Name of the model on the server.
            limit: Maximum number of new tokens.

        Raises:
            InvalidInputError: The server does not have an option of the request.
        """

    @abstractmethod
    def parse_event(self, data: Mapping[str, Any]) -> Event:
        """Return an event of the stream.

        Args:
            data: The event's JSON.

        Raises:
            KeyError, TypeError, IndexError, ValueError: The event does not follow the protocol.
        """


class LlamaServer(ServerProtocol):
    """llama.cpp's server. It stops at the model's own end tokens and does not send them."""

    path = "/completion"

    def build_body(self, request: GenerationRequest, model: str, limit: int) -> dict[str, Any]:
        """See `ServerProtocol.build_body`."""
        sampling = request.sampling
        if request.priority:
            raise InvalidInputError(
                f"priority is {request.priority}, and llama.cpp's server has no priorities.", hint="Leave it at 0."
            )
        body: dict[str, Any] = {
            "prompt": list(request.prompt_ids),
            "n_predict": limit,
            "stream": True,
            "return_tokens": True,
            # The server cannot separate its cache, so a prompt with a salt is read as a whole.
            "cache_prompt": request.cache_salt is None,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            # The server's defaults would change the model's distribution.
            "min_p": sampling.min_p,
            "repeat_penalty": 1.0,
            "frequency_penalty": sampling.frequency_penalty,
            "presence_penalty": sampling.presence_penalty,
            # The order of `Sampler`. The server always adds the bias first.
            "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
        }
        if sampling.frequency_penalty or sampling.presence_penalty:
            # The server counts the last tokens of prompt and answer together; its default is 64 of them.
            body["repeat_last_n"] = limit
        if sampling.logit_bias is not None:
            body["logit_bias"] = [[token_id, bias] for token_id, bias in sampling.logit_bias.items()]
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.logprobs is not None:
            body["n_probs"] = max(sampling.logprobs, 1)
        if request.grammar is not None and request.grammar.json_schema is not None:
            body["json_schema"] = dict(request.grammar.json_schema)
        elif request.grammar is not None:  # needs a server that is built with llguidance, as the releases are
            body["grammar"] = f"%llguidance {{}}\n{request.grammar.lark}"
        return body

    def parse_event(self, data: Mapping[str, Any]) -> Event:
        """See `ServerProtocol.parse_event`."""
        logprobs = {entry["id"]: _parse_llama_logprobs(entry) for entry in data.get("completion_probabilities") or ()}
        tokens = tuple((int(token_id), logprobs.get(token_id)) for token_id in data.get("tokens") or ())
        if not data.get("stop"):
            return Event(tokens=tokens)
        cached = (data.get("timings") or {}).get("cache_n")
        reason: FinishReason = "length" if data.get("stop_type") == "limit" else "stop"
        return Event(tokens=tokens, finish_reason=reason, cached_tokens=cached)


def _parse_llama_logprobs(entry: Mapping[str, Any]) -> TokenLogprobs:
    top = tuple((int(other["id"]), float(other["logprob"])) for other in entry.get("top_logprobs") or ())
    return TokenLogprobs(chosen=float(entry["logprob"]), top=top)


class VllmServer(ServerProtocol):
    """vLLM's server. It sends the stop token as the last one."""

    path = "/v1/completions"

    def build_body(self, request: GenerationRequest, model: str, limit: int) -> dict[str, Any]:
        """See `ServerProtocol.build_body`."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": model,
            "prompt": list(request.prompt_ids),
            "max_tokens": limit,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            "skip_special_tokens": False,
            "stop_token_ids": sorted(request.stop_ids),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "min_p": sampling.min_p,
            "frequency_penalty": sampling.frequency_penalty,
            "presence_penalty": sampling.presence_penalty,
            "seed": sampling.seed,
        }
        if request.cache_salt is not None:
            body["cache_salt"] = request.cache_salt
        if request.priority:
            body["priority"] = -request.priority  # the lowest number is served first
        if sampling.logit_bias is not None:
            body["logit_bias"] = {str(token_id): bias for token_id, bias in sampling.logit_bias.items()}
        if sampling.logprobs is not None:
            body["logprobs"] = sampling.logprobs
            body["return_tokens_as_token_ids"] = True
        if request.grammar is not None:
            body["structured_outputs"] = {"grammar": request.grammar.lark}
        return body

    def parse_event(self, data: Mapping[str, Any]) -> Event:
        """See `ServerProtocol.parse_event`."""
        usage = data.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        if not data.get("choices"):
            return Event(cached_tokens=cached)
        choice = data["choices"][0]
        ids = [int(token_id) for token_id in choice.get("token_ids") or ()]
        logprobs = list(_parse_vllm_logprobs(choice.get("logprobs") or {}))
        padded = logprobs + [None] * (len(ids) - len(logprobs))
        finished = choice.get("finish_reason")
        reason: FinishReason | None = None if finished is None else "length" if finished == "length" else "stop"
        return Event(tokens=tuple(zip(ids, padded, strict=False)), finish_reason=reason, cached_tokens=cached)


def _parse_vllm_logprobs(data: Mapping[str, Any]) -> Iterator[TokenLogprobs | None]:
    tops = data.get("top_logprobs") or []
    for index, chosen in enumerate(data.get("token_logprobs") or ()):
        entries = (tops[index] if index < len(tops) else None) or {}
        top = tuple((int(name.removeprefix("token_id:")), float(value)) for name, value in entries.items())
        yield TokenLogprobs(chosen=float(chosen), top=top)
