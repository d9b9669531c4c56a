"""BM25 search: an inverted index that is updated in place, and the retriever over it."""

from langchain_gptoss.retrievers.bm25.retriever import BM25Retriever

__all__ = ["BM25Retriever"]
