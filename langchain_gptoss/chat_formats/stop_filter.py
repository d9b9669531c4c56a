"""Stop strings: text that ends an answer and is not part of it, also when tokens divide it."""

from collections.abc import Sequence

from langchain_gptoss.errors import InvalidInputError


class StopFilter:
    """Filter that passes text on until a stop string, and holds back text that may begin one.

    Attributes:
        is_stopped: True after a stop string; no text passes any more.
    """

    def __init__(self, stops: Sequence[str] | str) -> None:
        """Create a filter.

        Args:
            stops: One stop string or several; an empty list passes all text on at once.

        Raises:
            InvalidInputError: A stop string is empty, which would end every answer at once, or is not a string.
        """
        stops = [stops] if isinstance(stops, str) else stops
        if not isinstance(stops, Sequence):
            raise InvalidInputError(f"stop is {stops!r}; it must be a list of strings.")
        for stop in stops:
            if not isinstance(stop, str):
                raise InvalidInputError(f"stop holds {stop!r}; it must be a list of strings.")
        if any(not stop for stop in stops):
            raise InvalidInputError("A stop string is empty.", hint="Remove it from the stop list.")
        self.is_stopped = False
        self._stops = tuple(stops)
        self._pending = ""

    def feed(self, text: str) -> str:
        """Return the text that is certain to come before any stop string."""
        if self.is_stopped:
            return ""
        if not self._stops:
            return text
        text = self._pending + text
        positions = [position for stop in self._stops if (position := text.find(stop)) >= 0]
        if positions:
            self.is_stopped = True
            self._pending = ""
            return text[: min(positions)]
        held_length = max(measure_overlap(text, stop) for stop in self._stops)
        self._pending = text[len(text) - held_length :]
        return text[: len(text) - held_length]

    def flush(self) -> str:
        """Return the text that was held back; called when the answer ends without a stop string."""
        pending, self._pending = self._pending, ""
        return pending


def measure_overlap(text: str, marker: str) -> int:
    """Return the length of the longest end of `text` that begins `marker` and is shorter than it."""
    longest = min(len(text), len(marker) - 1)
    return next((size for size in range(longest, 0, -1) if marker.startswith(text[-size:])), 0)
