"""Requests for text completions: their fields, and the token ids of their prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from langchain_gptoss.chat_formats import ChatFormat
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.requests import Flag, Integer
from langchain_gptoss.serve.openai.sampling import SamplingFields

_MAX_LOGPROBS = 20
_MAX_TOKEN_ID = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt of a completion.

    Attributes:
        text: The text; that of token ids contains the names of control tokens.
        token_ids: The token ids.
    """

    text: str
    token_ids: list[int]


class CompletionRequest(SamplingFields):
    """A request for text completions."""

    prompt: str | list[Any]
    max_tokens: Integer = Field(default=16, ge=0)  # OpenAI's default
    echo: Flag = False
    logprobs: Integer | None = Field(default=None, ge=0, le=_MAX_LOGPROBS)
    best_of: Integer | None = None
    suffix: str | None = None

    def check(self, *, max_completions: int) -> None:
        """Check the fields that depend on each other.

        Raises:
            RequestRefused: The request asks for something that is not supported.
        """
        if self.suffix:
            raise refuse("suffix", "the model cannot fill in text before a suffix")
        if self.best_of not in (None, self.n):
            raise refuse("best_of", f"it must equal n, which is {self.n}")
        if self.echo and self.logprobs is not None:
            raise refuse("logprobs", "the log-probabilities of a prompt are not computed; leave out 'echo'")
        count = len(self.list_prompts()) * self.n
        if count > max_completions:
            raise refuse("prompt", f"it asks for {count} completions; at most {max_completions} are made at once")

    def list_prompts(self) -> list[str | list[int]]:
        """Return the prompts, each a text or a list of token ids.

        Raises:
            RequestRefused: The prompt has another form.
        """
        if isinstance(self.prompt, str):
            return [self.prompt]
        if not self.prompt:
            raise refuse("prompt", "the array is empty", code="empty_array")
        prompts = [self.prompt] if _is_token_ids(self.prompt) else self.prompt
        for number, prompt in enumerate(prompts):
            if not isinstance(prompt, str) and not (isinstance(prompt, list) and prompt and _is_token_ids(prompt)):
                raise refuse(f"prompt[{number}]", "expected a string or an array of token ids", code="invalid_type")
        return prompts

    def get_generation_options(self, choice: int) -> dict[str, Any]:
        """Return the sampling options and the stop strings of one completion."""
        options = self.get_sampling_options(choice)
        if self.logprobs is not None:
            options |= {"logprobs": True, "top_logprobs": self.logprobs or None}
        return options


def encode_prompts(prompts: list[str | list[int]], chat_format: ChatFormat) -> list[Prompt]:
    """Return prompts with their token ids and their text.

    Raises:
        RequestRefused: A token id is not in the vocabulary.
    """
    return [
        Prompt(text=prompt, token_ids=chat_format.encode(prompt))
        if isinstance(prompt, str)
        else Prompt(text=_decode(prompt, chat_format), token_ids=prompt)
        for prompt in prompts
    ]


def _decode(token_ids: list[int], chat_format: ChatFormat) -> str:
    for token_id in token_ids:
        if not 0 <= token_id <= _MAX_TOKEN_ID or not chat_format.decode_token(token_id):
            raise refuse("prompt", f"the token id {token_id} is not in the model's vocabulary")
    parser = chat_format.build_text_parser()
    deltas = [delta for token_id in token_ids for delta in parser.feed(token_id)]
    return "".join(delta.text for delta in [*deltas, *parser.flush()])


def _is_token_ids(values: list[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def refuse(field: str, reason: str, *, code: str = "invalid_value") -> RequestRefused:
    """Return the refusal of a field."""
    return RequestRefused(400, f"Invalid '{field}': {reason}.", param=field, code=code)
