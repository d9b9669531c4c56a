"""`create_chatbot`: one Runnable over any chat model and any retriever."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import operator
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.graph import Graph

from langchain_gptoss._flow import Flow, arun_flow, call, run_flow
from langchain_gptoss.audit import AuditLog
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.chatbot.caller import read_caller
from langchain_gptoss.chatbot.context import RunContext
from langchain_gptoss.chatbot.graph import ChatbotGraph, build_graph
from langchain_gptoss.chatbot.grounding.passage_judge import create_passage_judge
from langchain_gptoss.chatbot.grounding.verifiers import create_verifier
from langchain_gptoss.chatbot.guard.pipeline import build_policies
from langchain_gptoss.chatbot.inputs import parse_input
from langchain_gptoss.chatbot.localization import load_texts
from langchain_gptoss.chatbot.prompts import DECLINE, ChatbotPrompts
from langchain_gptoss.chatbot.recorder import AnswerRecorder
from langchain_gptoss.chatbot.sessions import Sessions, open_checkpointer
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.chatbot.small_models import MAX_PASSAGES, choose_focus
from langchain_gptoss.chatbot.state import AnswerState, GraphState
from langchain_gptoss.chatbot.types import ChatbotChunk, ChatbotInput, ChatbotOutput
from langchain_gptoss.chatbot.warm_up import read_shared_beginnings
from langchain_gptoss.decisions import GptOssDecisions
from langchain_gptoss.domains import DomainProfile, RetrievalSettings
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import as_retriever

if TYPE_CHECKING:
    from langchain_gptoss.chatbot.sessions import Checkpointer

_DEFAULT_HISTORY_TOKENS = 2_000
_JOIN_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class _PreparedRun:
    """One run of the graph, ready to start.

    Attributes:
        graph: The graph, with or without a checkpointer.
        state: Its input.
        config: LangChain's configuration, with the session's thread.
        context: LangGraph's context.
        session: Keeps the session occupied during the run.
        durability: When LangGraph saves: once, after a complete answer. Failed answers are not remembered.
    """

    graph: ChatbotGraph
    state: GraphState
    config: RunnableConfig
    context: RunContext
    session: AbstractContextManager[None]
    durability: Any

    @property
    def recorder(self) -> AnswerRecorder:
        """Records the answer in the audit log."""
        return self.context.recorder

    def invoke(self) -> None:
        """Run the graph to its end."""
        self.graph.invoke(self.state, self.config, context=self.context, durability=self.durability)

    async def ainvoke(self) -> None:
        """Async version of `invoke`."""
        await self.graph.ainvoke(self.state, self.config, context=self.context, durability=self.durability)

    def astream(self) -> AsyncGenerator[ChatbotChunk, None]:
        """Return the chunks that the steps write to LangGraph's stream."""
        stream = self.graph.astream(
            self.state, self.config, context=self.context, stream_mode="custom", durability=self.durability
        )
        return cast("AsyncGenerator[ChatbotChunk, None]", stream)


class Chatbot(Runnable[Any, ChatbotOutput]):
    """A Runnable from a question to a `ChatbotOutput`; `create_chatbot` makes it.

    The input is a string, a `ChatbotInput`, or a dict with its fields. `config["configurable"]` names the caller:
    `user_id`, and `access_labels` if documents carry labels. On a server both come from the API key, never from the
    request.

    A chatbot that opened files or a database (`sessions="sessions.sqlite"`, `audit="audit.jsonl"`) closes them in
    `close()`, or at the end of a `with` block.

    Attributes:
        settings: The parts and options of the chatbot.
        sessions: The remembered conversations, or None.
    """

    def __init__(
        self, settings: ChatbotSettings, sessions: Sessions | None, *, owned: Iterable[Sessions | AuditLog] = ()
    ) -> None:
        """Create a chatbot from its parts.

        Args:
            settings: The parts and options of the chatbot.
            sessions: The remembered conversations, or None.
            owned: The sessions and the audit log that `close()` closes.
        """
        self.name = "gptoss_chatbot"
        self.settings, self.sessions = settings, sessions
        self._owned = tuple(owned)
        self._graph = build_graph(settings, None)
        self._session_graph = None if sessions is None else build_graph(settings, sessions.checkpointer)

    @property
    def InputType(self) -> Any:  # noqa: N802 (LangChain's name)
        """The type of the input."""
        return ChatbotInput

    @property
    def OutputType(self) -> Any:  # noqa: N802
        """The type of the output."""
        return ChatbotOutput

    def warm_up(self) -> None:
        """Let the model read what the prompts of all users begin with, so that first questions do not wait for it.

        It can be called in a thread: questions that arrive meanwhile are answered first.
        """
        read_shared_beginnings(self.settings)

    def close(self) -> None:
        """Close the sessions and the audit log that this chatbot opened. It can be called more than once."""
        for resource in self._owned:
            resource.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_graph(self, config: RunnableConfig | None = None) -> Graph:
        """Return the steps as a graph to draw: `bot.get_graph().draw_mermaid()`."""
        return self._graph.get_graph(config)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> ChatbotOutput:
        """Return the answer to a question.

        Raises:
            InvalidInputError: There is no question, or the input cannot be used.
            ContextLengthError: The question does not fit into the model's context.
            RetrievalError: The retriever failed.
            SessionBusyError: The session is still answering its last question.
        """

        def run(value: Any, run_manager: Any, config: RunnableConfig) -> ChatbotOutput:
            return run_flow(self._run(value, config))

        return self._call_with_config(run, input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> ChatbotOutput:
        """Async version of `invoke`."""

        async def run(value: Any, run_manager: Any, config: RunnableConfig) -> ChatbotOutput:
            return await arun_flow(self._run(value, config))

        return await self._acall_with_config(run, input, config, **kwargs)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[ChatbotOutput]:
        """Yield the output in chunks: `sources` first, then pieces of `answer`, then `citations` and the rest."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[ChatbotOutput]:
        """Async version of `stream`."""

        async def yield_input() -> AsyncIterator[Any]:
            yield input

        # Closed at once if the caller stops reading, so that the part that was shown is recorded.
        async with aclosing(cast("Any", self.atransform(yield_input(), config, **kwargs))) as chunks:
            async for chunk in chunks:
                yield chunk

    def transform(
        self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[ChatbotOutput]:
        """Yield the output in chunks. The input may come in chunks, too."""
        yield from self._transform_stream_with_config(input, self._stream, config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[ChatbotOutput]:
        """Async version of `transform`."""
        stream = self._atransform_stream_with_config(input, self._astream, config, **kwargs)
        async with aclosing(cast("Any", stream)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _run(self, value: Any, config: RunnableConfig) -> Flow[ChatbotOutput]:
        chunks: list[ChatbotChunk] = []
        run = self._prepare_run(value, config, chunks.append, is_streamed=False)
        with run.session:
            yield from call(run.invoke, run.ainvoke)
        return functools.reduce(operator.add, chunks, ChatbotChunk()).to_output()

    def _stream(self, inputs: Iterator[Any], run_manager: Any, config: RunnableConfig) -> Iterator[ChatbotOutput]:
        """Run the graph in a thread, so that Ctrl+C and a closed generator stop it between two tokens.

        LangGraph's own sync stream waits for the end of a step.
        """
        chunks: SimpleQueue[ChatbotChunk | BaseException | None] = SimpleQueue()
        run = self._prepare_run(_join_chunks(inputs), config, chunks.put)

        def run_graph() -> None:
            try:
                run.invoke()
                chunks.put(None)
            except BaseException as error:  # raised again in the reader's thread
                chunks.put(error)

        with run.session:
            worker = threading.Thread(target=contextvars.copy_context().run, args=(run_graph,), daemon=True)
            worker.start()
            failure: BaseException | None = None
            try:
                while (chunk := chunks.get()) is not None:
                    if isinstance(chunk, BaseException):
                        raise chunk
                    yield from run.recorder.release(chunk)
            except BaseException as error:
                failure = error
                raise
            finally:
                run.context.abandoned.set()
                worker.join(_JOIN_TIMEOUT_S)
                run.recorder.end(failure)

    async def _astream(
        self, inputs: AsyncIterator[Any], run_manager: Any, config: RunnableConfig
    ) -> AsyncIterator[ChatbotOutput]:
        value = _join_chunks([part async for part in inputs])
        run = self._prepare_run(value, config, None)
        with run.session:
            chunks = run.astream()
            failure: BaseException | None = None
            try:
                async for chunk in chunks:
                    for released in await _release(run.recorder, chunk):
                        yield released
            except BaseException as error:
                failure = error
                raise
            finally:
                run.context.abandoned.set()
                try:
                    await chunks.aclose()
                finally:
                    await _end(run.recorder, failure)

    def _prepare_run(
        self,
        value: Any,
        config: RunnableConfig,
        send: Callable[[ChatbotChunk], None] | None,
        *,
        is_streamed: bool = True,
    ) -> _PreparedRun:
        """Return a run for an input.

        Raises:
            InvalidInputError: The input cannot be used.
        """
        question = parse_input(value)
        caller = read_caller(config, question.session_id)
        texts = next(iter(self.settings.texts.values()))
        answer = AnswerState(question=question.question, history=question.chat_history, texts=texts)
        recorder = AnswerRecorder(self.settings, caller, is_streamed=is_streamed)
        state, context = GraphState(answer_state=answer), RunContext(caller=caller, recorder=recorder, send=send)
        if caller.session_id is None:
            return _PreparedRun(
                graph=self._graph, state=state, config=config, context=context, session=nullcontext(), durability=None
            )
        if self.sessions is None or self._session_graph is None:
            raise InvalidInputError(
                "session_id is given, and this chatbot keeps no sessions.",
                hint='Create it with create_chatbot(..., sessions=":memory:"), or pass chat_history instead.',
            )
        if question.chat_history:
            raise InvalidInputError(
                "chat_history and session_id are both given.", hint="Leave out chat_history; a session keeps its own."
            )
        session_config = self.sessions.get_config(caller.user_id, caller.session_id)
        return _PreparedRun(
            graph=self._session_graph,
            state=state,
            config=_merge_configs(config, session_config),
            context=context,
            session=self.sessions.reserve(session_config),
            durability="exit",
        )


def create_chatbot(
    llm: BaseChatModel,
    retriever: Any,
    *,
    max_passages: int | None = None,
    excerpt_chars: int | None = None,
    focus: int | None = None,
    strict: bool | None = None,
    decline_below: float | None = None,
    domain: str | Path | DomainProfile | None = None,
    language: str | None = None,
    prompts: ChatbotPrompts | None = None,
    sessions: str | Path | Checkpointer | Sessions | None = None,
    access: str | None = None,
    history_tokens: int = _DEFAULT_HISTORY_TOKENS,
    guard_model: BaseChatModel | GptOssDecisions | None = None,
    verifier: Any = None,
    judge: Any = "auto",
    audit: str | Path | AuditLog | None = None,
) -> Chatbot:
    """Return a chatbot that answers from documents, cites verified spans, and declines what they do not answer.

    Args:
        llm: Any LangChain chat model.
        retriever: Any LangChain retriever, vector store, or Runnable from a question to documents. The metadata
            `relevance_score`, `source`, `heading`, `page` and `start` of its documents are used if present.
        max_passages: Maximum number of retrieved documents that are used. None means 8 if the model is shown sentences,
            else the domain's value, or 8.
        excerpt_chars: Maximum length of what the model reads of these documents, in characters: the sentences nearest
            to the question, with those that they belong to. 0 means whole documents. None means the domain's value, or
            1,200.
        focus: Number of sentences that the model is shown, those nearest to the question; 0 shows excerpts. None means
            1 for a `ChatGptOss` of fewer than a billion parameters, by the catalog or the folder's config, and 0 for
            every other model.
        strict: True shows only sentences that a passage supports, each when it is complete. False shows every token as
            it comes and marks unsupported sentences with [?]. None means the domain's value, or True.
        decline_below: Confidence, from 0 to 1, below which the chatbot declines without asking the model. None means
            the domain's value, or the calibrated limit (docs/evaluation.md), which is lower for models that read whole
            passages.
        domain: A built-in domain such as `"support"` or `"law"`, the path of a TOML file, or a `DomainProfile`: the
            persona, the scope, the form of an answer, and the refusals. `gptoss domains` lists the built-in ones.
        language: Language of the chatbot's own texts, `"en"` or `"fr"`; None follows the question.
        prompts: The prompts; None means the default prompts.
        sessions: Storage of conversations: `":memory:"`, a file for SQLite, a `postgresql://` address, a
            LangGraph checkpointer, or `Sessions`. None remembers nothing; pass `chat_history` then.
        access: The metadata field with each document's access labels. Callers find documents that share a label with
            them or are labelled "public", and no others.
        history_tokens: Maximum length of a conversation that is kept word by word, in tokens. The model summarizes what
            came before.
        guard_model: A model that judges questions and answers by the domain's written policy, such as
            `ChatGptOss(model="gpt-oss-safeguard-20b")`, or a `GptOssDecisions` for a verdict in one pass. Answers are
            then shown as a whole, after they were judged.
        verifier: A model that judges each supported sentence again and may take its support away: an object with
            `verify(claim, evidence, question)`, which returns a probability, or a detector such as lettucedetect's.
        judge: A decision model that judges whether the best sentence of the passages answers the question, in one pass
            and only where the rules would answer; both are combined by fitted weights. `"auto"` takes `llm` if the
            package has a calibration for it, as for `demo-large`. True takes `llm` in any case, unless it is too small
            to judge (fewer than a billion parameters). False leaves the decision to the rules.
        audit: The log that records every answer: a file, or an `AuditLog` with its own settings.

    Raises:
        InvalidInputError: An argument has a value that cannot work.
        StorageError: The sessions or the audit log cannot be opened.
    """
    _check_options(max_passages, excerpt_chars, focus, decline_below, history_tokens, language)
    focus = choose_focus(llm) if focus is None else focus
    texts = load_texts(domain, language)
    profile = next(iter(texts.values())).profile
    defaults = profile.retrieval if profile is not None else RetrievalSettings()
    retriever = as_retriever(retriever)
    access_labels = None if access is None else Access(access)
    if access_labels is not None:
        access_labels.check_retriever(retriever)
    policies = build_policies(texts, guard_model)
    opened_sessions = _open_sessions(sessions)
    prompts = prompts or ChatbotPrompts()
    audit_log = AuditLog(audit) if isinstance(audit, str | Path) else audit
    settings = ChatbotSettings(
        llm=llm,
        retriever=retriever,
        prompts=prompts,
        max_passages=max_passages or (MAX_PASSAGES if focus else defaults.passages),
        excerpt_chars=defaults.excerpt_chars if excerpt_chars is None else excerpt_chars,
        focus=focus,
        strict=defaults.strict if strict is None else strict,
        decline_below=defaults.decline_below if decline_below is None else decline_below,
        texts=texts,
        access=access_labels,
        history_tokens=history_tokens,
        policies=policies,
        audit=audit_log,
        verifier=create_verifier(verifier),
        judge=create_passage_judge(judge, llm, is_able=not choose_focus(llm)),
    )
    owned: list[Sessions | AuditLog] = []
    if opened_sessions is not None and isinstance(sessions, str | Path):
        owned.append(opened_sessions)
    if audit_log is not None and audit_log is not audit:
        owned.append(audit_log)
    return Chatbot(settings, opened_sessions, owned=owned)


def _check_options(
    max_passages: int | None,
    excerpt_chars: int | None,
    focus: int | None,
    decline_below: float | None,
    history_tokens: int,
    language: str | None,
) -> None:
    if max_passages is not None and max_passages < 1:
        raise InvalidInputError(f"max_passages is {max_passages}.", hint="Use 1 or more.")
    if excerpt_chars is not None and excerpt_chars < 0:
        raise InvalidInputError(f"excerpt_chars is {excerpt_chars}.", hint="Use 0 for whole passages, or a length.")
    if decline_below is not None and not 0 <= decline_below <= 1:
        raise InvalidInputError(f"decline_below is {decline_below}.", hint="Use a number from 0 to 1.")
    if focus is not None and focus < 0:
        raise InvalidInputError(f"focus is {focus}.", hint="Use 0 for excerpts, or a number of sentences.")
    if history_tokens < 1:
        raise InvalidInputError(f"history_tokens is {history_tokens}.", hint="Use 1 or more.")
    if language not in {None, *DECLINE}:
        raise InvalidInputError(f"language is {language!r}.", hint=f"Use one of {', '.join(DECLINE)}, or None.")


def _open_sessions(sessions: str | Path | Checkpointer | Sessions | None) -> Sessions | None:
    if sessions is None or isinstance(sessions, Sessions):
        return sessions
    return Sessions(open_checkpointer(sessions) if isinstance(sessions, str | Path) else sessions)


def _merge_configs(config: RunnableConfig, session_config: RunnableConfig) -> RunnableConfig:
    return {
        **config,
        "configurable": {**(config.get("configurable") or {}), **session_config["configurable"]},
        "metadata": {**(config.get("metadata") or {}), **session_config["metadata"]},
    }


async def _release(recorder: AnswerRecorder, chunk: ChatbotChunk) -> Iterable[ChatbotChunk]:
    """Return the chunks that may leave. The disk may block, so it is used in a thread."""
    if not recorder.is_active:
        return (chunk,)
    return await asyncio.to_thread(list, recorder.release(chunk))


async def _end(recorder: AnswerRecorder, error: BaseException | None) -> None:
    """Record what was shown of an answer that was not completed, also if the task is cancelled meanwhile."""
    if recorder.is_active:
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, recorder.end, error))


def _join_chunks(parts: Iterable[Any]) -> Any:
    """Return the whole input of a caller who streams it."""
    whole = None
    for part in parts:
        whole = part if whole is None else whole + part
    return whole
