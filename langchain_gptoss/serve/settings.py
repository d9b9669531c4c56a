"""Settings of a server: keys and limits."""

from dataclasses import dataclass

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve.keys import Keys

_LIMITS = (
    "max_body_bytes",
    "upload_seconds",
    "timeout_seconds",
    "max_concurrent",
    "max_connections",
    "max_batch",
    "requests_per_minute",
    "grace_seconds",
)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Keys and limits of a server.

    Attributes:
        keys: The keys that clients need; None lets everyone who reaches the server use it.
        max_body_bytes: Size of the longest request. A conversation that fills gpt-oss's context has about half a
            million bytes.
        upload_seconds: Seconds in which the headers of a request must arrive, and then its body. A client that reads
            nothing of its response for as long is disconnected (by `serve`).
        timeout_seconds: Seconds in which an answer must be complete, including the time in the queue. A stream then
            ends with an error.
        max_concurrent: Number of questions that are answered or queued at the same time; further ones get status 503.
        max_connections: Number of open connections (to `serve`), at most half of the process's limit of open files. One
            more closes the connection that has waited longest for a request.
        max_batch: Number of inputs in a request to a `/batch` route.
        requests_per_minute: Limit for each key or, without keys, for each address; None sets no limit.
        cors_origins: Origins of other web pages that may use the server, such as `"https://intranet.example"`.
        allowed_hosts: Host names that requests may use, such as `"localhost"`; `"*"` allows every name. Empty allows
            the names of this machine if a request comes to a loopback address and the server needs no keys, so that a
            page from elsewhere cannot reach the server through a host name of its own (DNS rebinding); else every name.
        serve_chat_model: True serves the chat model beside the chatbot, without its documents, rules and audit log.
        grace_seconds: Seconds in which running answers may finish when the server stops.

    Raises:
        InvalidInputError: A limit is not above 0, or an origin is not a valid one.
    """

    keys: Keys | None = None
    max_body_bytes: int = 1024 * 1024
    upload_seconds: float = 30.0
    timeout_seconds: float = 600.0
    max_concurrent: int = 64
    max_connections: int = 512
    max_batch: int = 32
    requests_per_minute: int | None = 120
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    serve_chat_model: bool = True
    grace_seconds: float = 20.0

    def __post_init__(self) -> None:
        for name in _LIMITS:
            value = getattr(self, name)
            if value is None and name == "requests_per_minute":
                continue
            if not isinstance(value, int | float) or not value > 0:
                raise InvalidInputError(f"{name} is {value!r}.", hint="Give a number above 0.")
        for origin in self.cors_origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise InvalidInputError(
                    f"cors_origins contains {origin!r}, which is not an origin.",
                    hint="An origin looks like https://intranet.example, without a path.",
                )
