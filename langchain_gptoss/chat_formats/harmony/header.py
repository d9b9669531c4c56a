"""Reads the header of a harmony message, as the guide writes it and as models really emit it.

About one header in twenty-five of gpt-oss-20b at temperature 1 is malformed: words too many, words missing, a control
token in the wrong place. What can be told is told from the words that are there.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from langchain_gptoss.chat_formats.harmony.codec import CHANNEL, CONSTRAIN

Channel = Literal["analysis", "commentary", "final"]
CHANNELS: tuple[Channel, ...] = ("analysis", "commentary", "final")

# What the guide allows after `<|start|>`: the recipient before or after the channel, then the type of the content.
_TO = r"(?: to=[^\s<]+)?"
_REGULAR = re.compile(
    rf"(?:assistant)?{_TO} ?{re.escape(CHANNEL)}(?:analysis|commentary|final){_TO}"
    rf" ?(?:{re.escape(CONSTRAIN)}\w+| ?json| ?code)? ?"
)
# Any of its words may still be cut by a token's end.
_BEGINNING = re.compile(
    r"(?:assistant|analysis|commentary|final)?\s*(?:t|to|to=[^\s<]*)?\s*(?:j|js|jso|json|c|co|cod|code)?\s*"
)
_RECIPIENT = re.compile(r"to=\s*(\S+)")
_TYPES = frozenset({"json", "code", "text", "assistant"})


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes:
        channel: Where its message goes.
        tool: The offered tool that it calls, or None.
        regular: Whether it is as the guide has it.
        assumed: How it was read, in words.
        left: Words that belong to no header: text, where the header turns out to have been none.
    """

    channel: Channel
    tool: str | None
    regular: bool
    assumed: str
    left: str


def header(written: str, tools: Collection[str]) -> Header:
    """Returns what a header says.

    Args:
        written: Everything between `<|start|>` and `<|message|>`, control tokens by name.
        tools: The names of the tools that were offered.
    """
    found = _RECIPIENT.search(written.replace(CHANNEL, " ").replace(CONSTRAIN, " "))
    recipient = found[1] if found and found[1] != "assistant" else None
    tool = _offered(recipient, found.string[found.start(1) :], tools) if found and recipient else None
    channel = _channel(written)
    regular = bool(_REGULAR.fullmatch(written)) and (recipient is None or tool is not None)
    if recipient and tool is None:
        assumed = f"no tool {recipient!r} was offered: read as {'reasoning' if channel == 'analysis' else 'text'}"
    elif tool:
        assumed = f"a call of {tool}"
    else:
        assumed = f"a message in the {channel or 'final'} channel"
    return Header(channel or "final", tool, regular, assumed, _left(written))


def _channel(written: str) -> Channel | None:
    """Returns the last channel that is named after a `<|channel|>`, or else anywhere."""
    named = [_leading(part) for part in written.split(CHANNEL)[1:]]
    words = [word for word in [*re.findall(r"[a-z]+", written.split(CHANNEL)[0]), *named] if word in CHANNELS]
    last = next((word for word in reversed(named) if word in CHANNELS), None) or (words[-1] if words else None)
    return next((channel for channel in CHANNELS if channel == last), None)


def _leading(part: str) -> str:
    return next((channel for channel in CHANNELS if part.lstrip().startswith(channel)), "")


def _offered(recipient: str, rest: str, tools: Collection[str]) -> str | None:
    """Returns the tool that a recipient names; `rest` is the header from there on, for names with spaces in them."""
    for name in sorted((name for name in tools if " " in name), key=len, reverse=True):
        if re.match(rf"(?:functions\.)?{re.escape(name)}(?:\s|$)", rest):
            return name
    for name in (recipient, recipient.removeprefix("functions."), recipient.removeprefix("functions.").strip(".")):
        if name in tools:
            return name
    return None


def _left(written: str) -> str:
    """Returns what remains of a header without its words: the text of a message that never had a `<|message|>`."""
    text = written.rsplit(CHANNEL, 1)[-1].replace(CONSTRAIN, " ")
    while True:
        word = re.match(r"\s*(to=\S*|[A-Za-z]+)(?=\s|$)", text)
        if not word or not (word[1].startswith("to=") or word[1] in CHANNELS or word[1] in _TYPES):
            left = text.strip()
            cut = any(word.startswith(left) for word in (*CHANNELS, "to=", "assistant"))
            return "" if cut else text.removeprefix(" ")
        text = text[word.end() :]


def may_begin_header(text: str) -> bool:
    """Returns whether a text, where a message may begin, can still turn out to be part of a header."""
    words = text.lstrip()
    starts = ("assistant", "to=", *CHANNELS)
    if any(start.startswith(words) for start in starts):
        return True
    return bool(_BEGINNING.fullmatch(words))
