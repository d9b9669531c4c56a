"""The Hugging Face tokenizer of a checkpoint: loading, stop tokens, encoding text, bytes of a token."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError

# Names in tokenizer_config.json of the class that reads tokenizer.json as it is.
_GENERAL_CLASSES = frozenset({"PreTrainedTokenizerFast", "TokenizersBackend"})


def load_tokenizer(checkpoint: Path) -> Any:
    """Return the fast tokenizer of a checkpoint folder.

    Raises:
        CheckpointError: The tokenizer is missing or damaged.
    """
    if not (checkpoint / "tokenizer.json").is_file():
        raise CheckpointError(
            f"{str(checkpoint)!r} has no tokenizer.json.", hint="Copy or download the checkpoint again."
        )
    try:
        if _read_class_name(checkpoint) in _GENERAL_CLASSES:
            # AutoTokenizer would find the same class, and imports the configurations of all models for that.
            from transformers import PreTrainedTokenizerFast

            return PreTrainedTokenizerFast.from_pretrained(checkpoint, local_files_only=True)
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare Exceptions on damaged files
        raise CheckpointError(
            f"The tokenizer of {str(checkpoint)!r} cannot be read: {error}.",
            hint="Copy or download the checkpoint again.",
        ) from error


def _read_class_name(checkpoint: Path) -> str | None:
    try:
        name = json.loads((checkpoint / "tokenizer_config.json").read_text(encoding="utf-8")).get("tokenizer_class")
    except (OSError, ValueError, AttributeError):  # whether the file is needed is for the tokenizer to decide
        return None
    return name if isinstance(name, str) else None


def read_stop_ids(checkpoint: Path, tokenizer: Any) -> frozenset[int]:
    """Return the end tokens of the checkpoint's generation config and the tokenizer's end-of-text token.

    Raises:
        CheckpointError: The generation config is damaged.
    """
    path = checkpoint / "generation_config.json"
    try:
        declared = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{str(path)!r} cannot be read: {error}.", hint="Copy or download the checkpoint again."
        ) from error
    token_ids = declared if isinstance(declared, list) else [declared]
    return frozenset(token_id for token_id in [*token_ids, tokenizer.eos_token_id] if token_id is not None)


def encode_as_text(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of a text; names of control tokens in it are encoded as ordinary text."""
    token_ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return token_ids


def convert_token_to_bytes(token: str) -> bytes:
    """Return the bytes of a vocabulary entry; in a byte-level vocabulary each character stands for one byte."""
    alphabet = _build_byte_alphabet()
    if all(character in alphabet for character in token):
        return bytes(alphabet[character] for character in token)
    return token.encode("utf-8")


@cache
def _build_byte_alphabet() -> dict[str, int]:
    """Return GPT-2's byte alphabet: printable Latin-1 bytes map to themselves, all others to U+0100 and up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + index): byte for index, byte in enumerate(others)}
