"""Adapter that makes langchain-qdrant's store behave like `FaissStore`: same filters, same relevance, same documents.

`QdrantVectorStore` takes Qdrant's own filters, returns relevance on another scale, and no ids. With this module a chain
built on a `FaissStore` works the same on Qdrant. Nothing of Qdrant is imported before it is used.

Rules of Qdrant that the translation of filters relies on: a condition on a field is true if any item of a list
satisfies it; `field[]` stands for the items of a list and for nothing else; a field that is null, missing or an empty
list is "empty". A condition on a single value is therefore one that `field` satisfies and `field[]` does not. An empty
list and a missing field cannot be distinguished; see docs/scaling.md.
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
from langchain_gptoss.vectorstores.filters import (
    MAX_EXACT_FLOAT,
    ORDERINGS,
    And,
    Condition,
    Node,
    Not,
    Or,
    parse_filter,
)
from langchain_gptoss.vectorstores.similarity import RELEVANCE_FUNCTIONS, RELEVANCE_KEY

if TYPE_CHECKING:
    from qdrant_client import models

    Part = models.Condition | bool

LANGCHAIN_METADATA = ("_id", "_collection_name")
"""Fields that langchain-qdrant adds to the metadata of documents."""
METRIC_BY_DISTANCE = {"Cosine": "cosine", "Dot": "inner_product", "Euclid": "l2", "Manhattan": "l2"}
UPSERT_POINTS = 256


def is_qdrant(store: Any) -> bool:
    """Return True for a store of langchain-qdrant, without importing it."""
    return any(
        kind.__name__ == "QdrantVectorStore" and kind.__module__.split(".")[0] == "langchain_qdrant"
        for kind in type(store).__mro__
    )


def supports_vectors(store: Any) -> bool:
    """Return True if `add_with_vectors` works: for a Qdrant store that searches with one dense vector."""
    return is_qdrant(store) and _is_dense(store)


def _is_dense(store: Any) -> bool:
    return str(getattr(store.retrieval_mode, "value", store.retrieval_mode)) == "dense"


def add_with_vectors(store: Any, documents: Sequence[Document], vectors: Sequence[Sequence[float]]) -> None:
    """Add documents with vectors that were computed elsewhere; documents with the same ids are replaced.

    Args:
        store: A store for which `supports_vectors` is True.
        documents: The documents; their ids are UUIDs in any form.
        vectors: One vector per document.
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
    for start in range(0, len(points), UPSERT_POINTS):
        store.client.upsert(collection_name=store.collection_name, points=points[start : start + UPSERT_POINTS])


def get_documents(store: Any, ids: Sequence[str]) -> dict[str, Document]:
    """Return the documents of a Qdrant store under the given ids; unknown ids are left out."""
    given_ids = {_canonicalize_id(id_): id_ for id_ in ids}
    documents: dict[str, Document] = {}
    for document in map(restore_document, store.get_by_ids(list(ids))):
        id_ = given_ids[_canonicalize_id(str(document.id))]
        documents[id_] = Document(id=id_, page_content=document.page_content, metadata=document.metadata)
    return documents


def _canonicalize_id(id_: str) -> str:
    try:
        return uuid.UUID(id_).hex
    except ValueError:
        return id_


def restore_document(document: Document) -> Document:
    """Return a document as it was added: with its id, and without the metadata that langchain-qdrant adds."""
    metadata = {name: value for name, value in document.metadata.items() if name not in LANGCHAIN_METADATA}
    id_ = document.metadata.get("_id", document.id)
    return Document(id=None if id_ is None else str(id_), page_content=document.page_content, metadata=metadata)


class QdrantRetriever(VectorStoreRetriever):
    """A retriever over Qdrant with the filters (or Qdrant's own) and the relevance of `FaissStore`.

    `metadata["relevance_score"]` is the cosine for a cosine collection and `FaissStore`'s relevance for others. A store
    with sparse vectors sets none, because its scores cannot be compared between queries.
    """

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options, threshold = self._split_options(kwargs)
        if self.search_type == "mmr":
            return list(map(restore_document, self.vectorstore.max_marginal_relevance_search(query, **options)))
        return self._add_relevance(self.vectorstore.similarity_search_with_score(query, **options), threshold)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options, threshold = self._split_options(kwargs)
        if self.search_type == "mmr":
            return list(map(restore_document, await self.vectorstore.amax_marginal_relevance_search(query, **options)))
        return self._add_relevance(await self.vectorstore.asimilarity_search_with_score(query, **options), threshold)

    def _split_options(self, kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
        """Return the options of the search with a translated filter, and the lowest relevance of a result."""
        options = {**self.search_kwargs, **kwargs}
        options["filter"] = self._combine_filters(self.search_kwargs.get("filter"), kwargs.get("filter"))
        has_threshold = self.search_type == "similarity_score_threshold"
        return options, options.pop("score_threshold") if has_threshold else -math.inf

    def _combine_filters(self, *filters: Any) -> models.Filter | None:
        """Return Qdrant's filter that holds where all filters hold, each this package's or Qdrant's own."""
        key = getattr(self.vectorstore, "metadata_payload_key", "metadata")
        native = [
            translate_filter(filter, key=key) if isinstance(filter, Mapping) or callable(filter) else filter
            for filter in filters
            if filter is not None
        ]
        if len(native) < 2:
            return native[0] if native else None
        from qdrant_client import models

        return models.Filter(must=native)

    def _add_relevance(self, results: Sequence[tuple[Document, float]], threshold: float) -> list[Document]:
        store: Any = self.vectorstore
        restored = [(restore_document(document), score) for document, score in results]
        if not _is_dense(store):
            return [document for document, score in restored if score >= threshold]
        metric: Any = METRIC_BY_DISTANCE[str(getattr(store.distance, "value", store.distance))]
        documents = []
        for document, score in restored:
            if (relevance := RELEVANCE_FUNCTIONS[metric](score)) >= threshold:
                document.metadata[RELEVANCE_KEY] = float(score if metric == "cosine" else relevance)
                documents.append(document)
        return documents


def translate_filter(filter: Any, *, key: str = "metadata") -> models.Filter:
    """Return Qdrant's form of a filter of `FaissStore`.

    Both match the same documents, with one exception: Qdrant cannot distinguish an empty list from a missing field, so
    `$exists`, `$ne` and `$nin` treat an empty list as missing. `$contains` with a string needs qdrant-client 1.20.

    Args:
        filter: Conditions on the metadata.
        key: The field of the payload that contains the metadata.

    Raises:
        InvalidInputError: The filter is a function, compares strings by order or whole lists or dicts, or cannot be
            parsed.
    """
    if not isinstance(filter, Mapping):
        raise InvalidInputError(
            f"filter is a {type(filter).__name__}, which Qdrant does not support.",
            hint="Use a dict of conditions, such as {'lang': 'fr', 'year': {'$gte': 2024}}.",
        )
    return _FilterTranslator(key).translate(parse_filter(filter))


class _FilterTranslator:
    """Translates filters into Qdrant's.

    Conditions that are true or false for every document are represented by True and False.

    Args:
        key: The field of the payload that contains the metadata.
    """

    def __init__(self, key: str) -> None:
        from qdrant_client import models

        self._models: Any = models
        self._key = _quote(key)

    def translate(self, node: Node) -> models.Filter:
        """Return Qdrant's form of a parsed filter."""
        part: Any = self._translate_node(node)
        if part is True:
            return self._build_filter()
        if part is False:
            part = self._models.HasIdCondition(has_id=[])
        return self._build_filter(must=[part])

    def _build_filter(self, **groups: Any) -> models.Filter:
        built: models.Filter = self._models.Filter(**groups)
        return built

    def _translate_node(self, node: Node) -> Part:
        match node:
            case Condition():
                return self._translate_condition(node)
            case Not():
                return self._negate(self._translate_node(node.part))
            case And():
                return self._require_all(*map(self._translate_node, node.parts))
            case Or():
                return self._require_any(*map(self._translate_node, node.parts))

    def _negate(self, part: Part) -> Part:
        return not part if isinstance(part, bool) else self._build_filter(must_not=[part])

    def _require_all(self, *parts: Part) -> Part:
        needed: list[Any] = [part for part in parts if part is not True]
        if False in needed or len(needed) < 2:
            return False if False in needed else needed[0] if needed else True
        return self._build_filter(must=needed)

    def _require_any(self, *parts: Part) -> Part:
        needed: list[Any] = [part for part in parts if part is not False]
        if True in needed or len(needed) < 2:
            return True if True in needed else needed[0] if needed else False
        return self._build_filter(should=needed)

    def _translate_condition(self, condition: Condition) -> Part:
        names = condition.field.split(".")
        literal_path = self._build_path([condition.field])
        nested_path = self._build_path(names) if len(names) > 1 else None
        if condition.operator == "$exists":
            nested_exists = False if nested_path is None else self._require_existence(nested_path)
            exists = self._require_any(self._require_existence(literal_path), nested_exists)
            return exists if condition.operand else self._negate(exists)
        literal = self._compare(literal_path, condition)
        if nested_path is None:
            return literal
        # A key with dots has precedence over a path, as in `get_field`.
        nested = self._require_all(
            self._negate(self._require_existence(literal_path)), self._compare(nested_path, condition)
        )
        return self._require_any(literal, nested)

    def _build_path(self, names: Sequence[str]) -> str:
        return ".".join([self._key, *map(_quote, names)])

    def _require_existence(self, path: str) -> Part:
        return self._require_any(self._negate(self._require_empty(path)), self._require_null(path))

    def _require_empty(self, path: str) -> Part:
        """Return the condition that a field is null, missing or an empty list."""
        empty: Part = self._models.IsEmptyCondition(is_empty=self._models.PayloadField(key=path))
        return empty

    def _require_null(self, path: str) -> Part:
        """Return the condition that a field is null or a list with a null in it."""
        null: Part = self._models.IsNullCondition(is_null=self._models.PayloadField(key=path))
        return null

    def _compare(self, path: str, condition: Condition) -> Part:
        """Return the condition that the value at a path satisfies `condition`."""
        name, operand = condition.operator, condition.operand
        if name in ORDERINGS:
            limit = {name[1:]: _convert_number(condition, operand)}
            return self._require_single(path, lambda single_path: self._build_range(single_path, **limit))
        if name == "$contains":
            return self._require_item(path, condition)
        if name == "$contains_any":
            items = sorted(operand, key=repr)
            return self._require_any(*(self._require_list_item(path, condition, item) for item in items))
        values = operand if name in ("$in", "$nin") else [operand]
        equal = self._require_any(*(self._require_equal(path, condition, value) for value in values))
        if name in ("$eq", "$in"):
            return equal
        return self._require_all(self._require_existence(path), self._negate(equal))

    def _require_single(self, path: str, build: Callable[[str], Any]) -> Part:
        """Return a condition on a value that is not a list."""
        single: Part = self._build_filter(must=[build(path)], must_not=[build(f"{path}[]")])
        return single

    def _build_range(self, path: str, **limits: float) -> Any:
        return self._models.FieldCondition(key=path, range=self._models.Range(**limits))

    def _build_equality(self, condition: Condition, value: Any) -> Callable[[str], Any]:
        """Return a function that makes, for a path, the condition that a value or an item of a list equals `value`."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = _convert_number(condition, value)
            return lambda path: self._build_range(path, gte=number, lte=number)
        if isinstance(value, tuple):
            kind, value = value
            if kind is not bool:
                compared = "NaN" if kind is float else f"a whole {kind.__name__}"
                raise _build_unsupported_error(
                    condition, f"compare with {compared}", "Compare with single values; $contains looks for an item."
                )
        match = self._models.MatchValue(value=value)
        return lambda path: self._models.FieldCondition(key=path, match=match)

    def _require_equal(self, path: str, condition: Condition, value: Any) -> Part:
        if value is None:
            return self._require_all(self._require_null(path), self._require_empty(path))
        return self._require_single(path, self._build_equality(condition, value))

    def _require_list_item(self, path: str, condition: Condition, value: Any) -> Part:
        """Return the condition that a list has `value` as an item."""
        if value is None:
            return self._require_all(self._require_null(path), self._negate(self._require_empty(path)))
        build = self._build_equality(condition, value)
        return self._require_all(build(path), build(f"{path}[]"))

    def _require_item(self, path: str, condition: Condition) -> Part:
        """Return the condition that a list has the operand as an item, or a string has it as a part."""
        value = condition.operand
        is_item = self._require_list_item(path, condition, value)
        if not isinstance(value, str):
            return is_item
        if not hasattr(self._models, "MatchSubstring"):
            raise _build_unsupported_error(
                condition, "look for a part of a string", "Update qdrant-client, or use $eq or $in."
            )
        match = self._models.MatchSubstring(substring=value)
        is_part = self._require_single(
            path, lambda single_path: self._models.FieldCondition(key=single_path, match=match)
        )
        return self._require_any(is_item, is_part)


def _quote(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    if not name or '"' in name:
        raise InvalidInputError(
            f"Qdrant cannot filter on a field with the name {name!r}.", hint="Give the field another name."
        )
    return f'"{name}"'


def _convert_number(condition: Condition, value: Any) -> float:
    if isinstance(value, str):
        raise _build_unsupported_error(
            condition,
            "compare strings by their order",
            "Store a number beside the string, such as the year or a timestamp.",
        )
    if not math.isfinite(value) or abs(value) > MAX_EXACT_FLOAT:
        raise _build_unsupported_error(
            condition, f"compare exactly with {value}", "Use numbers below 2**53, or store them as strings."
        )
    return float(value)


def _build_unsupported_error(condition: Condition, operation: str, hint: str) -> InvalidInputError:
    return InvalidInputError(
        f"{condition.operator} on {condition.field!r} makes Qdrant {operation}, which it does not support.", hint=hint
    )
