"""`gptoss domains`."""

import json
import re
import tomllib

import typer
from typer.testing import CliRunner

from langchain_gptoss.cli.domains import domains
from langchain_gptoss.domains import DomainProfile, get_profile_path, load_domain
from tests.unit_tests.domains.conftest import BUILT_IN_NAMES, write_profile

app = typer.Typer()
app.command()(domains)
app.command("other")(lambda: None)  # typer drops the name of a single command


def run(*arguments: str):
    return CliRunner().invoke(app, ["domains", *arguments], env={"COLUMNS": "160"})


def test_the_command_lists_the_profiles():
    result = run()
    assert result.exit_code == 0, result.output
    for name in BUILT_IN_NAMES:
        assert re.search(rf"\b{name}\b.*en, fr", result.stdout)
    assert "Customer support" in result.stdout
    assert "Service client" in run("--language", "fr").stdout
    rows = json.loads(run("--json").stdout)
    assert [row["name"] for row in rows] == list(BUILT_IN_NAMES)
    assert rows[0]["languages"] == ["en", "fr"]
    assert set(rows[0]) == {"name", "languages", "title", "description"}


def test_the_command_prints_a_profile(tmp_path):
    result = run("support", "--language", "fr")
    path = get_profile_path("support", language="fr")
    assert result.exit_code == 0
    assert result.stderr.strip() == str(path)
    assert tomllib.loads(result.stdout) == tomllib.loads(path.read_text(encoding="utf-8"))
    values = json.loads(run("support", "--json").stdout)
    assert values["path"] == str(get_profile_path("support"))
    assert values["fingerprint"] == load_domain("support").fingerprint
    assert DomainProfile(**values["profile"]) == load_domain("support")
    own_file = write_profile(tmp_path, path.read_text(encoding="utf-8"))
    assert tomllib.loads(run(str(own_file)).stdout)["language"] == "fr"


def test_the_command_reports_wrong_names_and_languages(tmp_path):
    for arguments in (["suport"], ["law", "--language", "de"], ["--language", "de"], [str(tmp_path / "none.toml")]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith("gptoss: ")
