"""Tests of the package; the folders mirror `langchain_gptoss/`.

The default run is for every change and takes minutes. `make test_thorough` sets GPTOSS_THOROUGH=1 and spends ten times
as many examples on property tests and kills.
"""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository's folder."""

IS_THOROUGH = os.environ.get("GPTOSS_THOROUGH") == "1"


def scale(count: int, *, minimum: int = 10) -> int:
    """Return how many examples a test tries: `count` in a thorough run, else a tenth of it."""
    return count if IS_THOROUGH else max(count // 10, min(minimum, count))
