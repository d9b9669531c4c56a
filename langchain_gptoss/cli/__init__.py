"""The command line `gptoss`."""

from langchain_gptoss.cli.app import main

__all__ = ["main"]
