"""The commands of `gptoss`. Large packages are imported by the commands only, so that `gptoss --help` is fast."""

import sys
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_gptoss.cli.audit import audit_app
from langchain_gptoss.cli.chatbot import Adapter, Audit, Docs, Domain, Language, Model, PromptCache, Store, make_chatbot
from langchain_gptoss.cli.console import (
    clean_exit,
    clean_traceback,
    note,
    show,
    show_answer,
    show_heading,
    show_json_answer,
)
from langchain_gptoss.cli.convert import convert
from langchain_gptoss.cli.doctor import show_machine
from langchain_gptoss.cli.domains import domains
from langchain_gptoss.cli.eval import evaluate_command
from langchain_gptoss.cli.index import index
from langchain_gptoss.cli.serve import keys_app, serve_chatbot

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

# The third question follows up the second; the documents have no answer to the last.
DEMO_QUESTIONS = (
    "How long do I have to return an opened laptop?",
    "How much does standard delivery cost?",
    "and for express delivery?",
    "Do you sell gift cards?",
)

NEXT_STEPS = """
The demo model is small (0.1 B parameters, English). Models that read better:
  gptoss chat --docs FOLDER --model demo-large   English and French; 1.1 GB to fetch, 2 GB of memory
  gptoss chat --docs FOLDER --model gpt-oss-20b  many languages; 13.8 GB to fetch, 14 GB of memory
  gptoss doctor                                  the models that fit this machine"""


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal shows "?" for characters that it does not have
            stream.reconfigure(errors="replace")
    with clean_traceback():
        app()


@app.callback(invoke_without_command=True)
def show_version(
    *, version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False
) -> None:
    """Run GPT-OSS models on this machine and ask them about your own documents."""
    if version:
        show(f"langchain-gptoss {metadata.version('langchain-gptoss')}")
        raise typer.Exit


@app.command("demo")
def run_demo(
    *, chat: Annotated[bool, typer.Option("--chat/--no-chat", help="Continue as a chat on a terminal.")] = True
) -> None:
    """Download the demo model and ask it four questions about a sample handbook."""
    with clean_exit():
        handbook = Path(str(files("langchain_gptoss").joinpath("samples", "handbook")))
        chatbot = make_chatbot("demo", str(handbook))
        history: list[BaseMessage] = []
        for question in DEMO_QUESTIONS:
            show_heading(question)
            _answer(chatbot, question, history)
        note(NEXT_STEPS)
        if chat and sys.stdin.isatty():
            note("\nNow ask your own questions, in English or French. An empty line or Ctrl-D ends the chat.")
            _chat(chatbot, history)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    *,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    adapter: Adapter = None,
    domain: Domain = None,
    language: Language = None,
    audit: Audit = None,
    prompt_cache: PromptCache = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Answer one question from your documents, with citations."""
    with clean_exit():
        if not question.strip():
            from langchain_gptoss.errors import InvalidInputError

            raise InvalidInputError("The question is empty.", hint='Write one: gptoss ask "..." --docs FOLDER')
        chatbot = make_chatbot(
            model,
            docs,
            store,
            adapter=adapter,
            domain=domain,
            language=language,
            audit=audit,
            prompt_cache_gb=prompt_cache,
            warms_up=False,
        )
        if as_json:
            show_json_answer(chatbot.invoke({"question": question}))
        else:
            show_answer(chatbot.stream({"question": question}))


@app.command()
def chat(
    *,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    adapter: Adapter = None,
    domain: Domain = None,
    language: Language = None,
    audit: Audit = None,
    prompt_cache: PromptCache = None,
) -> None:
    """Ask questions about your documents, one after another; an empty line or Ctrl-D ends."""
    with clean_exit():
        chatbot = make_chatbot(
            model,
            docs,
            store,
            adapter=adapter,
            domain=domain,
            language=language,
            audit=audit,
            prompt_cache_gb=prompt_cache,
        )
        _show_sample_questions(chatbot, language)
        _chat(chatbot, [])


app.command("serve")(serve_chatbot)
app.command("doctor")(show_machine)
app.command()(index)
app.command()(convert)
app.command()(domains)
app.command("eval")(evaluate_command)
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")


def _answer(chatbot: "Chatbot", question: str, history: "list[BaseMessage]") -> None:
    """Show the answer to a question, and add both to the history."""
    from langchain_core.messages import AIMessage, HumanMessage

    output = show_answer(chatbot.stream({"question": question, "chat_history": history}))
    history += [HumanMessage(question), AIMessage(output.answer)]


def _show_sample_questions(chatbot: "Chatbot", language: str | None) -> None:
    """Show a few questions that the documents answer: in one language, or in both of documents in two languages."""
    from langchain_gptoss.chatbot.sample_questions import suggest_questions
    from langchain_gptoss.domains.profile import LANGUAGES

    questions = [
        question
        for each in ([language] if language else LANGUAGES)
        for question in suggest_questions(chatbot.settings, language=each, count=3 if language else 2)
    ]
    if questions:
        note("Questions that these documents answer:\n" + "\n".join(f"  {question}" for question in questions))


def _chat(chatbot: "Chatbot", history: "list[BaseMessage]") -> None:
    """Answer questions until an empty line or the end of input. Ctrl-C during an answer stops only that answer."""
    from langchain_gptoss.errors import GptOssError

    while True:
        try:
            question = input("\n> ").strip()
        except EOFError:
            show()
            return
        if not question:
            return
        try:
            _answer(chatbot, question, history)
        except KeyboardInterrupt:
            note("\n(stopped)")
        except GptOssError as error:
            note(f"gptoss: {error}")
