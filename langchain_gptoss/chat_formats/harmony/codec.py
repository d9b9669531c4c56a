"""Harmony's vocabularies: gpt-oss's own, which comes with `oss-harmony`, or any checkpoint's that has its controls."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

from openai_harmony import HarmonyEncodingName, load_harmony_encoding

START, MESSAGE, CHANNEL, CONSTRAIN = "<|start|>", "<|message|>", "<|channel|>", "<|constrain|>"
END, RETURN, CALL = "<|end|>", "<|return|>", "<|call|>"
CONTROLS = (START, MESSAGE, CHANNEL, CONSTRAIN, END, RETURN, CALL)
_END_OF_TEXT = "<|endoftext|>"  # the published generation configs stop at it too
# The library's time is quadratic in a run of one kind of characters (50,000 emoji: 14 s), and a million of them break
# it. No word is as long as this.
_LONGEST_RUN = 1024
_OVERLONG = re.compile(
    rf"[^\W\d_]{{{_LONGEST_RUN}}}|(?:[^\w\s]|_){{{_LONGEST_RUN}}}|\s{{{_LONGEST_RUN}}}|\S{{{8 * _LONGEST_RUN}}}"
)


class Codec(ABC):
    """Text and control tokens to ids, and back."""

    @property
    @abstractmethod
    def controls(self) -> Mapping[str, int]:
        """The ids of `CONTROLS`, and of the end of text where there is one."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Returns the ids of plain text; what looks like a control token in it stays text."""

    @abstractmethod
    def token_bytes(self, token_id: int) -> bytes | None:
        """Returns what a token spells; None for control tokens and for ids that the vocabulary lacks."""

    @cached_property
    def names(self) -> Mapping[int, str]:
        """The controls by id."""
        return {token_id: name for name, token_id in self.controls.items()}

    @property
    def stop_ids(self) -> frozenset[int]:
        """`<|return|>`, `<|call|>` and `<|endoftext|>`; `<|end|>` only ends a message."""
        return frozenset(self.controls[name] for name in (RETURN, CALL, _END_OF_TEXT) if name in self.controls)


class GptOssCodec(Codec):
    """The published models' vocabulary (o200k with harmony's control tokens), without a checkpoint."""

    def __init__(self) -> None:
        self._encoding: Any = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
        self._spelled: dict[int, bytes | None] = {}  # asking the binding takes longer than all else per token

    @cached_property
    def controls(self) -> Mapping[str, int]:
        """See `Codec.controls`."""
        names = (*CONTROLS, _END_OF_TEXT)
        return {name: self._encoding.encode(name, allowed_special="all")[0] for name in names}

    def encode(self, text: str) -> list[int]:
        """See `Codec.encode`."""
        return [token_id for piece in _pieces(text) for token_id in self._encoding.encode(piece, disallowed_special=())]

    def token_bytes(self, token_id: int) -> bytes | None:
        """See `Codec.token_bytes`."""
        if token_id not in self._spelled:
            self._spelled[token_id] = self._asked(token_id)
        return self._spelled[token_id]

    def _asked(self, token_id: int) -> bytes | None:
        if self._encoding.is_special_token(token_id):
            return None
        try:
            text: str = self._encoding.decode([token_id], errors="surrogateescape")
        except Exception:  # the binding's own error type, for ids that are not in the vocabulary
            return None
        return text.encode("utf-8", errors="surrogateescape")


class TokenizerCodec(Codec):
    """A checkpoint's own tokenizer, byte-level, with harmony's control tokens among its special ones."""

    def __init__(self, tokenizer: Any) -> None:
        """Takes a fast tokenizer."""
        self._tokenizer = tokenizer
        self._specials = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}

    @cached_property
    def controls(self) -> Mapping[str, int]:
        """See `Codec.controls`."""
        vocabulary = self._tokenizer.get_vocab()
        return {name: vocabulary[name] for name in (*CONTROLS, _END_OF_TEXT) if name in vocabulary}

    def encode(self, text: str) -> list[int]:
        """See `Codec.encode`."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids

    def token_bytes(self, token_id: int) -> bytes | None:
        """See `Codec.token_bytes`."""
        token = None if token_id in self._specials else self._tokenizer.convert_ids_to_tokens(token_id)
        return None if token is None else spelled(token)


def _pieces(text: str) -> Iterator[str]:
    """Yields a text whole, or cut where a run of one kind of characters is longer than any word."""
    begin = 0
    if len(text) > _LONGEST_RUN:
        for run in _OVERLONG.finditer(text):
            yield text[begin : run.end()]
            begin = run.end()
    yield text[begin:]


def spelled(token: str) -> bytes:
    """Returns the bytes of a byte-level vocabulary's entry, each of whose characters stands for one byte."""
    alphabet = _byte_of_character()
    if all(character in alphabet for character in token):
        return bytes(alphabet[character] for character in token)
    return token.encode("utf-8")


@cache
def _byte_of_character() -> dict[str, int]:
    """Returns GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


@cache
def gpt_oss_codec() -> GptOssCodec:
    """Returns the published models' codec, loaded once."""
    return GptOssCodec()
