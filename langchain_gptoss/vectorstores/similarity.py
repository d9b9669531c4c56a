"""Embedding vectors: validation, normalization, scores, and selection of diverse vectors. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Metric = Literal["cosine", "inner_product", "l2"]
"""How two vectors are compared."""
METRICS: tuple[Metric, ...] = get_args(Metric)
RELEVANCE_KEY = "relevance_score"
"""The metadata field in which retrievers put their score."""


def _clip_cosine(product: float) -> float:
    return max(-1.0, min(1.0, product))  # rounding takes products of unit vectors past 1


def _compute_distance(squared: float) -> float:
    return math.sqrt(max(0.0, squared))


SCORE_FUNCTIONS: Mapping[Metric, Callable[[float], float]] = {
    "cosine": _clip_cosine,
    "inner_product": float,
    "l2": _compute_distance,
}
"""By metric: converts the number that FAISS returns into the score that the user gets."""
RELEVANCE_FUNCTIONS: Mapping[Metric, Callable[[float], float]] = {
    "cosine": lambda cosine: max(0.0, cosine),
    "inner_product": lambda product: 0.5 + 0.5 * product / (1.0 + abs(product)),
    "l2": lambda distance: 1.0 / (1.0 + distance),
}
"""By metric: converts a score into the relevance, which is in [0, 1] and higher for nearer documents."""


def validate_vectors(vectors: Sequence[Sequence[float]] | Vectors) -> Vectors:
    """Return vectors as a float32 array of shape (count, dimension).

    Raises:
        InvalidInputError: The vectors are not numeric, differ in length, or contain NaN or infinity.
    """
    np = require("numpy", extra="rag")
    try:
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinity, which is rejected below
            array: Vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] == 0:
        raise InvalidInputError(
            "The vectors are not lists of numbers that all have one length.", hint="Check the embedding model."
        )
    if not np.isfinite(array).all():
        raise InvalidInputError(
            "A vector contains NaN or infinity.", hint="Check the embedding model and the text it was given."
        )
    return array


def normalize_vectors(vectors: Vectors) -> Vectors:
    """Return vectors scaled to length 1; a vector of zeros stays as it is."""
    np = require("numpy", extra="rag")
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    normalized: Vectors = np.ascontiguousarray(vectors / np.where(length == 0, 1, length), dtype=np.float32)
    return normalized


def select_diverse(query: Vectors, vectors: Vectors, k: int, relevance_weight: float) -> list[int]:
    """Return the rows that maximal marginal relevance selects (Carbonell and Goldstein, SIGIR 1998).

    Args:
        query: The query, of shape (dimension,).
        vectors: The candidates, of shape (count, dimension), all of length 1.
        k: Number of rows, at most.
        relevance_weight: From 0 (only unlike each other) to 1 (only near the query).
    """
    relevance = vectors @ query
    selected = [int(relevance.argmax())]
    while len(selected) < min(k, len(vectors)):
        redundancy = (vectors @ vectors[selected].T).max(axis=1)
        gain = relevance_weight * relevance - (1 - relevance_weight) * redundancy
        gain[selected] = -float("inf")
        selected.append(int(gain.argmax()))
    return selected
