"""Stop strings: text that ends an answer and is not part of it, however it is cut into tokens."""

from collections.abc import Sequence

from langchain_gptoss.errors import InvalidInputError


class StopFilter:
    """Passes text on, holding back what may turn out to be the beginning of a stop string.

    Attributes:
        stopped: Whether a stop string was found; nothing passes after it.
    """

    def __init__(self, stops: Sequence[str] | str) -> None:
        """Takes the stop strings; there may be none.

        Raises:
            InvalidInputError: One of them is empty, which would stop every answer at once, or is no string.
        """
        stops = [stops] if isinstance(stops, str) else stops
        if not isinstance(stops, Sequence):
            raise InvalidInputError(f"stop is {stops!r}; it must be a list of strings.")
        for stop in stops:
            if not isinstance(stop, str):
                raise InvalidInputError(f"stop holds {stop!r}; it must be a list of strings.")
        if any(not stop for stop in stops):
            raise InvalidInputError("A stop string is empty; remove it from the stop list.")
        self.stopped = False
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, text: str) -> str:
        """Returns the text that can be shown now."""
        if self.stopped:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        found = [position for stop in self._stops if (position := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """Returns what was held back, when the answer ended without a stop string."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Returns the length of the longest end of `text` that begins `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)
