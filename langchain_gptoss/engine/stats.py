"""Counters of an engine, for metrics and for a look at what it does."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """State and counters of an engine at one moment; counters start at 0 when the engine is created.

    Attributes:
        running: Requests that are in the batch.
        waiting: Requests that wait for a place.
        finished: Requests that ended, by reason: `"stop"`, `"length"`, `"cancelled"`, `"deadline"`, `"failed"`.
        rejected: Requests that were refused because the queue was full.
        preempted: Times that a running request gave its memory to another one and continued later.
        steps: Forward passes.
        prompt_tokens: Tokens of all prompts of requests that started.
        cached_tokens: Those of them that came from the prefix cache.
        generated_tokens: Tokens of all answers.
        draft_tokens: Tokens that speculation proposed.
        accepted_tokens: Those of them that the model confirmed.
        busy_s: Time in forward passes, in seconds.
        cache_bytes: Memory budget of the KV cache, in bytes.
        used_bytes: Part of it that running requests hold.
        reusable_bytes: Part of it that only the prefix cache holds.
    """

    running: int = 0
    waiting: int = 0
    finished: dict[str, int]
    rejected: int = 0
    preempted: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0
    busy_s: float = 0.0
    cache_bytes: int = 0
    used_bytes: int = 0
    reusable_bytes: int = 0
