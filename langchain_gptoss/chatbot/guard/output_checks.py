"""Checks of answers: no unknown links, addresses, commands or encoded text, no tool calls, no copy of the prompt.

They apply to every sentence, also to one that a passage supports, and need no model.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from langchain_core.messages import BaseMessage

from langchain_gptoss.chatbot.guard.injection import Finding
from langchain_gptoss.chatbot.guard.sanitization import find_control_tokens

# An answer that shares this many words in a row with the prompt, and with no passage, copies the prompt.
_SHINGLE_WORDS = 8

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
    """Checks the answers to one question, sentence by sentence or as a whole.

    Kinds of its findings: `"link"`, `"email"`, `"markup"`, `"command"`, `"encoded"`, `"call"`, `"control"`, `"prompt"`.
    """

    def __init__(self, quotations: Iterable[str], *, prompt: str = "") -> None:
        """Create a check from the texts that an answer may and may not repeat.

        Args:
            quotations: The passages as the model reads them, and the user's question. Links and commands in them may be
                repeated; injections are already blanked, so that a link from a planted sentence counts as unknown.
            prompt: The instructions that the model was given, without the passages.
        """
        self._quotations = "\n".join(quotations)
        self._quotations_without_spaces = _remove_spaces(self._quotations)
        self._addresses = {
            _normalize_address(match[0]) for pattern in (_LINK, _EMAIL) for match in pattern.finditer(self._quotations)
        }
        quoted_shingles = set(_iterate_shingles(self._quotations))
        self._prompt_shingles = {shingle for shingle in _iterate_shingles(prompt) if shingle not in quoted_shingles}

    def find_violations(self, text: str) -> tuple[Finding, ...]:
        """Return the parts of an answer that must not be shown, in order."""
        findings = [*self._find_unknown_addresses(text), *self._find_unknown_texts(text), *self._find_prompt(text)]
        findings += [Finding(start, end, "control", text[start:end]) for start, end in find_control_tokens(text)]
        findings += [Finding(*match.span(), "call", match[0]) for match in _CALL.finditer(text)]
        return tuple(sorted(findings, key=lambda finding: finding.start))

    def _find_unknown_addresses(self, text: str) -> Iterator[Finding]:
        spans: list[tuple[int, int]] = []
        for kind, pattern in (("email", _EMAIL), ("link", _LINK)):
            for match in pattern.finditer(text):
                start, end = match.start(), match.start() + len(match[0].rstrip(".,;:!?…"))
                if any(first < end and start < last for first, last in spans):
                    continue
                spans.append((start, end))
                if _normalize_address(match[0]) not in self._addresses:
                    yield Finding(start, end, kind, text[start:end])

    def _find_unknown_texts(self, text: str) -> Iterator[Finding]:
        for kind, pattern in (("markup", _MARKUP), ("command", _COMMAND), ("encoded", _ENCODED)):
            for match in pattern.finditer(text):
                if _remove_spaces(match[0].strip("`$#> \n")) not in self._quotations_without_spaces:
                    yield Finding(*match.span(), kind, match[0])

    def _find_prompt(self, text: str) -> Iterator[Finding]:
        """Yield the parts that are copied from the prompt."""
        words = list(_WORD.finditer(text)) if self._prompt_shingles else []
        last_end = -1
        for index in range(len(words) - _SHINGLE_WORDS + 1):
            window = words[index : index + _SHINGLE_WORDS]
            start, end = window[0].start(), window[-1].end()
            if start >= last_end and tuple(word[0].lower() for word in window) in self._prompt_shingles:
                last_end = end
                yield Finding(start, end, "prompt", text[start:end])


def find_tool_calls(message: BaseMessage) -> tuple[str, ...]:
    """Return the names of the tools that a model tried to call.

    The chatbot offers no tools and makes no calls; it only records the attempt. A message with calls and no text is an
    empty answer, so the chatbot declines.
    """
    calls = [
        *(getattr(message, "tool_calls", None) or ()),
        *(getattr(message, "invalid_tool_calls", None) or ()),
        *(getattr(message, "tool_call_chunks", None) or ()),
    ]
    return tuple(dict.fromkeys(str(call.get("name")) for call in calls if call.get("name")))


def _normalize_address(text: str) -> str:
    text = text.lower().rstrip(".,;:!?…/")
    return re.sub(r"^(?:https?://|mailto:)?(?:www\.)?", "", text)


def _remove_spaces(text: str) -> str:
    return "".join(text.split())


def _iterate_shingles(text: str) -> Iterator[tuple[str, ...]]:
    """Yield every run of `_SHINGLE_WORDS` words."""
    words: Sequence[str] = _WORD.findall(text.lower())
    yield from (tuple(words[index : index + _SHINGLE_WORDS]) for index in range(len(words) - _SHINGLE_WORDS + 1))
