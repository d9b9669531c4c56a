"""BM25: documents found by their words."""

from langchain_gptoss.retrievers.bm25.retriever import BM25Retriever

__all__ = ["BM25Retriever"]
