"""The commands, and their errors: one or two lines that say what to do, exit status 2, no traceback."""

import json
import re
import sys
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from typer.testing import CliRunner

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import ChatbotChunk
from langchain_gptoss.cli import app as cli_app
from langchain_gptoss.cli.app import NEXT_STEPS, app
from langchain_gptoss.errors import DocumentWarning
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.chatbot.fakes import build_model
from tests.unit_tests.vectorstores.store_helpers import WordEmbeddings


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Delivery\n\nExpress delivery costs 12.90 euros.")
    return folder


def run(*arguments: str, stdin: str = ""):
    return CliRunner().invoke(app, list(arguments), input=stdin)


def check_refused(result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) <= 2
    for part in parts:
        assert part in result.stderr


def test_help_lists_the_commands_and_version_the_package():
    assert {"demo", "ask", "chat", "serve"} <= set(run("--help").stdout.split())
    assert run("--version").stdout.startswith("langchain-gptoss ")


def test_a_missing_folder_is_reported(tmp_path):
    check_refused(run("ask", "Hello?", "--docs", str(tmp_path / "none")), "gptoss: ", "none")


def test_an_empty_folder_is_reported(tmp_path):
    check_refused(run("ask", "Hello?", "--docs", str(tmp_path)), "gptoss: ", ".md")


def test_unsupported_files_are_reported(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"x")
    check_refused(run("chat", "--docs", str(tmp_path)), "picture.png", ".pdf")


@pytest.mark.parametrize("size", ["0", "-1", "inf", "nan"])
@pytest.mark.parametrize("command", [["ask", "Hello?"], ["chat"]])
def test_a_prompt_cache_without_a_size_is_reported(docs, command, size):
    result = run(*command, "--docs", str(docs), "--prompt-cache", size)
    check_refused(result, f"--prompt-cache is {float(size):g}", "in GB")


def test_an_unknown_model_is_reported(docs):
    check_refused(run("ask", "Hello?", "--docs", str(docs), "--model", "gtp-oss-20b"), "Did you mean gpt-oss-20b")


def test_a_folder_without_a_checkpoint_is_reported(docs):
    check_refused(run("ask", "Hello?", "--docs", str(docs), "--model", str(docs)), "has no config.json")


def test_a_checkpoint_of_another_architecture_is_reported(docs, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    check_refused(run("ask", "Hello?", "--docs", str(docs), "--model", str(tmp_path)), "'llama'", "'gpt_oss'")


def test_an_empty_question_is_reported(docs):
    check_refused(run("ask", "  ", "--docs", str(docs)), "The question is empty")


def test_a_missing_network_is_reported_with_the_missing_assets(docs, tmp_path, monkeypatch):
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    result = run("ask", "Hello?", "--docs", str(docs))
    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]
    assert "cannot be reached" in last
    assert "cached nothing; missing the demo model and the demo embedding model" in last


def test_ctrl_c_ends_with_one_line(docs, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_app, "make_chatbot", interrupt)
    result = run("ask", "Hello?", "--docs", str(docs))
    assert result.exit_code == 130
    assert result.stderr.strip() == "Interrupted."


def test_an_unexpected_error_keeps_its_traceback(docs, monkeypatch):
    monkeypatch.setattr(cli_app, "make_chatbot", lambda *_, **__: 1 / 0)
    assert isinstance(run("ask", "Hello?", "--docs", str(docs)).exception, ZeroDivisionError)


def test_skipped_files_are_named(docs, monkeypatch, caplog):
    (docs / "latin.md").write_bytes("Caf\xe9".encode("latin-1"))
    (docs / "empty.txt").touch()
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    monkeypatch.setattr("langchain_gptoss.embeddings.load_embeddings", lambda: DeterministicFakeEmbedding(size=8))
    monkeypatch.setattr("langchain_gptoss.models.packing.locate.locate_model", lambda *_, **__: None)
    monkeypatch.setattr("langchain_gptoss.chat_models.ChatGptOss.load", lambda _: None)
    with pytest.warns(DocumentWarning, match="latin.md"):
        cli_app.make_chatbot("demo", str(docs))
    for name in ("empty.txt", "broken.pdf"):
        assert name in caplog.text


def test_a_chat_ends_with_an_empty_line(docs, monkeypatch):
    class Echo:
        def stream(self, value):
            yield ChatbotChunk(sources=[])
            yield ChatbotChunk(answer=f"You asked {value['question']}")
            yield ChatbotChunk(citations=[], abstained=True)

    monkeypatch.setattr(cli_app, "make_chatbot", lambda *_, **__: Echo())
    monkeypatch.setattr(cli_app, "_show_sample_questions", lambda *_: None)
    result = run("chat", "--docs", str(docs), stdin="one\ntwo\n\nthree\n")
    assert result.exit_code == 0
    assert "You asked one" in result.stdout
    assert "You asked two" in result.stdout
    assert "three" not in result.stdout
    assert run("chat", "--docs", str(docs), stdin="").exit_code == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ["How much does express delivery cost?", "Combien coûte la livraison express ?"]),
        (("--language", "fr"), ["Combien coûte la livraison express ?"]),
    ],
)
def test_a_chat_begins_with_questions_that_the_documents_answer(docs, monkeypatch, options, expected):
    chunks = [
        Document(text, metadata={"source": source, "title": "Delivery", "heading": "Delivery", "language": language})
        for source, language, text in (
            ("a.md", "en", "Express delivery costs 12.90 euros."),
            ("b.md", "fr", "La livraison express coûte 12,90 euros."),
        )
    ]
    retriever = FaissStore.from_documents(chunks, WordEmbeddings("words", 512)).as_retriever()
    monkeypatch.setattr(cli_app, "make_chatbot", lambda *_, **__: create_chatbot(build_model(), retriever))
    lines = run("chat", "--docs", str(docs), *options).stderr.splitlines()
    assert lines == ["Questions that these documents answer:", *(f"  {question}" for question in expected)]


def test_serve_without_its_extra_names_the_command_to_install_it(docs, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in [name for name in sys.modules if name.startswith("langchain_gptoss.serve")]:
        monkeypatch.delitem(sys.modules, name)
    check_refused(run("serve", "--docs", str(docs)), 'pip install "langchain-gptoss[serve]"')


def test_the_demo_ends_with_models_of_the_catalog_and_their_memory():
    suggestions = re.findall(r"--model (\S+) .* ([\d.]+) GB of memory", NEXT_STEPS)
    assert [name for name, _ in suggestions] == ["demo-large", "gpt-oss-20b"]
    for name, memory_gb in suggestions:
        shape = resolve_model(name).shape
        weights_bytes = shape.packed_expert_bytes + shape.attention_weights + 2 * shape.embedding_weights
        assert weights_bytes + shape.compute_cache_bytes(4096) < float(memory_gb) * 1e9
    assert all(len(line) <= 100 for line in NEXT_STEPS.splitlines())
