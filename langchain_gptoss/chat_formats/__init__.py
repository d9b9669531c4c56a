"""Chat formats: messages to token ids and back, in harmony, in a checkpoint's own chat template, or as plain text."""

from pathlib import Path
from typing import Any

from langchain_gptoss.chat_formats.base import AnswerGrammar, ChatFormat, Delta, Parser, PromptOptions
from langchain_gptoss.errors import CheckpointError, InvalidInputError
from langchain_gptoss.models.catalog import ChatFormatName, ToolFormatName


def load_chat_format(
    checkpoint: Path | None, name: ChatFormatName | None = None, *, tool_format: ToolFormatName | None = None
) -> ChatFormat:
    """Return the chat format of a checkpoint.

    Args:
        checkpoint: Folder of the checkpoint. Only harmony works without one.
        name: `"harmony"`, `"template"` or `"plain"`. None chooses by the special tokens of the tokenizer.
        tool_format: How tools are shown and calls are written if the format is `"template"`: `"template"` as the chat
            template does, `"prompt"` by our own prompt. None prefers the template if its notation is recognized.

    Raises:
        CheckpointError: The tokenizer is missing or damaged, or it does not support the named formats.
        InvalidInputError: The name is unknown, or the format needs a checkpoint and none is given.
    """
    if name not in {None, "harmony", "template", "plain"}:
        raise InvalidInputError(
            f"chat_format is {name!r}; it must be 'harmony', 'template', 'plain', or None to choose."
        )
    if checkpoint is None:
        if name != "harmony":
            raise InvalidInputError("Without a checkpoint only chat_format='harmony' is possible.")
        from langchain_gptoss.chat_formats.harmony import HarmonyFormat

        return HarmonyFormat()
    from langchain_gptoss.chat_formats.checkpoint_tokenizer import load_tokenizer, read_stop_ids

    tokenizer = load_tokenizer(checkpoint)
    chosen = name or _choose_format(tokenizer)
    if chosen == "harmony":
        return _build_harmony_format(checkpoint, tokenizer)
    stop_ids = read_stop_ids(checkpoint, tokenizer)
    if chosen == "plain":
        from langchain_gptoss.chat_formats.plain import PlainFormat

        return PlainFormat(tokenizer, stop_ids=stop_ids)
    if not tokenizer.chat_template:
        raise CheckpointError(
            f"{str(checkpoint)!r} has no chat template.", hint="Use chat_format='plain' for a base model."
        )
    from langchain_gptoss.chat_formats.template import TemplateFormat

    return TemplateFormat(tokenizer, stop_ids=stop_ids, tool_format=tool_format)


def _choose_format(tokenizer: Any) -> ChatFormatName:
    from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS

    if set(CONTROL_TOKENS) <= tokenizer.get_vocab().keys():
        return "harmony"
    return "template" if tokenizer.chat_template else "plain"


def _build_harmony_format(checkpoint: Path, tokenizer: Any) -> ChatFormat:
    from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS, HarmonyFormat
    from langchain_gptoss.chat_formats.harmony.codec import TokenizerCodec

    if missing := [token for token in CONTROL_TOKENS if token not in tokenizer.get_vocab()]:
        raise CheckpointError(
            f"The tokenizer of {str(checkpoint)!r} lacks harmony's control token {missing[0]}.",
            hint="Use another chat_format.",
        )
    return HarmonyFormat(TokenizerCodec(tokenizer))


__all__ = ["AnswerGrammar", "ChatFormat", "Delta", "Parser", "PromptOptions", "load_chat_format"]
