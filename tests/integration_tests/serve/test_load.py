"""The load test of benchmarks/server_load.py, short and without a model; and an address that is taken."""

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


def test_under_load_nothing_is_lost_and_who_vanishes_frees_a_place(tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(SCRIPT), "--scripted", "--clients", "20", "--seconds", "5", "--json", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert (found["errors"], found["answering_at_the_end"], found["faults"]) == (0, 0, [])
    assert found["answers"] > 20
    assert found["left"] > 0
    assert found["memory_mb"]["end"] < found["memory_mb"]["middle"] + 60


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_an_address_that_cannot_be_had_is_said_before_anything_is_loaded(monkeypatch, host):
    monkeypatch.setattr(cli_serve, "make_chatbot", lambda *_, **__: pytest.fail("documents were read"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "--docs", "docs", "--host", host, "--port", port])
    assert result.exit_code == 2
    assert f"cannot listen at {host}, port {port}: " in result.stderr
