"""Filters that retrievers have of their own hold together with every filter of a call."""

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStoreRetriever

from langchain_gptoss._flow import arun_flow, run_flow
from langchain_gptoss.retrievers import BM25Retriever, HybridRetriever, NeighbourRetriever, RerankRetriever
from langchain_gptoss.retrievers.adapters import as_retriever, query_retriever
from langchain_gptoss.retrievers.own_filters import get_own_filter, iterate_metadata
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.filters import compile_filter

DOCUMENTS = [
    Document(
        f"Delivery {number} of {tenant} costs {number} euros.",
        id=f"{tenant}{number}",
        metadata={"tenant": tenant, "source": f"{number}.md", "start": 0, "access": [label]},
    )
    for tenant in "ab"
    for number, label in enumerate(["public", "hr", "public", "hr"])
]
OWN, GIVEN = {"tenant": "a"}, {"access": {"$contains_any": ["hr"]}}
EXPECTED = {"a1", "a3"}


class ForeignStoreRetriever(VectorStoreRetriever):
    """A store's own kind of retriever, as some integrations have."""


class Wrapper(BaseRetriever):
    """Passes options on, as LangChain's compression retriever does."""

    base_retriever: BaseRetriever

    def _get_relevant_documents(self, query, *, run_manager, **kwargs):
        return self.base_retriever.invoke(query, **kwargs)


class EqualScores:
    """A cross-encoder for which all passages are equally good."""

    def score(self, text_pairs):
        return [1.0] * len(text_pairs)


class FilterIgnoringRetriever(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager, filter=None):
        return [document for document in DOCUMENTS if document.metadata["tenant"] == "a"]


def build_faiss() -> FaissStore:
    store = FaissStore(DeterministicFakeEmbedding(size=8))
    store.add_documents(DOCUMENTS)
    return store


def build_foreign() -> InMemoryVectorStore:
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents(DOCUMENTS)
    return store


def is_of_tenant_a(document: Document) -> bool:
    return document.metadata["tenant"] == "a"


def build_bm25():
    return BM25Retriever.from_documents(DOCUMENTS, filter=OWN)


FAISS_KWARGS = {"k": 2, "filter": OWN}
FOREIGN_KWARGS = {"k": 2, "filter": is_of_tenant_a}
RETRIEVERS = {
    "faiss": lambda: build_faiss().as_retriever(search_kwargs=FAISS_KWARGS),
    "faiss with a function": lambda: build_faiss().as_retriever(
        search_kwargs={"filter": lambda metadata: metadata["tenant"] == "a"}
    ),
    "faiss, mmr": lambda: build_faiss().as_retriever(search_type="mmr", search_kwargs=FAISS_KWARGS),
    "faiss, threshold": lambda: build_faiss().as_retriever(
        search_type="similarity_score_threshold", search_kwargs={**FAISS_KWARGS, "score_threshold": 0.0}
    ),
    "faiss, LangChain's retriever": lambda: VectorStoreRetriever(vectorstore=build_faiss(), search_kwargs=FAISS_KWARGS),
    "faiss, LangChain's mmr": lambda: VectorStoreRetriever(
        vectorstore=build_faiss(), search_type="mmr", search_kwargs=FAISS_KWARGS
    ),
    "foreign store": lambda: build_foreign().as_retriever(search_kwargs=FOREIGN_KWARGS),
    "foreign store, mmr": lambda: build_foreign().as_retriever(search_type="mmr", search_kwargs=FOREIGN_KWARGS),
    "foreign retriever": lambda: ForeignStoreRetriever(vectorstore=build_foreign(), search_kwargs=FOREIGN_KWARGS),
    "wrapped": lambda: Wrapper(base_retriever=build_foreign().as_retriever(search_kwargs=FOREIGN_KWARGS)),
    "wrapped twice": lambda: Wrapper(
        base_retriever=Wrapper(
            base_retriever=VectorStoreRetriever(vectorstore=build_faiss(), search_kwargs=FAISS_KWARGS)
        )
    ),
    "bm25": build_bm25,
    "hybrid": lambda: HybridRetriever(
        retrievers=[build_bm25(), build_faiss().as_retriever(search_kwargs=FAISS_KWARGS)]
    ),
    "neighbours": lambda: NeighbourRetriever(retriever=build_bm25(), chunks=DOCUMENTS),
    "rerank": lambda: RerankRetriever(retriever=build_bm25(), reranker=EqualScores()),
    "ignores the filter": FilterIgnoringRetriever,
}


@pytest.mark.parametrize("filter_", [GIVEN, lambda metadata: "hr" in metadata["access"]], ids=["dict", "function"])
@pytest.mark.parametrize("kind", RETRIEVERS)
async def test_every_retriever_combines_its_own_filter_with_that_of_the_call(kind, filter_):
    retriever = as_retriever(RETRIEVERS[kind]())
    options = {"k": None, "filter": filter_, "callbacks": None}
    found = run_flow(query_retriever(retriever, "delivery costs", **options))
    afound = await arun_flow(query_retriever(retriever, "delivery costs", **options))
    assert {document.id for document in found} == {document.id for document in afound} == EXPECTED


@pytest.mark.parametrize("kind", [kind for kind in RETRIEVERS if kind.startswith("faiss")])
def test_none_as_filter_of_the_call_keeps_the_own_filter(kind):
    found = as_retriever(RETRIEVERS[kind]()).invoke("delivery", filter=None, k=8)
    assert {document.metadata["tenant"] for document in found} == {"a"}


def test_a_rare_match_in_a_foreign_store_is_found():
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents([Document(f"text {n}", id=str(n), metadata={"n": n}) for n in range(300)])
    found = run_flow(query_retriever(as_retriever(store), "text", k=3, filter={"n": 299}, callbacks=None))
    assert [document.id for document in found] == ["299"]


@pytest.mark.parametrize(
    ("retriever", "tenants"),
    [
        (lambda: build_faiss().as_retriever(), "ab"),
        (lambda: build_faiss().as_retriever(search_kwargs=FAISS_KWARGS), "a"),
        (build_bm25, "a"),
        (lambda: Wrapper(base_retriever=build_bm25()), "a"),
        (lambda: HybridRetriever(retrievers=[build_bm25(), build_faiss()]), "ab"),
        (
            lambda: HybridRetriever(
                retrievers=[build_bm25(), BM25Retriever.from_documents(DOCUMENTS, filter={"tenant": "b"})]
            ),
            "ab",
        ),
        (lambda: build_foreign().as_retriever(search_kwargs=FOREIGN_KWARGS), ""),
        (lambda: build_foreign().as_retriever(search_kwargs={"filter": {"tenant": {"$like": "a"}}}), ""),
    ],
)
def test_the_own_filter_is_that_of_the_retrievers_inside(retriever, tenants):
    own = get_own_filter(retriever())
    accepts = (lambda _: True) if own is None else compile_filter(own)
    assert {tenant for tenant in "ab" if accepts({"tenant": tenant})} == set(tenants)


def test_metadata_of_each_store_is_listed_once():
    store, words = build_faiss(), BM25Retriever.from_documents(DOCUMENTS[:1])
    retriever = HybridRetriever(retrievers=[store, words, store.as_retriever(search_type="mmr"), build_foreign()])
    store.delete(["a0"])
    assert sorted(metadata["source"] for metadata in iterate_metadata(retriever)) == sorted(
        ["0.md", *(document.metadata["source"] for document in DOCUMENTS[1:])]
    )
