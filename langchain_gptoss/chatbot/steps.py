"""The steps of an answer, each a function from the graph's state to what it changes; the graph puts them in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import add_usage
from langchain_core.prompt_values import PromptValue
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

from langchain_gptoss._retrieval.sides import aask, ask
from langchain_gptoss._retrieval.standalone import Standalone, arewrite, rewrite
from langchain_gptoss.audit import AnswerRecord, AuditLog, RecordedPassage, provenance, sampling
from langchain_gptoss.audit.records import text_hash
from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.abstention import judge
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.chatbot.draft import Draft
from langchain_gptoss.chatbot.evidence import Passage, nearest_spans, passages_of
from langchain_gptoss.chatbot.history import overflowing, spoken, with_earlier, without_markers
from langchain_gptoss.chatbot.prompts import ChatbotPrompts
from langchain_gptoss.chatbot.text import language_of
from langchain_gptoss.chatbot.turn import State, Stopped, Turn, current_run, emit, with_summary
from langchain_gptoss.chatbot.types import ChatbotChunk, Source
from langchain_gptoss.chatbot.voice import Voice
from langchain_gptoss.errors import ContextLengthError, GptOssError, RetrievalError

Changes = dict[str, Any]
_SUMMARY_WORDS = 150


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What a chatbot is made of.

    Attributes:
        llm: The chat model.
        retriever: Where passages come from.
        prompts: What the model is told.
        max_passages: How many retrieved documents count.
        focus: How many single sentences the model is shown; 0 shows whole passages.
        strict: Whether unsupported sentences are left out instead of marked.
        decline_below: The confidence in the passages below which it declines; None takes the calibrated one.
        voices: What it says by itself, by language; the first where a question is in none of them.
        access: Who may see what; None lets everybody see everything.
        history_tokens: How much of a conversation is kept word by word.
        audit: Where answers are recorded, or None.
    """

    llm: BaseChatModel
    retriever: BaseRetriever
    prompts: ChatbotPrompts
    max_passages: int
    focus: int
    strict: bool
    decline_below: float | None
    voices: Mapping[str, Voice]
    access: Access | None
    history_tokens: int
    audit: AuditLog | None

    def check(self, state: State, _config: RunnableConfig) -> Changes:
        """Refuses a question that the model cannot read; the search alone would cut it off in silence."""
        turn = state["turn"]
        if isinstance(self.llm, ChatGptOss):
            length, context = len(self.llm.get_token_ids(turn.asked)), self.llm.running_engine.context_length
            if length >= context:
                raise ContextLengthError(length, context)
        voice = self._voice(turn.asked)
        for each in [voice, *self.voices.values()]:  # a question in one language may break the rule of the other
            rule = each.profile.safety.violated(turn.asked) if each.profile else None
            if rule is not None:
                said = rule.message or each.refuse
                reason = f"Declined: the domain's policy refuses this ({rule.category})."
                return {"turn": replace(turn, voice=each, standalone=turn.asked, fixed=said, reason=reason)}
        return {"turn": replace(turn, voice=voice)}

    def _voice(self, text: str) -> Voice:
        first = next(iter(self.voices.values()))
        return first if len(self.voices) == 1 else self.voices.get(language_of(text), first)

    # The conversation

    def condense(self, state: State, config: RunnableConfig) -> Changes:
        """Makes a follow-up complete, and a long conversation short."""
        turn, changes, older = self._before(state)
        if older:
            asked = self._summary_prompt(state.get("summary", ""), older)
            changes["summary"] = str(self.llm.invoke(asked, config).text).strip()
        questions = with_earlier(turn.asked, turn.history)
        standalone = None
        if len(questions) > 1 and not self.focus:
            standalone = rewrite(self.llm, turn.asked, turn.history, config, prompt=self.prompts.condense)
        return self._after(turn, questions, standalone, changes)

    async def acondense(self, state: State, config: RunnableConfig) -> Changes:
        """Does what `condense` does."""
        turn, changes, older = self._before(state)
        if older:
            asked = self._summary_prompt(state.get("summary", ""), older)
            changes["summary"] = str((await self.llm.ainvoke(asked, config)).text).strip()
        questions = with_earlier(turn.asked, turn.history)
        standalone = None
        if len(questions) > 1 and not self.focus:
            standalone = await arewrite(self.llm, turn.asked, turn.history, config, prompt=self.prompts.condense)
        return self._after(turn, questions, standalone, changes)

    def _before(self, state: State) -> tuple[Turn, Changes, list[BaseMessage]]:
        """Returns the turn with its conversation, and what of the conversation has to be summed up."""
        turn = state["turn"]
        if current_run().session_id is None:
            return turn, {}, []
        messages = state.get("messages", [])
        older, recent = overflowing(messages, self.history_tokens)
        changes: Changes = {"messages": recent} if older else {}
        # A small model is never shown the conversation, so that nothing is lost with its beginning.
        return replace(turn, history=recent), changes, [] if self.focus else older

    def _after(
        self, turn: Turn, questions: list[tuple[str, float]], standalone: Standalone | None, changes: Changes
    ) -> Changes:
        whole = " ".join(text for text, _ in reversed(questions))
        if standalone is not None:
            whole, questions = standalone.question, [(standalone.question, 1.0)]
        return {
            **changes,
            "turn": replace(turn, questions=questions, standalone=whole, voice=self._voice(whole)),
        }

    def _summary_prompt(self, summary: str, older: Sequence[BaseMessage]) -> PromptValue:
        conversation = "\n".join(filter(None, [summary, spoken(older)]))
        return self.prompts.summary.invoke({"conversation": conversation, "words": _SUMMARY_WORDS})

    # The passages

    def retrieve(self, state: State, config: RunnableConfig) -> Changes:
        """Asks the retriever for what the caller may see."""
        turn, filter = state["turn"], self._filter()
        documents: list[Document] = []
        try:
            for query in _queries(turn):
                documents += ask(self.retriever, query, k=None, filter=filter, callbacks=config.get("callbacks"))
        except Exception as error:
            raise self._retrieval_error(error) from error
        return {"turn": replace(turn, documents=self._visible(documents))}

    async def aretrieve(self, state: State, config: RunnableConfig) -> Changes:
        """Does what `retrieve` does."""
        turn, filter = state["turn"], self._filter()
        documents: list[Document] = []
        try:
            for query in _queries(turn):
                documents += await aask(self.retriever, query, k=None, filter=filter, callbacks=config.get("callbacks"))
        except Exception as error:
            raise self._retrieval_error(error) from error
        return {"turn": replace(turn, documents=self._visible(documents))}

    def _filter(self) -> dict[str, Any] | None:
        return None if self.access is None else self.access.filter(current_run().labels)

    def _visible(self, documents: list[Document]) -> list[Document]:
        return documents if self.access is None else self.access.visible(documents, current_run().labels)

    def _retrieval_error(self, error: Exception) -> GptOssError:
        if isinstance(error, GptOssError):
            return error
        return RetrievalError(
            f"{type(self.retriever).__name__} failed ({type(error).__name__}: {error}). Check the index or the service "
            "behind it, and ask again."
        )

    def judge(self, state: State, _config: RunnableConfig) -> Changes:
        """Decides whether the passages can answer the question, and says which they are."""
        turn = state["turn"]
        passages = passages_of(turn.documents, limit=self.max_passages * len(_queries(turn)))
        judgement = judge(turn.standalone, passages, language=turn.voice.language, decline_below=self.decline_below)
        turn = replace(turn, reason=judgement.reason)
        shown = {"standalone_question": turn.standalone, "language": turn.voice.language}
        if not judgement.answerable:
            emit(sources=[], **shown)
            return {"turn": turn}
        draft = Draft(
            question=turn.standalone,
            language=turn.voice.language,
            spans=[span for span, _ in nearest_spans(turn.questions, passages, _embeddings(self.retriever))],
            strict=self.strict,
            brief=bool(self.focus),
        )
        emit(sources=[_source(passage) for passage in passages], **shown)
        return {"turn": replace(turn, passages=passages, draft=draft)}

    # The answer

    def answer(self, state: State, config: RunnableConfig) -> Changes:
        """Has the model answer, and shows what can be shown as it comes."""
        heard = _Heard(state["turn"], _draft(state))
        stream = self.llm.stream(self._messages(state), config)
        try:
            for chunk in stream:
                heard.take(chunk)
                if heard.draft.done:
                    break
        finally:  # so that the model stops now, and not when the garbage is collected
            if close := getattr(stream, "close", None):
                close()
        return {"turn": heard.turn}

    async def aanswer(self, state: State, config: RunnableConfig) -> Changes:
        """Does what `answer` does."""
        heard = _Heard(state["turn"], _draft(state))
        stream = self.llm.astream(self._messages(state), config)
        try:
            async for chunk in stream:
                heard.take(chunk)
                if heard.draft.done:
                    break
        finally:
            if aclose := getattr(stream, "aclose", None):
                await aclose()
        return {"turn": heard.turn}

    def _messages(self, state: State) -> list[BaseMessage]:
        turn, draft = state["turn"], _draft(state)
        if self.focus:
            context = " ".join(span.text for span in draft.spans[: self.focus])
            return self._filled(self.prompts.sentence.partial(instructions=""), context, turn.standalone)
        context = "\n\n".join(f"[{p.number}] {p.heading or p.source}\n{p.text}" for p in turn.passages)
        history = with_summary(state.get("summary", ""), turn.history)
        prompt = self.prompts.passages.partial(instructions=turn.voice.instructions, chat_history=history)
        return self._filled(prompt, context, turn.asked)

    def _filled(self, prompt: Any, context: str, question: str) -> list[BaseMessage]:
        messages: list[BaseMessage] = prompt.format_messages(context=context, question=question)
        return messages

    def verify(self, state: State, _config: RunnableConfig) -> Changes:
        """Shows the rest of the answer, or declines where nothing of it is supported."""
        turn = state["turn"]
        draft = turn.draft
        if draft is not None:
            for text in draft.finish():
                emit(answer=text)
            if draft.citations:
                return {}
            turn = replace(
                turn,
                reason="Declined: no passage supports what the model said, and none answers the question by itself.",
            )
        if turn.fixed:
            emit(sources=[], standalone_question=turn.standalone, language=turn.voice.language)
        declined = turn.fixed or turn.voice.decline
        emit(answer=f" {declined}" if draft is not None and draft.wrote else declined)
        return {"turn": turn}

    def cite(self, state: State, _config: RunnableConfig) -> Changes:
        """Gives the citations, and remembers and records the exchange."""
        turn, run = state["turn"], current_run()
        draft = turn.draft
        citations = draft.citations if draft is not None else []
        last = ChatbotChunk(
            citations=citations,
            unsupported=list(draft.unsupported) if draft is not None else [],
            abstained=not citations,
            reason=turn.reason,
            disclaimer=turn.voice.disclaimer,
            usage=turn.usage,
            timings=dict(run.timings),
            metadata=self._metadata(turn),
        )
        if self.audit is not None:
            receipt = self.audit.append(self._record(turn, last))
            last.metadata["audit"] = {"id": receipt.id, "seq": receipt.seq, "hash": receipt.hash}
        emit(**last.values())
        if run.session_id is None:
            return {}
        exchange = [HumanMessage(turn.asked), AIMessage(without_markers(run.answer))]
        return {"messages": [*state.get("messages", []), *exchange]}

    def _metadata(self, turn: Turn) -> dict[str, Any]:
        profile, session_id = turn.voice.profile, current_run().session_id
        known = {
            "model": provenance(self.llm),
            "prompt_version": self._prompt_version(turn.voice),
            "domain": f"{profile.name}.{profile.language}" if profile else None,
            "finish_reason": turn.finish_reason or None,
            "session_id": session_id,
        }
        return {name: value for name, value in known.items() if value is not None}

    def _prompt_version(self, voice: Voice) -> str:
        """Returns what changes whenever what the model is told does."""
        own = self.prompts.version
        return own if voice.profile is None else f"{own}+{voice.profile.fingerprint[:16]}"

    def _record(self, turn: Turn, last: ChatbotChunk) -> AnswerRecord:
        run = current_run()
        field = self.access.field if self.access else ""
        labels = {document.page_content: document.metadata.get(field) for document in turn.documents}
        return AnswerRecord.of(
            last,
            user=run.user_id,
            session=run.session_id,
            question=turn.asked,
            standalone_question=turn.standalone,
            passages=[_recorded(passage, labels.get(passage.text)) for passage in turn.passages],
            prompt_version=last.metadata["prompt_version"],
            domain=last.metadata.get("domain"),
            model=last.metadata["model"],
            sampling=sampling(self.llm),
            answer=run.answer,
            reasoning=turn.reasoning,
            guard=[{"what": finding} for finding in turn.findings],
        )


class _Heard:
    """What has been heard of a model's answer."""

    def __init__(self, turn: Turn, draft: Draft) -> None:
        self.turn, self.draft = turn, draft

    def take(self, chunk: BaseMessage) -> None:
        """Takes a piece of the model's message."""
        if current_run().stopped.is_set():
            raise Stopped
        if isinstance(chunk, AIMessageChunk):
            usage = add_usage(self.turn.usage, chunk.usage_metadata)
            reasoning = str(chunk.additional_kwargs.get("reasoning_content") or "")
            finish = str(chunk.response_metadata.get("finish_reason") or self.turn.finish_reason)
            self.turn = replace(self.turn, usage=usage, reasoning=self.turn.reasoning + reasoning, finish_reason=finish)
            if reasoning:
                emit(reasoning=reasoning)
        for text in self.draft.feed(str(chunk.text)):
            emit(answer=text)


def _draft(state: State) -> Draft:
    draft = state["turn"].draft
    assert draft is not None
    return draft


def _queries(turn: Turn) -> list[str]:
    """Returns what to search for: a follow-up alone as well as together with the question that it follows."""
    return [turn.standalone] if len(turn.questions) == 1 else [turn.standalone, turn.asked]


def _embeddings(retriever: BaseRetriever) -> Any:
    return getattr(getattr(retriever, "vectorstore", None), "embeddings", None)


def _recorded(passage: Passage, labels: Any) -> RecordedPassage:
    return RecordedPassage(
        source=passage.source,
        page=passage.page,
        heading=passage.heading,
        start=passage.start,
        end=passage.start + len(passage.text),
        sha256=text_hash(passage.text),
        labels=tuple(labels) if labels else None,
    )


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
