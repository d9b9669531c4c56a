"""The engine interface: a request of token ids goes in, a stream of token ids comes out.

An engine has no notion of messages, chat formats or LangChain. One thread owns the model. Other threads and event loops
read its tokens from streams.
"""

from abc import ABC, abstractmethod

from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.stats import EngineStats
from langchain_gptoss.engine.token_stream import TokenStream


class Engine(ABC):
    """Runs one model.

    `submit` checks the request and returns at once; the tokens follow on the stream. Any thread may call it, and
    overlapping requests advance together. `close` ends the running generations with an error and frees the model;
    `submit` raises an error after that.
    """

    @property
    @abstractmethod
    def context_length(self) -> int:
        """Length of the model's context in tokens, prompt and answer together."""

    @abstractmethod
    def submit(self, request: GenerationRequest) -> TokenStream:
        """Start a generation and return the stream of its tokens.

        Raises:
            ContextLengthError: The prompt leaves no space for an answer.
            InvalidInputError: The prompt is empty, or the request has a value that cannot work.
            EngineBusyError: Too many requests wait.
            GptOssError: The engine is closed.
        """

    @property
    def stats(self) -> EngineStats:
        """State and counters at this moment; an engine that does not count returns zeros."""
        return EngineStats(finished={})

    @abstractmethod
    def close(self) -> None:
        """End every generation with an error and free the model; a second call does nothing."""
