"""The fit of a calibration: temperatures and a bias with the smallest log loss on questions with known answers.

A prior keeps the temperatures near 1 where there are few questions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.decisions import Answer, ChoiceAnswer, NoulAnswer, Question, ScoreAnswer, State

from langchain_gptoss.decisions.calibration import DecisionCalibration, compute_model_digest
from langchain_gptoss.decisions.model import GptOssDecisions
from langchain_gptoss.errors import InvalidInputError

_KINDS = ("noul", "choice", "score")
_MAX_TEMPERATURE = 100.0
_PRIOR_DEVIATION = 0.5  # of the logarithm of a temperature
_MAX_BIAS = 10.0
_MAX_LOGIT = 500.0
_BIAS_STEPS = 12
_MIN_PROBABILITY = 1e-15
_GOLDEN = (math.sqrt(5) - 1) / 2
_SEARCH_STEPS = 40  # narrow an interval to 1e-8 of its width


@dataclass(frozen=True, kw_only=True)
class LabelledDecision:
    """A question with its right answer.

    Attributes:
        state: The state that the question is about.
        question: A `Noul`, `Choice` or `Score`.
        answer: True or False for a `Noul`, the label for a `Choice`, the level for a `Score`.
    """

    state: State
    question: Question
    answer: bool | str | int


def fit_calibration(
    decisions: GptOssDecisions,
    examples: Sequence[LabelledDecision],
    *,
    answers: Sequence[Answer] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> DecisionCalibration:
    """Ask the model questions with known answers, and return the calibration with the smallest log loss on them.

    Kinds of questions without examples keep the model's own distribution. A few hundred examples of a kind are enough;
    do not measure on them afterwards. Several examples about one text cost little more than one: the model reads the
    text once if they follow each other.

    Args:
        decisions: The model; its own calibration is not used.
        examples: Questions with answers.
        answers: The model's answers to them without a calibration, if they are known; None asks the model.
        provenance: A description of the examples, kept in the calibration.

    Raises:
        InvalidInputError: There are no examples, an answer is not one of its question's, or the numbers of examples
            and answers differ.
    """
    if not examples:
        raise InvalidInputError("There are no examples to fit a calibration on.", hint="Pass labelled questions.")
    if answers is None:
        answers = _ask(decisions, examples)
    if len(answers) != len(examples):
        raise InvalidInputError(
            f"There are {len(examples)} examples and {len(answers)} answers.", hint="Pass one answer for each example."
        )
    rows: dict[str, list[tuple[list[float], int]]] = {kind: [] for kind in _KINDS}
    for example, answer in zip(examples, answers, strict=True):
        rows[answer.type].append(_read_row(answer, example.answer))
    noul_temperature, noul_bias = _fit_yes_or_no(rows["noul"])
    counts = {kind: len(members) for kind, members in rows.items() if members}
    return DecisionCalibration(
        model=decisions.model,
        model_digest=compute_model_digest(decisions.llm),
        noul_temperature=noul_temperature,
        noul_bias=noul_bias,
        choice_temperature=_fit_temperature(rows["choice"]),
        score_temperature=_fit_temperature(rows["score"]),
        provenance={"examples": counts, **(provenance or {})},
    )


def _ask(decisions: GptOssDecisions, examples: Sequence[LabelledDecision]) -> list[Answer]:
    plain = decisions.model_copy(update={"calibration": None})
    requests: list[Any] = [{"state": item.state, "questions": {"question": item.question}} for item in examples]
    return [response.answers["question"] for response in plain.batch(requests)]


def _read_row(answer: Answer, right: bool | str | int) -> tuple[list[float], int]:
    """Return the logarithms of an answer's probabilities, and the index of the right one."""
    probabilities: dict[Any, float] = {}
    if isinstance(answer, NoulAnswer):
        probabilities = {True: answer.noul, False: 1 - answer.noul}
    elif isinstance(answer, ChoiceAnswer | ScoreAnswer):
        probabilities = dict(answer.probabilities)
    if right not in probabilities:
        raise InvalidInputError(
            f"{right!r} is not an answer of its question; these are {', '.join(map(repr, probabilities))}."
        )
    logs = [math.log(max(value, _MIN_PROBABILITY)) for value in probabilities.values()]
    return logs, list(probabilities).index(right)


def _fit_temperature(rows: Sequence[tuple[list[float], int]]) -> float:
    """Return the temperature with the smallest log loss; 1 without rows."""

    def calculate_loss(log_temperature: float) -> float:
        return _calculate_log_loss(rows, math.exp(log_temperature)) + _calculate_penalty(log_temperature)

    if not rows:
        return 1.0
    limit = math.log(_MAX_TEMPERATURE)
    return math.exp(_find_minimum(calculate_loss, -limit, limit))


def _fit_yes_or_no(rows: Sequence[tuple[list[float], int]]) -> tuple[float, float]:
    """Return temperature and bias with the smallest log loss; 1 and 0 without rows.

    The loss is convex in both, so the best bias is searched for each temperature.
    """
    if not rows:
        return 1.0, 0.0
    odds = [(logs[0] - logs[1], right == 0) for logs, right in rows]

    def calculate_loss(log_temperature: float) -> float:
        logits = [value / math.exp(log_temperature) for value, _ in odds]
        bias = _fit_bias(logits, [is_yes for _, is_yes in odds])
        loss = sum(
            _add_one_log(-(logit + bias) if is_yes else logit + bias)
            for logit, (_, is_yes) in zip(logits, odds, strict=True)
        )
        return loss + _calculate_penalty(log_temperature)

    limit = math.log(_MAX_TEMPERATURE)
    temperature = math.exp(_find_minimum(calculate_loss, -limit, limit))
    return temperature, _fit_bias([value / temperature for value, _ in odds], [is_yes for _, is_yes in odds])


def _calculate_penalty(log_temperature: float) -> float:
    """Return the cost of a temperature far from 1: a normal prior of its logarithm.

    Without it, ten questions that were all answered right would give a temperature near 0.
    """
    return (log_temperature / _PRIOR_DEVIATION) ** 2 / 2


def _fit_bias(logits: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Return the number to add to log odds so that their probabilities add up to the number of true outcomes."""
    bias, low, high = 0.0, -_MAX_BIAS, _MAX_BIAS
    for _ in range(_BIAS_STEPS):
        probabilities = [1 / (1 + math.exp(-max(-_MAX_LOGIT, min(_MAX_LOGIT, logit + bias)))) for logit in logits]
        excess = sum(probabilities) - sum(outcomes)
        low, high = (low, bias) if excess > 0 else (bias, high)
        slope = sum(p * (1 - p) for p in probabilities)
        step = bias - excess / slope if slope > 0 else math.inf
        bias = step if low < step < high else (low + high) / 2  # Newton's step, or bisection where it leaves the range
    return bias


def _add_one_log(value: float) -> float:
    """Return log(1 + exp(value))."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _calculate_log_loss(rows: Sequence[tuple[list[float], int]], temperature: float) -> float:
    loss = 0.0
    for logs, right in rows:
        logits = [value / temperature for value in logs]
        largest = max(logits)
        loss += largest + math.log(sum(math.exp(value - largest) for value in logits)) - logits[right]
    return loss


def _find_minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the place of the minimum of a function that has one, by golden-section search."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    left_value, right_value = function(left), function(right)
    for _ in range(_SEARCH_STEPS):
        if left_value < right_value:
            high, right, right_value = right, left, left_value
            left = high - _GOLDEN * (high - low)
            left_value = function(left)
        else:
            low, left, left_value = left, right, right_value
            right = low + _GOLDEN * (high - low)
            right_value = function(right)
    return (low + high) / 2
