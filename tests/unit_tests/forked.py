"""Calls in a forked child, which must answer at once."""

import multiprocessing
import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
_MAX_WAIT_S = 60  # only a child that waits for ever needs so long


def call_forked(function: Callable[[], object]) -> Any:
    """Return the result of a function in a forked child, or the error that it raises there."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        try:
            sender.send(function())
        except Exception as error:
            sender.send(error)

    child = context.Process(target=run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of a fork beside threads
        child.start()
    try:
        assert receiver.poll(_MAX_WAIT_S), "the forked child waits for ever"
        return receiver.recv()
    finally:
        child.kill()
        child.join()
