"""Sample questions that the documents answer: from the domain, from headings, and from sentences with figures.

Each one is really asked: the retriever and the check of answers decide, without the model. A question is shown only if
a sentence of the documents can be quoted as its answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from langchain_gptoss._flow import Flow, run_flow
from langchain_gptoss.chatbot.grounding.citations import select_quotable_spans
from langchain_gptoss.chatbot.grounding.claim_support import judge_claim
from langchain_gptoss.chatbot.grounding.passages import Span, collect_passages, collect_spans
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.chatbot.state import AnswerState
from langchain_gptoss.chatbot.steps.retrieval import judge_documents
from langchain_gptoss.retrievers.adapters import query_retriever
from langchain_gptoss.retrievers.source_documents import find_chunk_retriever, list_outlines, read_chunks

_MAX_DOCUMENTS = 8
_MAX_CHECKS = 16  # a check takes about as long as a search
_SUBJECT = r"^(?P<subject>[A-ZÀ-Ý][\w’'-]*(?: [\w’'-]+){0,5}?)"
_TIME = r"[^.]*\b(?:minutes?|hours?|days?|weeks?|months?|years?|heures?|jours?|semaines?|mois|ans?|années?)\b"
# A sentence, and the question that it answers.
_TEMPLATES: dict[str, tuple[tuple[str, str], ...]] = {
    "en": (
        (rf"{_SUBJECT} costs [^.]*\d", "How much does {subject} cost?"),
        (rf"{_SUBJECT} cost [^.]*\d", "How much do {subject} cost?"),
        (rf"{_SUBJECT} takes {_TIME}", "How long does {subject} take?"),
        (rf"{_SUBJECT} lasts {_TIME}", "How long does {subject} last?"),
        (
            rf"{_SUBJECT} (?P<verb>can|must) be (?P<done>\w+ed) within {_TIME}",
            "Within what time {verb} {subject} be {done}?",
        ),
        (rf"{_SUBJECT} are (?P<done>kept|stored) for {_TIME}", "How long are {subject} {done}?"),
    ),
    "fr": (
        (rf"{_SUBJECT} (?P<verb>coûte(?:nt)?) [^.]*\d", "Combien {verb} {subject} ?"),
        (rf"{_SUBJECT} (?P<verb>dure(?:nt)?) {_TIME}", "Combien de temps {verb} {subject} ?"),
        (rf"{_SUBJECT} (?P<verb>prend|prennent) {_TIME}", "Combien de temps {verb} {subject} ?"),
        (rf"{_SUBJECT} peut être (?P<done>\w+ée) dans {_TIME}", "Dans quel délai {subject} peut-elle être {done} ?"),
        (rf"{_SUBJECT} peut être (?P<done>\w+é) dans {_TIME}", "Dans quel délai {subject} peut-il être {done} ?"),
    ),
}
_UNCLEAR_SUBJECT = re.compile(
    r"(?:it|this|that|these|those|they|he|she|we|you|i|there|if|when|after|in|for|on|at|from|its|their|"
    r"il|elle|ils|elles|ce|cela|ça|cet|cette|ces|on|nous|vous|je|si|quand|après|dans|pour|en|sur|son|sa|ses|leurs?)\b"
    r"|.*\b(?:not|never|ne|only)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A question, and the sentence from which it was made; None for a question that somebody wrote."""

    question: str
    answer: Span | None = None


def suggest_questions(
    settings: ChatbotSettings, *, language: str, count: int = 4, quotes_documents: bool = True
) -> list[str]:
    """Return questions in a language that the chatbot can answer; fewer than `count` if no others pass the check.

    Documents with access labels other than "public" are left out.

    Args:
        settings: The parts and options of the chatbot.
        language: `"en"` or `"fr"`.
        count: Maximum number of questions.
        quotes_documents: False takes only the domain's questions, for readers who may not know what the documents say.
    """
    profile = settings.get_texts(language).profile
    written = [_Candidate(question=question) for question in (profile.sample_questions if profile else ())]
    made = run_flow(_make_questions(settings, language)) if quotes_documents else []
    candidates = islice([*written[: _MAX_CHECKS // 2], *made], _MAX_CHECKS)
    answered = (each.question for each in candidates if run_flow(_is_answered(each, settings, language)))
    return list(islice(answered, count))


def _make_questions(settings: ChatbotSettings, language: str) -> Flow[list[_Candidate]]:
    access = settings.access
    filter = access.build_filter(()) if access else None
    outlines = [each for each in list_outlines(settings.retriever, filter=filter) if each.language in (language, None)]
    outlines = outlines[:_MAX_DOCUMENTS]
    headings = [heading for outline in outlines for heading in outline.headings if heading.endswith("?")]
    asked = [_Candidate(question=heading) for heading in headings[: _MAX_CHECKS // 2]]
    chunk_retriever = find_chunk_retriever(settings.retriever)
    if chunk_retriever is None or not outlines:
        return asked
    chunks = yield from read_chunks(chunk_retriever, [outline.source for outline in outlines], filter=filter)
    if access:
        chunks = access.select_visible(chunks, ())
    spans = collect_spans(collect_passages(chunks, limit=len(chunks)))
    by_source: dict[str, list[_Candidate]] = {}
    for span in spans:
        if candidate := _make_question(span, language):
            by_source.setdefault(span.passage.source, []).append(candidate)
    # One question of each document first, so that the sample shows what there is.
    mixed = [each for row in zip_longest(*by_source.values()) for each in row if each is not None]
    return [*asked, *mixed]


def _make_question(span: Span, language: str) -> _Candidate | None:
    for pattern, template in _TEMPLATES.get(language, ()):
        match = re.match(pattern, span.text)
        if match is None or _UNCLEAR_SUBJECT.match(match["subject"]):
            continue
        parts = {**match.groupdict(), "subject": _write_inside(match["subject"], span.passage.text)}
        return _Candidate(question=template.format(**parts), answer=span)
    return None


def _write_inside(subject: str, text: str) -> str:
    """Return a subject as it is written inside a sentence: a name keeps its capital letter."""
    first = subject.split()[0]
    is_name = re.search(rf"[\w,] {re.escape(first)}\b", text) is not None or (first.isupper() and len(first) > 1)
    return subject if is_name else subject[0].lower() + subject[1:]


def _is_answered(candidate: _Candidate, settings: ChatbotSettings, language: str) -> Flow[bool]:
    """Return True if the retriever finds the answer, and it passes the check of answers."""
    question, access = candidate.question, settings.access
    filter = access.build_filter(()) if access else None
    documents = yield from query_retriever(settings.retriever, question, k=None, filter=filter, callbacks=None)
    if access:
        documents = access.select_visible(documents, ())
    state = AnswerState(
        question=question,
        standalone_question=question,
        queries=[(question, 1.0)],
        texts=settings.get_texts(language),
        documents=documents,
    )
    judged, _ = judge_documents(state, settings)
    stream = judged.answer_stream
    quotable = select_quotable_spans(question, stream.spans) if stream is not None else []
    if stream is None or not quotable or not _has_answer(quotable, candidate.answer):
        return False
    return judge_claim(quotable[0].text, question, stream.spans).verdict == "supported"


def _has_answer(spans: Sequence[Span], answer: Span | None) -> bool:
    return answer is None or (spans[0].passage.source, spans[0].text) == (answer.passage.source, answer.text)
