"""From files to an index: load, split, embed and store documents, and keep the index up to date with the files.

Each step can be used alone and returns LangChain `Document`s, so that any of them can be replaced.
"""

from langchain_gptoss.ingest.index import index_documents
from langchain_gptoss.ingest.lengths import create_token_counter
from langchain_gptoss.ingest.load import load_documents
from langchain_gptoss.ingest.readers.registry import SUPPORTED_SUFFIXES
from langchain_gptoss.ingest.sources import FileWarning, SkippedFile
from langchain_gptoss.ingest.split import split_documents
from langchain_gptoss.ingest.sync.check import CheckReport, Difference, check_index
from langchain_gptoss.ingest.sync.progress import Progress
from langchain_gptoss.ingest.sync.synchronize import SyncReport, sync_documents
from langchain_gptoss.ingest.sync.target import open_store
from langchain_gptoss.ingest.sync.watch import watch_documents

__all__ = [
    "SUPPORTED_SUFFIXES",
    "CheckReport",
    "Difference",
    "FileWarning",
    "Progress",
    "SkippedFile",
    "SyncReport",
    "check_index",
    "create_token_counter",
    "index_documents",
    "load_documents",
    "open_store",
    "split_documents",
    "sync_documents",
    "watch_documents",
]
