"""Retrievers: BM25, hybrid search, reranking, question rewriting from the conversation, and neighbouring chunks.

All of them are LangChain retrievers and work on top of other LangChain retrievers, so they can be combined in any
order. They take `k` and `filter` in the call: `retriever.invoke("...", k=3, filter={"lang": "fr"})`. Retrievers put
their score in `metadata["relevance_score"]`.
"""

from langchain_gptoss.retrievers.bm25 import BM25Retriever
from langchain_gptoss.retrievers.history import HistoryAwareRetriever
from langchain_gptoss.retrievers.hybrid import HybridRetriever
from langchain_gptoss.retrievers.neighbours import NeighbourRetriever
from langchain_gptoss.retrievers.query_rewriting import HistoryInput, RewrittenQuestion
from langchain_gptoss.retrievers.rerank import RerankRetriever

__all__ = [
    "BM25Retriever",
    "HistoryAwareRetriever",
    "HistoryInput",
    "HybridRetriever",
    "NeighbourRetriever",
    "RerankRetriever",
    "RewrittenQuestion",
]
