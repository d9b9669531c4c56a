"""gptoss convert."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from langchain_gptoss.cli.app import app
from langchain_gptoss.models.conversion import convert


def run_command(*arguments: object):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def test_the_result_is_described_and_its_use_shown(tmp_path, monkeypatch):
    calls = []

    def write(source: Path, folder: Path, *, experts: str) -> None:
        calls.append((source, experts))
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"x" * 20_000_000)

    monkeypatch.setattr(convert, "convert_dense_checkpoint", write)
    (tmp_path / "dense.gguf").touch()
    result = run_command(tmp_path / "dense.gguf", "--out", tmp_path / "new", "--experts", "bf16")
    assert result.exit_code == 0, result.output
    assert calls == [(tmp_path / "dense.gguf", "bf16")]
    assert result.stdout.splitlines()[0] == f"{tmp_path / 'new'}: 0.02 GB"
    assert f"gptoss chat --model {tmp_path / 'new'}" in result.stdout


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("missing.gguf", [], "does not exist"),
        (".", ["--experts", "int5"], "experts is 'int5'"),
        (".", [], "config.json"),
    ],
)
def test_errors_are_one_line(tmp_path, source, options, message):
    result = run_command(tmp_path / source, "--out", tmp_path / "new", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
