"""`create_chatbot`: retrieve, judge, answer, verify, cite: one Runnable over any chat model and any retriever."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, NotRequired, cast

from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableGenerator, run_in_executor
from langchain_core.runnables.utils import AddableDict
from typing_extensions import TypedDict

from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.citations import Citation
from langchain_gptoss.chatbot.draft import Draft
from langchain_gptoss.chatbot.evidence import (
    DEFAULT_MIN_NEARNESS,
    Passage,
    Span,
    nearest_spans,
    nearness,
    passages_of,
)
from langchain_gptoss.chatbot.history import with_earlier
from langchain_gptoss.chatbot.prompts import DECLINE, FOCUSED_PROMPT, PASSAGES_PROMPT
from langchain_gptoss.chatbot.text import language_of
from langchain_gptoss.errors import ContextLengthError, InvalidInputError

_SMALL = 1_000_000_000  # a model with fewer parameters gets single sentences instead of passages


class ChatbotInput(TypedDict):
    """What the chatbot takes: the question, and the conversation before it."""

    question: str
    chat_history: NotRequired[list[BaseMessage]]


class Source(TypedDict):
    """A passage that the answer was given to work with."""

    number: int
    source: str
    heading: str
    page: int | None
    start: int
    end: int
    text: str
    relevance: float | None


class ChatbotOutput(TypedDict, total=False):
    """What the chatbot gives. In a stream, `sources` come first, then pieces of `answer`, then the rest.

    Attributes:
        sources: The passages that were retrieved; empty when it declined.
        answer: The text, with numbers in brackets that point to `citations`.
        citations: The spans that support it.
        abstained: Whether it declined.
        reason: Why it answered or declined, for people.
        usage: Tokens read and written by the model; all 0 when it was not asked.
    """

    sources: list[Source]
    answer: str
    citations: list[Citation]
    abstained: bool
    reason: str
    usage: UsageMetadata


def create_chatbot(
    llm: BaseChatModel,
    retriever: BaseRetriever,
    *,
    max_passages: int | None = None,
    focus: int | None = None,
    strict: bool = True,
    min_nearness: float = DEFAULT_MIN_NEARNESS,
    language: str | None = None,
) -> Runnable[Any, Any]:
    """Returns a chatbot that answers from documents, cites verified spans, and declines what they do not answer.

    Args:
        llm: Any LangChain chat model.
        retriever: Any LangChain retriever. `metadata["relevance_score"]`, `source`, `heading`, `page` and `start` of
            its documents are used where they are there.
        max_passages: How many retrieved documents count; None means 8 where the model is shown sentences, else 4.
        focus: Show the model only this many sentences, those nearest to the question; 0 shows whole passages. None
            chooses: 1 for a `ChatGptOss` of fewer than a billion parameters, whole passages for every other model.
        strict: True shows only sentences that a passage supports, each when it is complete. False shows every token
            as it comes and marks unsupported sentences with [?].
        min_nearness: Below this nearness of passages to the question (0 to about 1.3) it declines.
        language: Of its fixed texts, `"en"` or `"fr"`; None goes by the question.

    Returns:
        A Runnable from `{"question": ..., "chat_history": [...]}` to a `ChatbotOutput`.

    Raises:
        InvalidInputError: An argument that cannot work.
    """
    if max_passages is not None and max_passages < 1:
        raise InvalidInputError(f"max_passages is {max_passages}; it must be 1 or more.")
    if focus is not None and focus < 0:
        raise InvalidInputError(f"focus is {focus}; it must be 0 (whole passages) or more.")
    if language not in {None, *DECLINE}:
        raise InvalidInputError(f"language is {language!r}; it must be one of {', '.join(DECLINE)}, or None.")
    focus = _default_focus(llm) if focus is None else focus
    chatbot = _Chatbot(
        llm=llm,
        retriever=retriever,
        max_passages=max_passages or (8 if focus else 4),
        focus=focus,
        strict=strict,
        min_nearness=min_nearness,
        language=language,
    )
    runnable = RunnableGenerator(chatbot.transform, chatbot.atransform, name="gptoss_chatbot")
    return runnable.with_types(input_type=ChatbotInput, output_type=cast("Any", ChatbotOutput))


def _default_focus(llm: BaseChatModel) -> int:
    small = isinstance(llm, ChatGptOss) and (llm.card.parameters or _SMALL) < _SMALL
    return 1 if small else 0


@dataclass(frozen=True, kw_only=True)
class _Request:
    question: str
    history: list[BaseMessage]
    questions: list[tuple[str, float]]  # with the question that it follows, and their weights

    @property
    def complete(self) -> str:
        """The earlier question and the follow-up, in the order they were asked."""
        return " ".join(text for text, _ in reversed(self.questions))


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What was decided after retrieval: to decline, or what to ask the model and how to check it."""

    sources: list[Source]
    reason: str
    messages: list[BaseMessage]
    draft: Draft


@dataclass(frozen=True, kw_only=True)
class _Chatbot:
    llm: BaseChatModel
    retriever: BaseRetriever
    max_passages: int
    focus: int
    strict: bool
    min_nearness: float
    language: str | None

    def transform(self, inputs: Iterator[Any]) -> Iterator[AddableDict]:
        request = _read(_last(inputs))
        self._check_length(request)
        documents = [document for query in _queries(request) for document in self.retriever.invoke(query)]
        plan = self._plan(request, documents)
        yield _opening(plan)
        usage = None
        if plan.messages:
            answer = self.llm.stream(plan.messages)
            for chunk in answer:
                usage = add_usage(usage, _usage(chunk))
                yield from (_piece(text) for text in plan.draft.feed(str(chunk.text)))
                if plan.draft.done:
                    break
            _close(answer)
        yield from _closing(plan, usage)

    async def atransform(self, inputs: AsyncIterator[Any]) -> AsyncIterator[AddableDict]:
        request = _read(await _alast(inputs))
        await run_in_executor(None, self._check_length, request)
        documents = [document for query in _queries(request) for document in await self.retriever.ainvoke(query)]
        plan = await run_in_executor(None, self._plan, request, documents)
        yield _opening(plan)
        usage = None
        if plan.messages:
            answer = self.llm.astream(plan.messages)
            async for chunk in answer:
                usage = add_usage(usage, _usage(chunk))
                for text in plan.draft.feed(str(chunk.text)):
                    yield _piece(text)
                if plan.draft.done:
                    break
            await _aclose(answer)
        for event in _closing(plan, usage):
            yield event

    def _check_length(self, request: _Request) -> None:
        """Refuses a question that the model cannot read; the search alone would cut it off in silence."""
        if isinstance(self.llm, ChatGptOss):
            length, context = len(self.llm.get_token_ids(request.question)), self.llm.running_engine.context_length
            if length >= context:
                raise ContextLengthError(length, context)

    def _plan(self, request: _Request, documents: list[Any]) -> _Plan:
        language = self.language or language_of(request.complete)
        passages = passages_of(documents, limit=self.max_passages * len(request.questions))
        near = nearness(request.complete, passages)
        draft = Draft(
            question=request.complete,
            language=language,
            spans=[],
            strict=self.strict,
            brief=bool(self.focus),
        )
        if near < self.min_nearness:
            reason = f"Declined: the nearest passage has nearness {near:.2f}, below {self.min_nearness:.2f}."
            return _Plan(sources=[], reason=reason, messages=[], draft=draft)
        ranked = nearest_spans(request.questions, passages, self._embeddings())
        draft.spans = [span for span, _ in ranked]
        messages = self._messages(request, passages, draft.spans)
        return _Plan(
            sources=[_source(passage) for passage in passages],
            reason=f"Answered: the nearest passage has nearness {near:.2f}.",
            messages=messages,
            draft=draft,
        )

    def _messages(self, request: _Request, passages: list[Passage], spans: list[Span]) -> list[BaseMessage]:
        if self.focus:
            context = " ".join(span.text for span in spans[: self.focus])
            return FOCUSED_PROMPT.format_messages(context=context, question=request.complete)
        context = "\n\n".join(f"[{p.number}] {p.heading or p.source}\n{p.text}" for p in passages)
        return PASSAGES_PROMPT.format_messages(context=context, question=request.question, chat_history=request.history)

    def _embeddings(self) -> Embeddings | None:
        store = getattr(self.retriever, "vectorstore", None)
        embeddings = getattr(store, "embeddings", None)
        return embeddings if isinstance(embeddings, Embeddings) else None


def _read(value: Any) -> _Request:
    """Reads the chatbot's input.

    Raises:
        InvalidInputError: It holds no question.
    """
    value = {"question": value} if isinstance(value, str) else value
    question = value.get("question") if isinstance(value, dict) else None
    if not isinstance(question, str) or not question.strip():
        raise InvalidInputError('The question is empty. Pass it as {"question": "..."}.')
    history = list(value.get("chat_history") or [])
    return _Request(question=question.strip(), history=history, questions=with_earlier(question.strip(), history))


def _queries(request: _Request) -> list[str]:
    """Returns what to search for: a follow-up alone as well as together with the question that it follows."""
    return [request.complete] if len(request.questions) == 1 else [request.complete, request.question]


def _source(passage: Passage) -> Source:
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


def _opening(plan: _Plan) -> AddableDict:
    return AddableDict(sources=plan.sources)


def _piece(text: str) -> AddableDict:
    return AddableDict(answer=text)


def _closing(plan: _Plan, usage: UsageMetadata | None) -> Iterator[AddableDict]:
    draft, reason = plan.draft, plan.reason
    yield from (_piece(text) for text in draft.finish())
    if not draft.citations:
        if plan.messages:
            reason = "Declined: no passage supports what the model said, and none answers the question by itself."
        yield _piece(f" {DECLINE[draft.language]}" if draft.wrote else DECLINE[draft.language])
    yield AddableDict(
        citations=draft.citations,
        abstained=not draft.citations,
        reason=reason,
        usage=usage or UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0),
    )


def _usage(chunk: BaseMessage) -> UsageMetadata | None:
    return chunk.usage_metadata if isinstance(chunk, AIMessageChunk) else None


def _close(answer: Iterator[Any]) -> None:
    """Ends a stream that was left early, so that the model stops now and not when the garbage is collected."""
    if close := getattr(answer, "close", None):
        close()


async def _aclose(answer: AsyncIterator[Any]) -> None:
    if aclose := getattr(answer, "aclose", None):
        await aclose()


def _last(inputs: Iterator[Any]) -> Any:
    """Returns the input, whole, where a caller streams it."""
    whole = None
    for part in inputs:
        whole = part if whole is None else whole + part
    return whole


async def _alast(inputs: AsyncIterator[Any]) -> Any:
    whole = None
    async for part in inputs:
        whole = part if whole is None else whole + part
    return whole
