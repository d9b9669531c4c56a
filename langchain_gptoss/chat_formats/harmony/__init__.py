"""The harmony format of the published gpt-oss models, and of fine-tunes that have its control tokens."""

from collections.abc import Collection, Sequence

from langchain_gptoss.chat_formats.answer_grammar import build_harmony_grammar
from langchain_gptoss.chat_formats.base import AnswerGrammar, ChatFormat, Parser, PromptOptions
from langchain_gptoss.chat_formats.harmony.codec import CHANNEL, CONTROL_TOKENS, MESSAGE, Codec, load_gpt_oss_codec
from langchain_gptoss.chat_formats.harmony.parser import HarmonyParser
from langchain_gptoss.chat_formats.harmony.renderer import render_prompt
from langchain_gptoss.chat_formats.messages import Turn
from langchain_gptoss.chat_formats.text_parser import build_byte_text_parser


class HarmonyFormat(ChatFormat):
    """Harmony, as in the openai/harmony guide.

    A LangChain `SystemMessage` becomes the developer message. The system message of harmony holds the model's identity,
    the date and the reasoning effort. Reasoning is kept inside a tool loop and dropped before the last answer.
    """

    has_reasoning = True

    def __init__(self, codec: Codec | None = None) -> None:
        """Store the vocabulary; None loads the vocabulary of the published models."""
        self._codec = codec or load_gpt_oss_codec()

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids of `<|return|>`, `<|call|>` and `<|endoftext|>`; `<|end|>` ends a message and not the turn."""
        return self._codec.stop_ids

    @property
    def answer_start_ids(self) -> tuple[int, ...]:
        """The opened final channel: what follows is the answer."""
        ids = self._codec.control_ids
        return (ids[CHANNEL], *self._codec.encode("final"), ids[MESSAGE])

    def render_turns(self, turns: Sequence[Turn], options: PromptOptions) -> list[int]:
        """Implement `ChatFormat.render_turns`."""
        return render_prompt(turns, options, self._codec)

    def parser(self, tools: Collection[str] = (), *, offered_tools: Collection[str] = ()) -> Parser:
        """Implement `ChatFormat.parser`."""
        return HarmonyParser(self._codec, tools, offered_tools=offered_tools)

    def build_text_parser(self) -> Parser:
        """Implement `ChatFormat.build_text_parser`."""
        return build_byte_text_parser(self._codec.decode_token, self._codec.control_names, self.stop_ids)

    def build_grammar(self, options: PromptOptions) -> AnswerGrammar | None:
        """Implement `ChatFormat.build_grammar`; the grammar leaves the reasoning free."""
        return build_harmony_grammar(options, self._codec.control_ids)

    def encode(self, text: str) -> list[int]:
        """Implement `ChatFormat.encode`."""
        return self._codec.encode(text)

    def decode_token(self, token_id: int) -> bytes:
        """Implement `ChatFormat.decode_token`."""
        token_bytes = self._codec.decode_token(token_id)
        return self._codec.control_names.get(token_id, "").encode() if token_bytes is None else token_bytes


__all__ = ["CONTROL_TOKENS", "HarmonyFormat"]
