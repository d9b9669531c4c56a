"""Follow-up questions: whether a question can be understood without the conversation before it."""

from langchain_gptoss.text.follow_ups.detection import find_antecedent, is_follow_up

__all__ = ["find_antecedent", "is_follow_up"]
