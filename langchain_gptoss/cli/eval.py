"""`gptoss eval`: ask questions with known answers, and report what the chatbot declines and cites."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.chatbot import Adapter
from langchain_gptoss.cli.console import clean_exit, note, show, show_json

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from langchain_gptoss.evals import EvaluationReport

_ANSWERS_PER_NOTE = 10  # answers between two lines about the progress
_UNKNOWN = "unknown"

Data = Annotated[
    str, typer.Option("--data", help="Questions: JSON lines (question, answerable, gold_source) or SQuAD's format.")
]
Docs = Annotated[
    str | None, typer.Option("--docs", help="A folder, a file or a pattern; SQuAD files contain their own passages.")
]
Store = Annotated[str | None, typer.Option("--store", help="Instead of --docs: an index that `gptoss index` made.")]
Model = Annotated[str, typer.Option("--model", help="A name such as demo or gpt-oss-20b, a folder, or a hub id.")]
Limit = Annotated[
    int | None, typer.Option("--limit", help="Maximum number of questions; the selection is always the same.", min=1)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def evaluate_command(
    *,
    data: Data,
    docs: Docs = None,
    store: Store = None,
    model: Model = "demo",
    adapter: Adapter = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Ask questions with known answers and report what is declined and cited."""
    with clean_exit():
        from langchain_gptoss.errors import InvalidInputError
        from langchain_gptoss.evals.datasets import read_questions, sample_questions

        question_set = read_questions(data)
        place_count = (docs is not None) + (store is not None)
        if place_count > 1 or (place_count == 0 and not question_set.documents):
            raise InvalidInputError(
                "The documents to search are not clear.", hint="Give either --docs FOLDER or --store INDEX."
            )
        index, texts = _open_index(docs, store, question_set.documents)
        questions = sample_questions(question_set.questions, limit or len(question_set.questions))

        from langchain_gptoss.chat_models import ChatGptOss
        from langchain_gptoss.chatbot import create_chatbot
        from langchain_gptoss.evals.evaluation import evaluate

        llm = ChatGptOss(model=model, adapter=adapter)
        llm.load()
        note(f"Asking {len(questions)} questions.")
        bot = create_chatbot(llm, index.as_retriever())
        report = evaluate(bot, questions, texts=texts, on_answer=_create_progress_note(len(questions)))
        if as_json:
            show_json(report.to_dict())
        else:
            show(_format_report(report))


def _open_index(
    docs: str | None, store: str | None, own_documents: "Sequence[Document]"
) -> tuple[Any, dict[str, str] | None]:
    """Return the index to search, and the text of each source if it is known."""
    from langchain_gptoss.ingest import index_documents, load_documents, open_store

    if store is not None:
        return open_store(store), None
    documents = load_documents(docs) if docs is not None else list(own_documents)
    first_pages = [document for document in documents if not document.metadata.get("start")]
    texts = {str(document.metadata["source"]): document.page_content for document in first_pages}
    has_pages = len(texts) < len(documents)  # then the text of a source is only known page by page
    return index_documents(documents), None if has_pages else texts


def _create_progress_note(total: int) -> Callable[[int, Any], None]:
    def note_progress(number: int, _output: Any) -> None:
        if number % _ANSWERS_PER_NOTE == 0:
            note(f"{number} of {total} answered.")

    return note_progress


def _format_report(report: "EvaluationReport") -> str:
    abstention = report.abstention
    gold = report.gold_in_passages
    citations = report.valid_citations
    rows = [
        ("questions with an answer, declined by mistake", str(abstention.false_declines)),
        ("questions without an answer, declined (recall)", str(abstention.recall)),
        ("declined questions that have no answer (precision)", str(abstention.precision)),
        ("F1 of declining", f"{abstention.f1:.3f}"),
        ("gold answer in a cited passage", str(gold) if gold.total else _UNKNOWN),
        ("quotes found at their offsets", str(citations) if citations is not None else _UNKNOWN),
    ]
    return "\n".join(f"{name:<52}{value}" for name, value in rows)
