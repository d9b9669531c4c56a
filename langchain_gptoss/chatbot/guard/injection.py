"""Prompt injections: instructions hidden in documents, found sentence by sentence and blanked.

Blanked text is replaced by as many spaces, so that every other span keeps its offsets and a citation still points to
the right place of the source. The rules find wording that a document for people would not use. A false fact ("Delivery
is free") or a bare question is not an instruction and is not found. docs/guard.md has the detection rates.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from langchain_gptoss.chatbot.guard.rules import PARAGRAPH_KINDS, Kind, find_matches
from langchain_gptoss.chatbot.guard.sanitization import find_control_tokens
from langchain_gptoss.text.normalization import FoldedText
from langchain_gptoss.text.sentences import find_sentences

_PARAGRAPH_BREAK = "\n\n"
_HTML_TOKENS = frozenset({"<s>", "</s>", "[img]", "[/img]"})  # control tokens that are also ordinary markup


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of a text that the guard rejects.

    Attributes:
        start: Start offset, in characters.
        end: End offset.
        kind: Kind of the finding. Of injections: `"override"`, `"role"`, `"control"`, `"answer"`, `"task"`,
            `"exfiltration"`, `"tool"` or `"address"`; of answers see `OutputCheck`.
        text: The part of the text.
    """

    start: int
    end: int
    kind: str
    text: str

    def overlaps(self, start: int, end: int) -> bool:
        """Return True if the finding shares a character with the span from `start` to `end`."""
        return self.start < end and start < self.end


def find_injections(text: str) -> tuple[Finding, ...]:
    """Return the sentences of a text that give instructions to a model, in order, each once.

    After a sentence that changes the rules or the role, or addresses a model, the rest of its paragraph counts as well,
    because it contains the text that the attacker wants in the answer.
    """
    if not text.strip():
        return ()
    folded = FoldedText(text)
    matches: list[tuple[Kind, int, int]] = [
        (kind, *folded.find_original_span(start, end)) for kind, start, end in find_matches(folded.text)
    ]
    for start, end in find_control_tokens(text):
        if text[start:end].lower() not in _HTML_TOKENS:
            matches.append(("control", start, end))
    if not matches:
        return ()
    spans = list(find_sentences(text))
    kinds: dict[tuple[int, int], Kind] = {}
    for kind, start, end in matches:
        if kind in PARAGRAPH_KINDS:
            end = max(end, _find_paragraph_end(text, end))
        start += len(text[start:end]) - len(text[start:end].lstrip())
        for span in spans:
            if span[0] < end and start < span[1]:
                kinds.setdefault(span, kind)
    return tuple(Finding(*span, kinds[span], text[slice(*span)]) for span in sorted(kinds))


def blank_injections(text: str, findings: Iterable[Finding]) -> str:
    """Return a text of the same length with spaces in place of the findings; line ends stay."""
    for finding in findings:
        blank = "".join("\n" if character == "\n" else " " for character in text[finding.start : finding.end])
        text = text[: finding.start] + blank + text[finding.end :]
    return text


def _find_paragraph_end(text: str, offset: int) -> int:
    end = text.find(_PARAGRAPH_BREAK, offset)
    return len(text) if end < 0 else end
