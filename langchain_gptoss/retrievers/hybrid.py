"""Hybrid search: several retrievers combined into one ranked list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.callbacks import (
    Callbacks,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import model_validator

from langchain_gptoss._flow import Flow, gather
from langchain_gptoss.retrievers.adapters import (
    AnyRetriever,
    Count,
    SupportsScoring,
    check_k,
    query_retriever,
    score_candidates,
    select_active_retrievers,
)
from langchain_gptoss.retrievers.flow_retriever import FlowRetriever
from langchain_gptoss.retrievers.fusion import Fusion, RankedList
from langchain_gptoss.vectorstores.filters import Filter
from langchain_gptoss.vectorstores.query_cache import cache_query_vectors

# Chosen on half of PIAF: with retrievers that can score candidates, twice the depth gains 0.002 nDCG@10 and takes 1.6
# times as long.
_DEPTH_WITH_SCORING, _DEPTH = 100, 200


class HybridRetriever(FlowRetriever):
    """Queries several retrievers and merges their documents into one ranked list, each document once.

    By default the scores of each retriever are standardized over the query's candidates and added by weight, so that
    clear differences count more than small ones. If the documents of a retriever have no `metadata["relevance_score"]`,
    their rank counts: the first like a score of 1, later ones less. If a retriever did not return a candidate, it is
    asked for the candidate's score; `BM25Retriever`, `FaissStore` and every retriever with a method
    `score_documents(query, ids)` can answer. With other retrievers, such a candidate counts as if it were below the
    last document that they returned.

    Documents have two scores in their metadata. `fused_score` decides the order and can be compared within one query
    only. `relevance_score` is the weighted mean of the retrievers' relevance and can be compared between queries.

    Attributes:
        retrievers: Vector stores, retrievers or Runnables from a query to documents. None is left out, so that a
            retriever can be optional.
        weights: Weight of each retriever; None means the same for all.
        k: Maximum number of documents.
        fusion: `"scores"`, or `"ranks"` for reciprocal rank fusion.
        depth: Number of documents requested from each retriever, at least `k`. None means 100 for a retriever with
            `score_documents` and 200 for others, and 200 for all with `fusion="ranks"`.
    """

    retrievers: list[AnyRetriever]
    weights: list[float] | None = None
    k: Count = 10
    fusion: Literal["scores", "ranks"] = "scores"
    depth: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_inactive(cls, values: Any) -> Any:
        """Drop retrievers that are None or have weight 0, with their weights."""
        if not isinstance(values, Mapping) or not isinstance(values.get("retrievers"), Sequence):
            return values
        retrievers, weights = select_active_retrievers(values["retrievers"], values.get("weights"))
        return {**values, "retrievers": retrievers, "weights": weights}

    def _retrieve(
        self, query: str, *, callbacks: Callbacks, k: int | None = None, filter: Filter | None = None
    ) -> Flow[list[Document]]:
        k = check_k(self.k if k is None else k)
        by_ranks, depths = self.fusion == "ranks", [self._choose_depth(retriever, k) for retriever in self.retrievers]
        with cache_query_vectors():
            results = yield from gather(
                query_retriever(retriever, query, k=depth, filter=filter, callbacks=callbacks)
                for retriever, depth in zip(self.retrievers, depths, strict=True)
            )
            fusion = self._create_fusion(results, depths)
            later_scores = yield from gather(
                score_candidates(retriever, query, [] if by_ranks else fusion.find_unscored_ids(number), filter)
                for number, retriever in enumerate(self.retrievers)
            )
        return fusion.rank(by_ranks=by_ranks, later_scores=later_scores, k=k)

    def _choose_depth(self, retriever: BaseRetriever, k: int) -> int:
        has_scoring = self.fusion == "scores" and isinstance(retriever, SupportsScoring)
        return max(k, self.depth or (_DEPTH_WITH_SCORING if has_scoring else _DEPTH))

    def _create_fusion(self, results: Sequence[list[Document]], depths: Sequence[int]) -> Fusion:
        weights = self.weights or [1.0] * len(results)
        return Fusion(
            [
                RankedList(documents=documents, weight=weight, is_cut=len(documents) >= depth)
                for documents, weight, depth in zip(results, weights, depths, strict=True)
            ]
        )
