"""Measure the GPU path on gpt-oss-20b's shape: correctness, speed and distance to the memory's limit, in ten minutes.

    python benchmarks/gpu.py [--checkpoint /data/20b] [--json gpu.json]
    python benchmarks/gpu.py --device cpu --tiny      # tries the script; the figures mean nothing

Without `--checkpoint`, a random one is written into a temporary folder first (13.8 GB for the 20b shape).
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_checkpoint import AVAILABLE_SHAPES, build_config, write_checkpoint

from langchain_gptoss.engine import GenerationRequest, SamplingParams
from langchain_gptoss.engine.base import Engine
from langchain_gptoss.engine.kernels.mxfp4 import PackedExperts, apply_experts_reference, dequantize_mxfp4
from langchain_gptoss.models.shapes import Shape

Figures = dict[str, Any]

# Up to this many tokens, all numbers but the result are float32; with more, activations are rounded to bfloat16.
MAX_RELATIVE_ERROR = 0.02
TOKEN_COUNTS = (1, 2, 3, 8, 32, 33, 128, 512)
USER_COUNTS = (1, 8, 32)
ALPHA, LIMIT = 1.702, 7.0
PACKED_BITS, BF16_BITS = 4.25, 16.0
DECODE_TOKENS, PREFILL_TOKENS = 64, 2048
CONTEXT = 4096


def main() -> int:
    """Run all parts and print their tables; the exit status is 1 if a kernel is wrong."""
    options = _parse_options()
    shape = AVAILABLE_SHAPES["tiny" if options.tiny else "20b"]
    report: Figures = {"device": _describe_device(options.device)}
    print(f"{report['device']}, torch {torch.__version__}, shape {'tiny' if options.tiny else '20b'}\n", flush=True)
    report["bandwidth"] = measure_bandwidth(options.device, size_bytes=50_000_000 if options.tiny else 4_000_000_000)
    print(f"read bandwidth {report['bandwidth'] / 1e9:.0f} GB/s\n")
    report["correctness"] = check_kernels(shape, options.device)
    report["kernels"] = measure_kernels(shape, options.device, report["bandwidth"])
    with _open_checkpoint(options) as folder:
        report["engine"] = measure_engines(folder, shape, options, report["bandwidth"])
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(not all(row["is_right"] for row in report["correctness"]))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of the shape (make_checkpoint.py)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="use a shape of one megabyte")
    parser.add_argument("--users", nargs="*", type=int, default=list(USER_COUNTS))
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device. --device cpu --tiny tries the script without one.")
    if options.device == "cpu" and not options.tiny:
        parser.error("--device cpu runs Triton's interpreter, which needs hours for this shape. Add --tiny.")
    if options.device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
    return options


def _describe_device(device: str) -> str:
    if device == "cpu":
        return "CPU with Triton's interpreter"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, compute capability {properties.major}.{properties.minor}"


@contextmanager
def _open_checkpoint(options: argparse.Namespace) -> Iterator[Path]:
    if options.checkpoint:
        yield options.checkpoint
        return
    with tempfile.TemporaryDirectory(prefix="gptoss-gpu-") as folder:
        target = Path(folder) / "checkpoint"
        began = time.perf_counter()
        write_checkpoint(build_config(AVAILABLE_SHAPES["tiny" if options.tiny else "20b"]), target)
        print(f"\nwrote a random checkpoint in {time.perf_counter() - began:.0f} s", flush=True)
        yield target


def measure_seconds(work: Callable[[], object], device: str, *, repeats: int = 10) -> float:
    """Return the shortest time of a call, in seconds, until the device is done."""
    seconds = []
    for _ in range(repeats + 1):  # the first call compiles
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def measure_bandwidth(device: str, *, size_bytes: int) -> float:
    """Return the bytes per second at which the device reads a large array."""
    array = torch.ones(size_bytes // 4, device=device)
    return array.nbytes / measure_seconds(array.sum, device)


def create_layer(shape: Shape, device: str, *, seed: int = 0) -> PackedExperts:
    """Return random packed experts of one layer whose outputs are near one."""
    generator = torch.Generator(device=device).manual_seed(seed)

    def create_bytes(low: int, high: int, *size: int) -> torch.Tensor:
        return torch.randint(low, high, size, generator=generator, device=device, dtype=torch.uint8)

    def create_scales(rows: int, columns: int) -> torch.Tensor:
        # As in make_checkpoint.py: weights with the standard deviation columns ** -0.5.
        middle = 127 + round(float(np.log2(columns**-0.5 / 2.926)))
        return create_bytes(middle - 1, middle + 2, shape.experts, rows, columns // 32)

    hidden, inner = shape.hidden_size, shape.intermediate_size
    return PackedExperts(
        gate_up_blocks=create_bytes(0, 256, shape.experts, 2 * inner, hidden // 32, 16),
        gate_up_scales=create_scales(2 * inner, hidden),
        gate_up_bias=torch.randn(shape.experts, 2 * inner, generator=generator, device=device).bfloat16(),
        down_blocks=create_bytes(0, 256, shape.experts, hidden, inner // 32, 16),
        down_scales=create_scales(hidden, inner),
        down_bias=torch.randn(shape.experts, hidden, generator=generator, device=device).bfloat16(),
        alpha=ALPHA,
        limit=LIMIT,
    )


def create_inputs(shape: Shape, tokens: int, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return hidden states in bfloat16, and the experts of each token with their weights."""
    generator = torch.Generator(device=device).manual_seed(tokens)
    hidden = torch.randn(tokens, shape.hidden_size, generator=generator, device=device).bfloat16()
    scores = torch.randn(tokens, shape.experts, generator=generator, device=device)
    weights, indices = scores.topk(shape.experts_per_token, dim=1)
    return hidden, indices, weights.softmax(dim=1)


def check_kernels(shape: Shape, device: str) -> list[Figures]:
    """Compare the Triton kernels with the reference in float32, and two runs with each other."""
    from langchain_gptoss.engine.kernels.triton_mxfp4 import apply_experts_on_cuda

    packed, rows = create_layer(shape, device), []
    print("| tokens | relative error | largest error / largest value | same bits twice | |\n|---|---|---|---|---|")
    for tokens in TOKEN_COUNTS[: 4 if device == "cpu" else None]:
        hidden, indices, weights = create_inputs(shape, tokens, device)
        expected = apply_experts_reference(hidden.float(), indices, weights, packed)
        results = [apply_experts_on_cuda(hidden, indices, weights, packed) for _ in range(2)]
        difference = results[0].float() - expected
        row = {
            "tokens": tokens,
            "error": float(difference.norm() / expected.norm()),
            "largest": float(difference.abs().max() / expected.abs().max()),
            "is_repeatable": torch.equal(*results),
        }
        row["is_right"] = row["error"] < MAX_RELATIVE_ERROR and row["is_repeatable"]
        rows.append(row)
        verdict = "right" if row["is_right"] else "WRONG"
        print(
            f"| {tokens} | {row['error']:.2e} | {row['largest']:.2e} | {row['is_repeatable']} | {verdict} |", flush=True
        )
    return rows


def measure_kernels(shape: Shape, device: str, bandwidth: float) -> list[Figures]:
    """Compare one layer's packed experts with the same experts in bfloat16, which are multiplied expert by expert."""
    from langchain_gptoss.engine.kernels.triton_mxfp4 import apply_experts_on_cuda

    packed = create_layer(shape, device)
    gate_up = dequantize_mxfp4(packed.gate_up_blocks, packed.gate_up_scales, torch.bfloat16)
    down = dequantize_mxfp4(packed.down_blocks, packed.down_scales, torch.bfloat16)
    rows = []
    print(
        "\n| tokens | packed ms | bf16 ms | packed is faster by | share of the bandwidth limit |\n|---|---|---|---|---|"
    )
    for tokens in TOKEN_COUNTS[: 2 if device == "cpu" else None]:
        hidden, indices, weights = create_inputs(shape, tokens, device)
        read_bytes = len(indices.unique()) * 3 * shape.hidden_size * shape.intermediate_size * PACKED_BITS / 8
        repeats = 2 if device == "cpu" else 20
        packed_s = measure_seconds(
            lambda inputs=(hidden, indices, weights): apply_experts_on_cuda(*inputs, packed),  # type: ignore[misc]
            device,
            repeats=repeats,
        )
        bf16_s = measure_seconds(
            lambda inputs=(hidden, indices, weights): apply_bf16_experts(*inputs, gate_up, down, packed),  # type: ignore[misc]
            device,
            repeats=repeats,
        )
        row = {"tokens": tokens, "packed_s": packed_s, "bf16_s": bf16_s, "share": read_bytes / bandwidth / packed_s}
        rows.append(row)
        print(
            f"| {tokens} | {packed_s * 1e3:.3f} | {bf16_s * 1e3:.3f} | {bf16_s / packed_s:.2f} | {row['share']:.0%} |",
            flush=True,
        )
    return rows


def apply_bf16_experts(
    hidden: torch.Tensor,
    indices: torch.Tensor,
    weights: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    packed: PackedExperts,
) -> torch.Tensor:
    """Return the output of experts in bfloat16: one batched product if no expert has two tokens, otherwise a loop."""
    from langchain_gptoss.engine.kernels.mxfp4 import apply_swiglu

    if hidden.shape[0] == 1:
        chosen = indices[0]
        middle = torch.matmul(gate_up[chosen], hidden[0]) + packed.gate_up_bias[chosen]
        middle = apply_swiglu(middle, alpha=packed.alpha, limit=packed.limit)
        results = torch.bmm(down[chosen], middle[:, :, None])[:, :, 0] + packed.down_bias[chosen]
        return (results * weights[0, :, None].to(hidden.dtype)).sum(dim=0, keepdim=True)
    out = torch.zeros_like(hidden)
    for expert in indices.unique().tolist():
        token, choice = torch.where(indices == expert)
        middle = torch.nn.functional.linear(hidden[token], gate_up[expert], packed.gate_up_bias[expert])
        middle = apply_swiglu(middle, alpha=packed.alpha, limit=packed.limit)
        result = torch.nn.functional.linear(middle, down[expert], packed.down_bias[expert])
        out.index_add_(0, token, result * weights[token, choice, None].to(hidden.dtype))
    return out


def measure_engines(folder: Path, shape: Shape, options: argparse.Namespace, bandwidth: float) -> list[Figures]:
    """Measure prefill and decode of the engine with packed experts and in bfloat16, for each number of users."""
    from langchain_gptoss.engine.registry import close_all, get_local_engine
    from langchain_gptoss.errors import GptOssMemoryError, InvalidInputError

    print("\n| experts | users | ready s | prefill tok/s | decode tok/s in all | share of the limit |")
    print("|---|---|---|---|---|---|")
    rows = []
    for experts, bits in (("packed", PACKED_BITS), ("unpacked", BF16_BITS)):
        began = time.perf_counter()
        try:
            engine = get_local_engine(
                folder, device=options.device, experts=experts, max_context=512 if options.tiny else CONTEXT
            )
        except (GptOssMemoryError, InvalidInputError) as error:
            print(f"| {experts} | | {error} | | | |")
            continue
        ready_s = time.perf_counter() - began
        prefill = _measure_prefill(engine, shape, 128 if options.tiny else PREFILL_TOKENS)
        for users in options.users:
            decode = _measure_decode(engine, shape, users, 8 if options.tiny else DECODE_TOKENS)
            limit = users * bandwidth / compute_step_bytes(shape, users, expert_bits=bits)
            row = {"experts": experts, "users": users, "ready_s": ready_s, "prefill": prefill, "decode": decode}
            rows.append(row | {"share": decode / limit, "stats": asdict(engine.stats)})
            print(
                f"| {experts} | {users} | {ready_s:.1f} | {prefill:.0f} | {decode:.1f} | {decode / limit:.0%} |",
                flush=True,
            )
        close_all()
        del engine
        gc.collect()
        if options.device == "cuda":
            torch.cuda.empty_cache()
    return rows


def compute_step_bytes(shape: Shape, users: int, *, expert_bits: float) -> float:
    """Return the bytes that a decode step reads: all dense weights in bf16, and each expert that any user chose.

    Users choose their experts independently, as with random weights. The KV cache is left out.
    """
    chosen = 1 - (1 - shape.experts_per_token / shape.experts) ** users
    dense = shape.attention_weights + shape.embedding_weights
    return (chosen * shape.expert_weights * expert_bits + dense * BF16_BITS) / 8


def _measure_prefill(engine: Engine, shape: Shape, length: int) -> float:
    rates = []
    for seed in range(3):  # the first one compiles kernels
        began = time.perf_counter()
        list(engine.submit(_create_request(shape, length=length, limit=1, seed=seed)))
        rates.append(length / (time.perf_counter() - began))
    return max(rates)


def _measure_decode(engine: Engine, shape: Shape, users: int, tokens: int) -> float:
    """Return the tokens per second of all users together, from the moment in which all have their first token."""
    times: list[list[float]] = [[] for _ in range(users)]
    is_done = threading.Event()

    def read(number: int) -> None:
        limit = engine.context_length - 32
        request = _create_request(shape, length=32, limit=limit, seed=1000 + 100 * users + number)
        with engine.submit(request) as stream:
            for _ in stream:
                times[number].append(time.perf_counter())
                if is_done.is_set():
                    return

    threads = [threading.Thread(target=read, args=(number,)) for number in range(users)]
    for thread in threads:
        thread.start()
    while not all(times) and any(thread.is_alive() for thread in threads):
        time.sleep(0.001)
    begin, first_count = time.perf_counter(), sum(map(len, times))
    while sum(map(len, times)) < first_count + users * tokens and all(thread.is_alive() for thread in threads):
        time.sleep(0.001)
    end, last_count = time.perf_counter(), sum(map(len, times))
    is_done.set()
    for thread in threads:
        thread.join()
    return (last_count - first_count) / (end - begin)


def _create_request(shape: Shape, *, length: int, limit: int, seed: int) -> GenerationRequest:
    ids = np.random.default_rng(seed).integers(0, shape.vocabulary * 95 // 100, size=length).tolist()
    sampling = SamplingParams(temperature=0, max_tokens=limit)
    # Without speculation, because the answers of a random model repeat themselves.
    return GenerationRequest(prompt_ids=tuple(ids), sampling=sampling, is_speculative=False)


if __name__ == "__main__":
    sys.exit(main())
