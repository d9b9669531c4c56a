"""A vector store for one machine: exact search with FAISS, filters, safe saving.

Vectors are scaled to length 1, so that the inner product is the cosine; every score is a cosine, and higher
is nearer. Search is exact and a filter is applied before it, not after, so that k results are k results. A
saved store holds no pickle, is checked before it is opened, and is replaced as a whole: a crash leaves the
old one or the new one.
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever

from langchain_gptoss._faiss_files import (
    DOCUMENTS,
    FORMAT,
    INDEX,
    MANIFEST,
    checked_manifest,
    damaged,
    json_line,
    load_files,
    model_name,
    save_files,
)
from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Filter = Mapping[str, Any] | Callable[[Mapping[str, Any]], bool]
"""Metadata that must be equal, or a function of the metadata that says whether a document may be found."""

_MISSING = object()
_RETRIEVED = 8


class FaissStore(VectorStore):
    """Documents and their vectors, in memory, searched exactly.

    All methods may be called from several threads at once. Returned Documents are copies. A vector of zeros
    is allowed: it is at cosine 0 from everything.

    Args:
        embedding: The embedding model. Its dimension is learned from the first vectors.
    """

    def __init__(self, embedding: Embeddings) -> None:
        self._embedding = embedding
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self._index: Any = None  # faiss.IndexIDMap2, from the first vectors on
        self._documents: dict[int, Document] = {}  # by FAISS key
        self._keys: dict[str, int] = {}  # FAISS key by Document id
        self._next_key = 0

    def __len__(self) -> int:
        return len(self._documents)

    def __bool__(self) -> bool:
        return True  # an empty store is a store: `store or default` must not drop it

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model."""
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Returns a store that holds some texts; the arguments are those of `add_texts`."""
        store = cls(embedding)
        store.add_texts(texts, metadatas, ids=ids, **kwargs)
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
            metadatas: One dict per text.
            ids: One id per text; None in place of an id makes a new one.
            **kwargs: Ignored: LangChain's indexing API hands over its `batch_size`.

        Returns:
            The ids, in the order of the texts.

        Raises:
            InvalidInputError: The numbers of texts, metadatas and ids differ, or the embedding model returned
                vectors that cannot be used.
        """
        texts = list(texts)
        for name, values in (("metadatas", metadatas), ("ids", ids)):
            if values is not None and len(values) != len(texts):
                raise InvalidInputError(f"There are {len(texts)} texts and {len(values)} {name}; give one each.")
        documents = [
            Document(id=id_, page_content=text, metadata=metadata)
            for text, metadata, id_ in zip(texts, metadatas or repeat({}), ids or repeat(None), strict=False)
        ]
        return self.add_embedded(documents, self._embedding.embed_documents(texts) if texts else [])

    def add_embedded(self, documents: Sequence[Document], vectors: Sequence[Sequence[float]] | Vectors) -> list[str]:
        """Adds documents with vectors made elsewhere; an id that is already there is replaced.

        Args:
            documents: The documents. One without an id gets a new one; of several with the same id the last
                is kept.
            vectors: One vector per document, of any length but all of the store's dimension.

        Returns:
            The ids, in the order of the documents.

        Raises:
            InvalidInputError: Numbers or dimensions differ, or a vector holds NaN or infinity.
        """
        if len(documents) != len(vectors):
            raise InvalidInputError(f"There are {len(documents)} texts and {len(vectors)} vectors; give one each.")
        if not documents:
            return []
        unit = _unit_vectors(vectors)
        ids = [document.id or str(uuid.uuid4()) for document in documents]
        rows = {id_: row for row, id_ in enumerate(ids)}
        kept = [_copy(documents[row], id_=id_) for id_, row in rows.items()]
        with self._lock:
            self._check_dimension(unit)
            self._put(kept, unit[list(rows.values())])
        return ids

    def _put(self, documents: list[Document], unit: Vectors) -> None:
        faiss, np = require("faiss", extra="rag"), require("numpy", extra="rag")
        if self._index is None:
            self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(unit.shape[1]))
        keys = range(self._next_key, self._next_key + len(documents))
        self._index.add_with_ids(unit, np.array(keys, dtype=np.int64))
        self._next_key = keys.stop
        self._remove([document.id for document in documents])
        for key, document in zip(keys, documents, strict=True):
            self._documents[key] = document
            self._keys[str(document.id)] = key

    def _remove(self, ids: Iterable[str | None]) -> None:
        gone = [self._keys.pop(id_) for id_ in ids if id_ is not None and id_ in self._keys]
        if gone:
            np = require("numpy", extra="rag")
            self._index.remove_ids(np.array(gone, dtype=np.int64))
            for key in gone:
                del self._documents[key]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Deletes documents; an id that is not there is no error.

        Args:
            ids: What to delete. None deletes everything.
            **kwargs: Ignored.

        Returns:
            True: afterwards none of the ids is in the store.
        """
        with self._lock:
            if ids is None:
                self._clear()
            else:
                self._remove(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Returns the documents with these ids, in their order; an id that is not there is left out."""
        with self._lock:
            return [_copy(self._documents[self._keys[id_]]) for id_ in ids if id_ in self._keys]

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Returns the k documents nearest to a query, nearest first.

        Args:
            query: The query.
            k: How many documents, at most.
            filter: Which documents may be found: a dict of metadata that must be equal, or a function of the
                metadata. It is applied before the search.
            **kwargs: None are known; a misspelt `filter` must not be ignored.

        Raises:
            InvalidInputError: `k` is below 1, an option is unknown, or the query's vector cannot be used.
        """
        found = self.similarity_search_with_score(query, k, filter=filter, **kwargs)
        return [document for document, _ in found]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Returns documents as `similarity_search`, each with its cosine in [-1, 1]; higher is nearer."""
        _check_options(k, kwargs)
        return self._search(self._embedding.embed_query(query), k, filter)

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
            filter: Which documents may be found, as in `similarity_search`.
            **kwargs: None are known.

        Raises:
            InvalidInputError: As in `similarity_search`, or `lambda_mult` is outside [0, 1].
        """
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter=filter, **kwargs)

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
        np = require("numpy", extra="rag")
        query = _unit_vectors([embedding])
        with self._lock:
            keys = [key for key, _ in self._nearest(query, max(k, fetch_k), filter)]
            if not keys:
                return []
            vectors = self._index.reconstruct_batch(np.array(keys, dtype=np.int64))
            return [_copy(self._documents[keys[row]]) for row in _diverse(query[0], vectors, k, lambda_mult)]

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
        return _relevance

    def _search(self, vector: Sequence[float], k: int, filter: Filter | None) -> list[tuple[Document, float]]:
        query = _unit_vectors([vector])
        with self._lock:
            return [(_copy(self._documents[key]), score) for key, score in self._nearest(query, k, filter)]

    def _nearest(self, query: Vectors, k: int, filter: Filter | None) -> list[tuple[int, float]]:
        """Returns FAISS keys and cosines, nearest first. The caller holds the lock."""
        self._check_dimension(query)
        allowed = self._allowed(filter)
        k = min(k, len(self._documents) if allowed is None else len(allowed))
        if k == 0:
            return []
        params = None
        if allowed is not None:
            faiss, np = require("faiss", extra="rag"), require("numpy", extra="rag")
            selector = faiss.IDSelectorBatch(np.array(allowed, dtype=np.int64))
            params = faiss.SearchParameters(sel=selector)
        scores, keys = self._index.search(query, k, params=params)
        # Rounding takes float32 products of unit vectors past 1.
        return [(int(key), max(-1.0, min(1.0, float(score)))) for key, score in zip(keys[0], scores[0], strict=True)]

    def _allowed(self, filter: Filter | None) -> list[int] | None:
        if filter is None:
            return None
        if callable(filter):
            # Read-only: a filter that writes would write into the store.
            return [key for key, doc in self._documents.items() if filter(MappingProxyType(doc.metadata))]
        if not isinstance(filter, Mapping):
            raise InvalidInputError(f"filter is a {type(filter).__name__}; give a dict of metadata or a function.")
        wanted = filter.items()
        return [
            key
            for key, document in self._documents.items()
            if all(document.metadata.get(name, _MISSING) == value for name, value in wanted)
        ]

    def _check_dimension(self, vectors: Vectors) -> None:
        if self._index is not None and vectors.shape[1] != self._index.d:
            raise InvalidInputError(
                f"The vector has {vectors.shape[1]} dimensions and the store's have {self._index.d}. "
                "Use the embedding model that the store was made with."
            )

    def save(self, folder: str | Path) -> None:
        """Saves the store, in place of the one that is there.

        A crash leaves the old store or the new one. Several processes may save and load at the same place.

        Args:
            folder: A folder that is new, empty or holds a saved store. A `.NAME.lock` file appears beside it.

        Raises:
            InvalidInputError: The folder holds other files, or metadata is not JSON.
            StorageError: The disk is full or the folder cannot be written.
        """
        with self._lock:
            files = self._serialised()
        save_files(Path(folder).resolve(), files)

    def _serialised(self) -> dict[str, bytes]:
        faiss = require("faiss", extra="rag")
        files = {
            INDEX: b"" if self._index is None else faiss.serialize_index(self._index).tobytes(),
            DOCUMENTS: b"".join(json_line(key, document) for key, document in self._documents.items()),
        }
        manifest = {
            "format": FORMAT,
            "metric": "cosine",
            "dimension": None if self._index is None else self._index.d,
            "count": len(self._documents),
            "embedding_model": model_name(self._embedding),
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        }
        return {**files, MANIFEST: json.dumps(manifest, indent=2).encode()}

    @classmethod
    def load(cls, folder: str | Path, embedding: Embeddings) -> Self:
        """Returns a saved store.

        Args:
            folder: Where it was saved.
            embedding: The embedding model it was made with; one text is embedded to check the dimension.

        Raises:
            IndexStoreError: The store is missing, altered, newer than this version or made with another
                embedding model.
        """
        place = Path(folder).resolve()
        files = load_files(place)
        manifest = checked_manifest(place, files, embedding)
        store = cls(embedding)
        try:
            store._restore(files, manifest)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise damaged(place, str(error)) from error
        return store

    def _restore(self, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
        for line in files[DOCUMENTS].splitlines():
            row = json.loads(line.decode("utf-8", "surrogatepass"))
            document = Document(id=row["id"], page_content=row["page_content"], metadata=row["metadata"])
            self._documents[row["key"]] = document
            self._keys[row["id"]] = row["key"]
        self._next_key = max(self._documents, default=-1) + 1
        keys: list[int] = []
        if manifest["dimension"] is not None:
            faiss, np = require("faiss", extra="rag"), require("numpy", extra="rag")
            self._index = faiss.deserialize_index(np.frombuffer(files[INDEX], dtype=np.uint8))
            keys = faiss.vector_to_array(self._index.id_map).tolist()
            if (self._index.d, self._index.metric_type) != (
                manifest["dimension"],
                faiss.METRIC_INNER_PRODUCT,
            ):
                raise ValueError("its index is not the one its manifest describes")
        if sorted(keys) != sorted(self._documents) or len(keys) != manifest["count"]:
            raise ValueError("its index and its documents do not belong together")


class FaissRetriever(VectorStoreRetriever):
    """A retriever whose documents carry their cosine, so that a chatbot can decline when nothing is near.

    `metadata["relevance_score"]` is set for the search types "similarity" and "similarity_score_threshold".
    """

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.search_type == "mmr":
            return super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)
        options = self.search_kwargs | kwargs
        threshold = self._threshold(options)
        return _scored(self.vectorstore.similarity_search_with_score(query, **options), threshold)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.search_type == "mmr":
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)
        options = self.search_kwargs | kwargs
        threshold = self._threshold(options)
        return _scored(await self.vectorstore.asimilarity_search_with_score(query, **options), threshold)

    def _threshold(self, options: dict[str, Any]) -> float:
        return options.pop("score_threshold") if self.search_type == "similarity_score_threshold" else 0.0


def _scored(found: list[tuple[Document, float]], threshold: float) -> list[Document]:
    for document, score in found:
        document.metadata["relevance_score"] = score
    return [document for document, score in found if _relevance(score) >= threshold]


def _relevance(cosine: float) -> float:
    return max(0.0, cosine)


def _copy(document: Document, *, id_: str | None = None) -> Document:
    metadata = copy.deepcopy(document.metadata)
    return Document(id=id_ or document.id, page_content=document.page_content, metadata=metadata)


def _check_options(k: int, unknown: Mapping[str, Any]) -> None:
    if k < 1:
        raise InvalidInputError(f"k is {k} and must be at least 1.")
    if unknown:
        raise InvalidInputError(f"Unknown search option {', '.join(map(repr, unknown))}. Known are k and filter.")


def _unit_vectors(vectors: Sequence[Sequence[float]] | Vectors) -> Vectors:
    np = require("numpy", extra="rag")
    try:
        with np.errstate(over="ignore"):  # too large for float32 becomes infinity, which is refused below
            array = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] == 0:
        raise InvalidInputError("The vectors are not lists of numbers, all of one length. Check the embedding model.")
    if not np.isfinite(array).all():
        raise InvalidInputError("A vector holds NaN or infinity. Check the embedding model and the text it was given.")
    length = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))[:, None]
    unit: Vectors = np.ascontiguousarray(array / np.where(length == 0, 1, length), dtype=np.float32)
    return unit


def _diverse(query: Vectors, vectors: Vectors, k: int, weight: float) -> list[int]:
    """Returns rows by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""
    relevance = vectors @ query
    chosen = [int(relevance.argmax())]
    while len(chosen) < min(k, len(vectors)):
        gain = weight * relevance - (1 - weight) * (vectors @ vectors[chosen].T).max(axis=1)
        gain[chosen] = -float("inf")
        chosen.append(int(gain.argmax()))
    return chosen
