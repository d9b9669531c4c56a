"""The commands. Nothing heavy is imported before one of them runs: `gptoss --help` answers at once."""

import sys
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.console import clean_exit, heading, note, show_answer, show_json
from langchain_gptoss.cli.doctor import doctor

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

Docs = Annotated[str, typer.Option("--docs", help="A folder (or a file) with .md, .txt, .html or .pdf documents.")]
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
    docs: Docs,
    model: Model = "demo",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Answer one question from your documents, with citations."""
    with clean_exit():
        if not question.strip():
            from langchain_gptoss.errors import InvalidInputError

            raise InvalidInputError('The question is empty. Ask something: gptoss ask "..." --docs FOLDER')
        bot = _chatbot(model, docs)
        if as_json:
            show_json(bot.invoke({"question": question}))
        else:
            show_answer(bot.stream({"question": question}))


@app.command()
def chat(*, docs: Docs, model: Model = "demo") -> None:
    """Talk with your documents; an empty line or Ctrl-D ends."""
    with clean_exit():
        _converse(_chatbot(model, docs), [])


@app.command()
def serve(
    *,
    docs: Docs,
    model: Model = "demo",
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)] = 8000,
) -> None:
    """Serve the chatbot over HTTP, as a LangServe route."""
    with clean_exit():
        from langchain_gptoss.serve import serve as run_server

        bot = _chatbot(model, docs)
        note(f"Serving on http://{host}:{port}/chatbot/playground/ (Ctrl-C stops)")
        run_server(bot, host=host, port=port)


app.command()(doctor)


def _chatbot(model: str, docs: str) -> "Bot":
    """Returns a chatbot over a folder of documents; what is wrong with either is said before anything heavy runs."""
    from langchain_gptoss.models.catalog import resolve

    card = resolve(model)
    if card.note:
        note(f"{card.name}: {card.note}")

    from langchain_gptoss.ingest import index_documents, load_documents
    from langchain_gptoss.models.checkpoint import locate

    documents = load_documents(docs)
    locate(card)
    store = index_documents(documents)
    note(f"Indexed {len({document.metadata['source'] for document in documents})} files as {len(store)} passages.")

    from langchain_gptoss.chat_models import ChatGptOss
    from langchain_gptoss.chatbot import create_chatbot

    llm = ChatGptOss(model=model)
    llm.load()
    return create_chatbot(llm, store.as_retriever())


def _answer(bot: "Bot", question: str, history: "list[BaseMessage]") -> None:
    """Shows an answer and remembers the exchange."""
    from langchain_core.messages import AIMessage, HumanMessage

    whole = show_answer(bot.stream({"question": question, "chat_history": history}))
    history += [HumanMessage(question), AIMessage(whole["answer"])]


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
