"""`gptoss audit`."""

import json
import re

import pytest
from typer.testing import CliRunner

from langchain_gptoss.audit import AuditLog, read_last_entries
from langchain_gptoss.cli.audit import audit_app
from tests.unit_tests.audit.audit_helpers import KEY, build_record


@pytest.fixture(params=[None, KEY], ids=["sha256", "hmac"])
def log(request, tmp_path):
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, key=request.param, sync="never") as written:
        for number in range(3):
            written.append(build_record(id=f"{number}" * 32))
        written.append({"event": "login", "user": "ada"})
    if request.param:
        (tmp_path / "key").write_bytes(KEY)
    return path, ["--key-file", str(tmp_path / "key")] if request.param else []


def run(*arguments, code=0):
    result = CliRunner().invoke(audit_app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_verify_command(log):
    path, key = log
    printed = run("verify", path, *key).stdout
    assert "5 records" in printed
    assert ": as written." in printed
    head = re.search(r"Head (\d+:[0-9a-f]{64})", printed)[1]
    assert json.loads(run("verify", path, "--head", head, "--json", *key).stdout)["ok"]
    path.write_bytes(path.read_bytes().replace(b"fourteen", b"thirteen", 1))
    printed = run("verify", path, *key, code=1).stdout
    assert "line 2: altered: record 1 is not what was written" in printed
    assert "NOT as written" in printed
    assert json.loads(run("verify", path, "--json", *key, code=1).stdout)["problems"][0]["kind"] == "altered"


def test_verify_command_explains_errors(log, tmp_path):
    path, key = log
    assert "no audit log" in run("verify", tmp_path / "none", code=2).stderr
    assert "SEQ:HASH" in run("verify", path, "--head", "x", *key, code=2).stderr
    if key:
        assert "--key-file" in run("verify", path, code=2).stderr


def test_show_command_explains_an_answer(log):
    path, key = log
    printed = run("show", path, "111111", *key).stdout
    order = [
        "Question: How long?",
        "Searched for: How long may",
        "returns.md, page 3",
        "sha256 ",
        "Prompt version: a1b2",
    ]
    order += ["Model: Built with gpt-oss-20b", "temperature: 0.5", "Answer: You have fourteen", "“Fourteen days”"]
    places = [printed.find(text) for text in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert "matches the record" in printed
    whole = json.loads(run("show", path, "2", "--json", *key).stdout)
    assert whole["record"]["id"] == "1" * 32
    assert whole["hash_matches"] is True
    assert "login" in run("show", path, "4", *key).stdout
    if key:
        assert "needs the key" in run("show", path, "2").stdout


def test_show_command_detects_an_altered_record(log):
    path, key = log
    path.write_bytes(path.read_bytes().replace(b"fourteen", b"thirteen", 1))
    assert "DOES NOT MATCH" in run("show", path, "1", *key, code=1).stdout


def test_list_command(log, tmp_path):
    path, _ = log
    lines = run("list", path, "-n", "2").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "4"]
    assert "2" * 32 in lines[0]
    assert "How long?" in lines[0]
    assert [entry["seq"] for entry in json.loads(run("list", path, "--json").stdout)] == [0, 1, 2, 3, 4]
    assert "no audit log" in run("list", tmp_path / "none", code=2).stderr
    assert [entry.seq for entry in read_last_entries(path, 3)] == [2, 3, 4]


def test_prune_command(log):
    path, key = log
    assert "Removed 0 records" in run("prune", path, "--older-than", "180d", *key).stdout
    printed = run("prune", path, "--older-than", "0h", "--reason", "on request", *key).stdout
    assert "Removed 5 records; the log has 2 lines." in printed
    assert "on request" in run("verify", path, *key).stderr
    assert "180d" in run("prune", path, "--older-than", "soon", *key, code=2).stderr
