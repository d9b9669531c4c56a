"""Vectors of an embedding model: checked, scaled, scored, told apart. Pure functions over numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores.faiss.index import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


def _cosine(product: float) -> float:
    return max(-1.0, min(1.0, product))  # rounding takes products of unit vectors past 1


def _distance(squared: float) -> float:
    return math.sqrt(max(0.0, squared))


SCORE: Mapping[Metric, Callable[[float], float]] = {"cosine": _cosine, "inner_product": float, "l2": _distance}
RELEVANCE_KEY = "relevance_score"
"""The metadata field in which retrievers put their score."""
RELEVANCE: Mapping[Metric, Callable[[float], float]] = {
    "cosine": lambda cosine: max(0.0, cosine),
    "inner_product": lambda product: 0.5 + 0.5 * product / (1.0 + abs(product)),
    "l2": lambda distance: 1.0 / (1.0 + distance),
}


def checked_vectors(vectors: Sequence[Sequence[float]] | Vectors) -> Vectors:
    """Return vectors as a float32 array of shape (count, dimension).

    Raises:
        InvalidInputError: They are not numeric, differ in length, or hold NaN or infinity.
    """
    np = require("numpy", extra="rag")
    try:
        with np.errstate(over="ignore"):  # too large for float32 becomes infinity, which is refused below
            array: Vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] == 0:
        raise InvalidInputError("The vectors are not lists of numbers, all of one length. Check the embedding model.")
    if not np.isfinite(array).all():
        raise InvalidInputError("A vector holds NaN or infinity. Check the embedding model and the text it was given.")
    return array


def unit(vectors: Vectors) -> Vectors:
    """Return vectors scaled to length 1; a vector of zeros stays."""
    np = require("numpy", extra="rag")
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    unit: Vectors = np.ascontiguousarray(vectors / np.where(length == 0, 1, length), dtype=np.float32)
    return unit


def diverse(query: Vectors, vectors: Vectors, k: int, weight: float) -> list[int]:
    """Returns rows by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""
    relevance = vectors @ query
    chosen = [int(relevance.argmax())]
    while len(chosen) < min(k, len(vectors)):
        gain = weight * relevance - (1 - weight) * (vectors @ vectors[chosen].T).max(axis=1)
        gain[chosen] = -float("inf")
        chosen.append(int(gain.argmax()))
    return chosen
