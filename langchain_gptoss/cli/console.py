"""Output of the commands, and their exit status after an error.

Every command prints through this module, which replaces control characters: answers, passages and file names come from
others, and a terminal obeys what it is sent (see `langchain_gptoss.text.terminal`).
"""

import logging
import sys
import textwrap
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import typer

from langchain_gptoss.text.terminal import TerminalFilter, clean_line, clean_text, format_json

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
            warnings.showwarning = _show_warning
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


@contextmanager
def clean_traceback() -> Iterator[None]:
    """Print the traceback of an unexpected error without characters that act on a terminal, and exit with status 1."""
    try:
        yield
    except Exception:
        show(traceback.format_exc(), is_error=True, ends_line=False)
        sys.exit(1)


def _show_warnings() -> None:
    """Show the package's warnings, such as skipped files, as plain lines, and make those of other packages safe."""
    if logging.lastResort is not None and not logging.lastResort.filters:
        logging.lastResort.addFilter(TerminalFilter())
    logger = logging.getLogger("langchain_gptoss")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.addFilter(TerminalFilter())
        handler.setFormatter(logging.Formatter("gptoss: %(message)s"))
        logger.addHandler(handler)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show what is odd about a document as a plain line, and other warnings as Python does."""
    from langchain_gptoss.errors import DocumentWarning

    if issubclass(category, DocumentWarning):
        note(f"gptoss: {message}")
    else:
        show(warnings.formatwarning(message, category, filename, lineno, line), is_error=True, ends_line=False)


def show(text: str = "", *, is_error: bool = False, ends_line: bool = True, **style: Any) -> None:
    """Print a text without characters that act on a terminal.

    Args:
        text: The text; line ends and tabs stay.
        is_error: Print on standard error, which is for everything but the answer.
        ends_line: Print a line end after the text.
        **style: Style of the text, as `typer.style` takes it.
    """
    typer.secho(clean_text(text), err=is_error, nl=ends_line, **style)


def note(text: str) -> None:
    """Print a line on standard error; standard output is for the answer only."""
    show(text, is_error=True)


def show_heading(text: str) -> None:
    """Print a question as a heading."""
    show(f"\n> {text}", bold=True)


def show_answer(chunks: "Iterable[ChatbotOutput]") -> "ChatbotOutput":
    """Print an answer as it arrives, then its citations, and return the whole answer."""
    answer: Any = None
    for chunk in chunks:
        show(chunk.answer, ends_line=False)
        answer = chunk if answer is None else answer + chunk
    show()
    for citation in answer.citations:
        _show_citation(citation)
    if answer.notice:
        note(f"\n{answer.notice}")
    if answer.disclaimer:
        note(f"\n{answer.disclaimer}")
    output: ChatbotOutput = answer.to_output()
    return output


def _show_citation(citation: "Citation") -> None:
    page = f", page {citation.page}" if citation.page else ""
    place = f"{citation.source}{page}" + (f" · {citation.heading}" if citation.heading else "")
    show(f"\n[{citation.number}] {clean_line(place)}", fg="cyan")
    show(textwrap.fill(f"“{citation.quote}”", 100, initial_indent="    ", subsequent_indent="    "))


def show_json(value: Any) -> None:
    """Print a value as JSON, with characters that act on a terminal escaped."""
    typer.echo(format_json(value))


def show_json_answer(answer: "ChatbotOutput") -> None:
    """Print an answer as one JSON object, without the text of the passages."""
    show_json(answer.model_dump(mode="json", exclude={"sources"}))
