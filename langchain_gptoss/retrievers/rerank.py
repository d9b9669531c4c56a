"""Order retrieved documents by a model that reads question and passage together."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from pydantic import model_validator

from langchain_gptoss.retrievers.adapters import (
    AnyRetriever,
    Count,
    aask,
    ask,
    checked_k,
)
from langchain_gptoss.retrievers.fusion import distinct
from langchain_gptoss.retrievers.relevance_scorers import Scorer, reordered, scorer_of
from langchain_gptoss.vectorstores.filters import Filter


class RerankRetriever(BaseRetriever):
    """Orders what a retriever finds anew, by a model that reads question and passage together.

    `metadata["relevance_score"]` becomes the model's score, from 0 to 1 for a `CrossEncoder` and for a judge. Passages
    that a judge did not grade come last, in the retriever's order and without a score; where it graded none, the
    retriever's order and scores stand.

    Attributes:
        retriever: Finds the candidates: a vector store, a retriever or a Runnable from a query to documents.
        reranker: The name of a sentence-transformers cross-encoder (loaded when it is first needed), an object with
            `predict(pairs)` or `score(pairs)`, or a chat model as judge.
        k: How many documents are returned, at most.
        depth: How many candidates the model reads; at least `k` are.
        batch_size: Pairs that a cross-encoder reads at a time.
    """

    retriever: AnyRetriever
    reranker: Any
    k: Count = 10
    depth: Count = 30
    batch_size: Count = 32

    @model_validator(mode="after")
    def _check_reranker(self) -> Self:
        scorer_of(self.reranker, batch_size=self.batch_size)
        return self

    @cached_property
    def _scorer(self) -> Scorer:
        return scorer_of(self.reranker, batch_size=self.batch_size)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        k = checked_k(self.k if k is None else k)
        config = RunnableConfig(callbacks=run_manager.get_child())
        found = distinct(
            ask(self.retriever, query, k=max(k, self.depth), filter=filter, callbacks=run_manager.get_child())
        )
        texts = [document.page_content for document in found]
        return reordered(found, self._scorer.score(query, texts, config) if found else [])[:k]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        k = checked_k(self.k if k is None else k)
        config = RunnableConfig(callbacks=run_manager.get_child())
        found = distinct(
            await aask(self.retriever, query, k=max(k, self.depth), filter=filter, callbacks=run_manager.get_child())
        )
        texts = [document.page_content for document in found]
        return reordered(found, await self._scorer.ascore(query, texts, config) if found else [])[:k]
