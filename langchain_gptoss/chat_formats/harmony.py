"""The harmony format of the published gpt-oss models, on the `oss-harmony` codec (its vocabulary comes with it)."""

import codecs
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from openai_harmony import (
    Conversation,
    DeveloperContent,
    HarmonyEncodingName,
    HarmonyError,
    Message,
    Role,
    SystemContent,
    load_harmony_encoding,
)
from openai_harmony import (
    ReasoningEffort as HarmonyEffort,
)

from langchain_gptoss.chat_formats.base import ChatFormat, Delta, Parser, ReasoningEffort, checked, role_of, text_of
from langchain_gptoss.errors import InvalidInputError

CONTROL_TOKENS = ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>", "<|call|>")
_END_OF_TEXT = 199999  # the published generation configs stop at it, and the codec does not name it
_EFFORTS = {"low": HarmonyEffort.LOW, "medium": HarmonyEffort.MEDIUM, "high": HarmonyEffort.HIGH}


@cache
def _encoding() -> Any:
    return load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


def control_ids() -> dict[str, int]:
    """Returns the ids that harmony's control tokens have in the published models' vocabulary."""
    return {token: _encoding().encode(token, allowed_special="all")[0] for token in CONTROL_TOKENS}


class HarmonyFormat(ChatFormat):
    """Harmony, as in the openai/harmony guide.

    A LangChain `SystemMessage` becomes the developer message; the harmony system message holds the model's identity,
    the date and the reasoning effort. Reasoning of finished turns is dropped.
    """

    @property
    def stop_ids(self) -> frozenset[int]:
        """`<|return|>`, `<|call|>` and `<|endoftext|>`; `<|end|>` only ends a message."""
        return frozenset({*_encoding().stop_tokens_for_assistant_actions(), _END_OF_TEXT})

    def render(self, messages: Sequence[BaseMessage], *, reasoning_effort: ReasoningEffort | None = None) -> list[int]:
        """See `ChatFormat.render`."""
        instructions = "\n\n".join(text_of(message) for message in checked(messages) if role_of(message) == "system")
        system = SystemContent.new().with_conversation_start_date(date.today().isoformat())
        system = system.with_reasoning_effort(_effort(reasoning_effort))
        turns = [Message.from_role_and_content(Role.SYSTEM, system)]
        if instructions:
            developer = DeveloperContent.new().with_instructions(instructions)
            turns.append(Message.from_role_and_content(Role.DEVELOPER, developer))
        turns += [_turn(message) for message in messages if isinstance(message, HumanMessage | AIMessage)]
        ids: list[int] = _encoding().render_conversation_for_completion(
            Conversation.from_messages(turns), Role.ASSISTANT
        )
        return ids

    def parser(self) -> Parser:
        """See `ChatFormat.parser`."""
        return _HarmonyParser()

    def encode(self, text: str) -> list[int]:
        """See `ChatFormat.encode`."""
        ids: list[int] = _encoding().encode(text, disallowed_special=())
        return ids


def _effort(name: ReasoningEffort | None) -> HarmonyEffort:
    if name is not None and name not in _EFFORTS:
        raise InvalidInputError(f"reasoning_effort is {name!r}; it must be one of {', '.join(_EFFORTS)}.")
    return _EFFORTS[name or "medium"]


def _turn(message: HumanMessage | AIMessage) -> Any:
    if isinstance(message, HumanMessage):
        return Message.from_role_and_content(Role.USER, text_of(message))
    return Message.from_role_and_content(Role.ASSISTANT, text_of(message)).with_channel("final")


class _HarmonyParser(Parser):
    """Follows the control tokens by hand: the codec's own parser gives up on a malformed header and shows stray ones.

    A header runs from `<|start|>` or `<|channel|>` to `<|message|>`. Text where no header was begun is read as the
    answer, and so is what follows the first word of a header that never came to its `<|message|>`.
    """

    def __init__(self) -> None:
        self._controls = {token_id: token for token, token_id in control_ids().items()}
        self._in_header = False
        self._kind: Literal["text", "reasoning"] = "text"
        self._opening = True  # before the first text of a message, where a recipient may stand
        self._held = ""  # the header so far, or what may become a recipient
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_id: int) -> list[Delta]:
        if _encoding().is_special_token(token_id):
            return self._control(self._controls.get(token_id, ""))
        text = self._utf8.decode(_bytes(token_id))
        if self._in_header or self._opening:
            self._held += text
            if self._in_header or _may_be_recipient(self._held):
                return []
            text, self._held, self._opening = self._held, "", False
        return [Delta(self._kind, text)] if text else []

    def flush(self) -> list[Delta]:
        return self._end()

    def _control(self, token: str) -> list[Delta]:
        self._utf8.reset()
        if token in {"<|start|>", "<|channel|>"}:
            deltas = [] if self._in_header else self._end()
            self._in_header, self._held = True, ""
            return deltas
        if token == "<|message|>" and (self._in_header or self._opening):
            self._kind = "reasoning" if self._held.split()[:1] == ["analysis"] else "text"
            self._in_header, self._opening, self._held = False, False, ""
        elif token in {"<|end|>", "<|return|>", "<|call|>"}:
            return self._end()
        return []

    def _end(self) -> list[Delta]:
        """Ends the message, and returns the text of one that has no `<|message|>`."""
        first, *rest = self._held.split(maxsplit=1) or [""]
        text = "".join(rest) if self._in_header else self._held
        kind: Literal["text", "reasoning"] = "reasoning" if self._in_header and first == "analysis" else "text"
        self._in_header, self._opening, self._held, self._kind = False, True, "", "text"
        return [] if text.strip().startswith("to=") or not text.strip() else [Delta(kind, text)]


def _may_be_recipient(text: str) -> bool:
    """Returns whether `text` begins, or is the beginning of, ` to=functions.name`."""
    return " to=".startswith(text) or text.startswith(" to=")


def _bytes(token_id: int) -> bytes:
    try:
        text: str = _encoding().decode([token_id], errors="surrogateescape")
    except HarmonyError:  # an id that is not in the vocabulary
        return b""
    return text.encode("utf-8", errors="surrogateescape")
