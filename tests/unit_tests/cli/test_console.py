"""What the commands print: no text of others acts on the terminal."""

import ast
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import typer

import langchain_gptoss.cli
from langchain_gptoss.chatbot import ChatbotChunk, Citation
from langchain_gptoss.cli import console
from langchain_gptoss.cli.console import clean_exit, clean_traceback, note, show, show_answer, show_json
from langchain_gptoss.errors import DocumentWarning, GptOssError
from langchain_gptoss.ingest import SkippedFile
from langchain_gptoss.text.terminal import clean_text

CLIPBOARD, TITLE, CLEAR = "\x1b]52;c;UFdORUQ=\x07", "\x1b]0;NAME\x07", "\x9b2J"
FOLDER = Path(langchain_gptoss.cli.__file__).parent


def check_safe(text: str, *shown: str) -> None:
    assert clean_text(text) == text
    for part in shown:
        assert part in text


def test_answers_and_citations_are_shown_without_control_characters(capsys):
    citation = Citation(
        number=1, claim="x", verdict="quoted", source=f"a{TITLE}\n[2] b.md", heading=f"H{CLEAR}", start=0, end=1,
        quote=f"costs {CLIPBOARD} 12 euros",
    )  # fmt: skip
    chunks = [
        ChatbotChunk(answer="It costs \x1b", citations=[]),  # a sequence that is split over two chunks
        ChatbotChunk(answer="]52;c;UFdORUQ=\x07 12 euros\n[1]", citations=[citation], disclaimer=f"Ask{CLEAR}."),
    ]
    output = show_answer(chunks)
    assert "\x1b]52" in output.answer  # only what is shown is changed
    printed = capsys.readouterr()
    check_safe(printed.out, "12 euros\n[1]", "costs ␛]52", "a␛]0;NAME␇␊[2] b.md · H\ufffd2J")
    check_safe(printed.err, "Ask\ufffd2J.")


@pytest.mark.parametrize(
    "text", [str(SkippedFile(f"e{TITLE}.md", f"it is {CLEAR}empty")), f"gptoss: {CLIPBOARD}", f"a\r{CLEAR}b"]
)
def test_notes_are_safe(capsys, text):
    note(text)
    check_safe(capsys.readouterr().err)


def test_names_of_skipped_files_stay_on_one_line():
    assert str(SkippedFile("a\nSkipped b.md: it is empty.", "it is empty")).count("\n") == 0


def test_json_is_escaped(capsys):
    show_json({"answer": f"{CLIPBOARD}{CLEAR}\u202e"})
    check_safe(capsys.readouterr().out, "\\u001b]52", "\\u009b2J", "\\u202e")


def test_own_style_is_kept(capsys):
    show(f"{CLEAR}x", bold=True)
    assert "x" in capsys.readouterr().out


@clean_exit()
def fail_with_warnings() -> None:
    warnings.simplefilter("always")
    warnings.warn(f"a{TITLE}.md: odd", DocumentWarning, stacklevel=1)
    warnings.warn(f"old{CLIPBOARD}", FutureWarning, stacklevel=1)
    raise GptOssError(f"There is no {TITLE}.")


def test_errors_and_warnings_are_safe(capsys):
    with pytest.raises(typer.Exit):
        fail_with_warnings()
    shown = capsys.readouterr().err
    check_safe(shown, "gptoss: a␛]0;NAME␇.md: odd", "FutureWarning: old␛]52", "gptoss: There is no ␛]0")


def test_handler_of_the_packages_log_is_safe(monkeypatch):
    logger = logging.getLogger("langchain_gptoss")
    monkeypatch.setattr(logger, "handlers", [])
    console._show_warnings()
    assert logger.handlers[0].filters
    assert logging.lastResort.filters


def test_unexpected_errors_are_shown_safely(capsys):
    with pytest.raises(SystemExit) as ended, clean_traceback():
        raise ZeroDivisionError(f"{CLIPBOARD}")
    assert ended.value.code == 1
    check_safe(capsys.readouterr().err, "Traceback", "ZeroDivisionError: ␛]52")


def test_the_command_itself_is_safe(tmp_path):
    name = "a\x1b]0;NAME\x07.md"
    try:
        (tmp_path / name).write_text("")
    except OSError:
        pytest.skip("this file system has no such names")
    code = "from langchain_gptoss.cli import main; main()"
    command = [sys.executable, "-c", code, "index", str(tmp_path), "--store", f"{tmp_path}/store"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    check_safe(ended.stdout)
    check_safe(ended.stderr, "Skipped a␛]0;NAME␇.md: it is empty.")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_commands_print_through_one_module(path):
    """`console` may print as it likes, and a table of rich is allowed where its cells are cleaned."""
    if path.name == "console.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    forbidden = {
        "print",
        "typer.echo",
        "typer.secho",
        "typer.style",
        "sys.stdout.write",
        "sys.stderr.write",
        "json.dumps",
    }
    assert not called & forbidden
    if "Console" in called:
        assert "map" in called
        assert "clean_line" in path.read_text(encoding="utf-8")
