"""`gptoss serve` and `gptoss keys`: what they are told reaches the server, and what cannot work is said at once."""

from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from langchain_gptoss.cli import serve as cli_serve
from langchain_gptoss.cli.app import app
from langchain_gptoss.serve import Keys, ServerSettings
from tests import ROOT


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


@pytest.fixture
def served(monkeypatch) -> dict[str, Any]:
    """What the server was started with, without a model and without a server."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(cli_serve, "_check_port", lambda host, port: None)
    monkeypatch.setattr(
        cli_serve, "make_chatbot", lambda model, docs, store, **options: seen.update(bot=options, docs=docs)
    )
    monkeypatch.setattr("langchain_gptoss.serve.serve", lambda bot, **options: seen.update(options))
    return seen


def test_help_names_every_option():
    shown = run("serve", "--help").stdout
    for option in ("--docs", "--store", "--model", "--domain", "--host", "--port", "--keys", "--sessions", "--audit"):
        assert option in shown
    for option in ("--access", "--cors", "--allow-host", "--rate", "--timeout", "--concurrent", "--title"):
        assert option in shown
    assert "127.0.0.1" in shown


def test_the_defaults_are_this_machine_and_its_sessions_file(served):
    result = run("serve", "--docs", "docs")
    assert result.exit_code == 0, result.output
    assert (served["host"], served["port"], served["title"]) == ("127.0.0.1", 8000, "langchain-gptoss")
    assert served["settings"] == ServerSettings()
    assert served["bot"]["sessions"] == "sessions.sqlite"
    assert "Serving on http://127.0.0.1:8000/" in result.stderr
    assert "Everybody" not in result.stderr


def test_every_option_reaches_the_server(served, tmp_path):
    file = str(tmp_path / "keys.toml")
    key = run("keys", "add", "shop", "--file", file, "--label", "hr").stdout.strip()
    options = ["--keys", file, "--cors", "https://a.example", "--cors", "https://b.example", "--allow-host", "help"]
    options += ["--rate", "7", "--timeout", "30", "--concurrent", "3", "--title", "Desk", "--port", "9000"]
    options += ["--host", "0.0.0.0", "--access", "groups", "--audit", "audit.jsonl", "--domain", "support"]
    result = run("serve", "--docs", "docs", *options)
    assert result.exit_code == 0, result.output
    settings = served["settings"]
    assert settings.keys.caller(key).labels == ("hr",)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    limits = (settings.hosts, settings.requests_per_minute, settings.timeout_seconds, settings.max_concurrent)
    assert limits == (("help",), 7, 30.0, 3)
    assert (served["host"], served["port"], served["title"]) == ("0.0.0.0", 9000, "Desk")
    assert (served["bot"]["access"], served["bot"]["audit"], served["bot"]["domain"]) == (
        "groups",
        "audit.jsonl",
        "support",
    )
    assert "Everybody" not in result.stderr


def test_an_open_server_on_the_network_is_pointed_out(served):
    assert (
        "Everybody who reaches 0.0.0.0 may use this server" in run("serve", "--docs", "d", "--host", "0.0.0.0").stderr
    )


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--keys", "none.toml"], "none.toml cannot be read"),
        (["--cors", "intranet"], "cors_origins holds 'intranet'"),
        (["--domain", "suport"], "suport"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(monkeypatch, options, part):
    monkeypatch.setattr(cli_serve, "_check_port", lambda host, port: None)
    monkeypatch.setattr("langchain_gptoss.chat_models.ChatGptOss.load", lambda _: pytest.fail("a model was loaded"))
    result = run("serve", "--docs", str(ROOT / "docs"), *options)
    assert result.exit_code == 2
    assert part in result.stderr


def test_a_key_is_shown_once_and_kept_as_a_hash(tmp_path):
    file = tmp_path / "keys.toml"
    options = ["--label", "hr", "--label", "sales", "--rate", "30", "--expires", "2999-12-31"]
    added = run("keys", "add", "help desk", "--file", str(file), *options)
    assert added.exit_code == 0, added.output
    key = added.stdout.strip()
    assert key.startswith("gptoss-")
    assert key not in file.read_text()
    caller = Keys.load(file).caller(key)
    assert (caller.name, caller.labels) == ("help desk", ("hr", "sales"))
    assert (caller.requests_per_minute, caller.expires) == (30, date(2999, 12, 31))
    again = run("keys", "add", "help desk", "--file", str(file))
    assert again.exit_code == 2
    assert again.stdout == ""
    assert "is there twice" in again.stderr


@pytest.mark.parametrize("options", [["--expires", "soon"], ["--rate", "-1"], []])
def test_a_key_that_cannot_work_is_not_added(tmp_path, options):
    file = tmp_path / "keys.toml"
    name = "a/b" if not options else "a"
    assert run("keys", "add", name, "--file", str(file), *options).exit_code == 2
    assert not file.exists()
