"""Run synchronizations that are killed, in forks of one process: starting Python takes longer than they do.

Each line of input is a run, in JSON; each line of output is its status from `waitpid`.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from langchain_gptoss.ingest.sync import apply, manifest
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.ingest.sync_helpers import synchronize

KILL_POINTS = {
    "put": (manifest.Manifest, "put"),
    "remove": (manifest.Manifest, "remove"),
    "add": (FaissStore, "add_with_vectors"),
    "delete": (FaissStore, "delete"),
    "save": (FaissStore, "save"),
    "replace": (os, "replace"),
    "fsync": (os, "fsync"),
}


def kill_at_call(function: Callable[..., Any], count: int, *, after: bool) -> Callable[..., Any]:
    """Return a function that kills its process at its `count`-th call, before or after it does its work."""
    calls_left = count

    def run(*arguments: Any, **options: Any) -> Any:
        nonlocal calls_left
        calls_left -= 1
        if calls_left == 0 and not after:
            os.kill(os.getpid(), 9)
        result = function(*arguments, **options)
        if calls_left == 0:
            os.kill(os.getpid(), 9)
        return result

    return run


def run_child(run: dict[str, Any]) -> None:
    """Synchronize, and kill this process at the requested point."""
    apply.BATCH_SIZE, apply.SAVE_INTERVAL_S, apply._SAVE_SHARE = 9, 0.0, 0
    if run["point"]:
        owner, name = KILL_POINTS[run["point"]]
        setattr(owner, name, kill_at_call(getattr(owner, name), run["count"], after=run["after"]))
    synchronize(run["docs"], run["place"])


def main() -> None:
    """Run each line of the input in a fork, and print its status."""
    for line in sys.stdin:
        run = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                run_child(run)
                os._exit(0)
            finally:
                os._exit(1)
        if run["seconds"] is not None:
            time.sleep(run["seconds"])
            os.kill(pid, 9)
        sys.stdout.write(f"{os.waitpid(pid, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
