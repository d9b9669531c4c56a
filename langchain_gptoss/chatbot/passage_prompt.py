"""The prompt for an answer from whole passages, and the beginning of it that a judge's questions share."""

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_gptoss.chatbot.grounding.passages import order_by_place
from langchain_gptoss.chatbot.guard import quote_passages
from langchain_gptoss.chatbot.history import prepend_summary
from langchain_gptoss.chatbot.prompts import SUMMARY_QUESTION, ChatbotPrompts, build_answer_rule
from langchain_gptoss.chatbot.state import AnswerState
from langchain_gptoss.decisions import PromptPrefix


def build_answer_messages(prompts: ChatbotPrompts, answer: AnswerState, summary: str) -> list[BaseMessage]:
    """Return the messages that ask the model for an answer from passages.

    Args:
        prompts: The prompts.
        answer: The state of the answer, with its passages.
        summary: The summary of the older part of the conversation, or nothing.
    """
    return _format_messages(prompts, answer, summary, _quote(answer))


def build_judge_prefix(prompts: ChatbotPrompts, answer: AnswerState, summary: str) -> PromptPrefix:
    """Return the beginning of the same messages up to the end of the passages, which a judge's question continues.

    So the model reads the passages once for the judge and for the answer.
    """
    context = _quote(answer)
    messages = _format_messages(prompts, answer, summary, context)
    place = max((index for index, message in enumerate(messages) if context in message.text), default=-1)
    if place < 0 or not isinstance(messages[place], HumanMessage):
        return PromptPrefix(messages[: place + 1])
    text = str(messages[place].text)
    return PromptPrefix([*messages[:place], HumanMessage(text[: text.index(context) + len(context)])])


def _quote(answer: AnswerState) -> str:
    return quote_passages(order_by_place(answer.passages), language=answer.texts.language, findings={})


def _format_messages(prompts: ChatbotPrompts, answer: AnswerState, summary: str, context: str) -> list[BaseMessage]:
    history = prepend_summary(summary, answer.history)
    question = answer.question
    rule = build_answer_rule(question, answer.texts.language)
    if answer.kind == "summary":
        history, rule, question = [], "", SUMMARY_QUESTION[answer.texts.language].format(title=answer.topic)
    prompt = prompts.passages.partial(instructions=answer.texts.instructions, chat_history=history)
    return list(prompt.format_messages(context=context, rule=rule, question=question))
