"""The bookmarks of a PDF become headings of its chunks."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_gptoss.ingest import index_documents, load_documents, split_documents
from langchain_gptoss.ingest.readers.pdf.outline import Bookmark, find_headings
from tests.unit_tests.ingest.sample_files import create_outlined_pdf, create_pdf
from tests.unit_tests.ingest.sync_helpers import HashEmbeddings, synchronize

PAGES = (
    "Preface, and words on costs.",
    "1 Returns\nYou may return it.\n1.1 Costs\nReturning costs nothing.",
    "A return is refunded.\n2 Warranty and\nrepairs\nTwo years.",
    "",
    "It ends.",
)


OUTLINE = (
    (0, "Returns", 1),
    (1, "Costs", 1),
    (0, "A part of its own", None),
    (0, "Warranty  and repairs", 2),
    (1, "Été – fin", 4),
)


def split_pdf(folder: Path, pages: Sequence[str], bookmarks: Sequence[tuple[int, str, int | None]]) -> list[Document]:
    (folder / "guide.pdf").write_bytes(create_outlined_pdf(pages, bookmarks))
    return split_documents(load_documents(folder))


def test_chunks_have_the_heading_above_them(tmp_path):
    chunks = split_pdf(tmp_path, PAGES, OUTLINE)
    assert [(chunk.metadata["page"], chunk.metadata["heading"], chunk.page_content) for chunk in chunks] == [
        (1, "", PAGES[0]),
        (2, "Returns", "1 Returns\nYou may return it."),
        (2, "Returns > Costs", "1.1 Costs\nReturning costs nothing."),
        (3, "Returns > Costs", "A return is refunded."),
        (3, "Warranty and repairs", "2 Warranty and\nrepairs\nTwo years."),
        (5, "Warranty and repairs > Été – fin", "It ends."),
    ]
    text = "\n\n".join(PAGES)
    for chunk in chunks:
        assert text[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.page_content
        assert "headings" not in chunk.metadata


def test_headings_are_embedded_by_index_and_sync(tmp_path):
    class RecordingEmbeddings(HashEmbeddings):
        texts: list[str] = []  # noqa: RUF012

        def embed_documents(self, texts):
            RecordingEmbeddings.texts += texts
            return super().embed_documents(texts)

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.pdf").write_bytes(create_outlined_pdf(PAGES, OUTLINE))
    index_documents(tmp_path / "docs", embeddings=RecordingEmbeddings())
    assert RecordingEmbeddings.texts[1] == "Returns\n1 Returns\nYou may return it."
    RecordingEmbeddings.texts.clear()
    synchronize(tmp_path / "docs", tmp_path / "index", RecordingEmbeddings())
    assert RecordingEmbeddings.texts.count("Returns > Costs\n1.1 Costs\nReturning costs nothing.") == 1


def test_pdf_without_bookmarks_has_no_headings(tmp_path):
    chunks = split_pdf(tmp_path, PAGES, [])
    assert {chunk.metadata["heading"] for chunk in chunks} == {""}
    assert [chunk.page_content for chunk in chunks] == [page for page in PAGES if page]


@pytest.mark.parametrize(
    "bookmarks",
    [
        [(0, "No such words", 1)],
        [(0, "Returns", 99)],
        [(0, "x" * 5000, 1)],
        [(0, "[(*\\", 1), (1, "", 2), (2, "Deep", 2)],
        [(level, "Deep", 1) for level in range(40)],
    ],
)
def test_malformed_bookmarks_lose_no_text(tmp_path, bookmarks):
    chunks = split_pdf(tmp_path, PAGES, bookmarks)
    assert "".join("".join(chunk.page_content.split()) for chunk in chunks) == "".join("".join(PAGES).split())


def test_circular_bookmarks_end(tmp_path):
    root = 4 + 2
    items = [f"<< /First {root + 1} 0 R /Last {root + 1} 0 R >>"]
    items.append(
        f"<< /Title (Round) /Parent {root} 0 R /Next {root + 1} 0 R /First {root + 1} 0 R /Dest [4 0 R /Fit] >>"
    )
    (tmp_path / "round.pdf").write_bytes(create_pdf("Some text.", extra=items, catalog=f"/Outlines {root} 0 R"))
    (chunk,) = split_documents(load_documents(tmp_path))
    assert chunk.page_content == "Some text."
    assert chunk.metadata["heading"].startswith("Round")


def test_headings_begin_at_the_line_with_their_title():
    text = "Costs are below.\nof costs\n  Chapter 3  costs\nx\nCosts of all kinds"
    assert find_headings([text], [Bookmark(0, "Costs", "Costs")]) == [[(0, ""), (26, "Costs")]]
    assert find_headings(["\n Costs\nx"], [Bookmark(0, "Costs", "Costs")]) == [[(0, "Costs")]]
    assert find_headings(["Costs are low."], [Bookmark(0, "A", "Costs")]) == [[(0, "A")]]
    twice = [Bookmark(0, "A", "A"), Bookmark(0, "B", "nowhere")]
    assert find_headings(["x\nA\ny"], twice) == [[(0, ""), (2, "B")]]
