"""Errors of a server that runs the model, as exceptions of this package and of LangChain.

Each class says whether another try may help, so that retries repeat a busy server's request and not one with a wrong
key. Errors have the forms of OpenAI's API, of vLLM and of llama.cpp's server.
"""

import re
from collections.abc import Mapping
from typing import Any

import httpx

from langchain_gptoss.errors import (
    RemoteAuthenticationError,
    RemoteConnectionError,
    RemoteContextError,
    RemoteFailureError,
    RemoteModelNotFoundError,
    RemotePermissionError,
    RemoteRateLimitError,
    RemoteRequestError,
    RemoteServerError,
    RemoteTimeoutError,
)

_MAX_QUOTE_CHARACTERS = 300
_ERRORS_BY_STATUS: Mapping[int, type[RemoteServerError]] = {
    401: RemoteAuthenticationError,
    403: RemotePermissionError,
    404: RemoteModelNotFoundError,
    408: RemoteTimeoutError,
    429: RemoteRateLimitError,
    504: RemoteTimeoutError,
}
_HINTS: Mapping[type[RemoteServerError], str] = {
    RemoteAuthenticationError: "Set api_key to a key of this server.",
    RemotePermissionError: "Use a key with access to this model.",
    RemoteModelNotFoundError: "Check base_url and the name of the model.",
    RemoteContextError: "Shorten the question, the history or the passages.",
    RemoteRateLimitError: "Ask again later.",
    RemoteTimeoutError: "Ask again later.",
    RemoteFailureError: "Ask again later; the log of the server has the reason.",
}
# llama.cpp's type, and the messages of vLLM and OpenAI.
_CONTEXT_OVERFLOW = re.compile(
    r"exceed_context_size_error|context_length_exceeded|maximum context length|exceeds? the (?:available )?context",
    re.IGNORECASE,
)


def build_status_error(root: str, response: httpx.Response) -> RemoteServerError:
    """Return the error of a response that is not a success; its body must have been read.

    Args:
        root: Address of the server, for the message.
        response: The response.
    """
    message = f"{root} answered {response.status_code}: {_quote_body(response)}"
    return _build_error(response.status_code, message, response.text)


def build_event_error(root: str, data: Any) -> RemoteServerError:
    """Return the error that an event of a stream reports.

    Args:
        root: Address of the server, for the message.
        data: The event's JSON.
    """
    inner = data.get("error", data) if isinstance(data, dict) else data
    code = inner.get("code") if isinstance(inner, dict) else None
    status = code if isinstance(code, int) else 500
    return _build_error(status, f"{root} broke off: {_find_message(data)}", str(data))


def build_transport_error(root: str, error: Exception, *, timeout_s: float | None) -> RemoteServerError:
    """Return the error for an exception of the connection.

    Args:
        root: Address of the server, for the message.
        error: The exception.
        timeout_s: The longest allowed silence of the server.
    """
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return RemoteConnectionError(
            f"{root} cannot be reached ({error}).", hint="Start the server, or check base_url."
        )
    if isinstance(error, httpx.TimeoutException):
        return RemoteTimeoutError(
            f"{root} was silent for {timeout_s or 0:g} seconds.", hint="Ask again, or raise timeout."
        )
    if isinstance(error, httpx.LocalProtocolError):
        return RemoteRequestError(
            f"The request to {root} cannot be sent ({error}).", hint="Check api_key and base_url."
        )
    if isinstance(error, httpx.HTTPError):
        return RemoteConnectionError(f"The connection to {root} broke off ({error}).", hint="Ask again.")
    return RemoteServerError(f"The answer of {root} could not be read: {error!r}.")


def _build_error(status: int, message: str, body: str) -> RemoteServerError:
    """Return an error of the class that belongs to a status and to the body of the response."""
    if status in {400, 413, 422, 500} and _CONTEXT_OVERFLOW.search(body):
        kind: type[RemoteServerError] = RemoteContextError
    else:
        kind = _ERRORS_BY_STATUS.get(status, RemoteFailureError if status >= 500 else RemoteRequestError)
    return kind(message, hint=_HINTS.get(kind, ""))


def _quote_body(response: httpx.Response) -> str:
    try:
        return _find_message(response.json())
    except ValueError:
        return response.text.strip()[:_MAX_QUOTE_CHARACTERS] or response.reason_phrase


def _find_message(data: Any) -> str:
    """Return the message in an error as OpenAI, vLLM and llama.cpp write it."""
    while isinstance(data, dict):
        inner = data.get("error") or data.get("message") or data.get("detail")
        if inner is None:
            break
        data = inner
    return str(data)[:_MAX_QUOTE_CHARACTERS]
