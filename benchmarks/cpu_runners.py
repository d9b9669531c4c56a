"""The runners that cpu.py compares, each started in a process of its own: a job comes as JSON, figures go back as JSON.

Only the standard library and numpy are imported up here, because ik_llama.cpp runs under another interpreter.
"""

import contextlib
import ctypes
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Larger batches do not help on a CPU with few cores, and cost memory.
BATCH = 512


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One answer.

    Attributes:
        first: Seconds until its first token: the prompt is read.
        rest: Seconds for the others.
        ids: The tokens.
    """

    first: float
    rest: float
    ids: list[int]


class Runner(ABC):
    """Loads a model and answers greedily."""

    @abstractmethod
    def load(self, job: dict[str, Any]) -> None:
        """Loads the model."""

    @abstractmethod
    def answer(self, prompt: list[int], tokens: int) -> Timing:
        """Answers with exactly so many tokens; nothing of an earlier prompt is reused."""


class Ours(Runner):
    """This package's engine, on the checkpoint as published."""

    def load(self, job: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(job["threads"])
        from langchain_gptoss.engine.registry import get_local_engine

        self._engine = get_local_engine(Path(job["checkpoint"]), device="cpu")

    def answer(self, prompt: list[int], tokens: int) -> Timing:
        from langchain_gptoss.engine import GenerationRequest, SamplingParams

        sampling = SamplingParams(temperature=0, max_tokens=tokens)
        began, times, ids = time.perf_counter(), [], []
        for token_id in self._engine.submit(GenerationRequest(prompt_ids=tuple(prompt), sampling=sampling)):
            times.append(time.perf_counter())
            ids.append(token_id)
        return Timing(first=times[0] - began, rest=times[-1] - times[0], ids=ids)


class LlamaCpp(Runner):
    """llama.cpp, through the server in xllamacpp; the times are the server's own, so HTTP costs it nothing."""

    def load(self, job: dict[str, Any]) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = job["gguf"]
        params.n_ctx, params.n_parallel, params.n_batch, params.n_ubatch = job["context"], 1, BATCH, BATCH
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP
        flash = xllamacpp.llama_flash_attn_type
        params.flash_attn_type = (
            flash.LLAMA_FLASH_ATTN_TYPE_ENABLED if job["flash"] else flash.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.no_extra_bufts = not job["repack"]
        # What serves later requests would cost this one time or memory.
        params.warmup, params.cache_prompt, params.cache_ram_mib, params.n_ctx_checkpoints = False, False, 0, 0
        params.fit_params, params.use_jinja, params.verbosity = False, False, 1
        self._server = xllamacpp.Server(params)

    def answer(self, prompt: list[int], tokens: int) -> Timing:
        wanted = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "return_tokens": True}
        options = {"cache_prompt": False, "temperature": 0, "samplers": ["top_k"], "top_k": 1, "n_probs": 0}
        result: Any = self._server.handle_completions({**wanted, **options})
        if "timings" not in result:
            raise RuntimeError(f"llama.cpp's server answered {json.dumps(result)[:500]}")
        timings = result["timings"]
        if timings["prompt_n"] != len(prompt) or timings["predicted_n"] != tokens:
            raise RuntimeError(f"llama.cpp read or wrote another number of tokens than asked for: {timings}")
        # Its clock for the rest starts at the first token.
        return Timing(
            first=timings["prompt_ms"] / 1e3, rest=timings["predicted_ms"] / 1e3, ids=result.get("tokens", [])
        )


class IkLlamaCpp(Runner):
    """ik_llama.cpp, through the C functions that ik-llama-cpp-python binds.

    Its own Python class copies all logits number by number before it chooses a token; that would be unfair.
    """

    def load(self, job: dict[str, Any]) -> None:
        from ik_llama_cpp import _ctypes_api as api

        self._api = api
        api.llama_backend_init()
        self._model = api.llama_model_load_from_file(job["gguf"].encode(), api.llama_model_default_params())
        if not self._model:
            raise RuntimeError("ik_llama.cpp cannot load the file")
        params = api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = job["context"], BATCH, BATCH, 1
        params.n_threads = params.n_threads_batch = job["threads"]
        params.flash_attn = job["flash"]
        self._context = api.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError("ik_llama.cpp cannot make a context")
        self._vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self._model))

    def answer(self, prompt: list[int], tokens: int) -> Timing:
        self._api.llama_kv_cache_clear(self._context)
        began = time.perf_counter()
        for start in range(0, len(prompt), BATCH):
            self._decode(prompt[start : start + BATCH], start)
        ids, first = [self._likeliest()], time.perf_counter()
        for position in range(len(prompt), len(prompt) + tokens - 1):
            self._decode(ids[-1:], position)
            ids.append(self._likeliest())
        return Timing(first=first - began, rest=time.perf_counter() - first, ids=ids)

    def _decode(self, ids: list[int], start: int) -> None:
        batch = self._api.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for number, token_id in enumerate(ids):
            batch.token[number], batch.pos[number] = token_id, start + number
            batch.n_seq_id[number], batch.seq_id[number][0] = 1, 0
            batch.logits[number] = number == len(ids) - 1
        failed = self._api.llama_decode(self._context, batch)
        self._api.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"llama_decode failed with {failed}")

    def _likeliest(self) -> int:
        logits = ctypes.cast(self._api.llama_get_logits_ith(self._context, -1), ctypes.POINTER(ctypes.c_float))
        return int(np.ctypeslib.as_array(logits, (self._vocabulary,)).argmax())


RUNNERS: dict[str, type[Runner]] = {"ours": Ours, "llama.cpp": LlamaCpp, "ik_llama.cpp": IkLlamaCpp}


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Returns one runner's figures: seconds, tokens per second, bytes, and the share of others on the processor."""
    runner = RUNNERS[job["runner"]]()
    ticks, began = _ticks(), time.perf_counter()
    runner.load(job)
    load = time.perf_counter() - began
    # Mapped weights are read at the first use, so loading ends with the first token.
    runner.answer(_prompt(job, length=8, number=0), 1)
    ready = time.perf_counter() - began
    prefill = {}
    for number, length in enumerate(job["prefill"], start=1):
        prefill[str(length)] = length / runner.answer(_prompt(job, length=length, number=number), 1).first
    decode, ids = None, []
    if job["decode"]:
        answer = runner.answer(_prompt(job, length=128, number=99), job["decode"] + 1)
        decode, ids = job["decode"] / answer.rest, answer.ids
    figures = {"load_s": load, "ready_s": ready, "prefill": prefill, "decode": decode, "ids": ids}
    return figures | _memory() | {"others": _others(ticks)}


def _prompt(job: dict[str, Any], *, length: int, number: int) -> list[int]:
    rng = np.random.default_rng([job["seed"], number])
    return rng.integers(0, job["vocabulary"], size=length).tolist()


def _memory() -> dict[str, int]:
    """Returns the peak of what the process held, mapped files included, and what of it no file backs now, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {name: int(fields[key].split()[0]) * 1024 for name, key in (("peak", "VmHWM"), ("anonymous", "RssAnon"))}


def _ticks() -> tuple[int, int, int]:
    """Returns clock ticks: all, those of every process, those of this one."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    times = os.times()
    own = round((times.user + times.system) * os.sysconf("SC_CLK_TCK"))
    return sum(fields), sum(fields) - fields[3] - fields[4], own


def _others(before: tuple[int, int, int]) -> float:
    """Returns the share of all processor time since then that went to other processes."""
    total, busy, own = (now - then for now, then in zip(_ticks(), before, strict=True))
    return max(0.0, (busy - own) / max(1, total))


def measure_machine(job: dict[str, Any]) -> dict[str, Any]:
    """Returns what the processor can do at best: bytes read and fp32 operations per second, over the same threads."""
    import torch

    torch.set_num_threads(job["threads"])
    ticks = _ticks()
    many, square = torch.ones(256 * 1024 * 1024), torch.rand(2048, 2048)
    read = many.nbytes / min(_seconds(many.sum) for _ in range(7))
    compute = 2 * 2048**3 / min(_seconds(lambda: square @ square) for _ in range(7))
    return {"bandwidth": read, "fp32": compute, "others": _others(ticks)}


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Reads a job from the command line and prints one line of JSON."""
    job = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        figures = measure_machine(job) if job["runner"] == "machine" else measure(job)
    print("\n" + json.dumps(figures), flush=True)
    # The figures are out; what libraries do at exit is not measured and has no say.
    os._exit(0)


if __name__ == "__main__":
    main()
