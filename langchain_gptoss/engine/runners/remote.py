"""The engine interface over HTTP: token ids go to a vLLM or llama.cpp server, and token ids come back.

Chat formats, tools and parsing are therefore the same as with a model on this machine.
"""

import contextlib
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from langchain_gptoss.engine.base import Engine
from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.runners.server_errors import (
    build_event_error,
    build_status_error,
    build_transport_error,
)
from langchain_gptoss.engine.runners.server_protocols import Event, LlamaServer, ServerProtocol, VllmServer
from langchain_gptoss.engine.token_stream import Cancelled, FinishReason, TokenStream
from langchain_gptoss.errors import (
    DeadlineError,
    GptOssError,
    InvalidInputError,
    RemoteConnectionError,
    RemoteModelNotFoundError,
    RemoteServerError,
)

_BUSY_STATUSES = frozenset({429, 503})
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.5, 30.0
_CONNECT_TIMEOUT_S = 10.0
_DEFAULT_CONTEXT_LENGTH = 131_072


class _RemoteStream(TokenStream):
    """A stream that closes the connection when it is cancelled or too late; the server then stops generating.

    Attributes:
        cancel_event: Set when the rest of the answer is not needed.
        has_expired: True if the answer was not complete at its deadline.
    """

    sends_stop_token = False  # llama.cpp's server leaves it out

    def __init__(self) -> None:
        super().__init__()
        self.cancel_event = threading.Event()
        self.has_expired = False
        self._shut_connection: Callable[[], None] | None = None

    def cancel(self) -> None:
        """See `TokenStream.cancel`; close the connection too."""
        super().cancel()
        self._end_connection()

    def fail_at_deadline(self, deadline_s: float) -> None:
        """End the stream with a `DeadlineError` unless the answer is complete."""
        if self.finish_reason is None:
            self.has_expired = True
            self.fail(
                DeadlineError(
                    f"The server had not completed the answer after {deadline_s:g} s.",
                    hint="Raise deadline_s, or ask for a shorter answer with max_tokens.",
                )
            )
            self._end_connection()

    def attach_connection(self, response: httpx.Response) -> None:
        """Set the connection that `cancel` closes."""
        self._shut_connection = lambda: _shut_socket(response)
        if self.cancel_event.is_set():
            self._shut_connection()

    def _end_connection(self) -> None:
        self.cancel_event.set()
        if self._shut_connection is not None:
            self._shut_connection()


def _shut_socket(response: httpx.Response) -> None:
    # Shutting the socket down wakes the thread that waits for its next byte; closing it does not.
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream is not None else None
    with contextlib.suppress(OSError):
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)


def _start_timer(stream: _RemoteStream, deadline_s: float | None) -> threading.Timer | None:
    """Start a timer that ends the stream at its deadline; None without one."""
    if deadline_s is None:
        return None
    timer = threading.Timer(deadline_s, stream.fail_at_deadline, [deadline_s])
    timer.daemon = True
    timer.start()
    return timer


@dataclass(frozen=True, kw_only=True)
class _Server:
    """Properties of a server, known after the first contact.

    Attributes:
        protocol: Protocol of the server.
        model: Name of the model on the server.
        context_length: Length of the context in tokens, prompt and answer together.
    """

    protocol: ServerProtocol
    model: str
    context_length: int


class RemoteEngine(Engine):
    """Runs requests on a server; the first use detects the kind of server."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 600.0,
        max_retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Create the client; nothing is sent yet.

        Args:
            base_url: Address of the server, with or without `/v1`.
            model: Name of the model on the server; the part after the `/` is enough.
            api_key: Bearer token.
            timeout: Maximum time without a byte from the server, in seconds.
            max_retries: Maximum number of further attempts per request, before its first token.
            transport: Replaces the network, for tests.

        Raises:
            InvalidInputError: base_url is not a valid HTTP URL.
        """
        address = httpx.URL(base_url)
        if address.scheme not in {"http", "https"} or not address.host:
            raise InvalidInputError(f"base_url is {base_url!r}; it must be like 'http://host:8000/v1'.")
        self._root = str(address).rstrip("/").removesuffix("/v1")
        self._model = model
        self._max_retries = max_retries
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT_S)),
            transport=transport,
        )
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._streams: set[_RemoteStream] = set()
        self._is_closed = False

    @property
    def context_length(self) -> int:
        """Length of the server's context in tokens, prompt and answer together.

        Raises:
            RemoteServerError: The server cannot be reached, does not have the model, or is of an unknown kind.
        """
        return self._get_server().context_length

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Start a generation; see `Engine.submit`.

        Raises:
            RemoteServerError: The server cannot be reached, does not have the model, or is of an unknown kind.
        """
        if self._is_closed:
            raise GptOssError("This model was closed.", hint="Create a new ChatGptOss to connect again.")
        server = self._get_server()
        limit = request.compute_token_limit(server.context_length)
        body = server.protocol.build_body(request, server.model, limit)
        stream = _RemoteStream()
        self._streams.add(stream)
        threading.Thread(
            target=self._run, args=(stream, server.protocol, body, request), name="gptoss-remote", daemon=True
        ).start()
        return stream

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        self._is_closed = True
        for stream in list(self._streams):
            stream.cancel()
        self._client.close()

    def _run(
        self, stream: _RemoteStream, protocol: ServerProtocol, body: dict[str, Any], request: GenerationRequest
    ) -> None:
        timer = _start_timer(stream, request.deadline_s)
        try:
            with self._send_with_retries(stream, protocol, body) as response:
                stream.attach_connection(response)
                self._forward_tokens(stream, protocol, response, request)
        except Exception as error:
            if not stream.cancel_event.is_set():
                stream.fail(error if isinstance(error, GptOssError) else self._build_transport_error(error))
        finally:
            if timer is not None:
                timer.cancel()
            self._streams.discard(stream)

    def _forward_tokens(
        self, stream: _RemoteStream, protocol: ServerProtocol, response: httpx.Response, request: GenerationRequest
    ) -> None:
        reason: FinishReason | None = None
        for event in self._read_events(response, protocol):
            if stream.has_expired:
                return
            stream.cached_tokens = event.cached_tokens or stream.cached_tokens
            for token_id, logprobs in event.tokens:
                stream.put(token_id, logprobs)
                if token_id in request.stop_ids:
                    reason = reason or "stop"
            reason = event.finish_reason or reason
            if stream.is_cancelled:
                return
        if reason is None:
            raise RemoteConnectionError(f"{self._root} ended the answer without a reason.", hint="Ask again.")
        stream.finish(reason)

    @contextlib.contextmanager
    def _send_with_retries(
        self, stream: _RemoteStream, protocol: ServerProtocol, body: dict[str, Any]
    ) -> Iterator[httpx.Response]:
        """Yield the server's response; send the request again while the server is busy or cannot be reached."""
        for attempt in range(self._max_retries + 1):
            is_last = attempt == self._max_retries
            try:
                outgoing = self._client.build_request("POST", self._root + protocol.path, json=body)
                response = self._client.send(outgoing, stream=True)
            except httpx.ConnectError:
                if is_last:
                    raise
                self._pause(stream, attempt, None)
                continue
            with contextlib.closing(response):
                if response.status_code in _BUSY_STATUSES and not is_last:
                    self._pause(stream, attempt, response.headers.get("retry-after"))
                    continue
                if response.is_error:
                    response.read()
                    raise build_status_error(self._root, response)
                yield response
                return

    def _pause(self, stream: _RemoteStream, attempt: int, retry_after: str | None) -> None:
        """Wait before the next attempt.

        Raises:
            Cancelled: The stream was cancelled meanwhile.
        """
        seconds = _FIRST_PAUSE_S * 2**attempt * random.uniform(0.75, 1.25)
        with contextlib.suppress(ValueError):
            seconds = float(retry_after) if retry_after else seconds
        if stream.cancel_event.wait(min(seconds, _MAX_PAUSE_S)):
            raise Cancelled

    def _read_events(self, response: httpx.Response, protocol: ServerProtocol) -> Iterator[Event]:
        for line in response.iter_lines():
            kind, _, text = line.partition(":")
            if kind not in {"data", "error"} or not text.strip() or text.strip() == "[DONE]":
                continue
            try:
                data = json.loads(text)
                if kind == "error" or "error" in data:
                    raise build_event_error(self._root, data)
                yield protocol.parse_event(data)
            except (KeyError, TypeError, IndexError, ValueError) as error:
                if isinstance(error, GptOssError):
                    raise
                raise RemoteServerError(
                    f"{self._root} sent an event that does not follow the protocol of {type(protocol).__name__}: "
                    f"{text[:200]!r}.",
                    hint="Check the address, and use a current version of the server.",
                ) from error

    def _get_server(self) -> _Server:
        """Return the server's properties; the first call asks the server."""
        with self._lock:
            if self._server is None:
                try:
                    self._server = self._detect_server()
                except httpx.HTTPError as error:
                    raise self._build_transport_error(error) from error
            return self._server

    def _detect_server(self) -> _Server:
        if settings := self._get_json("/props").get("default_generation_settings"):
            return _Server(protocol=LlamaServer(), model=self._model, context_length=int(settings["n_ctx"]))
        entries = self._get_json("/v1/models").get("data")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
            raise RemoteServerError(f"{self._root} is neither a vLLM nor a llama.cpp server.", hint="Check base_url.")
        for entry in entries:
            if entry["id"] == self._model or entry["id"].rpartition("/")[2] == self._model.rpartition("/")[2]:
                context_length = int(entry.get("max_model_len") or _DEFAULT_CONTEXT_LENGTH)
                return _Server(protocol=VllmServer(), model=entry["id"], context_length=context_length)
        names = ", ".join(repr(entry["id"]) for entry in entries) or "none"
        raise RemoteModelNotFoundError(f"{self._root} does not serve {self._model!r}; its models are {names}.")

    def _get_json(self, path: str) -> dict[str, Any]:
        """Return the JSON object at a path; an empty one if there is none."""
        response = self._client.get(self._root + path)
        if response.is_error:
            if response.status_code != 404:
                raise build_status_error(self._root, response)
            return {}
        try:
            data = response.json()
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}

    def _build_transport_error(self, error: Exception) -> RemoteServerError:
        return build_transport_error(self._root, error, timeout_s=self._client.timeout.read)
