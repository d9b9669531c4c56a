"""Reading a chatbot's input: a string, a dict, or a `ChatbotInput`."""

from typing import Any

from langchain_core.messages import convert_to_messages

from langchain_gptoss.chatbot.guard import clean_question
from langchain_gptoss.chatbot.types import ChatbotInput
from langchain_gptoss.errors import InvalidInputError


def parse_input(value: Any) -> ChatbotInput:
    """Return the input with a cleaned question and the conversation as messages.

    Raises:
        InvalidInputError: The question is missing, or a field is unknown or cannot be used.
    """
    if isinstance(value, ChatbotInput):
        return value.model_copy(update={"question": _clean(value.question)})
    fields = {"question": value} if isinstance(value, str) else value
    if not isinstance(fields, dict):
        fields = {}
    known = ChatbotInput.model_fields
    if unknown := fields.keys() - known:
        names = ", ".join(sorted(map(repr, unknown)))
        raise InvalidInputError(f"The input has unknown fields: {names}.", hint=f"Known fields are {', '.join(known)}.")
    session_id = fields.get("session_id")
    if session_id is not None and not isinstance(session_id, str):
        raise InvalidInputError(f"session_id is {session_id!r}.", hint="Pass a string.")
    try:
        history = convert_to_messages(fields.get("chat_history") or [])
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InvalidInputError(
            f"chat_history cannot be read ({str(error).splitlines()[0]}).",
            hint='Pass LangChain messages, or pairs such as ("human", "...").',
        ) from error
    # Not validated again: pydantic would copy the messages.
    return ChatbotInput.model_construct(
        question=_clean(fields.get("question")), chat_history=history, session_id=session_id
    )


def _clean(question: Any) -> str:
    if not isinstance(question, str) or not question.strip():
        raise InvalidInputError("The question is empty.", hint='Pass it as {"question": "..."}.')
    return clean_question(question)
