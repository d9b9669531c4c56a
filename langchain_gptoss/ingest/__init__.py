"""From a folder of files to an index: load, split, embed, store.

Each step is usable alone and hands over LangChain `Document`s, so that any of them can be replaced.
"""

from langchain_gptoss.ingest.index import index_documents
from langchain_gptoss.ingest.load import SUPPORTED_SUFFIXES, Skipped, load_documents
from langchain_gptoss.ingest.split import split_documents

__all__ = ["SUPPORTED_SUFFIXES", "Skipped", "index_documents", "load_documents", "split_documents"]
