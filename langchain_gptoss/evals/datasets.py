"""Question sets: questions, whether the documents answer them, and where.

Two formats are read: that of SQuAD, in which the passages come with the questions, and JSON lines for one's own
documents:

    {"question": "...", "answerable": true, "gold_source": "shipping.md", "answer_spans": ["12.90 euros"]}
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class GoldSpan:
    """Where an answer stands.

    Attributes:
        text: The answer, or empty where only the source is known.
        source: The source, or empty where only the text is known.
        start: Offset in the source's text, in characters; None where it is not known.
    """

    text: str = ""
    source: str = ""
    start: int | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question of a set.

    Attributes:
        text: The question.
        answerable: Whether the documents answer it.
        gold: Where; one of them is enough. Empty where that is not known.
        group: What it belongs with, such as an article: a split keeps groups whole.
    """

    text: str
    answerable: bool
    gold: tuple[GoldSpan, ...] = ()
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class QuestionSet:
    """Questions, and the documents that they were asked about where the file holds them."""

    name: str
    questions: tuple[Question, ...]
    documents: tuple[Document, ...] = ()


def read_questions(file: str | Path) -> QuestionSet:
    """Returns the questions of a file in SQuAD's format (`.json`) or in JSON lines (`.jsonl`).

    Raises:
        InvalidInputError: The file is not there, or does not hold questions in one of these formats.
    """
    path = Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"The questions in {path} cannot be read: {error}") from error
    found = _lines(path, text) if path.suffix.lower() in (".jsonl", ".ndjson") else _squad(path, text)
    if not found.questions:
        raise InvalidInputError(f"{path} holds no question.")
    return found


def _squad(path: Path, text: str) -> QuestionSet:
    sources: dict[str, str] = {}
    questions = []
    try:
        for article in json.loads(text)["data"]:
            for paragraph in article["paragraphs"]:
                context = paragraph["context"]
                source = sources.setdefault(context, f"{path.stem}-{len(sources) + 1}")
                group = str(article.get("title") or source)
                questions += [_squad_question(qa, source, group) for qa in paragraph.get("qas", [])]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{path} is not in SQuAD's format ({type(error).__name__}: {error}). It needs data > paragraphs > context "
            "and qas; for questions about your own documents write JSON lines into a file that ends in .jsonl."
        ) from error
    documents = [Document(page_content=context, metadata={"source": source}) for context, source in sources.items()]
    return QuestionSet(name=path.stem, questions=tuple(q for q in questions if q.text), documents=tuple(documents))


def _squad_question(qa: dict[str, Any], source: str, group: str) -> Question:
    gold = [GoldSpan(text=answer["text"], source=source, start=answer["answer_start"]) for answer in qa["answers"]]
    answerable = not qa.get("is_impossible") and bool(gold)
    return Question(
        text=qa["question"].strip(), answerable=answerable, gold=tuple(gold) if answerable else (), group=group
    )


def _lines(path: Path, text: str) -> QuestionSet:
    questions = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                questions.append(_line_question(json.loads(line)))
            except (KeyError, TypeError, ValueError) as error:
                raise InvalidInputError(
                    f"Line {number} of {path} cannot be used ({type(error).__name__}: {error}). Write "
                    '{"question": "...", "answerable": true} and, where they are known, "gold_source" and '
                    '"answer_spans".'
                ) from error
    return QuestionSet(name=path.stem, questions=tuple(questions))


def _line_question(values: dict[str, Any]) -> Question:
    text, answerable = values["question"], values["answerable"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError("question is no text")
    if not isinstance(answerable, bool):
        raise ValueError("answerable is neither true nor false")
    source = str(values.get("gold_source") or "")
    gold = tuple(_line_spans(values.get("answer_spans") or [], source))
    if not gold and source:
        gold = (GoldSpan(source=source),)
    return Question(text=text.strip(), answerable=answerable, gold=gold, group=source)


def _line_spans(spans: list[Any], source: str) -> Iterator[GoldSpan]:
    for span in spans:
        if isinstance(span, str):
            yield GoldSpan(text=span, source=source)
        else:
            yield GoldSpan(text=str(span["text"]), source=str(span.get("source") or source), start=span.get("start"))
