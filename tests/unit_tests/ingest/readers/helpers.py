"""Helpers that load one file of a format."""

import hashlib
from pathlib import Path

from langchain_core.documents import Document

from langchain_gptoss.ingest import SkippedFile, load_documents


def load_text(folder: Path, name: str, data: bytes) -> Document:
    """Write a file and return its only document."""
    (folder / name).write_bytes(data)
    (document,) = load_documents(folder / name)
    assert document.metadata["content_hash"] == hashlib.sha256(document.page_content.encode()).hexdigest()
    return document


def read_skip_reason(folder: Path, name: str, data: bytes, **options: object) -> str:
    """Write an unusable file beside a good one and return the reason why it is skipped."""
    (folder / name).write_bytes(data)
    (folder / "zz.txt").write_text("good")
    skipped: list[SkippedFile] = []
    documents = load_documents(folder, on_skip=skipped.append, **options)
    assert [document.metadata["source"] for document in documents] == ["zz.txt"]
    (file,) = skipped
    assert file.source == name
    return file.reason
