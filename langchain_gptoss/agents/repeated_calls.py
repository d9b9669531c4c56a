"""Middleware for LangChain's `create_agent` against agents that go round in circles.

Small models often call a tool again with the same arguments although they have its result. The chat model cannot know
whether that is meant, so it is the agent that answers such calls and ends the loop.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall, ToolMessage
from langgraph.types import Command

from langchain_gptoss._optional import create_missing_error
from langchain_gptoss.errors import InvalidInputError

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse, ToolCallRequest
except ModuleNotFoundError as error:
    raise create_missing_error("langchain", extra="agents") from error

_REPEATED = "You have already called {name} with these arguments. Do not call it again. Its result was:\n{result}"
_LAST_ROUND = "Do not call tools any more. Answer with the results above."
_REPEATED_ID = "repeated_call_id"  # marks the answers to repeated calls, which are no results of their own
_ModelHandler = Callable[[ModelRequest[Any]], ModelResponse[Any]]
_AsyncModelHandler = Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
_ToolResult = ToolMessage | Command[Any]


class RepeatedToolCallMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Answer repeated tool calls with their earlier result, and end after a few rounds with what there is.

    A call with the name and arguments of an earlier one, whose result is there, is not made again: the model is told so
    and reads the result once more. After some such calls, some rounds of calls, or an empty answer to the results, the
    model must answer without tools.
    A call that failed may be made again. All counts begin with the last message of the user.

    Example:
        .. code-block:: python

            agent = create_agent(llm, tools, middleware=[RepeatedToolCallMiddleware()])
    """

    def __init__(
        self, *, max_repeats: int = 2, max_rounds: int | None = 10, repeatable_tools: Collection[str] = ()
    ) -> None:
        """Create the middleware.

        Args:
            max_repeats: Number of repeated calls that are answered; then the model must answer without tools.
            max_rounds: Number of answers with calls; then the model must answer without tools. None: any number.
            repeatable_tools: Names of the tools whose result changes, such as the state of a job; their calls are made
                again.

        Raises:
            InvalidInputError: A number is not positive.
        """
        super().__init__()
        for name, value in (("max_repeats", max_repeats), ("max_rounds", max_rounds)):
            if value is not None and value < 1:
                raise InvalidInputError(f"{name} is {value!r}; it must be 1 or more.")
        self._max_repeats = max_repeats
        self._max_rounds = max_rounds
        self._repeatable_tools = frozenset(repeatable_tools)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], _ToolResult]
    ) -> _ToolResult:
        """Return the earlier result of a repeated call; make other calls."""
        return self._answer_repeated_call(request) or handler(request)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[_ToolResult]]
    ) -> _ToolResult:
        """Async version of `wrap_tool_call`."""
        return self._answer_repeated_call(request) or await handler(request)

    def wrap_model_call(self, request: ModelRequest[Any], handler: _ModelHandler) -> ModelResponse[Any]:
        """Ask the model; after too many repeated calls or rounds, or an empty answer, for an answer without calls."""
        if not self._is_last_round(request.messages):
            response = handler(request)
            if not _is_empty_ending(response, request.messages):
                return response
        return _replace_calls(handler(_forbid_calls(request)), request.messages)

    async def awrap_model_call(self, request: ModelRequest[Any], handler: _AsyncModelHandler) -> ModelResponse[Any]:
        """Async version of `wrap_model_call`."""
        if not self._is_last_round(request.messages):
            response = await handler(request)
            if not _is_empty_ending(response, request.messages):
                return response
        return _replace_calls(await handler(_forbid_calls(request)), request.messages)

    def _answer_repeated_call(self, request: ToolCallRequest) -> ToolMessage | None:
        call = request.tool_call
        if call["name"] in self._repeatable_tools:
            return None
        earlier = _find_result(_take_last_turn(_read_messages(request.state)), call)
        if earlier is None:
            return None
        text = _REPEATED.format(name=call["name"], result=earlier.text)
        mark = {_REPEATED_ID: earlier.tool_call_id}
        return ToolMessage(text, tool_call_id=call["id"], name=call["name"], additional_kwargs=mark)

    def _is_last_round(self, messages: Sequence[AnyMessage]) -> bool:
        """Return True if the model has repeated itself, or called tools, too often since the last question."""
        turn = _take_last_turn(messages)
        rounds = [message for message in turn if isinstance(message, AIMessage) and message.tool_calls]
        keys = [
            _build_key(call)
            for message in rounds
            for call in message.tool_calls
            if call["name"] not in self._repeatable_tools and _get_result(turn, call) is not None
        ]
        has_too_many_rounds = self._max_rounds is not None and len(rounds) >= self._max_rounds
        return has_too_many_rounds or len(keys) - len(set(keys)) >= self._max_repeats


def _read_messages(state: Any) -> Sequence[AnyMessage]:
    """Return the messages of a state in any of LangGraph's forms."""
    if isinstance(state, dict):
        return state.get("messages") or []
    return state if isinstance(state, list) else getattr(state, "messages", [])


def _take_last_turn(messages: Sequence[AnyMessage]) -> Sequence[AnyMessage]:
    """Return the messages after the last one of the user."""
    start = max((index for index, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)
    return messages[start + 1 :]


def _find_result(turn: Sequence[AnyMessage], call: ToolCall) -> ToolMessage | None:
    """Return the result of the first successful call that is equal to a call and stands before it."""
    for message in turn:
        for earlier in message.tool_calls if isinstance(message, AIMessage) else ():
            if earlier["id"] == call["id"]:
                return None
            if _build_key(earlier) == _build_key(call) and (result := _get_result(turn, earlier)) is not None:
                return result
    return None


def _get_result(turn: Sequence[AnyMessage], call: ToolCall) -> ToolMessage | None:
    """Return the result of a call; None if there is none or if the call failed."""
    results = (message for message in turn if isinstance(message, ToolMessage) and message.status != "error")
    return next((result for result in results if result.tool_call_id == call["id"]), None)


def _build_key(call: ToolCall) -> str:
    return json.dumps([call["name"], call["args"]], sort_keys=True, default=str)


def _is_empty_ending(response: ModelResponse[Any], messages: Sequence[AnyMessage]) -> bool:
    """Return True if the model has nothing to say to the results of its calls."""
    message = response.result[-1]
    is_empty = isinstance(message, AIMessage) and not (
        message.text.strip() or message.tool_calls or message.invalid_tool_calls
    )
    return is_empty and any(isinstance(other, ToolMessage) for other in _take_last_turn(messages))


def _forbid_calls(request: ModelRequest[Any]) -> ModelRequest[Any]:
    """Return the request with the instruction to answer, and without the permission to call tools."""
    messages = [*request.messages, HumanMessage(_LAST_ROUND)]
    return request.override(messages=messages, tool_choice="none" if request.tools else None)


def _replace_calls(response: ModelResponse[Any], messages: Sequence[AnyMessage]) -> ModelResponse[Any]:
    """Return a response whose message ends the loop, also of a model that calls a tool again or says nothing."""
    message = response.result[-1]
    if not isinstance(message, AIMessage) or (message.text.strip() and not message.tool_calls):
        return response
    tool_messages = [other for other in messages if isinstance(other, ToolMessage)]
    results = [other.text for other in tool_messages if _REPEATED_ID not in other.additional_kwargs]
    text = message.text.strip() or (results[-1] if results else "")
    ending = AIMessage(
        text, id=message.id, response_metadata=message.response_metadata, usage_metadata=message.usage_metadata
    )
    return ModelResponse(result=[*response.result[:-1], ending], structured_response=response.structured_response)
