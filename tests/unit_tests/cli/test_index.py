"""gptoss index, and asking an index."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from langchain_gptoss.cli.app import app
from langchain_gptoss.cli.chatbot import make_chatbot
from langchain_gptoss.ingest import open_store
from tests.unit_tests.ingest.sync_helpers import HashEmbeddings


@pytest.fixture
def docs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(
        "langchain_gptoss.embeddings.load_embeddings", lambda name=None: HashEmbeddings(name or "hashed")
    )
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Delivery\n\nExpress delivery costs 12.90 euros.")
    (folder / "b.md").write_text("")
    for name in ("scan.tiff", "old.doc", "older.DOC", "README"):
        (folder / name).write_bytes(b"x")
    return folder


def run_command(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_index_check_and_repair(docs, tmp_path):
    place = tmp_path / "index"
    result = run_command("index", docs, "--store", place)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 added, 0 changed, 0 removed, 0 unchanged, 1 skipped; 1 chunks in the index (")
    assert "Skipped b.md: it is empty." in result.stderr
    assert "Ignored 4 files in formats that are not supported (2 .doc, 1 without a suffix, 1 .tiff)." in result.stderr
    assert run_command("index", docs, "--store", place, "--check").exit_code == 0
    (docs / "c.md").write_text("new")
    result = run_command("index", docs, "--store", place, "--check")
    assert result.exit_code == 1
    assert "c.md: it is not in the index." in result.stderr
    assert "Repair the index with --repair." in result.stderr
    assert "1 differences, repaired" in run_command("index", docs, "--store", place, "--repair").stdout
    assert len(open_store(place)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--check"], "There is no index in"),
        (["--check", "--watch"], "--watch cannot be combined with --check"),
        (["--repair", "--max-chars", "5"], "Omit --max-chars"),
        (["--max-chars", "5", "--max-tokens", "5"], "both given"),
        (["--overlap", "900"], "overlap is 900"),
    ],
)
def test_invalid_options_are_rejected(docs, tmp_path, options, message):
    result = run_command("index", docs, "--store", tmp_path / "index", *options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_other_embedding_model_is_rejected(docs, tmp_path):
    run_command("index", docs, "--store", tmp_path / "index", "--embeddings", "one")
    assert run_command("index", docs, "--store", tmp_path / "index").exit_code == 0
    result = run_command("index", docs, "--store", tmp_path / "index", "--embeddings", "two")
    assert result.exit_code == 2
    assert "made with the embedding model one" in result.stderr


def test_watching_ends_with_ctrl_c(docs, tmp_path, monkeypatch):
    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("threading.Event.wait", interrupt)
    result = run_command("index", docs, "--store", tmp_path / "index", "--watch")
    assert result.exit_code == 0, result.output
    assert "1 added" in result.stdout
    assert "Stopped watching" in result.stderr


def test_ask_searches_an_index(docs, tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_gptoss.models.packing.locate.locate_model", lambda *_, **__: None)
    monkeypatch.setattr("langchain_gptoss.chat_models.ChatGptOss.load", lambda _: None)
    made = {}
    monkeypatch.setattr("langchain_gptoss.chatbot.create_chatbot", lambda _, retriever: made.update(it=retriever))
    run_command("index", docs, "--store", tmp_path / "index")
    make_chatbot("demo", None, str(tmp_path / "index"), warms_up=False)
    assert made["it"].invoke("delivery")[0].metadata["source"] == "a.md"
    for arguments in ([], ["--docs", docs, "--store", tmp_path / "index"]):
        result = run_command("ask", "Hello?", *arguments)
        assert result.exit_code == 2
        assert "Give either --docs FOLDER or --store INDEX" in result.stderr
    result = run_command("ask", "Hello?", "--store", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "There is no index in" in result.stderr
