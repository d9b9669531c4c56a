"""Step "condense": complete a follow-up question, and summarize a long conversation."""

from collections.abc import Sequence
from dataclasses import replace

from langchain_core.messages import BaseMessage

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.chatbot.context import StepContext
from langchain_gptoss.chatbot.follow_up_prompt import fill_follow_up_prompt, limit_to_question
from langchain_gptoss.chatbot.history import expand_follow_up, format_conversation, prepend_summary, split_by_budget
from langchain_gptoss.chatbot.prompts import prepare_model
from langchain_gptoss.chatbot.state import AnswerState, GraphState
from langchain_gptoss.retrievers.query_rewriting import RewrittenQuestion, get_recent_texts, rewrite_question
from langchain_gptoss.text.dialogue_acts import remove_courtesies
from langchain_gptoss.text.follow_ups import may_be_follow_up

_SUMMARY_WORDS = 150


def condense_conversation(state: GraphState, context: StepContext) -> Flow[GraphState]:
    """Complete a follow-up question, and summarize the part of the conversation that exceeds its budget."""
    answer, changes, excess = _prepare_history(state, context)
    if excess:
        changes["summary"] = yield from _summarize(state.get("summary", ""), excess, context)
    question = remove_courtesies(answer.question)
    queries = expand_follow_up(question, answer.history)
    rewritten = None
    needs_reading = len(queries) > 1 or may_be_follow_up(question, get_recent_texts(answer.history))
    if needs_reading and not context.settings.focus:
        llm, summary = context.settings.llm, changes.get("summary", state.get("summary", ""))
        history = prepend_summary(summary, answer.history)
        prompt = context.settings.prompts.condense
        llm = limit_to_question(prepare_model(llm, prompt))
        prompt = fill_follow_up_prompt(prompt, question, get_recent_texts(history), answer.texts.language)
        prompt = prompt.partial(instructions=answer.texts.instructions, chat_history=history)
        rewritten = yield from rewrite_question(llm, question, answer.history, context.config, prompt=prompt)
    changes["answer_state"] = _apply_rewrite(answer, queries, rewritten, context)
    return changes


def _prepare_history(state: GraphState, context: StepContext) -> tuple[AnswerState, GraphState, list[BaseMessage]]:
    """Return the answer state with its conversation, the changed channels, and the messages to summarize."""
    answer, settings = state["answer_state"], context.settings
    if context.caller.session_id is None:
        return answer, {}, []
    excess, recent = split_by_budget(state.get("messages", []), settings.history_tokens)
    changes: GraphState = {"messages": recent} if excess else {}
    # Models that read single sentences never see the conversation, so they need no summary of it.
    return replace(answer, history=recent), changes, [] if settings.focus else excess


def _summarize(summary: str, messages: Sequence[BaseMessage], context: StepContext) -> Flow[str]:
    """Return a summary of the earlier summary and the messages after it."""
    template, config = context.settings.prompts.summary, context.config
    llm = prepare_model(context.settings.llm, template)
    conversation = "\n".join(filter(None, [summary, format_conversation(messages)]))
    prompt = template.invoke({"conversation": conversation, "words": _SUMMARY_WORDS})
    message = yield from call(lambda: llm.invoke(prompt, config), lambda: llm.ainvoke(prompt, config))
    return str(message.text).strip()


def _apply_rewrite(
    answer: AnswerState, queries: list[tuple[str, float]], rewritten: RewrittenQuestion | None, context: StepContext
) -> AnswerState:
    """Return the answer state with the standalone question and the queries."""
    if rewritten is None:
        standalone_question = " ".join(text for text, _ in reversed(queries))
    else:
        standalone_question, queries = rewritten.question, [(rewritten.question, 1.0)]
    texts = context.settings.select_texts(standalone_question)
    return replace(answer, queries=queries, standalone_question=standalone_question, texts=texts)
