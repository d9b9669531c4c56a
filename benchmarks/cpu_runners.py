"""Runners that cpu.py compares. Each runs in its own process, which reads a job and prints figures, both in JSON.

Only the standard library and numpy are imported at the top, because ik_llama.cpp has an environment of its own.
"""

import contextlib
import ctypes
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Larger batches are not faster on a CPU with few cores, and they need more memory.
BATCH_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Tokens of one answer, and their timing.

    Attributes:
        first_s: Seconds until the first token, which is the time of the prefill.
        rest_s: Seconds from the first token to the last.
        ids: Ids of the tokens.
    """

    first_s: float
    rest_s: float
    ids: list[int]


class Runner(ABC):
    """A program that loads a model and generates greedily."""

    @abstractmethod
    def load(self, job: dict[str, Any]) -> None:
        """Load the model that the job names."""

    @abstractmethod
    def generate(self, prompt: list[int], token_count: int) -> Timing:
        """Generate exactly `token_count` tokens without reusing the cache of an earlier prompt."""


class GptOssRunner(Runner):
    """The engine of this package, with the checkpoint as published."""

    def load(self, job: dict[str, Any]) -> None:
        """Load the checkpoint into an engine on the CPU."""
        import torch

        torch.set_num_threads(job["threads"])
        from langchain_gptoss.engine.registry import get_local_engine

        self._engine = get_local_engine(Path(job["checkpoint"]), device="cpu")

    def generate(self, prompt: list[int], token_count: int) -> Timing:
        """Generate tokens with the engine of this package."""
        from langchain_gptoss.engine import GenerationRequest, SamplingParams

        sampling = SamplingParams(temperature=0, max_tokens=token_count)
        began, times, ids = time.perf_counter(), [], []
        # Without speculation, because the answers of a random model repeat themselves.
        request = GenerationRequest(prompt_ids=tuple(prompt), sampling=sampling, is_speculative=False)
        for token_id in self._engine.submit(request):
            times.append(time.perf_counter())
            ids.append(token_id)
        return Timing(first_s=times[0] - began, rest_s=times[-1] - times[0], ids=ids)


class LlamaCppRunner(Runner):
    """llama.cpp as the server in xllamacpp. The times are those of the server, so they do not include HTTP."""

    def load(self, job: dict[str, Any]) -> None:
        """Load the GGUF file into a server in this process."""
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = job["gguf"]
        params.n_ctx, params.n_parallel, params.n_batch, params.n_ubatch = job["context"], 1, BATCH_TOKENS, BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP
        flash = xllamacpp.llama_flash_attn_type
        params.flash_attn_type = (
            flash.LLAMA_FLASH_ATTN_TYPE_ENABLED if job["flash"] else flash.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.no_extra_bufts = not job["repack"]
        # Caches for later requests would take time or memory here.
        params.warmup, params.cache_prompt, params.cache_ram_mib, params.n_ctx_checkpoints = False, False, 0, 0
        params.fit_params, params.use_jinja, params.verbosity = False, False, 1
        self._server = xllamacpp.Server(params)

    def generate(self, prompt: list[int], token_count: int) -> Timing:
        """Generate tokens with the server of llama.cpp."""
        request = {"prompt": prompt, "n_predict": token_count, "ignore_eos": True, "return_tokens": True}
        options = {"cache_prompt": False, "temperature": 0, "samplers": ["top_k"], "top_k": 1, "n_probs": 0}
        result: Any = self._server.handle_completions({**request, **options})
        if "timings" not in result:
            raise RuntimeError(f"llama.cpp's server answered {json.dumps(result)[:500]}")
        timings = result["timings"]
        if timings["prompt_n"] != len(prompt) or timings["predicted_n"] != token_count:
            raise RuntimeError(f"llama.cpp read or generated another number of tokens than requested: {timings}")
        # `predicted_ms` starts at the first token.
        return Timing(
            first_s=timings["prompt_ms"] / 1e3, rest_s=timings["predicted_ms"] / 1e3, ids=result.get("tokens", [])
        )


class IkLlamaCppRunner(Runner):
    """ik_llama.cpp through the C functions that ik-llama-cpp-python binds.

    Its own Python class is not used because it copies all logits one by one before it chooses a token. That would be an
    unfair comparison.
    """

    def load(self, job: dict[str, Any]) -> None:
        """Load the GGUF file and create a context."""
        from ik_llama_cpp import _ctypes_api as api

        self._api = api
        api.llama_backend_init()
        self._model = api.llama_model_load_from_file(job["gguf"].encode(), api.llama_model_default_params())
        if not self._model:
            raise RuntimeError("ik_llama.cpp cannot load the file")
        params = api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = job["context"], BATCH_TOKENS, BATCH_TOKENS, 1
        params.n_threads = params.n_threads_batch = job["threads"]
        params.flash_attn = job["flash"]
        self._context = api.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError("ik_llama.cpp cannot create a context")
        self._vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self._model))

    def generate(self, prompt: list[int], token_count: int) -> Timing:
        """Generate tokens with the C functions of ik_llama.cpp."""
        self._api.llama_kv_cache_clear(self._context)
        began = time.perf_counter()
        for start in range(0, len(prompt), BATCH_TOKENS):
            self._decode(prompt[start : start + BATCH_TOKENS], start)
        ids, first = [self._find_likeliest_token()], time.perf_counter()
        for position in range(len(prompt), len(prompt) + token_count - 1):
            self._decode(ids[-1:], position)
            ids.append(self._find_likeliest_token())
        return Timing(first_s=first - began, rest_s=time.perf_counter() - first, ids=ids)

    def _decode(self, ids: list[int], start: int) -> None:
        batch = self._api.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for number, token_id in enumerate(ids):
            batch.token[number], batch.pos[number] = token_id, start + number
            batch.n_seq_id[number], batch.seq_id[number][0] = 1, 0
            batch.logits[number] = number == len(ids) - 1
        status = self._api.llama_decode(self._context, batch)
        self._api.llama_batch_free(batch)
        if status:
            raise RuntimeError(f"llama_decode failed with status {status}")

    def _find_likeliest_token(self) -> int:
        logits = ctypes.cast(self._api.llama_get_logits_ith(self._context, -1), ctypes.POINTER(ctypes.c_float))
        return int(np.ctypeslib.as_array(logits, (self._vocabulary,)).argmax())


RUNNERS: dict[str, type[Runner]] = {
    "ours": GptOssRunner,
    "llama.cpp": LlamaCppRunner,
    "ik_llama.cpp": IkLlamaCppRunner,
}


def measure_runner(job: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a runner: seconds, tokens per second, bytes, and the processor share of other processes."""
    runner = RUNNERS[job["runner"]]()
    ticks, began = read_ticks(), time.perf_counter()
    runner.load(job)
    load_s = time.perf_counter() - began
    # Mapped weights are read at their first use, so the model is ready at the first token.
    runner.generate(_create_prompt(job, length=8, number=0), 1)
    ready_s = time.perf_counter() - began
    prefill, cpu_prefill = {}, {}
    for number, length in enumerate(job["prefill"], start=1):
        cpu_began = time.process_time()
        prefill[str(length)] = length / runner.generate(_create_prompt(job, length=length, number=number), 1).first_s
        cpu_prefill[str(length)] = length / (time.process_time() - cpu_began)
    figures = {"load_s": load_s, "ready_s": ready_s, "prefill": prefill, "cpu_prefill": cpu_prefill}
    figures |= _measure_decode(runner, job) if job["decode"] else {"decode": None, "ids": []}
    return figures | read_memory() | {"others": compute_other_load(ticks)}


def _measure_decode(runner: Runner, job: dict[str, Any]) -> dict[str, Any]:
    """Return the tokens per second, and per second of processor time, after a prompt of 128 tokens."""
    prompt = _create_prompt(job, length=128, number=99)
    cpu_began = time.process_time()
    answer = runner.generate(prompt, job["decode"] + 1)
    cpu_s = time.process_time() - cpu_began
    cpu_began = time.process_time()
    runner.generate(_create_prompt(job, length=128, number=98), 1)
    prompt_cpu_s = time.process_time() - cpu_began
    rates = {"decode": job["decode"] / answer.rest_s, "cpu_decode": job["decode"] / max(1e-6, cpu_s - prompt_cpu_s)}
    return rates | {"ids": answer.ids}


def _create_prompt(job: dict[str, Any], *, length: int, number: int) -> list[int]:
    rng = np.random.default_rng([job["seed"], number])
    return rng.integers(0, job["vocabulary"], size=length).tolist()


def read_memory() -> dict[str, int]:
    """Return the peak memory with mapped files and the current memory without them, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {name: int(fields[key].split()[0]) * 1024 for name, key in (("peak", "VmHWM"), ("anonymous", "RssAnon"))}


def read_ticks() -> tuple[int, int, int]:
    """Return clock ticks: all, those used by any process, and those used by this process."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    times = os.times()
    own = round((times.user + times.system) * os.sysconf("SC_CLK_TCK"))
    return sum(fields), sum(fields) - fields[3] - fields[4], own


def compute_other_load(before: tuple[int, int, int]) -> float:
    """Return the share of the processor time since `before` that other processes used."""
    total, busy, own = (now - then for now, then in zip(read_ticks(), before, strict=True))
    return max(0.0, (busy - own) / max(1, total))


def measure_machine(job: dict[str, Any]) -> dict[str, Any]:
    """Return the highest rates of the processor over these threads: bytes read and fp32 operations per second."""
    import torch

    torch.set_num_threads(job["threads"])
    ticks = read_ticks()
    array, matrix = torch.ones(256 * 1024 * 1024), torch.rand(2048, 2048)
    bandwidth = array.nbytes / min(_measure_seconds(array.sum) for _ in range(7))
    fp32 = 2 * 2048**3 / min(_measure_seconds(lambda: matrix @ matrix) for _ in range(7))
    return {"bandwidth": bandwidth, "fp32": fp32, "others": compute_other_load(ticks)}


def _measure_seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Read a job from the command line and print the figures as one line of JSON."""
    job = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        figures = measure_machine(job) if job["runner"] == "machine" else measure_runner(job)
    print("\n" + json.dumps(figures), flush=True)
    # The exit handlers of the libraries are skipped, because they could change the exit status.
    os._exit(0)


if __name__ == "__main__":
    main()
