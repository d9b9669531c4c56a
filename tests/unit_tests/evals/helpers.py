"""Questions and answers for the tests of metrics."""

from langchain_gptoss.chatbot.types import ChatbotOutput, Citation, Source
from langchain_gptoss.evals import Question

TEXT = "Standard delivery costs 4.90 euros. Express delivery costs 12.90 euros."


def create_output(*, abstained=False, start=0, end=35, quote=TEXT[:35]):
    """Return an answer with one citation of `TEXT`, or a declined question."""
    if abstained:
        return ChatbotOutput(abstained=True, reason="Declined.")
    citation = Citation(number=1, claim="x", verdict="supported", source="a.md", start=start, end=end, quote=quote)
    return ChatbotOutput(
        answer="x [1]",
        citations=[citation],
        sources=[Source(number=1, source="a.md", start=0, end=len(TEXT), text=TEXT)],
        timings={"judge": 0.001, "verify": 0.002, "retrieve": 5.0, "answer": 7.0},
    )


def create_question(text="q", *, answerable=True, gold=()):
    """Return a question of a set."""
    return Question(text=text, answerable=answerable, gold=gold)
