"""The commands and the examples of README and docs, with the real demo model."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from langchain_gptoss import create_chatbot
from langchain_gptoss.cli.app import DEMO_QUESTIONS, app
from langchain_gptoss.engine.loading import PROMPT_FOLDER
from langchain_gptoss.models.download.cache_directory import cache_directory
from tests import ROOT

HANDBOOK = Path(str(files("langchain_gptoss") / "samples" / "handbook"))
EXPRESS = "How much does express shipping cost?"


def run(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def collect_examples() -> list[pytest.ParameterSet]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    examples = [
        (page, code) for page in pages for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    return [pytest.param(code, id=f"{page.name}-{number}") for number, (page, code) in enumerate(examples)]


@pytest.mark.parametrize("code", collect_examples())
def test_examples_run_as_written(code, tmp_path, monkeypatch, capsys, demo_llm):
    shutil.copytree(HANDBOOK / "en", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {})
    if "opened laptop" in code:
        printed = capsys.readouterr().out
        assert "within 14 days" in printed
        source = "en/returns.md" if '"handbook"' in code else "returns.md"  # a part of the handbook is in docs/
        assert f"[1] {source} · Returns and refunds > Return periods: “An opened laptop" in printed


def test_demo_prints_four_questions_and_answers():
    printed = run("demo", "--no-chat")
    parts = re.split(r"^> .*$", printed, flags=re.MULTILINE)[1:]
    assert [line for line in printed.splitlines() if line.startswith("> ")] == [f"> {q}" for q in DEMO_QUESTIONS]
    for part, figure, source in zip(parts, ["14", "4.90", "12.90"], ["returns", "shipping", "shipping"], strict=False):
        answer, citation = part.strip().split("\n\n")
        assert figure in answer
        assert "[1]" in answer
        assert citation.startswith(f"[1] en/{source}.md · ")
        assert figure in citation
    assert parts[3].strip() == "I could not find this in the documents."


@pytest.mark.slow
def test_the_second_process_starts_with_the_prompt_of_the_first(tmp_path, demo_llm):
    demo_llm.load()  # so that everything is in the cache folder
    home = tmp_path / "home"
    home.mkdir()
    for entry in cache_directory().iterdir():
        if entry.name != PROMPT_FOLDER:
            (home / entry.name).symlink_to(entry)
    environment = {**os.environ, "GPTOSS_HOME": str(home)}
    code = "from langchain_gptoss.cli import main; main()"
    command = [sys.executable, "-c", code, "ask", EXPRESS, "--docs", str(HANDBOOK / "en"), "--json"]
    answers = []
    for _ in range(2):
        result = subprocess.run([*command, "--prompt-cache", "0.5"], env=environment, capture_output=True, check=True)
        answers.append(json.loads(result.stdout))
    cached = [answer["usage"]["input_token_details"]["cache_read"] for answer in answers]
    assert cached[0] == 0
    assert cached[1] > 0.5 * answers[1]["usage"]["input_tokens"]
    assert answers[0]["answer"] == answers[1]["answer"]


SHOPS = [
    ("shipping.md", "# Shipping\n\nStandard shipping costs 5 dollars. Express shipping costs 15 dollars.", "15"),
    ("faq.txt", "We ship worldwide.\n\nExpress shipping is $9.99 per order and arrives overnight.\n\nCall us.", "9.99"),
    (
        "rates.md",
        "# Rates\n\n## Delivery\n\n- Standard: 3.50 EUR\n- Express delivery: 11.20 EUR\n- Pickup: free",
        "11.20",
    ),
    ("rates.html", "<h1>Prices</h1><p>Express shipping costs 7.40 euros.</p><p>Regular: 2 euros.</p>", "7.40"),
    (
        "prices.md",
        "# Prices\n\n| Service | Price |\n|---|---|\n| Standard shipping | £3 |\n| Express shipping | £8 |",
        "8",
    ),
]


@pytest.mark.parametrize(("name", "text", "figure"), SHOPS, ids=[shop[0] for shop in SHOPS])
def test_ask_finds_a_figure_in_a_small_folder(tmp_path, name, text, figure):
    (tmp_path / name).write_text(text)
    (tmp_path / "about.md").write_text("# About us\n\nWe were founded in 1999 and employ 30 people in Lyon.")
    (tmp_path / "hours.txt").write_text("The shop is open from 9:00 to 18:00, Monday to Saturday.")
    answer = json.loads(run("ask", EXPRESS, "--docs", str(tmp_path), "--json"))
    assert figure in answer["answer"]
    assert any(figure in citation["quote"] for citation in answer["citations"])
    assert not answer["abstained"]
    if name.endswith((".md", ".txt")):
        for citation in answer["citations"]:
            assert text[citation["start"] : citation["end"]] == citation["quote"]


def test_ask_reports_the_tokens_of_the_model(tmp_path):
    (tmp_path / "faq.txt").write_text(SHOPS[1][1])
    (tmp_path / "about.md").write_text("# About us\n\nWe were founded in 1999 and employ 30 people in Lyon.")
    (tmp_path / "hours.txt").write_text("The shop is open from 9:00 to 18:00, Monday to Saturday.")
    usage = json.loads(run("ask", EXPRESS, "--docs", str(tmp_path), "--json"))["usage"]
    assert usage["input_tokens"] > usage["output_tokens"] > 0


def test_ask_prints_citations_below_the_answer(tmp_path):
    (tmp_path / "a.md").write_text(SHOPS[0][1])
    printed = run("ask", EXPRESS, "--docs", str(tmp_path))
    assert re.search(r"15.*\[1\]\n\n\[1\] a\.md · Shipping\n    “Express shipping costs 15 dollars\.”", printed)


def test_ask_declines_a_question_without_an_answer(tmp_path):
    (tmp_path / "a.md").write_text(SHOPS[0][1])
    answer = json.loads(run("ask", "Who painted the Mona Lisa?", "--docs", str(tmp_path), "--json"))
    assert answer["abstained"]
    assert answer["citations"] == []


def test_ask_refuses_a_question_longer_than_the_context(tmp_path):
    (tmp_path / "a.md").write_text(SHOPS[0][1])
    result = CliRunner().invoke(app, ["ask", "express " * 9000, "--docs", str(tmp_path)])
    assert result.exit_code == 2
    assert re.search(r"9\d\d\d tokens and the model's context holds 8192", result.stderr)


def test_questions_about_the_handbook_are_answered_in_english_and_french(demo_llm, handbook_store):
    bot = create_chatbot(demo_llm, handbook_store.as_retriever())
    expected = {
        "When are refunds paid?": "7 days",
        "What does a repair diagnosis cost?": "35 euros",
        "How many days of annual leave do employees get?": "27",
        "Combien coûte la livraison express ?": "12,90",
    }
    for question, figure in expected.items():
        answer = bot.invoke({"question": question})
        assert figure in answer["answer"], question
        for citation in answer["citations"]:
            text = (HANDBOOK / citation["source"]).read_text(encoding="utf-8")
            assert text[citation["start"] : citation["end"]] == citation["quote"]
    for question in ("Who is the chief executive?", "How tall is the Eiffel Tower?"):
        assert bot.invoke({"question": question})["abstained"], question


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_ctrl_c_ends_with_one_line(tmp_path):
    (tmp_path / "a.md").write_text(SHOPS[0][1])
    code = "from langchain_gptoss.cli import main; main()"
    command = [sys.executable, "-c", code, "ask", EXPRESS, "--docs", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first_line = process.stderr.readline()  # printed before the documents and the model are loaded
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert first_line.startswith("demo: ")
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "Interrupted."
    assert "Traceback" not in errors
