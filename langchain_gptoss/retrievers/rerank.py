"""Reranking: retrieved documents ordered by a model that reads question and passage together."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

from langchain_core.callbacks import (
    Callbacks,
)
from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig
from pydantic import model_validator

from langchain_gptoss._flow import Flow
from langchain_gptoss.retrievers.adapters import AnyRetriever, Count, check_k, query_retriever
from langchain_gptoss.retrievers.flow_retriever import FlowRetriever
from langchain_gptoss.retrievers.fusion import deduplicate
from langchain_gptoss.retrievers.relevance_scorers import RelevanceScorer, create_scorer, order_by_scores
from langchain_gptoss.vectorstores.filters import Filter


class RerankRetriever(FlowRetriever):
    """Orders the documents of another retriever by a model that reads question and passage together.

    `metadata["relevance_score"]` becomes the model's score, from 0 to 1 for a `CrossEncoder`, a decision model and a
    chat model. Passages that a chat model did not grade come last, in the retriever's order and without a score. If it
    graded no passage, the retriever's order and scores stay.

    Attributes:
        retriever: Finds the candidates: a vector store, a retriever or a Runnable from a query to documents.
        reranker: The name of a sentence-transformers cross-encoder (loaded at the first use), an object with
            `predict(pairs)` or `score(pairs)`, a decision model (a `ChatGptOss` is used as one), or a chat model as
            judge.
        k: Maximum number of documents.
        depth: Number of candidates that the model reads, at least `k`.
        batch_size: Number of pairs that a cross-encoder reads at once.
    """

    retriever: AnyRetriever
    reranker: Any
    k: Count = 10
    depth: Count = 30
    batch_size: Count = 32

    @model_validator(mode="after")
    def _check_reranker(self) -> Self:
        create_scorer(self.reranker, batch_size=self.batch_size)
        return self

    @cached_property
    def _scorer(self) -> RelevanceScorer:
        return create_scorer(self.reranker, batch_size=self.batch_size)

    def _retrieve(
        self, query: str, *, callbacks: Callbacks, k: int | None = None, filter: Filter | None = None
    ) -> Flow[list[Document]]:
        k = check_k(self.k if k is None else k)
        candidates = yield from query_retriever(
            self.retriever, query, k=max(k, self.depth), filter=filter, callbacks=callbacks
        )
        documents = deduplicate(candidates)
        if not documents:
            return []
        texts = [document.page_content for document in documents]
        scores = yield from self._scorer.score(query, texts, RunnableConfig(callbacks=callbacks))
        return order_by_scores(documents, scores)[:k]
