"""A limit on requests a minute for each caller."""

import time
from collections import OrderedDict

_MAX_CALLERS = 10_000  # the callers seen longest ago are forgotten


class RateLimiter:
    """Token buckets: a caller may use a minute's requests at once, and then one whenever it is due."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, per_minute: int, now: float | None = None) -> float:
        """Count a request and return 0, or return the seconds until the next request is allowed.

        Args:
            caller: Name of the bucket.
            per_minute: Requests a minute.
            now: Time in seconds on a monotonic clock; None reads the clock.
        """
        now = time.monotonic() if now is None else now
        tokens, last_time = self._buckets.pop(caller, (float(per_minute), now))
        tokens = min(float(per_minute), tokens + (now - last_time) * per_minute / 60)
        is_allowed = tokens >= 1
        self._buckets[caller] = (tokens - 1 if is_allowed else tokens, now)
        if len(self._buckets) > _MAX_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if is_allowed else (1 - tokens) * 60 / per_minute
