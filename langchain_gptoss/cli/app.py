"""The commands. Nothing heavy is imported before one of them runs: `gptoss --help` answers at once."""

import sys
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.console import clean_exit, heading, note, show_answer, show_json
from langchain_gptoss.cli.doctor import doctor
from langchain_gptoss.cli.index import index

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

    Bot = Runnable[Any, Any]

app = typer.Typer(
    name="gptoss",
    help="Run GPT-OSS models on this machine and ask them about your own documents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Docs = Annotated[
    str | None, typer.Option("--docs", help="A folder, a file or a pattern: Markdown, text, HTML, PDF, Office, e-mail.")
]
Store = Annotated[str | None, typer.Option("--store", help="In place of --docs, an index that `gptoss index` made.")]
Model = Annotated[str, typer.Option("--model", help="A name such as demo or gpt-oss-20b, a folder, or a hub id.")]

# The third follows the second; the documents do not answer the last.
DEMO_QUESTIONS = (
    "How long do I have to return an opened laptop?",
    "How much does standard delivery cost?",
    "and for express delivery?",
    "Do you sell gift cards?",
)


def main() -> None:
    """Runs the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character shows a question mark
            stream.reconfigure(errors="replace")
    app()


@app.callback(invoke_without_command=True)
def root(*, version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """Run GPT-OSS models on this machine and ask them about your own documents."""
    if version:
        typer.echo(f"langchain-gptoss {metadata.version('langchain-gptoss')}")
        raise typer.Exit


@app.command()
def demo(
    *, chat: Annotated[bool, typer.Option("--chat/--no-chat", help="Go on as a chat when on a terminal.")] = True
) -> None:
    """Fetch the demo model and ask it four questions about a sample handbook."""
    with clean_exit():
        handbook = Path(str(files("langchain_gptoss").joinpath("samples", "handbook")))
        bot = _chatbot("demo", str(handbook))
        history: list[BaseMessage] = []
        for question in DEMO_QUESTIONS:
            heading(question)
            _answer(bot, question, history)
        if chat and sys.stdin.isatty():
            note("\nYour turn: ask in English or in French; an empty line or Ctrl-D ends.")
            _converse(bot, history)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    *,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Answer one question from your documents, with citations."""
    with clean_exit():
        if not question.strip():
            from langchain_gptoss.errors import InvalidInputError

            raise InvalidInputError('The question is empty. Ask something: gptoss ask "..." --docs FOLDER')
        bot = _chatbot(model, docs, store)
        if as_json:
            show_json(bot.invoke({"question": question}))
        else:
            show_answer(bot.stream({"question": question}))


@app.command()
def chat(*, docs: Docs = None, store: Store = None, model: Model = "demo") -> None:
    """Talk with your documents; an empty line or Ctrl-D ends."""
    with clean_exit():
        _converse(_chatbot(model, docs, store), [])


@app.command()
def serve(
    *,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)] = 8000,
) -> None:
    """Serve the chatbot over HTTP, as a LangServe route."""
    with clean_exit():
        from langchain_gptoss.serve import serve as run_server

        bot = _chatbot(model, docs, store)
        note(f"Serving on http://{host}:{port}/chatbot/playground/ (Ctrl-C stops)")
        run_server(bot, host=host, port=port)


app.command()(doctor)
app.command()(index)


def _chatbot(model: str, docs: str | None, store: str | None = None) -> "Bot":
    """Returns a chatbot over documents or an index; what is wrong with them is said before anything heavy runs."""
    from langchain_gptoss.errors import InvalidInputError
    from langchain_gptoss.models.catalog import resolve

    if (docs is None) == (store is None):
        raise InvalidInputError("Give either --docs FOLDER or --store INDEX, which `gptoss index` makes.")
    card = resolve(model)
    if card.note:
        note(f"{card.name}: {card.note}")

    from langchain_gptoss.ingest import index_documents, load_documents, open_store
    from langchain_gptoss.models.checkpoint import locate

    documents = load_documents(docs) if docs is not None else []
    locate(card)
    index_ = open_store(str(store)) if docs is None else index_documents(documents)
    if docs is not None:
        files = len({document.metadata["source"] for document in documents})
        note(f"Indexed {files} files as {len(index_)} passages.")

    from langchain_gptoss.chat_models import ChatGptOss
    from langchain_gptoss.chatbot import create_chatbot

    llm = ChatGptOss(model=model)
    llm.load()
    return create_chatbot(llm, index_.as_retriever())


def _answer(bot: "Bot", question: str, history: "list[BaseMessage]") -> None:
    """Shows an answer and remembers the exchange."""
    from langchain_core.messages import AIMessage, HumanMessage

    whole = show_answer(bot.stream({"question": question, "chat_history": history}))
    history += [HumanMessage(question), AIMessage(whole.answer)]


def _converse(bot: "Bot", history: "list[BaseMessage]") -> None:
    """Reads questions until an empty line or the end of input; Ctrl-C in an answer stops only that answer."""
    from langchain_gptoss.errors import GptOssError

    while True:
        try:
            question = input("\n> ").strip()
        except EOFError:
            typer.echo()
            return
        if not question:
            return
        try:
            _answer(bot, question, history)
        except KeyboardInterrupt:
            note("\n(stopped)")
        except GptOssError as error:
            note(f"gptoss: {error}")
