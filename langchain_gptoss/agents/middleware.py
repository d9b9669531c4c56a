"""Middleware for LangChain's `create_agent`, which ends its loop at an answer without valid tool calls."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from langchain_gptoss._optional import create_missing_error
from langchain_gptoss.errors import InvalidInputError

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, hook_config
except ModuleNotFoundError as error:
    raise create_missing_error("langchain", extra="agents") from error


class InvalidToolCallMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Answer tool calls that cannot be made with their error, so that the model can correct itself.

    A model may call a tool that does not exist, write arguments that are not JSON, or be cut off inside a call. Without
    this middleware, an agent ends at such an answer.

    Example:
        .. code-block:: python

            agent = create_agent(llm, tools, middleware=[InvalidToolCallMiddleware()])
    """

    def __init__(self, *, max_retries: int = 2) -> None:
        """Create the middleware.

        Args:
            max_retries: Number of answers in a row without a valid call that are sent back; the next one ends the loop.

        Raises:
            InvalidInputError: `max_retries` is negative.
        """
        super().__init__()
        if max_retries < 0:
            raise InvalidInputError(f"max_retries is {max_retries!r}; it must be 0 or more.")
        self._max_retries = max_retries

    @hook_config(can_jump_to=["model"])
    def after_model(self, state: AgentState[Any], runtime: Any) -> dict[str, Any] | None:
        """Return the results of the invalid calls, and the next step if no valid call determines it."""
        messages = state["messages"]
        message = messages[-1]
        if not isinstance(message, AIMessage) or not message.invalid_tool_calls:
            return None
        results = [
            ToolMessage(
                content=f"Error: {call.get('error') or 'The call is invalid.'}",
                tool_call_id=call["id"],
                name=call.get("name") or "unknown",
                status="error",
            )
            for call in message.invalid_tool_calls
            if call.get("id")
        ]
        if message.tool_calls:
            return {"messages": results}
        if not results or _count_failures(messages) > self._max_retries:
            return None
        return {"messages": results, "jump_to": "model"}

    @hook_config(can_jump_to=["model"])
    async def aafter_model(self, state: AgentState[Any], runtime: Any) -> dict[str, Any] | None:
        """Async version of `after_model`."""
        return self.after_model(state, runtime)


def _count_failures(messages: Sequence[AnyMessage]) -> int:
    """Return the number of answers at the end of a conversation that have invalid calls only."""
    count = 0
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            if message.tool_calls or not message.invalid_tool_calls:
                break
            count += 1
        elif not isinstance(message, ToolMessage):
            break
    return count
