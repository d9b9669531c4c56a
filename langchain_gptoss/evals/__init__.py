"""Evaluation of a chatbot on questions with known answers: abstention, citations and duration."""

from langchain_gptoss.evals.datasets import GoldSpan, Question, QuestionSet, read_questions
from langchain_gptoss.evals.evaluation import EvaluationReport, evaluate
from langchain_gptoss.evals.metrics import AbstentionMetrics, Share

__all__ = [
    "AbstentionMetrics",
    "EvaluationReport",
    "GoldSpan",
    "Question",
    "QuestionSet",
    "Share",
    "evaluate",
    "read_questions",
]
