"""Measures of probabilities: Brier score, log loss, calibration error, and the reliability table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_gptoss.errors import InvalidInputError

_MIN_PROBABILITY = 1e-12  # a wrong answer that was held impossible costs 28 and not infinity


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The predictions in one range of probability.

    Attributes:
        lower: Lower end of the range.
        upper: Upper end of the range.
        count: Number of predictions in it.
        mean_probability: Mean of their probabilities; 0 without predictions.
        frequency: Share of them that came true; 0 without predictions. It equals `mean_probability` if the
            probabilities are calibrated.
    """

    lower: float
    upper: float
    count: int
    mean_probability: float
    frequency: float


def compute_brier_score(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Return the mean squared difference between probability and outcome: 0 is perfect, 0.25 is that of always 0.5.

    Args:
        probabilities: Probability of yes for each question.
        outcomes: True where the right answer is yes.

    Raises:
        InvalidInputError: The numbers of probabilities and outcomes differ, or there are none.
    """
    _check_lengths(probabilities, outcomes)
    return sum((p - y) ** 2 for p, y in zip(probabilities, outcomes, strict=True)) / len(outcomes)


def compute_log_loss(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Return the mean of -log of the probability of the right answer; 0.693 is that of always 0.5.

    Raises:
        InvalidInputError: The numbers of probabilities and outcomes differ, or there are none.
    """
    _check_lengths(probabilities, outcomes)
    right = (p if y else 1 - p for p, y in zip(probabilities, outcomes, strict=True))
    return -sum(math.log(max(p, _MIN_PROBABILITY)) for p in right) / len(outcomes)


def build_reliability_table(
    probabilities: Sequence[float], outcomes: Sequence[bool], *, bins: int = 10
) -> list[ReliabilityBin]:
    """Return ranges of equal width from 0 to 1 with the predictions in them.

    Raises:
        InvalidInputError: The numbers of probabilities and outcomes differ, there are none, or `bins` is below 1.
    """
    _check_lengths(probabilities, outcomes)
    if bins < 1:
        raise InvalidInputError(f"bins is {bins}; it must be 1 or more.")
    members: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for pair in zip(probabilities, outcomes, strict=True):
        members[min(int(pair[0] * bins), bins - 1)].append(pair)
    return [
        ReliabilityBin(
            lower=index / bins,
            upper=(index + 1) / bins,
            count=len(pairs),
            mean_probability=sum(p for p, _ in pairs) / len(pairs) if pairs else 0.0,
            frequency=sum(y for _, y in pairs) / len(pairs) if pairs else 0.0,
        )
        for index, pairs in enumerate(members)
    ]


def compute_calibration_error(probabilities: Sequence[float], outcomes: Sequence[bool], *, bins: int = 10) -> float:
    """Return the expected calibration error: the mean distance of probability and frequency over the predictions.

    Raises:
        InvalidInputError: The numbers of probabilities and outcomes differ, there are none, or `bins` is below 1.
    """
    table = build_reliability_table(probabilities, outcomes, bins=bins)
    return sum(entry.count * abs(entry.mean_probability - entry.frequency) for entry in table) / len(outcomes)


def _check_lengths(probabilities: Sequence[float], outcomes: Sequence[bool]) -> None:
    if not outcomes or len(probabilities) != len(outcomes):
        raise InvalidInputError(
            f"There are {len(probabilities)} probabilities and {len(outcomes)} outcomes; one of each is needed for "
            "every question, and at least one question."
        )
