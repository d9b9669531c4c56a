"""`gptoss serve`: a chatbot on a server; `gptoss keys`: who may use it."""

import socket
from datetime import datetime
from typing import Annotated

import typer

from langchain_gptoss.cli.bot import Audit, Docs, Domain, Guard, Language, Model, Store, make_chatbot
from langchain_gptoss.cli.console import clean_exit, note

keys_app = typer.Typer(help="Who may use a server: API keys in a file.", no_args_is_help=True)

Host = Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)]
KeyFile = Annotated[str | None, typer.Option("--keys", help="The keys' file; without one everybody may use it.")]
Where = Annotated[str, typer.Option("--sessions", help="Conversations: a file, a postgresql:// address, or :memory:.")]
Access = Annotated[str | None, typer.Option("--access", help="The metadata field with a document's access labels.")]
Cors = Annotated[list[str] | None, typer.Option("--cors", help="A web page's origin that may use it; repeatable.")]
Rate = Annotated[int, typer.Option("--rate", help="Requests a minute for each key or address.", min=1)]
Hosts = Annotated[list[str] | None, typer.Option("--allow-host", help="A name it may be reached by; repeatable.")]
Seconds = Annotated[float, typer.Option("--timeout", help="The longest answer, in seconds.", min=1)]
Places = Annotated[int, typer.Option("--concurrent", help="Questions answered or waiting at a time.", min=1)]
WithModel = Annotated[bool, typer.Option("--model-routes/--no-model", help="Serve the chat model by itself as well.")]
Title = Annotated[str | None, typer.Option("--title", help="The name on the page.")]


def serve(
    *,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    domain: Domain = None,
    language: Language = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    keys: KeyFile = None,
    sessions: Where = "sessions.sqlite",
    audit: Audit = None,
    access: Access = None,
    guard_model: Guard = None,
    cors: Cors = None,
    allow_host: Hosts = None,
    rate: Rate = 120,
    timeout: Seconds = 600.0,
    concurrent: Places = 64,
    chat_model: WithModel = True,
    title: Title = None,
) -> None:
    """Serve a chatbot: a page at /, LangServe, OpenAI's API, metrics."""
    with clean_exit():
        from langchain_gptoss.serve import Keys, ServerSettings
        from langchain_gptoss.serve import serve as run_server

        settings = ServerSettings(
            keys=Keys.load(keys) if keys else None,
            cors_origins=tuple(cors or ()),
            hosts=tuple(allow_host or ()),
            requests_per_minute=rate,
            timeout_seconds=timeout,
            max_concurrent=concurrent,
            chat_model=chat_model,
        )
        _check_port(host, port)
        bot = make_chatbot(
            model,
            docs,
            store,
            guard_model=guard_model,
            domain=domain,
            language=language,
            sessions=sessions,
            audit=audit,
            access=access,
        )
        if keys is None and host not in ("127.0.0.1", "localhost", "::1"):
            note(f"Everybody who reaches {host} may use this server: give --keys FILE to change that.")
        note(f"Serving on http://{host}:{port}/ (Ctrl-C stops)")
        run_server(bot, host=host, port=port, title=title or _title(domain, language), settings=settings)


def _check_port(host: str, port: int) -> None:
    """Checks that the address is free, before a model is loaded for it.

    Raises:
        InvalidInputError: It is not, or it is no address of this machine.
    """
    from langchain_gptoss.errors import InvalidInputError

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise InvalidInputError(
            f"The server cannot listen at {host}, port {port}: {error.strerror}. Choose others with --host and --port."
        ) from error


def _title(domain: str | None, language: str | None) -> str:
    from langchain_gptoss.chatbot.localization import load_texts

    profile = next(iter(load_texts(domain, language).values())).profile
    return profile.title if profile is not None else "langchain-gptoss"


@keys_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    file: Annotated[str, typer.Option("--file", help="The keys' file; made where it is missing.")],
    label: Annotated[list[str] | None, typer.Option("--label", help="An access label; repeatable.")] = None,
    rate: Annotated[int | None, typer.Option("--rate", help="Requests a minute, in place of the server's.")] = None,
    expires: Annotated[datetime | None, typer.Option("--expires", formats=["%Y-%m-%d"], help="Its last day.")] = None,
) -> None:
    """Make a key and show it, once: the file keeps only its hash."""
    with clean_exit():
        from langchain_gptoss.serve import add_key

        key = add_key(file, name, labels=label or (), limit=rate, expires=expires.date() if expires else None)
        typer.echo(key)
        note(f"Added {name} to {file}. Keep the key: it is stored nowhere.")
