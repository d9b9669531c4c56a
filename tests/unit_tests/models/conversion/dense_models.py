"""Small dense models with random weights: as safetensors folders, and as GGUF files."""

import copy
from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "vocab_size": 300,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
TOKENS = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "the"]
CONTROL = ["<|im_start|>", "<|im_end|>"]
IDS = torch.tensor([[5, 17, 3, 250, 99, 42, 7, 7, 120, 11]])


def build_llama(**changes: Any) -> LlamaForCausalLM:
    """Return a Llama model with random weights, norms and biases included."""
    return _randomize(LlamaForCausalLM(LlamaConfig(**SIZES | changes)))


def build_qwen2(**changes: Any) -> Qwen2ForCausalLM:
    """Return a Qwen2 model with random weights; it has biases of queries, keys and values."""
    return _randomize(Qwen2ForCausalLM(Qwen2Config(**SIZES | changes)))


def _randomize(model: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:
            parameter.data = torch.rand(parameter.shape, generator=generator) + 0.5
    return model.eval()


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes."""
    vocabulary = {token: index for index, token in enumerate(CONTROL + TOKENS)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template="{{ messages[0].content }}"
    )


def round_weights(model: Any, dtype: torch.dtype) -> None:
    """Round the weights of a model, and not the frequencies of its rotation."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).float()


def save_folder(model: Any, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Save a model with a tokenizer; its weights are rounded to the type."""
    copy.deepcopy(model).to(dtype).save_pretrained(folder)
    round_weights(model, dtype)
    build_tokenizer().save_pretrained(folder)
    return folder


_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def save_gguf(
    model: Any,
    file: Path,
    matrix_type: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    *,
    types: dict[str, gguf.GGMLQuantizationType] | None = None,
    fields: dict[str, Any] | None = None,
    extra: dict[str, torch.Tensor] | None = None,
) -> Path:
    """Save a model as llama.cpp's converter does, with a tokenizer of bytes.

    `types` has the types of matrices, by the endings of their names in transformers, that are not stored as others are.
    """
    config = model.config
    writer = gguf.GGUFWriter(file, config.model_type)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    tokens = CONTROL + TOKENS + [f"[PAD{number}]" for number in range(config.vocab_size - len(CONTROL + TOKENS))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(CONTROL) + [1] * len(TOKENS) + [5] * (len(tokens) - len(CONTROL + TOKENS)))
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template("{{ messages[0].content }}")
    for key, value in (fields or {}).items():
        (writer.add_string if isinstance(value, str) else writer.add_uint32)(key, value)
    state = dict(model.state_dict())
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    for name, tensor in state.items():
        kind = next((kind for ending, kind in (types or {}).items() if name.endswith(ending)), matrix_type)
        _add_tensor(writer, _convert_name(name), _reorder(model, name, tensor), kind)
    for name, tensor in (extra or {}).items():
        _add_tensor(writer, name, tensor, gguf.GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tensor(writer: gguf.GGUFWriter, name: str, tensor: torch.Tensor, matrix_type: Any) -> None:
    values = tensor.float().contiguous().numpy()
    kind = matrix_type if values.ndim > 1 else gguf.GGMLQuantizationType.F32
    writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)


def _convert_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    parts = stem.split(".")
    if parts[:2] == ["model", "layers"]:
        return f"blk.{parts[2]}.{_NAMES['.'.join(parts[3:])]}.{kind}"
    return f"{_NAMES[stem]}.{kind}"


def _reorder(model: Any, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Put the two rows of each rotated pair side by side, as the files of Llama have them."""
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    count = heads.get(name.split(".")[-2])
    if config.model_type != "llama" or count is None:
        return tensor
    return torch.cat([head.unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1) for head in tensor.chunk(count)])
