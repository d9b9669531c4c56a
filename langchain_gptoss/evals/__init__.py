"""Measuring a chatbot on questions with known answers: what it declines, what it cites, how long it takes."""

from langchain_gptoss.evals.datasets import GoldSpan, Question, QuestionSet, read_questions
from langchain_gptoss.evals.metrics import Declining, Share
from langchain_gptoss.evals.run import Report, evaluate

__all__ = ["Declining", "GoldSpan", "Question", "QuestionSet", "Report", "Share", "evaluate", "read_questions"]
