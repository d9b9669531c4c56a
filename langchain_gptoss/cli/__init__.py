"""The command line: `gptoss demo | ask | chat | serve`."""

from langchain_gptoss.cli.app import main

__all__ = ["main"]
