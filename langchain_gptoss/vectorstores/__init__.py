"""Vector stores: FAISS on this machine, and an adapter that makes Qdrant behave like it.

Import the public names from here: `from langchain_gptoss.vectorstores import FaissStore`.
"""

from langchain_gptoss.vectorstores.faiss.index_kinds import IndexInfo
from langchain_gptoss.vectorstores.faiss.retriever import FaissRetriever
from langchain_gptoss.vectorstores.faiss.store import FaissStore
from langchain_gptoss.vectorstores.filters import Filter
from langchain_gptoss.vectorstores.similarity import Metric

__all__ = ["FaissRetriever", "FaissStore", "Filter", "IndexInfo", "Metric"]
