"""Token ids in, token ids out: runs a model, or replays a script for tests and examples."""

from langchain_gptoss.engine.base import Engine
from langchain_gptoss.engine.request import GenerationRequest, Grammar, SamplingParams
from langchain_gptoss.engine.runners.scripted import ScriptedEngine
from langchain_gptoss.engine.stats import EngineStats
from langchain_gptoss.engine.token_stream import FinishReason, TokenLogprobs, TokenStream

__all__ = [
    "Engine",
    "EngineStats",
    "FinishReason",
    "GenerationRequest",
    "Grammar",
    "SamplingParams",
    "ScriptedEngine",
    "TokenLogprobs",
    "TokenStream",
]
