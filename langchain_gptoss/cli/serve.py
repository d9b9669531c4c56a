"""`gptoss serve`: a chatbot on a server; `gptoss keys`: who may use it."""

from datetime import datetime
from typing import Annotated

import typer

from langchain_gptoss.cli.bot import Audit, Docs, Domain, Language, Model, Store, make_chatbot
from langchain_gptoss.cli.console import clean_exit, note

keys_app = typer.Typer(help="Who may use a server: API keys in a file.", no_args_is_help=True)

Host = Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)]
KeyFile = Annotated[str | None, typer.Option("--keys", help="The keys' file; without one everybody may use it.")]
Where = Annotated[str, typer.Option("--sessions", help="Conversations: a file, a postgresql:// address, or :memory:.")]
Access = Annotated[str | None, typer.Option("--access", help="The metadata field with a document's access labels.")]
Cors = Annotated[list[str] | None, typer.Option("--cors", help="A web page's origin that may use it; repeatable.")]
Rate = Annotated[int, typer.Option("--rate", help="Requests a minute for each key or address.", min=1)]
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
    cors: Cors = None,
    rate: Rate = 120,
    title: Title = None,
) -> None:
    """Serve a chatbot: a page at /, LangServe, OpenAI's API, metrics."""
    with clean_exit():
        from langchain_gptoss.serve import Keys, ServerSettings
        from langchain_gptoss.serve import serve as run_server

        settings = ServerSettings(
            keys=Keys.load(keys) if keys else None, cors_origins=tuple(cors or ()), requests_per_minute=rate
        )
        bot = make_chatbot(
            model, docs, store, domain=domain, language=language, sessions=sessions, audit=audit, access=access
        )
        if keys is None and host not in ("127.0.0.1", "localhost", "::1"):
            note(f"Everybody who reaches {host} may use this server: give --keys FILE to change that.")
        note(f"Serving on http://{host}:{port}/ (Ctrl-C stops)")
        run_server(bot, host=host, port=port, title=title or _title(domain, language), settings=settings)


def _title(domain: str | None, language: str | None) -> str:
    from langchain_gptoss.chatbot.voice import voices_of

    profile = next(iter(voices_of(domain, language).values())).profile
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
