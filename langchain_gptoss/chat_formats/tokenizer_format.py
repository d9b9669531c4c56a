"""The common part of the chat formats that use a checkpoint's own tokenizer and write tool calls between marks."""

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from langchain_gptoss.chat_formats.answer_grammar import build_tagged_grammar
from langchain_gptoss.chat_formats.base import AnswerGrammar, ChatFormat, Parser, PromptOptions
from langchain_gptoss.chat_formats.checkpoint_tokenizer import convert_token_to_bytes, encode_as_text
from langchain_gptoss.chat_formats.text_parser import build_tokenizer_text_parser
from langchain_gptoss.chat_formats.tokenizer_parser import TokenizerParser
from langchain_gptoss.chat_formats.tool_notation import PROMPT_NOTATION, ToolNotation


class TokenizerFormat(ChatFormat):
    """Base class of the chat formats on a checkpoint's own tokenizer."""

    def __init__(self, tokenizer: Any, *, stop_ids: frozenset[int], notation: ToolNotation = PROMPT_NOTATION) -> None:
        """Store the tokenizer.

        Args:
            tokenizer: A fast tokenizer of transformers.
            stop_ids: Ids of the tokens that end a turn.
            notation: The notation of tool calls.
        """
        self._tokenizer = tokenizer
        self._stop_ids = stop_ids
        self._notation = notation

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids of the tokens that end the assistant's turn."""
        return self._stop_ids

    def parser(self, tools: Collection[str] = (), *, offered_tools: Collection[str] = ()) -> Parser:
        """Implement `ChatFormat.parser`."""
        return TokenizerParser(
            self._tokenizer,
            tools,
            offered_tools=offered_tools,
            notation=self._notation,
            control_marks=self._control_marks,
        )

    def build_text_parser(self) -> Parser:
        """Implement `ChatFormat.build_text_parser`."""
        return build_tokenizer_text_parser(self._tokenizer, self._stop_ids)

    def build_grammar(self, options: PromptOptions) -> AnswerGrammar | None:
        """Implement `ChatFormat.build_grammar`."""
        return build_tagged_grammar(options, self._notation, self._mark_ids)

    def encode(self, text: str) -> list[int]:
        """Implement `ChatFormat.encode`."""
        return encode_as_text(self._tokenizer, text)

    def decode_token(self, token_id: int) -> bytes:
        """Implement `ChatFormat.decode_token`."""
        token = self._tokenizer.convert_ids_to_tokens(token_id)
        return convert_token_to_bytes(token) if isinstance(token, str) else b""

    @cached_property
    def _mark_ids(self) -> Mapping[str, int]:
        """The ids of the marks of calls that are added tokens; llguidance gives added tokens no text."""
        marks = {self._notation.opening, self._notation.closing}
        added = self._tokenizer.added_tokens_decoder.items()
        return {token.content: token_id for token_id, token in added if token.content in marks}

    @cached_property
    def _control_marks(self) -> Mapping[int, str]:
        """The marks of calls that are control tokens, by their ids; a tokenizer drops these from texts."""
        marks = {self._notation.opening, self._notation.closing}
        added = self._tokenizer.added_tokens_decoder.items()
        return {token_id: token.content for token_id, token in added if token.special and token.content in marks}
