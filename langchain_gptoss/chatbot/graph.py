"""The LangGraph of a chatbot: its steps in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime

from langchain_gptoss._flow import Flow, arun_flow, run_flow
from langchain_gptoss.chatbot.context import RunContext, StepContext
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.chatbot.state import AnswerWriter, GraphState
from langchain_gptoss.chatbot.steps.answer import generate_answer, verify_answer
from langchain_gptoss.chatbot.steps.conclusion import complete_answer
from langchain_gptoss.chatbot.steps.conversation import condense_conversation
from langchain_gptoss.chatbot.steps.introduction import answer_without_search
from langchain_gptoss.chatbot.steps.question import check_question
from langchain_gptoss.chatbot.steps.retrieval import judge_passages, retrieve_documents

if TYPE_CHECKING:
    from langchain_gptoss.chatbot.sessions import Checkpointer

Step: TypeAlias = Callable[[GraphState, StepContext], Flow[GraphState]]
ChatbotGraph: TypeAlias = CompiledStateGraph[GraphState, RunContext, GraphState, GraphState]

_STEPS: dict[str, Step] = {
    "check": check_question,
    "introduce": answer_without_search,
    "condense": condense_conversation,
    "retrieve": retrieve_documents,
    "judge": judge_passages,
    "answer": generate_answer,
    "verify": verify_answer,
    "cite": complete_answer,
}


def build_graph(settings: ChatbotSettings, checkpointer: Checkpointer | None) -> ChatbotGraph:
    """Return the graph that answers one question.

    Args:
        settings: The parts and options of the chatbot.
        checkpointer: Saves the conversation; None saves nothing.
    """
    graph: StateGraph[GraphState, RunContext, GraphState, GraphState] = StateGraph(
        GraphState, context_schema=RunContext
    )
    for name, step in _STEPS.items():
        graph.add_node(name, _build_node(name, step, settings))
    graph.add_edge(START, "check")
    graph.add_conditional_edges("check", _route_checked_question, ["introduce", "condense", "verify"])
    graph.add_conditional_edges(
        "introduce", partial(_route_introduction, settings), ["condense", "answer", "verify", "cite"]
    )
    graph.add_edge("condense", "retrieve")
    graph.add_edge("retrieve", "judge")
    graph.add_conditional_edges("judge", _route_judged_passages, ["answer", "verify"])
    graph.add_edge("answer", "verify")
    graph.add_edge("verify", "cite")
    graph.add_edge("cite", END)
    return graph.compile(checkpointer=checkpointer, name="gptoss_chatbot")


def _route_checked_question(state: GraphState) -> str:
    answer = state["answer_state"]
    if answer.refusal:
        return "verify"
    return "condense" if answer.kind == "question" else "introduce"


def _route_introduction(settings: ChatbotSettings, state: GraphState) -> str:
    kind = state["answer_state"].kind
    if kind == "summary":
        return "verify" if settings.focus else "answer"  # models that read single sentences cannot summarize
    return "condense" if kind == "question" else "cite"


def _route_judged_passages(state: GraphState) -> str:
    return "verify" if state["answer_state"].answer_stream is None else "answer"


def _build_node(name: str, step: Step, settings: ChatbotSettings) -> RunnableLambda[GraphState, GraphState]:
    """Return a node that runs a step with its context. No other place reads LangGraph's runtime."""

    def run_step(state: GraphState, config: RunnableConfig) -> Flow[GraphState]:
        runtime = get_runtime(RunContext)
        writer = AnswerWriter(send=runtime.context.send or runtime.stream_writer, abandoned=runtime.context.abandoned)
        context = StepContext(
            settings=settings,
            caller=runtime.context.caller,
            writer=writer,
            config=config,
            recorder=runtime.context.recorder,
        )
        started = time.perf_counter()
        changes = yield from step(state, context)
        if answer := changes.get("answer_state"):
            timings = {**answer.timings, name: time.perf_counter() - started}
            changes = {**changes, "answer_state": replace(answer, timings=timings)}
        return changes

    def run(state: GraphState, config: RunnableConfig) -> GraphState:
        return run_flow(run_step(state, config))

    async def arun(state: GraphState, config: RunnableConfig) -> GraphState:
        return await arun_flow(run_step(state, config))

    return RunnableLambda(run, afunc=arun, name=name)
