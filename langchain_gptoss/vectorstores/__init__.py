"""Vector stores: FAISS on this machine, and an adapter that gives Qdrant the same meaning.

The public names are imported from here: `from langchain_gptoss.vectorstores import FaissStore`.
"""

from langchain_gptoss.vectorstores.faiss.index import IndexInfo, Metric
from langchain_gptoss.vectorstores.faiss.retriever import FaissRetriever
from langchain_gptoss.vectorstores.faiss.store import FaissStore
from langchain_gptoss.vectorstores.filters import Filter

__all__ = ["FaissRetriever", "FaissStore", "Filter", "IndexInfo", "Metric"]
