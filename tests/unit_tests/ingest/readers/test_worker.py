"""The worker's protocol: responses carry the same contents as reading in this process."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_gptoss.errors import MissingDependencyError
from langchain_gptoss.ingest.file_contents import ReadOptions, read_file
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.pool import _parse_response
from langchain_gptoss.ingest.readers.worker import serve_requests
from langchain_gptoss.ingest.sources import SourceFile
from tests.unit_tests.ingest.sample_files import create_outlined_pdf

LIMITS = {"time_limit_s": 30.0, "max_response_chars": 1_000_000}


def request_file(path: Path, known_hash: str | None = None) -> Any:
    """Send a request through the protocol and return the parsed response."""
    request = {"source": path.name, "path": str(path), "max_bytes": 1_000_000, "known_hash": known_hash, **LIMITS}
    responses = io.BytesIO()
    serve_requests(io.BytesIO(json.dumps(request).encode() + b"\n"), responses)
    ready, response = responses.getvalue().splitlines()
    assert json.loads(ready) == {}
    return _parse_response(json.loads(response))


def test_response_has_documents_and_hash(tmp_path):
    path = tmp_path / "guide.pdf"
    path.write_bytes(create_outlined_pdf(["Returns\nYou may return it."], [(0, "Returns", 0)]))
    expected = read_file(SourceFile("guide.pdf", path), ReadOptions({}, 1_000_000))
    assert expected.documents[0].metadata["headings"] == [[0, "Returns"]]
    assert request_file(path) == expected


def test_known_file_is_not_parsed(tmp_path):
    path = tmp_path / "x.html"
    path.write_text("<p>x</p>")
    contents = request_file(path, "0" * 64)
    assert contents.documents is not None
    assert request_file(path, contents.file_hash).documents is None


def test_unreadable_file_is_reported(tmp_path):
    (tmp_path / "bad.pdf").write_bytes(b"junk")
    error = request_file(tmp_path / "bad.pdf")
    assert isinstance(error, UnreadableFileError)
    assert str(error).startswith("it is not a readable PDF")
    assert error.is_permanent
    assert error.file_hash
    assert request_file(tmp_path / "missing.pdf").file_hash is None


def test_missing_dependency_is_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lxml.html", None)
    (tmp_path / "a.html").write_text("x")
    with pytest.raises(MissingDependencyError, match=r'pip install "langchain-gptoss\[rag\]"'):
        request_file(tmp_path / "a.html")
