"""Numbers in a checkpoint's `config.json` on which the arithmetic depends: each must be finite and in its range.

JSON as Python reads it has NaN and infinity, and transformers takes any number. A NaN gives answers without meaning,
and a rotation of some dimensions only leaves the kernels a table that is shorter than they read.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

_LARGEST_LENGTH = 2**30
# The smallest and the largest value. Published models lie far within.
_NUMBER_RANGES = {
    "rms_norm_eps": (1e-30, 1.0),
    "rope_theta": (1e-3, 1e15),
    "swiglu_limit": (1e-6, 1e30),
    "factor": (1e-3, 1e6),
    "attention_factor": (1e-6, 1e6),
    "beta_fast": (1e-6, 1e6),
    "beta_slow": (1e-6, 1e6),
    "low_freq_factor": (1e-6, 1e6),
    "high_freq_factor": (1e-6, 1e6),
    "mscale": (0.0, 1e6),
    "mscale_all_dim": (0.0, 1e6),
    "attention_dropout": (0.0, 1.0),
    "partial_rotary_factor": (1.0, 1.0),  # this architecture rotates all dimensions of a head
}
_LENGTHS = ("sliding_window", "original_max_position_embeddings")
_MAX_DEPTH = 20


def find_number_problem(config: Mapping[str, Any]) -> str | None:
    """Return a description of the first number that is not finite or not in its range, or None."""
    for path, value in _iterate_values("", config, 0):
        name = path.rpartition(".")[2].partition("[")[0]
        if isinstance(value, float) and not math.isfinite(value):
            return f"{path} is {value!r} and must be a finite number"
        if name in _NUMBER_RANGES and value is not None:
            low, high = _NUMBER_RANGES[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                return f"{path} is {_shorten(value)} and must be a number from {low:g} to {high:g}"
        if name in _LENGTHS and value is not None and (type(value) is not int or not 1 <= value <= _LARGEST_LENGTH):
            return f"{path} is {_shorten(value)} and must be a whole number from 1 to {_LARGEST_LENGTH}"
    head_dim = config.get("head_dim")
    if isinstance(head_dim, int) and head_dim % 2:
        return f"head_dim is {head_dim} and must be even, because positions rotate pairs of dimensions"
    return None


def _iterate_values(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield every value with its path: "rope_parameters.factor", "layer_types[3]"."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _iterate_values(f"{path}.{name}" if path else str(name), item, depth + 1)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _iterate_values(f"{path}[{number}]", item, depth + 1)
    else:
        yield path, value


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
