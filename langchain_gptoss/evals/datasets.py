"""Question sets: questions, with the answers that the documents have to them.

Two formats are supported: SQuAD's, in which the passages come with the questions, and JSON lines for the user's own
documents:

    {"question": "...", "answerable": true, "gold_source": "shipping.md", "answer_spans": ["12.90 euros"]}
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class GoldSpan:
    """Place of a right answer.

    Attributes:
        text: The answer, "" if only the source is known.
        source: The source, "" if only the text is known.
        start: Offset of the answer in the source's text, in characters; None if unknown.
    """

    text: str = ""
    source: str = ""
    start: int | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question of a set.

    Attributes:
        text: The question.
        answerable: True if the documents answer it.
        gold: Places of the answer, each of which is enough; empty if unknown.
        group: Name of a group of questions, such as an article, that a split of the set keeps together.
    """

    text: str
    answerable: bool
    gold: tuple[GoldSpan, ...] = ()
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class QuestionSet:
    """Questions and, if the file contains them, the documents that they are about."""

    name: str
    questions: tuple[Question, ...]
    documents: tuple[Document, ...] = ()


def read_questions(file: str | Path) -> QuestionSet:
    """Read a file in SQuAD's format (`.json`) or in JSON lines (`.jsonl`).

    Raises:
        InvalidInputError: The file cannot be read, has another format, or has no questions.
    """
    path = Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"The questions in {path} cannot be read: {error}.", hint="Check the path; the encoding must be UTF-8."
        ) from error
    is_json_lines = path.suffix.lower() in (".jsonl", ".ndjson")
    question_set = _parse_json_lines(path, text) if is_json_lines else _parse_squad(path, text)
    if not question_set.questions:
        raise InvalidInputError(f"{path} has no questions.", hint="Add one JSON object per line.")
    return question_set


def _parse_squad(path: Path, text: str) -> QuestionSet:
    sources: dict[str, str] = {}
    questions = []
    try:
        for article in json.loads(text)["data"]:
            for paragraph in article["paragraphs"]:
                context = paragraph["context"]
                source = sources.setdefault(context, f"{path.stem}-{len(sources) + 1}")
                group = str(article.get("title") or source)
                questions += [_parse_squad_question(values, source, group) for values in paragraph.get("qas", [])]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{path} is not in SQuAD's format ({type(error).__name__}: {error}), which has data > paragraphs > context "
            "and qas.",
            hint="Write questions about your own documents as JSON lines into a file that ends in .jsonl.",
        ) from error
    documents = [Document(page_content=context, metadata={"source": source}) for context, source in sources.items()]
    return QuestionSet(name=path.stem, questions=tuple(q for q in questions if q.text), documents=tuple(documents))


def _parse_squad_question(values: dict[str, Any], source: str, group: str) -> Question:
    gold = tuple(
        GoldSpan(text=answer["text"], source=source, start=answer["answer_start"]) for answer in values["answers"]
    )
    answerable = not values.get("is_impossible") and bool(gold)
    return Question(
        text=values["question"].strip(), answerable=answerable, gold=gold if answerable else (), group=group
    )


def _parse_json_lines(path: Path, text: str) -> QuestionSet:
    questions = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                questions.append(_parse_line_question(json.loads(line)))
            except (KeyError, TypeError, ValueError) as error:
                raise InvalidInputError(
                    f"Line {number} of {path} cannot be used ({type(error).__name__}: {error}).",
                    hint='Write {"question": "...", "answerable": true} and, if they are known, "gold_source" and '
                    '"answer_spans".',
                ) from error
    return QuestionSet(name=path.stem, questions=tuple(questions))


def _parse_line_question(values: dict[str, Any]) -> Question:
    text, answerable = values["question"], values["answerable"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError("question is not a text")
    if not isinstance(answerable, bool):
        raise ValueError("answerable is neither true nor false")
    source = str(values.get("gold_source") or "")
    gold = tuple(_parse_spans(values.get("answer_spans") or [], source))
    if not gold and source:
        gold = (GoldSpan(source=source),)
    return Question(text=text.strip(), answerable=answerable, gold=gold, group=source)


def _parse_spans(spans: list[Any], source: str) -> Iterator[GoldSpan]:
    for span in spans:
        if isinstance(span, str):
            yield GoldSpan(text=span, source=source)
        else:
            yield GoldSpan(text=str(span["text"]), source=str(span.get("source") or source), start=span.get("start"))


def sample_questions(questions: Sequence[Question], limit: int) -> list[Question]:
    """Select as many questions with an answer as without, if there are enough, always the same and in their order.

    Args:
        questions: The questions.
        limit: Maximum number of questions.
    """
    if limit >= len(questions):
        return list(questions)
    indexes: dict[bool, list[int]] = {True: [], False: []}
    for index, question in enumerate(questions):
        indexes[question.answerable].append(index)
    for kind in indexes.values():
        random.Random(0).shuffle(kind)
    answerable_count = min(len(indexes[True]), max(limit - limit // 2, limit - len(indexes[False])))
    selected = indexes[True][:answerable_count] + indexes[False][: limit - answerable_count]
    return [questions[index] for index in sorted(selected)]
