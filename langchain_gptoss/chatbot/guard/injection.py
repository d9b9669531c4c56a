"""Instructions hidden in documents: found by rules, sentence by sentence, and left out of what the model reads.

What is left out is blanked with as many spaces, so that every other span keeps its offsets and a citation still points
to the right place of the source. The rules find what is said in words that a document for people would not use; a false
fact ("Delivery is free") or a bare question is no instruction and is not found. docs/guard.md says how much is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from langchain_gptoss.chatbot.guard.english import Kind
from langchain_gptoss.chatbot.guard.rules import STRONG, matches
from langchain_gptoss.chatbot.guard.sanitization import control_tokens
from langchain_gptoss.text.normalization import FoldedText
from langchain_gptoss.text.sentences import find_sentences

_PARAGRAPH = "\n\n"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a guard found in a text.

    Attributes:
        start: Where it starts, in characters.
        end: Where it ends.
        kind: What it is: of instructions `"override"`, `"role"`, `"control"`, `"answer"`, `"task"`, `"exfiltration"`,
            `"tool"` or `"address"`; of answers see `OutputCheck`.
        text: What stands there.
    """

    start: int
    end: int
    kind: str
    text: str


def instructions_in(text: str) -> tuple[Finding, ...]:
    """Returns the sentences of a text that tell a model what to do, in order, each once.

    After a sentence that changes the rules or the role, or speaks to a model, the rest of its paragraph counts too:
    there stands what is to be said.
    """
    if not text.strip():
        return ()
    folded = FoldedText(text)
    found: list[tuple[Kind, int, int]] = [
        (kind, *folded.find_original_span(start, end)) for kind, start, end in matches(folded.text)
    ]
    found += [("control", start, end) for start, end in control_tokens(text) if not _markup(text[start:end])]
    if not found:
        return ()
    spans = list(find_sentences(text))
    kinds: dict[tuple[int, int], Kind] = {}
    for kind, start, end in found:
        if kind in STRONG:
            end = max(end, _paragraph_end(text, end))
        start += len(text[start:end]) - len(text[start:end].lstrip())
        for span in spans:
            if span[0] < end and start < span[1]:
                kinds.setdefault(span, kind)
    return tuple(Finding(*span, kinds[span], text[slice(*span)]) for span in sorted(kinds))


def neutralised(text: str, findings: Iterable[Finding]) -> str:
    """Returns a text of the same length in which the findings are blank; line ends stay."""
    for finding in findings:
        blank = "".join("\n" if character == "\n" else " " for character in text[finding.start : finding.end])
        text = text[: finding.start] + blank + text[finding.end :]
    return text


def untouched(findings: Sequence[Finding]) -> Callable[[int, int], bool]:
    """Returns a predicate: whether the span from `start` to `end` holds nothing of the findings."""
    return lambda start, end: not any(finding.start < end and start < finding.end for finding in findings)


def _paragraph_end(text: str, place: int) -> int:
    end = text.find(_PARAGRAPH, place)
    return len(text) if end < 0 else end


def _markup(token: str) -> bool:
    """Returns whether a control token is also plain HTML, as `<s>` is."""
    return token.lower() in {"<s>", "</s>", "[img]", "[/img]"}
