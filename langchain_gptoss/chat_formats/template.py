"""The chat format of checkpoints with a chat template: the demo model, and fine-tunes without harmony's tokens."""

import re
from collections.abc import Sequence
from typing import Any

from langchain_gptoss.chat_formats.base import PromptOptions
from langchain_gptoss.chat_formats.messages import Turn
from langchain_gptoss.chat_formats.template_messages import TemplatePrompt, write_template_prompt
from langchain_gptoss.chat_formats.tokenizer_format import TokenizerFormat
from langchain_gptoss.chat_formats.tool_notation import (
    PROMPT_NOTATION,
    ToolNotation,
    find_notation,
)
from langchain_gptoss.chat_formats.tool_prompts import write_turns
from langchain_gptoss.errors import CheckpointError, InvalidInputError
from langchain_gptoss.models.catalog import ToolFormatName

_PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")


class TemplateFormat(TokenizerFormat):
    """Prompts rendered by the chat template of the checkpoint's tokenizer."""

    def __init__(self, tokenizer: Any, *, stop_ids: frozenset[int], tool_format: ToolFormatName | None = None) -> None:
        """Store the tokenizer, collect its control tokens, and find out how the template writes tool calls.

        Args:
            tokenizer: A fast tokenizer of transformers with a chat template.
            stop_ids: Ids of the tokens that end a turn.
            tool_format: `"template"` requires a template with a known notation of tool calls, `"prompt"` uses our own
                prompt, and None prefers the template.

        Raises:
            CheckpointError: `tool_format` is `"template"`, and the template has no known notation.
        """
        notation = None if tool_format == "prompt" else _find_tokenizer_notation(tokenizer, stop_ids)
        if tool_format == "template" and notation is None:
            raise CheckpointError(
                "The chat template has no notation of tool calls, or an unknown one.", hint="Use tool_format='prompt'."
            )
        super().__init__(tokenizer, stop_ids=stop_ids, notation=notation or PROMPT_NOTATION)
        self._has_own_tools = notation is not None
        # `all_special_tokens` lacks the control tokens that have no role such as bos or eos.
        control = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        # The longest first, because one token may be the beginning of another.
        control.sort(key=len, reverse=True)
        self._reserved = re.compile("|".join([*map(re.escape, control), "[\ue000\ue001]"]))

    def render_turns(self, turns: Sequence[Turn], options: PromptOptions) -> list[int]:
        """Implement `ChatFormat.render_turns`."""
        literals: list[str] = []
        prompt = self._apply_template(self._write_prompt(turns, options), literals)
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

    def _write_prompt(self, turns: Sequence[Turn], options: PromptOptions) -> TemplatePrompt:
        """Return the messages and tools for the template."""
        if self._has_own_tools:
            return write_template_prompt(turns, options, allows_several_calls=self._notation.separator is not None)
        messages = [{"role": role, "content": text} for role, text in write_turns(turns, options)]
        return TemplatePrompt(messages=messages, tools=[])

    def _apply_template(self, prompt: TemplatePrompt, literals: list[str]) -> str:
        """Return the text of a prompt, in which placeholders stand for the control tokens of its texts.

        Raises:
            InvalidInputError: The template refuses the conversation.
        """
        from jinja2 import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(
                self._escape_control_tokens(prompt.messages, literals),
                tools=self._escape_control_tokens(prompt.tools, literals) or None,
                tokenize=False,
                add_generation_prompt=True,
            )
        except TemplateError as error:
            raise InvalidInputError(
                f"The model's chat template refuses this conversation: {error}.",
                hint="Change the order of the messages, or pass tool_format='prompt' if it is about tools.",
            ) from error
        return text

    def _encode_prompt(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _escape_control_tokens(self, value: Any, literals: list[str]) -> Any:
        """Return a value with the control tokens and placeholder characters of its texts replaced by placeholders.

        The tokenizer would encode them as real control tokens otherwise. A placeholder is a number between two
        private-use characters; `literals` collects the replaced strings.
        """
        if isinstance(value, str):
            return self._reserved.sub(lambda match: _add_placeholder(match[0], literals), value)
        if isinstance(value, list):
            return [self._escape_control_tokens(item, literals) for item in value]
        if isinstance(value, dict):
            return {
                self._escape_control_tokens(key, literals): self._escape_control_tokens(item, literals)
                for key, item in value.items()
            }
        return value


def _add_placeholder(literal: str, literals: list[str]) -> str:
    literals.append(literal)
    return f"\ue000{len(literals) - 1}\ue001"


def _find_tokenizer_notation(tokenizer: Any, stop_ids: frozenset[int]) -> ToolNotation | None:
    def render(messages: list[dict[str, Any]], *, tools: Any, add_generation_prompt: bool) -> str:
        text: str = tokenizer.apply_chat_template(
            messages, tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return text

    return find_notation(render, tokenizer.convert_ids_to_tokens(sorted(stop_ids)))
