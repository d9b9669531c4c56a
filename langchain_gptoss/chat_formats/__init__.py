"""Messages become tokens, tokens become messages: harmony, a checkpoint's own chat template, or plain text."""

import json
from pathlib import Path
from typing import Any

from langchain_gptoss.chat_formats.base import ChatFormat, Constraint, Delta, Parser, Task
from langchain_gptoss.errors import CheckpointError, InvalidInputError
from langchain_gptoss.models.catalog import ChatFormatName


def load_chat_format(checkpoint: Path | None, name: ChatFormatName | None = None) -> ChatFormat:
    """Returns the chat format of a checkpoint, chosen by its tokenizer's special tokens unless it is named.

    Args:
        checkpoint: The checkpoint's folder. Harmony needs none.
        name: `"harmony"`, `"template"` or `"plain"`, to override.

    Raises:
        CheckpointError: The tokenizer is missing or damaged, or cannot do what was asked.
        InvalidInputError: An unknown name, or a format that needs a checkpoint and has none.
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
    tokenizer = _load_tokenizer(checkpoint)
    chosen = name or _suited(tokenizer)
    if chosen == "harmony":
        return _harmony(checkpoint, tokenizer)
    stop_ids = _stop_ids(checkpoint, tokenizer)
    if chosen == "plain":
        from langchain_gptoss.chat_formats.plain import PlainFormat

        return PlainFormat(tokenizer, stop_ids=stop_ids)
    if not tokenizer.chat_template:
        raise CheckpointError(f"{str(checkpoint)!r} has no chat template. Use chat_format='plain' for a base model.")
    from langchain_gptoss.chat_formats.template import TemplateFormat

    return TemplateFormat(tokenizer, stop_ids=stop_ids)


def _harmony(checkpoint: Path, tokenizer: Any) -> ChatFormat:
    from langchain_gptoss.chat_formats.harmony import CONTROLS, HarmonyFormat
    from langchain_gptoss.chat_formats.harmony.codec import TokenizerCodec

    if missing := [token for token in CONTROLS if token not in tokenizer.get_vocab()]:
        raise CheckpointError(
            f"The tokenizer of {str(checkpoint)!r} lacks harmony's control token {missing[0]}. Use another chat_format."
        )
    return HarmonyFormat(TokenizerCodec(tokenizer))


def _suited(tokenizer: Any) -> ChatFormatName:
    from langchain_gptoss.chat_formats.harmony import CONTROLS

    if set(CONTROLS) <= tokenizer.get_vocab().keys():
        return "harmony"
    return "template" if tokenizer.chat_template else "plain"


def _load_tokenizer(checkpoint: Path) -> Any:
    from transformers import AutoTokenizer

    if not (checkpoint / "tokenizer.json").is_file():
        raise CheckpointError(f"{str(checkpoint)!r} has no tokenizer.json. Copy or fetch the checkpoint again.")
    try:
        return AutoTokenizer.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare Exceptions on damaged files
        raise CheckpointError(
            f"The tokenizer of {str(checkpoint)!r} cannot be read: {error}. Copy or fetch the checkpoint again."
        ) from error


def _stop_ids(checkpoint: Path, tokenizer: Any) -> frozenset[int]:
    """Returns what the checkpoint's generation config calls the end, and the tokenizer's own end of text."""
    file = checkpoint / "generation_config.json"
    try:
        declared = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{str(file)!r} cannot be read: {error}. Copy or fetch the checkpoint again.") from error
    ids = declared if isinstance(declared, list) else [declared]
    return frozenset(token_id for token_id in [*ids, tokenizer.eos_token_id] if token_id is not None)


__all__ = ["ChatFormat", "Constraint", "Delta", "Parser", "Task", "load_chat_format"]
