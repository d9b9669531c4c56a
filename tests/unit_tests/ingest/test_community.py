"""Loaders of langchain-community as sources: what they give is completed, cut, cited and kept in step."""

import hashlib
import warnings
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_gptoss import index_documents
from langchain_gptoss.ingest import check_index, load_documents, sync_documents
from langchain_gptoss.ingest.load import PAGE_BREAK
from tests.unit_tests.ingest.sync_helpers import Hashed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that it is no longer looked after
    from langchain_community.document_loaders import BSHTMLLoader, CSVLoader, DirectoryLoader, TextLoader

PARAGRAPHS = [
    "La livraison express coûte 12,90 euros et prend un jour ouvré dans toutes les villes de France.",
    "Vous pouvez suivre votre colis sur notre site, où nous disons chaque jour dans quelle ville il se trouve.",
    "Si le colis est perdu, nous vous remboursons sous trente jours ; écrivez à notre service pour le demander.",
    "Les magasins sont ouverts du lundi au samedi, et le retrait de votre commande y est toujours gratuit.",
    "Un ordinateur ouvert peut être retourné dans les quatorze jours, mais pas des écouteurs qui ont servi.",
    "Pour une livraison à l'étranger, le prix dépend du pays et du poids, que vous trouverez dans ce tableau.",
    "Nos conseillers répondent à vos questions par téléphone, et ils parlent le français comme l'anglais.",
    "Une carte cadeau est valable deux ans, et elle peut être utilisée plusieurs fois dans nos magasins.",
]
FRENCH = "# Livraison\n\n" + "\n\n".join(PARAGRAPHS)
ENGLISH = "The express delivery costs 12.90 euros and it takes one working day for all of the stores."


@pytest.fixture
def place(tmp_path) -> Path:
    folder = tmp_path / "données"
    folder.mkdir()
    (folder / "prix.md").write_text(FRENCH, encoding="utf-8")
    (folder / "rows.csv").write_text("product,price\nexpress,12.90\nstandard,4.90\nexpress,12.90\n", encoding="utf-8")
    html = f"<html><head><title>Delivery page</title></head><body><p>{ENGLISH}</p></body></html>"
    (folder / "page.html").write_text(html, encoding="utf-8")
    return folder


def loaders(place: Path) -> list:
    return [
        TextLoader(place / "prix.md", encoding="utf-8"),
        CSVLoader(place / "rows.csv", encoding="utf-8"),
        BSHTMLLoader(place / "page.html", open_encoding="utf-8", bs_kwargs={"features": "html.parser"}),
    ]


def whole_texts(place: Path) -> dict[str, str]:
    """Returns the text of each source, its documents one after the other."""
    pages: dict[str, list[str]] = {}
    for loader in loaders(place):
        for document in loader.load():
            pages.setdefault(str(document.metadata["source"]), []).append(document.page_content)
    return {source: PAGE_BREAK.join(texts) for source, texts in pages.items()}


def assert_complete(chunks: list[Document], place: Path) -> None:
    whole = whole_texts(place)
    assert {chunk.metadata["source"] for chunk in chunks} == set(whole)
    for chunk in chunks:
        told = chunk.metadata
        text = whole[told["source"]]
        assert text[told["start"] : told["end"]] == chunk.page_content
        assert told["content_hash"] == hashlib.sha256(text.encode()).hexdigest()
        assert told["title"]
    language = {Path(chunk.metadata["source"]).name: chunk.metadata.get("language") for chunk in chunks}
    assert (language["prix.md"], language["page.html"]) == ("fr", "en")
    titles = {Path(chunk.metadata["source"]).name: chunk.metadata["title"] for chunk in chunks}
    assert titles == {"prix.md": "Livraison", "rows.csv": "rows", "page.html": "Delivery page"}
    assert {chunk.metadata["row"] for chunk in chunks if "rows.csv" in chunk.metadata["source"]} == {0, 1, 2}


def held(store) -> list[Document]:
    return [document for documents, _ in store.iterate_with_vectors() for document in documents]


def test_loaders_are_indexed_with_everything_a_citation_needs(place):
    store = index_documents(loaders(place), embeddings=Hashed())
    chunks = held(store)
    assert_complete(chunks, place)
    assert sum("prix.md" in chunk.metadata["source"] for chunk in chunks) > 1
    # A row that is there twice is two passages, each at its own place.
    assert len({chunk.id for chunk in chunks}) == len(chunks) == len(store)
    found = store.similarity_search("express", filter={"row": 2})
    assert "express" in found[0].page_content


def test_loaders_beside_files(place, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.md").write_text("# Own\n\nA file of this package's own reading.", encoding="utf-8")
    documents = load_documents([tmp_path / "own", *loaders(place)])
    assert {"a.md"} < {document.metadata["source"] for document in documents}
    assert all({"source", "title", "start", "content_hash"} <= set(document.metadata) for document in documents)


def test_a_loader_for_one_suffix(place):
    read = load_documents(place, loaders={".csv": CSVLoader}, on_skip=lambda skipped: pytest.fail(str(skipped)))
    rows = [document for document in read if document.metadata["source"] == "rows.csv"]
    assert [row.page_content for row in rows] == [
        "product: express\nprice: 12.90",
        "product: standard\nprice: 4.90",
        "product: express\nprice: 12.90",
    ]
    assert [row.metadata["row"] for row in rows] == [0, 1, 2]


def test_loaders_are_kept_in_step(place, tmp_path):
    index = tmp_path / "index"

    def run(*given):
        return sync_documents(list(given), index, embeddings=Hashed(), on_progress=lambda _: None)

    from langchain_gptoss.ingest.sync.target import open_store

    assert len(run(*loaders(place)).added) == 3
    assert_complete(held(open_store(index, Hashed())), place)
    assert len(run(*loaders(place)).unchanged) == 3
    assert check_index(index, loaders(place), embeddings=Hashed()).ok
    (place / "rows.csv").write_text("product,price\nexpress,13.90\n", encoding="utf-8")
    report = run(*loaders(place)[:2])
    assert [Path(source).name for source in report.changed] == ["rows.csv"]
    assert [Path(source).name for source in report.removed] == ["page.html"]
    chunks = held(open_store(index, Hashed()))
    assert [chunk.page_content for chunk in chunks if "rows.csv" in chunk.metadata["source"]] == [
        "product: express\nprice: 13.90"
    ]


def test_a_loader_of_a_whole_folder(place):
    folder = DirectoryLoader(
        str(place), glob="*.md", loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}, use_multithreading=False
    )
    (chunk, *_) = held(index_documents(folder, embeddings=Hashed()))
    assert Path(chunk.metadata["source"]).name == "prix.md"
    assert chunk.metadata["language"] == "fr"
