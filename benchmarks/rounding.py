"""Compare ways to round a checkpoint's unpacked experts: mean KL divergence and top-1 agreement of the next token.

    python benchmarks/rounding.py CHECKPOINT [--tokens 512] [--calibration-tokens 512] [--layers N]

Everything but the experts stays as it is, and all is computed in float32, layer by layer. The ways are: int8 with a
scale for 32 weights; int4 with a scale and a minimum for 32 weights; MXFP4 with the scale that the format's
specification proposes ("nearest"), with the better one of two scales ("best scale", which the package uses), and with
the error of each column compensated by the columns after it, as in GPTQ, from activations on another text
("compensated"). With --layers, only the first layers are rounded.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from langchain_gptoss.engine.kernels.mxfp4 import VALUES, apply_swiglu, dequantize_mxfp4, quantize_mxfp4
from langchain_gptoss.models.conversion.int4 import round_to_int4
from langchain_gptoss.models.conversion.rounding import BLOCK, round_to_mxfp4
from langchain_gptoss.models.packing.source import EMBEDDING, HEAD, NORM, PackingSource, get_matrix_size
from langchain_gptoss.models.packing.unpacking import unpack_int4

DAMPING = 0.01
SEQUENCE_TOKENS = 256
LOGIT_TOKENS = 64
MAGNITUDES = torch.tensor(VALUES[:8])
MIDPOINTS = (MAGNITUDES[1:] + MAGNITUDES[:-1]) / 2
Round = Callable[[torch.Tensor], torch.Tensor]


def round_nearest(matrix: torch.Tensor) -> torch.Tensor:
    """Round with the scale that the specification of the format proposes."""
    return dequantize_mxfp4(*quantize_mxfp4(matrix))


def round_best_scale(matrix: torch.Tensor) -> torch.Tensor:
    """Round as the package does."""
    packed = round_to_mxfp4(matrix)
    return dequantize_mxfp4(packed.blocks, packed.scales)


def round_int8(matrix: torch.Tensor) -> torch.Tensor:
    """Round to int8 with one bfloat16 scale for 32 numbers."""
    grouped = matrix.unflatten(-1, (-1, BLOCK))
    scales = (grouped.abs().amax(dim=-1, keepdim=True) / 127).bfloat16().float().clamp(min=1e-30)
    return ((grouped / scales).round().clamp(-127, 127) * scales).flatten(-2)


def round_to_scale_and_minimum(matrix: torch.Tensor) -> torch.Tensor:
    """Round to int4 as the package does."""
    rounded = round_to_int4(matrix)
    return unpack_int4(rounded.values, rounded.scales, rounded.minimums)


def round_compensated(matrix: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    """Round column by column; the columns that follow make up for the error of each (GPTQ, arXiv 2210.17323).

    Args:
        matrix: [rows, columns].
        gram: Sum of the outer products of the inputs, [columns, columns].
    """
    turned, columns = matrix.T.contiguous(), matrix.shape[1]  # whose rows are the columns, so that steps are fast
    damped = gram + torch.eye(columns) * (DAMPING * gram.diagonal().mean().clamp(min=1e-8))
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)
    for start in range(0, columns, BLOCK):
        end = start + BLOCK
        scales = round_to_mxfp4(turned[start:end].T.contiguous()).scales[:, 0]
        steps = torch.exp2(scales.float() - 127)
        errors = torch.empty(BLOCK, matrix.shape[0])
        for column in range(start, end):
            scaled = turned[column] / steps
            rounded = MAGNITUDES[torch.bucketize(scaled.abs(), MIDPOINTS, out_int32=True)] * scaled.sign() * steps
            error = (turned[column] - rounded) / factor[column, column]
            turned[column + 1 : end] -= torch.outer(factor[column, column + 1 : end], error)
            turned[column] = rounded
            errors[column - start] = error
        turned[end:] -= factor[start:end, end:].T @ errors
    return turned.T.contiguous()


@dataclass
class Variant:
    """A way to round, the states of the texts in a model that is rounded so, and the seconds that rounding took."""

    name: str
    hidden: torch.Tensor
    rounds: Round | None = None
    calibration: torch.Tensor | None = None
    seconds: float = field(default=0.0)


class Model:
    """A checkpoint that is computed layer by layer."""

    def __init__(self, folder: Path) -> None:
        from transformers import GptOssConfig
        from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding

        self.source = PackingSource(folder)
        self.shape = self.source.shape
        self.config: Any = GptOssConfig.from_pretrained(folder)
        self.config._attn_implementation = "eager"
        self.rotary = GptOssRotaryEmbedding(self.config)
        self.epsilon = self.config.rms_norm_eps

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor of the checkpoint in float32."""
        return self.source.read(name).float()

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of token ids."""
        return self.source.read(EMBEDDING)[ids].float()

    def normalize(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        """Return the norm of states with the weights of a name."""
        scaled = hidden * torch.rsqrt(hidden.square().mean(dim=-1, keepdim=True) + self.epsilon)
        return scaled * self.read(name)

    def build_attention(self, layer: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return a function that computes the attention of a layer for states [sequences, tokens, hidden]."""
        from transformers.models.gpt_oss.modeling_gpt_oss import GptOssAttention

        attention = GptOssAttention(self.config, layer)
        prefix = f"model.layers.{layer}.self_attn."
        names = [name for name in self.source.sizes if name.startswith(prefix)]
        attention.load_state_dict({name.removeprefix(prefix): self.read(name) for name in names}, assign=True)
        is_sliding = self.config.layer_types[layer] == "sliding_attention"

        def attend(states: torch.Tensor) -> torch.Tensor:
            positions = torch.arange(states.shape[1])
            distances = positions[:, None] - positions
            hidden_places = (distances < 0) | ((distances >= self.config.sliding_window) if is_sliding else False)
            mask = torch.zeros(distances.shape).masked_fill(hidden_places, -torch.inf)[None, None]
            rotation = self.rotary(states, positions[None])
            result: torch.Tensor = attention(states, position_embeddings=rotation, attention_mask=mask)[0]
            return result

        return attend

    def compute_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of states after the last layer."""
        head = self.source.read(HEAD if HEAD in self.source else EMBEDDING)
        normed = self.normalize(hidden, NORM)
        # In pieces of the vocabulary: in float32 the matrix would take gigabytes.
        return torch.cat([normed @ piece.float().T for piece in head.split(16_384)], dim=-1)


def advance(model: Model, layer: int, variants: list[Variant]) -> None:
    """Compute one layer for all variants."""
    prefix = f"model.layers.{layer}."
    attend = model.build_attention(layer)
    inputs: list[list[torch.Tensor]] = []  # of the experts, for each variant: the text, and its calibration
    for variant in variants:
        states = [variant.hidden] if variant.calibration is None else [variant.hidden, variant.calibration]
        for state in states:
            state += attend(model.normalize(state, f"{prefix}input_layernorm.weight"))
        inputs.append([model.normalize(state, f"{prefix}post_attention_layernorm.weight") for state in states])
    router, router_bias = model.read(f"{prefix}mlp.router.weight"), model.read(f"{prefix}mlp.router.bias")
    for expert in range(model.shape.experts):
        weights = {
            matrix: model.source.read_expert(f"{prefix}mlp.experts.{matrix}", expert).T.float().contiguous()
            for matrix in ("gate_up_proj", "down_proj")
        }
        assert weights["down_proj"].shape == get_matrix_size(model.shape, "down_proj")
        biases = {
            matrix: model.source.read_expert(f"{prefix}mlp.experts.{matrix}_bias", expert).float() for matrix in weights
        }
        for variant, states in zip(variants, inputs, strict=True):
            shares = [
                find_shares(state @ router.T + router_bias, model.shape.experts_per_token, expert) for state in states
            ]
            outputs = compute_expert(model, variant, states, shares, weights, biases)
            targets = [variant.hidden, variant.calibration]
            for target, output, share in zip(targets, outputs, shares, strict=False):
                assert target is not None
                target += output * share


def find_shares(logits: torch.Tensor, active: int, expert: int) -> torch.Tensor:
    """Return the routing weight of an expert for each token, [sequences, tokens, 1]."""
    values, indices = logits.topk(active, dim=-1)
    return (values.softmax(dim=-1) * (indices == expert)).sum(dim=-1, keepdim=True)


def compute_expert(
    model: Model,
    variant: Variant,
    states: list[torch.Tensor],
    shares: list[torch.Tensor],
    weights: dict[str, torch.Tensor],
    biases: dict[str, torch.Tensor],
) -> list[torch.Tensor]:
    """Return the output of one expert for each state, with its matrices rounded as the variant does."""
    for matrix in ("gate_up_proj", "down_proj"):
        begin = time.perf_counter()
        rounded = weights[matrix]
        if variant.calibration is not None:
            used = states[1][shares[1][..., 0] > 0]
            rounded = round_compensated(rounded, used.T @ used)
        elif variant.rounds is not None:
            rounded = variant.rounds(rounded)
        variant.seconds += time.perf_counter() - begin
        states = [state @ rounded.T + biases[matrix] for state in states]
        if matrix == "gate_up_proj":
            alpha, limit = float(getattr(model.config, "swiglu_alpha", 1.702)), float(model.config.swiglu_limit)
            states = [apply_swiglu(state, alpha=alpha, limit=limit) for state in states]
    return states


def read_ids(folder: Path, texts: list[Path], tokens: int) -> torch.Tensor:
    """Return the ids of the first tokens of texts, in sequences of equal length."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    content = "\n\n".join(file.read_text(encoding="utf-8") for file in texts)
    count = max(1, tokens // SEQUENCE_TOKENS) * SEQUENCE_TOKENS
    ids: torch.Tensor = torch.tensor(tokenizer.encode(content).ids[:count])
    return ids.view(-1, SEQUENCE_TOKENS)  # type: ignore[no-untyped-call]


def print_comparison(model: Model, variants: list[Variant]) -> None:
    """Print how the predictions of each variant differ from those of the first one, which is not rounded."""
    reference, *rounded = variants
    for variant in rounded:
        divergence, agreement, count = 0.0, 0, 0
        pieces = (states.hidden.flatten(0, 1).split(LOGIT_TOKENS) for states in (reference, variant))
        for expected, result in zip(*pieces, strict=True):
            expected_logits, logits = model.compute_logits(expected), model.compute_logits(result)
            log_p, log_q = expected_logits.log_softmax(dim=-1), logits.log_softmax(dim=-1)
            divergence += float((log_p.exp() * (log_p - log_q)).sum())
            agreement += int((log_p.argmax(dim=-1) == log_q.argmax(dim=-1)).sum())
            count += len(expected)
        print(
            f"{variant.name:<14} KL {divergence / count:.4f}, top-1 agreement {agreement / count:.1%}, "
            f"rounding {variant.seconds:.0f} s ({count} tokens)",
            flush=True,
        )


@torch.inference_mode()
def main() -> None:
    """Compare the ways to round on one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--calibration-tokens", type=int, default=512)
    parser.add_argument("--layers", type=int, help="number of layers that are rounded; default: all")
    options = parser.parse_args()
    model = Model(options.checkpoint)
    handbook = sorted(Path(str(files("langchain_gptoss").joinpath("samples", "handbook"))).rglob("*.md"))
    pages = sorted((Path(__file__).parent.parent / "docs").glob("*.md"))
    hidden = model.embed(read_ids(options.checkpoint, handbook, options.tokens))
    calibration = model.embed(read_ids(options.checkpoint, pages, options.calibration_tokens))
    variants = [
        Variant(name="not rounded", hidden=hidden.clone()),
        Variant(name="int8", hidden=hidden.clone(), rounds=round_int8),
        Variant(name="int4", hidden=hidden.clone(), rounds=round_to_scale_and_minimum),
        Variant(name="nearest", hidden=hidden.clone(), rounds=round_nearest),
        Variant(name="best scale", hidden=hidden.clone(), rounds=round_best_scale),
        Variant(name="compensated", hidden=hidden.clone(), calibration=calibration),
    ]
    for layer in range(model.shape.layers):
        if layer == options.layers:
            variants = [Variant(name=each.name, hidden=each.hidden, seconds=each.seconds) for each in variants]
        advance(model, layer, variants)
        print(f"layer {layer + 1} of {model.shape.layers}", end="\r", flush=True)
    print_comparison(model, variants)


if __name__ == "__main__":
    main()
