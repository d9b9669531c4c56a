"""Every format: a chunk is the slice of the file's extracted text that its metadata names."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_gptoss.errors import DocumentsError
from langchain_gptoss.ingest import SUPPORTED_SUFFIXES, load_documents, split_documents
from tests import scale
from tests.unit_tests.ingest.sample_files import create_docx, create_eml, create_epub, create_outlined_pdf, create_pdf

Texts = list[list[str]]


def write_markdown(texts: Texts) -> bytes:
    return "\r\n\n".join(f"# {part[0]}\n\n" + "\n- ".join(part) for part in texts).encode()


def write_html(texts: Texts) -> bytes:
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in part)}</tr>" for part in texts)
    return (f"<meta charset=utf-8><h1>{texts[0][0]}</h1><p>{texts[-1][-1]}</p><table>{rows}</table>").encode()


def keep_ascii(text: str) -> str:
    return "".join(char for char in text if char.isascii() and char not in "()\\")


def write_pdf(texts: Texts) -> bytes:
    return create_pdf(*["\n".join(map(keep_ascii, part)) for part in texts])


def write_outlined_pdf(texts: Texts) -> bytes:
    pages = ["\n".join(map(keep_ascii, part)) for part in texts]
    return create_outlined_pdf(pages, [(at % 2, keep_ascii(text), number) for number, part in enumerate(texts) for at, text in enumerate(part[:2])])  # fmt: skip


def write_docx(texts: Texts) -> bytes:
    return create_docx(*[(1 + number % 3, part[0]) for number, part in enumerate(texts)], *texts[0], texts)


def write_pptx(texts: Texts) -> bytes:
    deck = pytest.importorskip("pptx").Presentation()
    for part in texts:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = part[0], "\n".join(part)
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def write_xlsx(texts: Texts) -> bytes:
    book = pytest.importorskip("openpyxl").Workbook()
    for part in texts:
        book.active.append(part)
    book.create_sheet("Second").append(texts[0])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def write_csv(texts: Texts, **options: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, **options).writerows(texts)
    return out.getvalue().encode()


def write_epub(texts: Texts) -> bytes:
    return create_epub(*[f"<h1>{part[0]}</h1>" + "".join(f"<p>{text}</p>" for text in part) for part in texts])


WRITERS: dict[str, Callable[[Texts], bytes]] = {
    "a.md": write_markdown,
    "a.markdown": write_markdown,
    "a.txt": lambda texts: b"\xef\xbb\xbf" + write_markdown(texts),
    "utf16.txt": lambda texts: write_markdown(texts).decode().encode("utf-16"),
    "a.html": write_html,
    "a.htm": write_html,
    "a.pdf": write_pdf,
    "outlined.pdf": write_outlined_pdf,
    "a.docx": write_docx,
    "a.pptx": write_pptx,
    "a.xlsx": write_xlsx,
    "a.epub": write_epub,
    "a.csv": write_csv,
    "a.tsv": lambda texts: write_csv(texts, delimiter="\t"),
    "a.json": lambda texts: json.dumps([{"name": part[0], "deep": {"rest": part}} for part in texts]).encode(),
    "a.jsonl": lambda texts: b"\n".join(json.dumps(part).encode() for part in texts),
    "a.eml": lambda texts: create_eml("Re: it", text="\n".join(map("\n".join, texts)), html="<p>no</p>"),
}
WORDS = st.text(alphabet="abc dé.!#|-;,'\"`*_é日。", min_size=1, max_size=30).map(lambda text: " ".join(text.split()))
TEXTS = st.lists(st.lists(WORDS.filter(bool), min_size=1, max_size=4), min_size=1, max_size=4)


def count_words_and_marks(text: str) -> int:
    return len(text.split()) + sum(not char.isalnum() for char in text) + 2


def join_pages(documents: list[Document]) -> str:
    """Join the pages of a file; empty pages have no document."""
    text = ""
    for document in documents:
        start = document.metadata["start"]
        assert start >= len(text)
        text += "\n" * (start - len(text)) + document.page_content
    return text


def test_every_suffix_has_a_writer():
    assert {Path(name).suffix for name in WRITERS} == set(SUPPORTED_SUFFIXES)


@pytest.mark.parametrize("name", WRITERS)
@settings(deadline=None, max_examples=scale(80, minimum=4), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=TEXTS,
    limits=st.sampled_from(
        [
            {},
            {"max_chars": 9},
            {"max_chars": 40, "overlap": 20},
            {"max_tokens": 12, "overlap": 5, "count_tokens": count_words_and_marks},
        ]
    ),
)
def test_chunks_are_slices_of_the_extracted_text(tmp_path, name, texts, limits):
    (tmp_path / name).write_bytes(WRITERS[name](texts))
    try:
        documents = load_documents(tmp_path / name, on_skip=lambda _: None)
    except DocumentsError as error:
        reason = str(error)
        assume("it is empty" not in reason and "it has no text" not in reason)
        raise
    text = join_pages(documents)
    (digest,) = {document.metadata["content_hash"] for document in documents}
    # Empty pages at the end are part of the text and in no document.
    assert digest in {hashlib.sha256((text + "\n\n" * more).encode()).hexdigest() for more in range(len(texts))}
    chunks = split_documents(documents, **limits)
    for chunk in chunks:
        assert text[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.page_content == chunk.page_content.strip()
        assert chunk.page_content
        assert chunk.metadata["source"] == name
        assert isinstance(chunk.metadata["heading"], str)
    assert len({chunk.id for chunk in chunks}) == len(chunks)
