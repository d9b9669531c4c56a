"""A base model, without chat training: text in, text out."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_formats.base import ChatFormat, Parser, ReasoningEffort, checked, role_of, text_of
from langchain_gptoss.chat_formats.template import TokenizerParser

_LABELS = {"human": "User: ", "ai": "Assistant: ", "system": ""}


class PlainFormat(ChatFormat):
    """One human message is continued as it stands; a conversation is written as a labelled transcript."""

    def __init__(self, tokenizer: Any, *, stop_ids: frozenset[int]) -> None:
        """Takes a fast tokenizer and the tokens that end a text."""
        self._tokenizer = tokenizer
        self._stop_ids = stop_ids

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end a text."""
        return self._stop_ids

    def render(self, messages: Sequence[BaseMessage], *, reasoning_effort: ReasoningEffort | None = None) -> list[int]:
        """See `ChatFormat.render`."""
        if len(checked(messages)) == 1:
            return self.encode(text_of(messages[0]))
        lines = [_LABELS[role_of(message)] + text_of(message) for message in messages]
        return self.encode("\n\n".join([*lines, "Assistant:"]))

    def parser(self) -> Parser:
        """See `ChatFormat.parser`."""
        return TokenizerParser(self._tokenizer)

    def encode(self, text: str) -> list[int]:
        """See `ChatFormat.encode`."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids
