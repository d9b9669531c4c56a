"""load_documents: what is read, what is skipped and why, and what is an error."""

import hashlib
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langchain_gptoss.errors import DocumentsError
from langchain_gptoss.ingest import SUPPORTED_SUFFIXES, Skipped, load_documents
from langchain_gptoss.ingest.readers import formats


def pdf(*pages: str, trailer: str = "", extra: Sequence[str] = (), catalog: str = "") -> bytes:
    """The smallest PDF that shows these texts, one a page; a newline in a text starts a new line.

    `extra` are objects after the pages, the first numbered `4 + 2 * len(pages)`; `catalog` is added to the catalogue.
    """
    count = len(pages)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(count))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, page in enumerate(pages):
        lines = " T* ".join(f"({line}) Tj" for line in page.split("\n"))
        stream = f"BT /F1 12 Tf 14 TL 72 720 Td {lines} ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects += extra
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\n"
    return out + f"{end}startxref\n{len(out)}\n%%EOF\n".encode()


LOCKED = pdf(
    "secret",
    trailer=f"/ID [<{'00' * 16}> <{'00' * 16}>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'11' * 32}> /U <{'22' * 32}> >>",
)


def skips_of(folder: Path) -> dict[str, str]:
    (folder / "zz.txt").write_text("good")
    skipped: list[Skipped] = []
    assert [document.metadata["source"] for document in load_documents(folder, on_skip=skipped.append)] == ["zz.txt"]
    return {skip.source: skip.reason for skip in skipped}


def test_a_folder_in_order_without_what_is_hidden_or_unsupported(tmp_path):
    for name in ("b.TXT", "a/é 資料.md", "a/.hidden.md", ".git/x.md", "a.markdown", "c.doc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"body of {name}", encoding="utf-8")
    documents = load_documents(str(tmp_path), on_skip=lambda skipped: pytest.fail(str(skipped)))
    assert [document.metadata["source"] for document in documents] == ["a.markdown", "a/é 資料.md", "b.TXT"]
    assert [document.metadata["title"] for document in documents] == ["a", "é 資料", "b"]


def test_text_is_left_as_it_is(tmp_path):
    text = "\r\n# The *Title* #\r\n\r\nline one\rline two\n\ttab \u2028 nbsp\xa0\n"
    (tmp_path / "x.md").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (document,) = load_documents(tmp_path / "x.md")
    assert document.page_content == text
    assert document.metadata == {
        "source": "x.md",
        "title": "The Title",
        "start": 0,
        "content_hash": hashlib.sha256(text.encode()).hexdigest(),
        "language": "en",
    }


@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0"?>\n<!DOCTYPE html>'])
def test_html_becomes_markdown(tmp_path, declaration):
    (tmp_path / "page.HTM").write_text(
        f"{declaration}<html><head><title>Tab</title><style>a {{}}</style><script>var x</script></head><body>"
        "<nav>Menu</nav><h1>Prices</h1><p>A <b>snake_case</b> 2*3</p><h2>Table</h2><table><tr><th>a</th></tr>"
        "<tr><td>1</td></tr></table><script>more()</script></body></html>"
    )
    (document,) = load_documents(tmp_path)
    assert document.page_content.split("\n\n") == [
        "# Prices",
        "A **snake_case** 2*3",
        "## Table",
        "| a |\n| --- |\n| 1 |",
    ]
    assert document.metadata["title"] == "Prices"


def test_html_of_bare_words_and_deep_nesting(tmp_path):
    (tmp_path / "words.html").write_text("https://larkspur.example/prices")
    assert load_documents(tmp_path)[0].page_content.strip() == "https://larkspur.example/prices"
    (tmp_path / "words.html").write_text("<div>" * 5000 + "x")
    assert skips_of(tmp_path) == {"words.html": "its HTML is nested too deeply"}


def test_pdf_pages_are_slices_of_the_whole_text(tmp_path):
    (tmp_path / "guide.pdf").write_bytes(pdf("First page.\n# not a heading", "", "Third page."))
    first, third = load_documents(tmp_path / "guide.pdf")
    whole = "First page.\n# not a heading\n\n\n\nThird page."
    assert (first.page_content, third.page_content) == ("First page.\n# not a heading", "Third page.")
    assert [(d.metadata["page"], d.metadata["start"]) for d in (first, third)] == [
        (1, 0),
        (3, whole.index("Third")),
    ]
    for document in (first, third):
        assert document.metadata["title"] == "guide"
        assert document.metadata["content_hash"] == hashlib.sha256(whole.encode()).hexdigest()


def test_pdfs_may_be_read_from_several_threads(tmp_path, monkeypatch):
    read_page = formats._page_text

    def alone(*args):
        assert formats._pdfium_lock.locked()
        return read_page(*args)

    monkeypatch.setattr(formats, "_page_text", alone)
    for i in range(8):
        (tmp_path / f"{i}.pdf").write_bytes(pdf(*[f"file {i} page {n}" for n in range(10)]))
    barrier = threading.Barrier(8)

    def read(i: int) -> list[str]:
        barrier.wait(10)
        return [document.page_content for document in load_documents(tmp_path / f"{i}.pdf")]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [[f"file {i} page {n}" for n in range(10)] for i in range(8)]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.txt", "café".encode("latin-1"), "it is not UTF-8 text (byte 4); save it as UTF-8"),
        ("x.html", b"<meta charset='shift_jis'>\xff\xff", "it says that it is shift_jis and is not; save it as UTF-8"),
        ("x.txt", b"\xff\xfea", "it says that it is utf-16 and is not; save it as UTF-8"),
        ("x.txt", "café ".encode() + "café".encode("latin-1"), "it is not UTF-8 text (byte 10); save it as UTF-8"),
        ("x.md", b"a\0b", "it holds NUL bytes, so it is not UTF-8 text; save it as UTF-8"),
        ("x.md", b"", "it is empty"),
        ("x.md", b"\xef\xbb\xbf \r\n\t", "it is empty"),
        ("x.html", b"<script>x</script>", "it is empty"),
        ("x.pdf", b"", "it is empty"),
        (
            "x.pdf",
            b"%PDF-1.4 junk",
            "it is not a readable PDF (Failed to load document (PDFium: Data format error))",
        ),
        ("x.pdf", LOCKED, "it is protected by a password; save a copy without one"),
        ("x.pdf", pdf("", " "), "it holds no text; a scanned PDF needs OCR first"),
    ],
)
def test_what_cannot_be_used_is_skipped_and_the_others_go_on(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    assert skips_of(tmp_path) == {name: reason}


def test_what_vanishes_or_is_no_file_or_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "locked.md").write_text("x")
    (tmp_path / "folder.md").mkdir()
    read_bytes, scandir = Path.read_bytes, os.scandir

    def denied(path: Path) -> bytes:
        if path.name == "locked.md":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    def denied_folder(path):
        if str(path).endswith("folder.md"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    monkeypatch.setattr(os, "scandir", denied_folder)
    assert skips_of(tmp_path) == {
        "folder.md": "the folder cannot be read (Permission denied)",
        "gone.md": "it no longer exists",
        "locked.md": "it cannot be read (Permission denied)",
        "pipe.md": "it is not a regular file",
    }


def test_a_file_name_that_is_not_unicode(tmp_path):
    try:
        Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.md")).write_text("x")
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    (document,) = load_documents(tmp_path)
    assert document.metadata["source"] == "caf\ufffd.md"
    assert document.metadata["title"] == "caf\ufffd"


def test_the_default_is_a_warning_that_names_the_file(tmp_path, caplog):
    (tmp_path / "broken.pdf").write_bytes(b"junk")
    (tmp_path / "good.md").write_text("x")
    with caplog.at_level(logging.WARNING):
        load_documents(tmp_path)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("Skipped broken.pdf: it is not a readable PDF (")
    assert message.endswith(").")


def test_errors_say_what_to_do(tmp_path):
    def error(path: Path) -> str:
        with pytest.raises(DocumentsError) as caught:
            load_documents(path, on_skip=lambda _: None)
        return str(caught.value)

    suffixes = f"{', '.join(SUPPORTED_SUFFIXES[:-1])} or .eml"
    assert error(tmp_path / "nowhere") == f"There is no file or folder at {tmp_path / 'nowhere'}. Check the path."
    assert "There is no file or folder" in error(tmp_path / "nul\0")
    assert error(tmp_path) == f"The folder {tmp_path} is empty. Put documents into it ({suffixes})."
    for name in ("a.doc", "b.xls", "c.png", "d", ".hidden.md"):
        (tmp_path / name).write_text("x")
    assert error(tmp_path) == (
        f"The folder {tmp_path} holds no document that can be read, only a.doc, b.xls, c.png and 1 more. Supported are {suffixes}."
    )
    assert error(tmp_path / "a.doc") == f"a.doc cannot be read. Convert it to one of {suffixes}."
    for i in range(5):
        (tmp_path / f"e{i}.md").write_text("")
    assert error(tmp_path) == (
        f"Nothing at {tmp_path} can be used (e0.md: it is empty; e1.md: it is empty; e2.md: it is empty; and 2 more). "
        "Mend or replace the files."
    )
    assert "e0.md: it is empty" in error(tmp_path / "e0.md")


def test_the_home_folder_may_be_written_short(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "x.md").write_text("x")
    assert len(load_documents("~")) == 1


def test_the_suffixes_are_pinned():
    assert SUPPORTED_SUFFIXES == (
        ".md", ".markdown", ".txt", ".html", ".htm", ".pdf", ".docx", ".pptx", ".xlsx", ".epub", ".csv", ".tsv",
        ".json", ".jsonl", ".eml",
    )  # fmt: skip
