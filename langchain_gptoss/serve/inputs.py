"""The chatbot's input over HTTP: its type, and checks whose messages clients can understand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, NotRequired, cast

from fastapi import Request
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve.error_responses import RequestRefused


def _require_type(message: Any) -> Any:
    """Refuse a message without a type: LangChain's own check raises a TypeError, which pydantic does not catch."""
    if isinstance(message, BaseMessage) or (isinstance(message, dict) and "type" in message):
        return message
    raise ValueError('a message looks like {"type": "human", "content": "..."}')


Messages = list[Annotated[AnyMessage, BeforeValidator(_require_type)]]
"""A conversation in JSON, with the type of each message."""


def keep_spoken_messages(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    """Return the messages of the user and the answers.

    A client's system message, or one of another role, would compete with the chatbot's own instructions. Tools are not
    offered to the chatbot's model, so calls and their results are left out, too.
    """
    return [
        kind(content=message.content)
        for message in messages
        for kind in (HumanMessage, AIMessage)
        if isinstance(message, kind)
    ]


class ServedInput(TypedDict):
    """The chatbot's input as JSON.

    Each message of `chat_history` must have its `type` ("human", "ai", ...), so that it arrives as a message of the
    same class. Messages of other types than these two are left out.
    """

    question: str
    chat_history: NotRequired[Annotated[Messages, AfterValidator(keep_spoken_messages)]]
    session_id: NotRequired[str | None]


_SERVED_INPUT: TypeAdapter[Any] = TypeAdapter(ServedInput)


async def read_json(request: Request) -> Any:
    """Return the JSON value in the body of a request.

    Raises:
        RequestRefused: The body is not JSON, or contains a lone surrogate, which no Unicode text can contain.
    """
    try:
        body = await request.json()
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RequestRefused(422, "The request contains a lone surrogate such as \\ud800.") from None
    except (ValueError, RecursionError) as error:
        raise RequestRefused(422, f"The request is not JSON ({error}).") from error
    return body


def parse_input(value: Any) -> ServedInput:
    """Return the chatbot's input in a JSON value.

    Raises:
        RequestRefused: The value is not such an input; the message names the field.
    """
    try:
        served_input = cast("ServedInput", _SERVED_INPUT.validate_python(value))
        require_question(served_input)
    except (ValidationError, InvalidInputError) as error:
        raise refuse_input(error) from error
    return served_input


def require_question(value: Any) -> None:
    """Check that the question is not empty.

    Raises:
        InvalidInputError: It is empty.
    """
    if not value["question"].strip():
        raise InvalidInputError("The question is empty.", hint='Pass it as {"question": "..."}.')


def refuse_input(error: Exception) -> RequestRefused:
    """Return the refusal of an input, with the first problem that a validation found."""
    message = describe_validation_error(error) if isinstance(error, ValidationError) else str(error)
    return RequestRefused(422, f"The input cannot be read. {message}")


def describe_validation_error(error: ValidationError) -> str:
    """Return the first problem as a sentence that begins with the field."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}." if field else f"{first['msg']}."
