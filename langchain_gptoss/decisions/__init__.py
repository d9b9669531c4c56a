"""Decisions about a text: typed questions, answered with calibrated probabilities in one pass of a model."""

from langchain_gptoss.decisions.calibration import DecisionCalibration, compute_model_digest
from langchain_gptoss.decisions.fitting import LabelledDecision, fit_calibration
from langchain_gptoss.decisions.metrics import (
    ReliabilityBin,
    build_reliability_table,
    compute_brier_score,
    compute_calibration_error,
    compute_log_loss,
)
from langchain_gptoss.decisions.model import GptOssDecisions, as_decision_model
from langchain_gptoss.decisions.prompts import PromptPrefix

__all__ = [
    "DecisionCalibration",
    "GptOssDecisions",
    "LabelledDecision",
    "PromptPrefix",
    "ReliabilityBin",
    "as_decision_model",
    "build_reliability_table",
    "compute_brier_score",
    "compute_calibration_error",
    "compute_log_loss",
    "compute_model_digest",
    "fit_calibration",
]
