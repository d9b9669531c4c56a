"""The limits of a server."""

from dataclasses import dataclass

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve.keys import Keys

_LIMITS = (
    "max_body_bytes",
    "upload_seconds",
    "timeout_seconds",
    "max_concurrent",
    "max_batch",
    "requests_per_minute",
    "grace_seconds",
)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server allows.

    Attributes:
        keys: Who may use it; None lets everybody who reaches it.
        max_body_bytes: The longest request. A conversation that fills gpt-oss's context has about half a million.
        upload_seconds: How long a request may take to arrive.
        timeout_seconds: The longest answer, the time that it waits for others included; a stream is ended with an
            error then.
        max_concurrent: How many questions are answered at a time or wait for the model; more are told to come back.
        max_batch: How many inputs a request to a `/batch` route may hold.
        requests_per_minute: For each key or, without keys, each address; None sets no limit.
        cors_origins: The web pages of others that may use it, such as `https://intranet.example`.
        hosts: The names by which it may be addressed, such as `"localhost"`; empty allows every name. `serve` allows
            this machine's own where it listens there and needs no key, so that a foreign page in a browser here cannot
            reach it by a name of its own.
        chat_model: Whether the chat model is served beside the chatbot, without its documents, rules and audit log.
        grace_seconds: How long running answers may go on when the server is stopped.
    """

    keys: Keys | None = None
    max_body_bytes: int = 1024 * 1024
    upload_seconds: float = 30.0
    timeout_seconds: float = 600.0
    max_concurrent: int = 64
    max_batch: int = 32
    requests_per_minute: int | None = 120
    cors_origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    chat_model: bool = True
    grace_seconds: float = 20.0

    def __post_init__(self) -> None:
        for name in _LIMITS:
            value = getattr(self, name)
            if value is None and name == "requests_per_minute":
                continue
            if not isinstance(value, int | float) or not value > 0:
                raise InvalidInputError(f"{name} is {value!r}; it must be above 0.")
        for origin in self.cors_origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise InvalidInputError(
                    f"cors_origins holds {origin!r}; an origin looks like https://intranet.example, without a path."
                )
