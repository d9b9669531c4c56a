"""The answer stream: pieces of the model's text go in, checked and cited pieces come out.

It does no input or output itself, so it is the same for sync and async code.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from langchain_gptoss.chatbot.grounding.cannot_find import is_cannot_find
from langchain_gptoss.chatbot.grounding.citations import cite, select_quotable_spans
from langchain_gptoss.chatbot.grounding.claim_support import ClaimJudgement, judge_claim
from langchain_gptoss.chatbot.grounding.passages import Passage, Span
from langchain_gptoss.chatbot.grounding.verifiers import ClaimVerifier
from langchain_gptoss.chatbot.prompts import QUOTE
from langchain_gptoss.chatbot.types import CheckedClaim, Citation
from langchain_gptoss.text.repetition import find_repetitions
from langchain_gptoss.text.sentences import find_sentences
from langchain_gptoss.text.words import extract_content_words

# Citation markers that the model writes are replaced. gpt-oss learned the second form.
MARKER = re.compile(r"\s*(?:\[\s*\d{1,3}(?:\s*[,;-]\s*\d{1,3})*\s*\]|【[^】]*】)")
_OPEN_MARKER = re.compile(r"\s*(?:[\[【][^\]】]*)?$")  # or only the space before a marker
SENTENCE_END = re.compile(r"[.!?…][\"'”»)\]]*\s*$")

_YES_OR_NO = re.compile(r"\W*(?:yes|no|oui|non|si)?\W*", re.IGNORECASE)

UNSUPPORTED = "[?]"
_MAX_LINE_BREAKS = 2  # between two sentences


@dataclass
class AnswerStream:
    """Reads a model's answer sentence by sentence and cites the spans that support it.

    Attributes:
        question: The question, complete without the conversation.
        language: Language of the fixed texts, `"en"` or `"fr"`.
        spans: Sentences of the passages, best first. They are quoted if the model's own answer has no support.
        strict: True leaves out unsupported sentences, False marks them.
        may_quote: True quotes the documents if no sentence of the model is supported.
        is_refused: Returns True for a sentence that must not be shown, supported or not.
        verifier: A model that judges supported sentences again, or None.
        must_answer: True if the first sentence must give the kind of answer that the question asks for.
        citations: Citations so far, ordered by number.
        unsupported: Sentences that were shown and marked as unsupported.
        claims: The verdict on each sentence so far.
        cannot_find: True if the model said that the passages have no answer.
        is_done: True if the rest of the model's text is not needed.
        has_output: True if something was shown.
        max_sentence_chars: Length at which a sentence is cut.
    """

    max_sentence_chars: ClassVar[int] = 1000
    joins_bare_sentences: ClassVar[bool] = True  # reads "Yes." together with the sentence that follows

    question: str
    language: str
    spans: Sequence[Span]
    strict: bool
    may_quote: bool = True
    is_refused: Callable[[str], bool] = lambda _: False
    verifier: ClaimVerifier | None = None
    must_answer: bool = True
    citations: list[Citation] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    claims: list[CheckedClaim] = field(default_factory=list)
    cannot_find: bool = False
    is_done: bool = False
    has_output: bool = False
    _buffer: str = ""  # text that is not processed yet; its first `_shown` characters were shown
    _separator: str = ""  # white space before the next sentence
    _shown: int = 0
    _sentences: list[str] = field(default_factory=list)

    def feed(self, text: str) -> Iterator[str]:
        """Yield the text that can be shown after another piece of the model's text."""
        self._buffer = MARKER.sub("", self._buffer + text)
        self._take_separator()
        while not self.is_done and (end := self._find_sentence_end()) is not None:
            yield from self._process_sentence(end)
            self._take_separator()
        if not self.strict and not self.is_done:
            yield from self._show_open_sentence()

    @property
    def is_bare(self) -> bool:
        """True if all that the model wrote is "Yes." or "[4]."."""
        return self.joins_bare_sentences and not self._sentences and not self._shown and _is_bare(self._buffer)

    def restart(self) -> str:
        """Return the model's text that is not processed, and wait for another answer in its place."""
        text, self._buffer = self._buffer, ""
        return text

    def complete(self, text: str) -> None:
        """Take a text that `restart` returned as the answer, if no other answer came in its place."""
        if not self._sentences and not self._buffer.strip():
            self._buffer = text

    def finish(self) -> Iterator[str]:
        """Yield the rest of the answer, and quotations if no sentence of the model is supported.

        Nothing is quoted if the model said that it cannot find the answer.
        """
        if not self.is_done and self._buffer.strip():
            yield from self._process_sentence(len(self._buffer))
        yield from self._quote()

    def _quote(self) -> Iterator[str]:
        """Yield the quotations after the model's text."""
        if self.may_quote and not self.cannot_find and self._needs_quotations:
            yield from self._quote_spans()

    @property
    def _has_enough(self) -> bool:
        """True if the rest of the model's text is not needed after the sentences so far."""
        return False

    @property
    def _needs_quotations(self) -> bool:
        """True if the finished answer is followed by quotations."""
        return not self.citations

    def _quote_spans(self) -> Iterator[str]:
        """Yield quotations of the sentences that are likeliest to answer, none of a passage that is cited already."""
        supported = list(self.citations)
        for span in select_quotable_spans(self.question, self.spans):
            if any(_is_from_passage(citation, span.passage) for citation in supported):
                continue
            number = len(self.citations) + 1
            self.citations.append(cite(span, span.text, number=number, verdict="quoted"))
            # A list item or table row is nothing without the line that introduces it.
            quotation = QUOTE[self.language].format(quote=" ".join(span.introduced_statement.split()))
            yield self._prepend_separator(f"{quotation} [{number}]")

    def _take_separator(self) -> None:
        """Move white space before the next sentence to the separator, so that paragraphs are kept."""
        if not self._shown:
            rest = self._buffer.lstrip()
            self._separator += self._buffer[: len(self._buffer) - len(rest)]
            self._buffer = rest

    def _find_sentence_end(self) -> int | None:
        """Return the end of the first sentence, or None until it is certain that more text cannot change it."""
        spans = find_sentences(self._buffer, is_complete=False)
        span = next(spans, None)
        if span and self.joins_bare_sentences and not self._shown and _is_bare(self._buffer[: span[1]]):
            span = next(spans, None)
        end = span[1] if span else len(self._buffer)
        max_chars = self.max_sentence_chars
        if end > max_chars:  # a model that has lost the topic writes on without a full stop
            has_space = " " in self._buffer[:max_chars].strip()
            return self._buffer.rfind(" ", 0, max_chars) if has_space else max_chars
        return end if span else None

    def _show_open_sentence(self) -> Iterator[str]:
        """Yield the open sentence up to the place where a citation marker may follow."""
        safe = self._buffer
        for pattern in (_OPEN_MARKER, SENTENCE_END):
            if match := pattern.search(safe):
                safe = safe[: match.start()]
        if self.joins_bare_sentences and _is_bare(safe):
            return
        if len(safe) > self._shown and not self.is_refused(safe):
            new_text = safe[self._shown :]
            yield new_text if self._shown else self._prepend_separator(new_text)
            self._shown = len(safe)

    def _process_sentence(self, end: int) -> Iterator[str]:
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        shown, self._shown = self._shown, 0
        sentence = text.strip()
        self._sentences.append(sentence)
        if any(find_repetitions(self._sentences)):  # a model that repeats itself has finished
            self.is_done = True
            return
        is_refused = self.is_refused(sentence)
        if is_cannot_find(sentence):
            self.cannot_find = self.is_done = True
            is_refused |= self.strict
        number = None if is_refused or self.cannot_find else self._check(sentence)
        self.is_done |= self._has_enough
        if number is not None:
            yield self._format_rest(text, shown, f"[{number}]")
        elif not self.strict and (shown or not is_refused):
            text = text[:shown] if is_refused else text
            has_content = bool(extract_content_words(sentence))
            self.unsupported += [text.strip()] if has_content else []
            yield self._format_rest(text, shown, UNSUPPORTED if has_content else "")

    def _check(self, sentence: str) -> int | None:
        """Judge a sentence, and return the number of its citation if it is supported."""
        # A detail after the answer need not answer the question again.
        judgement = judge_claim(
            sentence,
            self.question,
            self.spans,
            must_answer=self.must_answer and not self.citations,
            verifier=self.verifier,
        )
        number = None
        if judgement.verdict == "supported" and judgement.span is not None:
            number = self._number_citation(judgement, judgement.span)
        if extract_content_words(sentence):
            self.claims.append(
                CheckedClaim(
                    claim=sentence,
                    verdict=judgement.verdict,
                    score=round(judgement.score, 3),
                    reason=judgement.reason,
                    number=number,
                )
            )
        return number

    def _format_rest(self, text: str, shown: int, marker: str) -> str:
        """Return the part of a sentence that was not shown yet, with a marker."""
        rest = text[shown:].rstrip()
        rest = rest if shown else self._prepend_separator(rest.lstrip())
        return f"{rest} {marker}".rstrip()

    def _prepend_separator(self, text: str) -> str:
        """Return text after the line breaks or the space that separate it from the text before."""
        line_breaks = "\n" * min(_MAX_LINE_BREAKS, self._separator.count("\n"))
        text = f"{line_breaks or ' '}{text}" if self.has_output else text
        self.has_output, self._separator = True, ""
        return text

    def _number_citation(self, judgement: ClaimJudgement, span: Span) -> int:
        """Return the number of the citation of a span; the same span keeps its number."""
        number = len(self.citations) + 1
        citation = cite(span, judgement.sentence, number=number, verdict="supported", score=judgement.score)
        for known in self.citations:
            if (known.source, known.start, known.end) == (citation.source, citation.start, citation.end):
                return known.number
        self.citations.append(citation)
        return citation.number


def _is_bare(text: str) -> bool:
    """Return True for a text that states nothing by itself: "Yes.", or the full stop of "[4]."."""
    return bool(text.strip()) and _YES_OR_NO.fullmatch(text) is not None


def _is_from_passage(citation: Citation, passage: Passage) -> bool:
    is_inside = passage.start <= citation.start and citation.end <= passage.start + len(passage.text)
    return citation.source == passage.source and is_inside
