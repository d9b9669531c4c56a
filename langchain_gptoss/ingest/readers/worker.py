"""Worker process that reads files for `pool`, started in isolation (see `langchain_gptoss._process`).

One JSON line on standard input requests a file, one JSON line on standard output answers. JSON, unlike pickle, is safe
to receive from a process that parses untrusted files.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from langchain_gptoss.errors import MissingDependencyError
from langchain_gptoss.ingest.file_contents import ReadOptions, read_file
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.sources import SourceFile


def main() -> None:
    """Answer requests until the input ends, which happens when the requesting process ends."""
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # text that a parser prints must not mix with the responses
    serve_requests(sys.stdin.buffer, responses)


def serve_requests(requests: BinaryIO, responses: BinaryIO) -> None:
    """Write one line to report the start, then one line per request."""
    responses.write(b"{}\n")
    responses.flush()
    for line in requests:
        responses.write(json.dumps(_create_response(json.loads(line))).encode() + b"\n")
        responses.flush()


def _create_response(request: dict[str, Any]) -> dict[str, Any]:
    file = SourceFile(request["source"], Path(request["path"]))
    try:
        contents = read_file(file, ReadOptions({}, request["max_bytes"]), known_hash=request["known_hash"])
    except UnreadableFileError as error:
        return {"reason": str(error), "is_permanent": error.is_permanent, "file_hash": error.file_hash}
    except MissingDependencyError as error:
        return {"missing_dependency": error.message, "hint": error.hint}
    documents = None
    if contents.documents is not None:
        documents = [[document.page_content, document.metadata] for document in contents.documents]
    return {"documents": documents, "file_hash": contents.file_hash, "warnings": contents.warnings}


if __name__ == "__main__":
    main()
