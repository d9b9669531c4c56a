"""Headers of harmony messages, as the guide defines them and as models really write them.

About one header in twenty-five of gpt-oss-20b at temperature 1 is malformed: extra words, missing words, or a control
token in the wrong place. The parser takes what it needs from the words that are there.
"""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from langchain_gptoss.chat_formats.harmony.codec import CHANNEL, CONSTRAIN
from langchain_gptoss.chat_formats.tool_names import PUNCTUATION, find_tool

Channel = Literal["analysis", "commentary", "final"]
CHANNELS: tuple[Channel, ...] = ("analysis", "commentary", "final")
_ROLES = ("user", "system", "developer", "tool")
_NOT_TOOLS = frozenset({"assistant", "user", "all", "json", "code", *CHANNELS})  # recipients that are no tools

# The guide allows after `<|start|>`: the recipient before or after the channel, then the content type.
_RECIPIENT_FIELD = r"(?: to=[^\s<]+)?"
_WELL_FORMED = re.compile(
    rf"(?:assistant)?{_RECIPIENT_FIELD} ?{re.escape(CHANNEL)}(?:analysis|commentary|final){_RECIPIENT_FIELD}"
    rf" ?(?:{re.escape(CONSTRAIN)}(?:json|code|text)| ?json| ?code)? ?"
)
_RECIPIENT = re.compile(r"to=\s*([^\s{]+)")
# A role at the beginning of a header, also with text glued to it: "userWhat is it?".
_ROLE = re.compile(rf"(?:{'|'.join(_ROLES)}|(?i:user|system|human|function)\b)(?![a-z])")
_TOOL_ROLE = re.compile(r"(?:functions|browser|container)\.\S|python\b|[^\s<]+\s+to=assistant\b")
# Words of a header, also with text glued to them: "assistantI'm sorry", "finalHello". Other words that begin like them,
# such as "finally", are text.
_HEADER_WORD = re.compile(
    r"\s*[?!.,;:]?\s*(?:to=[^\s{]*|(?:analysis|commentary|assistant(?!s\b|ship)|final(?!ly|e[a-z]{0,6}\b|s\b|i[stz]))|json(?![a-z])"
    r"|(?:json|code|text)(?=\s*(?:$|to=|analysis|commentary|final|assistant|json|code)))"
)
_DEBRIS = re.compile(r"[\s!-/:-@\[-`{-~]*")  # white space and ASCII punctuation
_DEBRIS_MARK = re.compile(r"\A\s*[?!.,;:](?=[\s\w*#\"“«])")  # after the last word of a header, as in "commentary?"
_CUT_WORDS = (*CHANNELS, *_ROLES, "to=", "assistant", "functions", "json", "code")
# The beginning of an answer whose control tokens were lost: a channel glued to a text, or a recipient.
_BARE_HEADER = re.compile(
    r"\s*(?:assistant)?(?P<channel>analysis|commentary|final)?(?P<recipient>\s*to=[^\s{]+(?:\s*(?:json|code)(?=\s*[{\[]))?)?"
)
_WORDS = re.compile(r"\s*(?:assistant)?(?:analysis|commentary|final)?\s*")
_BARE_TEXT = re.compile(r"[^\W\d_a-zß-öø-ÿ]|[\"“„«*#¿¡]")  # what may follow a glued word: an upper-case letter, ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The content of a header.

    Attributes:
        role: The author, if the message is not the assistant's: a role that the model made up. Otherwise empty.
        channel: Channel of the message.
        tool: Name of the tool that the message calls, offered or not; None for other messages.
        is_doubtful: True if the header also names a channel that contradicts the call.
        is_well_formed: True if the header follows the guide.
        interpretation: The reading of the header, in words.
        rest: Words that belong to no header: the text of a message without `<|message|>`.
    """

    role: str
    channel: Channel
    tool: str | None
    is_doubtful: bool
    is_well_formed: bool
    interpretation: str
    rest: str


def parse_header(header: str, tools: Collection[str], *, is_cut: bool = False) -> Header:
    """Return the content of a header.

    Args:
        header: The text between `<|start|>` and `<|message|>`, with control tokens by name.
        tools: Names of the tools in the prompt.
        is_cut: True if the answer ended inside the header, so that its last word may be incomplete.
    """
    channel = _find_channel(header)
    recipient, tool = _find_recipient(header, tools)
    role = _find_role(header, tools)
    if role:
        interpretation = f"a message of {role!r}, which ends the turn"
    elif tool:
        interpretation = f"a call of {tool}"
    else:
        interpretation = f"a message in the {channel or 'final'} channel"
    # Built-in tools such as "browser.search" have no namespace of functions.
    is_exact = tool is None or recipient == f"functions.{tool}" or (recipient == tool and tool not in tools)
    return Header(
        role=role,
        channel=channel or "final",
        tool=tool,
        is_doubtful=tool is not None and _contradicts_call(header),
        is_well_formed=bool(_WELL_FORMED.fullmatch(header)) and is_exact and not role,
        interpretation=interpretation,
        rest=_strip_header_words(header, is_cut=is_cut),
    )


def _find_role(header: str, tools: Collection[str]) -> str:
    """Return the author of a message that is not the assistant's; an empty string for the assistant."""
    words = header.replace(CONSTRAIN, CHANNEL).split(CHANNEL, 1)[0].strip()
    if match := _ROLE.match(words):
        return match[0]
    first = words.split(maxsplit=1)[0] if words else ""
    if first.startswith(("to=", "assistant", *CHANNELS)):
        return ""
    return first if first in tools or _TOOL_ROLE.match(words) else ""


def _find_channel(header: str) -> Channel | None:
    """Return the last channel named after a `<|channel|>`, else the last one named anywhere."""
    for part in reversed(header.split(CHANNEL)[1:]):
        words = part.lstrip().lower()
        for channel in CHANNELS:
            if words.startswith(channel):
                return channel
        word = re.match(r"[a-z]*", words)
        if word and (matches := difflib.get_close_matches(word[0], CHANNELS, n=1, cutoff=0.75)):
            return next(channel for channel in CHANNELS if channel == matches[0])
    others = re.findall(r"[a-z]+", _RECIPIENT.sub(" ", header.replace(CHANNEL, " ")))
    return next((channel for word in reversed(others) for channel in CHANNELS if word == channel), None)


def _find_recipient(header: str, tools: Collection[str]) -> tuple[str | None, str | None]:
    """Return the last recipient of a header, as the model wrote it, and the name of the tool that it means."""
    text = header.replace(CHANNEL, " ").replace(CONSTRAIN, " ")
    for match in reversed(list(_RECIPIENT.finditer(text))):
        # Names of tools may contain spaces.
        for name in sorted((name for name in tools if " " in name), key=len, reverse=True):
            if spaced := re.match(rf"(?:functions\.)?{re.escape(name)}(?=\s|$)", text[match.start(1) :]):
                return spaced[0], name
        if match[1].strip(PUNCTUATION).lower() not in _NOT_TOOLS:
            return match[1], find_tool(match[1], tools)
    return None, None


def _contradicts_call(header: str) -> bool:
    """Return True if the last channel of a header with a recipient is no channel of calls, or names no recipient."""
    *earlier, last = header.split(CHANNEL)
    if "to=" in last or not any("to=" in part for part in earlier[1:]):
        return _find_channel(header) == "final"
    return _find_channel(header) != "commentary"


def _strip_header_words(header: str, *, is_cut: bool) -> str:
    """Return the text after the words of a header: the text of a message without `<|message|>`."""
    text = header.rsplit(CHANNEL, 1)[-1].replace(CONSTRAIN, " ")
    while match := _HEADER_WORD.match(text):
        text = text[match.end() :]
    text = _DEBRIS_MARK.sub("", text, count=1) if len(text) < len(header) else text
    rest = text.strip()
    word = rest.rstrip(PUNCTUATION)
    word = word.lower() if len(word) > 2 else word
    # One letter may be the answer to a question, if the model ended it.
    is_word_cut = is_cut or len(word) > 1 or CONSTRAIN in header
    is_header_word = is_word_cut and any(header_word.startswith(word) for header_word in _CUT_WORDS)
    is_call_cut = is_cut and bool(_RECIPIENT.search(header)) and not rest.startswith("{")
    return "" if is_header_word or is_call_cut or _DEBRIS.fullmatch(rest) else text.lstrip()


def split_bare_header(text: str) -> tuple[str, str] | None:
    """Return the header and the text of a message whose control tokens were lost, such as "finalHello".

    Returns:
        None if the text begins with no header: "final words" and "finally" do not.
    """
    match = _BARE_HEADER.match(text)
    if not match or not match[0].strip():
        return None
    header, rest = text[: match.end()], text[match.end() :]
    is_call = bool(match["channel"] and match["recipient"]) and rest.lstrip().startswith("{")
    has_two_words = bool(match["channel"]) and "assistant" in header
    if not (is_call or has_two_words or _BARE_TEXT.match(rest)):
        return None
    return f"{CHANNEL}{match['channel']}{match['recipient'] or ''}" if match["channel"] else header, rest


def _match_beginning(word: str) -> str:
    """Return a regular expression that matches a word and all of its beginnings."""
    return "".join(f"(?:{re.escape(letter)}" for letter in word) + ")?" * len(word)


_CHANNEL_BEGINNING = "|".join(_match_beginning(channel) for channel in CHANNELS)
_BEGINNING = re.compile(
    rf"\s*(?:assistant)?(?:{_CHANNEL_BEGINNING}|{_match_beginning('assistant')})\s*(?:to=[^\s<{{]+\s+)*(?:t|to|to=[^\s<{{]*)?\s*"
    rf"(?:{_match_beginning('json')}|{_match_beginning('code')})\s*"
)
_ROLE_BEGINNING = re.compile(
    rf"\s*(?:{'|'.join(_match_beginning(role) for role in (*_ROLES, 'functions'))}|functions\.[^\s<]*"
    rf"(?:\s+{_match_beginning('to=assistant')})?)\s*"
)


def can_begin_header(text: str, *, is_first: bool) -> bool:
    """Return True if a text between two messages can still become a header.

    Args:
        text: The text so far.
        is_first: True for the first message, whose role is in the prompt.
    """
    return bool(_BEGINNING.fullmatch(text) or (not is_first and _ROLE_BEGINNING.fullmatch(text)))


def is_header_text(text: str, *, is_cut: bool) -> bool:
    """Return True if a text between two messages, at the end of the answer, is words of a header only.

    Args:
        text: The text.
        is_cut: True if the answer ended inside the text, so that its last word may be incomplete.
    """
    match = _WORDS.match(text)
    rest = text[match.end() :] if match else text
    is_recipient = "to=" in text or " to=".startswith(text) or (is_cut and "to=".startswith(rest))
    return is_recipient or not rest
