"""The limits of a server."""

from dataclasses import dataclass, field

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve.keys import Keys


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server allows.

    Attributes:
        keys: Who may use it; None lets everybody who reaches it.
        max_body_bytes: The longest request.
        timeout_seconds: The longest answer; a stream is ended with an error then.
        max_concurrent: How many answers are written at a time; more are told to come back.
        requests_per_minute: For each key or, without keys, each address; None sets no limit.
        cors_origins: The web pages of others that may use it, such as `https://intranet.example`.
        grace_seconds: How long running answers may go on when the server is stopped.
    """

    keys: Keys | None = None
    max_body_bytes: int = 256 * 1024
    timeout_seconds: float = 600.0
    max_concurrent: int = 64
    requests_per_minute: int | None = 120
    cors_origins: tuple[str, ...] = field(default=())
    grace_seconds: float = 20.0

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "timeout_seconds", "max_concurrent", "requests_per_minute", "grace_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInputError(f"{name} is {value}; it must be above 0.")
        for origin in self.cors_origins:
            if not origin.startswith(("http://", "https://")) or origin.endswith("/"):
                raise InvalidInputError(
                    f"cors_origins holds {origin!r}; an origin looks like https://intranet.example."
                )
