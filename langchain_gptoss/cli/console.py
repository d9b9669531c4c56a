"""Output of the commands, and their exit status after an error."""

import json
import logging
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from langchain_gptoss.chatbot import ChatbotOutput, Citation

EXIT_ERROR = 2  # for every error of this package; its message says what to do
EXIT_INTERRUPTED = 130  # the shell's exit status for Ctrl-C


@contextmanager
def clean_exit() -> Iterator[None]:
    """Turn errors of this package and Ctrl-C into a line on standard error and an exit status."""
    _show_warnings()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_document_warning(warnings.showwarning)
            yield
    except KeyboardInterrupt:
        note("\nInterrupted.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception as error:
        from langchain_gptoss.errors import GptOssError  # a module-level import would slow down `gptoss --help`

        if not isinstance(error, GptOssError):
            raise
        note(f"gptoss: {error}")
        raise typer.Exit(EXIT_ERROR) from error


def _show_warnings() -> None:
    """Show the package's warnings, such as skipped files, as plain lines."""
    logger = logging.getLogger("langchain_gptoss")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("gptoss: %(message)s"))
        logger.addHandler(handler)


def _show_document_warning(show_other: Callable[..., None]) -> Callable[..., None]:
    """Return a function that shows what is odd about a document as a plain line, and other warnings as before."""

    def show_warning(message: Warning | str, category: type[Warning], *details: Any) -> None:
        from langchain_gptoss.errors import DocumentWarning

        if issubclass(category, DocumentWarning):
            note(f"gptoss: {message}")
        else:
            show_other(message, category, *details)

    return show_warning


def note(text: str) -> None:
    """Print a line on standard error; standard output is for the answer only."""
    typer.echo(text, err=True)


def show_heading(text: str) -> None:
    """Print a question as a heading."""
    typer.secho(f"\n> {text}", bold=True)


def show_answer(chunks: "Iterable[ChatbotOutput]") -> "ChatbotOutput":
    """Print an answer as it arrives, then its citations, and return the whole answer."""
    answer: Any = None
    for chunk in chunks:
        typer.echo(chunk.answer, nl=False)
        answer = chunk if answer is None else answer + chunk
    typer.echo()
    for citation in answer.citations:
        _show_citation(citation)
    if answer.disclaimer:
        note(f"\n{answer.disclaimer}")
    output: ChatbotOutput = answer.to_output()
    return output


def _show_citation(citation: "Citation") -> None:
    page = f", page {citation.page}" if citation.page else ""
    place = f"{citation.source}{page}" + (f" · {citation.heading}" if citation.heading else "")
    typer.secho(f"\n[{citation.number}] {place}", fg="cyan")
    typer.echo(textwrap.fill(f"“{citation.quote}”", 100, initial_indent="    ", subsequent_indent="    "))


def show_json(answer: "ChatbotOutput") -> None:
    """Print an answer as one JSON object, without the text of the passages."""
    fields = answer.model_dump(mode="json", exclude={"sources"})
    typer.echo(json.dumps(fields, ensure_ascii=False, indent=2))
