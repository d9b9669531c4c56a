"""`gptoss eval`: how often a chatbot declines what the documents do not say, and answers what they do."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.console import clean_exit, note

if TYPE_CHECKING:
    from langchain_gptoss.evals import Question, Report

_TELL_EVERY = 10  # answers between two lines about the progress

Data = Annotated[
    str, typer.Option("--data", help="Questions: JSON lines (question, answerable, gold_source) or SQuAD's format.")
]
Docs = Annotated[
    str | None, typer.Option("--docs", help="A folder, a file or a pattern; SQuAD files bring their own passages.")
]
Store = Annotated[str | None, typer.Option("--store", help="In place of --docs, an index that `gptoss index` made.")]
Model = Annotated[str, typer.Option("--model", help="A name such as demo or gpt-oss-20b, a folder, or a hub id.")]
Limit = Annotated[int | None, typer.Option("--limit", help="At most this many questions, always the same.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def eval_command(
    *,
    data: Data,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Ask questions with known answers and report what is declined and cited."""
    with clean_exit():
        from langchain_gptoss.errors import InvalidInputError
        from langchain_gptoss.evals.datasets import read_questions

        found = read_questions(data)
        given = (docs is not None) + (store is not None)
        if given > 1 or (given == 0 and not found.documents):
            raise InvalidInputError("Give either --docs FOLDER or --store INDEX: where the answers stand.")
        index, texts = _index(docs, store, found.documents)
        questions = _sampled(found.questions, limit)

        from langchain_gptoss.chat_models import ChatGptOss
        from langchain_gptoss.chatbot import create_chatbot
        from langchain_gptoss.evals.run import evaluate

        llm = ChatGptOss(model=model)
        llm.load()
        note(f"Asking {len(questions)} questions.")
        bot = create_chatbot(llm, index.as_retriever())
        report = evaluate(bot, questions, texts=texts, on_answer=_progress(len(questions)))
        typer.echo(json.dumps(report.figures(), indent=2) if as_json else _table(report))


def _index(docs: str | None, store: str | None, own: Any) -> tuple[Any, dict[str, str] | None]:
    """Returns where to search, and the sources' texts where they are at hand."""
    from langchain_gptoss.ingest import index_documents, load_documents, open_store

    if store is not None:
        return open_store(store), None
    documents = load_documents(docs) if docs is not None else list(own)
    whole = [document for document in documents if not document.metadata.get("start")]
    texts = {str(document.metadata["source"]): document.page_content for document in whole}
    several = len(texts) < len(documents)  # pages of one file: their texts are not put together again here
    return index_documents(documents), None if several else texts


def _sampled(questions: "tuple[Question, ...]", limit: int | None) -> "list[Question]":
    """Returns as many questions with an answer as without, as far as there are, in the file's order."""
    if limit is None or limit >= len(questions):
        return list(questions)
    import random

    kinds: dict[bool, list[int]] = {True: [], False: []}
    for number, question in enumerate(questions):
        kinds[question.answerable].append(number)
    for numbers in kinds.values():
        random.Random(0).shuffle(numbers)
    with_answer = min(len(kinds[True]), max(limit - limit // 2, limit - len(kinds[False])))
    chosen = kinds[True][:with_answer] + kinds[False][: limit - with_answer]
    return [questions[number] for number in sorted(chosen)]


def _progress(total: int) -> Any:
    def told(number: int, _output: Any) -> None:
        if number % _TELL_EVERY == 0:
            note(f"{number} of {total} answered.")

    return told


def _table(report: "Report") -> str:
    declining = report.declining
    lines = [
        ("questions with an answer, declined by mistake", str(declining.mistaken)),
        ("questions without an answer, declined (recall)", str(declining.recall)),
        ("declined questions that have no answer (precision)", str(declining.precision)),
        ("F1 of declining", f"{declining.f1:.3f}"),
        ("gold answer in a cited passage", str(report.cited) if report.cited.total else "not known"),
        ("quotes that stand at their offsets", str(report.citations) if report.citations is not None else "not known"),
    ]
    return "\n".join(f"{name:<52}{value}" for name, value in lines)
