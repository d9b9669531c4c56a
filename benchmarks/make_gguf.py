"""Convert a gpt-oss checkpoint in MXFP4 to GGUF, for llama.cpp and its forks, without loading it into memory.

    python benchmarks/make_gguf.py --checkpoint /data/20b --out /data/20b.gguf

The experts keep their MXFP4 values bit for bit, the other matrices become Q8_0, and small tensors fp32, as with
llama.cpp's own converter and `--outtype q8_0`. So both files contain the same model.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

CHUNK_BYTES = 32_000_000
_SMALL = {
    "self_attn.sinks": "attn_sinks.weight",
    "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.o_proj.bias": "attn_output.bias",
    "mlp.router.weight": "ffn_gate_inp.weight",
    "mlp.router.bias": "ffn_gate_inp.bias",
    "mlp.experts.down_proj_bias": "ffn_down_exps.bias",
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "post_attention_norm.weight",
}
_MATRICES = {
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
}


class Checkpoint:
    """Reader of a checkpoint's tensors, whole or in parts."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.folder = folder
        self._places: dict[str, tuple[Path, int]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with file.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            for name, tensor in header.items():
                self._places[name] = (file, 8 + length + tensor["data_offsets"][0])
                self.shapes[name] = tuple(tensor["shape"])

    def read(self, name: str, *, dtype: str, start: int = 0, count: int = -1) -> np.ndarray:
        """Return `count` numbers of a tensor from position `start`; -1 means the whole tensor."""
        file, offset = self._places[name]
        count = math.prod(self.shapes[name]) if count < 0 else count
        width = np.dtype(dtype).itemsize
        return np.fromfile(file, dtype=dtype, count=count, offset=offset + start * width)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One tensor of the GGUF file.

    Attributes:
        name: Name in the GGUF file.
        shape: Shape, outermost dimension first.
        kind: Storage type of the numbers.
        source: Name of the tensor in the checkpoint; for experts without `_blocks`.
        first: First row to take from each expert.
        step: Distance between the rows to take; gate and up alternate in the checkpoint.
    """

    name: str
    shape: tuple[int, ...]
    kind: Type
    source: str
    first: int = 0
    step: int = 1

    @property
    def nbytes(self) -> int:
        """Size in the file, in bytes."""
        weights, size = gguf.GGML_QUANT_SIZES[self.kind]
        return math.prod(self.shape) // weights * size


def main() -> None:
    """Read the options and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path, help="a file that does not exist yet")
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} exists already; name another file.")
    write_gguf(options.checkpoint, options.out)


def write_gguf(folder: Path, file: Path) -> None:
    """Convert the checkpoint in `folder`; the file gets its name when it is complete."""
    began_at = time.perf_counter()
    checkpoint = Checkpoint(folder)
    parts = list_parts(checkpoint)
    partial = file.with_name(f"{file.name}.partial")
    writer = gguf.GGUFWriter(partial, "gpt-oss")
    _add_metadata(writer, checkpoint.config)
    _add_tokenizer(writer, folder, checkpoint.config)
    for part in parts:
        writer.add_tensor_info(part.name, part.shape, np.dtype(np.float32), part.nbytes, part.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    # The writer's own method needs each tensor whole in memory, and 120b has tensors of 600 MB.
    (stream,) = writer.fout
    for part in parts:
        writer.write_padding(stream, stream.tell())
        for chunk in _iterate_chunks(checkpoint, part):
            stream.write(chunk.data)
    writer.write_padding(stream, stream.tell())
    stream.flush()
    os.fsync(stream.fileno())
    writer.close()
    partial.rename(file)
    print(f"{file}: {file.stat().st_size / 1e9:.2f} GB in {time.perf_counter() - began_at:.0f} s")


def list_parts(checkpoint: Checkpoint) -> list[Part]:
    """Return the tensors of the GGUF file in order."""
    shapes = checkpoint.shapes

    def copy_shape(name: str, source: str, kind: Type) -> Part:
        return Part(name=name, shape=shapes[source], kind=kind, source=source)

    parts = [
        copy_shape("token_embd.weight", "model.embed_tokens.weight", Type.Q8_0),
        copy_shape("output_norm.weight", "model.norm.weight", Type.F32),
        copy_shape("output.weight", "lm_head.weight", Type.Q8_0),
    ]
    for layer in range(checkpoint.config["num_hidden_layers"]):
        source_prefix, target_prefix = f"model.layers.{layer}.", f"blk.{layer}."
        parts += [
            copy_shape(target_prefix + name, source_prefix + source, Type.Q8_0) for source, name in _MATRICES.items()
        ]
        parts += [copy_shape(target_prefix + name, source_prefix + source, Type.F32) for source, name in _SMALL.items()]
        parts += _list_expert_parts(shapes, f"{source_prefix}mlp.experts.", target_prefix)
    return parts


def _list_expert_parts(shapes: dict[str, tuple[int, ...]], source_prefix: str, target_prefix: str) -> Iterator[Part]:
    experts, rows, groups, _ = shapes[f"{source_prefix}gate_up_proj_blocks"]
    for first, name in enumerate(("gate", "up")):
        options = {"source": f"{source_prefix}gate_up_proj", "first": first, "step": 2}
        weight, bias = f"{target_prefix}ffn_{name}_exps.weight", f"{target_prefix}ffn_{name}_exps.bias"
        yield Part(name=weight, shape=(experts, rows // 2, groups * 32), kind=Type.MXFP4, **options)
        yield Part(
            name=bias,
            shape=(experts, rows // 2),
            kind=Type.F32,
            **options | {"source": f"{source_prefix}gate_up_proj_bias"},
        )
    experts, rows, groups, _ = shapes[f"{source_prefix}down_proj_blocks"]
    shape = (experts, rows, groups * 32)
    yield Part(
        name=f"{target_prefix}ffn_down_exps.weight", shape=shape, kind=Type.MXFP4, source=f"{source_prefix}down_proj"
    )


def _iterate_chunks(checkpoint: Checkpoint, part: Part) -> Iterator[np.ndarray]:
    if part.kind == Type.MXFP4:
        yield from _iterate_packed_experts(checkpoint, part)
        return
    total = math.prod(checkpoint.shapes[part.source])
    row = checkpoint.shapes[part.source][-1]
    step = max(1, CHUNK_BYTES // 4 // row) * row
    for start in range(0, total, step):
        values = _convert_to_float32(
            checkpoint.read(part.source, dtype="<u2", start=start, count=min(step, total - start))
        )
        if part.kind == Type.Q8_0:
            yield gguf.quantize(values, Type.Q8_0)
        else:
            yield np.ascontiguousarray(values.reshape(-1, row)[:, part.first :: part.step])


def _convert_to_float32(bf16: np.ndarray) -> np.ndarray:
    return (bf16.astype("<u4") << 16).view("<f4")


def _iterate_packed_experts(checkpoint: Checkpoint, part: Part) -> Iterator[np.ndarray]:
    experts, rows, groups, _ = checkpoint.shapes[f"{part.source}_blocks"]
    blocks_per_expert = rows * groups
    for expert in range(experts):
        blocks = checkpoint.read(
            f"{part.source}_blocks", dtype="u1", start=expert * blocks_per_expert * 16, count=blocks_per_expert * 16
        )
        scales = checkpoint.read(
            f"{part.source}_scales", dtype="u1", start=expert * blocks_per_expert, count=blocks_per_expert
        )
        blocks = blocks.reshape(rows, groups, 16)[part.first :: part.step].reshape(-1, 16)
        scales = scales.reshape(rows, groups)[part.first :: part.step].reshape(-1)
        yield convert_blocks(blocks, scales)


def convert_blocks(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return GGUF's blocks of 17 bytes, shape [blocks, 17].

    A byte of the checkpoint contains two neighbouring elements, the first in its low half. A byte of GGUF contains the
    elements j (low half) and j + 16 (high half). The scale byte is unchanged: GGUF doubles the values and halves the
    scale.

    Args:
        blocks: uint8 [blocks, 16].
        scales: uint8 [blocks].
    """
    packed = np.empty((len(blocks), 17), dtype=np.uint8)
    packed[:, 0] = scales
    low, high = blocks[:, :8], blocks[:, 8:]
    packed[:, 1::2] = (low & 15) | (high << 4)
    packed[:, 2::2] = (low >> 4) | (high & 240)
    return packed


def _add_metadata(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_name("gpt-oss")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_expert_feed_forward_length(config["intermediate_size"])
    writer.add_expert_count(config["num_local_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_sliding_window(config["sliding_window"])
    writer.add_vocab_size(config["vocab_size"])
    scaling = config["rope_scaling"]
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(scaling["factor"])
    writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])


def _add_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    names = {number: token for token, number in tokenizer["model"]["vocab"].items()}
    control = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    token_types = []
    for number in range(config["vocab_size"]):
        text_type = gguf.TokenType.NORMAL if number in names else gguf.TokenType.UNUSED
        token_types.append(gguf.TokenType.CONTROL if number in control else text_type)
    names |= control
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-4o")
    writer.add_token_list([names.get(number, f"[PAD{number}]") for number in range(config["vocab_size"])])
    writer.add_token_types(token_types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(config["pad_token_id"] - 1)
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])


if __name__ == "__main__":
    main()
