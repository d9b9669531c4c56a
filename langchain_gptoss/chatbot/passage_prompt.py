"""The prompt for an answer from whole passages."""

from langchain_core.messages import BaseMessage

from langchain_gptoss.chatbot.grounding.passages import order_by_place
from langchain_gptoss.chatbot.guard import quote_passages
from langchain_gptoss.chatbot.history import prepend_summary
from langchain_gptoss.chatbot.prompts import SUMMARY_QUESTION, ChatbotPrompts, build_answer_rule
from langchain_gptoss.chatbot.state import AnswerState


def build_answer_messages(prompts: ChatbotPrompts, answer: AnswerState, summary: str) -> list[BaseMessage]:
    """Return the messages that ask the model for an answer from passages.

    Args:
        prompts: The prompts.
        answer: The state of the answer, with its passages.
        summary: The summary of the older part of the conversation, or nothing.
    """
    history = prepend_summary(summary, answer.history)
    question = answer.question
    rule = build_answer_rule(question, answer.texts.language)
    if answer.kind == "summary":
        history, rule, question = [], "", SUMMARY_QUESTION[answer.texts.language].format(title=answer.topic)
    context = quote_passages(order_by_place(answer.passages), language=answer.texts.language, findings={})
    prompt = prompts.passages.partial(instructions=answer.texts.instructions, chat_history=history)
    return list(prompt.format_messages(context=context, rule=rule, question=question))
