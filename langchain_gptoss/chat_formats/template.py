"""A checkpoint with a chat template of its own: the demo model, and fine-tunes that do not speak harmony."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_formats.base import FREE, ChatFormat, Constraint, Parser, Task
from langchain_gptoss.chat_formats.constrain import template_constraint
from langchain_gptoss.chat_formats.harmony.codec import spelled
from langchain_gptoss.chat_formats.messages import read
from langchain_gptoss.chat_formats.prompted import TokenizerParser, turns


class TokenizerFormat(ChatFormat):
    """What formats on a checkpoint's own tokenizer share."""

    def __init__(self, tokenizer: Any, *, stop_ids: frozenset[int]) -> None:
        """Takes a fast tokenizer, and the tokens that end a turn."""
        self._tokenizer = tokenizer
        self._stop_ids = stop_ids

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end the assistant's turn."""
        return self._stop_ids

    def parser(self, tools: Collection[str] = ()) -> Parser:
        """See `ChatFormat.parser`."""
        return TokenizerParser(self._tokenizer, tools)

    def constraint(self, task: Task) -> Constraint | None:
        """See `ChatFormat.constraint`."""
        return template_constraint(task)

    def encode(self, text: str) -> list[int]:
        """See `ChatFormat.encode`."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        """See `ChatFormat.token_bytes`."""
        token = self._tokenizer.convert_ids_to_tokens(token_id)
        return spelled(token) if isinstance(token, str) else b""


class TemplateFormat(TokenizerFormat):
    """Renders with the chat template that the checkpoint's tokenizer carries."""

    def __init__(self, tokenizer: Any, *, stop_ids: frozenset[int]) -> None:
        """Takes a fast tokenizer with a chat template, and the tokens that end a turn."""
        super().__init__(tokenizer, stop_ids=stop_ids)
        # Not `all_special_tokens`: that leaves out control tokens that have no role such as bos or eos.
        control = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        # The longest first, in case one begins another.
        control.sort(key=len, reverse=True)
        self._marked_apart = re.compile("|".join([*map(re.escape, control), "[\ue000\ue001]"]))

    def render(self, messages: Sequence[BaseMessage], task: Task = FREE) -> list[int]:
        """See `ChatFormat.render`."""
        literals: list[str] = []
        written = [
            {"role": role, "content": self._marked(text, literals)} for role, text in turns(read(messages), task)
        ]
        prompt = self._tokenizer.apply_chat_template(written, tokenize=False, add_generation_prompt=True)
        ids: list[int] = []
        # Every second piece is a control token that somebody wrote as text: it is encoded as text.
        for index, piece in enumerate(re.split("\ue000(\\d+)\ue001", prompt)):
            ids += self.encode(literals[int(piece)]) if index % 2 else self._encode_prompt(piece)
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
