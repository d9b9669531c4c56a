"""What the command line prints, and how it ends when something is wrong: one clean line and an exit status."""

import json
import logging
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from langchain_gptoss.chatbot import ChatbotOutput, Citation

BAD_INPUT = 2  # exit status for everything that the user can mend
INTERRUPTED = 130  # what shells report for Ctrl-C


@contextmanager
def clean_exit() -> Iterator[None]:
    """Turns this package's errors and Ctrl-C into one line on standard error and an exit status."""
    _say_warnings()
    try:
        yield
    except KeyboardInterrupt:
        note("\nInterrupted.")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        from langchain_gptoss.errors import GptOssError  # imported here to keep `gptoss --help` quick

        if not isinstance(error, GptOssError):
            raise
        note(f"gptoss: {error}")
        raise typer.Exit(BAD_INPUT) from error


def _say_warnings() -> None:
    """Shows the package's warnings (a skipped file) as plain lines."""
    logger = logging.getLogger("langchain_gptoss")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("gptoss: %(message)s"))
        logger.addHandler(handler)


def note(text: str) -> None:
    """Prints a line about the work on standard error, which leaves standard output to the answer."""
    typer.echo(text, err=True)


def heading(text: str) -> None:
    """Prints a question as a heading."""
    typer.secho(f"\n> {text}", bold=True)


def show_answer(pieces: "Iterable[ChatbotOutput]") -> "ChatbotOutput":
    """Prints an answer as it comes, its sources below, and returns the whole of it."""
    whole: Any = None
    for piece in pieces:
        typer.echo(piece.answer, nl=False)
        whole = piece if whole is None else whole + piece
    typer.echo()
    for citation in whole.citations:
        _show_citation(citation)
    if whole.disclaimer:
        note(f"\n{whole.disclaimer}")
    output: ChatbotOutput = whole.to_output()
    return output


def _show_citation(citation: "Citation") -> None:
    page = f", page {citation.page}" if citation.page else ""
    place = f"{citation.source}{page}" + (f" · {citation.heading}" if citation.heading else "")
    typer.secho(f"\n[{citation.number}] {place}", fg="cyan")
    typer.echo(textwrap.fill(f"“{citation.quote}”", 100, initial_indent="    ", subsequent_indent="    "))


def show_json(answer: "ChatbotOutput") -> None:
    """Prints an answer as one JSON object, without the text of the passages."""
    kept = answer.model_dump(mode="json", exclude={"sources"})
    typer.echo(json.dumps(kept, ensure_ascii=False, indent=2))
