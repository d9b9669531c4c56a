"""PDF: pages, damaged and protected files, threads."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_gptoss.errors import DocumentWarning
from langchain_gptoss.ingest import load_documents
from langchain_gptoss.ingest.readers.pdf import read_pdf
from langchain_gptoss.ingest.readers.pdf import reader as pdf_reader
from tests.unit_tests.ingest.readers.helpers import read_skip_reason
from tests.unit_tests.ingest.readers.pdf.placed_text import create_placed_pdf, place_lines
from tests.unit_tests.ingest.sample_files import create_pdf

LOCKED = create_pdf(
    "secret",
    trailer=f"/ID [<{'00' * 16}> <{'00' * 16}>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'11' * 32}> /U <{'22' * 32}> >>",
)


def test_pdf_pages_are_slices_of_the_whole_text(tmp_path):
    (tmp_path / "guide.pdf").write_bytes(create_pdf("First page.\n# not a heading", "", "Third page."))
    first, third = load_documents(tmp_path / "guide.pdf")
    text = "First page.\n# not a heading\n\n\n\nThird page."
    assert (first.page_content, third.page_content) == ("First page.\n# not a heading", "Third page.")
    assert [(d.metadata["page"], d.metadata["start"]) for d in (first, third)] == [
        (1, 0),
        (3, text.index("Third")),
    ]
    for document in (first, third):
        assert document.metadata["title"] == "guide"
        assert document.metadata["content_hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_pdfs_can_be_read_by_several_threads(tmp_path, monkeypatch):
    read_page = pdf_reader._read_page

    def check_lock(*args):
        assert pdf_reader._pdfium_lock.locked()
        return read_page(*args)

    monkeypatch.setattr(pdf_reader, "_read_page", check_lock)
    for i in range(8):
        (tmp_path / f"{i}.pdf").write_bytes(create_pdf(*[f"file {i} page {n}" for n in range(10)]))
    barrier = threading.Barrier(8)

    def read_pages(i: int) -> list[str]:
        barrier.wait(60)
        return [document.page_content for document in load_documents(tmp_path / f"{i}.pdf")]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read_pages, range(8))) == [[f"file {i} page {n}" for n in range(10)] for i in range(8)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (
            b"%PDF-1.4 junk",
            "it is not a readable PDF (Failed to load document (PDFium: Data format error))",
        ),
        (LOCKED, "it is protected by a password; save a copy without one"),
        (create_pdf("", " "), "it has no text; a scanned PDF needs OCR first"),
    ],
)
def test_unusable_pdfs_are_skipped(tmp_path, data, reason):
    assert read_skip_reason(tmp_path, "x.pdf", data) == reason


def test_scanned_pages_are_named_if_others_have_text(tmp_path):
    picture = "q 500 0 0 700 50 50 cm BI /W 1 /H 1 /CS /G /BPC 8 ID A EI Q"
    text = place_lines(50, 700, "Some text.")
    (tmp_path / "a.pdf").write_bytes(create_placed_pdf(text, [], [], [], drawings=["", picture, "", picture]))
    with pytest.warns(DocumentWarning, match="pages 2, 4 are pictures without text, and need OCR first"):
        (document,) = load_documents(tmp_path / "a.pdf")
    assert document.page_content == "Some text."
    extracted = read_pdf(create_placed_pdf(text, [], drawings=["", picture]), 0)
    assert extracted.warnings == ["page 2 is a picture without text, and needs OCR first"]


def test_empty_pages_need_no_warning():
    assert read_pdf(create_placed_pdf(place_lines(50, 700, "Some text."), []), 0).warnings == []


def test_offsets_hold_when_pages_have_a_crop_box(tmp_path):
    texts = place_lines(150, 600, "Cropped", "page")
    data = create_placed_pdf(texts, page_entries=["/CropBox [100 100 500 700]"])
    assert read_pdf(data, 0).pages == ["Cropped\npage"]


def test_characters_without_a_code_are_left_out():
    assert read_pdf(create_pdf("a\\000b\\001c d\nsecond e\\000f"), 0).pages == ["ab\x01c d\nsecond ef"]
