"""Systems and measurements of serving.py.

Each measurement runs in its own process: a job comes in on standard input, and figures go out on standard output, both
in JSON.
"""

import contextlib
import json
import os
import statistics
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cpu_runners import BATCH_TOKENS, RUNNERS, compute_other_load, read_memory, read_ticks

Figures = dict[str, Any]
Job = dict[str, Any]
FIRST_TOKEN = "first token"


@dataclass(kw_only=True)
class Answer:
    """Tokens of one answer as they arrive.

    Attributes:
        began_at: Time of the request.
        times: Time of each token.
        ids: Ids of the tokens, if the system reports them.
        cached_tokens: Tokens of the prompt that came from a cache.
        is_stopped: Set it to end the answer early.
    """

    began_at: float = field(default_factory=time.perf_counter)
    times: list[float] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    cached_tokens: int = 0
    is_stopped: bool = False

    @property
    def first_s(self) -> float:
        """Seconds from the request to the first token."""
        return self.times[0] - self.began_at

    @property
    def rest_s(self) -> float:
        """Seconds from the first token to the last."""
        return self.times[-1] - self.times[0]

    @property
    def rate(self) -> float:
        """Tokens per second from the first token to the last."""
        return (len(self.times) - 1) / self.rest_s


class System(ABC):
    """A loaded model that answers several prompts at once."""

    @abstractmethod
    def load(self, job: Job) -> None:
        """Load the model for the job's number of users, each with the job's context."""

    @abstractmethod
    def fill(self, answer: Answer, prompt: Sequence[int], limit: int, **options: Any) -> None:
        """Generate greedily until the limit, a stop token or `answer.is_stopped`; any thread may call this.

        Args:
            answer: Receives the tokens.
            prompt: Token ids.
            limit: Maximum number of tokens.
            options: `reuse` (False: read the whole prompt), `speculate`, `stop_ids`, `wants_ids`.
        """

    def ask(self, prompt: Sequence[int], limit: int, **options: Any) -> Answer:
        """Return a complete answer."""
        answer = Answer()
        self.fill(answer, prompt, limit, **options)
        return answer

    @contextlib.contextmanager
    def ask_in_threads(self, prompts: Sequence[Sequence[int]], limit: int) -> Iterator[list[Answer]]:
        """Yield the answers to all prompts while they arrive; leaving the block stops them."""
        answers: list[Answer] = [Answer() for _ in prompts]
        errors: list[BaseException] = []

        def run(answer: Answer, prompt: Sequence[int]) -> None:
            try:
                self.fill(answer, prompt, limit)
            except BaseException as error:  # raised below, in the thread that measures
                errors.append(error)

        pairs = zip(answers, prompts, strict=True)
        threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in pairs]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            for answer in answers:
                answer.is_stopped = True
            for thread in threads:
                thread.join()
        if errors:
            raise errors[0]


class GptOssSystem(System):
    """The engine of this package, through its public interface."""

    def load(self, job: Job) -> None:
        """Load the checkpoint into an engine on the CPU."""
        import torch

        torch.set_num_threads(job["threads"])
        from langchain_gptoss.engine.registry import get_local_engine

        self._engine = get_local_engine(Path(job["checkpoint"]), device="cpu", max_context=job["context"])
        self._request_count = 0

    def fill(self, answer: Answer, prompt: Sequence[int], limit: int, **options: Any) -> None:
        """Generate with the engine; a salt of its own keeps a request from reusing what others read."""
        from langchain_gptoss.engine import GenerationRequest, SamplingParams

        self._request_count += 1
        request = GenerationRequest(
            prompt_ids=tuple(prompt),
            sampling=SamplingParams(temperature=0, max_tokens=limit),
            stop_ids=frozenset(options.get("stop_ids", ())),
            cache_salt=None if options.get("reuse", True) else f"request {self._request_count}",
            is_speculative=options.get("speculate", False),
        )
        with self._engine.submit(request) as stream:
            for token_id in stream:
                answer.times.append(time.perf_counter())
                answer.ids.append(token_id)
                answer.cached_tokens = stream.cached_tokens
                if answer.is_stopped:
                    break


class LlamaCppSystem(System):
    """llama.cpp as the server in xllamacpp, called without HTTP, with one slot per user and its prompt cache."""

    def load(self, job: Job) -> None:
        """Load the GGUF file into a server in this process."""
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = job["gguf"]
        params.n_ctx, params.n_parallel = job["context"] * job["users"], job["users"]
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.warmup, params.fit_params, params.use_jinja, params.verbosity = False, False, False, 1
        # The sliding layers keep all tokens, because the server cannot reuse a prompt whose window it has dropped.
        params.swa_full = True
        self._server = xllamacpp.Server(params)

    def fill(self, answer: Answer, prompt: Sequence[int], limit: int, **options: Any) -> None:
        """Generate with the server; the last chunk has no token."""
        request: Figures = {"prompt": list(prompt), "n_predict": limit, "stream": True, "temperature": 0}
        request |= {"ignore_eos": not options.get("stop_ids"), "cache_prompt": options.get("reuse", True)}
        request |= {"samplers": ["top_k"], "top_k": 1, "n_probs": 1 if options.get("wants_ids") else 0}
        problems: list[Any] = []

        def read(chunk: Any) -> bool:
            now = time.perf_counter()
            if "choices" not in chunk:
                problems.append(chunk)
                return True
            choice = chunk["choices"][0]
            if choice["finish_reason"] is None:
                answer.times.append(now)
                if options.get("wants_ids"):
                    answer.ids += [token["id"] for token in choice["logprobs"]["content"]]
            else:
                answer.cached_tokens = chunk["timings"]["cache_n"]
            return answer.is_stopped

        # One function, so that the types of the package's overloads do not matter.
        complete: Any = self._server.handle_completions
        complete(request, read)
        if problems or not answer.times:
            raise RuntimeError(f"llama.cpp's server answered {json.dumps(problems)[:500]}")


SYSTEMS: dict[str, type[System]] = {"ours": GptOssSystem, "llama.cpp": LlamaCppSystem}


def measure_users(system: System, job: Job) -> Figures:
    """Return the decode rates of one user and of all users together, in tokens per second.

    The rate of all users is measured from the moment in which the last of them has its first token.
    """
    tokens = job["tokens"]
    single = system.ask(job["prompts"][0], tokens + 1, reuse=False)
    with system.ask_in_threads(job["prompts"], limit=job["context"] - len(job["prompts"][0]) - 1) as answers:
        wait_until(lambda: all(answer.times for answer in answers))
        begin, counts = time.perf_counter(), [len(answer.times) for answer in answers]
        wait_until(lambda: sum(len(answer.times) for answer in answers) - sum(counts) >= tokens * len(answers))
        rates = [
            (sum(at > begin for at in answer.times) - 1)
            / (answer.times[-1] - next(at for at in answer.times if at > begin))
            for answer in answers
        ]
    return {"one": single.rate, "all": sum(rates)}


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 900) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: It took too long, for example because a stream failed.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("An answer took too long.")
        time.sleep(0.002)


def measure_turns(system: System, job: Job) -> Figures:
    """Return the seconds to the first token in the first and in the second turn of a conversation."""
    first = system.ask(job["prompts"][0], job["tokens"], wants_ids=True)
    second = system.ask([*job["prompts"][0], *first.ids, *job["prompts"][1]], job["tokens"])
    return {"first": first.first_s, "second": second.first_s, "cached": second.cached_tokens}


def measure_documents(system: System, job: Job) -> Figures:
    """Return the seconds for all questions over the same documents, without reuse and with it."""
    seconds = {}
    for name, reuse in (("without", False), ("with", True)):
        began = time.perf_counter()
        for prompt in job["prompts"]:
            system.ask(prompt, job["tokens"], reuse=reuse)
        seconds[name] = time.perf_counter() - began
    return seconds


def measure_quotes(system: System, job: Job) -> Figures:
    """Return the seconds of all answers without and with speculation: of the whole answers, and after the first token.

    The answers take turns, and each reads its whole prompt.
    """
    figures: Figures = {"plain": 0.0, "fast": 0.0, "plain_whole": 0.0, "fast_whole": 0.0, "tokens": 0}
    figures |= {"are_equal": True, "answers": []}
    for prompt in job["prompts"]:
        answers = {}
        for name, speculate in (("plain", False), ("fast", True)):
            answer = system.ask(prompt, job["tokens"], reuse=False, speculate=speculate, stop_ids=job["stop_ids"])
            figures[name] += answer.rest_s
            figures[f"{name}_whole"] += answer.times[-1] - answer.began_at
            answers[name] = answer
        figures["tokens"] += len(answers["plain"].ids)
        figures["are_equal"] &= answers["plain"].ids == answers["fast"].ids
        figures["answers"].append(answers["plain"].ids)
    return figures


def measure_gap(system: System, job: Job) -> Figures:
    """Return the usual and the longest gap between two tokens of an answer while a long prompt arrives, in seconds."""
    short, long = job["prompts"]
    with system.ask_in_threads([short], limit=job["context"] - len(short) - 1) as (running,):
        wait_until(lambda: len(running.times) > job["tokens"])
        arrival = system.ask(long, 1, reuse=False)
        wait_until(lambda: running.times[-1] > arrival.times[0])
        times = list(running.times)
    gaps = [(times[i] - times[i - 1], times[i]) for i in range(1, len(times))]
    usual = statistics.median(gap for gap, at in gaps if at < arrival.began_at)
    during = [gap for gap, at in gaps if at >= arrival.began_at and at - gap <= arrival.times[0]]
    return {"usual": usual, "longest": max(during), "median_during": statistics.median(during)} | {
        "arrival": arrival.first_s
    }


def measure_start(job: Job) -> Figures:
    """Load the model and print a line at the first token, whose time the parent process takes."""
    runner = RUNNERS[job["system"]]()
    runner.load(job)
    runner.generate(job["prompts"][0], 1)
    sys.__stdout__.write(f"\n{FIRST_TOKEN}\n")
    sys.__stdout__.flush()
    return {}


def measure_memory(system: GptOssSystem, job: Job) -> Figures:
    """Return the planned and the measured peak with all users at once, in bytes."""
    from langchain_gptoss.engine.loading import plan_checkpoint

    plan = plan_checkpoint(Path(job["checkpoint"]), device="cpu", max_context=job["context"])
    with system.ask_in_threads(job["prompts"], limit=8) as answers:
        wait_until(lambda: all(len(answer.times) == 8 for answer in answers), timeout_s=7200)
    return {"planned": plan.memory.peak, "measured": read_memory()["peak"]}


MEASUREMENTS: dict[str, Callable[[Any, Job], Figures]] = {
    "users": measure_users,
    "turns": measure_turns,
    "documents": measure_documents,
    "quotes": measure_quotes,
    "gap": measure_gap,
    "memory": measure_memory,
}


def run_job(job: Job) -> Figures:
    """Return the figures of a job, and the share of processor time that other processes used."""
    if job["measure"] == "start":
        return measure_start(job)
    system = SYSTEMS[job["system"]]()
    system.load(job)
    system.ask(job["prompts"][-1][:8], 2, reuse=False)  # the first request allocates memory and starts threads
    ticks = read_ticks()
    figures = MEASUREMENTS[job["measure"]](system, job)
    return figures | {"others": compute_other_load(ticks)}


def main() -> None:
    """Read a job and print its figures as one line of JSON."""
    job = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        figures = run_job(job)
    print("\n" + json.dumps(figures), flush=True)
    # The exit handlers of the libraries are skipped, because they could change the exit status.
    os._exit(0)


if __name__ == "__main__":
    main()
