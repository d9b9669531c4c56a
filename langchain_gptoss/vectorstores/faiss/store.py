"""A vector store for one machine: FAISS for the vectors, SQLite for the documents, filters before the search.

A filter is applied before the search, not after, so that k results are k results. Texts stay on disk, so that a
million chunks of 384 dimensions fit into a gigabyte. A saved store holds no pickle, is checked before it is opened,
and is replaced as a whole: a crash leaves the old one or the new one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores.faiss.community import read_community
from langchain_gptoss.vectorstores.faiss.core import Core, load_core
from langchain_gptoss.vectorstores.faiss.documents import row_of
from langchain_gptoss.vectorstores.faiss.index import IndexInfo, Metric
from langchain_gptoss.vectorstores.faiss.retriever import FaissRetriever
from langchain_gptoss.vectorstores.filters import Filter
from langchain_gptoss.vectorstores.query_cache import aembed_query, embed_query
from langchain_gptoss.vectorstores.similarity import RELEVANCE, SCORE, checked_vectors, diverse, unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = ["FaissRetriever", "FaissStore", "Filter", "IndexInfo", "Metric"]

_RETRIEVED = 8


class FaissStore(VectorStore):
    """Documents and their vectors, on this machine.

    All methods may be called from several threads at once, and a search does not wait for embedding, training or
    saving. Returned Documents are copies.

    Metrics and scores: `"cosine"` scales vectors to length 1 and scores with the cosine, in [-1, 1] (a vector of zeros
    is at 0 from everything); `"inner_product"` takes vectors as they are and scores with the product; `"l2"` scores
    with the Euclidean distance, lower is nearer. Relevance is in [0, 1] and higher is nearer: the cosine, or 0 where
    it is negative; `0.5 + 0.5 s / (1 + |s|)` of a product `s`; `1 / (1 + d)` of a distance `d`.

    Filters are applied before the search: a dict such as `{"lang": "fr", "year": {"$gte": 2024}}`, with `$eq`, `$ne`,
    `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin`, `$contains` (an item of a list, or a part of a text) and `$exists` on
    fields, `$and`, `$or` and `$not` around filters, and dotted paths for nested fields; or a function of the metadata,
    which is asked about every document. On a missing field every operator but `$exists` is false, `$ne` too.

    Args:
        embedding: The embedding model. Its dimension is learned from the first vectors.
        metric: What is compared: "cosine", "inner_product" or "l2".
        index: The FAISS index: "Flat", "SQ8", "IVF<lists>,SQ8" or "IVF<lists>,Flat", the last two with ",disk" to
            leave the lists in a file. None leaves it to size and memory; `index_info` says what it is and why.

    Raises:
        InvalidInputError: The metric or the index is unknown.
    """

    def __init__(self, embedding: Embeddings, *, metric: Metric = "cosine", index: str | None = None) -> None:
        self._embedding = embedding
        self._core = Core(metric, index)

    def __len__(self) -> int:
        return len(self._core)

    def __bool__(self) -> bool:
        return True  # an empty store is a store: `store or default` must not drop it

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model."""
        return self._embedding

    @property
    def index_info(self) -> IndexInfo:
        """Which FAISS index searches, and why."""
        return self._core.info

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        metric: Metric = "cosine",
        index: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Returns a store that holds some texts; the arguments are those of the class and of `add_texts`."""
        store = cls(embedding, metric=metric, index=index)
        store.add_texts(texts, metadatas, ids=ids, **kwargs)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        metric: Metric = "cosine",
        index: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Returns a store as `from_texts`."""
        store = cls(embedding, metric=metric, index=index)
        await store.aadd_texts(texts, metadatas, ids=ids, **kwargs)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embeds texts and adds them; an id that is already there is replaced.

        Args:
            texts: The texts.
            metadatas: One dict per text, of what JSON can hold.
            ids: One id per text; None in place of an id makes a new one.
            **kwargs: Ignored: LangChain's indexing API hands over its `batch_size`.

        Returns:
            The ids, in the order of the texts.

        Raises:
            InvalidInputError: The numbers of texts, metadatas and ids differ, metadata is not JSON, or the embedding
                model returned vectors that cannot be used. The store is then as before.
        """
        documents = _documents(texts, metadatas, ids)
        texts = [document.page_content for document in documents]
        return self.add_embedded(documents, self._embedding.embed_documents(texts) if texts else [])

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embeds and adds texts as `add_texts`, with the embedding model's own async method."""
        documents = _documents(texts, metadatas, ids)
        texts = [document.page_content for document in documents]
        vectors = await self._embedding.aembed_documents(texts) if texts else []
        return await run_in_executor(None, self.add_embedded, documents, vectors)

    def add_embedded(self, documents: Sequence[Document], vectors: Sequence[Sequence[float]] | Vectors) -> list[str]:
        """Adds documents with vectors made elsewhere; an id that is already there is replaced.

        Args:
            documents: The documents. One without an id gets a new one; of several with the same id the last
                is kept.
            vectors: One vector per document, all of the store's dimension.

        Returns:
            The ids, in the order of the documents.

        Raises:
            InvalidInputError: Numbers or dimensions differ, a vector holds NaN or infinity, or metadata is not JSON.
            StorageError: The disk for temporary files is full.
        """
        if vectors is None or len(documents) != len(vectors):
            count = "no" if vectors is None else len(vectors)
            raise InvalidInputError(f"There are {len(documents)} texts and {count} vectors; give one each.")
        if not documents:
            return []
        checked = self._checked(vectors)
        self._core.check_dimension(checked)
        given = [document.id for document in documents]
        ids = [id_ or str(uuid.uuid4()) for id_ in given]
        rows = {id_: row for row, id_ in enumerate(ids)}
        if len(rows) < len(ids):
            checked = checked[list(rows.values())]
        stored = [row_of(id_, documents[row].page_content, documents[row].metadata) for id_, row in rows.items()]
        known = list(dict.fromkeys(id_ for id_ in given if id_))
        self._core.add(list(rows), stored, checked, known=known)
        return ids

    def embedded(self, batch_size: int = 1000) -> Iterator[tuple[list[Document], Vectors]]:
        """Yields all documents with their vectors, to move them elsewhere without embedding them again.

        Vectors are as the store holds them: of length 1 for "cosine", approximate in 8 bits. What is deleted before
        its batch comes is left out, and so is what is added or replaced meanwhile.

        Args:
            batch_size: How many documents in a batch, at most.

        Raises:
            InvalidInputError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise InvalidInputError(f"batch_size is {batch_size} and must be at least 1.")
        return self._core.embedded(batch_size)

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Deletes documents; an id that is not there is no error.

        Args:
            ids: What to delete. None deletes everything.
            **kwargs: Ignored.

        Returns:
            True: afterwards none of the ids is in the store.
        """
        self._core.delete(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Returns the documents with these ids, in their order; an id that is not there is left out."""
        return self._core.by_ids(ids)

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Returns the k documents nearest to a query, nearest first.

        Args:
            query: The query.
            k: How many documents, at most.
            filter: Which documents may be found; see the class.
            **kwargs: None are known; a misspelt `filter` must not be ignored.

        Raises:
            InvalidInputError: `k` is below 1, an option or a filter's operator is unknown, or the query's vector
                cannot be used.
        """
        found = self.similarity_search_with_score(query, k, filter=filter, **kwargs)
        return [document for document, _ in found]

    async def asimilarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Returns documents as `similarity_search`."""
        found = await self.asimilarity_search_with_score(query, k, filter=filter, **kwargs)
        return [document for document, _ in found]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Returns documents as `similarity_search`, each with its score; what that is depends on the metric."""
        _check_options(k, kwargs)
        return self._search(embed_query(self._embedding, query), k, filter)

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Returns documents and scores as `similarity_search_with_score`."""
        _check_options(k, kwargs)
        return await run_in_executor(None, self._search, await aembed_query(self._embedding, query), k, filter)

    def scores_of(self, query: str, ids: Sequence[str], *, filter: Filter | None = None) -> dict[str, float]:
        """Returns the scores of some documents, as `similarity_search_with_score` has them, however far they are.

        Args:
            query: The query.
            ids: Ids of documents. One that is not there, or that the filter refuses, is left out. All are left out
                where inverted lists lie in a file: it would have to be read from beginning to end.
            filter: Which documents may be found; see the class.

        Raises:
            InvalidInputError: A filter's operator is unknown, or the query's vector cannot be used.
        """
        score = SCORE[self._core.metric]
        found = self._core.scores_of(self._checked([embed_query(self._embedding, query)]), ids, filter)
        return {id_: score(value) for id_, value in found.items()}

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Returns the nearest documents as `similarity_search`, to a vector."""
        _check_options(k, kwargs)
        return [document for document, _ in self._search(embedding, k, filter)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Returns k of the `fetch_k` nearest documents, chosen to be near and unlike each other.

        Args:
            query: The query.
            k: How many documents, at most.
            fetch_k: How many to choose from; at least `k` are taken.
            lambda_mult: From 0 (only unlike each other) to 1 (only near).
            filter: Which documents may be found; see the class.
            **kwargs: None are known.

        Raises:
            InvalidInputError: As in `similarity_search`, or `lambda_mult` is outside [0, 1].
        """
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter=filter, **kwargs)

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Returns documents as `max_marginal_relevance_search`."""
        vector = await self._embedding.aembed_query(query)
        search = self.max_marginal_relevance_search_by_vector
        return await run_in_executor(None, search, vector, k, fetch_k, lambda_mult, filter=filter, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Returns documents as `max_marginal_relevance_search`, for a vector."""
        _check_options(k, kwargs)
        if not 0 <= lambda_mult <= 1:
            raise InvalidInputError(f"lambda_mult is {lambda_mult} and must be between 0 and 1.")
        query = self._checked([embedding])
        towards = unit(query)[0]
        found = self._core.search(
            query, max(k, fetch_k), filter, lambda vectors: diverse(towards, unit(vectors), k, lambda_mult)
        )
        return [document for document, _ in found]

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Returns documents as `max_marginal_relevance_search_by_vector`."""
        search = self.max_marginal_relevance_search_by_vector
        return await run_in_executor(None, search, embedding, k, fetch_k, lambda_mult, filter=filter, **kwargs)

    def as_retriever(self, **kwargs: Any) -> FaissRetriever:
        """Returns a retriever whose documents carry `metadata["relevance_score"]`.

        It returns 8 documents unless `search_kwargs` names another `k`: chunks are small, and a chatbot chooses among
        several.

        Args:
            **kwargs: As of `VectorStore.as_retriever`: `search_type`, `search_kwargs`, `tags`.
        """
        tags = kwargs.pop("tags", None) or self._get_retriever_tags()
        search_kwargs = {"k": _RETRIEVED} | (kwargs.pop("search_kwargs", None) or {})
        return FaissRetriever(vectorstore=self, tags=tags, search_kwargs=search_kwargs, **kwargs)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return RELEVANCE[self._core.metric]

    def _search(self, vector: Sequence[float], k: int, filter: Filter | None) -> list[tuple[Document, float]]:
        found = self._core.search(self._checked([vector]), k, filter)
        score = SCORE[self._core.metric]
        return [(document, score(value)) for document, value in found]

    def _checked(self, vectors: Sequence[Sequence[float]] | Vectors) -> Vectors:
        checked = checked_vectors(vectors)
        return unit(checked) if self._core.metric == "cosine" else checked

    def save(self, folder: str | Path) -> None:
        """Saves the store, in place of the one that is there; a store that has not changed since writes nothing.

        A crash leaves the old store or the new one. Searches go on meanwhile, other changes wait. Several processes
        may save and load at the same place.

        Args:
            folder: A folder that is new, empty or holds a saved store. A `.NAME.lock` file appears beside it.

        Raises:
            InvalidInputError: The folder holds other files.
            IndexStoreError: Another process has been saving or loading there for a minute.
            StorageError: The disk is full or the folder cannot be written.
        """
        self._core.save(Path(folder).resolve(), self._embedding)

    @classmethod
    def load(cls, folder: str | Path, embedding: Embeddings, *, index: str | None = None) -> Self:
        """Returns a saved store. What is changed in it does not change the folder until it is saved.

        Args:
            folder: Where it was saved.
            embedding: The embedding model it was made with; one text is embedded to check the dimension.
            index: The FAISS index to change to when documents are added next; None goes on as it was saved.

        Raises:
            IndexStoreError: The store is missing, altered, newer than this version, locked by another process, or
                made with another embedding model.
            InvalidInputError: The index is unknown.
        """
        store = cls.__new__(cls)
        store._embedding = embedding
        store._core = load_core(Path(folder).resolve(), embedding, index)
        return store

    @classmethod
    def from_community(
        cls,
        folder: str | Path,
        embedding: Embeddings,
        *,
        index_name: str = "index",
        metric: Metric | None = None,
        index: str | None = None,
    ) -> Self:
        """Returns a store with the documents and vectors of a folder that langchain-community's FAISS saved.

        Nothing is embedded again, nothing that the folder's pickle names is imported or run, and the folder is only
        read: save the store elsewhere, once, and load that from then on.

        Args:
            folder: Where `FAISS.save_local` wrote.
            embedding: The embedding model it was made with; one text is embedded to check the dimension.
            index_name: As in `save_local`.
            metric: What to compare; None is what the folder's index compares, "l2" unless the user chose otherwise.
                Give "cosine" for a store made with `normalize_L2=True`, which the folder does not tell.
            index: The FAISS index, as of the class.

        Raises:
            IndexStoreError: A file is missing, damaged or names something else than documents, the two do not belong
                together, or the vectors cannot be read back or have another dimension than the model's.
            InvalidInputError: Metadata is not JSON, or the metric or the index is unknown.
        """
        found = read_community(Path(folder).resolve(), index_name, embedding, metric)
        store = cls(embedding, metric=found.metric, index=index)
        store.add_embedded(found.documents, found.vectors)
        return store


def _documents(
    texts: Iterable[str], metadatas: Sequence[Mapping[str, Any]] | None, ids: Sequence[str | None] | None
) -> list[Document]:
    texts = list(texts)
    for name, values in (("metadatas", metadatas), ("ids", ids)):
        if values is not None and len(values) != len(texts):
            raise InvalidInputError(f"There are {len(texts)} texts and {len(values)} {name}; give one each.")
    return [
        Document(id=id_, page_content=text, metadata=metadata or {})
        for text, metadata, id_ in zip(texts, metadatas or repeat({}), ids or repeat(None), strict=False)
    ]


def _check_options(k: int, unknown: Mapping[str, Any]) -> None:
    if k < 1:
        raise InvalidInputError(f"k is {k} and must be at least 1.")
    if unknown:
        raise InvalidInputError(f"Unknown search option {', '.join(map(repr, unknown))}. Known are k and filter.")
