"""Steps "answer" and "verify": show the model's text as it is checked, and decline answers that are not allowed."""

from __future__ import annotations

from dataclasses import replace

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import add_usage

from langchain_gptoss._flow import Flow, call, consume
from langchain_gptoss.chatbot.context import StepContext
from langchain_gptoss.chatbot.grounding.answer_stream import AnswerStream
from langchain_gptoss.chatbot.guard import find_tool_calls
from langchain_gptoss.chatbot.passage_prompt import build_answer_messages
from langchain_gptoss.chatbot.prompts import WHOLE_SENTENCE, prepare_model
from langchain_gptoss.chatbot.small_models import build_sentence_messages
from langchain_gptoss.chatbot.state import AnswerState, AnswerWriter, GraphState
from langchain_gptoss.chatbot.types import ChatbotChunk


def generate_answer(state: GraphState, context: StepContext) -> Flow[GraphState]:
    """Let the model answer, and send to the caller what can be shown so far.

    An answer such as "Yes." or "[4]." is asked for again, once, in a whole sentence.

    Raises:
        Abandoned: The caller has stopped reading.
    """
    settings, messages = context.settings, _build_messages(state, context)
    prompts = settings.prompts
    llm = prepare_model(settings.llm, prompts.sentence if settings.focus else prompts.passages)
    collector = AnswerCollector(state["answer_state"], context.writer, withholds=settings.policies.withholds_answers)
    yield from _collect(messages, llm, collector, context)
    answer = collector.state
    if answer.answer_stream is not None and answer.answer_stream.is_bare:
        bare = answer.answer_stream.restart()
        again = [*messages, AIMessage(bare), HumanMessage(WHOLE_SENTENCE[answer.texts.language])]
        yield from _collect(again, llm, collector, context)
        answer.answer_stream.complete(bare)
    return {"answer_state": collector.state}


def _collect(
    messages: list[BaseMessage], llm: BaseChatModel, collector: AnswerCollector, context: StepContext
) -> Flow[None]:
    """Collect the model's answer to messages. A verifier may take as long as a pass of a model."""
    yield from consume(
        lambda: llm.stream(messages, context.config),
        lambda: llm.astream(messages, context.config),
        collector.add,
        is_slow=context.settings.verifier is not None,
    )


def _build_messages(state: GraphState, context: StepContext) -> list[BaseMessage]:
    settings, answer = context.settings, state["answer_state"]
    if settings.focus:
        return build_sentence_messages(settings, answer)
    summary = state.get("summary", "")
    return build_answer_messages(settings.prompts, answer, summary, excerpt_chars=settings.excerpt_chars)


class AnswerCollector:
    """Collects the model's message chunk by chunk, and shows what is checked.

    Args:
        state: The state before the answer, with an answer stream.
        writer: Sends chunks to the caller.
        withholds: True keeps text and reasoning back until the whole answer is checked.

    Attributes:
        state: The state with everything that was collected.
    """

    def __init__(self, state: AnswerState, writer: AnswerWriter, *, withholds: bool) -> None:
        self.state = state
        self._answer_stream = _require_stream(state)
        self._writer = writer
        self._withholds = withholds

    def add(self, chunk: BaseMessage) -> bool:
        """Add a chunk of the model's message and return True if the rest is not needed.

        Raises:
            Abandoned: The caller has stopped reading.
        """
        self._writer.raise_if_abandoned()
        if isinstance(chunk, AIMessageChunk):
            self._add_metadata(chunk)
        if names := find_tool_calls(chunk):
            notes = [f"the model tried to call {name}" for name in names]
            self.state = replace(self.state, findings=list(dict.fromkeys([*self.state.findings, *notes])))
        for text in self._answer_stream.feed(str(chunk.text)):
            self.state = show_text(self.state, text, self._writer, withholds=self._withholds)
        return self._answer_stream.is_done

    def _add_metadata(self, chunk: AIMessageChunk) -> None:
        reasoning = str(chunk.additional_kwargs.get("reasoning_content") or "")
        self.state = replace(
            self.state,
            usage=add_usage(self.state.usage, chunk.usage_metadata),
            reasoning=self.state.reasoning + reasoning,
            finish_reason=str(chunk.response_metadata.get("finish_reason") or self.state.finish_reason),
        )
        if reasoning and not self._withholds:
            self._writer.write(ChatbotChunk(reasoning=reasoning))


def verify_answer(state: GraphState, context: StepContext) -> Flow[GraphState]:
    """Show the rest of the answer, or decline if no part of it is supported or a policy refuses it."""
    answer, policies = state["answer_state"], context.settings.policies
    answer_stream = answer.answer_stream
    if answer_stream is not None:
        for text in (yield from call(lambda: list(answer_stream.finish()))):
            answer = show_text(answer, text, context.writer, withholds=policies.withholds_answers)
    policy = policies.answers.get(answer.texts.language) if answer.withheld else None
    if policy is not None:
        verdict = yield from policy.judge(answer.withheld, context.config)
        if not verdict.allowed:
            answer = replace(answer.refuse("answer", verdict), answer_stream=None)
    return {"answer_state": _finish(answer, context)}


def _finish(answer: AnswerState, context: StepContext) -> AnswerState:
    """Show the withheld text of a supported answer; else send the text that declines or refuses."""
    writer, answer_stream = context.writer, answer.answer_stream
    if answer_stream is not None and answer_stream.citations:
        return show_text(answer, answer.withheld, writer) if answer.withheld else answer
    if answer_stream is not None:
        reason = "Declined: no passage supports the model's answer, and none answers the question by itself."
        if answer_stream.cannot_find:
            reason = "Declined: the model found no answer in the passages."
        answer = replace(answer, reason=reason)
    text = answer.refusal or answer.texts.decline
    return show_text(answer, f" {text}" if answer.answer else text, writer)


def show_text(answer: AnswerState, text: str, writer: AnswerWriter, *, withholds: bool = False) -> AnswerState:
    """Send a piece of the answer to the caller, or keep it back for the check of the whole answer."""
    if withholds:
        return replace(answer, withheld=answer.withheld + text)
    writer.write(ChatbotChunk(answer=text))
    return replace(answer, answer=answer.answer + text)


def _require_stream(answer: AnswerState) -> AnswerStream:
    assert answer.answer_stream is not None
    return answer.answer_stream
