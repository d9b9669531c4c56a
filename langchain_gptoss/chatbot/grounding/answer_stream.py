"""One answer in the making: pieces of the model's text go in, checked and cited pieces come out.

Pure, and the same for sync and async: the chain moves the text, this decides.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from langchain_gptoss.chatbot.grounding.citations import cite, quotable_spans
from langchain_gptoss.chatbot.grounding.claim_support import supporting_span
from langchain_gptoss.chatbot.grounding.passages import Passage, Span
from langchain_gptoss.chatbot.prompts import QUOTE
from langchain_gptoss.chatbot.types import Citation
from langchain_gptoss.text.sentences import find_sentences
from langchain_gptoss.text.words import extract_content_words

# Markers that the model wrote itself: ours replace them. The second form is the one that gpt-oss learned.
_MARKER = re.compile(r"\s*(?:\[\s*\d{1,3}(?:\s*[,;-]\s*\d{1,3})*\s*\]|【[^】]*】)")
_OPEN_MARKER = re.compile(r"\s*(?:[\[【][^\]】]*)?$")  # or only the space before one
_UNFINISHED = re.compile(r"[.!?…][\"'”»)\]]*\s*$")

UNSUPPORTED = "[?]"
_LONGEST = 1000  # characters of a sentence, after which it is taken to have ended
_LONGEST_BRIEF = 300  # the same of a small model, which has then lost its thread
_BRIEF = 2  # sentences after which a small model rambles


@dataclass
class Draft:
    """Reads a model's answer sentence by sentence and cites what the evidence supports.

    Attributes:
        question: As the user asked it, with the question that it follows.
        language: Of the fixed texts, `"en"` or `"fr"`.
        spans: The evidence, nearest first; the first is what gets quoted when the model's own answer has no support.
        strict: Whether unsupported sentences are left out instead of marked.
        refuses: Says of a sentence that it must not be shown, supported or not.
        brief: Whether to stop listening after the first supported sentence, or the second of any kind.
        citations: Those made so far, in the order of their numbers.
        unsupported: Sentences that were shown and marked.
        done: Whether enough was read.
        wrote: Whether anything was shown.
    """

    question: str
    language: str
    spans: Sequence[Span]
    strict: bool
    brief: bool = False
    refuses: Callable[[str], bool] = lambda _: False
    citations: list[Citation] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    done: bool = False
    wrote: bool = False
    _held: str = ""
    _gap: str = ""
    _shown: int = 0
    _read: list[str] = field(default_factory=list)

    def feed(self, text: str) -> Iterator[str]:
        """Yields what can be shown after a piece of the model's text."""
        self._held = _MARKER.sub("", self._held + text)
        self._take_gap()
        while not self.done and (end := self._sentence_end()) is not None:
            yield from self._sentence(end)
            self._take_gap()
        if not self.strict and not self.done:
            yield from self._live()

    def finish(self) -> Iterator[str]:
        """Yields the rest; a quotation when nothing that the model said is supported and a span answers by itself."""
        if not self.done and self._held.strip():
            yield from self._sentence(len(self._held))
        if self.brief or not self.citations:
            yield from self._quotations()

    def _quotations(self) -> Iterator[str]:
        """Yields the sentences that are likeliest to answer.

        Beside an answer that is supported, those of other passages: a small model saw one sentence, and where it is not
        clear which one answers, the reader is shown the others.
        """
        supported = list(self.citations)
        for span in quotable_spans(self.question, self.spans):
            if any(_from(span.passage, citation) for citation in supported):
                continue
            number = len(self.citations) + 1
            self.citations.append(cite(span, span.text, number=number, verdict="quoted"))
            quotation = QUOTE[self.language].format(quote=" ".join(span.text.split()))
            yield self._spaced(f"{quotation} [{number}]")

    def _take_gap(self) -> None:
        """Notes the white space before the next sentence: a paragraph of the model's stays one."""
        if not self._shown:
            rest = self._held.lstrip()
            self._gap += self._held[: len(self._held) - len(rest)]
            self._held = rest

    def _sentence_end(self) -> int | None:
        """Returns where the first sentence ends, once something after it has begun."""
        found = list(islice(find_sentences(self._held), 2))
        end = found[0][1] if len(found) > 1 else len(self._held)
        longest = _LONGEST_BRIEF if self.brief else _LONGEST
        if end > longest:  # a model that has lost its thread writes on and on without a full stop
            return self._held.rfind(" ", 0, longest) if " " in self._held[:longest].strip() else longest
        return end if len(found) > 1 else None

    def _live(self) -> Iterator[str]:
        """Yields the open sentence up to where a marker of ours or of the model may come."""
        safe = self._held
        for pattern in (_OPEN_MARKER, _UNFINISHED):
            if match := pattern.search(safe):
                safe = safe[: match.start()]
        if len(safe) > self._shown and not self.refuses(safe):
            yield self._spaced(safe[self._shown :]) if self._shown == 0 else safe[self._shown :]
            self._shown = len(safe)

    def _sentence(self, end: int) -> Iterator[str]:
        whole, self._held = self._held[:end], self._held[end:]
        shown, self._shown = self._shown, 0
        sentence = whole.strip()
        if sentence in self._read:  # a model that repeats itself has finished
            self.done = True
            return
        self._read.append(sentence)
        refused = self.refuses(sentence)
        span = None if refused else supporting_span(sentence, self.question, self.spans)
        self.done = self.brief and (span is not None or len(self._read) == _BRIEF)
        if span is not None:
            yield self._piece(whole, shown, f"[{self._number(span, sentence)}]")
        elif not self.strict and (shown or not refused):
            whole = whole[:shown] if refused else whole
            self.unsupported += [sentence] if extract_content_words(sentence) else []
            yield self._piece(whole, shown, UNSUPPORTED if extract_content_words(sentence) else "")

    def _piece(self, whole: str, shown: int, marker: str) -> str:
        rest = whole[shown:].rstrip()
        rest = rest if shown else self._spaced(rest.lstrip())
        return f"{rest} {marker}".rstrip()

    def _spaced(self, text: str) -> str:
        breaks = min(2, self._gap.count("\n"))
        text = f"{chr(10) * breaks or ' '}{text}" if self.wrote else text
        self.wrote, self._gap = True, ""
        return text

    def _number(self, span: Span, claim: str) -> int:
        citation = cite(span, claim, number=len(self.citations) + 1, verdict="supported")
        for known in self.citations:
            if (known.source, known.start, known.end) == (citation.source, citation.start, citation.end):
                return known.number
        self.citations.append(citation)
        return citation.number


def _from(passage: Passage, citation: Citation) -> bool:
    """Returns whether a citation is taken from a passage."""
    inside = passage.start <= citation.start and citation.end <= passage.start + len(passage.text)
    return citation.source == passage.source and inside
