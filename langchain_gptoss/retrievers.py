"""Retrievers: by words, by several means at once, reread by a better judge, aware of the conversation.

Each one is a LangChain retriever over other LangChain retrievers, so that they stack in any order, and each takes `k`
and `filter` in the call as well: `retriever.invoke("...", k=3, filter={"lang": "fr"})`. Where a retriever says how
relevant a document is, it says so in `metadata["relevance_score"]`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, run_in_executor
from pydantic import Field, field_validator, model_validator

from langchain_gptoss._retrieval.bm25 import K1, B, BM25Index
from langchain_gptoss._retrieval.filters import Filter, matcher
from langchain_gptoss._retrieval.fusion import RELEVANCE, Fusion, Side, distinct
from langchain_gptoss._retrieval.neighbours import passages
from langchain_gptoss._retrieval.queries import embedded_once
from langchain_gptoss._retrieval.rerankers import Scorer, reordered, scorer_of
from langchain_gptoss._retrieval.sides import (
    AnyRetriever,
    Count,
    TellsRelevance,
    aask,
    arelevance_of,
    ask,
    checked_k,
    counted,
    relevance_of,
)
from langchain_gptoss._retrieval.standalone import HistoryInput, Standalone, arewrite, read_input, rewrite
from langchain_gptoss.errors import InvalidInputError

__all__ = [
    "BM25Retriever",
    "HistoryAwareRetriever",
    "HistoryInput",
    "HybridRetriever",
    "NeighbourRetriever",
    "RerankRetriever",
    "Standalone",
]

# Chosen on half of PIAF: twice the depth finds 0.002 more nDCG@10 of sides that tell, and takes 1.6 times as long.
_DEPTH_TOLD, _DEPTH = 100, 200


class BM25Retriever(BaseRetriever):
    """Finds documents by their words (BM25), without accents and endings, in the documents' language.

    Documents can be added and deleted at any time at the cost of those documents alone; there is no index to rebuild.
    Each document returned is a copy and carries its relevance, from 0 to 1, in `metadata["relevance_score"]`: its share
    of the score that no document can reach. A document that shares no word with the query is not returned.

    Attributes:
        index: The documents. Retrievers with different `k` or `filter` may share one.
        k: How many documents are returned, at most.
        filter: Which documents may be found, in addition to a filter given in the call.
    """

    index: BM25Index = Field(default_factory=BM25Index)
    k: Count = 10
    filter: Any = None

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        language: str | None = None,
        ids: Sequence[str] | None = None,
        k1: float = K1,
        b: float = B,
        **kwargs: Any,
    ) -> Self:
        """Returns a retriever over some documents.

        Args:
            documents: The documents. One without an id gets one made of its source, place and text. `heading` or
                `title` in their metadata is searched as well.
            language: ISO 639-1 code of a language that Snowball stems, such as `"fr"`, or None to detect it (English
                and French) for each document that does not carry it in `metadata["language"]`, and for each query.
            ids: Ids in place of the documents' own.
            k1: How soon more occurrences of a word stop counting.
            b: How much longer documents are held back, from 0 to 1.
            **kwargs: `k`, `filter`, and what every LangChain retriever takes.

        Raises:
            InvalidInputError: The language is not stemmed, numbers differ, or `k1` or `b` is out of range.
            MissingDependencyError: The extra `rag` is not installed.
        """
        index = BM25Index(language, k1=k1, b=b)
        index.add(documents, ids=ids)
        return cls(index=index, **kwargs)

    @classmethod
    def from_texts(cls, texts: Iterable[str], metadatas: Iterable[dict[str, Any]] | None = None, **kwargs: Any) -> Self:
        """Returns a retriever over some texts; further arguments are those of `from_documents`."""
        texts = list(texts)
        given = [{} for _ in texts] if metadatas is None else list(metadatas)
        if len(given) != len(texts):
            raise InvalidInputError(f"There are {len(texts)} texts and {len(given)} metadatas; give one each.")
        documents = [Document(page_content=text, metadata=data) for text, data in zip(texts, given, strict=True)]
        return cls.from_documents(documents, **kwargs)

    def add_documents(self, documents: Iterable[Document], *, ids: Sequence[str] | None = None) -> list[str]:
        """Adds documents and returns their ids; an id that is already there is replaced."""
        return self.index.add(documents, ids=ids)

    def delete(self, ids: Sequence[str] | None = None) -> None:
        """Deletes documents, all of them where `ids` is None; an id that is not there is no error."""
        self.index.delete(ids)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Returns the documents with these ids, in their order; an id that is not there is left out."""
        return self.index.get_by_ids(ids)

    def save(self, folder: str | Path) -> None:
        """Saves the documents and their index, in place of what was saved there; no pickle.

        A crash leaves the old index or the new one. `k` and `filter` are not saved.

        Raises:
            InvalidInputError: A document's metadata cannot be written as JSON.
            StorageError: The disk is full or the folder cannot be written.
        """
        self.index.save(folder)

    @classmethod
    def load(cls, folder: str | Path, **kwargs: Any) -> Self:
        """Returns a retriever over a saved index; further arguments are `k`, `filter` and those of every retriever.

        Raises:
            IndexStoreError: There is none, it is damaged, or a newer version wrote it.
        """
        return cls(index=BM25Index.load(folder), **kwargs)

    def relevance_of(self, query: str, ids: Sequence[str]) -> dict[str, float]:
        """Returns the relevance of documents for a query, 0 for one that shares no word with it.

        Args:
            query: The query.
            ids: Ids of documents. One that is not there, or that the retriever's filter refuses, is left out.
        """
        return self.index.relevance_of(query, ids, [self.filter])

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun | None = None,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        found = self.index.search(query, self.k if k is None else k, [self.filter, filter])
        for document, relevance in found:
            document.metadata[RELEVANCE] = relevance
        return [document for document, _ in found]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        return await run_in_executor(None, self._get_relevant_documents, query, k=k, filter=filter)


class HybridRetriever(BaseRetriever):
    """Asks several retrievers and puts what they find into one order, each document once.

    By default every side's scores are standardised over the query's candidates and added up by weight, so that a side
    that is sure counts more than one that is not. A side whose documents carry no `metadata["relevance_score"]` counts
    by rank, its first document like a score of 1 and later ones less. A candidate that a side did not return has the
    score that the side gives it when it is asked, which a `BM25Retriever`, a `FaissStore` and every retriever with a
    method `relevance_of(query, ids)` can be; for others it counts as if it lay below the last that they returned.

    The documents carry `metadata["fused_score"]`, by which they are ordered and which means something within one query
    only, and `metadata["relevance_score"]`, the weighted mean of the sides', which can be compared between queries.

    Attributes:
        retrievers: The sides: vector stores, retrievers or Runnables from a query to documents. None is left out, so
            that a side may be optional.
        weights: What each side counts; None means the same for all.
        k: How many documents are returned, at most.
        fusion: `"scores"`, or `"ranks"` for reciprocal rank fusion.
        depth: How many documents each side is asked for; at least `k` are. None means 100 of a side with
            `relevance_of` and 200 of others, and 200 for `"ranks"`.
    """

    retrievers: list[AnyRetriever]
    weights: list[float] | None = None
    k: Count = 10
    fusion: Literal["scores", "ranks"] = "scores"
    depth: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, values: Any) -> Any:
        """Leaves out sides that are not there or count nothing, with their weights."""
        if not isinstance(values, Mapping) or not isinstance(values.get("retrievers"), Sequence):
            return values
        sides, weights = counted(values["retrievers"], values.get("weights"))
        return {**values, "retrievers": sides, "weights": weights}

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        by_ranks, depths = self.fusion == "ranks", self._depths(k)
        with embedded_once():
            found = [
                ask(side, query, k=depth, filter=filter, callbacks=run_manager.get_child())
                for side, depth in zip(self.retrievers, depths, strict=True)
            ]
            fusion = self._fusion(found, depths)
            unseen = [
                {} if by_ranks else relevance_of(side, query, fusion.unseen(number))
                for number, side in enumerate(self.retrievers)
            ]
        return fusion.ordered(by_ranks=by_ranks, unseen=unseen, k=self.k if k is None else k)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        by_ranks, depths = self.fusion == "ranks", self._depths(k)
        with embedded_once():
            calls = (
                aask(side, query, k=depth, filter=filter, callbacks=run_manager.get_child())
                for side, depth in zip(self.retrievers, depths, strict=True)
            )
            fusion = self._fusion(await asyncio.gather(*calls), depths)
            told = (
                arelevance_of(side, query, [] if by_ranks else fusion.unseen(number))
                for number, side in enumerate(self.retrievers)
            )
            unseen = await asyncio.gather(*told)
        return fusion.ordered(by_ranks=by_ranks, unseen=unseen, k=self.k if k is None else k)

    def _depths(self, k: int | None) -> list[int]:
        k = checked_k(self.k if k is None else k)
        told = _DEPTH_TOLD if self.fusion == "scores" else _DEPTH
        return [
            max(k, self.depth or (told if isinstance(side, TellsRelevance) else _DEPTH)) for side in self.retrievers
        ]

    def _fusion(self, found: Sequence[list[Document]], depths: Sequence[int]) -> Fusion:
        weights = self.weights or [1.0] * len(found)
        sides = zip(found, weights, depths, strict=True)
        return Fusion([Side(documents=docs, weight=weight, cut=len(docs) >= depth) for docs, weight, depth in sides])


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


class HistoryAwareRetriever(BaseRetriever):
    """Makes a follow-up question complete before it is searched for: "And for express?" says what it is about.

    `invoke` takes a question, or a question with the conversation before it:
    `{"question": "And for express?", "chat_history": [HumanMessage(...), AIMessage(...)]}`. Without a conversation the
    question is searched for as it is and no model is asked. A rewriting that is empty, too long, in another language or
    about something else is not used; then the question is searched for together with the one before it.

    Attributes:
        retriever: A vector store, a retriever or a Runnable from a query to documents.
        llm: The chat model that rewrites.
        k: How many documents are returned; None leaves it to the retriever.
    """

    retriever: AnyRetriever
    llm: BaseChatModel
    k: Count | None = None

    @property
    def InputType(self) -> Any:  # noqa: N802 (LangChain's name)
        """What `invoke` takes."""
        return str | HistoryInput

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Returns the documents for a question, or for a question with the conversation before it.

        Args:
            input: The question, or a `HistoryInput`.
            config: As of every Runnable.
            **kwargs: `k` and `filter`.

        Raises:
            InvalidInputError: There is no question.
        """
        question, history = read_input(input)
        return super().invoke(question, config, chat_history=history, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Returns what `invoke` does."""
        question, history = read_input(input)
        return await super().ainvoke(question, config, chat_history=history, **kwargs)

    def standalone(self, input: str | HistoryInput) -> Standalone:
        """Returns the question that would be searched for, and how it came about."""
        question, history = read_input(input)
        return rewrite(self.llm, question, history, RunnableConfig())

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        chat_history: Sequence[BaseMessage] = (),
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        config = RunnableConfig(callbacks=run_manager.get_child())
        question = rewrite(self.llm, query, chat_history, config).question
        k = self.k if k is None else checked_k(k)
        return ask(self.retriever, question, k=k, filter=filter, callbacks=run_manager.get_child())

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        chat_history: Sequence[BaseMessage] = (),
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        config = RunnableConfig(callbacks=run_manager.get_child())
        question = (await arewrite(self.llm, query, chat_history, config)).question
        k = self.k if k is None else checked_k(k)
        return await aask(self.retriever, question, k=k, filter=filter, callbacks=run_manager.get_child())


Neighbours = BM25Retriever | Sequence[Document] | Callable[[str], Sequence[Document]]


class NeighbourRetriever(BaseRetriever):
    """Returns chunks together with what stands before and after them in their source.

    Small chunks are found best and larger passages are understood best. A hit and its neighbours become one document
    with the hit's id and metadata, whose `start` and `end` are those of the whole; windows that overlap become one.
    What stands between two chunks (white space, a heading) becomes line ends, as many as it has characters, so that
    every offset stays that of the source. A hit without `source` and `start` is returned as it is.

    Attributes:
        retriever: Finds the chunks: a vector store, a retriever or a Runnable from a query to documents.
        chunks: Where the neighbours are: all chunks, a `BM25Retriever` over them, or a function from a source to its
            chunks. A filter in the call holds for neighbours too.
        before: How many chunks before a hit.
        after: How many after it.
        section: All chunks under the hit's heading (its parent) in place of `before` and `after`.
        max_chars: The most characters of one passage.
        k: How many passages are returned, at most.
    """

    retriever: AnyRetriever
    chunks: Any
    before: int = Field(default=1, ge=0)
    after: int = Field(default=1, ge=0)
    section: bool = False
    max_chars: Count = 3000
    k: Count = 10

    @field_validator("chunks")
    @classmethod
    def _by_source(cls, chunks: Neighbours) -> Callable[[str], Sequence[Document]]:
        if isinstance(chunks, BM25Retriever):
            return chunks.index.of_source
        if callable(chunks):
            return chunks
        by_source: dict[str, list[Document]] = {}
        for chunk in chunks:
            by_source.setdefault(str(chunk.metadata.get("source")), []).append(chunk)
        return lambda source: by_source.get(source, [])

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        k = checked_k(self.k if k is None else k)
        found = ask(self.retriever, query, k=self._hits(k), filter=filter, callbacks=run_manager.get_child())
        return self._passages(found, k, filter)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        k = checked_k(self.k if k is None else k)
        callbacks = run_manager.get_child()
        found = await aask(self.retriever, query, k=self._hits(k), filter=filter, callbacks=callbacks)
        return await run_in_executor(None, self._passages, found, k, filter)

    def _hits(self, k: int) -> int:
        """Returns how many chunks may be needed for `k` passages: in the worst case, all of a window are hits."""
        return k * (3 if self.section else self.before + self.after + 1)

    def _passages(self, found: Sequence[Document], k: int, filter: Filter | None) -> list[Document]:
        agrees = matcher(filter) if filter is not None else None

        def chunks_of(hit: Document) -> list[Document]:
            chunks = self.chunks(str(hit.metadata.get("source")))
            return [chunk for chunk in chunks if agrees is None or agrees(chunk.metadata)]

        return passages(
            distinct(found),
            chunks_of,
            before=self.before,
            after=self.after,
            section=self.section,
            max_chars=self.max_chars,
        )[:k]
