"""The harmony format of the published gpt-oss models, on the `oss-harmony` codec (its vocabulary comes with it)."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from openai_harmony import (
    Conversation,
    DeveloperContent,
    HarmonyEncodingName,
    HarmonyError,
    Message,
    Role,
    StreamableParser,
    SystemContent,
    load_harmony_encoding,
)
from openai_harmony import (
    ReasoningEffort as HarmonyEffort,
)

from langchain_gptoss.chat_formats.base import ChatFormat, Delta, Parser, ReasoningEffort, checked, text_of

CONTROL_TOKENS = ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>", "<|call|>")
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
        """`<|return|>` and `<|call|>`; `<|end|>` only ends a message."""
        return frozenset(_encoding().stop_tokens_for_assistant_actions())

    def render(self, messages: Sequence[BaseMessage], *, reasoning_effort: ReasoningEffort | None = None) -> list[int]:
        """See `ChatFormat.render`."""
        instructions = "\n\n".join(text_of(message) for message in checked(messages) if message.type == "system")
        system = SystemContent.new().with_conversation_start_date(date.today().isoformat())
        system = system.with_reasoning_effort(_EFFORTS[reasoning_effort or "medium"])
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


def _turn(message: HumanMessage | AIMessage) -> Any:
    if isinstance(message, HumanMessage):
        return Message.from_role_and_content(Role.USER, text_of(message))
    return Message.from_role_and_content(Role.ASSISTANT, text_of(message)).with_channel("final")


class _HarmonyParser(Parser):
    """Follows the library's parser; where that gives up on malformed output, the rest is read as the answer."""

    def __init__(self) -> None:
        self._parser = StreamableParser(_encoding(), Role.ASSISTANT)
        self._controls = frozenset(control_ids().values())
        self._gave_up = False

    def feed(self, token_id: int) -> list[Delta]:
        if self._gave_up:
            return self._plain(token_id)
        try:
            self._parser.process(token_id)
        except HarmonyError:
            self._gave_up = True
            return self._plain(token_id)
        text = self._parser.last_content_delta
        if not text:
            return []
        return [Delta("reasoning" if self._parser.current_channel == "analysis" else "text", text)]

    def flush(self) -> list[Delta]:
        return []

    def _plain(self, token_id: int) -> list[Delta]:
        if token_id in self._controls:
            return []
        return [Delta("text", _encoding().decode([token_id]))]
