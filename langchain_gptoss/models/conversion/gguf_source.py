"""A dense checkpoint in a GGUF file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.conversion.dense_config import DenseConfig, get_family, parse_dense_config
from langchain_gptoss.models.conversion.gguf_file import GgufFile, open_gguf
from langchain_gptoss.models.conversion.gguf_tokenizer import check_tokenizer, save_tokenizer
from langchain_gptoss.models.conversion.gguf_values import check_types, read_gguf_int4, read_gguf_tensor
from langchain_gptoss.models.conversion.source import EMBEDDING, HEAD, NORM

if TYPE_CHECKING:
    import torch

    from langchain_gptoss.models.conversion.int4 import Int4Matrix

_NAMES = {"token_embd.weight": EMBEDDING, "output_norm.weight": NORM, "output.weight": HEAD}
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_FREQUENCIES = "rope_freqs.weight"
# Files in four bits store the matrices so that lose most by four bits.
_FINER_TYPES = {"Q5_0", "Q5_1", "Q5_K", "Q6_K"}
_COMPARED_ROWS = 256
_SAME_TABLE_ERROR = 0.25  # of the table's size; 4 bits cost about 0.08
# The rotations of Llama 3.1 and 3.3, and of 3.2, as their config.json files have them.
_LLAMA3_FACTORS, _LLAMA3_LOW, _LLAMA3_HIGH, _LLAMA3_CONTEXT = (8.0, 32.0), 1.0, 4.0, 8192
_ROTATION_KINDS = {"none": "default", "linear": "linear", "yarn": "yarn"}


class GgufSource:
    """See `DenseSource`."""

    def __init__(self, path: Path) -> None:
        """Check the header of a file.

        Args:
            path: The GGUF file.

        Raises:
            CheckpointError: The file is damaged, or the model cannot be converted.
        """
        self.name = path.stem
        self.files = (path,)
        self._file = open_gguf(path)
        self._fields = self._file.fields
        self.config: DenseConfig = self._read_config()
        check_types(self._file)
        check_tokenizer(self._file)
        self._gguf_names = {_translate_name(name): name for name in self._file.tensors if name != _FREQUENCIES}
        self._merge_tables()
        self.sizes = {name: self._file.tensors[gguf_name].nbytes for name, gguf_name in self._gguf_names.items()}

    @property
    def generation_config(self) -> dict[str, Any]:
        """See `DenseSource`."""
        # A GGUF file does not say how to sample. Greedy decoding is right more often for small models.
        return {"eos_token_id": find_end_ids(self._file), "do_sample": False}

    def read(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """See `DenseSource`."""
        tensor = read_gguf_tensor(self._file, self._gguf_names[name], dtype)
        for projection, heads in (("q_proj", self.config.heads), ("k_proj", self.config.kv_heads)):
            if f"self_attn.{projection}." in name and self._fields["general.architecture"] == "llama":
                return _restore_row_order(tensor, heads)
        return tensor

    def read_int4(self, name: str, *, factor: float = 1.0) -> Int4Matrix | None:
        """See `DenseSource`."""
        return read_gguf_int4(self._file, self._gguf_names[name], factor=factor)

    def is_finer_than_int4(self, name: str) -> bool:
        """See `DenseSource`."""
        return self._file.tensors[self._gguf_names[name]].type.name in _FINER_TYPES

    def save_tokenizer(self, folder: Path) -> None:
        """See `DenseSource`."""
        save_tokenizer(self._file, folder)

    def _read_config(self) -> DenseConfig:
        source, fields = str(self._file.path), self._fields
        architecture = str(fields.get("general.architecture"))
        get_family(source, architecture)
        if fields.get(f"{architecture}.expert_count"):
            raise CheckpointError(
                f"{source!r} cannot be converted: it has experts already.", hint="Only dense models can be converted."
            )
        if "split.count" in fields and fields["split.count"] > 1:
            raise CheckpointError(
                f"{source!r} is one of {fields['split.count']} parts of a model.",
                hint="Join them first: llama-gguf-split --merge FIRST_PART OUTPUT",
            )
        heads, width = (
            fields.get(f"{architecture}.attention.head_count"),
            fields.get(f"{architecture}.embedding_length"),
        )
        return parse_dense_config(
            source,
            {
                "model_type": architecture,
                "num_hidden_layers": fields.get(f"{architecture}.block_count"),
                "hidden_size": width,
                "intermediate_size": fields.get(f"{architecture}.feed_forward_length"),
                "num_attention_heads": heads,
                "num_key_value_heads": fields.get(f"{architecture}.attention.head_count_kv"),
                "head_dim": fields.get(f"{architecture}.attention.key_length"),
                "vocab_size": len(fields.get("tokenizer.ggml.tokens", ())),
                "max_position_embeddings": fields.get(f"{architecture}.context_length"),
                "rms_norm_eps": fields.get(f"{architecture}.attention.layer_norm_rms_epsilon", 1e-6),
                "rope_parameters": self._read_rotation(architecture),
                "tie_word_embeddings": "output.weight" not in self._file.tensors,
                "sliding_window": fields.get(f"{architecture}.attention.sliding_window"),
                "partial_rotary_factor": self._read_rotated_part(architecture, width, heads),
                "bos_token_id": fields.get("tokenizer.ggml.bos_token_id"),
                "eos_token_id": fields.get("tokenizer.ggml.eos_token_id"),
                "pad_token_id": fields.get("tokenizer.ggml.padding_token_id"),
            },
        )

    def _read_rotation(self, architecture: str) -> dict[str, Any]:
        fields = self._fields
        theta = fields.get(f"{architecture}.rope.freq_base", 10_000.0)
        if _FREQUENCIES in self._file.tensors:
            return self._find_llama3_rotation(theta)
        kind = fields.get(f"{architecture}.rope.scaling.type", "none")
        parameters: dict[str, Any] = {"rope_type": _ROTATION_KINDS.get(kind, kind), "rope_theta": theta}
        if parameters["rope_type"] != "default":
            parameters["factor"] = fields.get(f"{architecture}.rope.scaling.factor", 1.0)
        original = fields.get(f"{architecture}.rope.scaling.original_context_length")
        if original is not None and kind == "yarn":
            parameters["original_max_position_embeddings"] = original
        return parameters

    def _find_llama3_rotation(self, theta: float) -> dict[str, Any]:
        """Return the published rotation of Llama 3 that gives the file's table of divisors."""
        import torch

        divisors = read_gguf_tensor(self._file, _FREQUENCIES, torch.float64)
        powers = theta ** (torch.arange(len(divisors), dtype=torch.float64) / len(divisors))
        rotations = _LLAMA3_CONTEXT / (2 * math.pi * powers)
        kept = ((rotations - _LLAMA3_LOW) / (_LLAMA3_HIGH - _LLAMA3_LOW)).clamp(0, 1)
        for factor in _LLAMA3_FACTORS:
            if torch.allclose(1 / divisors, kept + (1 - kept) / factor, rtol=1e-4):
                return {
                    "rope_type": "llama3",
                    "rope_theta": theta,
                    "factor": factor,
                    "low_freq_factor": _LLAMA3_LOW,
                    "high_freq_factor": _LLAMA3_HIGH,
                    "original_max_position_embeddings": _LLAMA3_CONTEXT,
                }
        raise CheckpointError(
            f"{str(self._file.path)!r} cannot be converted: its table of rotation frequencies is none that Llama 3.1, "
            "3.2 or 3.3 has.",
            hint="Convert the model's safetensors checkpoint, whose config.json says how they are computed.",
        )

    def _read_rotated_part(self, architecture: str, width: Any, heads: Any) -> float:
        rotated = self._fields.get(f"{architecture}.rope.dimension_count")
        if not isinstance(rotated, int) or not isinstance(width, int) or not isinstance(heads, int):
            return 1.0
        return rotated / (self._fields.get(f"{architecture}.attention.key_length") or width // heads)

    def _merge_tables(self) -> None:
        """Use one table where a file has two roundings of a tied one, the finer of the two.

        Files of models with tied embeddings may hold the table twice, because llama.cpp keeps the output matrix in a
        better type. Tables of a model that does not tie them have nothing in common.
        """
        if HEAD not in self._gguf_names:
            return
        names = self._gguf_names[EMBEDDING], self._gguf_names[HEAD]
        if not _is_same_table(self._file, *names):
            return
        self._gguf_names[EMBEDDING] = max(names, key=lambda name: self._file.tensors[name].nbytes)
        del self._gguf_names[HEAD]
        self.config = replace(self.config, tied_embeddings=True)


def _is_same_table(file: GgufFile, first: str, second: str) -> bool:
    import torch

    if file.tensors[first].shape != file.tensors[second].shape:
        return False
    tables = [read_gguf_tensor(file, name, torch.float32, rows=_COMPARED_ROWS) for name in (first, second)]
    difference, size = float((tables[0] - tables[1]).norm()), float(tables[1].norm())
    return difference < _SAME_TABLE_ERROR * size


def _translate_name(name: str) -> str:
    """Return the name in transformers; an unknown name stays, and is refused where all names are checked."""
    if name in _NAMES:
        return _NAMES[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in _LAYER_NAMES:
        return f"model.layers.{parts[1]}.{_LAYER_NAMES[parts[2]]}.{parts[3]}"
    return name


def _restore_row_order(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the rows of q or k in the order of transformers; in GGUF files of Llama, rotated pairs are neighbours."""
    rows = tensor.shape[0]
    return tensor.reshape(heads, rows // heads // 2, 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def find_end_ids(file: GgufFile) -> list[int]:
    """Return the ids of the tokens that end an answer: those that the file names, and a known end of a turn or text."""
    fields = file.fields
    ids = [fields.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    tokens = fields["tokenizer.ggml.tokens"]
    types = fields["tokenizer.ggml.token_type"]
    known = {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"}
    ids += [index for index, token in enumerate(tokens) if token in known and types[index] != 1]
    return list(dict.fromkeys(index for index in ids if isinstance(index, int)))
