"""A base model, without chat training: text in, text out."""

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_formats.base import FREE, Task
from langchain_gptoss.chat_formats.messages import read
from langchain_gptoss.chat_formats.prompted import turns
from langchain_gptoss.chat_formats.template import TokenizerFormat

_LABELS = {"user": "User: ", "assistant": "Assistant: ", "system": ""}


class PlainFormat(TokenizerFormat):
    """One message is continued as it stands; a conversation is written as a labelled transcript."""

    def render(self, messages: Sequence[BaseMessage], task: Task = FREE) -> list[int]:
        """See `ChatFormat.render`."""
        written = turns(read(messages), task)
        if len(written) == 1:
            return self.encode(written[0][1])
        lines = [_LABELS[role] + text for role, text in written]
        return self.encode("\n\n".join([*lines, "Assistant:"]))
