"""Documents: damaged and crafted files for each reader, links that lead out, and code that lies beside the files."""

from __future__ import annotations

import io
import random
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

from langchain_gptoss.errors import DocumentsError
from langchain_gptoss.ingest import load_documents
from scripts.attack.report import Report
from tests.unit_tests.ingest.readers.test_every_format import WRITERS

AREA = "documents"
_GOOD = "The express delivery costs 12.90 euros."
_SECRET = "A file outside of the folder."
_PATIENCE_S = 150.0
_TEXTS = [["Prices", "delivery 12.90", "returns"], ["Hours", "noon"]]
_MARKER = "RAN"
_CODE = "import pathlib\npathlib.Path(__file__).with_name('RAN').write_text('ran')\n"
_XML = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x0 "ha">%s<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&x9;&e;</a>'
_ENTITIES = b"".join(b'<!ENTITY x%d "%s">' % (n, b"&x%d;" % (n - 1) * 10) for n in range(1, 10))
_BILLION_LAUGHS = _XML % _ENTITIES

CRAFTED: Mapping[str, bytes] = {
    "charset.html": b"<meta charset=undefined><p>text</p>",
    "charset.eml": b"Content-Type: text/plain; charset=undefined\r\n\r\ntext",
    "codec.html": b"<meta charset=zip><p>text</p>",
    "deep.html": b"<div>" * 50_000 + b"text",
    "table.html": b"<table><tr><td colspan=1000000000 rowspan=1000000000>text</td></tr></table>",
    "entities.html": _BILLION_LAUGHS,
    "deep.json": b"[" * 200_000 + b"]" * 200_000,
    "number.json": b'{"a": ' + b"9" * 100_000 + b"}",
    "surrogate.json": b'["\\ud800"]',
    "names.json": b"[{" + b",".join(b'"%s": 1' % (b"n%d" % n * 20) for n in range(2000)) + b"}]",
    "deep.jsonl": b"[" * 100_000 + b"\n{}\n",
    "names.csv": b"n" * 100_000 + b",b\n" + b"1,2\n" * 5000,
    "quote.csv": b'a,b\n"' + b"x" * 300_000,
    "nulls.csv": b"a,b\n\x00,\x00\n",
    "lines.txt": b"\x0b\x0c\x85" * 50_000,
    "binary.txt": bytes(range(256)) * 500,
    "terminal.md": b"# \x1b]52;c;ZWNobyBvd25lZA==\x07\n\ntext",
    "brackets.md": b"[" * 50_000 + b"](" * 5_000,
    "matter.md": b"---\na: &a [x]\n" + b"".join(b"b%d: &b%d [*a, *a]\n" % (n, n) for n in range(2000)) + b"---\ntext",
    "header.pdf": b"%PDF-1.7\n",
    "loop.pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj "
    b"2 0 obj<</Type/Pages/Kids[2 0 R]/Count 999999999>>endobj\ntrailer<</Root 1 0 R>>",
    "parts.eml": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 20_000,
    "nested.eml": b"Content-Type: message/rfc822\r\n\r\n" * 3000 + b"text",
    "empty.docx": b"",
    "text.docx": b"This is no archive.",
    "empty.pdf": b"",
}
"""Files by name."""


def attack_documents(report: Report, rng: random.Random, share: float, folder: Path) -> None:
    """Load folders of hostile files; the good file among them must be loaded, and no other file."""
    place = folder / "documents"
    place.mkdir()
    files = dict(CRAFTED) | _craft_archives()
    for number in range(round(15 * share)):
        for name, write in WRITERS.items():
            files[f"{number}-{name}"] = _damage(write(_TEXTS), rng)
    for name, content in files.items():
        (place / name).write_bytes(content)
    (place / "good.md").write_text(_GOOD)
    _add_links(place, folder)
    for name in ("json.py", "langchain_gptoss.py", "sitecustomize.py", "pip.py"):
        (place / name).write_text(_CODE)
    _load(report, place, len(files))
    report.check(AREA, not list(folder.rglob(_MARKER)), "code of the folder ran")


def _load(report: Report, place: Path, count: int) -> None:
    begin, skipped = time.monotonic(), []
    try:
        documents = load_documents(place, on_skip=skipped.append)
    except DocumentsError as error:
        report.check(AREA, False, f"the whole load failed: {error}")
        return
    seconds = time.monotonic() - begin
    texts = {document.metadata["source"]: document.page_content for document in documents}
    report.check(AREA, _GOOD in texts.get("good.md", ""), "the good file is missing")
    report.check(AREA, seconds < _PATIENCE_S, f"{count} files took {seconds:.0f} s")
    names = set(texts) | {Path(each.source).name for each in skipped}
    for name in {path.name for path in place.iterdir() if path.is_file() and path.suffix != ".py"}:
        report.check(AREA, name in names, f"{name} is neither loaded nor named as skipped")
    for name, text in texts.items():
        report.check(AREA, _SECRET not in text and "root:" not in text, f"{name} shows a file outside of the folder")


def _craft_archives() -> dict[str, bytes]:
    """Return archives for each reader of archives: bombs, many parts, names that lead out, and hostile XML."""
    main = {
        "docx": "word/document.xml",
        "pptx": "ppt/presentation.xml",
        "xlsx": "xl/workbook.xml",
        "epub": "OEBPS/a.opf",
    }
    archives = {}
    for suffix, part in main.items():
        archives[f"bomb.{suffix}"] = _zip({part: b" " * 200_000_000})
        archives[f"entities.{suffix}"] = _zip({part: _BILLION_LAUGHS})
        archives[f"deep.{suffix}"] = _zip({part: b"<a>" * 100_000})
        archives[f"names.{suffix}"] = _zip({"../../out.xml": b"<a/>", "/etc/x": b"<a/>", part: b"<a/>"})
        archives[f"parts.{suffix}"] = _zip({f"{number}.xml": b"" for number in range(20_000)})
    return archives


def _zip(parts: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _damage(content: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(content)
    if rng.random() < 0.3:
        del damaged[rng.randrange(len(damaged)) :]
    for _ in range(rng.randint(1, 20)):
        if damaged:
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


def _add_links(place: Path, folder: Path) -> None:
    """Add links to a file and a folder outside, and one that leads in a circle."""
    outside = folder / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text(_SECRET)
    try:
        (place / "link.md").symlink_to(outside / "secret.md")
        (place / "folder").symlink_to(outside, target_is_directory=True)
        (place / "circle").symlink_to(place, target_is_directory=True)
    except OSError:
        return  # Windows without the right to make links
