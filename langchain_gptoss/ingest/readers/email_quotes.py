"""The own text of an e-mail, what it quotes and what it forwards.

Mail programs mark the message that they answer in their own ways: ">" before each line, a sentence such as "On 3 June,
Tom wrote:", a line such as "-----Original Message-----", or a block of the old message's headers. After the sentence
only lines with ">" are quoted if there are any; after the others, everything is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

QuoteKind = Literal["", "reply", "forward"]
"""What a part of an e-mail is: "" its own text, "reply" what it answers, "forward" what it passes on."""


@dataclass(frozen=True, kw_only=True)
class EmailPart:
    """A part of the text of an e-mail.

    Attributes:
        text: The text, without the marks of quotation.
        kind: What it is.
        origin: The line that says who wrote it and when, "" if there is none.
    """

    text: str
    kind: QuoteKind
    origin: str = ""


_DASH = "[-‐‑–—─=]"
_FORWARD_NAMES = (
    r"forwarded message|(?:message|mail|courriel) (?:transféré|transmis|réexpédié|réacheminé)"
    r"|weitergeleitete nachricht|mensaje reenviado|messaggio inoltrato|doorgestuurd bericht|mensagem encaminhada"
    r"|forwarded by .{1,100}|(?:transféré|transmis|réacheminé|réexpédié) par .{1,100}"
)
_ORIGINAL_NAMES = (
    r"original (?:message|appointment|email)|(?:message|mail|courriel) (?:d['’ ]origine|original|initial)"
    r"|rendez-vous d['’]origine|reply message|(?:ursprüngliche|original)[ -]nachricht|mensaje original"
    r"|messaggio originale|oorspronkelijk bericht|mensagem original"
)
_FORWARD_MARK = re.compile(
    rf"[*_ ]*{_DASH}{{2,}}\s*(?:{_FORWARD_NAMES})\s*{_DASH}*[*_ ]*"
    r"|[*_]*(?:begin forwarded message|début d[ue]\s(?:message|mail|courriel) (?:transféré|réexpédié|transmis)"
    r"|anfang der weitergeleiteten nachricht)\s*:[*_]*",
    re.IGNORECASE,
)
_ORIGINAL_MARK = re.compile(rf"[*_ ]*{_DASH}{{2,}}\s*(?:{_ORIGINAL_NAMES})\s*{_DASH}*[*_ ]*", re.IGNORECASE)
_RULE = re.compile(r"\s*(?:[_=-]{5,}|[*] ?[*] ?[*]|---)\s*")

_WROTE = (
    r"wrote(?: on [^:\n]{4,60})?|[aà] [eé]crit(?: le [^:\n]{4,60})?|écrivait|schrieb(?: [^:\n]{2,80})?|escribió"
    r"|ha scritto|schreef(?: [^:\n]{2,80})?|escreveu"
)
_ATTRIBUTION = re.compile(
    rf"[*_]*(?:(?:on|in|le|am|el|il(?: giorno)?|op|em|at)\b.{{0,250}}?|.{{1,150}}?)\b(?:{_WROTE})\s*:?[*_]*"
    r"|(?:quoting|citant) .{1,150}:|(?:en réponse à|in reply to) .{1,150}:"
    r"|\d{4}[-/]\d{2}[-/]\d{2}.{0,80}<[^<>\s]+@[^<>\s]+>\s*:",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTION_START = re.compile(r"[*_]*(?:on|in|le|am|el|il|op|em|at)\b|\d{4}[-/]\d{2}", re.IGNORECASE)
_ATTRIBUTION_END = re.compile(rf":[*_]*\s*$|\b(?:{_WROTE})[*_]*\s*$", re.IGNORECASE)
_DATE = re.compile(
    r"\b\d{1,2}[:h]\d{2}\b|\b(?:19|20)\d\d\b|\b\d{1,2}[/.-]\d{1,2}\b|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov"
    r"|dec|fév|févr|avr|mai|juin|juil|août|déc)\w*\.?\b",
    re.IGNORECASE,
)
_TIME_OR_ADDRESS = re.compile(r"@|\b\d{1,2}[:h]\d{2}\b")
_MAX_ATTRIBUTION_LINES = 4

_HEADER_NAMES = {
    "from": "from|de|von|da|van|expéditeur|sender|exp",
    "date": "sent|date|envoyé(?: le)?|gesendet|datum|inviato|enviado|verzonden|data",
    "to": "to|à|a|pour|destinataires?|an|aan|para",
    "cc": "cc|copie|copie à|kopie|reply-to|répondre à|importance|pièces jointes|attachments|bcc|cci",
    "subject": "subject|objet|sujet|betreff|oggetto|asunto|onderwerp|assunto",
}
_HEADER = re.compile(
    r"[\s*_-]*(?:" + "|".join(f"(?P<{kind}>{names})" for kind, names in _HEADER_NAMES.items()) + r")[\s*_]*:[\s*_]*\S?",
    re.IGNORECASE,
)
_HEADERS_ON_ONE_LINE = re.compile(
    r"[\s*_]*(?:from|de)[\s*_]*:.{1,150}?\b(?:sent|envoyé|date)[\s*_]*:.{1,150}?\b(?:to|à)[\s*_]*:"
    r".{1,300}?\b(?:subject|objet)[\s*_]*:",
    re.IGNORECASE,
)
_MAX_HEADER_LINES = 24
_MAX_LONG_HEADER_LINES = 3  # lines of a long list of receivers that are no header themselves

_QUOTE_MARK = re.compile(r"[ \t]{0,3}>")
_QUOTE_MARKS = re.compile(r"(?:[ \t]{0,3}>)+[ \t]?")
_COMPARISON = re.compile(r"[ \t]{0,3}>=?\s?\d")


def split_quotes(text: str, *, is_reply: bool = False, is_forward: bool = False) -> list[EmailPart]:
    """Split the text of an e-mail into its own text and what it quotes, in order.

    Args:
        text: The text, without headers.
        is_reply: True if the e-mail says that it answers another one, which makes weak signs enough.
        is_forward: True if it says that it forwards one: a block of headers then begins the forwarded message.
    """
    return _Splitter(text.split("\n"), is_reply=is_reply or is_forward, is_forward=is_forward).split()


@dataclass(frozen=True)
class _Mark:
    """Lines that begin a quotation.

    Attributes:
        end: Index of the line after them.
        kind: Kind of everything that follows; "" if only lines with ">" are quoted.
        origin: Who wrote the quotation and when.
    """

    end: int
    kind: QuoteKind
    origin: str


class _Splitter:
    """Splitter of one text; the arguments are those of `split_quotes`."""

    def __init__(self, lines: Sequence[str], *, is_reply: bool, is_forward: bool) -> None:
        self._lines = lines
        self._is_reply = is_reply
        self._is_forward = is_forward
        self._quoted_lines = _find_quoted_lines(lines, is_reply=is_reply)
        self._parts: list[EmailPart] = []
        self._pending: list[str] = []
        self._kind: QuoteKind = ""
        self._origin = ""

    def split(self) -> list[EmailPart]:
        """Return the parts in order."""
        rest: QuoteKind = ""  # kind of the lines without a mark, and where they come from
        rest_origin = ""
        index = 0
        while index < len(self._lines):
            if index in self._quoted_lines:
                index = self._add_quotation(index, is_nested=bool(rest))
                continue
            mark = self.find_mark(index)
            if mark is None:
                self._begin(rest, rest_origin)
                self._pending.append(self._lines[index])
                index += 1
                continue
            if mark.kind:
                # What a quoted message quotes is older still; what a forwarded one answers is not what is passed on.
                rest, rest_origin = "reply" if rest else mark.kind, mark.origin
            self._flush()
            self._begin(rest if mark.kind else "reply", mark.origin)
            self._pending += self._lines[index : mark.end]
            index = mark.end
            if rest == "forward" and self.find_text(index) in self._quoted_lines:
                index = self._add_forwarded_quotation(index)
                rest, rest_origin = "", ""
        self._flush()
        return self._parts

    def _begin(self, kind: QuoteKind, origin: str) -> None:
        """Begin a part, unless the current one is of the same kind and origin."""
        if (kind, origin) != (self._kind, self._origin):
            self._flush()
            self._kind, self._origin = kind, origin

    def _flush(self) -> None:
        text = "\n".join(self._pending).strip("\n")
        if text.strip():
            self._parts.append(EmailPart(text=text, kind=self._kind, origin=self._origin))
        self._pending = []

    def _find_quotation_end(self, index: int) -> int:
        """Return the end of the lines with ">" from an index on, with the blank ones between them."""
        end = index
        while end in self._quoted_lines:
            end += 1
            following = self.find_text(end)
            if following in self._quoted_lines:
                end = following
        return end

    def _add_quotation(self, index: int, *, is_nested: bool) -> int:
        """Add the lines with ">" from an index on; return the next index."""
        end = self._find_quotation_end(index)
        lines = [_QUOTE_MARKS.sub("", line, count=1) for line in self._lines[index:end]]
        inner = _Splitter(lines, is_reply=True, is_forward=self._is_forward)
        mark = inner.find_mark(inner.find_text(0))
        is_attributed = is_nested or (self._kind == "reply" and self._origin)
        if mark is not None and mark.kind == "forward" and not is_attributed:
            self._begin("forward", mark.origin)
            return self._add_forwarded_quotation(index)
        if not is_attributed:
            self._begin("reply", "" if mark is None else mark.origin)
        self._begin("reply", self._origin if self._kind == "reply" else "")
        self._pending += lines
        return end

    def _add_forwarded_quotation(self, index: int) -> int:
        """Add a forwarded message whose lines begin with ">", as some programs write it; return the next index."""
        start = self.find_text(index)
        end = self._find_quotation_end(start)
        lines = [_QUOTE_MARK.sub("", line, count=1).removeprefix(" ") for line in self._lines[start:end]]
        inner = _Splitter(lines, is_reply=True, is_forward=True)
        mark = inner.find_mark(inner.find_text(0))
        opening_end = mark.end if mark is not None and mark.kind == "forward" else 0
        if mark is not None and opening_end:
            self._origin = mark.origin
        origin = self._origin
        self._pending += lines[:opening_end]
        for part in _Splitter(lines[opening_end:], is_reply=True, is_forward=False).split():
            self._begin(part.kind or "forward", part.origin if part.kind else origin)
            self._pending += ["", *part.text.split("\n")]
        return end

    def find_text(self, index: int) -> int:
        """Return the index of the next line that is not blank, or the number of lines."""
        return next((i for i in range(index, len(self._lines)) if self._lines[i].strip()), len(self._lines))

    def find_mark(self, index: int) -> _Mark | None:
        """Return the lines from an index on that begin a quotation, None if these do not."""
        if index >= len(self._lines):
            return None
        line = self._lines[index].strip()
        if not line:
            return None
        kind: QuoteKind = "forward" if self._is_forward else "reply"
        if _FORWARD_MARK.fullmatch(line):
            return self._complete_mark(index + 1, "forward", line)
        if _ORIGINAL_MARK.fullmatch(line):
            return self._complete_mark(index + 1, kind, line)
        start = self.find_text(index + 1) if _RULE.fullmatch(line) else index
        end = _find_header_block(self._lines, start, is_reply=self._is_reply)
        if end is not None:
            return _Mark(end, kind, _describe_headers(self._lines[start:end]))
        return self._find_attribution(index)

    def _complete_mark(self, end: int, kind: QuoteKind, line: str) -> _Mark:
        """Return a mark together with the block of headers that follows it."""
        start = self.find_text(end)
        header_end = _find_header_block(self._lines, start, is_reply=True)
        if header_end is not None:
            return _Mark(header_end, kind, _describe_headers(self._lines[start:header_end]))
        return _Mark(end, kind, " ".join(re.sub(f"{_DASH}{{2,}}", "", line).strip("*_ ").split()))

    def _find_attribution(self, index: int) -> _Mark | None:
        first = self._lines[index].strip()
        limit = _MAX_ATTRIBUTION_LINES if _ATTRIBUTION_START.match(first) else 2
        for end in range(index + 1, min(index + limit, len(self._lines)) + 1):
            last = self._lines[end - 1]
            if not last.strip() or end - 1 in self._quoted_lines:
                return None
            if not _ATTRIBUTION_END.search(last):
                continue
            attribution = " ".join(" ".join(self._lines[index:end]).split()).strip("*_ ")
            if not _ATTRIBUTION.fullmatch(attribution):
                continue
            origin = attribution.removesuffix(":").strip()
            following = self.find_text(end)
            if following in self._quoted_lines:
                return _Mark(following, "", origin)
            is_sure = self._is_reply or _TIME_OR_ADDRESS.search(attribution)
            if is_sure and attribution.endswith(":") and _DATE.search(attribution):
                return _Mark(end, "reply", origin)
        return None


def _find_quoted_lines(lines: Sequence[str], *, is_reply: bool) -> set[int]:
    """Return the lines that begin with ">" and are no comparisons, such as a tariff's "> 30 kg: 12 €"."""
    quoted: set[int] = set()
    for is_marked, run in groupby(enumerate(lines), key=lambda item: bool(_QUOTE_MARK.match(item[1]))):
        numbered_lines = list(run)
        if is_marked and (is_reply or not all(_COMPARISON.match(line) for _, line in numbered_lines)):
            quoted.update(number for number, _ in numbered_lines)
    return quoted


def _describe_headers(lines: Sequence[str]) -> str:
    """Return the lines of a block of headers that say who wrote a message and when, as one line."""
    if len(lines) == 1:
        return " ".join(lines[0].replace("*", "").split())
    named = [line.replace("*", "").removeprefix("- ") for line in lines if _get_header_kind(line) in ("from", "date")]
    return "; ".join(" ".join(line.split()) for line in named)


def _get_header_kind(line: str) -> str | None:
    match = _HEADER.match(line)
    if match is None or (match.lastgroup == "from" and line[match.end() - 1].isdigit()):  # "From: 9 am", "De : 9 h"
        return None
    return match.lastgroup


def _find_header_block(lines: Sequence[str], start: int, *, is_reply: bool) -> int | None:
    """Return the end of the headers of a quoted message that begin at a line, None if there are none."""
    if start >= len(lines):
        return None
    if _HEADERS_ON_ONE_LINE.match(lines[start]):
        return start + 1
    if _get_header_kind(lines[start]) is None:
        return None
    kinds, end = _read_header_lines(lines, start)
    has_address = any("@" in line for line in lines[start:end])
    is_block = "from" in kinds and (
        ("subject" in kinds and bool(kinds & {"date", "to"}))
        or ("date" in kinds and (has_address or ("to" in kinds and is_reply)))
    )
    return end if is_block else None


def _read_header_lines(lines: Sequence[str], start: int) -> tuple[set[str], int]:
    """Return the kinds of the headers from a line on, and the index after the last one."""
    kinds: set[str] = set()
    end = start
    others = blanks = 0
    for index, line in enumerate(lines[start : start + _MAX_HEADER_LINES], start):
        kind = _get_header_kind(line)
        if kind is not None and kind not in kinds:
            kinds.add(kind)
            end, others, blanks = index + 1, 0, 0
        elif not line.strip():
            blanks += 1
        else:
            others += 1
        if blanks > 1 or others > _MAX_LONG_HEADER_LINES or (blanks and others):
            break
    return kinds, end
