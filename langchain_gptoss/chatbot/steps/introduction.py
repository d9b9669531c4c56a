"""Step "introduce": answer greetings and questions about the documents, and prepare the summary of a document."""

import re
from collections.abc import Sequence
from dataclasses import replace

from langchain_core.documents import Document

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.chatbot.context import StepContext
from langchain_gptoss.chatbot.grounding.answer_stream import AnswerStream
from langchain_gptoss.chatbot.grounding.citations import cite
from langchain_gptoss.chatbot.grounding.passages import Span, collect_passages, collect_spans
from langchain_gptoss.chatbot.grounding.summary_stream import SummaryStream
from langchain_gptoss.chatbot.guard.pipeline import blank_passage_injections, build_output_check
from langchain_gptoss.chatbot.prompts import MORE_DOCUMENTS, OVERVIEW, SMALL_TALK, SUMMARY
from langchain_gptoss.chatbot.state import AnswerState, GraphState
from langchain_gptoss.chatbot.steps.answer import show_text
from langchain_gptoss.chatbot.steps.retrieval import begin_answer
from langchain_gptoss.retrievers.source_documents import (
    DocumentOutline,
    find_chunk_retriever,
    list_outlines,
    read_chunks,
)
from langchain_gptoss.text.words import calculate_coverage, extract_content_words

_MAX_LISTED = 8  # documents of an overview
_MAX_HEADINGS = 5  # of a document in an overview
_MAX_SUMMARIZED_CHUNKS = 8
_MAX_SUMMARY_SENTENCES = 5  # that are quoted
_KINDS_OF_DOCUMENT = re.compile(
    r"\b(?:documents?|docs?|files?|pages?|texts?|chapters?|sections?|fichiers?|textes?|chapitres?|rubriques?|"
    r"politiques?|polic(?:y|ies)|regles|rules)\b|\.\w{2,4}\b"
)
_REASONS = {
    "greeting": "Answered: a greeting.",
    "thanks": "Answered: thanks.",
    "farewell": "Answered: a farewell.",
    "identity": "Answered: a question about the chatbot.",
    "overview": "Answered: a question about the documents as a whole.",
}


def answer_without_search(state: GraphState, context: StepContext) -> Flow[GraphState]:
    """Answer a message that needs no search, or turn it into a question if no document fits.

    Raises:
        StorageError: The audit log cannot be written, and is set to stop then.
    """
    answer = state["answer_state"]
    if answer.kind in SMALL_TALK:
        text = SMALL_TALK[answer.kind][answer.texts.language].format(introduction=answer.texts.introduction)
        answer = yield from _reply(answer, text, context)
        return {"answer_state": answer}
    outlines = yield from call(lambda: _list_visible(context))
    if answer.kind == "summary":
        outline = _find_document(answer, outlines)
        if outline is None and answer.topic:
            return {"answer_state": replace(answer, kind="question", topic="", standalone_question="")}
        if outline is not None:
            return {"answer_state": (yield from _prepare_summary(answer, outline, context))}
    answer = yield from _give_overview(replace(answer, kind="overview"), outlines, context)
    return {"answer_state": answer}


def _list_visible(context: StepContext) -> list[DocumentOutline]:
    access, labels = context.settings.access, context.caller.access_labels
    return list_outlines(context.settings.retriever, filter=access.build_filter(labels) if access else None)


def _reply(answer: AnswerState, text: str, context: StepContext) -> Flow[AnswerState]:
    """Send an answer in the chatbot's own words."""
    answer = replace(answer, reason=_REASONS[answer.kind])
    yield from begin_answer(answer, context)
    return show_text(answer, text, context.writer, withholds=False)


def _give_overview(answer: AnswerState, outlines: Sequence[DocumentOutline], context: StepContext) -> Flow[AnswerState]:
    """Send the titles and headings of documents, each with its first sentence as a citation."""
    language = answer.texts.language
    readable = [outline for outline in outlines if outline.language in (language, None)]
    listed = (readable or outlines)[:_MAX_LISTED]
    if not listed:
        return (yield from _reply(answer, answer.texts.introduction, context))
    documents = yield from _read([outline.source for outline in listed], context)
    passages, notes = blank_passage_injections(collect_passages(_select_first(documents), limit=len(listed)))
    spans = {span.passage.source: span for span in reversed(collect_spans(passages)) if _is_statement(span)}
    answer_stream = AnswerStream(question=answer.question, language=language, spans=list(spans.values()), strict=True)
    lines = [OVERVIEW[language]]
    for outline in listed:
        line = _describe(outline)
        if (span := spans.get(outline.source)) is not None:
            number = len(answer_stream.citations) + 1
            answer_stream.citations.append(cite(span, span.text, number=number, verdict="quoted"))
            line += f" [{number}]"
        lines.append(line)
    if len(outlines) > len(listed):
        lines.append(MORE_DOCUMENTS[language].format(count=len(outlines) - len(listed)))
    answer = replace(
        answer,
        documents=documents,
        sources=passages,
        answer_stream=answer_stream,
        findings=[*answer.findings, *notes],
    )
    return (yield from _reply(answer, "\n".join(lines), context))


def _prepare_summary(answer: AnswerState, outline: DocumentOutline, context: StepContext) -> Flow[AnswerState]:
    """Return a state with the passages of a document, from which the model summarizes."""
    chunks = yield from _read([outline.source], context)
    sources = collect_passages(_select_evenly(chunks), limit=_MAX_SUMMARIZED_CHUNKS)
    passages, notes = blank_passage_injections(sources)
    spans = [span for span in collect_spans(passages) if _is_statement(span)]
    output_check = build_output_check(answer.standalone_question, passages, answer.texts.instructions)
    answer_stream = SummaryStream(
        question=answer.standalone_question,
        language=answer.texts.language,
        spans=spans,
        strict=context.settings.strict,
        is_refused=lambda sentence: bool(output_check.find_violations(sentence)),
        verifier=context.settings.verifier,
        quotations=_select_leading(spans),
        lead_in=SUMMARY[answer.texts.language].format(title=outline.title),
    )
    answer = replace(
        answer,
        topic=outline.title,
        documents=chunks,
        sources=sources,
        passages=passages,
        answer_stream=answer_stream,
        reason=f"Answered: a summary of {outline.source}.",
        findings=[*answer.findings, *notes],
    )
    yield from begin_answer(answer, context)
    return answer


def _read(sources: Sequence[str], context: StepContext) -> Flow[list[Document]]:
    """Return the chunks of documents that the caller may see; empty if the retriever has no vector store."""
    settings, labels = context.settings, context.caller.access_labels
    chunk_retriever = find_chunk_retriever(settings.retriever)
    if chunk_retriever is None:
        return []
    filter = settings.access.build_filter(labels) if settings.access else None
    chunks = yield from read_chunks(chunk_retriever, sources, filter=filter)
    return settings.access.select_visible(chunks, labels) if settings.access else chunks


def _find_document(answer: AnswerState, outlines: Sequence[DocumentOutline]) -> DocumentOutline | None:
    """Return the document that the user calls by its title or file name; the only one if it is not named."""
    if not answer.topic:
        return outlines[0] if len(outlines) == 1 else None
    words = extract_content_words(_KINDS_OF_DOCUMENT.sub(" ", answer.topic))
    ordered = sorted(outlines, key=lambda outline: outline.language not in (answer.texts.language, None))
    named = [each for each in ordered if each.source.lower().rpartition("/")[2] in answer.topic]
    fitting = named or [each for each in ordered if words and calculate_coverage(words, _list_names(each)) == 1]
    return fitting[0] if fitting else None


def _list_names(outline: DocumentOutline) -> str:
    name = outline.source.rpartition("/")[2].rpartition(".")[0] or outline.source
    return f"{outline.title}. {re.sub('[-_]+', ' ', name)}"


def _describe(outline: DocumentOutline) -> str:
    headings = ", ".join(outline.headings[:_MAX_HEADINGS])
    more = ", …" if len(outline.headings) > _MAX_HEADINGS else ""
    return f"- {outline.title}: {headings}{more}" if headings else f"- {outline.title}"


def _select_first(documents: Sequence[Document]) -> list[Document]:
    """Return the first chunk of each source that has a sentence."""
    first: dict[str, Document] = {}
    for document in documents:
        if any(_is_statement(span) for span in collect_spans(collect_passages([document], limit=1))):
            first.setdefault(str(document.metadata.get("source")), document)
    return list(first.values())


def _select_evenly(chunks: Sequence[Document]) -> list[Document]:
    count = min(len(chunks), _MAX_SUMMARIZED_CHUNKS)
    return [chunks[index * len(chunks) // count] for index in range(count)]


def _select_leading(spans: Sequence[Span]) -> list[Span]:
    """Return the first sentence of each passage, up to the limit."""
    first: dict[int, Span] = {}
    for span in spans:
        first.setdefault(span.passage.number, span)
    return list(first.values())[:_MAX_SUMMARY_SENTENCES]


def _is_statement(span: Span) -> bool:
    text = span.text.rstrip(" \"'”»)")
    return not text.endswith((":", "?")) and len(extract_content_words(text)) > 1 and span.passage.quoted != "reply"
