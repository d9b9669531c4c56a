"""Counts of an attack: what was tried, and what got through."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_MAX_SHOWN = 10  # of each area


class Report:
    """Counts of the attempts, by area.

    Attributes:
        tried: Number of attempts by area.
        breaches: Descriptions of what got through, by area.
    """

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.breaches: dict[str, list[str]] = {}
        self._seconds: dict[str, float] = {}

    @property
    def is_clean(self) -> bool:
        """True if nothing got through."""
        return not any(self.breaches.values())

    def check(self, area: str, is_repelled: bool, attempt: str) -> None:
        """Count an attempt.

        Args:
            area: The kind of attack.
            is_repelled: False if it got through.
            attempt: Description of the attempt and its result.
        """
        self.tried[area] += 1
        if not is_repelled:
            self.breaches.setdefault(area, []).append(attempt)

    @contextmanager
    def measure(self, area: str) -> Iterator[None]:
        """Measure the time of an area. An error of the attack itself counts as a breach, because it hides others."""
        begin = time.monotonic()
        try:
            yield
        except Exception as error:
            self.check(area, False, f"the attack ended early: {type(error).__name__}: {error}")
        self._seconds[area] = time.monotonic() - begin

    def format(self) -> str:
        """Return the counts as a table, and what got through below it."""
        lines = [f"{'area':<12}{'tried':>8}{'through':>9}{'seconds':>9}"]
        for area, count in self.tried.items():
            through = len(self.breaches.get(area, []))
            lines.append(f"{area:<12}{count:>8,}{through:>9,}{self._seconds.get(area, 0):>9.1f}")
        for area, breaches in self.breaches.items():
            lines += [f"{area}: {breach[:300]}" for breach in breaches[:_MAX_SHOWN]]
        return "\n".join(lines)
