"""The answer stream of a summary: a document is quoted if no sentence of the model is supported."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from langchain_gptoss.chatbot.grounding.answer_stream import AnswerStream
from langchain_gptoss.chatbot.grounding.citations import cite
from langchain_gptoss.chatbot.grounding.passages import Span


@dataclass
class SummaryStream(AnswerStream):
    """Reads a summary sentence by sentence and cites the spans that support it.

    Attributes:
        quotations: Sentences to quote as a list if no sentence of the model is supported.
        lead_in: The line before this list.
    """

    must_answer: bool = False
    quotations: Sequence[Span] = ()
    lead_in: str = ""

    def _quote(self) -> Iterator[str]:
        """Yield the list, also if the model said that it cannot find an answer."""
        if self.citations or not self.quotations:
            return
        yield self._prepend_separator(self.lead_in)
        for number, span in enumerate(self.quotations, 1):
            self.citations.append(cite(span, span.text, number=number, verdict="quoted"))
            yield f"\n- {' '.join(span.introduced_statement.split())} [{number}]"
