"""The commands. Nothing heavy is imported before one of them runs: `gptoss --help` answers at once."""

import sys
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_gptoss.cli.audit import audit_app
from langchain_gptoss.cli.bot import Audit, Docs, Domain, Language, Model, Store, make_chatbot
from langchain_gptoss.cli.console import clean_exit, heading, note, show_answer, show_json
from langchain_gptoss.cli.doctor import doctor
from langchain_gptoss.cli.domains import domains
from langchain_gptoss.cli.eval import eval_command
from langchain_gptoss.cli.index import index
from langchain_gptoss.cli.serve import keys_app, serve

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_gptoss.chatbot import Chatbot

app = typer.Typer(
    name="gptoss",
    help="Run GPT-OSS models on this machine and ask them about your own documents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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
        bot = make_chatbot("demo", str(handbook))
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
    domain: Domain = None,
    language: Language = None,
    audit: Audit = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Answer one question from your documents, with citations."""
    with clean_exit():
        if not question.strip():
            from langchain_gptoss.errors import InvalidInputError

            raise InvalidInputError('The question is empty. Ask something: gptoss ask "..." --docs FOLDER')
        bot = make_chatbot(model, docs, store, domain=domain, language=language, audit=audit)
        if as_json:
            show_json(bot.invoke({"question": question}))
        else:
            show_answer(bot.stream({"question": question}))


@app.command()
def chat(
    *,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    domain: Domain = None,
    language: Language = None,
    audit: Audit = None,
) -> None:
    """Talk with your documents; an empty line or Ctrl-D ends."""
    with clean_exit():
        _converse(make_chatbot(model, docs, store, domain=domain, language=language, audit=audit), [])


app.command()(serve)
app.command()(doctor)
app.command()(index)
app.command()(domains)
app.command("eval")(eval_command)
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")


def _answer(bot: "Chatbot", question: str, history: "list[BaseMessage]") -> None:
    """Shows an answer and remembers the exchange."""
    from langchain_core.messages import AIMessage, HumanMessage

    whole = show_answer(bot.stream({"question": question, "chat_history": history}))
    history += [HumanMessage(question), AIMessage(whole.answer)]


def _converse(bot: "Chatbot", history: "list[BaseMessage]") -> None:
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
