"""The chat format of base models without chat training: plain text in, plain text out."""

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_formats.base import DEFAULT_OPTIONS, PromptOptions
from langchain_gptoss.chat_formats.messages import read_messages
from langchain_gptoss.chat_formats.tokenizer_format import TokenizerFormat
from langchain_gptoss.chat_formats.tool_prompts import write_turns

_LABELS = {"user": "User: ", "assistant": "Assistant: ", "system": ""}


class PlainFormat(TokenizerFormat):
    """Plain text: the model continues a single message, and gets a conversation as a labelled transcript."""

    def render(self, messages: Sequence[BaseMessage], options: PromptOptions = DEFAULT_OPTIONS) -> list[int]:
        """Implement `ChatFormat.render`."""
        turns = write_turns(read_messages(messages), options)
        if len(turns) == 1:
            return self.encode(turns[0][1])
        lines = [_LABELS[role] + text for role, text in turns]
        return self.encode("\n\n".join([*lines, "Assistant:"]))
