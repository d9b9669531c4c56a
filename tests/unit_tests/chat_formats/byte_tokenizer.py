"""A byte-level tokenizer without merges, in which every byte is a token."""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# The last two have no role such as bos or eos, and one is the beginning of the other.
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file>", "<file><name>"]


def build_backend(special: list[str]) -> Tokenizer:
    """Return a tokenizer whose special tokens have the first ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def build_tokenizer(*, special: list[str] = SPECIAL_TOKENS, template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """Return a tokenizer of transformers."""
    roles = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"} if "<|im_end|>" in special else {}
    return PreTrainedTokenizerFast(tokenizer_object=build_backend(special), chat_template=template, **roles)
