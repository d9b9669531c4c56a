"""Headers of harmony messages, as the guide defines them and as models really write them.

About one header in twenty-five of gpt-oss-20b at temperature 1 is malformed: extra words, missing words, or a control
token in the wrong place. The parser takes what it needs from the words that are there.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from langchain_gptoss.chat_formats.harmony.codec import CHANNEL, CONSTRAIN

Channel = Literal["analysis", "commentary", "final"]
CHANNELS: tuple[Channel, ...] = ("analysis", "commentary", "final")

# The guide allows after `<|start|>`: the recipient before or after the channel, then the content type.
_RECIPIENT_FIELD = r"(?: to=[^\s<]+)?"
_WELL_FORMED = re.compile(
    rf"(?:assistant)?{_RECIPIENT_FIELD} ?{re.escape(CHANNEL)}(?:analysis|commentary|final){_RECIPIENT_FIELD}"
    rf" ?(?:{re.escape(CONSTRAIN)}\w+| ?json| ?code)? ?"
)
# The end of the last token may cut any of the words.
_BEGINNING = re.compile(
    r"(?:assistant|analysis|commentary|final)?\s*(?:t|to|to=[^\s<]*)?\s*(?:j|js|jso|json|c|co|cod|code)?\s*"
)
_RECIPIENT = re.compile(r"to=\s*(\S+)")
_HEADER_WORD = re.compile(r"\s*(to=\S*|[A-Za-z]+)(?=\s|$)")
_CONTENT_TYPES = frozenset({"json", "code", "text", "assistant"})


@dataclass(frozen=True, slots=True)
class Header:
    """The content of a header.

    Attributes:
        channel: Channel of the message.
        tool: Name of the offered tool that the message calls; None for other messages.
        is_well_formed: True if the header follows the guide.
        interpretation: The reading of the header, in words.
        rest: Words that belong to no header: the text of a message without `<|message|>`.
    """

    channel: Channel
    tool: str | None
    is_well_formed: bool
    interpretation: str
    rest: str


def parse_header(header: str, tools: Collection[str]) -> Header:
    """Return the content of a header.

    Args:
        header: The text between `<|start|>` and `<|message|>`, with control tokens by name.
        tools: Names of the offered tools.
    """
    match = _RECIPIENT.search(header.replace(CHANNEL, " ").replace(CONSTRAIN, " "))
    recipient = match[1] if match and match[1] != "assistant" else None
    tool = _find_tool(recipient, match.string[match.start(1) :], tools) if match and recipient else None
    channel = _find_channel(header)
    if recipient and tool is None:
        kind = "reasoning" if channel == "analysis" else "text"
        interpretation = f"{kind}, because no tool {recipient!r} was offered"
    elif tool:
        interpretation = f"a call of {tool}"
    else:
        interpretation = f"a message in the {channel or 'final'} channel"
    return Header(
        channel=channel or "final",
        tool=tool,
        is_well_formed=bool(_WELL_FORMED.fullmatch(header)) and (recipient is None or tool is not None),
        interpretation=interpretation,
        rest=_strip_header_words(header),
    )


def _find_channel(header: str) -> Channel | None:
    """Return the last channel named after a `<|channel|>`, else the last one named before the first of them."""
    before, *parts = header.split(CHANNEL)
    for part in reversed(parts):
        for channel in CHANNELS:
            if part.lstrip().startswith(channel):
                return channel
    words = re.findall(r"[a-z]+", before)
    return next((channel for word in reversed(words) for channel in CHANNELS if word == channel), None)


def _find_tool(recipient: str, rest: str, tools: Collection[str]) -> str | None:
    """Return the offered tool that a recipient names.

    `rest` is the header from the recipient on, because names of tools may contain spaces.
    """
    for name in sorted((name for name in tools if " " in name), key=len, reverse=True):
        if re.match(rf"(?:functions\.)?{re.escape(name)}(?:\s|$)", rest):
            return name
    for name in (recipient, recipient.removeprefix("functions."), recipient.removeprefix("functions.").strip(".")):
        if name in tools:
            return name
    return None


def _strip_header_words(header: str) -> str:
    """Return the text after the words of a header: the text of a message without `<|message|>`."""
    text = header.rsplit(CHANNEL, 1)[-1].replace(CONSTRAIN, " ")
    while True:
        match = _HEADER_WORD.match(text)
        is_header_word = match and (match[1].startswith("to=") or match[1] in CHANNELS or match[1] in _CONTENT_TYPES)
        if not match or not is_header_word:
            rest = text.strip()
            is_unfinished_word = any(word.startswith(rest) for word in (*CHANNELS, "to=", "assistant"))
            return "" if is_unfinished_word else text.removeprefix(" ")
        text = text[match.end() :]


def can_begin_header(text: str) -> bool:
    """Return True if a text between two messages can still become a header."""
    words = text.lstrip()
    if any(word.startswith(words) for word in ("assistant", "to=", *CHANNELS)):
        return True
    return bool(_BEGINNING.fullmatch(words))
