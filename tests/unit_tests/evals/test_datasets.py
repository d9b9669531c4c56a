"""read_questions: formats and errors; sample_questions."""

import json

import pytest

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.evals import GoldSpan, Question, read_questions
from langchain_gptoss.evals.datasets import sample_questions
from tests.unit_tests.evals.helpers import TEXT, create_question


def test_read_json_lines(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text(
        '\ufeff{"question": " What? ", "answerable": true, "gold_source": "a.md", "answer_spans": ["4.90 euros"]}\n\n'
        '{"question": "Où ?", "answerable": true, "gold_source": "b.md"}\n'
        '{"question": "Who?", "answerable": true, "answer_spans": [{"text": "x", "source": "c.md", "start": 3}]}\n'
        '{"question": "Why?", "answerable": false}\n',
        encoding="utf-8",
    )
    question_set = read_questions(file)
    assert question_set.name == "own"
    assert [q.text for q in question_set.questions] == ["What?", "Où ?", "Who?", "Why?"]
    assert question_set.questions[0].gold == (GoldSpan(text="4.90 euros", source="a.md"),)
    assert question_set.questions[1].gold == (GoldSpan(source="b.md"),)
    assert question_set.questions[2].gold == (GoldSpan(text="x", source="c.md", start=3),)
    assert question_set.questions[3] == Question(text="Why?", answerable=False)


def test_read_squad(tmp_path):
    file = tmp_path / "set.json"
    answer = {"text": "4.90 euros", "answer_start": 24}
    qas = [
        {"question": "What?", "answers": [answer], "is_impossible": False},
        {"question": "Why?", "answers": [], "is_impossible": True},
    ]
    paragraphs = [{"context": TEXT, "qas": qas}, {"context": "Other."}, {"context": TEXT, "qas": []}]
    file.write_text(json.dumps({"data": [{"title": "Shop", "paragraphs": paragraphs}]}))
    question_set = read_questions(file)
    assert [d.page_content for d in question_set.documents] == [TEXT, "Other."]
    assert question_set.questions[0].gold == (GoldSpan(text="4.90 euros", source="set-1", start=24),)
    assert [q.answerable for q in question_set.questions] == [True, False]
    assert question_set.questions[0].group == "Shop"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"question": "x"}', "Line 1 of .*KeyError: 'answerable'"),
        ("a.jsonl", '{"question": "x", "answerable": true}\n{"question": "", "answerable": true}', "Line 2 of "),
        ("a.jsonl", '{"question": "x", "answerable": "yes"}', "neither true nor false"),
        ("a.jsonl", "no json", "Line 1 of "),
        ("a.jsonl", "\n", "has no questions"),
        ("a.json", "[]", "not in SQuAD's format"),
        ("a.json", "{", "not in SQuAD's format"),
    ],
)
def test_unusable_files_are_rejected(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_questions(tmp_path / name)


def test_missing_file_is_rejected(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_questions(tmp_path / "none.json")


def test_sample_has_both_kinds_and_is_always_the_same():
    questions = tuple(create_question(str(n), answerable=n % 10 != 0) for n in range(100))
    chosen = sample_questions(questions, 12)
    assert chosen == sample_questions(questions, 12)
    assert sum(q.answerable for q in chosen) == 6
    assert len(sample_questions(questions, 40)) == 40
    assert sum(not q.answerable for q in sample_questions(questions, 40)) == 10
    assert sample_questions(questions, 100) == list(questions)
