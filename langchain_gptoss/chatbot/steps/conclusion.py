"""Step "cite": send the citations, record the answer, and save the exchange."""

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.context import StepContext
from langchain_gptoss.chatbot.history import remove_citation_markers
from langchain_gptoss.chatbot.prompts import LANGUAGE_NOTICE
from langchain_gptoss.chatbot.record import build_metadata
from langchain_gptoss.chatbot.state import AnswerState, GraphState
from langchain_gptoss.chatbot.types import ChatbotChunk
from langchain_gptoss.text.language import detect_language


def complete_answer(state: GraphState, context: StepContext) -> Flow[GraphState]:
    """Send the citations and the rest of the output, record the answer, and add the exchange to the session.

    Raises:
        StorageError: The audit log cannot be written, and is set to stop then.
    """
    answer = state["answer_state"]
    chunk = yield from call(lambda: _record(answer, context))
    context.writer.write(chunk)
    if context.caller.session_id is None:
        return {}
    exchange = [HumanMessage(answer.question), AIMessage(remove_citation_markers(answer.answer))]
    return {"messages": [*state.get("messages", []), *exchange]}


def _record(answer: AnswerState, context: StepContext) -> ChatbotChunk:
    """Return the last chunk of the output, after the answer was added to the audit log if there is one."""
    settings, answer_stream = context.settings, answer.answer_stream
    citations = answer_stream.citations if answer_stream is not None else []
    chunk = ChatbotChunk(
        citations=citations,
        unsupported=list(answer_stream.unsupported) if answer_stream is not None else [],
        claims=list(answer_stream.claims) if answer_stream is not None else [],
        kind=answer.kind,
        abstained=not citations and answer.kind in ("question", "summary"),
        reason=answer.reason,
        notice=_find_notice(answer, settings.llm),
        disclaimer=answer.texts.disclaimer,
        usage=answer.usage,
        timings=dict(answer.timings),
        metadata=build_metadata(settings.llm, settings.prompts, answer, context.caller),
    )
    if (receipt := context.recorder.complete(answer, chunk)) is not None:
        chunk.metadata["audit"] = {"id": receipt.id, "seq": receipt.seq, "hash": receipt.hash}
    return chunk


def _find_notice(answer: AnswerState, llm: BaseChatModel) -> str:
    """Return a remark for a question in a language that the model cannot write; empty for all others."""
    if answer.kind not in ("question", "summary") or not isinstance(llm, ChatGptOss) or not llm.card.languages:
        return ""
    if detect_language(answer.standalone_question) in (None, *llm.card.languages):
        return ""
    return LANGUAGE_NOTICE[answer.texts.language].format(model=llm.card.name)
