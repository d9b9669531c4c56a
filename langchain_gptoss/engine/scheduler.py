"""The one thread that owns the model.

A generation is a generator that yields one token, alone or with its log-probabilities, or None for work without a
token (a piece of the prompt), at each step, and returns why it ended. The scheduler gives every live generation one
step in turn, so that a long prompt does not stop the others, and looks before each step whether somebody still listens.
"""

import queue
import threading
from collections.abc import Generator

from langchain_gptoss.engine.base import FinishReason, TokenLogprobs, TokenStream
from langchain_gptoss.errors import GptOssError

Step = int | tuple[int, TokenLogprobs] | None
Generation = Generator[Step, None, FinishReason]
_Job = tuple[TokenStream, Generation]


class Scheduler:
    """Runs generations side by side on one thread, which starts with the first of them."""

    def __init__(self, name: str, *, max_live: int = 8) -> None:
        """Takes the thread's name and how many generations may hold a KV cache at a time; further ones wait."""
        self._name = name
        self._max_live = max_live
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, generation: Generation, stream: TokenStream | None = None) -> TokenStream:
        """Queues a generation; all of its code runs on the scheduler's thread.

        Args:
            generation: Yields a token a step.
            stream: Where its tokens go, if the generation itself has to know it; None makes one.

        Raises:
            GptOssError: The scheduler was closed.
        """
        stream = stream or TokenStream()
        with self._lock:
            if self._closed:
                raise GptOssError("This model was closed. Create a new ChatGptOss to load it again.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._waiting.put((stream, generation))
        return stream

    def close(self) -> None:
        """Cancels every generation and waits for the step in progress."""
        with self._lock:
            self._closed = True
            self._waiting.put(None)
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        live: list[_Job] = []
        while not self._closed:
            while len(live) < self._max_live and not (live and self._waiting.empty()):
                job = self._waiting.get()
                if job is None:
                    break
                live.append(job)
            live = [job for job in live if self._closed or _step(*job)]  # those that close() overtakes are ended below
        while not self._waiting.empty():
            if (job := self._waiting.get()) is not None:
                live.append(job)
        for stream, _ in live:
            stream.finish("cancelled")


def _step(stream: TokenStream, generation: Generation) -> bool:
    """Takes one step and returns whether there is another."""
    try:
        if stream.cancelled:
            generation.close()
            return False
        made = next(generation)
    except StopIteration as end:
        stream.finish(end.value)
        return False
    except Exception as error:  # whatever it is, it belongs to the listener, and the others go on
        stream.fail(error)
        return False
    if isinstance(made, tuple):
        stream.put(*made)
    elif made is not None:
        stream.put(made)
    return True
