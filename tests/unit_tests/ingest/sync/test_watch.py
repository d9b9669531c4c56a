"""watch_documents."""

import threading
import time

import pytest
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest import watch_documents
from tests.unit_tests.ingest.sync_helpers import HashEmbeddings, write_file


class DocumentLoader(BaseLoader):
    def __init__(self, *documents: tuple[str, str]) -> None:
        self.documents = documents

    def lazy_load(self):
        for source, text in self.documents:
            yield Document(page_content=text, metadata={"source": source})


def test_changes_are_synchronized_until_stopped(docs, place):
    reports, problems, stop = [], [], threading.Event()
    options = {"embeddings": HashEmbeddings(), "interval_s": 0.02, "stop": stop, "on_progress": lambda _: None}
    thread = threading.Thread(
        target=lambda: watch_documents(docs, place, on_report=reports.append, on_error=problems.append, **options)
    )
    thread.start()

    def wait_until(condition) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    wait_until(lambda: reports)
    write_file(docs / "d.md", "four")
    wait_until(lambda: len(reports) == 2)
    assert reports[1].added == ("d.md",)
    write_file(docs / "d.md", "four and five")
    wait_until(lambda: len(reports) == 3)
    assert reports[2].changed == ("d.md",)
    docs.rename(docs.with_name("away"))
    wait_until(lambda: problems)
    docs.with_name("away").rename(docs)
    (docs / "d.md").unlink()
    wait_until(lambda: reports[-1].removed == ("d.md",))
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    for bad in ({"interval_s": 0}, {}):
        with pytest.raises(InvalidInputError):
            watch_documents(DocumentLoader(("x", "y")) if not bad else docs, place, on_report=reports.append, **bad)
