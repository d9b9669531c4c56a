"""What an answer must not hold: links, addresses, commands and codes from nowhere, tool calls, and the prompt itself.

Whether a sentence is supported is the business of `citations`. These checks hold for every sentence, a supported one
too, and need no model.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from langchain_core.messages import BaseMessage

from langchain_gptoss.chatbot.guard.injection import Finding
from langchain_gptoss.chatbot.guard.sanitization import control_tokens
from langchain_gptoss.text.sentences import find_sentences

_SHINGLE = 8  # as many words in a row that an answer shares with the prompt, and with no passage, were copied from it

_LINK = re.compile(
    r"""(?:\b(?:https?|ftp|file|data|javascript|vbscript):(?://)?|\bwww\.)[^\s<>"'”»)\]}]+"""
    r"""|(?<![\w@.-])(?:[a-z0-9-]+\.)+(?:com|net|org|info|biz|io|ai|app|dev|xyz|top|ru|cn|fr|de|uk|eu|ch|be|ca|gouv\.fr)\b"""
    r"""(?:/[^\s<>"'”»)\]}]*)?""",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"(?<![\w.+-])(?:mailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_MARKUP = re.compile(
    r"!?\[[^\]\n]{0,300}\]\([^)\n]{0,2000}\)|<\s*/?\s*(?:a|img|script|iframe|form|input|object|svg|link|meta)\b[^>]{0,500}>?",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]{2,}`"
    r"|(?m:^[ \t]*(?:[$#>]|PS>|C:\\[^>\n]*>)\s+\w[^\n]*)"
    r"|\b(?:sudo|curl|wget|chmod|chown|rm|del|format|powershell|cmd|bash|sh|eval|exec|nc|ssh|scp|pip|npm|docker)\s+"
    r"(?:-{1,2}\w|/\w|https?:|[\"'{(])[^\n]*",
    re.DOTALL,
)
_ENCODED = re.compile(
    r"(?<![\w/+=-])(?=[\w/+]*\d)(?=[\w/+]*[A-Z])(?=[\w/+]*[a-z])[A-Za-z0-9/+]{24,}={0,2}"
    r"|\b(?:[0-9A-Fa-f]{2}[ :]?){16,400}\b|\b[A-Z2-7]{24,}={0,6}"
)
_CALL = re.compile(
    r"<tool_call>|<invoke\b|<function(?:=|_calls?>)|\bto=functions?\.\w"
    r"|\"(?:name|function|tool)\"\s*:\s*\"[^\"\n]{1,60}\"\s*,\s*\"(?:arguments|parameters|args|input)\"\s*:"
)
_WORD = re.compile(r"\w+")


class OutputCheck:
    """Checks the answers of one question, sentence by sentence or as a whole.

    Kinds of its findings: `"link"`, `"email"`, `"markup"`, `"command"`, `"encoded"`, `"call"`, `"control"`, `"prompt"`.
    """

    def __init__(self, quotations: Iterable[str], *, prompt: str = "") -> None:
        """Takes what may be repeated, and what may not.

        Args:
            quotations: The passages as the model was shown them, without the instructions found in them, so that a
                link from a planted sentence counts as unknown; and the user's question.
            prompt: The instructions that the model was given, without the passages.
        """
        self._known = "\n".join(quotations)
        self._spaceless = _spaceless(self._known)
        self._addresses = {_address(match[0]) for pattern in (_LINK, _EMAIL) for match in pattern.finditer(self._known)}
        known = set(_shingles(self._known))
        self._prompt = {shingle for shingle in _shingles(prompt) if shingle not in known}

    def findings(self, text: str) -> tuple[Finding, ...]:
        """Returns what an answer must not hold, in order."""
        found = [*self._unknown_addresses(text), *self._unknown_texts(text)]
        found += [Finding(start, end, "control", text[start:end]) for start, end in control_tokens(text)]
        found += [Finding(*match.span(), "call", match[0]) for match in _CALL.finditer(text)]
        found += self._leaks(text)
        return tuple(sorted(found, key=lambda finding: finding.start))

    def cleaned(self, text: str) -> tuple[str, tuple[Finding, ...]]:
        """Returns an answer without the sentences that hold a finding, and the findings."""
        found = self.findings(text)
        if not found:
            return text, ()
        kept = [
            text[start:end]
            for start, end in find_sentences(text)
            if not any(finding.start < end and start < finding.end for finding in found)
        ]
        return " ".join(kept), found

    def _unknown_addresses(self, text: str) -> Iterator[Finding]:
        taken: list[tuple[int, int]] = []
        for kind, pattern in (("email", _EMAIL), ("link", _LINK)):
            for match in pattern.finditer(text):
                start, end = match.start(), match.start() + len(match[0].rstrip(".,;:!?…"))
                if any(a < end and start < b for a, b in taken):
                    continue
                taken.append((start, end))
                if _address(match[0]) not in self._addresses:
                    yield Finding(start, end, kind, text[start:end])

    def _unknown_texts(self, text: str) -> Iterator[Finding]:
        for kind, pattern in (("markup", _MARKUP), ("command", _COMMAND), ("encoded", _ENCODED)):
            for match in pattern.finditer(text):
                if _spaceless(match[0].strip("`$#> \n")) not in self._spaceless:
                    yield Finding(*match.span(), kind, match[0])

    def _leaks(self, text: str) -> Iterator[Finding]:
        found = list(_WORD.finditer(text)) if self._prompt else []
        end = -1
        for place in range(len(found) - _SHINGLE + 1):
            window = found[place : place + _SHINGLE]
            if tuple(match[0].lower() for match in window) in self._prompt and window[0].start() >= end:
                end = window[-1].end()
                yield Finding(window[0].start(), end, "prompt", text[window[0].start() : end])


def refused_calls(message: BaseMessage) -> tuple[str, ...]:
    """Returns the names of the tools that a model tried to call in an answer from documents.

    The chatbot offers no tools, so there is nothing to call and nothing is: a message's text is the answer, what it
    asks to be called is noted, and a message of calls alone is an answer without a word, which declines.
    """
    calls = [
        *(getattr(message, "tool_calls", None) or ()),
        *(getattr(message, "invalid_tool_calls", None) or ()),
        *(getattr(message, "tool_call_chunks", None) or ()),
    ]
    return tuple(dict.fromkeys(str(call.get("name")) for call in calls if call.get("name")))


def _address(text: str) -> str:
    text = text.lower().rstrip(".,;:!?…/")
    return re.sub(r"^(?:https?://|mailto:)?(?:www\.)?", "", text)


def _spaceless(text: str) -> str:
    return "".join(text.split())


def _shingles(text: str) -> Iterator[tuple[str, ...]]:
    found: Sequence[str] = _WORD.findall(text.lower())
    yield from (tuple(found[place : place + _SHINGLE]) for place in range(len(found) - _SHINGLE + 1))
