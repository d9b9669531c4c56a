"""The prompt for an answer from passages, for models that read more than a sentence."""

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from langchain_gptoss.chatbot.grounding.excerpts import select_excerpts
from langchain_gptoss.chatbot.grounding.passages import Passage, order_by_place
from langchain_gptoss.chatbot.guard import quote_passages
from langchain_gptoss.chatbot.history import prepend_summary
from langchain_gptoss.chatbot.prompts import SUMMARY_QUESTION, ChatbotPrompts, build_answer_rule
from langchain_gptoss.chatbot.state import AnswerState


def build_answer_messages(
    prompts: ChatbotPrompts, answer: AnswerState, summary: str, *, excerpt_chars: int
) -> list[BaseMessage]:
    """Return the messages that ask the model for an answer from passages.

    Args:
        prompts: The prompts.
        answer: The state of the answer, with its passages.
        summary: The summary of the older part of the conversation, or nothing.
        excerpt_chars: Maximum length of the excerpts of the passages, in characters; 0 means whole passages.
    """
    history = prepend_summary(summary, answer.history)
    question = answer.question
    rule = build_answer_rule(question, answer.texts.language)
    if answer.kind == "summary":
        history, rule, question = [], "", SUMMARY_QUESTION[answer.texts.language].format(title=answer.topic)
    passages = _select_text(answer, excerpt_chars)
    context = quote_passages(order_by_place(passages), language=answer.texts.language, findings={})
    prompt = prompts.passages.partial(instructions=answer.texts.instructions, chat_history=history)
    return list(prompt.format_messages(context=context, rule=rule, question=question))


def _select_text(answer: AnswerState, excerpt_chars: int) -> Sequence[Passage]:
    """Return what the model reads of the passages: all of a document that it is to summarize."""
    if not excerpt_chars or answer.answer_stream is None or answer.kind == "summary":
        return answer.passages
    spans = answer.answer_stream.spans
    return select_excerpts(answer.standalone_question, answer.passages, spans, max_chars=excerpt_chars)
