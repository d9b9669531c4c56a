"""One process holds one copy of a model: everything that asks for the same checkpoint shares its engine."""

import atexit
import threading
from pathlib import Path

from langchain_gptoss.engine.base import Engine
from langchain_gptoss.models.planning.plan import Plan

_lock = threading.Lock()
_engines: dict[tuple[object, ...], Engine] = {}
_local: list[tuple[Path, Plan, Engine]] = []


def get_local_engine(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    experts: str | None = None,
    max_context: int | None = None,
) -> Engine:
    """Returns the engine for a checkpoint; the first call plans and loads it, and the others wait for that.

    An engine that is there is shared with everybody whose wishes it meets; a wish left open is met by any.

    Args:
        folder: A checked gpt_oss checkpoint.
        device: `"cuda"`, `"cpu"`, `"mps"`, or None to choose.
        dtype: `"float32"`, `"bfloat16"`, `"float16"`, `"int8"`, or None to choose.
        experts: `"packed"`, `"unpacked"`, or None to choose.
        max_context: The longest prompt and answer together, in tokens; None: the longest that fits.

    Raises:
        CheckpointError: The checkpoint is damaged.
        GptOssMemoryError: It does not fit into the memory that is free.
        InvalidInputError: A wish that cannot be met.
    """
    folder = folder.resolve()
    wishes = {"device": device, "dtype": dtype, "experts": experts, "context": max_context}
    with _lock:
        for place, plan, engine in _local:
            if place == folder and all(wish in {None, getattr(plan, name)} for name, wish in wishes.items()):
                return engine
        # Imported here: these bring torch and transformers.
        from langchain_gptoss.engine.loading import load_model, piece_of, plan_checkpoint
        from langchain_gptoss.engine.runners.local import LocalEngine

        plan = plan_checkpoint(folder, device=device, dtype=dtype, experts=experts, max_context=max_context)
        model = load_model(folder, plan)
        engine = LocalEngine(model, context_length=plan.context, folder=folder, piece=piece_of(folder, plan))
        _local.append((folder, plan, engine))
        return engine


def get_remote_engine(base_url: str, model: str, *, api_key: str | None, timeout: float, max_retries: int) -> Engine:
    """Returns the engine for a model on a server; everything that asks alike shares its connections.

    Raises:
        InvalidInputError: The address is none.
    """
    from langchain_gptoss.engine.runners.remote import RemoteEngine

    key = (base_url, model, api_key, timeout, max_retries)
    with _lock:
        if key not in _engines:
            _engines[key] = RemoteEngine(base_url, model, api_key=api_key, timeout=timeout, max_retries=max_retries)
        return _engines[key]


@atexit.register
def close_all() -> None:
    """Stops every engine and forgets it: at exit, because a thread inside torch must not outlive the interpreter."""
    with _lock:
        for engine in [*_engines.values(), *(engine for _, _, engine in _local)]:
            engine.close()
        _engines.clear()
        _local.clear()
