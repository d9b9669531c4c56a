"""Harmony's vocabularies: that of the published models, from `oss-harmony`, and that of any checkpoint."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss.chat_formats.checkpoint_tokenizer import convert_token_to_bytes, encode_as_text

START, MESSAGE, CHANNEL, CONSTRAIN = "<|start|>", "<|message|>", "<|channel|>", "<|constrain|>"
END, RETURN, CALL = "<|end|>", "<|return|>", "<|call|>"
CONTROL_TOKENS = (START, MESSAGE, CHANNEL, CONSTRAIN, END, RETURN, CALL)
END_OF_TEXT = "<|endoftext|>"  # a stop token in the published generation configs
# The library needs quadratic time for a run of one kind of characters (50,000 emoji: 14 s) and fails at a million.
# No word is as long as this.
_MAX_RUN_CHARACTERS = 1024
_LONG_RUN = re.compile(
    rf"[^\W\d_]{{{_MAX_RUN_CHARACTERS}}}|(?:[^\w\s]|_){{{_MAX_RUN_CHARACTERS}}}|\s{{{_MAX_RUN_CHARACTERS}}}"
    rf"|\S{{{8 * _MAX_RUN_CHARACTERS}}}"
)


class Codec(ABC):
    """Conversion of text and control tokens to ids and back."""

    @property
    @abstractmethod
    def control_ids(self) -> Mapping[str, int]:
        """Ids of `CONTROL_TOKENS`, and of the end-of-text token if the vocabulary has one, by name."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text; names of control tokens in it are encoded as ordinary text."""

    @abstractmethod
    def decode_token(self, token_id: int) -> bytes | None:
        """Return the bytes of a token; None for control tokens and for ids outside the vocabulary."""

    @cached_property
    def control_names(self) -> Mapping[int, str]:
        """Names of the control tokens, by id."""
        return {token_id: name for name, token_id in self.control_ids.items()}

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids of `<|return|>`, `<|call|>` and `<|endoftext|>`; `<|end|>` ends a message and not the turn."""
        return frozenset(self.control_ids[name] for name in (RETURN, CALL, END_OF_TEXT) if name in self.control_ids)


class GptOssCodec(Codec):
    """The vocabulary of the published models (o200k with harmony's control tokens), without a checkpoint."""

    def __init__(self) -> None:
        self._encoding: Any = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
        self._bytes_by_id: dict[int, bytes | None] = {}  # a call of the library takes longer than the rest of a token

    @cached_property
    def control_ids(self) -> Mapping[str, int]:
        """Implement `Codec.control_ids`."""
        names = (*CONTROL_TOKENS, END_OF_TEXT)
        return {name: self._encoding.encode(name, allowed_special="all")[0] for name in names}

    def encode(self, text: str) -> list[int]:
        """Implement `Codec.encode`."""
        pieces = _split_long_runs(text)
        return [token_id for piece in pieces for token_id in self._encoding.encode(piece, disallowed_special=())]

    def decode_token(self, token_id: int) -> bytes | None:
        """Implement `Codec.decode_token`."""
        if token_id not in self._bytes_by_id:
            self._bytes_by_id[token_id] = self._look_up_token(token_id)
        return self._bytes_by_id[token_id]

    def _look_up_token(self, token_id: int) -> bytes | None:
        if self._encoding.is_special_token(token_id):
            return None
        try:
            text: str = self._encoding.decode([token_id], errors="surrogateescape")
        except Exception:  # the library has no public error class for ids outside the vocabulary
            return None
        return text.encode("utf-8", errors="surrogateescape")


class TokenizerCodec(Codec):
    """The byte-level vocabulary of a checkpoint's own tokenizer, with harmony's control tokens."""

    def __init__(self, tokenizer: Any) -> None:
        """Store a fast tokenizer of transformers."""
        self._tokenizer = tokenizer
        self._special_ids = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}

    @cached_property
    def control_ids(self) -> Mapping[str, int]:
        """Implement `Codec.control_ids`."""
        vocabulary = self._tokenizer.get_vocab()
        return {name: vocabulary[name] for name in (*CONTROL_TOKENS, END_OF_TEXT) if name in vocabulary}

    def encode(self, text: str) -> list[int]:
        """Implement `Codec.encode`."""
        return encode_as_text(self._tokenizer, text)

    def decode_token(self, token_id: int) -> bytes | None:
        """Implement `Codec.decode_token`."""
        token = None if token_id in self._special_ids else self._tokenizer.convert_ids_to_tokens(token_id)
        return None if token is None else convert_token_to_bytes(token)


def _split_long_runs(text: str) -> Iterator[str]:
    """Yield a text in pieces, divided inside runs of one kind of characters that are longer than any word."""
    begin = 0
    if len(text) > _MAX_RUN_CHARACTERS:
        for run in _LONG_RUN.finditer(text):
            yield text[begin : run.end()]
            begin = run.end()
    yield text[begin:]


@cache
def load_gpt_oss_codec() -> GptOssCodec:
    """Return the codec of the published models, loaded once."""
    return GptOssCodec()
