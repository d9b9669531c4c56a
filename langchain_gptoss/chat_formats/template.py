"""The chat format of checkpoints with a chat template: the demo model, and fine-tunes without harmony's tokens."""

import re
from collections.abc import Sequence
from typing import Any

from langchain_gptoss.chat_formats.base import PromptOptions
from langchain_gptoss.chat_formats.messages import Turn
from langchain_gptoss.chat_formats.tokenizer_format import TokenizerFormat
from langchain_gptoss.chat_formats.tool_prompts import write_turns

_PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")


class TemplateFormat(TokenizerFormat):
    """Prompts rendered by the chat template of the checkpoint's tokenizer."""

    def __init__(self, tokenizer: Any, *, stop_ids: frozenset[int]) -> None:
        """Store the tokenizer and collect its control tokens.

        Args:
            tokenizer: A fast tokenizer of transformers with a chat template.
            stop_ids: Ids of the tokens that end a turn.
        """
        super().__init__(tokenizer, stop_ids=stop_ids)
        # `all_special_tokens` lacks the control tokens that have no role such as bos or eos.
        control = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        # The longest first, because one token may be the beginning of another.
        control.sort(key=len, reverse=True)
        self._reserved = re.compile("|".join([*map(re.escape, control), "[\ue000\ue001]"]))

    def render_turns(self, turns: Sequence[Turn], options: PromptOptions) -> list[int]:
        """Implement `ChatFormat.render_turns`."""
        literals: list[str] = []
        entries = [
            {"role": role, "content": self._escape_control_tokens(text, literals)}
            for role, text in write_turns(turns, options)
        ]
        prompt = self._tokenizer.apply_chat_template(entries, tokenize=False, add_generation_prompt=True)
        ids: list[int] = []
        # Every second piece is the number of a control token that stood in the text of a message.
        for index, piece in enumerate(_PLACEHOLDER.split(prompt)):
            ids += self.encode(literals[int(piece)]) if index % 2 else self._encode_prompt(piece)
        return ids

    def _count(self, turns: Sequence[Turn], options: PromptOptions) -> int:
        try:
            return super()._count(turns, options)
        except Exception:  # templates raise what they like, such as for two messages of the user in a row
            return sum(len(self.encode(text)) for _, text in write_turns(turns, options))

    def _render_beginning(self, turns: Sequence[Turn], options: PromptOptions) -> list[int]:
        try:
            return self.render_turns(turns, options)
        except Exception:  # templates raise what they like, such as for an empty message
            return []

    def _encode_prompt(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _escape_control_tokens(self, text: str, literals: list[str]) -> str:
        """Return a text with control tokens and placeholder characters replaced by numbered placeholders.

        The tokenizer would encode them as real control tokens otherwise. A placeholder is a number between two
        private-use characters; `literals` collects the replaced strings.
        """

        def replace(match: re.Match[str]) -> str:
            literals.append(match[0])
            return f"\ue000{len(literals) - 1}\ue001"

        return self._reserved.sub(replace, text)
