"""The engine contract over HTTP: token ids go to a vLLM or llama.cpp server, and token ids come back.

Chat formats, tools and parsing are therefore the same as with a model on this machine.
"""

import contextlib
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from langchain_gptoss.engine.base import Engine
from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.runners.server_protocols import Event, LlamaServer, Protocol, Vllm
from langchain_gptoss.engine.token_stream import FinishReason, TokenStream
from langchain_gptoss.errors import GptOssError, InvalidInputError, RemoteServerError

_BUSY = frozenset({429, 503})
_LONGEST_PAUSE = 30.0  # seconds


class _RemoteStream(TokenStream):
    """A stream whose listener, when it leaves, hangs up: the server then stops generating."""

    def __init__(self) -> None:
        super().__init__()
        self.left = threading.Event()
        self._hang_up: Callable[[], None] | None = None

    def cancel(self) -> None:
        super().cancel()
        self.left.set()
        if self._hang_up is not None:
            self._hang_up()

    def connected(self, response: httpx.Response) -> None:
        """Takes the connection to hang up."""
        self._hang_up = lambda: _hang_up(response)
        if self.is_cancelled:
            self._hang_up()


def _hang_up(response: httpx.Response) -> None:
    # Shutting the socket wakes the thread that waits for its next byte; closing it would not.
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream is not None else None
    with contextlib.suppress(OSError):
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)


class RemoteEngine(Engine):
    """Runs requests on a server, which is asked what it is on first use."""

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
        """Makes the client; connects to nothing yet.

        Args:
            base_url: The server's address, with or without `/v1`.
            model: The model's name, as the server knows it; the part after its `/` is enough.
            api_key: Sent as a bearer token.
            timeout: How many seconds the server may be silent.
            max_retries: How often a request is sent again, before its first token.
            transport: Carries the requests instead of the network, for tests.

        Raises:
            InvalidInputError: The address is none.
        """
        address = httpx.URL(base_url)
        if address.scheme not in {"http", "https"} or not address.host:
            raise InvalidInputError(f"base_url is {base_url!r}; it must be like 'http://host:8000/v1'.")
        self._root = str(address).rstrip("/").removesuffix("/v1")
        self._model = model
        self._max_retries = max_retries
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(
            headers=headers, timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)), transport=transport
        )
        self._lock = threading.Lock()
        self._known: tuple[Protocol, str, int] | None = None
        self._streams: set[_RemoteStream] = set()
        self._closed = False

    @property
    def context_length(self) -> int:
        """Prompt and answer together, in tokens, as the server says.

        Raises:
            RemoteServerError: The server cannot be reached, does not have the model, or is of another kind.
        """
        return self._server()[2]

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Begins a generation; see `Engine.submit`.

        Raises:
            RemoteServerError: The server cannot be reached, does not have the model, or is of another kind.
        """
        if self._closed:
            raise GptOssError("This model was closed. Create a new ChatGptOss to connect again.")
        protocol, model, context = self._server()
        body = protocol.body(request, model, request.compute_token_limit(context))
        stream = _RemoteStream()
        self._streams.add(stream)
        threading.Thread(
            target=self._run, args=(stream, protocol, body, request), name="gptoss-remote", daemon=True
        ).start()
        return stream

    def close(self) -> None:
        """Hangs up everywhere; safe to call twice."""
        self._closed = True
        for stream in list(self._streams):
            stream.cancel()
        self._client.close()

    def _run(self, stream: _RemoteStream, protocol: Protocol, body: dict[str, Any], request: GenerationRequest) -> None:
        try:
            self._generate(stream, protocol, body, request)
        except Exception as error:
            if not stream.is_cancelled:
                stream.fail(error if isinstance(error, GptOssError) else self._explained(error))
        finally:
            self._streams.discard(stream)

    def _generate(
        self, stream: _RemoteStream, protocol: Protocol, body: dict[str, Any], request: GenerationRequest
    ) -> None:
        with self._opened(stream, protocol, body) as response:
            stream.connected(response)
            finished: FinishReason | None = None
            for event in self._events(response, protocol):
                stream.cached_tokens = event.cached_tokens or stream.cached_tokens
                for token_id, logprobs in event.tokens:
                    stream.put(token_id, logprobs)
                    if token_id in request.stop_ids:
                        finished = finished or "stop"
                finished = event.finish_reason or finished
                if stream.is_cancelled:
                    return
            if finished is None:
                raise RemoteServerError(f"{self._root} ended the answer without saying why. Ask again.")
            stream.finish(finished)

    @contextlib.contextmanager
    def _opened(self, stream: _RemoteStream, protocol: Protocol, body: dict[str, Any]) -> Iterator[httpx.Response]:
        """Yields the server's answer to a request; asks again while it is busy or cannot be reached."""
        for attempt in range(self._max_retries + 1):
            last = attempt == self._max_retries
            try:
                outgoing = self._client.build_request("POST", self._root + protocol.path, json=body)
                response = self._client.send(outgoing, stream=True)
            except httpx.ConnectError:
                if last or self._pause(stream, attempt, None):
                    raise
                continue
            with contextlib.closing(response):
                if response.status_code in _BUSY and not last:
                    if self._pause(stream, attempt, response.headers.get("retry-after")):
                        return
                    continue
                if response.is_error:
                    response.read()
                    raise RemoteServerError(f"{self._root} answered {response.status_code}: {_message(response)}")
                yield response
                return

    def _pause(self, stream: _RemoteStream, attempt: int, asked: str | None) -> bool:
        """Waits before the next attempt, and returns whether the listener left meanwhile."""
        seconds = 0.5 * 2**attempt * random.uniform(0.75, 1.25)
        with contextlib.suppress(ValueError):
            seconds = float(asked) if asked else seconds
        return stream.left.wait(min(seconds, _LONGEST_PAUSE))

    def _events(self, response: httpx.Response, protocol: Protocol) -> Iterator[Event]:
        for line in response.iter_lines():
            kind, _, data = line.partition(":")
            if kind not in {"data", "error"} or not data.strip() or data.strip() == "[DONE]":
                continue
            try:
                described = json.loads(data)
                if kind == "error" or "error" in described:
                    raise RemoteServerError(f"{self._root} broke off: {_said(described)}")
                yield protocol.event(described)
            except (KeyError, TypeError, IndexError, ValueError) as error:
                if isinstance(error, GptOssError):
                    raise
                raise RemoteServerError(
                    f"{self._root} sent what a {type(protocol).__name__} server does not send: {data[:200]!r}. "
                    "Check the address, and that the server is a current version."
                ) from error

    def _server(self) -> tuple[Protocol, str, int]:
        """Returns the kind of server, the model's name there, and its context; asks once."""
        with self._lock:
            if self._known is None:
                try:
                    self._known = self._asked()
                except httpx.HTTPError as error:
                    raise self._explained(error) from error
            return self._known

    def _asked(self) -> tuple[Protocol, str, int]:
        props = self._get("/props")
        if settings := props.get("default_generation_settings"):
            return LlamaServer(), self._model, int(settings["n_ctx"])
        listed = self._get("/v1/models").get("data")
        if not isinstance(listed, list) or not all(isinstance(entry, dict) and "id" in entry for entry in listed):
            raise RemoteServerError(f"{self._root} is neither a vLLM nor a llama.cpp server. Check base_url.")
        for entry in listed:
            if entry["id"] == self._model or entry["id"].rpartition("/")[2] == self._model.rpartition("/")[2]:
                return Vllm(), entry["id"], int(entry.get("max_model_len") or 131_072)
        names = ", ".join(repr(entry["id"]) for entry in listed) or "none"
        raise RemoteServerError(f"{self._root} does not serve {self._model!r}; its models are {names}.")

    def _get(self, path: str) -> dict[str, Any]:
        response = self._client.get(self._root + path)
        if response.status_code in {401, 403}:
            raise RemoteServerError(f"{self._root} refuses the key: {_message(response)}. Set api_key.")
        if response.is_error:
            if response.status_code != 404:
                raise RemoteServerError(f"{self._root} answered {response.status_code}: {_message(response)}")
            return {}
        try:
            described = response.json()
        except ValueError:
            return {}
        return described if isinstance(described, dict) else {}

    def _explained(self, error: Exception) -> GptOssError:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return RemoteServerError(f"{self._root} cannot be reached ({error}). Start the server, or check base_url.")
        if isinstance(error, httpx.TimeoutException):
            return RemoteServerError(
                f"{self._root} was silent for {self._client.timeout.read:g} seconds. Ask again, or raise timeout."
            )
        if isinstance(error, httpx.HTTPError):
            return RemoteServerError(f"The connection to {self._root} broke off ({error}). Ask again.")
        return RemoteServerError(f"{self._root} could not be read: {error!r}.")


def _message(response: httpx.Response) -> str:
    try:
        return _said(response.json())
    except ValueError:
        return response.text.strip()[:300] or response.reason_phrase


def _said(described: Any) -> str:
    """Returns the message in an error as OpenAI, vLLM and llama.cpp write it."""
    while isinstance(described, dict):
        inner = described.get("error") or described.get("message") or described.get("detail")
        if inner is None:
            break
        described = inner
    return str(described)[:300]
