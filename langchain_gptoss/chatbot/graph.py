"""`create_chatbot`: one Runnable over any chat model and any retriever, with a LangGraph underneath."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.graph import Graph
from langgraph.graph import END, START, StateGraph

from langchain_gptoss.audit import AuditLog
from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.chatbot.guard.pipeline import rails_of
from langchain_gptoss.chatbot.localization import voices_of
from langchain_gptoss.chatbot.prompts import DECLINE, ChatbotPrompts
from langchain_gptoss.chatbot.sessions import Sessions, open_checkpointer
from langchain_gptoss.chatbot.state import Run, State, Turn, current_run, new_run, read_input
from langchain_gptoss.chatbot.steps import Steps
from langchain_gptoss.chatbot.types import ChatbotChunk, ChatbotInput, ChatbotOutput
from langchain_gptoss.domains import DomainProfile, RetrievalSettings
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import as_retriever

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from langchain_gptoss.chatbot.sessions import Checkpointer

    Compiled = CompiledStateGraph[State, Run, State, State]

_SMALL = 1_000_000_000  # a model with fewer parameters gets single sentences instead of passages
_HISTORY_TOKENS = 2_000
_JOIN_SECONDS = 5.0


class Chatbot(Runnable[Any, ChatbotOutput]):
    """What `create_chatbot` returns: a Runnable from a question to a `ChatbotOutput`.

    Its input is a text, a `ChatbotInput`, or a dict with the fields of one. `config["configurable"]` says who asks:
    `user_id`, and `access_labels` where documents carry labels; on a server both come from the key, never from the
    request.

    Attributes:
        steps: What it is made of.
        sessions: The conversations that it remembers, or None.
    """

    def __init__(self, steps: Steps, sessions: Sessions | None) -> None:
        self.name = "gptoss_chatbot"
        self.steps, self.sessions = steps, sessions
        self._graph = _graph(steps, None)
        self._remembering = None if sessions is None else _graph(steps, sessions.checkpointer)

    @property
    def InputType(self) -> Any:  # noqa: N802 (LangChain's name)
        """What goes in."""
        return ChatbotInput

    @property
    def OutputType(self) -> Any:  # noqa: N802
        """What comes out."""
        return ChatbotOutput

    def get_graph(self, config: RunnableConfig | None = None) -> Graph:
        """Returns the steps, to be drawn: `bot.get_graph().draw_mermaid()`."""
        return self._graph.get_graph(config)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> ChatbotOutput:
        """Returns the answer to a question.

        Raises:
            InvalidInputError: There is no question, or the input cannot be used.
            ContextLengthError: The question does not fit into the model's context.
            RetrievalError: The retriever failed.
            SessionBusyError: The session is still answering its last question.
        """
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> ChatbotOutput:
        """Returns the answer to a question as `invoke`."""
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[ChatbotOutput]:
        """Yields the answer in pieces: `sources` first, then pieces of `answer`, then `citations` and the rest."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[ChatbotOutput]:
        """Yields the answer in pieces as `stream`."""

        async def inputs() -> AsyncIterator[Any]:
            yield input

        async for piece in self.atransform(inputs(), config, **kwargs):
            yield piece

    def transform(
        self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[ChatbotOutput]:
        """Yields the answer in pieces, to a question that may come in pieces itself."""
        yield from self._transform_stream_with_config(input, self._stream, config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[ChatbotOutput]:
        """Yields the answer in pieces as `transform`."""
        async for piece in self._atransform_stream_with_config(input, self._astream, config, **kwargs):
            yield piece

    def _invoke(self, value: Any, run_manager: Any, config: RunnableConfig) -> ChatbotOutput:
        pieces: list[ChatbotChunk] = []
        graph, state, config, run = self._prepared(value, config, pieces.append)
        with self._session(run, config):
            graph.invoke(state, config, context=run, durability=_durability(run))
        return _whole(pieces)

    async def _ainvoke(self, value: Any, run_manager: Any, config: RunnableConfig) -> ChatbotOutput:
        pieces: list[ChatbotChunk] = []
        graph, state, config, run = self._prepared(value, config, pieces.append)
        with self._session(run, config):
            await graph.ainvoke(state, config, context=run, durability=_durability(run))
        return _whole(pieces)

    def _stream(self, inputs: Iterator[Any], run_manager: Any, config: RunnableConfig) -> Iterator[ChatbotOutput]:
        """Runs the graph in a thread of its own, so that Ctrl+C and a closed generator reach it between two tokens.

        LangGraph's own sync stream waits for a step to end before it lets go.
        """
        pieces: SimpleQueue[ChatbotChunk | BaseException | None] = SimpleQueue()
        graph, state, config, run = self._prepared(_joined(inputs), config, pieces.put)

        def work() -> None:
            try:
                graph.invoke(state, config, context=run, durability=_durability(run))
                pieces.put(None)
            except BaseException as error:  # handed over to the listener
                pieces.put(error)

        with self._session(run, config):
            worker = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
            worker.start()
            try:
                while (piece := pieces.get()) is not None:
                    if isinstance(piece, BaseException):
                        raise piece
                    yield piece
            finally:
                run.stopped.set()
                worker.join(_JOIN_SECONDS)

    async def _astream(
        self, inputs: AsyncIterator[Any], run_manager: Any, config: RunnableConfig
    ) -> AsyncIterator[ChatbotOutput]:
        parts = [part async for part in inputs]
        graph, state, config, run = self._prepared(_joined(iter(parts)), config, None)
        with self._session(run, config):
            stream = graph.astream(state, config, context=run, stream_mode="custom", durability=_durability(run))
            events = cast("AsyncGenerator[ChatbotChunk, None]", stream)
            try:
                async for piece in events:
                    yield piece
            finally:
                run.stopped.set()
                await events.aclose()

    def _prepared(
        self, value: Any, config: RunnableConfig, emit: Callable[[ChatbotChunk], None] | None
    ) -> tuple[Compiled, State, RunnableConfig, Run]:
        """Returns the graph to run, its input, its configuration and its context.

        Raises:
            InvalidInputError: The input cannot be used.
        """
        question, history, session_id = read_input(value)
        run = new_run(config, session_id, emit)
        state = State(turn=Turn(asked=question, history=history, voice=next(iter(self.steps.voices.values()))))
        if session_id is None:
            return self._graph, state, config, run
        if self.sessions is None or self._remembering is None:
            raise InvalidInputError(
                "session_id is given and this chatbot keeps no sessions. Make it with create_chatbot(..., "
                'sessions=":memory:"), or pass chat_history instead.'
            )
        if history:
            raise InvalidInputError("chat_history and session_id are both given; a session has its own history.")
        own = self.sessions.config(run.user_id, session_id)
        config = {
            **config,
            "configurable": {**(config.get("configurable") or {}), **own["configurable"]},
            "metadata": {**(config.get("metadata") or {}), **own["metadata"]},
        }
        return self._remembering, state, config, run

    def _session(self, run: Run, config: RunnableConfig) -> Any:
        if run.session_id is None or self.sessions is None:
            return nullcontext()
        return self.sessions.in_use(config)


def create_chatbot(
    llm: BaseChatModel,
    retriever: Any,
    *,
    max_passages: int | None = None,
    focus: int | None = None,
    strict: bool | None = None,
    decline_below: float | None = None,
    domain: str | Path | DomainProfile | None = None,
    language: str | None = None,
    prompts: ChatbotPrompts | None = None,
    sessions: str | Path | Checkpointer | Sessions | None = None,
    access: str | None = None,
    history_tokens: int = _HISTORY_TOKENS,
    guard_model: BaseChatModel | None = None,
    audit: str | Path | AuditLog | None = None,
) -> Chatbot:
    """Returns a chatbot that answers from documents, cites verified spans, and declines what they do not answer.

    Args:
        llm: Any LangChain chat model.
        retriever: Any LangChain retriever, vector store, or Runnable from a question to documents.
            `metadata["relevance_score"]`, `source`, `heading`, `page` and `start` of its documents are used where they
            are there.
        max_passages: How many retrieved documents count; None means 8 where the model is shown sentences, else what
            the domain says, or 4.
        focus: Show the model only this many sentences, those nearest to the question; 0 shows whole passages. None
            chooses: 1 for a `ChatGptOss` of fewer than a billion parameters, whole passages for every other model.
        strict: True shows only sentences that a passage supports, each when it is complete. False shows every token
            as it comes and marks unsupported sentences with [?]. None means what the domain says, or True.
        decline_below: The confidence, from 0 to 1, below which it declines before the model is asked. None means what
            the domain says, or the limit that was calibrated (docs/evaluation.md).
        domain: A ready-made domain such as `"support"` or `"law"`, the path of a TOML file, or a `DomainProfile`: who
            speaks, about what, how, and what is refused. `gptoss domains` lists the ready-made ones.
        language: Of its own texts, `"en"` or `"fr"`; None goes by the question.
        prompts: What the model is told, in place of the ready-made prompts.
        sessions: Where conversations are remembered: `":memory:"`, a file for SQLite, a `postgresql://` address, or a
            LangGraph checkpointer. None remembers none; pass `chat_history` then.
        access: The metadata field that holds each document's access labels. Callers then find the documents that share
            a label with them, or are labelled "public", and no others.
        history_tokens: How much of a conversation is kept word by word; what came before is summed up by the model.
        guard_model: A model that judges questions and answers by the domain's written policy, such as
            `ChatGptOss(model="gpt-oss-safeguard-20b")`. Answers are then shown when they have been judged, as a whole.
        audit: Where every answer is recorded: a file, or an `AuditLog` with settings of its own.

    Raises:
        InvalidInputError: An argument that cannot work.
        StorageError: The sessions or the audit log cannot be opened.
    """
    if max_passages is not None and max_passages < 1:
        raise InvalidInputError(f"max_passages is {max_passages}; it must be 1 or more.")
    if decline_below is not None and not 0 <= decline_below <= 1:
        raise InvalidInputError(f"decline_below is {decline_below}; it must be between 0 and 1.")
    if focus is not None and focus < 0:
        raise InvalidInputError(f"focus is {focus}; it must be 0 (whole passages) or more.")
    if history_tokens < 1:
        raise InvalidInputError(f"history_tokens is {history_tokens}; it must be 1 or more.")
    if language not in {None, *DECLINE}:
        raise InvalidInputError(f"language is {language!r}; it must be one of {', '.join(DECLINE)}, or None.")
    focus = _default_focus(llm) if focus is None else focus
    voices = voices_of(domain, language)
    profile = next(iter(voices.values())).profile
    settings = profile.retrieval if profile is not None else RetrievalSettings()
    found = as_retriever(retriever)
    labels = None if access is None else Access(access)
    if labels is not None:
        labels.check(found)
    steps = Steps(
        llm=llm,
        retriever=found,
        prompts=prompts or ChatbotPrompts(),
        max_passages=max_passages or (8 if focus else settings.passages),
        focus=focus,
        strict=settings.strict if strict is None else strict,
        decline_below=settings.decline_below if decline_below is None else decline_below,
        voices=voices,
        access=labels,
        history_tokens=history_tokens,
        rails=rails_of(voices, guard_model),
        audit=AuditLog(audit) if isinstance(audit, str | Path) else audit,
    )
    return Chatbot(steps, _sessions(sessions))


def _default_focus(llm: BaseChatModel) -> int:
    small = isinstance(llm, ChatGptOss) and (llm.card.parameters or _SMALL) < _SMALL
    return 1 if small else 0


def _sessions(given: Any) -> Sessions | None:
    if given is None or isinstance(given, Sessions):
        return given
    return Sessions(open_checkpointer(given) if isinstance(given, str | Path) else given)


def _graph(steps: Steps, checkpointer: Checkpointer | None) -> Compiled:
    """Returns the steps in their order."""
    graph: StateGraph[State, Run, State, State] = StateGraph(State, context_schema=Run)
    for name, step, astep in (
        ("check", steps.check, steps.acheck),
        ("condense", steps.condense, steps.acondense),
        ("retrieve", steps.retrieve, steps.aretrieve),
        ("judge", steps.judge, None),
        ("answer", steps.answer, steps.aanswer),
        ("verify", steps.verify, steps.averify),
        ("cite", steps.cite, None),
    ):
        graph.add_node(name, _node(name, step, astep))
    graph.add_edge(START, "check")
    graph.add_conditional_edges("check", _after_checking, ["condense", "verify"])
    graph.add_edge("condense", "retrieve")
    graph.add_edge("retrieve", "judge")
    graph.add_conditional_edges("judge", _after_judging, ["answer", "verify"])
    graph.add_edge("answer", "verify")
    graph.add_edge("verify", "cite")
    graph.add_edge("cite", END)
    return graph.compile(checkpointer=checkpointer, name="gptoss_chatbot")


def _after_checking(state: State) -> str:
    return "verify" if state["turn"].fixed else "condense"


def _after_judging(state: State) -> str:
    return "verify" if state["turn"].draft is None else "answer"


def _node(name: str, step: Callable[..., Any], astep: Callable[..., Any] | None = None) -> Any:
    """Returns a step as a Runnable that notes the seconds it takes."""

    def run(state: State, config: RunnableConfig) -> Any:
        with _timed(name):
            return step(state, config)

    async def arun(state: State, config: RunnableConfig) -> Any:
        assert astep is not None
        with _timed(name):
            return await astep(state, config)

    # A step without an async half computes; LangChain then runs it in a thread, and the event loop goes on.
    return RunnableLambda(run, afunc=arun if astep else None, name=name)


@contextmanager
def _timed(name: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        current_run().timings[name] = time.perf_counter() - started


def _durability(run: Run) -> Any:
    """Returns when LangGraph writes: once, when an answer is complete. A broken one is not remembered."""
    return "exit" if run.session_id is not None else None


def _whole(pieces: list[ChatbotChunk]) -> ChatbotOutput:
    whole = ChatbotChunk()
    for piece in pieces:
        whole = whole + piece
    return whole.whole()


def _joined(parts: Iterator[Any]) -> Any:
    """Returns the input, whole, where a caller streams it."""
    whole = None
    for part in parts:
        whole = part if whole is None else whole + part
    return whole
