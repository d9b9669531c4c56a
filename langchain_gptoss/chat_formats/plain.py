"""The chat format of base models without chat training: plain text in, plain text out."""

from collections.abc import Sequence

from langchain_gptoss.chat_formats.base import PromptOptions
from langchain_gptoss.chat_formats.messages import Turn
from langchain_gptoss.chat_formats.tokenizer_format import TokenizerFormat
from langchain_gptoss.chat_formats.tool_prompts import write_turns

_LABELS = {"user": "User: ", "assistant": "Assistant: ", "system": ""}


class PlainFormat(TokenizerFormat):
    """Plain text: the model continues a single message, and gets a conversation as a labelled transcript."""

    def render_turns(self, turns: Sequence[Turn], options: PromptOptions) -> list[int]:
        """Implement `ChatFormat.render_turns`."""
        texts = write_turns(turns, options)
        if len(texts) == 1:
            return self.encode(texts[0][1])
        lines = [_LABELS[role] + text for role, text in texts]
        return self.encode("\n\n".join([*lines, "Assistant:"]))
