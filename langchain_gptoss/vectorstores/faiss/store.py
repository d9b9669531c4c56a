"""A vector store for one machine, with FAISS for the vectors and SQLite for the documents.

Filters are applied before the search, so a search for k documents returns k documents if so many match. Texts stay on
disk, so a million chunks of 384 dimensions fit into a gigabyte of memory. A saved store contains no pickle, is verified
before it is opened, and is replaced as a whole: after a crash the folder has either the old store or the new one.
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
from langchain_gptoss.vectorstores.faiss.community import read_community_folder
from langchain_gptoss.vectorstores.faiss.core import StoreCore, load_core
from langchain_gptoss.vectorstores.faiss.documents import make_row
from langchain_gptoss.vectorstores.faiss.index_kinds import IndexInfo
from langchain_gptoss.vectorstores.faiss.retriever import FaissRetriever
from langchain_gptoss.vectorstores.filters import Filter
from langchain_gptoss.vectorstores.query_cache import aembed_query, embed_query
from langchain_gptoss.vectorstores.similarity import (
    RELEVANCE_FUNCTIONS,
    SCORE_FUNCTIONS,
    Metric,
    normalize_vectors,
    select_diverse,
    validate_vectors,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

DEFAULT_RETRIEVED = 8


class FaissStore(VectorStore):
    """Documents and their vectors, on this machine.

    All methods are thread-safe, and a search does not wait for embedding, training or saving. Returned Documents are
    copies.

    Metrics and scores: `"cosine"` scales vectors to length 1 and scores with the cosine, in [-1, 1] (a vector of zeros
    scores 0 with everything); `"inner_product"` scores with the inner product of the vectors as they are; `"l2"` scores
    with the Euclidean distance, lower is nearer. Relevance is in [0, 1] and higher is nearer: the cosine, or 0 if it is
    negative; `0.5 + 0.5 s / (1 + |s|)` for an inner product `s`; `1 / (1 + d)` for a distance `d`.

    Filters are applied before the search. A filter is a dict such as `{"lang": "fr", "year": {"$gte": 2024}}`, with
    `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin`, `$contains` (an item of a list, or a part of a string),
    `$contains_any` (one of some items of a list) and `$exists` on fields, `$and`, `$or` and `$not` around filters, and
    dotted paths for nested fields. Or it is a function of the metadata, which is called for every document. On a
    missing field every operator except `$exists` is false, `$ne` too.

    Args:
        embedding: The embedding model. The store takes the dimension from the first vectors.
        metric: How vectors are compared: "cosine", "inner_product" or "l2".
        index: The FAISS index: "Flat", "SQ8", "IVF<lists>,SQ8" or "IVF<lists>,Flat", the last two with ",disk" to
            leave the lists in a file. None chooses by size and free memory; `index_info` names the choice and the
            reason.

    Raises:
        InvalidInputError: The metric or the index is unknown.
    """

    def __init__(self, embedding: Embeddings, *, metric: Metric = "cosine", index: str | None = None) -> None:
        self._embedding = embedding
        self._core = StoreCore(metric, index)

    def __len__(self) -> int:
        return len(self._core)

    def __bool__(self) -> bool:
        return True  # so that `store or default` keeps an empty store

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model."""
        return self._embedding

    @property
    def index_info(self) -> IndexInfo:
        """The FAISS index, and the reason for it."""
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
        """Return a store with some texts; for the arguments see the class and `add_texts`."""
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
        """Async version of `from_texts`."""
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
        """Embed and add texts; documents with the same ids are replaced.

        Args:
            texts: The texts.
            metadatas: One dict per text, with values that JSON can represent.
            ids: One id per text; a None among them becomes a new id.
            **kwargs: Ignored. LangChain's indexing API passes its `batch_size`.

        Returns:
            The ids, in the order of the texts.

        Raises:
            InvalidInputError: The numbers of texts, metadatas and ids differ, metadata cannot be written as JSON, or
                the embedding model returned invalid vectors. The store is unchanged then.
        """
        documents = _build_documents(texts, metadatas, ids)
        texts = [document.page_content for document in documents]
        return self.add_with_vectors(documents, self._embedding.embed_documents(texts) if texts else [])

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Async version of `add_texts`, with the async method of the embedding model."""
        documents = _build_documents(texts, metadatas, ids)
        texts = [document.page_content for document in documents]
        vectors = await self._embedding.aembed_documents(texts) if texts else []
        return await run_in_executor(None, self.add_with_vectors, documents, vectors)

    def add_with_vectors(
        self, documents: Sequence[Document], vectors: Sequence[Sequence[float]] | Vectors
    ) -> list[str]:
        """Add documents with vectors that were computed elsewhere; documents with the same ids are replaced.

        Args:
            documents: The documents. One without an id gets a new one; of several with the same id the last is kept.
            vectors: One vector per document, of shape (documents, dimension).

        Returns:
            The ids, in the order of the documents.

        Raises:
            InvalidInputError: Numbers or dimensions differ, a vector contains NaN or infinity, or metadata cannot be
                written as JSON.
            StorageError: The disk for temporary files is full.
        """
        if vectors is None or len(documents) != len(vectors):
            count = "no" if vectors is None else len(vectors)
            raise InvalidInputError(
                f"There are {len(documents)} texts and {count} vectors.", hint="Give one vector per text."
            )
        if not documents:
            return []
        prepared = self._prepare_vectors(vectors)
        self._core.check_dimension(prepared)
        own_ids = [document.id for document in documents]
        ids = [id_ or str(uuid.uuid4()) for id_ in own_ids]
        row_by_id = {id_: row for row, id_ in enumerate(ids)}
        if len(row_by_id) < len(ids):
            prepared = prepared[list(row_by_id.values())]
        rows = [make_row(id_, documents[row].page_content, documents[row].metadata) for id_, row in row_by_id.items()]
        possibly_known_ids = list(dict.fromkeys(id_ for id_ in own_ids if id_))
        self._core.add(list(row_by_id), rows, prepared, possibly_known_ids=possibly_known_ids)
        return ids

    def iterate_metadata(self) -> Iterator[dict[str, Any]]:
        """Yield the metadata of all documents."""
        return self._core.iterate_metadata()

    def iterate_with_vectors(self, batch_size: int = 1000) -> Iterator[tuple[list[Document], Vectors]]:
        """Yield all documents with their vectors, to move them elsewhere without embedding them again.

        The vectors are those in the store: of length 1 for "cosine", approximate if stored in 8 bits. Documents that
        are deleted, added or replaced during the iteration may be left out.

        Args:
            batch_size: Number of documents in a batch, at most.

        Raises:
            InvalidInputError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise InvalidInputError(f"batch_size is {batch_size}.", hint="Use 1 or more.")
        return self._core.iterate_with_vectors(batch_size)

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents; unknown ids are ignored.

        Args:
            ids: Ids of the documents. None deletes all documents.
            **kwargs: Ignored.

        Returns:
            True.
        """
        self._core.delete(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids, in their order; unknown ids are left out."""
        return self._core.get_by_ids(ids)

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k documents nearest to a query, nearest first.

        Args:
            query: The query.
            k: Number of documents, at most.
            filter: The documents that may be returned; see the class.
            **kwargs: Rejected, so that a misspelt `filter` is not ignored.

        Raises:
            InvalidInputError: `k` is below 1, an option or an operator of the filter is unknown, or the vector of the
                query is invalid.
        """
        results = self.similarity_search_with_score(query, k, filter=filter, **kwargs)
        return [document for document, _ in results]

    async def asimilarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Async version of `similarity_search`."""
        results = await self.asimilarity_search_with_score(query, k, filter=filter, **kwargs)
        return [document for document, _ in results]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return documents like `similarity_search`, each with its score by the metric."""
        _check_options(k, kwargs)
        return self._search(embed_query(self._embedding, query), k, filter)

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Async version of `similarity_search_with_score`."""
        _check_options(k, kwargs)
        return await run_in_executor(None, self._search, await aembed_query(self._embedding, query), k, filter)

    def score_documents(self, query: str, ids: Sequence[str], *, filter: Filter | None = None) -> dict[str, float]:
        """Return the scores of given documents, however far from the query they are.

        Args:
            query: The query.
            ids: Ids of documents. Unknown ids and documents that do not match the filter are left out. All are left out
                if inverted lists are in a file, because it would have to be read completely.
            filter: The documents that may be returned; see the class.

        Returns:
            The scores of `similarity_search_with_score`, by id.

        Raises:
            InvalidInputError: An operator of the filter is unknown, or the vector of the query is invalid.
        """
        convert_score = SCORE_FUNCTIONS[self._core.metric]
        vector = self._prepare_vectors([embed_query(self._embedding, query)])
        scores = self._core.score_documents(vector, ids, filter)
        return {id_: convert_score(score) for id_, score in scores.items()}

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return documents like `similarity_search`, for a vector."""
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
        """Return k of the `fetch_k` nearest documents, selected to be near the query and unlike each other.

        Args:
            query: The query.
            k: Number of documents, at most.
            fetch_k: Number of documents to select from; at least `k` are used.
            lambda_mult: From 0 (only unlike each other) to 1 (only near the query).
            filter: The documents that may be returned; see the class.
            **kwargs: Rejected.

        Raises:
            InvalidInputError: As in `similarity_search`, or `lambda_mult` is outside [0, 1].
        """
        vector = embed_query(self._embedding, query)
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
        """Async version of `max_marginal_relevance_search`."""
        vector = await aembed_query(self._embedding, query)
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
        """Return documents like `max_marginal_relevance_search`, for a vector."""
        _check_options(k, kwargs)
        if not 0 <= lambda_mult <= 1:
            raise InvalidInputError(f"lambda_mult is {lambda_mult}.", hint="Use a number from 0 to 1.")
        query = self._prepare_vectors([embedding])
        direction = normalize_vectors(query)[0]

        def select(vectors: Vectors) -> list[int]:
            return select_diverse(direction, normalize_vectors(vectors), k, lambda_mult)

        results = self._core.search(query, max(k, fetch_k), filter, select)
        return [document for document, _ in results]

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
        """Async version of `max_marginal_relevance_search_by_vector`."""
        search = self.max_marginal_relevance_search_by_vector
        return await run_in_executor(None, search, embedding, k, fetch_k, lambda_mult, filter=filter, **kwargs)

    def as_retriever(self, **kwargs: Any) -> FaissRetriever:
        """Return a retriever that puts the relevance of each document in `metadata["relevance_score"]`.

        It returns 8 documents unless `search_kwargs` contains another `k`, because chunks are small and a chatbot
        selects among several.

        Args:
            **kwargs: The arguments of `VectorStore.as_retriever`: `search_type`, `search_kwargs`, `tags`.
        """
        tags = kwargs.pop("tags", None) or self._get_retriever_tags()
        search_kwargs = {"k": DEFAULT_RETRIEVED} | (kwargs.pop("search_kwargs", None) or {})
        return FaissRetriever(vectorstore=self, tags=tags, search_kwargs=search_kwargs, **kwargs)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return RELEVANCE_FUNCTIONS[self._core.metric]

    def _search(self, vector: Sequence[float], k: int, filter: Filter | None) -> list[tuple[Document, float]]:
        convert_score = SCORE_FUNCTIONS[self._core.metric]
        results = self._core.search(self._prepare_vectors([vector]), k, filter)
        return [(document, convert_score(score)) for document, score in results]

    def _prepare_vectors(self, vectors: Sequence[Sequence[float]] | Vectors) -> Vectors:
        """Return vectors in the form in which the store compares them."""
        validated = validate_vectors(vectors)
        return normalize_vectors(validated) if self._core.metric == "cosine" else validated

    def save(self, folder: str | Path) -> None:
        """Save the store, in place of the one in the folder. Writes nothing if nothing changed since the last save.

        After a crash the folder has either the old store or the new one. Searches continue during a save, other changes
        wait. Several processes may save to and load from one folder.

        Args:
            folder: A folder that is new, empty or contains a saved store. A `.NAME.lock` file appears beside it.

        Raises:
            InvalidInputError: The folder contains other files.
            IndexStoreError: Another process has been saving or loading there for a minute.
            StorageError: The disk is full or the folder cannot be written.
        """
        self._core.save(Path(folder).resolve(), self._embedding)

    @classmethod
    def load(cls, folder: str | Path, embedding: Embeddings, *, index: str | None = None) -> Self:
        """Return a saved store. Changes to it do not change the folder until it is saved again.

        Args:
            folder: The folder given to `save`.
            embedding: The embedding model that the store was made with; one text is embedded to check the dimension.
            index: The FAISS index to change to when documents are added; None keeps the saved choice.

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
        """Return a store with the documents and vectors of a folder that langchain-community's FAISS saved.

        Nothing is embedded again, no code that the folder's pickle names is imported or run, and the folder is not
        changed. Save the store to another folder, once, and load that one from then on.

        Args:
            folder: The folder given to `FAISS.save_local`.
            embedding: The embedding model that the folder was made with; one text is embedded to check the dimension.
            index_name: The name given to `save_local`.
            metric: How vectors are compared; None uses the metric of the folder's index, which is "l2" by default.
                Give "cosine" for a store made with `normalize_L2=True`, because the folder does not record it.
            index: The FAISS index; see the class.

        Raises:
            IndexStoreError: A file is missing or damaged or names other objects than documents, the two files do not
                belong together, or the vectors cannot be read or have another dimension than the model's.
            InvalidInputError: Metadata cannot be written as JSON, or the metric or the index is unknown.
        """
        content = read_community_folder(Path(folder).resolve(), index_name, embedding, metric)
        store = cls(embedding, metric=content.metric, index=index)
        store.add_with_vectors(content.documents, content.vectors)
        return store


def _build_documents(
    texts: Iterable[str], metadatas: Sequence[Mapping[str, Any]] | None, ids: Sequence[str | None] | None
) -> list[Document]:
    texts = list(texts)
    for name, values in (("metadatas", metadatas), ("ids", ids)):
        if values is not None and len(values) != len(texts):
            raise InvalidInputError(f"There are {len(texts)} texts and {len(values)} {name}.", hint="Give one each.")
    return [
        Document(id=id_, page_content=text, metadata=metadata or {})
        for text, metadata, id_ in zip(texts, metadatas or repeat({}), ids or repeat(None), strict=False)
    ]


def _check_options(k: int, unknown_options: Mapping[str, Any]) -> None:
    if k < 1:
        raise InvalidInputError(f"k is {k}.", hint="Use 1 or more.")
    if unknown_options:
        names = ", ".join(map(repr, unknown_options))
        raise InvalidInputError(f"Unknown search option {names}.", hint="The options are k and filter.")
