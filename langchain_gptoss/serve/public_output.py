"""The output that clients see: nothing that the checks of a chatbot have kept out of the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_gptoss.chatbot import ChatbotOutput


class PublicChatbot(Runnable[Any, Any]):
    """A chatbot, or another Runnable, whose outputs are reduced by `hide_withheld_text`. It adds no run of its own."""

    def __init__(self, chatbot: Runnable[Any, Any]) -> None:
        """Wrap a chatbot."""
        self.name, self._chatbot = chatbot.get_name(), chatbot

    @property
    def InputType(self) -> Any:  # noqa: N802 (LangChain's name)
        """The type of the chatbot's input."""
        return self._chatbot.InputType

    @property
    def OutputType(self) -> Any:  # noqa: N802
        """The type of the chatbot's output."""
        return self._chatbot.OutputType

    def get_output_schema(self, config: RunnableConfig | None = None) -> Any:
        """Return the schema of the chatbot's output."""
        return self._chatbot.get_output_schema(config)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return the answer to a question."""
        return hide_withheld_text(self._chatbot.invoke(input, config, **kwargs))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Async version of `invoke`."""
        return hide_withheld_text(await self._chatbot.ainvoke(input, config, **kwargs))

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """Yield the output in chunks."""
        yield from map(hide_withheld_text, self._chatbot.stream(input, config, **kwargs))

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        """Async version of `stream`."""
        stream: Any = self._chatbot.astream(input, config, **kwargs)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield hide_withheld_text(chunk)


def hide_withheld_text(output: Any) -> Any:
    """Return a chatbot's output without sentences that were left out of the answer and without the guard's findings.

    Findings quote refused answers and documents; they are in the audit log. Other objects are returned unchanged.
    """
    if not isinstance(output, ChatbotOutput):
        return output
    values: dict[str, Any] = {}
    if "claims" in output.model_fields_set:
        values["claims"] = [
            claim for claim in output.claims if claim.number is not None or claim.claim in output.unsupported
        ]
    if "metadata" in output.model_fields_set:
        values["metadata"] = {name: value for name, value in output.metadata.items() if name != "guard"}
    return output.model_copy(update=values) if values else output
