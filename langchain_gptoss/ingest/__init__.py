"""From files to an index: load, split, embed, store; and keep the index in step with the files.

Each step is usable alone and hands over LangChain `Document`s, so that any of them can be replaced.
"""

from langchain_gptoss.ingest.index import index_documents
from langchain_gptoss.ingest.lengths import token_counter
from langchain_gptoss.ingest.load import SUPPORTED_SUFFIXES, load_documents
from langchain_gptoss.ingest.sources import Skipped
from langchain_gptoss.ingest.split import split_documents
from langchain_gptoss.ingest.sync.check import CheckReport, Difference, check_index
from langchain_gptoss.ingest.sync.synchronize import Progress, SyncReport, sync_documents
from langchain_gptoss.ingest.sync.target import open_store
from langchain_gptoss.ingest.sync.watch import watch_documents

__all__ = [
    "SUPPORTED_SUFFIXES",
    "CheckReport",
    "Difference",
    "Progress",
    "Skipped",
    "SyncReport",
    "check_index",
    "index_documents",
    "load_documents",
    "open_store",
    "split_documents",
    "sync_documents",
    "token_counter",
    "watch_documents",
]
