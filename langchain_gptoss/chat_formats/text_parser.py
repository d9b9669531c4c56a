"""The parser of output that is no conversation: the model continues a text of any kind."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from typing import Any

from tokenizers.decoders import DecodeStream

from langchain_gptoss.chat_formats.base import Delta, Parser, build_text_deltas


class TextParser(Parser):
    """Parser that takes everything as text; control tokens are written by name, except the one that ends the turn."""

    def __init__(self, decode: Callable[[int], str], finish: Callable[[], str], stop_ids: frozenset[int]) -> None:
        """Create a parser of one text.

        Args:
            decode: Returns the text that a token completes.
            finish: Returns what stands for an incomplete character at the end.
            stop_ids: Ids of the tokens that end the text.
        """
        super().__init__()
        self._decode, self._finish, self._stop_ids = decode, finish, stop_ids

    @property
    def call_errors(self) -> Mapping[int, str]:
        """Implement `Parser.call_errors`: a text has no calls."""
        return {}

    @property
    def is_call_cut(self) -> bool:
        """Implement `Parser.is_call_cut`: a text has no calls."""
        return False

    def feed(self, token_id: int) -> list[Delta]:
        """Implement `Parser.feed`."""
        return [] if token_id in self._stop_ids else build_text_deltas(self._decode(token_id))

    def flush(self, *, is_complete: bool = False) -> list[Delta]:
        """Implement `Parser.flush`."""
        return build_text_deltas(self._finish())


def build_tokenizer_text_parser(tokenizer: Any, stop_ids: frozenset[int]) -> TextParser:
    """Return a parser of text in the vocabulary of a fast tokenizer of transformers.

    An incomplete character at the end is dropped.
    """
    stream, backend = DecodeStream(skip_special_tokens=False), tokenizer.backend_tokenizer
    return TextParser(lambda token_id: stream.step(backend, token_id) or "", lambda: "", stop_ids)


def build_byte_text_parser(
    decode_token: Callable[[int], bytes | None], names: Mapping[int, str], stop_ids: frozenset[int]
) -> TextParser:
    """Return a parser of text in a vocabulary of bytes.

    Args:
        decode_token: Returns the bytes of a token, or None for a control token.
        names: Names of the control tokens.
        stop_ids: Ids of the tokens that end the text.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def finish() -> str:
        return decoder.decode(b"", final=True)

    def decode(token_id: int) -> str:
        token_bytes = decode_token(token_id)
        return finish() + names.get(token_id, "") if token_bytes is None else decoder.decode(token_bytes)

    return TextParser(decode, finish, stop_ids)
