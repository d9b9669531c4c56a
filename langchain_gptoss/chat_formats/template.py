"""A checkpoint with a chat template of its own: the demo model, and fine-tunes that do not speak harmony."""

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from tokenizers.decoders import DecodeStream

from langchain_gptoss.chat_formats.base import (
    ChatFormat,
    Delta,
    Parser,
    ReasoningEffort,
    checked,
    role_of,
    text_deltas,
    text_of,
)

_ROLES = {"system": "system", "human": "user", "ai": "assistant"}


class TokenizerParser(Parser):
    """Turns a Hugging Face tokenizer's ids into text: control tokens vanish, split characters wait for their rest."""

    def __init__(self, tokenizer: Any) -> None:
        """Takes a fast tokenizer."""
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)

    def feed(self, token_id: int) -> list[Delta]:
        """See `Parser.feed`."""
        return text_deltas(self._stream.step(self._backend, token_id))

    def flush(self) -> list[Delta]:
        """See `Parser.flush`: half a character at the very end is not text, so there is nothing to give."""
        return []


class TemplateFormat(ChatFormat):
    """Renders with the chat template that the checkpoint's tokenizer carries."""

    def __init__(self, tokenizer: Any, *, stop_ids: frozenset[int]) -> None:
        """Takes a fast tokenizer with a chat template, and the tokens that end a turn."""
        self._tokenizer = tokenizer
        self._stop_ids = stop_ids
        # Not `all_special_tokens`: that leaves out control tokens that have no role such as bos or eos.
        control = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        # The longest first, in case one begins another.
        control.sort(key=len, reverse=True)
        self._marked_apart = re.compile("|".join([*map(re.escape, control), "[\ue000\ue001]"]))

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end the assistant's turn."""
        return self._stop_ids

    def render(self, messages: Sequence[BaseMessage], *, reasoning_effort: ReasoningEffort | None = None) -> list[int]:
        """See `ChatFormat.render`."""
        literals: list[str] = []
        turns = [
            {"role": _ROLES[role_of(message)], "content": self._marked(text_of(message), literals)}
            for message in checked(messages)
        ]
        prompt = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids: list[int] = []
        # Every second piece is a control token that somebody wrote as text: it is encoded as text.
        for index, piece in enumerate(re.split("\ue000(\\d+)\ue001", prompt)):
            ids += self.encode(literals[int(piece)]) if index % 2 else self._encode_prompt(piece)
        return ids

    def parser(self) -> Parser:
        """See `ChatFormat.parser`."""
        return TokenizerParser(self._tokenizer)

    def encode(self, text: str) -> list[int]:
        """See `ChatFormat.encode`."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids

    def _encode_prompt(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _marked(self, text: str, literals: list[str]) -> str:
        """Replaces control tokens in a message's text by numbered private-use marks, and those marks themselves too."""

        def mark(match: re.Match[str]) -> str:
            literals.append(match[0])
            return f"\ue000{len(literals) - 1}\ue001"

        return self._marked_apart.sub(mark, text)
