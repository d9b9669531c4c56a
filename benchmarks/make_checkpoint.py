"""Write a random checkpoint in the published layout of gpt-oss, of any size, without holding it in memory.

    python benchmarks/make_checkpoint.py --shape 20b --out /data/20b [--gguf /data/20b.gguf]

The weights are noise that keeps activations near one. So speed, memory and loading are those of the real model, and all
numbers stay finite, but the generated text is meaningless.
"""

import argparse
import json
import math
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from checkpoint_tokenizer import list_control_ids, write_tokenizer

from langchain_gptoss.models.shapes import SHAPES, Shape

Fill = Literal["normal", "ones", "bytes", "scales"]

SHARD_BYTES = 5_000_000_000
CHUNK_COUNT = 4_000_000
# Root mean square of the sixteen values of FP4 (e2m1) with equal probability.
FP4_RMS = 2.926
UNQUANTIZED_MODULES = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
ROPE_SCALING = {
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "factor": 32.0,
    "original_max_position_embeddings": 4096,
    "rope_type": "yarn",
    "truncate": False,
}
# A shape for tests, with every part of the model in one megabyte.
TINY = Shape(
    hidden_size=64,
    intermediate_size=64,
    layers=2,
    experts=4,
    experts_per_token=2,
    heads=4,
    kv_heads=2,
    head_dim=16,
    vocabulary=512,
    sliding_window=16,
    sliding_layers=1,
)
AVAILABLE_SHAPES = {name: SHAPES[name] for name in ("20b", "120b", "1.0b", "3.6b")} | {"tiny": TINY}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Description of one tensor of the checkpoint.

    Attributes:
        name: Published name.
        shape: Published shape.
        fill: Kind of content: `"normal"` (bf16 with mean 0), `"ones"` (bf16), `"bytes"` (two random FP4 values in each
            byte), or `"scales"` (exponents with bias 127).
        deviation: Standard deviation of `"normal"`, or of the weights that have these `"scales"`.
    """

    name: str
    shape: tuple[int, ...]
    fill: Fill = "normal"
    deviation: float = 0.02

    @property
    def dtype(self) -> str:
        """Name of the type in safetensors."""
        return "U8" if self.fill in {"bytes", "scales"} else "BF16"

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in the file, in bytes."""
        return self.count * (1 if self.dtype == "U8" else 2)


def main() -> None:
    """Read the options and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", required=True, choices=AVAILABLE_SHAPES)
    parser.add_argument("--out", required=True, type=Path, help="a folder that is new or empty")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gguf", type=Path, help="also write the same model as a GGUF file")
    options = parser.parse_args()
    if options.gguf and options.gguf.exists():
        parser.error(f"{options.gguf} exists already; name another file.")
    began_at = time.perf_counter()
    try:
        total_bytes = write_checkpoint(build_config(AVAILABLE_SHAPES[options.shape]), options.out, seed=options.seed)
    except OSError as error:
        parser.error(str(error))
    print(f"{options.out}: {total_bytes / 1e9:.2f} GB in {time.perf_counter() - began_at:.0f} s")
    if options.gguf:
        from make_gguf import write_gguf

        write_gguf(options.out, options.gguf)


def build_config(shape: Shape) -> dict[str, Any]:
    """Return the `config.json` of a shape with the keys that OpenAI publishes."""
    ids = list_control_ids(shape.vocabulary)
    return {
        "architectures": ["GptOssForCausalLM"],
        "attention_bias": True,
        "attention_dropout": 0.0,
        "eos_token_id": ids["<|return|>"],
        "experts_per_token": shape.experts_per_token,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "initial_context_length": 4096,
        "initializer_range": 0.02,
        "intermediate_size": shape.intermediate_size,
        "layer_types": ["sliding_attention", "full_attention"] * (shape.layers // 2),
        "max_position_embeddings": shape.max_positions,
        "model_type": "gpt_oss",
        "num_attention_heads": shape.heads,
        "num_experts_per_tok": shape.experts_per_token,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "num_local_experts": shape.experts,
        "output_router_logits": False,
        "pad_token_id": ids["<|endoftext|>"],
        "quantization_config": {"modules_to_not_convert": UNQUANTIZED_MODULES, "quant_method": "mxfp4"},
        "rms_norm_eps": 1e-05,
        "rope_scaling": ROPE_SCALING,
        "rope_theta": 150000,
        "router_aux_loss_coef": 0.9,
        "sliding_window": shape.sliding_window,
        "swiglu_limit": 7.0,
        "tie_word_embeddings": False,
        "transformers_version": "4.55.0.dev0",
        "use_cache": True,
        "vocab_size": shape.vocabulary,
    }


def list_tensors(config: dict[str, Any]) -> list[Tensor]:
    """Return every tensor of the checkpoint in the order of the layers."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    tensors = [Tensor(name="model.embed_tokens.weight", shape=(vocabulary, hidden), deviation=1.0)]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        tensors += [
            *_list_attention_tensors(config, f"{prefix}.self_attn"),
            *_list_expert_tensors(config, f"{prefix}.mlp"),
        ]
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors.append(Tensor(name=f"{prefix}.{norm}.weight", shape=(hidden,), fill="ones"))
    tensors.append(Tensor(name="model.norm.weight", shape=(hidden,), fill="ones"))
    tensors.append(Tensor(name="lm_head.weight", shape=(vocabulary, hidden), deviation=hidden**-0.5))
    return tensors


def _list_attention_tensors(config: dict[str, Any], prefix: str) -> list[Tensor]:
    hidden, heads, head_dim = config["hidden_size"], config["num_attention_heads"], config["head_dim"]
    queries, keys = heads * head_dim, config["num_key_value_heads"] * head_dim
    shapes = {"q_proj": (queries, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden)}
    shapes["o_proj"] = (hidden, queries)
    tensors = [Tensor(name=f"{prefix}.sinks", shape=(heads,), deviation=1.0)]
    for name, shape in shapes.items():
        tensors.append(Tensor(name=f"{prefix}.{name}.weight", shape=shape, deviation=shape[1] ** -0.5))
        tensors.append(Tensor(name=f"{prefix}.{name}.bias", shape=shape[:1]))
    return tensors


def _list_expert_tensors(config: dict[str, Any], prefix: str) -> list[Tensor]:
    hidden, inner, experts = config["hidden_size"], config["intermediate_size"], config["num_local_experts"]
    tensors = [
        Tensor(name=f"{prefix}.router.weight", shape=(experts, hidden), deviation=hidden**-0.5),
        Tensor(name=f"{prefix}.router.bias", shape=(experts,)),
    ]
    for name, rows, columns in (("gate_up_proj", 2 * inner, hidden), ("down_proj", hidden, inner)):
        full_name, groups = f"{prefix}.experts.{name}", (experts, rows, columns // 32)
        tensors += [
            Tensor(name=f"{full_name}_blocks", shape=(*groups, 16), fill="bytes"),
            Tensor(name=f"{full_name}_scales", shape=groups, fill="scales", deviation=columns**-0.5),
            Tensor(name=f"{full_name}_bias", shape=(experts, rows)),
        ]
    return tensors


def write_checkpoint(config: dict[str, Any], folder: Path, *, seed: int = 0) -> int:
    """Write a complete checkpoint and return the number of bytes of its weights.

    The checkpoint is written into a temporary folder, which is renamed when it is complete.

    Raises:
        FileExistsError: The folder is not empty.
        OSError: The disk has too little space.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists already and is not an empty folder; name another one.")
    tensors = list_tensors(config)
    total = sum(tensor.nbytes for tensor in tensors)
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < total + 100_000_000:  # the tokenizer takes 28 MB, and some space must stay free
        raise OSError(f"{folder} needs {total / 1e9:.1f} GB and {free / 1e9:.1f} GB of disk are free.")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    _write_json(partial / "config.json", config)
    _write_json(partial / "generation_config.json", _build_generation_config(config))
    write_tokenizer(partial, vocabulary=config["vocab_size"])
    _write_shards(tensors, partial, seed=seed)
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    return total


def _build_generation_config(config: dict[str, Any]) -> dict[str, Any]:
    ids = list_control_ids(config["vocab_size"])
    return {
        "bos_token_id": ids["<|startoftext|>"],
        "do_sample": True,
        "eos_token_id": [ids["<|return|>"], ids["<|endoftext|>"], ids["<|call|>"]],
        "pad_token_id": ids["<|endoftext|>"],
        "transformers_version": "4.55.0.dev0",
    }


def _write_shards(tensors: list[Tensor], folder: Path, *, seed: int) -> None:
    total = sum(tensor.nbytes for tensor in tensors)
    shards = split_into_shards(
        tensors, limit_bytes=min(SHARD_BYTES, total * 2 // 5)
    )  # small shapes also get several shards
    weight_map = {}
    for number, shard in enumerate(shards):
        name = f"model-{number:05d}-of-{len(shards) - 1:05d}.safetensors"  # the published files count from 0
        write_shard(shard, folder / name, seed=seed)
        weight_map |= {tensor.name: name for tensor in shard}
        print(f"{name}: {(folder / name).stat().st_size / 1e9:.2f} GB", flush=True)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    _write_json(folder / "model.safetensors.index.json", index)


def split_into_shards(tensors: list[Tensor], *, limit_bytes: int) -> list[list[Tensor]]:
    """Return the tensors of each shard; a shard has at most `limit_bytes` bytes unless one tensor alone is larger."""
    shards: list[list[Tensor]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(other.nbytes for other in shards[-1]) + tensor.nbytes > limit_bytes:
            shards.append([])
        shards[-1].append(tensor)
    return shards


def write_shard(tensors: list[Tensor], file: Path, *, seed: int) -> None:
    """Write one safetensors file: the header, then each tensor in chunks."""
    # Wider types come first, which keeps every tensor aligned; safetensors itself uses the same order.
    tensors = sorted(tensors, key=lambda tensor: (tensor.dtype == "U8", tensor.name))
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for tensor in tensors:
        offsets = [offset, offset := offset + tensor.nbytes]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            for chunk in iterate_chunks(tensor, seed=seed):
                stream.write(chunk)
        _sync(stream)


def iterate_chunks(tensor: Tensor, *, seed: int) -> Iterator[memoryview]:
    """Yield the bytes of a tensor; the same seed and name give the same bytes."""
    rng = np.random.Generator(np.random.SFC64([seed, zlib.crc32(tensor.name.encode())]))
    for start in range(0, tensor.count, CHUNK_COUNT):
        count = min(CHUNK_COUNT, tensor.count - start)
        yield _generate_numbers(tensor, count, rng).data.cast("B")


def _generate_numbers(tensor: Tensor, count: int, rng: np.random.Generator) -> np.ndarray:
    if tensor.fill == "ones":
        return np.full(count, 0x3F80, dtype="<u2")
    if tensor.fill == "bytes":
        return np.frombuffer(rng.bytes(count), dtype=np.uint8)
    if tensor.fill == "scales":
        middle_exponent = 127 + round(math.log2(tensor.deviation / FP4_RMS))
        return rng.integers(middle_exponent - 1, middle_exponent + 2, size=count, dtype=np.uint8)
    values = rng.standard_normal(count, dtype=np.float32)
    values *= tensor.deviation
    return ((values.view("<u4") + 0x8000) >> 16).astype("<u2")  # rounded to bf16


def _write_json(file: Path, value: dict[str, Any]) -> None:
    with file.open("wb") as stream:
        stream.write((json.dumps(value, indent=2) + "\n").encode())
        _sync(stream)


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


if __name__ == "__main__":
    main()
