"""Follow-up questions: whether a question can be understood without the conversation before it."""

from langchain_gptoss.text.follow_ups.detection import (
    find_antecedent,
    has_question_opening,
    is_follow_up,
    is_generic_word,
    may_be_follow_up,
)

__all__ = ["find_antecedent", "has_question_opening", "is_follow_up", "is_generic_word", "may_be_follow_up"]
