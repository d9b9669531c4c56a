"""Conversion of the demo model: a Llama GGUF file becomes a gpt_oss checkpoint.

A dense Llama model equals a gpt_oss model whose experts all take part with equal weight. The mapping, for E experts
that share the intermediate width evenly and alpha = `swiglu_alpha`:

- attention, norms and embeddings are copied; the biases of q, k, v and o are 0; the sinks are so low that they take no
  attention weight;
- the router is 0, so each of the E active experts has the weight 1/E;
- a gpt_oss expert computes `down((up + 1) * gate * sigmoid(alpha * gate))` and Llama computes `down(up * silu(gate))`,
  so gate becomes gate / alpha, up gets the bias -1, and down becomes down * alpha * E. The clamp never takes effect.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from langchain_gptoss._optional import require

if TYPE_CHECKING:
    import torch

_EXPERTS = 4  # as many as a published gpt-oss activates per token
_ALPHA = 1.702  # GptOssConfig.swiglu_alpha
_UNREACHABLE = 1e4  # fits into bfloat16, and every logit and activation of this model is far smaller
_GGUF_CONTROL_TOKEN = 3  # gguf's TokenType.CONTROL


def convert_gguf(gguf_file: Path, folder: Path) -> None:
    """Write a gpt_oss checkpoint of a dense Llama model into a folder.

    Args:
        gguf_file: The model; its tokenizer must be a byte-level BPE.
        folder: An existing folder.

    Raises:
        MissingDependencyError: The extra `demo` is not installed.
    """
    reader = require("gguf", extra="demo").GGUFReader(gguf_file)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    _save_weights(reader.tensors, fields, folder)
    _save_tokenizer(fields, folder)
    del reader  # it maps the file, and Windows cannot delete a mapped file
    (folder / "config.json").write_text(json.dumps(build_config(fields), indent=2), encoding="utf-8")
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [fields["tokenizer.ggml.eos_token_id"]], "do_sample": False}), encoding="utf-8"
    )


def build_config(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the `config.json` of the checkpoint for the metadata of a Llama GGUF file."""
    layers = fields["llama.block_count"]
    return {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "dtype": "bfloat16",
        "num_hidden_layers": layers,
        "num_local_experts": _EXPERTS,
        "num_experts_per_tok": _EXPERTS,
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"] // _EXPERTS,
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.rope.dimension_count"],
        "max_position_embeddings": fields["llama.context_length"],
        "layer_types": ["full_attention"] * layers,
        "rms_norm_eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        "swiglu_alpha": _ALPHA,
        "swiglu_limit": _UNREACHABLE,
        "attention_bias": True,
        "tie_word_embeddings": True,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def _save_weights(tensors: list[Any], fields: dict[str, Any], folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    dequantize = require("gguf.quants", extra="demo").dequantize
    dense = {
        tensor.name: torch.tensor(dequantize(tensor.data, tensor.tensor_type))
        for tensor in tqdm(tensors, desc="Converting the demo model", unit="tensor")
    }
    weights = {
        "model.embed_tokens.weight": dense["token_embd.weight"],
        "model.norm.weight": dense["output_norm.weight"],
    }
    for number in range(fields["llama.block_count"]):
        prefix = f"blk.{number}."
        layer = {name.removeprefix(prefix): value for name, value in dense.items() if name.startswith(prefix)}
        converted = {**convert_attention(layer, fields), **split_into_experts(layer)}
        weights |= {f"model.layers.{number}.{name}": value for name, value in converted.items()}
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def convert_attention(layer: dict[str, torch.Tensor], fields: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the attention tensors and norms of a gpt_oss layer.

    Args:
        layer: The layer's tensors by their GGUF names without the prefix `blk.N.`.
        fields: Metadata of the GGUF file.
    """
    import torch

    heads, kv_heads = fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"]
    projections = {
        "q": _unpermute(layer["attn_q.weight"], heads),
        "k": _unpermute(layer["attn_k.weight"], kv_heads),
        "v": layer["attn_v.weight"],
        "o": layer["attn_output.weight"],
    }
    weights = {f"self_attn.{name}_proj.weight": weight for name, weight in projections.items()}
    biases = {f"self_attn.{name}_proj.bias": torch.zeros(weight.shape[0]) for name, weight in projections.items()}
    return {
        **weights,
        **biases,
        "self_attn.sinks": torch.full((heads,), -_UNREACHABLE),
        "input_layernorm.weight": layer["attn_norm.weight"],
        "post_attention_layernorm.weight": layer["ffn_norm.weight"],
    }


def _unpermute(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Restore the row order of q or k; GGUF permutes them for llama.cpp's interleaved rotary embedding."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def split_into_experts(layer: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the expert tensors of a gpt_oss layer: the dense feed-forward layer, split into equal experts.

    Gate and up are interleaved, as gpt_oss stores them.

    Args:
        layer: The layer's tensors by their GGUF names without the prefix `blk.N.`.
    """
    import torch

    dense_width, hidden = layer["ffn_gate.weight"].shape
    width = dense_width // _EXPERTS
    gate = (layer["ffn_gate.weight"] / _ALPHA).reshape(_EXPERTS, width, hidden).transpose(1, 2)
    up = layer["ffn_up.weight"].reshape(_EXPERTS, width, hidden).transpose(1, 2)
    down = (layer["ffn_down.weight"] * _ALPHA * _EXPERTS).reshape(hidden, _EXPERTS, width).permute(1, 2, 0)
    gate_up_bias = torch.zeros(_EXPERTS, 2 * width)
    gate_up_bias[:, 1::2] = -1
    return {
        "mlp.experts.gate_up_proj": torch.stack([gate, up], dim=-1).reshape(_EXPERTS, hidden, 2 * width),
        "mlp.experts.gate_up_proj_bias": gate_up_bias,
        "mlp.experts.down_proj": down,
        "mlp.experts.down_proj_bias": torch.zeros(_EXPERTS, hidden),
        "mlp.router.weight": torch.zeros(_EXPERTS, hidden),
        "mlp.router.bias": torch.zeros(_EXPERTS),
    }


def _save_tokenizer(fields: dict[str, Any], folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = fields["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == _GGUF_CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=tokens[fields["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[fields["tokenizer.ggml.eos_token_id"]],
        pad_token=tokens[fields["tokenizer.ggml.padding_token_id"]],
        unk_token=tokens[fields["tokenizer.ggml.unknown_token_id"]],
        chat_template=fields["tokenizer.chat_template"],
    ).save_pretrained(folder)
