"""Measuring: question sets are read, figures are right, and `gptoss eval` says what is wrong with its input."""

import json

import pytest
from langchain_core.runnables import RunnableLambda
from typer import Typer
from typer.testing import CliRunner

from langchain_gptoss.chatbot.types import ChatbotOutput, Citation, Source
from langchain_gptoss.cli.eval import _sampled, eval_command
from langchain_gptoss.errors import InvalidInputError, RemoteServerError
from langchain_gptoss.evals import GoldSpan, Question, Share, evaluate, read_questions
from langchain_gptoss.evals.metrics import declining, gold_in_cited_passage, gold_in_quote, valid_citations

TEXT = "Standard delivery costs 4.90 euros. Express delivery costs 12.90 euros."


def output(*, abstained=False, start=0, end=35, quote=TEXT[:35]):
    if abstained:
        return ChatbotOutput(abstained=True, reason="Declined.")
    citation = Citation(number=1, claim="x", verdict="supported", source="a.md", start=start, end=end, quote=quote)
    return ChatbotOutput(
        answer="x [1]",
        citations=[citation],
        sources=[Source(number=1, source="a.md", start=0, end=len(TEXT), text=TEXT)],
        timings={"judge": 0.001, "verify": 0.002, "retrieve": 5.0, "answer": 7.0},
    )


def question(text="q", *, answerable=True, gold=()):
    return Question(text=text, answerable=answerable, gold=gold)


# Sets


def test_json_lines(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text(
        '\ufeff{"question": " What? ", "answerable": true, "gold_source": "a.md", "answer_spans": ["4.90 euros"]}\n\n'
        '{"question": "Où ?", "answerable": true, "gold_source": "b.md"}\n'
        '{"question": "Who?", "answerable": true, "answer_spans": [{"text": "x", "source": "c.md", "start": 3}]}\n'
        '{"question": "Why?", "answerable": false}\n',
        encoding="utf-8",
    )
    found = read_questions(file)
    assert found.name == "own"
    assert [q.text for q in found.questions] == ["What?", "Où ?", "Who?", "Why?"]
    assert found.questions[0].gold == (GoldSpan(text="4.90 euros", source="a.md"),)
    assert found.questions[1].gold == (GoldSpan(source="b.md"),)
    assert found.questions[2].gold == (GoldSpan(text="x", source="c.md", start=3),)
    assert found.questions[3] == Question(text="Why?", answerable=False)


def test_squad(tmp_path):
    file = tmp_path / "set.json"
    answer = {"text": "4.90 euros", "answer_start": 24}
    qas = [
        {"question": "What?", "answers": [answer], "is_impossible": False},
        {"question": "Why?", "answers": [], "is_impossible": True},
    ]
    paragraphs = [{"context": TEXT, "qas": qas}, {"context": "Other."}, {"context": TEXT, "qas": []}]
    file.write_text(json.dumps({"data": [{"title": "Shop", "paragraphs": paragraphs}]}))
    found = read_questions(file)
    assert [d.page_content for d in found.documents] == [TEXT, "Other."]
    assert found.questions[0].gold == (GoldSpan(text="4.90 euros", source="set-1", start=24),)
    assert [q.answerable for q in found.questions] == [True, False]
    assert found.questions[0].group == "Shop"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"question": "x"}', "Line 1 of .*KeyError: 'answerable'"),
        ("a.jsonl", '{"question": "x", "answerable": true}\n{"question": "", "answerable": true}', "Line 2 of "),
        ("a.jsonl", '{"question": "x", "answerable": "yes"}', "neither true nor false"),
        ("a.jsonl", "no json", "Line 1 of "),
        ("a.jsonl", "\n", "holds no question"),
        ("a.json", "[]", "not in SQuAD's format"),
        ("a.json", "{", "not in SQuAD's format"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInputError, match=said):
        read_questions(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_questions(tmp_path / "none.json")


# Figures


def test_intervals():
    low, high = Share(hits=95, total=100).interval
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)
    assert Share(hits=0, total=0).value == 0
    assert Share(hits=0, total=0).interval == (0.0, 1.0)
    assert Share(hits=10, total=10).interval[1] == 1.0
    assert Share(hits=10, total=10).interval[0] < 0.8


def test_declining():
    questions = [question(answerable=a) for a in (True, True, True, False, False)]
    outputs = [output(abstained=a) for a in (False, False, True, True, False)]
    found = declining(questions, outputs)
    assert (found.precision.value, found.recall.value) == (0.5, 0.5)
    assert found.mistaken == Share(hits=1, total=3)
    assert found.f1 == 0.5
    assert declining([], []).f1 == 0


def test_a_citation_is_valid_where_its_quote_stands():
    wrong = output(start=1, end=36)
    elsewhere = output(quote="Something else.")
    assert valid_citations([output(), wrong, elsewhere], {"a.md": TEXT}) == Share(hits=1, total=3)
    assert valid_citations([output()], {}) == Share(hits=0, total=1)


@pytest.mark.parametrize(
    ("gold", "cited", "quoted"),
    [
        (GoldSpan(text="4.90 euros", source="a.md", start=24), True, True),
        (GoldSpan(text="12.90 euros", source="a.md", start=59), True, False),
        (GoldSpan(text="4.90 euros", source="b.md", start=24), False, False),
        (GoldSpan(text="4.90 EUROS"), True, True),
        (GoldSpan(text="12.90  euros"), True, False),
        (GoldSpan(text="99 euros"), False, False),
        (GoldSpan(text="x" * 20, source="a.md", start=len(TEXT) - 5), False, False),
    ],
)
def test_where_the_gold_answer_stands(gold, cited, quoted):
    asked = [question(gold=(gold,))]
    assert gold_in_cited_passage(asked, [output()]).hits == cited
    assert gold_in_quote(asked, [output()]).hits == quoted
    assert gold_in_cited_passage(asked, [output(abstained=True)]) == Share(hits=0, total=1)


# Running


def test_evaluate_asks_each_question_once_and_keeps_the_answers(tmp_path):
    asked = []

    def answer(value):
        asked.append(value["question"])
        if value["question"] == "broken":
            raise RemoteServerError("The model stopped.")
        return output(abstained=value["question"] == "unknown").model_dump()

    bot = RunnableLambda(answer)
    questions = [
        question("known", gold=(GoldSpan(text="4.90 euros"),)),
        question("unknown", answerable=False),
        question("broken", answerable=False),
    ]
    told = []
    file = tmp_path / "kept.jsonl"
    report = evaluate(bot, questions, texts={"a.md": TEXT}, kept=file, on_answer=lambda n, _: told.append(n))
    assert told == [1, 2, 3]
    figures = report.figures()
    assert figures["decline_recall"]["value"] == 1
    assert figures["declined_by_mistake"]["value"] == 0
    assert figures["citation_validity"] == {"value": 1.0, "interval": [0.2065, 1.0], "hits": 1, "total": 1}
    assert figures["gold_in_cited_passage"]["value"] == 1
    assert report.outputs[2].reason == "RemoteServerError: The model stopped."
    again = evaluate(bot, questions, texts={"a.md": TEXT}, kept=file)
    assert asked == ["known", "unknown", "broken"]
    assert again.figures() == figures
    json.dumps(figures)


def test_own_time_leaves_out_the_search_and_the_model():
    bot = RunnableLambda(lambda _: output())
    assert evaluate(bot, [question()]).figures()["median_own_ms"] == 3.0


def test_a_limit_takes_both_kinds_and_always_the_same():
    questions = tuple(question(str(n), answerable=n % 10 != 0) for n in range(100))
    chosen = _sampled(questions, 12)
    assert chosen == _sampled(questions, 12)
    assert sum(q.answerable for q in chosen) == 6
    assert len(_sampled(questions, 40)) == 40
    assert sum(not q.answerable for q in _sampled(questions, 40)) == 10
    assert _sampled(questions, None) == list(questions)


# The command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--docs", "x", "--store", "y"], "either --docs FOLDER or --store INDEX"),
        ([], "either --docs FOLDER or --store INDEX"),
        (["--docs", "no-such-folder"], "no-such-folder"),
    ],
)
def test_eval_says_what_is_wrong(tmp_path, arguments, said):
    (tmp_path / "q.jsonl").write_text('{"question": "What?", "answerable": true}')
    app = Typer()
    app.command()(eval_command)
    result = CliRunner().invoke(app, ["--data", str(tmp_path / "q.jsonl"), *arguments])
    assert result.exit_code == 2
    assert said in result.stderr
