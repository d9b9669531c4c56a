"""The bookmarks of a PDF: headings of its passages, and no reason to lose a page."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_gptoss.ingest import index_documents, load_documents, split_documents, sync_documents
from langchain_gptoss.ingest.readers.pdf_outline import Bookmark, headings_of
from tests.unit_tests.ingest.test_load import pdf


def outlined(pages: Sequence[str], bookmarks: Sequence[tuple[int, str, int | None]]) -> bytes:
    """A PDF with bookmarks: level, title, number of the page from 0 or None for one that leads nowhere."""
    root = 4 + 2 * len(pages)
    parents, above = [], {-1: root}
    for number, (level, _, _) in enumerate(bookmarks):
        parents.append(above[level - 1])
        above[level] = root + 1 + number
    numbers = range(root + 1, root + 1 + len(bookmarks))

    def family(parent: int) -> str:
        children = [number for number, above in zip(numbers, parents, strict=True) if above == parent]
        return f"/First {children[0]} 0 R /Last {children[-1]} 0 R /Count {len(children)}" if children else ""

    items = [f"<< /Type /Outlines {family(root)} >>"]
    for number, parent, (_, title, page) in zip(numbers, parents, bookmarks, strict=True):
        after = [other for other, above in zip(numbers, parents, strict=True) if above == parent and other > number]
        following = f"/Next {after[0]} 0 R" if after else ""
        place = "" if page is None else f"/Dest [{4 + 2 * page} 0 R /Fit]"
        name = f"<feff{title.encode('utf-16-be').hex()}>"
        items.append(f"<< /Title {name} /Parent {parent} 0 R {following} {place} {family(number)} >>")
    return pdf(*pages, extra=items, catalog=f"/Outlines {root} 0 R")


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


def headed(folder: Path, pages: Sequence[str], bookmarks: Sequence[tuple[int, str, int | None]]) -> list[Document]:
    (folder / "guide.pdf").write_bytes(outlined(pages, bookmarks))
    return split_documents(load_documents(folder))


def test_a_passage_has_the_heading_that_it_stands_under(tmp_path):
    chunks = headed(tmp_path, PAGES, OUTLINE)
    assert [(chunk.metadata["page"], chunk.metadata["heading"], chunk.page_content) for chunk in chunks] == [
        (1, "", PAGES[0]),
        (2, "Returns", "1 Returns\nYou may return it."),
        (2, "Returns > Costs", "1.1 Costs\nReturning costs nothing."),
        (3, "Returns > Costs", "A return is refunded."),
        (3, "Warranty and repairs", "2 Warranty and\nrepairs\nTwo years."),
        (5, "Warranty and repairs > Été – fin", "It ends."),
    ]
    whole = "\n\n".join(PAGES)
    for chunk in chunks:
        assert whole[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.page_content
        assert "headings" not in chunk.metadata


def test_the_heading_is_embedded_and_survives_synchronising(tmp_path):
    from sync_helpers import Hashed

    class Seeing(Hashed):
        seen: list[str] = []  # noqa: RUF012

        def embed_documents(self, texts):
            self.seen += texts
            return super().embed_documents(texts)

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.pdf").write_bytes(outlined(PAGES, OUTLINE))
    index_documents(tmp_path / "docs", embeddings=Seeing())
    assert Seeing.seen[1] == "Returns\n1 Returns\nYou may return it."
    for number in range(1, 3):  # enough files for processes
        (tmp_path / "docs" / f"{number}.pdf").write_bytes(outlined(PAGES, OUTLINE))
    Seeing.seen.clear()
    sync_documents(tmp_path / "docs", tmp_path / "index", embeddings=Seeing(), workers=2, on_progress=lambda _: None)
    assert Seeing.seen.count("Returns > Costs\n1.1 Costs\nReturning costs nothing.") == 3


def test_without_bookmarks_nothing_changes(tmp_path):
    chunks = headed(tmp_path, PAGES, [])
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
def test_odd_bookmarks_lose_no_text(tmp_path, bookmarks):
    chunks = headed(tmp_path, PAGES, bookmarks)
    assert "".join("".join(chunk.page_content.split()) for chunk in chunks) == "".join("".join(PAGES).split())


def test_bookmarks_in_a_circle_end(tmp_path):
    root = 4 + 2
    items = [f"<< /First {root + 1} 0 R /Last {root + 1} 0 R >>"]
    items.append(
        f"<< /Title (Round) /Parent {root} 0 R /Next {root + 1} 0 R /First {root + 1} 0 R /Dest [4 0 R /Fit] >>"
    )
    (tmp_path / "round.pdf").write_bytes(pdf("Some text.", extra=items, catalog=f"/Outlines {root} 0 R"))
    (chunk,) = split_documents(load_documents(tmp_path))
    assert chunk.page_content == "Some text."
    assert chunk.metadata["heading"].startswith("Round")


def test_where_a_heading_begins():
    text = "Costs are below.\nof costs\n  Chapter 3  costs\nx\nCosts of all kinds"
    assert headings_of([text], [Bookmark(0, "Costs", "Costs")]) == [[(0, ""), (26, "Costs")]]
    assert headings_of(["\n Costs\nx"], [Bookmark(0, "Costs", "Costs")]) == [[(0, "Costs")]]
    assert headings_of(["Costs are low."], [Bookmark(0, "A", "Costs")]) == [[(0, "A")]]
    twice = [Bookmark(0, "A", "A"), Bookmark(0, "B", "nowhere")]
    assert headings_of(["x\nA\ny"], twice) == [[(0, ""), (2, "B")]]


@pytest.mark.parametrize(
    "headings", ["x", 5, [["a", "b"]], [[5, "x"]], [[0, "x"], [9, "y"], [3, "z"]], [[0]], {"a": 1}]
)
def test_what_another_loader_calls_headings_does_no_harm(headings):
    document = Document(page_content="# T\n\ntext", metadata={"headings": headings})
    assert [chunk.metadata["heading"] for chunk in split_documents([document])] == ["T"]
