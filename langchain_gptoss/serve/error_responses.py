"""What a client is told when something goes wrong: statuses, OpenAI's error form, and the end of a broken stream."""

import json
import logging
from typing import Any

from langchain_gptoss.errors import (
    ContextLengthError,
    InvalidInputError,
    RetrievalError,
    SessionBusyError,
)

_log = logging.getLogger(__name__)
STATUS: dict[type[Exception], int] = {
    InvalidInputError: 422,
    ContextLengthError: 422,
    SessionBusyError: 409,
    RetrievalError: 502,
}
"""The errors that concern the request. Every other one is ours: it goes into the log and not to the client."""

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def told(error: Exception) -> tuple[int, str] | None:
    """Returns the status and the message that an error is answered with; None where it is a fault of ours."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        return None
    if isinstance(error, RetrievalError):  # its message quotes the service behind the retriever
        _log.error("A search failed.", exc_info=error)
        return status, "The documents cannot be searched now. Try again later; the server's log says why."
    return status, str(error)


class Refused(Exception):  # noqa: N818 (an answer, not a fault)
    """A request that is answered with a status and a message."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def openai_error(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Returns an error in OpenAI's form."""
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def is_openai(path: str) -> bool:
    """Returns whether a path belongs to OpenAI's API, whose clients expect its errors."""
    return path.startswith("/v1/")


def refusal(path: str, refused: Refused) -> bytes:
    """Returns the body of a refused request."""
    openai = is_openai(path)
    return json.dumps(openai_error(refused.status, refused.message) if openai else {"detail": refused.message}).encode()


def broken_end(path: str, refused: Refused) -> bytes:
    """Returns the last events of a stream that cannot go on, in the form that its client raises an error for."""
    if is_openai(path):
        return f"data: {json.dumps(openai_error(refused.status, refused.message))}\n\ndata: [DONE]\n\n".encode()
    data = json.dumps({"status_code": refused.status, "message": refused.message})
    return f"event: error\r\ndata: {data}\r\n\r\n".encode()
