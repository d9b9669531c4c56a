"""One process holds one copy of a model: everything that asks for the same checkpoint shares its engine."""

import atexit
import threading
from pathlib import Path

from langchain_gptoss.engine.base import Engine

_lock = threading.Lock()
_engines: dict[tuple[object, ...], Engine] = {}


def shared_engine(folder: Path, *, device: str | None = None, dtype: str | None = None) -> Engine:
    """Returns the engine for a checkpoint; the first call loads it, and the others wait for that.

    Args:
        folder: A checked gpt_oss checkpoint.
        device: `"cuda"`, `"cpu"`, or None to choose.
        dtype: `"float32"`, `"bfloat16"`, `"float16"`, or None to choose.

    Raises:
        CheckpointError: The checkpoint is damaged.
        GptOssMemoryError: It does not fit into the memory that is free.
        InvalidInputError: A device or type that cannot work.
    """
    # Imported here: these bring torch and transformers.
    from langchain_gptoss.engine.loading import choose_device, context_length, load_model, place
    from langchain_gptoss.engine.local import LocalEngine

    device = choose_device(device)  # asking for the device that would be chosen anyway is the same engine
    key = (str(folder.resolve()), device, dtype or "")
    with _lock:
        if key not in _engines:
            model = load_model(folder, place(folder, device=device, dtype=dtype))
            _engines[key] = LocalEngine(model, context_length=context_length(folder), folder=folder)
        return _engines[key]


def remote_engine(base_url: str, model: str, *, api_key: str | None, timeout: float, max_retries: int) -> Engine:
    """Returns the engine for a model on a server; everything that asks alike shares its connections.

    Raises:
        InvalidInputError: The address is none.
    """
    from langchain_gptoss.engine.remote import RemoteEngine

    key = (base_url, model, api_key, timeout, max_retries)
    with _lock:
        if key not in _engines:
            _engines[key] = RemoteEngine(base_url, model, api_key=api_key, timeout=timeout, max_retries=max_retries)
        return _engines[key]


@atexit.register
def close_all() -> None:
    """Stops every engine and forgets it: at exit, because a thread inside torch must not outlive the interpreter."""
    with _lock:
        for engine in _engines.values():
            engine.close()
        _engines.clear()
