"""The harmony format of the published gpt-oss models, and of fine-tunes that carry its control tokens."""

from collections.abc import Collection, Sequence

from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_formats.base import FREE, ChatFormat, Constraint, Parser, Task
from langchain_gptoss.chat_formats.constrain import harmony_constraint
from langchain_gptoss.chat_formats.harmony.codec import CONTROLS, Codec, gpt_oss_codec
from langchain_gptoss.chat_formats.harmony.parse import HarmonyParser
from langchain_gptoss.chat_formats.harmony.render import rendered


class HarmonyFormat(ChatFormat):
    """Harmony, as in the openai/harmony guide.

    A LangChain `SystemMessage` becomes the developer message; the harmony system message holds the model's identity,
    the date and the reasoning effort. Reasoning is kept inside a tool loop and dropped after a later answer.
    """

    def __init__(self, codec: Codec | None = None) -> None:
        """Takes a vocabulary; None means that of the published models."""
        self._codec = codec or gpt_oss_codec()

    @property
    def stop_ids(self) -> frozenset[int]:
        """`<|return|>`, `<|call|>` and `<|endoftext|>`; `<|end|>` only ends a message."""
        return self._codec.stop_ids

    def render(self, messages: Sequence[BaseMessage], task: Task = FREE) -> list[int]:
        """See `ChatFormat.render`."""
        return rendered(messages, task, self._codec)

    def parser(self, tools: Collection[str] = ()) -> Parser:
        """See `ChatFormat.parser`."""
        return HarmonyParser(self._codec, tools)

    def constraint(self, task: Task) -> Constraint | None:
        """See `ChatFormat.constraint`: only the bodies of answers and calls are held, reasoning stays free."""
        return harmony_constraint(task, self._codec.controls)

    def encode(self, text: str) -> list[int]:
        """See `ChatFormat.encode`."""
        return self._codec.encode(text)

    def token_bytes(self, token_id: int) -> bytes:
        """See `ChatFormat.token_bytes`."""
        spelled = self._codec.token_bytes(token_id)
        return spelled if spelled is not None else self._codec.names.get(token_id, "").encode()


__all__ = ["CONTROLS", "HarmonyFormat"]
