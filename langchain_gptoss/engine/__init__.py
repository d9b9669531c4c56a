"""Token ids in, token ids out: what runs a model, and a scripted engine for tests and examples."""

from langchain_gptoss.engine.base import (
    Engine,
    FinishReason,
    Grammar,
    Request,
    SamplingParams,
    TokenLogprobs,
    TokenStream,
)
from langchain_gptoss.engine.runners.scripted import ScriptedEngine

__all__ = [
    "Engine",
    "FinishReason",
    "Grammar",
    "Request",
    "SamplingParams",
    "ScriptedEngine",
    "TokenLogprobs",
    "TokenStream",
]
