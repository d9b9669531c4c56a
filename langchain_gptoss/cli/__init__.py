"""The command line: `gptoss demo | ask | chat | doctor | serve`."""

from langchain_gptoss.cli.app import main

__all__ = ["main"]
