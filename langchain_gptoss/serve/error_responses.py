"""Responses to requests that fail: status codes, bodies in the form of each API, and the end of a broken stream."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_gptoss.errors import EngineBusyError, GptOssError

SERVER_ERROR = "The server failed to answer. The reason is in its log."
TRY_LATER = "The server cannot answer now. Try again later. The reason is in its log."
RETRY_AFTER_S = 5  # for temporary errors; their duration is unknown

_log = logging.getLogger(__name__)
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


@dataclass(frozen=True, kw_only=True)
class ErrorResponse:
    """A status code and a message for a client.

    Attributes:
        status_code: HTTP status code.
        message: Text that the client may see.
        headers: HTTP headers by name.
        param: The field of the request that is wrong, for OpenAI's clients.
        code: OpenAI's code of the error, such as `"model_not_found"`.
    """

    status_code: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    param: str | None = None
    code: str | None = None

    def to_openai(self) -> dict[str, Any]:
        """Return the body in the form of OpenAI's API."""
        default = "invalid_request_error" if self.status_code < 500 else "server_error"
        kind = _OPENAI_TYPES.get(self.status_code, default)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def to_body(self, path: str) -> dict[str, Any]:
        """Return the JSON body in the form that clients of a path expect."""
        return self.to_openai() if is_openai_path(path) else {"detail": self.message}

    def to_last_events(self, path: str) -> bytes:
        """Return the server-sent events that end a broken stream, in the form that clients of a path expect."""
        if is_openai_path(path):
            return f"data: {json.dumps(self.to_openai())}\n\ndata: [DONE]\n\n".encode()
        data = json.dumps({"status_code": self.status_code, "message": self.message})
        return f"event: error\r\ndata: {data}\r\n\r\n".encode()


class RequestRefused(Exception):  # noqa: N818 (a response, not a failure of the server)
    """A request that gets an error response. Takes the fields of `ErrorResponse`."""

    def __init__(self, status_code: int, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.response = ErrorResponse(status_code=status_code, message=message, **fields)


def build_error_response(error: Exception) -> ErrorResponse:
    """Return the response to an error.

    Public errors are shown with their own message. All other errors are logged, and the client gets a general message.
    """
    if isinstance(error, RequestRefused):
        return error.response
    status_code, is_retryable, is_public = 500, False, False
    if isinstance(error, GptOssError):
        status_code, is_retryable, is_public = error.status_code, error.is_retryable, error.is_public
    wait_s = math.ceil(error.retry_after_s) if isinstance(error, EngineBusyError) else RETRY_AFTER_S
    headers = {"Retry-After": str(wait_s)} if is_retryable else {}
    if is_public:
        return ErrorResponse(status_code=status_code, message=str(error), headers=headers)
    _log.error("A request failed.", exc_info=error)
    message = TRY_LATER if is_retryable else SERVER_ERROR
    return ErrorResponse(status_code=status_code, message=message, headers=headers)


def is_openai_path(path: str) -> bool:
    """Return True if a path belongs to OpenAI's API, whose clients expect errors in its form."""
    return path == "/v1" or path.startswith("/v1/")
