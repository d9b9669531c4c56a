"""An engine that replays token ids: for tests and examples, and to inspect a chat format's output."""

import threading
from collections.abc import Iterable, Sequence

from langchain_gptoss.engine.base import Engine
from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.runners.generator_loop import Generation, GeneratorLoop
from langchain_gptoss.engine.token_stream import TokenStream
from langchain_gptoss.errors import GptOssError


class ScriptedEngine(Engine):
    """Replays one list of token ids per call, in order.

    Like a model, it stops after one of the request's stop ids and at the request's token limit.

    Example:
        .. code-block:: python

            from langchain_gptoss import ChatGptOss
            from langchain_gptoss.engine import ScriptedEngine

            # <|channel|> final <|message|> Hi <|return|>
            engine = ScriptedEngine([[200005, 17196, 200008, 12194, 200002]])
            assert ChatGptOss(model="gpt-oss-20b", engine=engine).invoke("Hello").content == "Hi"

    Attributes:
        requests: The requests so far.
        steps: Total number of generated tokens.
    """

    def __init__(self, completions: Iterable[Sequence[int]], *, context_length: int = 131_072) -> None:
        """Prepare the completions.

        Args:
            completions: One list of token ids per call.
            context_length: The context length to report, in tokens.
        """
        self.requests: list[GenerationRequest] = []
        self.steps = 0
        self._completions = [list(completion) for completion in completions]
        self._context_length = context_length
        self._lock = threading.Lock()
        self._loop = GeneratorLoop("gptoss-scripted")

    @property
    def context_length(self) -> int:
        """Length of the context in tokens, prompt and answer together."""
        return self._context_length

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Start the next completion; see `Engine.submit`.

        Raises:
            GptOssError: All completions are used up.
        """
        limit = request.compute_token_limit(self._context_length)
        with self._lock:
            if len(self.requests) == len(self._completions):
                raise GptOssError(
                    f"ScriptedEngine was called {len(self._completions) + 1} times and has {len(self._completions)} "
                    "completions.",
                    hint="Pass one list of token ids for each call.",
                )
            completion = self._completions[len(self.requests)]
            self.requests.append(request)
        return self._loop.submit(self._replay(completion, request, limit))

    def close(self) -> None:
        """End every stream with an error."""
        self._loop.close()

    def _replay(self, completion: list[int], request: GenerationRequest, limit: int) -> Generation:
        for token_id in completion[:limit]:
            self.steps += 1
            yield token_id
            if token_id in request.stop_ids:
                return "stop"
        return "length" if len(completion) >= limit else "stop"
