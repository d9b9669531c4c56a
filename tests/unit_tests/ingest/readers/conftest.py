"""Reading in this process: the tests of the readers load hundreds of files, and `test_pool.py` has the processes."""

from collections.abc import Iterator, Sequence

import pytest

from langchain_gptoss.ingest.file_contents import ReadOptions, read_file
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.pool import ReadJob, ReadResult


def read_files_here(jobs: Sequence[ReadJob], options: ReadOptions) -> Iterator[ReadResult]:
    """Read files in the test's process."""
    for job in jobs:
        try:
            yield job, read_file(job.file, options)
        except UnreadableFileError as error:
            yield job, error


@pytest.fixture(autouse=True)
def read_here() -> Iterator[None]:
    """Replace the worker processes of `load_documents`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("langchain_gptoss.ingest.load.read_files", read_files_here)
        yield
