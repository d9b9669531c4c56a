"""The tokenizer of a GGUF file, as the files that transformers reads.

Sources of the split patterns: the `tokenizer.json` files of the models, and llama.cpp's `llama-vocab.cpp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError
from langchain_gptoss.models.conversion.gguf_file import GgufFile

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3_SPLIT = _QWEN2_SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
_PRE_TOKENIZERS = ("qwen2", "llama-bpe", "smollm", "gpt-2")
_CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 3, 4, 5, 6  # llama.cpp's token types
_SPACE = "\u2581"
_ROLES = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}
_HINT = "Convert the model's safetensors checkpoint, which has a tokenizer.json."


def check_tokenizer(file: GgufFile) -> None:
    """Check that the tokenizer of a file can be converted.

    Raises:
        DamagedCheckpointError: Its parts are missing, or of different lengths.
        CheckpointError: It is of a kind that this package does not know.
    """
    source, fields = str(file.path), file.fields
    tokens, types = fields.get("tokenizer.ggml.tokens"), fields.get("tokenizer.ggml.token_type")
    if not isinstance(tokens, list) or not isinstance(types, list) or not tokens or len(tokens) != len(types):
        raise DamagedCheckpointError(
            f"{source!r} has no complete tokenizer.", hint="Copy or fetch the file again, or choose another one."
        )
    kind, split = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre", "gpt-2")
    if kind == "gpt2":
        if not isinstance(fields.get("tokenizer.ggml.merges"), list):
            raise DamagedCheckpointError(f"{source!r} has a tokenizer without merges.", hint=_HINT)
        if split not in _PRE_TOKENIZERS:
            raise CheckpointError(
                f"{source!r} splits text in the way {split!r}, and this package knows {', '.join(_PRE_TOKENIZERS)}.",
                hint=_HINT,
            )
    elif kind != "llama":
        raise CheckpointError(
            f"{source!r} has a tokenizer of the kind {kind!r}, and this package converts 'gpt2' and 'llama'.",
            hint=_HINT,
        )


def save_tokenizer(file: GgufFile, folder: Path) -> None:
    """Write the tokenizer of a checked file into a folder, with the chat template."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    fields = file.fields
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    tokenizer = _build_pieces(fields) if fields["tokenizer.ggml.model"] == "llama" else _build_bytes(fields)
    tokenizer.add_special_tokens(
        [
            AddedToken(token, normalized=False, special=True)
            for token, kind in zip(tokens, types, strict=True)
            if kind == _CONTROL
        ]
    )
    tokenizer.add_tokens(
        [
            AddedToken(token, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind == _USER_DEFINED
        ]
    )
    _add_start_token(tokenizer, fields)
    roles = {role: _find_token(fields, name) for name, role in _ROLES.items()}
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        **{role: token for role, token in roles.items() if token is not None},
        chat_template=fields.get("tokenizer.chat_template"),
    ).save_pretrained(folder)


def _add_start_token(tokenizer: Tokenizer, fields: Mapping[str, Any]) -> None:
    """Let texts begin with the start token where the model was trained so; a chat template writes it itself."""
    from tokenizers import processors

    is_default = fields["tokenizer.ggml.model"] == "llama" or fields.get("tokenizer.ggml.pre") == "llama-bpe"
    start = _find_token(fields, "bos")
    if start is not None and fields.get("tokenizer.ggml.add_bos_token", is_default):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[start, "$A"], special_tokens=[(start, fields["tokenizer.ggml.bos_token_id"])]
        )


def _find_token(fields: Mapping[str, Any], name: str) -> str | None:
    index, tokens = fields.get(f"tokenizer.ggml.{name}_token_id"), fields["tokenizer.ggml.tokens"]
    return tokens[index] if isinstance(index, int) and 0 <= index < len(tokens) else None


def _build_bytes(fields: Mapping[str, Any]) -> Tokenizer:
    """Return a BPE tokenizer whose smallest pieces are bytes, without added tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    vocabulary = {token: index for index, token in enumerate(tokens) if types[index] != _UNUSED}
    split = fields.get("tokenizer.ggml.pre", "gpt-2")
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=split == "llama-bpe"))
    if split == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if split in {"qwen2", "llama-bpe"}:
        pattern = Regex(_QWEN2_SPLIT if split == "qwen2" else _LLAMA3_SPLIT)
        steps = [
            pre_tokenizers.Split(pattern, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    else:
        digits = [pre_tokenizers.Digits(individual_digits=True)] if split == "smollm" else []
        steps = [*digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _build_pieces(fields: Mapping[str, Any]) -> Tokenizer:
    """Return a BPE tokenizer of SentencePiece, without added tokens.

    Such a file has scores instead of merges: of all pairs that form a token, the one with the highest score is joined.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers

    tokens = fields["tokenizer.ggml.tokens"]
    scores = fields.get("tokenizer.ggml.scores") or [-float(index) for index in range(len(tokens))]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = []
    for index, token in enumerate(tokens):
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocabulary and right in vocabulary:
                merges.append((-scores[index], vocabulary[left], vocabulary[right], left, right))
    pairs = [(left, right) for *_, left, right in sorted(merges)]
    unknown = _find_token(fields, "unknown")
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=pairs, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    prepend = [normalizers.Prepend(_SPACE)] if fields.get("tokenizer.ggml.add_space_prefix", True) else []
    tokenizer.normalizer = normalizers.Sequence([*prepend, normalizers.Replace(" ", _SPACE)])
    strip = [decoders.Strip(" ", 1, 0)] if prepend else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return tokenizer
