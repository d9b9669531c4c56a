"""Qdrant as `FaissStore` is: the same filters, the same relevance, the same documents.

`QdrantVectorStore` takes Qdrant's own filters, gives relevance on another scale and no ids. Here is what makes a chain
that was built on a `FaissStore` mean the same over Qdrant. Nothing of Qdrant is imported before it is used.

In Qdrant a condition on a field holds where any item of a list meets it, `field[]` stands for the items of a list and
for nothing else, and a field that is null, missing or an empty list is "empty". A condition on a single value is
therefore one that `field` meets and `field[]` does not. All of it is documented and tested; see docs/scaling.md for the
one thing that cannot be told apart, an empty list and a missing field.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores.filters import ORDERINGS, Condition, Every, Negation, Node, Some, parse_filter
from langchain_gptoss.vectorstores.similarity import RELEVANCE as RELEVANCE_OF
from langchain_gptoss.vectorstores.similarity import RELEVANCE_KEY

if TYPE_CHECKING:
    from qdrant_client import models

    Part = models.Condition | bool

_OWN = ("_id", "_collection_name")
_METRICS = {"Cosine": "cosine", "Dot": "inner_product", "Euclid": "l2", "Manhattan": "l2"}
_EXACT_IN_FLOAT = 2**53
_POINTS_AT_ONCE = 256


def is_qdrant(store: Any) -> bool:
    """Returns whether a store is langchain-qdrant's, found out without importing it."""
    return any(
        kind.__name__ == "QdrantVectorStore" and kind.__module__.split(".")[0] == "langchain_qdrant"
        for kind in type(store).__mro__
    )


def takes_vectors(store: Any) -> bool:
    """Returns whether `put` can be used: a Qdrant store that searches with one dense vector."""
    return is_qdrant(store) and _is_dense(store)


def _is_dense(store: Any) -> bool:
    return str(getattr(store.retrieval_mode, "value", store.retrieval_mode)) == "dense"


def put(store: Any, documents: Sequence[Document], vectors: Sequence[Sequence[float]]) -> None:
    """Adds documents with vectors made elsewhere, in place of those with the same ids.

    Args:
        store: A store that `takes_vectors`.
        documents: The documents; ids are UUIDs in any form.
        vectors: One each.
    """
    from qdrant_client import models

    points = [
        models.PointStruct(
            id=document.id or uuid.uuid4().hex,
            vector={store.vector_name: list(map(float, vector))},
            payload={store.content_payload_key: document.page_content, store.metadata_payload_key: document.metadata},
        )
        for document, vector in zip(documents, vectors, strict=True)
    ]
    for start in range(0, len(points), _POINTS_AT_ONCE):
        store.client.upsert(collection_name=store.collection_name, points=points[start : start + _POINTS_AT_ONCE])


def stored(store: Any, ids: Sequence[str]) -> dict[str, Document]:
    """Returns those documents that are in a Qdrant store, under the ids that were asked for."""
    asked = {_canonical(id_): id_ for id_ in ids}
    found = (as_stored(document) for document in store.get_by_ids(list(ids)))
    return {
        (id_ := asked[_canonical(str(document.id))]): Document(
            id=id_, page_content=document.page_content, metadata=document.metadata
        )
        for document in found
    }


def _canonical(id_: str) -> str:
    try:
        return uuid.UUID(id_).hex
    except ValueError:
        return id_


def as_stored(document: Document) -> Document:
    """Returns a document with its id, and without what langchain-qdrant adds to its metadata."""
    metadata = {name: value for name, value in document.metadata.items() if name not in _OWN}
    id_ = document.metadata.get("_id", document.id)
    return Document(id=None if id_ is None else str(id_), page_content=document.page_content, metadata=metadata)


class QdrantRetriever(VectorStoreRetriever):
    """A retriever over Qdrant that takes the filters of `FaissStore` (or Qdrant's own) and gives its relevance.

    `metadata["relevance_score"]` is the cosine for a cosine collection and `FaissStore`'s relevance for others; a store
    with sparse vectors gives none, because its scores mean something within one query only.
    """

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options, threshold = self._options(kwargs)
        if self.search_type == "mmr":
            return list(map(as_stored, self.vectorstore.max_marginal_relevance_search(query, **options)))
        return self._scored(self.vectorstore.similarity_search_with_score(query, **options), threshold)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options, threshold = self._options(kwargs)
        if self.search_type == "mmr":
            return list(map(as_stored, await self.vectorstore.amax_marginal_relevance_search(query, **options)))
        return self._scored(await self.vectorstore.asimilarity_search_with_score(query, **options), threshold)

    def _options(self, kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
        options = {**self.search_kwargs, **kwargs}
        given = options.get("filter")
        if isinstance(given, Mapping) or callable(given):
            options["filter"] = qdrant_filter(given, key=getattr(self.vectorstore, "metadata_payload_key", "metadata"))
        thresholded = self.search_type == "similarity_score_threshold"
        return options, options.pop("score_threshold") if thresholded else -math.inf

    def _scored(self, found: Sequence[tuple[Document, float]], threshold: float) -> list[Document]:
        store: Any = self.vectorstore
        documents = [(as_stored(document), score) for document, score in found]
        if not _is_dense(store):
            return [document for document, score in documents if score >= threshold]
        metric: Any = _METRICS[str(getattr(store.distance, "value", store.distance))]
        kept = []
        for document, score in documents:
            if (near := RELEVANCE_OF[metric](score)) >= threshold:
                document.metadata[RELEVANCE_KEY] = float(score if metric == "cosine" else near)
                kept.append(document)
        return kept


def qdrant_filter(filter: Any, *, key: str = "metadata") -> models.Filter:
    """Returns Qdrant's filter for a filter as `FaissStore` reads it.

    It lets the same documents by, but for empty lists: Qdrant cannot tell one from a missing field, so that `$exists`,
    `$ne` and `$nin` take it for missing. `$contains` with a text needs a Qdrant that can match parts of texts.

    Args:
        filter: Conditions on the metadata.
        key: Where the metadata stands in the payload.

    Raises:
        InvalidInputError: It is a function, compares texts by order or whole lists or dicts, or cannot be understood.
    """
    if not isinstance(filter, Mapping):
        raise InvalidInputError(
            f"filter is a {type(filter).__name__}, which Qdrant cannot be asked for. Give a dict of conditions, such "
            "as {'lang': 'fr', 'year': {'$gte': 2024}}."
        )
    return _Translator(key).filter(parse_filter(filter))


class _Translator:
    """Translates one filter."""

    def __init__(self, key: str) -> None:
        from qdrant_client import models

        self._models: Any = models
        self._key = _quoted(key)

    def filter(self, node: Node) -> models.Filter:
        part: Any = self._part(node)
        if part is True:
            return self._filter()
        if part is False:
            part = self._models.HasIdCondition(has_id=[])
        return self._filter(must=[part])

    def _filter(self, **groups: Any) -> models.Filter:
        made: models.Filter = self._models.Filter(**groups)
        return made

    def _part(self, node: Node) -> Part:
        match node:
            case Condition():
                return self._condition(node)
            case Negation():
                return self._negated(self._part(node.part))
            case Every():
                return self._every(*map(self._part, node.parts))
            case Some():
                return self._some(*map(self._part, node.parts))

    def _negated(self, part: Part) -> Part:
        return not part if isinstance(part, bool) else self._filter(must_not=[part])

    def _every(self, *parts: Part) -> Part:
        kept: list[Any] = [part for part in parts if part is not True]
        if False in kept or len(kept) < 2:
            return False if False in kept else kept[0] if kept else True
        return self._filter(must=kept)

    def _some(self, *parts: Part) -> Part:
        kept: list[Any] = [part for part in parts if part is not False]
        if True in kept or len(kept) < 2:
            return True if True in kept else kept[0] if kept else False
        return self._filter(should=kept)

    def _condition(self, condition: Condition) -> Part:
        names = condition.field.split(".")
        literal, nested = self._path([condition.field]), self._path(names) if len(names) > 1 else None
        if condition.operator == "$exists":
            there = self._some(self._there(literal), False if nested is None else self._there(nested))
            return there if condition.operand else self._negated(there)
        holds = self._holds(literal, condition)
        if nested is None:
            return holds
        # A key with dots goes before a path, as in `value_at`.
        below = self._every(self._negated(self._there(literal)), self._holds(nested, condition))
        return self._some(holds, below)

    def _path(self, names: Sequence[str]) -> str:
        return ".".join([self._key, *map(_quoted, names)])

    def _there(self, path: str) -> Part:
        return self._some(self._negated(self._is_empty(path)), self._is_null(path))

    def _is_empty(self, path: str) -> Part:
        empty: Part = self._models.IsEmptyCondition(is_empty=self._models.PayloadField(key=path))
        return empty

    def _is_null(self, path: str) -> Part:
        """Null, or a list with a null in it."""
        null: Part = self._models.IsNullCondition(is_null=self._models.PayloadField(key=path))
        return null

    def _holds(self, path: str, condition: Condition) -> Part:
        name, operand = condition.operator, condition.operand
        if name in ORDERINGS:
            limit = {name[1:]: _number(condition, operand)}
            return self._single(path, lambda at: self._range(at, **limit))
        if name == "$contains":
            return self._contains(path, condition)
        wanted = operand if name in ("$in", "$nin") else [operand]
        equal = self._some(*(self._equal(path, condition, item) for item in wanted))
        return equal if name in ("$eq", "$in") else self._every(self._there(path), self._negated(equal))

    def _single(self, path: str, condition: Callable[[str], Any]) -> Part:
        """A condition on a value that is no list."""
        single: Part = self._filter(must=[condition(path)], must_not=[condition(f"{path}[]")])
        return single

    def _range(self, path: str, **limits: float) -> Any:
        return self._models.FieldCondition(key=path, range=self._models.Range(**limits))

    def _is(self, condition: Condition, value: Any) -> Callable[[str], Any]:
        """Returns what makes the condition that a value, or an item of a list, is this one."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = _number(condition, value)
            return lambda path: self._range(path, gte=number, lte=number)
        if isinstance(value, tuple):
            if value[0] is not bool:
                kind = "NaN" if value[0] is float else f"a whole {value[0].__name__}"
                raise _refused(condition, f"compare with {kind}", "Compare with single values; $contains asks for one.")
            value = value[1]
        match = self._models.MatchValue(value=value)
        return lambda path: self._models.FieldCondition(key=path, match=match)

    def _equal(self, path: str, condition: Condition, value: Any) -> Part:
        if value is None:
            return self._every(self._is_null(path), self._is_empty(path))
        return self._single(path, self._is(condition, value))

    def _contains(self, path: str, condition: Condition) -> Part:
        value = condition.operand
        if value is None:
            return self._every(self._is_null(path), self._negated(self._is_empty(path)))
        item = self._is(condition, value)
        listed = self._every(item(path), item(f"{path}[]"))
        if not isinstance(value, str):
            return listed
        if not hasattr(self._models, "MatchSubstring"):
            raise _refused(condition, "look for a part of a text", "Update qdrant-client, or use $eq or $in.")
        match = self._models.MatchSubstring(substring=value)
        part = self._single(path, lambda at: self._models.FieldCondition(key=at, match=match))
        return self._some(listed, part)


def _quoted(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    if not name or '"' in name:
        raise InvalidInputError(f"Qdrant cannot filter on a field with the name {name!r}. Give the field another name.")
    return f'"{name}"'


def _number(condition: Condition, value: Any) -> float:
    if isinstance(value, str):
        raise _refused(
            condition,
            "compare texts by their order",
            "Store a number beside the text, such as the year or a timestamp.",
        )
    if not math.isfinite(value) or abs(value) > _EXACT_IN_FLOAT:
        raise _refused(condition, f"compare exactly with {value}", "Keep numbers below 2**53, or store them as text.")
    return float(value)


def _refused(condition: Condition, what: str, instead: str) -> InvalidInputError:
    return InvalidInputError(
        f"{condition.operator} on {condition.field!r} would have Qdrant {what}, which it cannot do. {instead}"
    )
