"""gptoss eval."""

import pytest
from typer import Typer
from typer.testing import CliRunner

from langchain_gptoss.cli.eval import evaluate_command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--docs", "x", "--store", "y"], "either --docs FOLDER or --store INDEX"),
        ([], "either --docs FOLDER or --store INDEX"),
        (["--docs", "no-such-folder"], "no-such-folder"),
    ],
)
def test_invalid_arguments_are_rejected(tmp_path, arguments, message):
    (tmp_path / "q.jsonl").write_text('{"question": "What?", "answerable": true}')
    app = Typer()
    app.command()(evaluate_command)
    result = CliRunner().invoke(app, ["--data", str(tmp_path / "q.jsonl"), *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
