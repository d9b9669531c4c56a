"""Constrained decoding on llguidance: at each step, which tokens the grammar allows."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer

from langchain_gptoss.engine.request import Grammar
from langchain_gptoss.errors import GptOssError, InvalidInputError


@lru_cache(maxsize=256)
def check_grammar(lark: str) -> None:
    """Checks that a grammar can be followed, before anything is generated.

    Raises:
        InvalidInputError: It cannot, most often because a JSON schema in it uses what cannot be constrained.
    """
    problem = LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(lark))
    if problem and not problem.startswith("WARNING"):
        reason = problem.strip().splitlines()[0]
        raise InvalidInputError(
            f"The answer cannot be held to this schema: {reason}. Simplify the schema, or pass strict=False, so that "
            "the model is asked and not held."
        )


class GrammarTokenizer:
    """A checkpoint's vocabulary as llguidance needs it; made once and shared by every request."""

    def __init__(self, folder: Path, *, size: int, stop_ids: list[int] | None = None) -> None:
        """Takes the checkpoint's folder, the number of logits, and the tokens that end a text."""
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        self.size = size
        self._tokenizer: Any = LLTokenizer(text, n_vocab=size, eos_token=stop_ids or None)

    def matcher(self, grammar: Grammar) -> "GrammarMatcher":
        """Returns a matcher at the beginning of an answer."""
        return GrammarMatcher(LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(grammar.lark)), self.size)


class GrammarMatcher:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: Any, size: int) -> None:
        """Takes llguidance's matcher and the number of logits."""
        self._matcher = matcher
        self._size = size

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the logits (shape [vocabulary]) with those of forbidden tokens at minus infinity."""
        bias = bytearray(self._matcher.compute_logit_bias())  # one byte a token, 0 where it is forbidden
        if problem := self._matcher.get_error():
            raise GptOssError(f"The grammar could not be followed: {problem.splitlines()[0]}")
        forbidden = torch.frombuffer(bias, dtype=torch.uint8)[: self._size] == 0
        return logits.masked_fill(forbidden.to(logits.device), -torch.inf)

    def accept(self, token_id: int) -> bool:
        """Takes the next token, and returns whether the answer is complete with it."""
        self._matcher.consume_token(token_id)
        return bool(self._matcher.is_stopped())
