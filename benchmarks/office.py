"""Ask questions about office files: is the right row of the right file cited, and is anything false shown as supported?

    python benchmarks/office.py [--model none] [--files DIR] [--failures] [--json F]

`office_files/` writes twenty files: price lists with merged cells, staff lists, a lease, mails with quoted replies,
manuals in two columns. `office_files/questions.toml` has 30 questions in English and 30 in French. The stack is that of
the demo, offline: the demo model, and BM25 and the demo's embeddings in one hybrid retriever, as in answers.py.
"""

import argparse
import json
import platform
import tempfile
import tomllib
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel, SimpleChatModel
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever
from office_files import write_files

from langchain_gptoss import BM25Retriever, ChatGptOss, FaissStore, HybridRetriever, create_chatbot, load_embeddings
from langchain_gptoss.chatbot import ChatbotOutput, Citation
from langchain_gptoss.errors import DocumentWarning
from langchain_gptoss.ingest import load_documents, split_documents

QUESTIONS = Path(__file__).parent / "office_files" / "questions.toml"
WEIGHTS = [1.2, 1.0]  # of BM25 and embeddings, as in answers.py
EMBEDDINGS = {"fr": "demo-multilingual", "en": "demo"}
MIN_RIGHT = 54  # of 60 questions


class EmptyAnswerModel(SimpleChatModel):
    """A model without an answer: reading, retrieval and quoting are measured without a real model."""

    @property
    def _llm_type(self) -> str:
        return "silent"

    def _call(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> str:
        return "-"


@dataclass(frozen=True, kw_only=True)
class OfficeQuestion:
    """A question about one file.

    Attributes:
        language: Language of the file and the question.
        file: Name of the file.
        question: The question.
        facts: What the answer must state; alternatives are separated by `|`.
        row: What the quote must contain, with its headings and its lead-in.
        wrong: Values that are not the answer.
    """

    language: str
    file: str
    question: str
    facts: Sequence[str]
    row: Sequence[str]
    wrong: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class OfficeResult:
    """The judgement of an answer.

    Attributes:
        question: The question.
        output: The chatbot's output.
        is_right: True if a citation of the right row states the facts.
        is_wrong: True if a sentence that is shown as supported states something else.
    """

    question: OfficeQuestion
    output: ChatbotOutput
    is_right: bool
    is_wrong: bool


def read_questions() -> list[OfficeQuestion]:
    """Return the questions."""
    return [OfficeQuestion(**entry) for entry in tomllib.loads(QUESTIONS.read_text(encoding="utf-8"))["question"]]


def normalize(text: str) -> str:
    """Return a text in lower case, with simple spaces and apostrophes and without emphasis marks."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("*", "")
    return " ".join(text.casefold().split())


def has_phrase(text: str, phrase: str) -> bool:
    """Return True if a normalized text has a phrase that no letter or digit continues: 85 is not in 185."""
    phrase = normalize(phrase)
    start = text.find(phrase)
    while start >= 0:
        before, after = text[start - 1 : start], text[start + len(phrase) : start + len(phrase) + 1]
        if not (before.isalnum() and phrase[0].isalnum()) and not (after.isalnum() and phrase[-1].isalnum()):
            return True
        start = text.find(phrase, start + 1)
    return False


def has_facts(text: str, question: OfficeQuestion) -> bool:
    """Return True if a text states all facts of the answer."""
    text = normalize(text)
    return all(any(has_phrase(text, form) for form in fact.split("|")) for fact in question.facts)


def format_quote(citation: Citation) -> str:
    """Return a quote as it is shown: with its headings, and with its lead-in or the names of its columns."""
    return "\n".join([citation.heading, citation.context, citation.quote])


def is_right(citation: Citation, question: OfficeQuestion) -> bool:
    """Return True if a citation is of the right row of the right file, and states the facts."""
    quote = normalize(format_quote(citation))
    stated = citation.claim if citation.verdict == "supported" else quote
    return (
        Path(citation.source).name == question.file
        and all(has_phrase(quote, part) for part in question.row)
        and has_facts(stated, question)
    )


def is_wrong(output: ChatbotOutput, question: OfficeQuestion) -> bool:
    """Return True if sentences are shown as supported and none of them is the answer, or one has a wrong value."""
    claims = [citation.claim for citation in output.citations if citation.verdict == "supported"]
    others = [claim for claim in claims if not has_facts(claim, question)]
    has_wrong_value = any(has_phrase(normalize(claim), value) for claim in others for value in question.wrong)
    return has_wrong_value or (bool(claims) and len(others) == len(claims))


def build_retriever(folder: Path, language: str) -> BaseRetriever:
    """Return the hybrid retriever over the files of a folder."""
    with warnings.catch_warnings():
        # Some files are faulty on purpose: without an encoding, with a broken line, with formulas without values.
        warnings.simplefilter("ignore", DocumentWarning)
        chunks = split_documents(load_documents(folder))
    store = FaissStore(load_embeddings(EMBEDDINGS[language]))
    store.add_documents(chunks)
    retrievers = [BM25Retriever.from_documents(chunks, language=language), store.as_retriever()]
    return HybridRetriever(retrievers=retrievers, weights=WEIGHTS)


def ask_questions(llm: BaseChatModel, folder: Path, *, every: int = 1) -> list[OfficeResult]:
    """Return the judged answers to the questions.

    Args:
        llm: The model that answers.
        folder: Folder for the files, which are written first.
        every: Ask every n-th question only.
    """
    write_files(folder)
    results = []
    for language in EMBEDDINGS:
        bot = create_chatbot(llm, build_retriever(folder / language, language), language=language, focus=1)
        for question in read_questions()[::every]:
            if question.language == language:
                output = bot.invoke(question.question)
                right = any(is_right(citation, question) for citation in output.citations)
                results.append(
                    OfficeResult(question=question, output=output, is_right=right, is_wrong=is_wrong(output, question))
                )
    return results


def summarize(results: Sequence[OfficeResult]) -> dict[str, Any]:
    """Return the figures, in all and for each language and file."""
    figures: dict[str, Any] = {
        "questions": len(results),
        "right fact in the right row": sum(result.is_right for result in results),
        "wrong and supported": sum(result.is_wrong for result in results),
        "declined": sum(not result.output.citations for result in results),
        "supported": sum(_has_supported(result) for result in results),
    }
    files: dict[str, list[bool]] = {}
    for result in results:
        files.setdefault(f"{result.question.language}/{result.question.file}", []).append(result.is_right)
    figures["right by file"] = {file: f"{sum(rights)} of {len(rights)}" for file, rights in files.items()}
    return figures


def _has_supported(result: OfficeResult) -> bool:
    return any(citation.verdict == "supported" for citation in result.output.citations)


def format_failures(results: Sequence[OfficeResult]) -> str:
    """Return the answers that are wrong or do not cite the right row."""
    parts = []
    for result in results:
        if result.is_right and not result.is_wrong:
            continue
        question, label = result.question, "WRONG AND SUPPORTED" if result.is_wrong else "not found"
        parts.append(f"{label}: {question.language}/{question.file}: {question.question} {list(question.facts)}")
        parts.append(f"    answer: {result.output.answer!r}")
        parts += [
            f"    {citation.verdict}: {Path(citation.source).name}: {format_quote(citation)!r}"
            for citation in result.output.citations
        ]
    return "\n".join(parts)


def main() -> None:
    """Ask the questions and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="demo, or none for empty answers")
    parser.add_argument("--files", type=Path, help="folder in which the files are kept")
    parser.add_argument("--failures", action="store_true", help="print the answers that are not right")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    llm: BaseChatModel = EmptyAnswerModel() if arguments.model == "none" else ChatGptOss(model=arguments.model)
    with tempfile.TemporaryDirectory() as temporary:
        results = ask_questions(llm, arguments.files or Path(temporary))
    figures = {"date": date.today().isoformat(), "machine": platform.platform(), **summarize(results)}
    print(json.dumps(figures, indent=2))
    if arguments.failures:
        print(format_failures(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
