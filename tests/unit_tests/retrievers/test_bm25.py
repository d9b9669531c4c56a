"""BM25Retriever: bm25s as the judge of scores, updates, filters, and saved indexes that were tampered with."""

import io
import json
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.retrievers import BM25Retriever
from langchain_gptoss.retrievers.bm25 import persistence as bm25_files
from langchain_gptoss.retrievers.bm25.index import BM25Index
from langchain_gptoss.retrievers.bm25.postings import Postings

DOCUMENTS = [
    Document(id="a", page_content="Express shipping costs 12.90 euros.", metadata={"year": 2023, "source": "ship.md"}),
    Document(
        id="b", page_content="Standard shipping is free above 50 euros.", metadata={"year": 2024, "source": "ship.md"}
    ),
    Document(
        id="c", page_content="Returned goods are refunded within 14 days.", metadata={"year": 2024, "source": "back.md"}
    ),
    Document(id="d", page_content="The shop in Lyon is open on Saturdays; shipping is not done there.", metadata={}),
]


def retriever(**options) -> BM25Retriever:
    return BM25Retriever.from_documents(DOCUMENTS, language="en", **options)


class TestStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self):
        return BM25Retriever

    @property
    def retriever_constructor_params(self):
        index = BM25Index("en")
        index.add(DOCUMENTS)
        return {"index": index}

    @property
    def retriever_query_example(self):
        return "shipping"


def test_accents_case_endings_and_articles_do_not_matter():
    found = BM25Retriever.from_texts(["L'indemnité de l'employé.", "Le congé parental."], language="fr")
    assert [d.page_content for d in found.invoke("INDEMNITES EMPLOYES")] == ["L'indemnité de l'employé."]


def test_each_document_and_query_in_its_own_language():
    mixed = BM25Retriever.from_texts(
        ["Les remboursements sont versés par la caisse.", "The refunds are paid by the insurance.", "TVA 5050"]
    )
    assert mixed.invoke("Quand est versé le remboursement ?")[0].page_content.startswith("Les remboursements")
    assert mixed.invoke("When is a refund paid?")[0].page_content.startswith("The refunds")
    assert mixed.invoke("tva")[0].page_content == "TVA 5050"
    assert mixed.invoke("remboursement")[0].page_content.startswith("Les remboursements")


def test_a_heading_is_searched_and_not_shown():
    document = Document(page_content="It costs 5 euros.", metadata={"heading": "Shipping > Express"})
    found = BM25Retriever.from_documents([document], language="en").invoke("express")
    assert [d.page_content for d in found] == ["It costs 5 euros."]


def test_relevance_is_a_share_and_documents_without_a_word_are_left_out():
    found = retriever().invoke("express shipping")
    assert found[0].id == "a"
    assert "c" not in [d.id for d in found]
    scores = [d.metadata["relevance_score"] for d in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    unknown = retriever().invoke("express shipping xylophones zeppelins")
    assert unknown[0].metadata["relevance_score"] < scores[0]


def test_what_is_returned_can_be_changed_without_harm():
    kept = retriever()
    kept.invoke("express")[0].metadata["year"] = 1900
    assert kept.invoke("express")[0].metadata["year"] == 2023
    assert "relevance_score" not in kept.get_by_ids(["a"])[0].metadata


@pytest.mark.parametrize(
    ("filter_", "ids"),
    [
        ({"year": 2024}, {"b"}),
        ({"year": {"$gte": 2023}}, {"a", "b"}),
        ({"$or": [{"year": 2023}, {"source": "nowhere"}]}, {"a"}),
        (lambda metadata: "year" not in metadata, {"d"}),
        ({"missing": 1}, set()),
        ({}, {"a", "b", "d"}),
    ],
)
def test_filters(filter_, ids):
    assert {d.id for d in retriever().invoke("shipping", filter=filter_)} == ids
    assert {d.id for d in retriever(filter=filter_).invoke("shipping")} == ids


def test_a_filter_in_the_call_narrows_the_retrievers_own():
    own = retriever(filter={"year": 2024})
    assert own.invoke("shipping", filter={"year": 2023}) == []


def test_a_filter_finds_the_few_among_the_many():
    many = [Document(page_content="shipping " * 3, metadata={"n": n}) for n in range(3000)]
    many.append(Document(page_content="shipping and a very long text about other things " * 5, metadata={"n": -1}))
    kept = BM25Retriever.from_documents(many, language="en", ids=[str(n) for n in range(3001)])
    assert [d.metadata["n"] for d in kept.invoke("shipping", filter={"n": -1})] == [-1]


@pytest.mark.parametrize("bad", [{"filter": 5}, {"filter": {"year": {"$near": 1}}}, {"k": 0}])
def test_bad_options_are_named(bad):
    with pytest.raises(InvalidInputError):
        retriever().invoke("shipping", **bad)


def test_bad_constructor_arguments():
    with pytest.raises(ValueError, match="k is 0"):
        BM25Retriever(k=0)
    with pytest.raises(InvalidInputError, match="4 documents and 1 ids"):
        BM25Retriever.from_documents(DOCUMENTS, ids=["x"])
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        BM25Retriever.from_documents(DOCUMENTS, b=2)
    with pytest.raises(InvalidInputError, match="1 texts and 2 metadatas"):
        BM25Retriever.from_texts(["x"], [{}, {}])


def test_an_empty_index_finds_nothing():
    empty = BM25Retriever()
    assert empty.invoke("anything") == []
    assert BM25Retriever.from_texts(["", "  "]).invoke("anything") == []
    empty.add_documents(DOCUMENTS)
    empty.delete()
    assert empty.invoke("shipping") == []


def random_texts(count: int, seed: int) -> list[str]:
    chooser = random.Random(seed)
    return [" ".join(chooser.choices([f"w{n}" for n in range(30)], k=chooser.randint(1, 40))) for _ in range(count)]


def test_scores_equal_those_of_bm25s():
    bm25s = pytest.importorskip("bm25s")
    texts = random_texts(200, 0)
    judge = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    judge.index([text.split() for text in texts], show_progress=False)
    index = BM25Index("en")
    for at in range(0, 200, 17):
        index.add([Document(id=str(n), page_content=texts[n]) for n in range(at, min(at + 17, 200))])
    for query in random_texts(20, 1):
        expected = judge.get_scores(query.split())
        found = index.search(query, 200)
        scale = found[0][1] / expected.max()
        assert [score for _, score in found] == pytest.approx([expected[int(d.id)] * scale for d, _ in found], rel=1e-4)
        assert len(found) == (expected > 0).sum()


def test_relevance_of_documents_is_that_of_a_search():
    kept = retriever()
    found = {d.id: d.metadata["relevance_score"] for d in kept.invoke("express shipping")}
    assert set(found) == {"a", "b", "d"}
    assert kept.relevance_of("express shipping", ["d", "c", "nowhere", "a"]) == {
        "d": found["d"],
        "c": 0.0,
        "a": found["a"],
    }
    assert retriever(filter={"year": 2024}).relevance_of("express shipping", ["a", "b"]) == {"b": found["b"]}
    assert kept.relevance_of("", ["a"]) == {"a": 0.0}
    assert BM25Retriever().relevance_of("express", ["a"]) == {}


def test_relevance_follows_changes():
    kept = retriever()
    before = kept.relevance_of("express shipping", ["a"])
    kept.add_documents([Document(id="e", page_content="Express trains.")])
    after = kept.relevance_of("express shipping", ["a", "e"])
    assert after["a"] != before["a"]
    assert after["e"] > 0
    kept.delete(["e"])
    assert kept.relevance_of("express shipping", ["a", "e"]) == before
    kept.delete()
    assert kept.relevance_of("express shipping", ["a"]) == {}


def test_nested_metadata_of_what_is_returned_can_be_changed_too():
    kept = BM25Retriever.from_texts(["Express."], [{"tags": ["x"], "of": {"a": 1}}], language="en")
    found = kept.invoke("express")[0]
    found.metadata["tags"].append("y")
    found.metadata["of"]["a"] = 2
    assert kept.invoke("express")[0].metadata["tags"] == ["x"]
    assert kept.invoke("express")[0].metadata["of"] == {"a": 1}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "delete"]), st.lists(st.tuples(st.integers(0, 12), st.integers(0, 400)))),
        max_size=8,
    )
)
def test_an_index_that_was_changed_equals_one_made_at_once(steps):
    index, kept = BM25Index("en"), {}
    for what, pairs in steps:
        texts = {str(id_): random_texts(1, seed)[0] for id_, seed in pairs}
        if what == "add":
            index.add([Document(id=id_, page_content=text) for id_, text in texts.items()])
            kept |= texts
        else:
            index.delete(list(texts))
            kept = {id_: text for id_, text in kept.items() if id_ not in texts}
    fresh = BM25Index("en")
    fresh.add([Document(id=id_, page_content=text) for id_, text in kept.items()])
    for query in random_texts(3, 7):
        found, expected = ({d.id: score for d, score in i.search(query, 50)} for i in (index, fresh))
        assert found == pytest.approx(expected, rel=1e-5)
    assert len(index) == len(kept)


def test_segments_stay_few_and_removed_rows_are_forgotten():
    postings = Postings(k1=1.5, b=0.75)
    for n in range(300):
        postings.add([[n % 7, n % 11, 3]])
    assert len(postings.segments) < 10
    index = BM25Index("en")
    index.add([Document(id=str(n), page_content=f"word{n}") for n in range(100)])
    index.delete([str(n) for n in range(60)])
    assert len(index._documents) == len(index) == 40
    assert [d.id for d, _ in index.search("word77", 5)] == ["77"]


def test_ids_replace_and_the_same_chunk_is_the_same_document():
    kept = retriever()
    kept.add_documents([Document(id="a", page_content="Bicycles.")])
    assert [d.id for d in kept.invoke("bicycles")] == ["a"]
    assert kept.invoke("express") == []
    unnamed = Document(page_content="Tandems.", metadata={"source": "x", "start": 3})
    assert kept.add_documents([unnamed]) == kept.add_documents([unnamed])
    assert len(kept.index) == 5


def test_many_threads():
    kept = retriever()

    def work(n: int) -> int:
        kept.add_documents([Document(id=f"t{n}", page_content=f"thread shipping {n}")])
        found = len(kept.invoke("shipping", k=100))
        kept.delete([f"t{n}"])
        return found

    with ThreadPoolExecutor(8) as pool:
        assert min(pool.map(work, range(100))) >= 4
    assert len(kept.invoke("shipping", k=100)) == 3


def test_save_and_load(tmp_path):
    folder = tmp_path / "données" / "索引"
    kept = BM25Retriever.from_documents(DOCUMENTS, language="en", k=3)
    kept.delete(["b"])
    kept.save(folder)
    again = BM25Retriever.load(folder, k=3)
    assert again.index.language == "en"
    assert again.invoke("express shipping") == kept.invoke("express shipping")
    again.add_documents([DOCUMENTS[1]])
    again.save(folder)
    assert len(BM25Retriever.load(folder).index) == 4
    assert [path.name for path in folder.iterdir()] == [bm25_files.ARCHIVE]
    assert b"pickle" not in (folder / bm25_files.ARCHIVE).read_bytes()


def test_save_and_load_nothing(tmp_path):
    BM25Retriever().save(tmp_path)
    empty = BM25Retriever.load(tmp_path)
    assert empty.invoke("x") == []
    empty.add_documents(DOCUMENTS)
    assert empty.invoke("express")[0].id == "a"


def members(folder) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / bm25_files.ARCHIVE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(folder, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / bm25_files.ARCHIVE, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def array(*values: int) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(values, dtype=np.int32))
    return stream.getvalue()


def with_hashes(files: dict[str, bytes], **changed) -> dict[str, bytes]:
    """Makes hashes right again: what is checked after them must hold by itself."""
    import hashlib

    manifest = json.loads(files["manifest.json"]) | changed
    manifest["sha256"] = {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"
    }
    return files | {"manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files | {"documents.jsonl": b"{}\n"}, "SHA-256 differs"),
        (lambda files: {name: data for name, data in files.items() if name != "rows.npy"}, "is not what was saved"),
        (lambda files: files | {"manifest.json": b"[]"}, "not a manifest"),
        (lambda files: with_hashes(files, format=2), "has format 2 and this version reads format 1"),
        (lambda files: with_hashes(files, count=9), "do not belong together"),
        (lambda files: with_hashes(files | {"terms.json": b"[]"}), "point outside"),
        (lambda files: with_hashes(files | {"rows.npy": array(99)}), "not in order"),
        (lambda files: with_hashes(files | {"documents.jsonl": b"x\n" * 4}), "damaged"),
        (lambda files: with_hashes(files | {"lengths.npy": b"\x80\x04K\x01."}), "damaged"),
    ],
)
def test_an_altered_index_is_refused(tmp_path, change, message):
    retriever().save(tmp_path)
    write(tmp_path, change(members(tmp_path)))
    with pytest.raises(IndexStoreError, match=message):
        BM25Retriever.load(tmp_path)


def test_a_truncated_or_missing_index_is_refused(tmp_path):
    with pytest.raises(IndexStoreError, match="no saved index"):
        BM25Retriever.load(tmp_path / "nowhere")
    retriever().save(tmp_path)
    whole = (tmp_path / bm25_files.ARCHIVE).read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / bm25_files.ARCHIVE).write_bytes(whole[:size])
        with pytest.raises(IndexStoreError, match="damaged"):
            BM25Retriever.load(tmp_path)


def test_a_save_that_fails_leaves_the_old_index(tmp_path, monkeypatch):
    retriever().save(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bm25_files.os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        BM25Retriever().save(tmp_path)
    monkeypatch.undo()
    assert len(BM25Retriever.load(tmp_path).index) == 4
    assert [path.name for path in tmp_path.iterdir()] == [bm25_files.ARCHIVE]
    with pytest.raises(InvalidInputError, match="cannot be saved as JSON"):
        BM25Retriever.from_documents([Document(page_content="x", metadata={"x": object})]).save(tmp_path)
    assert len(BM25Retriever.load(tmp_path).index) == 4
