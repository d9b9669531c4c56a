"""One copy of a model per process: all models for the same checkpoint share its engine."""

import atexit
import threading
from dataclasses import dataclass
from pathlib import Path

from langchain_gptoss._process import TORCH_THREADS
from langchain_gptoss.engine.base import Engine
from langchain_gptoss.models.planning.plan import Plan, compute_cache_bytes


@dataclass(frozen=True, kw_only=True)
class _LocalEntry:
    folder: Path
    plan: Plan
    prompt_cache_gb: float | None
    engine: Engine


_lock = threading.Lock()
_local_entries: list[_LocalEntry] = []
_remote_engines: dict[tuple[object, ...], Engine] = {}


def get_local_engine(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    experts: str | None = None,
    max_context: int | None = None,
    cache_gb: float | None = None,
    prompt_cache_gb: float | None = None,
    precise: bool | None = None,
) -> Engine:
    """Return the engine of a checkpoint; the first call plans and loads it, and concurrent calls wait.

    A loaded engine is shared if it has every option that is not None.

    Args:
        folder: A checked gpt_oss checkpoint.
        device: `"cuda"`, `"cpu"`, `"mps"`, or None for the best.
        dtype: `"float32"`, `"bfloat16"`, `"float16"`, `"int8"`, or None for the best.
        experts: `"packed"`, `"unpacked"`, or None for the best.
        max_context: Length of the context in tokens, prompt and answer together; None means the longest that fits.
        cache_gb: Size of the KV cache that all requests share, in GB of 10^9 bytes; None chooses it by the free memory.
        prompt_cache_gb: Keep what was read of prompts in the cache folder, up to this size in GB of 10^9 bytes, so that
            the next process need not read them again; None keeps nothing on disk.
        precise: Round all activations to 16 bits where a CPU would round those of packed experts to 8 bits; None means
            no, or as a loaded engine does.

    Raises:
        CheckpointError: The checkpoint is damaged.
        GptOssMemoryError: The model does not fit into the free memory.
        InvalidInputError: An option cannot be met.
        StorageError: Prompts cannot be kept safely in the cache folder.
        GptOssForkError: This process was forked after its parent loaded a model. torch's own threads are missing as
            well, so it cannot load another one either.
    """
    TORCH_THREADS.check("A model")
    folder = folder.resolve()
    options = {
        "device": device,
        "dtype": dtype,
        "experts": experts,
        "context": max_context,
        "cache_bytes": compute_cache_bytes(cache_gb),
        "precise": precise,
    }
    with _lock:
        for entry in _local_entries:
            if (
                entry.folder == folder
                and prompt_cache_gb in {None, entry.prompt_cache_gb}
                and all(value in {None, getattr(entry.plan, name)} for name, value in options.items())
            ):
                return entry.engine
        # Imported here, because these modules import torch and transformers.
        from langchain_gptoss.engine.loading import load_engine, plan_checkpoint

        plan = plan_checkpoint(
            folder,
            device=device,
            dtype=dtype,
            experts=experts,
            max_context=max_context,
            cache_gb=cache_gb,
            precise=bool(precise),
        )
        engine = load_engine(folder, plan, prompt_cache_gb=prompt_cache_gb)
        entry = _LocalEntry(folder=folder, plan=plan, prompt_cache_gb=prompt_cache_gb, engine=engine)
        _local_entries.append(entry)
        return engine


def get_remote_engine(base_url: str, model: str, *, api_key: str | None, timeout: float, max_retries: int) -> Engine:
    """Return the engine for a model on a server; calls with the same arguments share its connections.

    Args:
        base_url: Address of the server, with or without `/v1`.
        model: Name of the model on the server.
        api_key: Bearer token, or None.
        timeout: Maximum time without a byte from the server, in seconds.
        max_retries: Maximum number of further attempts per request.

    Raises:
        InvalidInputError: base_url is not a valid HTTP URL.
    """
    from langchain_gptoss.engine.runners.remote import RemoteEngine

    key = (base_url, model, api_key, timeout, max_retries)
    with _lock:
        if key not in _remote_engines:
            _remote_engines[key] = RemoteEngine(
                base_url, model, api_key=api_key, timeout=timeout, max_retries=max_retries
            )
        return _remote_engines[key]


@atexit.register
def close_all() -> None:
    """Close every engine; at exit, because a thread inside torch must not outlive the interpreter.

    A forked process leaves the engines to its parent.
    """
    if TORCH_THREADS.is_forked:
        return
    with _lock:
        for engine in [*_remote_engines.values(), *(entry.engine for entry in _local_entries)]:
            engine.close()
        _remote_engines.clear()
        _local_entries.clear()
