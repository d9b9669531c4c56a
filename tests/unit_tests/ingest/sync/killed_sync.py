"""Runs synchronisations that are killed: one process that forks, because starting Python takes longer than they do.

Each line of input is a run, in JSON; each line of output is what `waitpid` said of it.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from langchain_gptoss.ingest import sync_documents
from langchain_gptoss.ingest.sync import apply as writer
from langchain_gptoss.ingest.sync import manifest
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.ingest.sync_helpers import Hashed

PLACES = {
    "put": (manifest.Manifest, "put"),
    "remove": (manifest.Manifest, "remove"),
    "add": (FaissStore, "add_with_vectors"),
    "delete": (FaissStore, "delete"),
    "save": (FaissStore, "save"),
    "replace": (os, "replace"),
    "fsync": (os, "fsync"),
}


def deadly(function: Callable[..., Any], count: int, *, after: bool) -> Callable[..., Any]:
    """Returns a function that kills its process at its `count`-th call, before or after it did its work."""
    left = count

    def run(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            os.kill(os.getpid(), 9)
        result = function(*arguments, **options)
        if left == 0:
            os.kill(os.getpid(), 9)
        return result

    return run


def child(run: dict[str, Any]) -> None:
    writer.BATCH, writer.SAVE_SECONDS, writer._SAVE_SHARE = 9, 0.0, 0
    if run["point"]:
        owner, name = PLACES[run["point"]]
        setattr(owner, name, deadly(getattr(owner, name), run["count"], after=run["after"]))
    sync_documents(run["docs"], run["place"], embeddings=Hashed(), on_progress=lambda _: None)


def main() -> None:
    for line in sys.stdin:
        run = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                child(run)
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
