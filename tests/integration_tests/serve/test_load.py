"""The load test of benchmarks/server_load.py, short and without a model; and addresses that cannot be used."""

import json
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from langchain_gptoss.cli import serve as cli_serve
from langchain_gptoss.cli.app import app
from tests import ROOT

SCRIPT = ROOT / "benchmarks" / "server_load.py"


def test_no_answer_is_lost_under_load(tmp_path):
    file = tmp_path / "figures.json"
    command = [sys.executable, str(SCRIPT), "--scripted", "--clients", "20", "--seconds", "3", "--json", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    figures = json.loads(file.read_text())
    assert (figures["errors"], figures["answering_at_the_end"], figures["problems"]) == (0, 0, [])
    assert figures["answers"] > 0
    assert figures["disconnected"] > 0
    assert figures["memory_mb"]["end"] < figures["memory_mb"]["middle"] + 200


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_an_unusable_address_is_refused_before_anything_is_loaded(monkeypatch, host):
    monkeypatch.setattr(cli_serve, "make_chatbot", lambda *_, **__: pytest.fail("documents were read"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "--docs", "docs", "--host", host, "--port", port])
    assert result.exit_code == 2
    assert f"cannot listen on {host}, port {port}: " in result.stderr
