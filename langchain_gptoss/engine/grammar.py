"""Constrained decoding with llguidance: the tokens that a grammar allows at each step."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer

from langchain_gptoss.engine.request import Grammar
from langchain_gptoss.errors import GptOssError, InvalidInputError


@lru_cache(maxsize=256)
def check_grammar(lark: str) -> None:
    """Check a grammar before anything is generated.

    Raises:
        InvalidInputError: llguidance rejects the grammar, most often because of an unsupported part of a JSON schema.
    """
    problem = LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(lark))
    if problem and not problem.startswith("WARNING"):
        reason = problem.strip().splitlines()[0]
        raise InvalidInputError(
            f"The answer cannot be constrained to this schema: {reason}.",
            hint="Simplify the schema, or pass strict=False; the model then sees the schema, and nothing enforces it.",
        )


class GrammarTokenizer:
    """A checkpoint's vocabulary for llguidance, shared by all requests of an engine."""

    def __init__(self, folder: Path, *, vocabulary_size: int) -> None:
        """Set the source of the vocabulary; it is read with the first matcher.

        Args:
            folder: The checkpoint.
            vocabulary_size: Number of logits; it may exceed the number of tokens.
        """
        self._file = folder / "tokenizer.json"
        self._vocabulary_size = vocabulary_size
        # llguidance fixes the stop tokens in its tokenizer, and chat formats with different ones may share an engine.
        self._tokenizers: dict[frozenset[int], Any] = {}

    def create_matcher(self, grammar: Grammar, *, stop_ids: frozenset[int]) -> "GrammarMatcher":
        """Return a matcher at the beginning of an answer.

        Args:
            grammar: The grammar of the answer.
            stop_ids: Tokens that are allowed where the grammar may end. If it is empty, the end-of-text token of
                tokenizer.json is used.
        """
        if stop_ids not in self._tokenizers:
            text = self._file.read_text(encoding="utf-8")
            tokenizer = LLTokenizer(text, n_vocab=self._vocabulary_size, eos_token=sorted(stop_ids) or None)
            self._tokenizers[stop_ids] = tokenizer
        matcher = LLMatcher(self._tokenizers[stop_ids], LLMatcher.grammar_from_lark(grammar.lark))
        return GrammarMatcher(matcher, self._vocabulary_size)


class GrammarMatcher:
    """The position of one answer in its grammar."""

    def __init__(self, matcher: Any, vocabulary_size: int) -> None:
        """Wrap llguidance's matcher.

        Args:
            matcher: A `llguidance.LLMatcher`.
            vocabulary_size: Number of logits.
        """
        self._matcher = matcher
        self._vocabulary_size = vocabulary_size

    def mask_logits(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the logits with minus infinity for forbidden tokens.

        Args:
            logits: [vocabulary].

        Raises:
            GptOssError: llguidance failed, for example because the grammar became too large.
        """
        bias = self._matcher.compute_logit_bias()  # one byte per token; 0 means forbidden
        if problem := self._matcher.get_error():
            raise GptOssError(
                f"llguidance cannot follow the grammar: {problem.splitlines()[0]}.", hint="Simplify the schema."
            )
        is_forbidden = np.frombuffer(bias, dtype=np.uint8)[: self._vocabulary_size] == 0
        return np.where(is_forbidden, np.float32(-np.inf), logits)

    def accept_token(self, token_id: int) -> bool:
        """Advance by one token; return True if the answer is complete."""
        self._matcher.consume_token(token_id)
        return bool(self._matcher.is_stopped())
