"""Damaged files of every format: a worker process answers for each, and goes on with the next one."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from langchain_gptoss.ingest.file_contents import FileContents
from langchain_gptoss.ingest.readers import pool
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.pool import ReadJob
from langchain_gptoss.ingest.sources import SourceFile
from tests import scale
from tests.unit_tests.ingest.readers.test_every_format import WRITERS

MAX_BYTES = 2_000_000
SEEDS = {name: write([["Title", "one. two"], ["12.50", "trois"]]) for name, write in WRITERS.items() if "." in name}
HARMFUL = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"charset=undefined", b"charset=idna", b"charset=x-\xff"),
    *(b"<" * 50, b"[" * 500, b"{" * 500, b"((((", b"9" * 5000, b"1e999", b"NaN", b"-1", b"\n---\n", b"\n+++\n"),
    *(b"<table><tr><td rowspan=65534 colspan=65534>", b"<!ENTITY a 'b'>", b"<!DOCTYPE x [", b"&#xD800;", b"]]>"),
    *(b"\r\nContent-Transfer-Encoding: base64\r\n", b"=?undefined?B?////?=", b"/Type /Page", b"endobj", b'"' * 99),
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "repeat", "insert", "delete"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(HARMFUL),
    ),
    min_size=1,
    max_size=6,
)


def damage(data: bytes, changes: list[tuple[str, float, float, bytes]]) -> bytes:
    """Return bytes after some changes; the parts of a zip file are changed, not their packing."""
    if data.startswith(b"PK"):
        return damage_archive(data, changes)
    for kind, first, second, text in changes:
        start, end = sorted((int(first * len(data)), int(second * len(data))))
        if kind == "flip" and data:
            data = data[:start] + bytes([data[start] ^ 1 << int(second * 8)]) + data[start + 1 :]
        elif kind == "cut":
            data = data[:end]
        elif kind == "repeat":
            data = data[:end] + data[start:end] * 3 + data[end:]
        elif kind == "insert":
            data = data[:start] + text + data[start:]
        elif kind == "delete":
            data = data[:start] + data[end:]
    return data


def damage_archive(data: bytes, changes: list[tuple[str, float, float, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        parts = source.infolist()
        for number, part in enumerate(parts):
            own = [change for change in changes if int(change[1] * 7919) % len(parts) == number]
            target.writestr(part.filename, damage(source.read(part), own) if own else source.read(part))
    return out.getvalue()


@pytest.fixture(scope="module")
def workers() -> Iterator[list[pool._Worker]]:
    started: list[pool._Worker] = []
    yield started
    for worker in started:
        worker.close()


def read(workers: list[pool._Worker], path: Path) -> FileContents | UnreadableFileError:
    if not workers or not workers[-1].is_usable:
        workers.append(pool._Worker())
        assert workers[-1].wait_until_ready()
    return workers[-1].read(ReadJob(SourceFile(path.name, path)), MAX_BYTES)


@pytest.mark.parametrize("name", SEEDS)
@settings(deadline=None, max_examples=scale(200), suppress_health_check=list(HealthCheck))
@example(changes=[("insert", 0.0, 0.0, b"charset=undefined")])
@example(changes=[("cut", 0.0, 0.5, b"")])
@given(changes=CHANGES)
def test_damaged_files_are_read_or_refused(tmp_path, workers, name, changes):
    path = tmp_path / name
    path.write_bytes(damage(SEEDS[name], changes))
    result = read(workers, path)
    if isinstance(result, UnreadableFileError):
        assert str(result)
        # PDFium may crash; the other parsers must not, nor occupy or exhaust their process.
        assert name.endswith(".pdf") or workers[-1].is_usable, str(result)
    else:
        for document in result.documents or ():
            document.page_content.encode()
            assert document.metadata["source"] == name
