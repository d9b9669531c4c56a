"""Steps "retrieve" and "judge": find passages, and decide whether they can answer the question."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages.ai import add_usage
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.chatbot.context import StepContext
from langchain_gptoss.chatbot.grounding.abstention import judge
from langchain_gptoss.chatbot.grounding.answer_stream import AnswerStream
from langchain_gptoss.chatbot.grounding.calibration import load_calibration
from langchain_gptoss.chatbot.grounding.passage_judge import build_evidence
from langchain_gptoss.chatbot.grounding.passages import Passage, Span, collect_passages, rank_spans
from langchain_gptoss.chatbot.guard import render_for_model
from langchain_gptoss.chatbot.guard.pipeline import blank_passage_injections, build_output_check
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.chatbot.small_models import BriefAnswerStream
from langchain_gptoss.chatbot.state import AnswerState, GraphState
from langchain_gptoss.chatbot.types import ChatbotChunk, Source
from langchain_gptoss.errors import GptOssError, RetrievalError
from langchain_gptoss.retrievers.adapters import query_retriever
from langchain_gptoss.vectorstores.query_cache import cache_query_vectors


def retrieve_documents(state: GraphState, context: StepContext) -> Flow[GraphState]:
    """Query the retriever for documents that the caller may see.

    Raises:
        RetrievalError: The retriever failed.
    """
    answer, access, labels = state["answer_state"], context.settings.access, context.caller.access_labels
    filter = access.build_filter(labels) if access else None
    documents: list[Document] = []
    with cache_query_vectors(answer.query_vectors):
        for query in _list_queries(answer):
            documents += yield from _query(query, filter, context)
    if access:
        documents = access.select_visible(documents, labels)
    return {"answer_state": replace(answer, documents=documents)}


def _query(query: str, filter: dict[str, Any] | None, context: StepContext) -> Flow[list[Document]]:
    retriever, callbacks = context.settings.retriever, context.config.get("callbacks")
    try:
        documents = yield from query_retriever(
            retriever,
            query,
            k=None,
            filter=filter,
            callbacks=callbacks,
            on_rejected=context.settings.access.report_malformed if context.settings.access else None,
        )
    except GptOssError:
        raise
    except Exception as error:
        raise RetrievalError(
            f"{type(retriever).__name__} failed ({type(error).__name__}: {error}).",
            hint="Check the index or the service behind it, and ask again.",
        ) from error
    return documents


def judge_passages(state: GraphState, context: StepContext) -> Flow[GraphState]:
    """Decide whether the passages can answer the question, and send the sources to the caller.

    Raises:
        StorageError: The audit log cannot be written, and is set to stop then.
    """
    answer, confidence = yield from call(lambda: judge_documents(state["answer_state"], context.settings))
    if answer.answer_stream is not None:
        answer = yield from _ask_judge(answer, answer.answer_stream, confidence, context)
    yield from begin_answer(answer, context)
    return {"answer_state": answer}


def begin_answer(answer: AnswerState, context: StepContext) -> Flow[None]:
    """Write the intent of an answer to the audit log, and send the sources to the caller.

    Raises:
        StorageError: The audit log cannot be written, and is set to stop then.
    """
    sources = answer.sources if answer.answer_stream is not None else ()
    yield from call(lambda: context.recorder.begin(answer))
    context.writer.write(
        ChatbotChunk(
            sources=[_describe_source(passage) for passage in sources],
            standalone_question=answer.standalone_question,
            language=answer.texts.language,
        )
    )


def _ask_judge(
    answer: AnswerState, answer_stream: AnswerStream, confidence: float, context: StepContext
) -> Flow[AnswerState]:
    """Return the answer state, without its answer stream if the model and the rules together decline."""
    judge, spans = context.settings.judge, answer_stream.spans
    if judge is None or not spans:
        return answer
    evidence = render_for_model(build_evidence(spans))
    judgement = yield from judge.judge(answer.standalone_question, evidence, confidence, context.config)
    probability, answer = judgement.probability, replace(answer, usage=add_usage(answer.usage, judgement.usage))
    threshold = judge.get_threshold(answer.standalone_question)
    if probability >= threshold:
        may_quote = answer_stream.may_quote or probability >= judge.quote_threshold
        return replace(
            answer,
            reason=f"Answered: confidence {probability:.2f}, the judge included.",
            answer_stream=replace(answer_stream, may_quote=may_quote),
        )
    reason = f"Declined: confidence {probability:.2f} below {threshold:.2f}: the judge finds no answer in them."
    return replace(answer, reason=reason, answer_stream=None)


def judge_documents(answer: AnswerState, settings: ChatbotSettings) -> tuple[AnswerState, float]:
    """Return the answer state and the confidence; the state has an answer stream if the passages can answer."""
    question, language = answer.standalone_question, answer.texts.language
    sources = collect_passages(answer.documents, limit=settings.max_passages * len(_list_queries(answer)))
    passages, notes = blank_passage_injections(sources)
    calibration = load_calibration()
    is_calibrated = settings.decline_below is None and not settings.focus  # for a model that reads whole passages
    decline_below = calibration.reading_threshold if is_calibrated else settings.decline_below
    judgement = judge(question, passages, language=language, decline_below=decline_below)
    answer = replace(answer, sources=sources, reason=judgement.reason, findings=[*answer.findings, *notes])
    if not judgement.is_answerable:
        return answer, judgement.confidence
    output_check = build_output_check(question, passages, answer.texts.instructions)
    with cache_query_vectors(answer.query_vectors):
        ranked = rank_spans(answer.queries, passages, _find_embeddings(settings.retriever))
    stream_type = BriefAnswerStream if settings.focus else AnswerStream
    answer_stream = stream_type(
        question=question,
        language=language,
        spans=_select_statements(ranked),
        strict=settings.strict,
        may_quote=not is_calibrated or judgement.confidence >= calibration.reading_quote_threshold,
        is_refused=lambda sentence: bool(output_check.find_violations(sentence)),
        verifier=settings.verifier,
    )
    return replace(answer, passages=passages, answer_stream=answer_stream), judgement.confidence


def _list_queries(answer: AnswerState) -> list[str]:
    """Return the texts to search for: a follow-up alone, and together with the question that it follows."""
    standalone_question = answer.standalone_question
    return [standalone_question] if len(answer.queries) == 1 else [standalone_question, answer.queries[0][0]]


def _select_statements(ranked: Sequence[tuple[Span, float]]) -> list[Span]:
    """Return the spans that can support a claim.

    A question supports nothing, and an attacker may have planted it. What a mail quotes of the message that it answers
    may no longer be true.
    """
    return [
        span for span, _ in ranked if not span.text.rstrip(" \"'”»)").endswith("?") and span.passage.quoted != "reply"
    ]


def _find_embeddings(retriever: BaseRetriever) -> Any:
    return getattr(getattr(retriever, "vectorstore", None), "embeddings", None)


def _describe_source(passage: Passage) -> Source:
    return Source(
        number=passage.number,
        source=passage.source,
        heading=passage.heading,
        page=passage.page,
        start=passage.start,
        end=passage.start + len(passage.text),
        text=passage.text,
        relevance=passage.relevance,
    )
