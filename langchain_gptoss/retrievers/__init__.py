"""Retrievers: by words, combined, reranked, aware of the conversation, and with neighbouring chunks.

Each one is a LangChain retriever over other LangChain retrievers, so they stack in any order. Each also takes `k` and
`filter` in the call: `retriever.invoke("...", k=3, filter={"lang": "fr"})`. Retrievers put their score in
`metadata["relevance_score"]`.
"""

from langchain_gptoss.retrievers.bm25 import BM25Retriever
from langchain_gptoss.retrievers.history import HistoryAwareRetriever
from langchain_gptoss.retrievers.hybrid import HybridRetriever
from langchain_gptoss.retrievers.neighbours import NeighbourRetriever
from langchain_gptoss.retrievers.query_rewriting import HistoryInput, Standalone
from langchain_gptoss.retrievers.rerank import RerankRetriever

__all__ = [
    "BM25Retriever",
    "HistoryAwareRetriever",
    "HistoryInput",
    "HybridRetriever",
    "NeighbourRetriever",
    "RerankRetriever",
    "Standalone",
]
