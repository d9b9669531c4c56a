"""One thread that runs generators in turn, for engines without a model.

A generation is a generator. Each step yields one token, a token with its log-probabilities, or None for work without a
token; the return value is the finish reason. Each active generation gets one step in turn, and is checked for
cancellation before it.
"""

import queue
import threading
from collections.abc import Generator

from langchain_gptoss._process import ForkGuard
from langchain_gptoss.engine.token_stream import FinishReason, TokenLogprobs, TokenStream
from langchain_gptoss.errors import GptOssError

Step = int | tuple[int, TokenLogprobs] | None
Generation = Generator[Step, None, FinishReason]
_Job = tuple[TokenStream, Generation]


class GeneratorLoop:
    """Runs generations in turn on one thread, which starts with the first generation."""

    def __init__(self, name: str, *, max_active: int = 8) -> None:
        """Create the queue; the thread starts later.

        Args:
            name: Name of the thread.
            max_active: Maximum number of generations that take turns; further ones wait.
        """
        self._fork_guard = ForkGuard()
        self._name = name
        self._max_active = max_active
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def submit(self, generation: Generation, stream: TokenStream | None = None) -> TokenStream:
        """Queue a generation; all of its code runs on the loop's thread.

        Args:
            generation: The generation's steps.
            stream: The stream that receives the tokens, if the generation needs it too; None creates one.

        Raises:
            GptOssForkError: This process was forked after the loop was created.
            GptOssError: The loop is closed.
        """
        self._fork_guard.check("This model")  # before the lock, which another thread may have held during the fork
        stream = stream or TokenStream()
        with self._lock:
            if self._is_closed:
                raise GptOssError("This model was closed.", hint="Create a new ChatGptOss to load it again.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._queue.put((stream, generation))
        return stream

    def close(self) -> None:
        """End every generation with an error after the step in progress; do nothing in a forked process."""
        if self._fork_guard.is_forked:
            return
        with self._lock:
            self._is_closed = True
            self._queue.put(None)
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        active: list[_Job] = []
        while not self._is_closed:
            while len(active) < self._max_active and not (active and self._queue.empty()):
                job = self._queue.get()
                if job is None:
                    break
                active.append(job)
            # After close() the remaining jobs stay in the list, and the loop below ends them.
            active = [job for job in active if self._is_closed or _run_step(*job)]
        while not self._queue.empty():
            if (job := self._queue.get()) is not None:
                active.append(job)
        for stream, _ in active:
            stream.fail(GptOssError("This model was closed while it answered.", hint="Load it and ask again."))


def _run_step(stream: TokenStream, generation: Generation) -> bool:
    """Run one step of a generation; return False if it was the last one."""
    try:
        if stream.is_cancelled:
            generation.close()
            return False
        step = next(generation)
    except StopIteration as end:
        stream.finish(end.value)
        return False
    except Exception as error:  # any error belongs to this stream; the other generations continue
        stream.fail(error)
        return False
    if isinstance(step, tuple):
        stream.put(*step)
    elif step is not None:
        stream.put(step)
    return True
