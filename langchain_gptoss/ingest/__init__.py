"""From files to an index: load, split, embed, store; and keep the index in step with the files.

Each step is usable alone and hands over LangChain `Document`s, so that any of them can be replaced.
"""

from langchain_gptoss.ingest.check import CheckReport, Difference, check
from langchain_gptoss.ingest.index import index_documents
from langchain_gptoss.ingest.load import SUPPORTED_SUFFIXES, load_documents
from langchain_gptoss.ingest.measure import token_counter
from langchain_gptoss.ingest.split import split_documents
from langchain_gptoss.ingest.sync import Progress, SyncReport, sync
from langchain_gptoss.ingest.target import open_store
from langchain_gptoss.ingest.walk import Skipped
from langchain_gptoss.ingest.watch import watch

__all__ = [
    "SUPPORTED_SUFFIXES",
    "CheckReport",
    "Difference",
    "Progress",
    "Skipped",
    "SyncReport",
    "check",
    "index_documents",
    "load_documents",
    "open_store",
    "split_documents",
    "sync",
    "token_counter",
    "watch",
]
