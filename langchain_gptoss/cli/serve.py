"""`gptoss serve` runs a chatbot on a server; `gptoss keys` manages its API keys."""

import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from langchain_gptoss.cli.chatbot import (
    Adapter,
    Audit,
    Docs,
    Domain,
    Guard,
    Language,
    Model,
    PromptCache,
    Store,
    make_chatbot,
)
from langchain_gptoss.cli.console import clean_exit, note, show

_SESSIONS_FILE = "sessions.sqlite"
keys_app = typer.Typer(help="Manage the API keys of a server.", no_args_is_help=True)

Host = Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)]
KeyFile = Annotated[
    str | None, typer.Option("--keys", help="File with API keys; without it, everyone can use the server.")
]
SessionStore = Annotated[
    str | None,
    typer.Option(
        "--sessions",
        help="Storage of conversations: a file, a postgresql:// address, or :memory:. "
        "Default: sessions.sqlite in the data folder (GPTOSS_HOME).",
    ),
]
Access = Annotated[str | None, typer.Option("--access", help="Metadata field with a document's access labels.")]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        help="With --docs: access label of files that front matter and access.toml do not label; repeatable.",
    ),
]
CorsOrigins = Annotated[
    list[str] | None, typer.Option("--cors", help="Origin of a web page that may use the server; repeatable.")
]
RateLimit = Annotated[int, typer.Option("--rate", help="Requests a minute for each key or address.", min=1)]
AllowedHosts = Annotated[
    list[str] | None, typer.Option("--allow-host", help="Host name that requests may use; repeatable.")
]
TimeoutSeconds = Annotated[float, typer.Option("--timeout", help="Longest time for an answer, in seconds.", min=1)]
MaxConcurrent = Annotated[
    int, typer.Option("--concurrent", help="Questions that are answered or queued at the same time.", min=1)
]
ServesModel = Annotated[
    bool, typer.Option("--model-routes/--no-model", help="Also serve the chat model without the chatbot.")
]
Title = Annotated[str | None, typer.Option("--title", help="Title of the page.")]


def serve_chatbot(
    *,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    adapter: Adapter = None,
    domain: Domain = None,
    language: Language = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    keys: KeyFile = None,
    sessions: SessionStore = None,
    audit: Audit = None,
    access: Access = None,
    label: Labels = None,
    guard_model: Guard = None,
    prompt_cache: PromptCache = None,
    cors: CorsOrigins = None,
    allow_host: AllowedHosts = None,
    rate: RateLimit = 120,
    timeout: TimeoutSeconds = 600.0,
    concurrent: MaxConcurrent = 64,
    chat_model: ServesModel = True,
    title: Title = None,
) -> None:
    """Serve a chatbot: a web page, OpenAI's API, metrics."""
    with clean_exit():
        from langchain_gptoss.errors import InvalidInputError
        from langchain_gptoss.serve import Keys, ServerSettings, serve
        from langchain_gptoss.serve.origins import LOCAL_HOSTS

        settings = ServerSettings(
            keys=Keys.load(keys) if keys else None,
            cors_origins=tuple(cors or ()),
            allowed_hosts=tuple(allow_host or ()),
            requests_per_minute=rate,
            timeout_seconds=timeout,
            max_concurrent=concurrent,
            serve_chat_model=chat_model,
        )
        if label and access is None:
            raise InvalidInputError("--label needs --access.", hint="Add --access access, or another field's name.")
        _check_address(host, port)
        chatbot = make_chatbot(
            model,
            docs,
            store,
            adapter=adapter,
            guard_model=guard_model,
            domain=domain,
            language=language,
            sessions=sessions or _choose_session_file(),
            audit=audit,
            access=access,
            labels=label,
            prompt_cache_gb=prompt_cache,
        )
        if keys is None and host not in LOCAL_HOSTS:
            note(f"Everyone who reaches {host} may use this server. To require a key, use --keys FILE.")
        note(f"Serving on http://{host}:{port}/ (Ctrl-C stops)")
        serve(chatbot, host=host, port=port, title=title or _get_title(domain, language), settings=settings)


def _choose_session_file() -> str:
    """Return the file for conversations in the user's data folder, and show its path to the user."""
    from langchain_gptoss.models.download.cache_directory import data_directory

    file = data_directory() / _SESSIONS_FILE
    note(f"Conversations are saved in {file} (--sessions changes that).")
    if Path(_SESSIONS_FILE).exists() and Path(_SESSIONS_FILE).absolute() != file.absolute():
        note(f"{_SESSIONS_FILE} in this folder is not used. To continue its conversations: --sessions {_SESSIONS_FILE}")
    return str(file)


def _check_address(host: str, port: int) -> None:
    """Check that the server can listen on an address, before a model is loaded.

    Raises:
        InvalidInputError: The address is in use, or it is not an address of this machine.
    """
    from langchain_gptoss.errors import InvalidInputError

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise InvalidInputError(
            f"The server cannot listen on {host}, port {port}: {error.strerror}.",
            hint="Choose another address with --host and --port.",
        ) from error


def _get_title(domain: str | None, language: str | None) -> str:
    from langchain_gptoss.chatbot.localization import load_texts

    profile = next(iter(load_texts(domain, language).values())).profile
    return profile.title if profile is not None else "langchain-gptoss"


@keys_app.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Name of the key's owner.")],
    *,
    file: Annotated[str, typer.Option("--file", help="File with API keys; created if it does not exist.")],
    label: Annotated[list[str] | None, typer.Option("--label", help="Access label of the owner; repeatable.")] = None,
    rate: Annotated[
        int | None, typer.Option("--rate", help="Requests a minute, instead of the server's limit.")
    ] = None,
    expires: Annotated[
        datetime | None, typer.Option("--expires", formats=["%Y-%m-%d"], help="Last day of the key (UTC).")
    ] = None,
    priority: Annotated[
        int, typer.Option("--priority", help="Requests of a key with a higher number start first in the model's queue.")
    ] = 0,
) -> None:
    """Make a key and show it once; the file stores only its hash."""
    with clean_exit():
        from langchain_gptoss import serve

        last_day = expires.date() if expires else None
        secret = serve.add_key(
            file, name, labels=label or (), requests_per_minute=rate, expires=last_day, priority=priority
        )
        show(secret)
        note(f"Added {name} to {file}. Keep the key: it cannot be shown again.")
