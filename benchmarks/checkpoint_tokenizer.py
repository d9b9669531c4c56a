"""Write the tokenizer files of gpt-oss from the ranks in the harmony codec, without a download.

A test compares its ids with those of the codec. A shape with a smaller vocabulary gets the first ranks, which are a
valid tokenizer too, followed by the same control tokens.
"""

import json
from pathlib import Path

from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from tokenizers import AddedToken
from transformers.convert_slow_tokenizer import TikTokenConverter

RANKS = 199_998
# In the published tokenizer_config.json these are 199998 to 200018.
CONTROL_TOKENS = (
    "<|startoftext|>",
    "<|endoftext|>",
    "<|reserved_200000|>",
    "<|reserved_200001|>",
    "<|return|>",
    "<|constrain|>",
    "<|reserved_200004|>",
    "<|channel|>",
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|reserved_200009|>",
    "<|reserved_200010|>",
    "<|reserved_200011|>",
    "<|call|>",
    "<|reserved_200013|>",
    "<|reserved_200014|>",
    "<|reserved_200015|>",
    "<|reserved_200016|>",
    "<|reserved_200017|>",
    "<|endofprompt|>",
)
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
# o200k_base's own pattern, from tiktoken.
_PATTERN = "|".join(
    [
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)


def count_ranks(vocabulary: int) -> int:
    """Return the number of ordinary tokens in a vocabulary of this size; the control tokens follow them."""
    return min(RANKS, vocabulary - len(CONTROL_TOKENS))


def list_control_ids(vocabulary: int) -> dict[str, int]:
    """Return the id of every control token."""
    return {token: count_ranks(vocabulary) + number for number, token in enumerate(CONTROL_TOKENS)}


class _RankConverter(TikTokenConverter):
    """Converter that takes the ranks from the codec instead of a file."""

    def __init__(self, count: int) -> None:
        super().__init__(pattern=_PATTERN)
        self._count = count

    def load_tiktoken_bpe(self, tiktoken_url: str | None) -> dict[bytes, int]:
        """Return the ranks of the codec; the URL is ignored."""
        # Only the codec's inner object returns the bytes of tokens that are not valid text.
        codec = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)._inner
        return {codec.decode_bytes([rank]): rank for rank in range(self._count)}


def write_tokenizer(folder: Path, *, vocabulary: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json."""
    tokenizer = _RankConverter(count_ranks(vocabulary)).converted()
    tokenizer.model.ignore_merges = False  # as published
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in CONTROL_TOKENS])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>"}
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    added = {str(number): {"content": token, **flags} for token, number in list_control_ids(vocabulary).items()}
    config = {
        "added_tokens_decoder": added,
        **names,
        "clean_up_tokenization_spaces": False,
        "extra_special_tokens": {},
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 1000000000000000019884624838656,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    for file, value in (("tokenizer_config.json", config), ("special_tokens_map.json", names)):
        (folder / file).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
