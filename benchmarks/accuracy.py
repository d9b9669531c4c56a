"""Compare the rounding of the CPU engine with that of llama.cpp: the demo model against float32, on real text.

    python benchmarks/accuracy.py --gguf /data/demo-q8.gguf

The reference is transformers in float32. The text is this repository's documentation. The table has the mean
Kullback-Leibler divergence of a system's next token from that of the reference, and the share of positions where both
have the same most likely token. Our weights are int8, the default, and bfloat16.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from serving import Texts

from langchain_gptoss.models.demo import fetch_demo_model

CHUNK_TOKENS = 256
# The first tokens of a chunk have too little context.
FIRST_POSITION = 32
# llama.cpp's server reports this many tokens per position; the others count as one, which lowers its divergence a
# little.
REPORTED_TOKENS = 4096

Logprobs = np.ndarray


def main() -> None:
    """Compute the logits of all systems and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, help="the demo model in Q8_0 (make_demo_gguf.py)")
    parser.add_argument("--chunks", type=int, default=6, help=f"number of texts of {CHUNK_TOKENS} tokens")
    parser.add_argument("--stride", type=int, default=2, help="compare every n-th position")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = fetch_demo_model()
    texts = Texts(folder=folder)
    chunks = [texts.take_tokens(CHUNK_TOKENS, seed) for seed in range(options.chunks)]
    positions = list(range(FIRST_POSITION, CHUNK_TOKENS, options.stride))
    expected = compute_reference(folder, chunks, positions)
    systems: dict[str, Callable[[], Iterator[tuple[Logprobs, np.ndarray]]]] = {
        f"ours, {kind}": lambda kind=kind: iterate_native(folder, chunks, positions, kind)  # type: ignore[misc]
        for kind in ("int8", "bfloat16")
    }
    if options.gguf:
        systems["llama.cpp Q8_0"] = lambda: iterate_llama(options.gguf, chunks, positions, threads=options.threads)
    print(f"{len(expected)} positions\n")
    print("| | mean divergence | 99th percentile | same most likely token |\n|---|---|---|---|")
    report = {}
    for name, iterate in systems.items():
        figures = summarize(expected, iterate())
        report[name] = figures
        print(f"| {name} | {figures['mean']:.6f} | {figures['p99']:.5f} | {figures['agreement']:.2%} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def compute_reference(folder: Path, chunks: list[list[int]], positions: list[int]) -> Logprobs:
    """Return the log-probabilities of the next token after each position, from transformers in float32."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        logits = [model(torch.tensor([chunk])).logits[0, positions] for chunk in chunks]
    return torch.cat(logits).double().log_softmax(dim=1).numpy()


def iterate_native(
    folder: Path, chunks: list[list[int]], positions: list[int], kind: Literal["int8", "bfloat16"]
) -> Iterator[tuple[Logprobs, np.ndarray]]:
    """Yield the log-probabilities of all tokens after each position, and their ids, with weights of one kind."""
    from langchain_gptoss.engine.batch import BLOCK_TOKENS, Batch, SequenceChunk
    from langchain_gptoss.engine.runners.native import NativeRunner
    from langchain_gptoss.engine.runners.native_weights import NativeFormats

    runner = NativeRunner(folder, formats=NativeFormats(dense=kind, experts=kind))
    runner.allocate_cache(CHUNK_TOKENS // BLOCK_TOKENS)
    table = range(CHUNK_TOKENS // BLOCK_TOKENS)
    ids = np.arange(runner.vocabulary_size)
    for chunk in chunks:
        part = SequenceChunk(token_ids=chunk, start=0, block_table=table, logit_count=len(chunk))
        logits = runner.forward(Batch(chunks=(part,)))[positions]
        for row in logits.double().log_softmax(dim=1).numpy():
            yield row, ids
    runner.close()


def iterate_llama(
    gguf: Path, chunks: list[list[int]], positions: list[int], *, threads: int
) -> Iterator[tuple[Logprobs, np.ndarray]]:
    """Yield the log-probabilities of the most likely tokens after each position, and their ids, from llama.cpp."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.n_parallel = 2 * CHUNK_TOKENS, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.warmup, params.fit_params, params.use_jinja, params.verbosity = False, False, False, 1
    server: Any = xllamacpp.Server(params)
    request = {"n_predict": 1, "temperature": 0, "samplers": ["top_k"], "top_k": 1, "cache_prompt": True}
    for chunk in chunks:
        for position in positions:
            result = server.handle_completions(request | {"prompt": chunk[: position + 1], "n_probs": REPORTED_TOKENS})
            tokens = result["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            yield np.array([token["logprob"] for token in tokens]), np.array([token["id"] for token in tokens])


def summarize(expected: Logprobs, rows: Iterator[tuple[Logprobs, np.ndarray]]) -> dict[str, float]:
    """Return mean and 99th percentile of the divergence, and the share of equal most likely tokens.

    Tokens that a system does not report are one outcome with the rest of the probability.
    """
    divergences, equal = [], 0
    for reference, (logprobs, ids) in zip(expected, rows, strict=True):
        known = reference[ids]
        divergence = float(np.sum(np.exp(known) * (known - logprobs)))
        rests = [1 - float(np.sum(np.exp(values))) for values in (known, logprobs)]
        if len(ids) < len(reference) and min(rests) > 0:
            divergence += rests[0] * float(np.log(rests[0] / rests[1]))
        divergences.append(divergence)
        equal += int(ids[np.argmax(logprobs)] == np.argmax(reference))
    return {
        "mean": float(np.mean(divergences)),
        "p99": float(np.percentile(divergences, 99)),
        "agreement": equal / len(divergences),
    }


if __name__ == "__main__":
    main()
