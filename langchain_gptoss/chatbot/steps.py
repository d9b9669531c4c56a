"""The steps of an answer, each a function from the graph's state to what it changes; the graph puts them in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import add_usage
from langchain_core.prompt_values import PromptValue
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, run_in_executor

from langchain_gptoss.audit import AuditLog
from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.chatbot.grounding.abstention import judge
from langchain_gptoss.chatbot.grounding.answer_stream import Draft
from langchain_gptoss.chatbot.grounding.passages import Passage, Span, nearest_spans, passages_of
from langchain_gptoss.chatbot.guard import PolicyGuard, Verdict, quoted, refused_calls, shown
from langchain_gptoss.chatbot.guard.pipeline import Rails, output_check, without_instructions
from langchain_gptoss.chatbot.history import overflowing, spoken, with_earlier, without_markers
from langchain_gptoss.chatbot.localization import Voice
from langchain_gptoss.chatbot.prompts import ChatbotPrompts
from langchain_gptoss.chatbot.record import metadata, record
from langchain_gptoss.chatbot.state import State, Stopped, Turn, current_run, emit, with_summary
from langchain_gptoss.chatbot.types import ChatbotChunk, Source
from langchain_gptoss.errors import ContextLengthError, GptOssError, RetrievalError
from langchain_gptoss.retrievers.adapters import aask, ask
from langchain_gptoss.retrievers.query_rewriting import Standalone, arewrite, rewrite
from langchain_gptoss.text.language import choose_language

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
        rails: What questions and answers are held to.
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
    rails: Rails
    audit: AuditLog | None

    # The question

    def check(self, state: State, config: RunnableConfig) -> Changes:
        """Refuses a question that the model cannot read, or the policy does not allow."""
        voice = self._read(state["turn"].asked)
        guard = self.rails.questions.get(voice.language)
        return self._checked(state["turn"], voice, guard.check(state["turn"].asked, config) if guard else None)

    async def acheck(self, state: State, config: RunnableConfig) -> Changes:
        """Does what `check` does."""
        voice = await run_in_executor(None, self._read, state["turn"].asked)
        guard = self.rails.questions.get(voice.language)
        verdict = await guard.acheck(state["turn"].asked, config) if guard else None
        return self._checked(state["turn"], voice, verdict)

    def _read(self, asked: str) -> Voice:
        """Returns the question's language.

        Raises:
            ContextLengthError: It is too long; the search alone would cut it off in silence.
        """
        if isinstance(self.llm, ChatGptOss):
            length, context = len(self.llm.get_token_ids(asked)), self.llm.running_engine.context_length
            if length >= context:
                raise ContextLengthError(length, context)
        return self._voice(asked)

    def _checked(self, turn: Turn, voice: Voice, verdict: Verdict | None) -> Changes:
        turn = replace(turn, voice=voice)
        if verdict is None or verdict.allowed:
            return {"turn": turn}
        return {"turn": _refused(turn, "question", verdict)}

    def _voice(self, text: str) -> Voice:
        first = next(iter(self.voices.values()))
        return first if len(self.voices) == 1 else self.voices.get(choose_language(text), first)

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
        found = passages_of(turn.documents, limit=self.max_passages * len(_queries(turn)))
        passages, notes = without_instructions(found)
        judgement = judge(turn.standalone, passages, language=turn.voice.language, decline_below=self.decline_below)
        turn = replace(turn, found=found, reason=judgement.reason, findings=[*turn.findings, *notes])
        about = {"standalone_question": turn.standalone, "language": turn.voice.language}
        if not judgement.answerable:
            emit(sources=[], **about)
            return {"turn": turn}
        draft = Draft(
            question=turn.standalone,
            language=turn.voice.language,
            spans=_statements(nearest_spans(turn.questions, passages, _embeddings(self.retriever))),
            strict=self.strict,
            brief=bool(self.focus),
        )
        check = output_check(turn.standalone, passages, turn.voice.instructions)
        draft.refuses = lambda sentence: bool(check.findings(sentence))
        emit(sources=[_source(passage) for passage in found], **about)
        return {"turn": replace(turn, passages=passages, draft=draft)}

    # The answer

    def answer(self, state: State, config: RunnableConfig) -> Changes:
        """Has the model answer, and shows what can be shown as it comes."""
        heard = _Heard(state["turn"], _draft(state), self._shows, aloud=not self.rails.answers)
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
        heard = _Heard(state["turn"], _draft(state), self._shows, aloud=not self.rails.answers)
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
            context = " ".join(shown(span.text) for span in draft.spans[: self.focus])
            return self._filled(self.prompts.sentence.partial(instructions=""), context, turn.standalone)
        context = quoted(turn.passages, language=turn.voice.language, findings={})
        history = with_summary(state.get("summary", ""), turn.history)
        prompt = self.prompts.passages.partial(instructions=turn.voice.instructions, chat_history=history)
        return self._filled(prompt, context, turn.asked)

    def _filled(self, prompt: Any, context: str, question: str) -> list[BaseMessage]:
        messages: list[BaseMessage] = prompt.format_messages(context=context, question=question)
        return messages

    def verify(self, state: State, config: RunnableConfig) -> Changes:
        """Shows the rest of the answer, or declines where nothing of it is supported or allowed."""
        turn, guard = self._finished(state["turn"])
        return self._closed(turn, guard.check(turn.held, config) if guard else None)

    async def averify(self, state: State, config: RunnableConfig) -> Changes:
        """Does what `verify` does."""
        turn, guard = await run_in_executor(None, self._finished, state["turn"])
        return self._closed(turn, await guard.acheck(turn.held, config) if guard else None)

    def _shows(self, text: str) -> str:
        """Shows a piece of the answer, and returns it where it has to wait for a check of the whole."""
        if self.rails.answers:
            return text
        emit(answer=text)
        return ""

    def _finished(self, turn: Turn) -> tuple[Turn, PolicyGuard | None]:
        """Returns the turn with the end of its draft, and what has to be asked about what is held back."""
        if turn.draft is None:
            return turn, None
        turn = replace(turn, held=turn.held + "".join([self._shows(text) for text in turn.draft.finish()]))
        return turn, self.rails.answers.get(turn.voice.language) if turn.held else None

    def _closed(self, turn: Turn, verdict: Verdict | None) -> Changes:
        draft = turn.draft
        if verdict is not None and not verdict.allowed:
            turn = replace(_refused(turn, "answer", verdict), draft=None)
        elif draft is not None and draft.citations:
            if turn.held:
                emit(answer=turn.held)
            return {"turn": turn}
        elif draft is not None:
            why = "Declined: no passage supports what the model said, and none answers the question by itself."
            turn = replace(turn, reason=why)
        elif turn.fixed:
            emit(sources=[], standalone_question=turn.standalone, language=turn.voice.language)
        declined = turn.fixed or turn.voice.decline
        emit(answer=f" {declined}" if draft is not None and draft.wrote and not self.rails.answers else declined)
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
            metadata=metadata(self.llm, self.prompts, turn, run),
        )
        if self.audit is not None:
            receipt = self.audit.append(record(self.llm, turn, run, last, self.access.field if self.access else ""))
            last.metadata["audit"] = {"id": receipt.id, "seq": receipt.seq, "hash": receipt.hash}
        emit(**last.values())
        if run.session_id is None:
            return {}
        exchange = [HumanMessage(turn.asked), AIMessage(without_markers(run.answer))]
        return {"messages": [*state.get("messages", []), *exchange]}


def _refused(turn: Turn, what: str, verdict: Verdict) -> Turn:
    """Returns a turn that ends with the words of the policy."""
    note = f"{what} refused ({verdict.category}): {verdict.why}"
    return replace(
        turn,
        standalone=turn.standalone or turn.asked,
        fixed=verdict.message or turn.voice.refuse,
        reason=f"Declined: the domain's policy refuses the {what} ({verdict.category}).",
        findings=[*turn.findings, note],
    )


class _Heard:
    """What has been heard of a model's answer."""

    def __init__(self, turn: Turn, draft: Draft, shows: Callable[[str], str], *, aloud: bool) -> None:
        self.turn, self.draft, self._shows, self._aloud = turn, draft, shows, aloud

    def take(self, chunk: BaseMessage) -> None:
        """Takes a piece of the model's message."""
        if current_run().stopped.is_set():
            raise Stopped
        if isinstance(chunk, AIMessageChunk):
            usage = add_usage(self.turn.usage, chunk.usage_metadata)
            reasoning = str(chunk.additional_kwargs.get("reasoning_content") or "")
            finish = str(chunk.response_metadata.get("finish_reason") or self.turn.finish_reason)
            self.turn = replace(self.turn, usage=usage, reasoning=self.turn.reasoning + reasoning, finish_reason=finish)
            if reasoning and self._aloud:  # what has not been judged is not shown, thoughts neither
                emit(reasoning=reasoning)
        if calls := refused_calls(chunk):
            notes = [f"the model tried to call {call}" for call in calls]
            self.turn = replace(self.turn, findings=list(dict.fromkeys([*self.turn.findings, *notes])))
        held = "".join([self._shows(text) for text in self.draft.feed(str(chunk.text))])
        self.turn = replace(self.turn, held=self.turn.held + held)


def _draft(state: State) -> Draft:
    draft = state["turn"].draft
    assert draft is not None
    return draft


def _statements(ranked: Sequence[tuple[Span, float]]) -> list[Span]:
    """Returns spans without those that ask: a question supports nothing, and may have been planted."""
    return [span for span, _ in ranked if not span.text.rstrip(" \"'”»)").endswith("?")]


def _queries(turn: Turn) -> list[str]:
    """Returns what to search for: a follow-up alone as well as together with the question that it follows."""
    return [turn.standalone] if len(turn.questions) == 1 else [turn.standalone, turn.asked]


def _embeddings(retriever: BaseRetriever) -> Any:
    return getattr(getattr(retriever, "vectorstore", None), "embeddings", None)


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
