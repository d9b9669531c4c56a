"""`gptoss serve` and `gptoss keys`: options reach the server, and invalid ones are refused at once."""

from datetime import date
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from typer.testing import CliRunner

from langchain_gptoss.cli import serve as cli_serve
from langchain_gptoss.cli.app import app
from langchain_gptoss.cli.chatbot import make_chatbot
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve import Keys, ServerSettings
from tests import ROOT


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


@pytest.fixture
def server_arguments(monkeypatch, tmp_path) -> dict[str, Any]:
    """The arguments with which the server is started; neither a model nor a server runs."""
    arguments: dict[str, Any] = {}
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cli_serve, "_check_address", lambda host, port: None)
    monkeypatch.setattr(
        cli_serve, "make_chatbot", lambda model, docs, store, **options: arguments.update(chatbot=options, docs=docs)
    )
    monkeypatch.setattr("langchain_gptoss.serve.serve", lambda chatbot, **options: arguments.update(options))
    return arguments


@pytest.fixture
def demo_parts(monkeypatch):
    """Parts of a chatbot that need no checkpoint."""
    monkeypatch.setattr("langchain_gptoss.models.packing.locate.locate_model", lambda card, **_: None)
    monkeypatch.setattr("langchain_gptoss.chat_models.ChatGptOss.load", lambda llm: None)
    monkeypatch.setattr("langchain_gptoss.embeddings.load_embeddings", lambda: DeterministicFakeEmbedding(size=16))


def test_help_names_every_option():
    shown = run("serve", "--help").stdout
    for option in ("--docs", "--store", "--model", "--domain", "--host", "--port", "--keys", "--sessions", "--audit"):
        assert option in shown
    for option in ("--access", "--label", "--cors", "--allow-host", "--rate", "--timeout", "--concurrent", "--title"):
        assert option in shown
    assert "127.0.0.1" in shown


def test_the_size_of_the_prompt_cache_reaches_the_model(server_arguments, demo_parts, tmp_path):
    assert run("serve", "--docs", "docs", "--prompt-cache", "2.5").exit_code == 0
    assert server_arguments["chatbot"]["prompt_cache_gb"] == 2.5
    (tmp_path / "a.md").write_text("Express delivery costs 12.90 euros.")
    assert make_chatbot("demo", str(tmp_path), prompt_cache_gb=2.5).settings.llm.prompt_cache_gb == 2.5
    assert make_chatbot("demo", str(tmp_path)).settings.llm.prompt_cache_gb is None


def test_defaults_use_this_machine_and_the_data_folder(server_arguments, tmp_path):
    result = run("serve", "--docs", "docs")
    assert result.exit_code == 0, result.output
    assert (server_arguments["host"], server_arguments["port"], server_arguments["title"]) == (
        "127.0.0.1",
        8000,
        "langchain-gptoss",
    )
    assert server_arguments["settings"] == ServerSettings()
    file = str(tmp_path / "home" / "data" / "sessions.sqlite")
    assert server_arguments["chatbot"]["sessions"] == file
    assert f"Conversations are saved in {file}" in result.stderr
    assert list(tmp_path.rglob("*")) == []  # nothing is written before a chatbot exists
    assert "Serving on http://127.0.0.1:8000/" in result.stderr
    assert "Everyone" not in result.stderr


def test_every_option_reaches_the_server(server_arguments, tmp_path):
    file = str(tmp_path / "keys.toml")
    key = run("keys", "add", "shop", "--file", file, "--label", "hr").stdout.strip()
    options = ["--keys", file, "--cors", "https://a.example", "--cors", "https://b.example", "--allow-host", "help"]
    options += ["--rate", "7", "--timeout", "30", "--concurrent", "3", "--title", "Desk", "--port", "9000"]
    options += ["--label", "staff", "--label", "it"]
    options += ["--host", "0.0.0.0", "--access", "groups", "--audit", "audit.jsonl", "--domain", "support"]
    result = run("serve", "--docs", "docs", *options)
    assert result.exit_code == 0, result.output
    settings = server_arguments["settings"]
    assert settings.keys.find_key(key).labels == ("hr",)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    limits = (settings.allowed_hosts, settings.requests_per_minute, settings.timeout_seconds, settings.max_concurrent)
    assert limits == (("help",), 7, 30.0, 3)
    assert (server_arguments["host"], server_arguments["port"], server_arguments["title"]) == ("0.0.0.0", 9000, "Desk")
    assert (
        server_arguments["chatbot"]["access"],
        server_arguments["chatbot"]["audit"],
        server_arguments["chatbot"]["domain"],
    ) == (
        "groups",
        "audit.jsonl",
        "support",
    )
    assert server_arguments["chatbot"]["labels"] == ["staff", "it"]
    assert "Everyone" not in result.stderr


def test_labels_need_a_field_and_documents(server_arguments):
    assert "--label needs --access" in run("serve", "--docs", "docs", "--label", "hr").stderr
    with pytest.raises(InvalidInputError, match="--label is for --docs"):
        make_chatbot("demo", None, "index", labels=["hr"], access="groups")


@pytest.mark.usefixtures("demo_parts")
def test_a_chatbot_over_a_folder_answers_those_whose_labels_fit(tmp_path):
    folder = tmp_path / "docs"
    (folder / "hr").mkdir(parents=True)
    (folder / "access.toml").write_text('[labels]\n"hr/**" = ["hr"]\n')
    (folder / "hr" / "pay.md").write_text("The bonus of the staff is 500 euros.")
    (folder / "sales.md").write_text("---\ngroups: [sales]\n---\nExpress delivery costs 12 euros.")
    (folder / "hours.md").write_text("The office opens at nine.")
    chatbot = make_chatbot("demo", str(folder), labels=["public"], access="groups")
    question = "How much is the bonus of the staff, and express delivery?"
    for labels, sources in (
        ([], {"hours.md"}),
        (["hr"], {"hours.md", "hr/pay.md"}),
        (["sales"], {"hours.md", "sales.md"}),
        (["hr", "sales"], {"hours.md", "hr/pay.md", "sales.md"}),
    ):
        settings = chatbot.settings
        filter_ = settings.access.build_filter(labels)
        assert {
            document.metadata["source"] for document in settings.retriever.invoke(question, filter=filter_)
        } == sources


def test_an_open_server_on_the_network_gets_a_warning(server_arguments):
    assert "Everyone who reaches 0.0.0.0 may use this server" in run("serve", "--docs", "d", "--host", "0.0.0.0").stderr


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--keys", "none.toml"], "none.toml cannot be read"),
        (["--cors", "intranet"], "cors_origins contains 'intranet'"),
        (["--domain", "suport"], "suport"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_loaded(monkeypatch, options, part):
    monkeypatch.setattr(cli_serve, "_check_address", lambda host, port: None)
    monkeypatch.setattr("langchain_gptoss.chat_models.ChatGptOss.load", lambda _: pytest.fail("a model was loaded"))
    result = run("serve", "--docs", str(ROOT / "docs"), *options)
    assert result.exit_code == 2
    assert part in result.stderr


def test_a_key_is_shown_once_and_stored_as_a_hash(tmp_path):
    file = tmp_path / "keys.toml"
    options = ["--label", "hr", "--label", "sales", "--rate", "30", "--expires", "2999-12-31"]
    added = run("keys", "add", "help desk", "--file", str(file), *options)
    assert added.exit_code == 0, added.output
    key = added.stdout.strip()
    assert key.startswith("gptoss-")
    assert key not in file.read_text()
    api_key = Keys.load(file).find_key(key)
    assert (api_key.name, api_key.labels) == ("help desk", ("hr", "sales"))
    assert (api_key.requests_per_minute, api_key.expires) == (30, date(2999, 12, 31))
    again = run("keys", "add", "help desk", "--file", str(file))
    assert again.exit_code == 2
    assert again.stdout == ""
    assert "is already used" in again.stderr


@pytest.mark.parametrize("options", [["--expires", "soon"], ["--rate", "-1"], []])
def test_an_invalid_key_is_not_added(tmp_path, options):
    file = tmp_path / "keys.toml"
    name = "a/b" if not options else "a"
    assert run("keys", "add", name, "--file", str(file), *options).exit_code == 2
    assert not file.exists()
