"""Worker process that reads files for `pool`, started in isolation (see `langchain_gptoss._process`).

One JSON line on standard input requests a file, one JSON line on standard output answers. JSON, unlike pickle, is safe
to receive from a process that parses untrusted files.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from langchain_gptoss.errors import MissingDependencyError
from langchain_gptoss.ingest.file_contents import ReadOptions, read_file
from langchain_gptoss.ingest.readers.base import OUT_OF_MEMORY, OutOfMemoryError, UnreadableFileError
from langchain_gptoss.ingest.readers.process_limits import limit_memory, limit_processor_time
from langchain_gptoss.ingest.sources import SourceFile


def main() -> None:
    """Answer requests until the input ends, which happens when the requesting process ends."""
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # text that a parser prints must not mix with the responses
    limit_memory(int(sys.argv[1]))
    serve_requests(sys.stdin.buffer, responses, set_time_limit=limit_processor_time)


def serve_requests(
    requests: BinaryIO, responses: BinaryIO, *, set_time_limit: Callable[[float], None] = lambda _: None
) -> None:
    """Write one line to report the start, then one line per request.

    Args:
        requests: The input.
        responses: The output.
        set_time_limit: Called with the seconds of processor time that a file may take, before it is read.
    """
    responses.write(b"{}\n")
    responses.flush()
    for line in requests:
        request = json.loads(line)
        set_time_limit(request["time_limit_s"])
        responses.write(_create_line(request) + b"\n")
        responses.flush()


def _create_line(request: dict[str, Any]) -> bytes:
    """Return the response as a line of a limited length."""
    response = _create_response(request)
    try:
        text = json.dumps(response, ensure_ascii=False)
        if len(text) > request["max_response_chars"]:
            reason = "its text is too long for its size; if it is not meant to, save it again, else split it"
            text = json.dumps(_create_error(UnreadableFileError(reason), response["file_hash"]))
    except MemoryError:
        text = json.dumps(_create_error(OutOfMemoryError(OUT_OF_MEMORY), response["file_hash"]))
    return text.encode("utf-8", "surrogatepass")  # json.loads reads lone surrogates


def _create_response(request: dict[str, Any]) -> dict[str, Any]:
    file = SourceFile(request["source"], Path(request["path"]))
    try:
        contents = read_file(file, ReadOptions({}, request["max_bytes"]), known_hash=request["known_hash"])
    except UnreadableFileError as error:
        return _create_error(error, error.file_hash)
    except MissingDependencyError as error:
        return {"missing_dependency": error.message, "hint": error.hint}
    except MemoryError:
        return _create_error(OutOfMemoryError(OUT_OF_MEMORY), None)
    documents = None
    if contents.documents is not None:
        documents = [[document.page_content, document.metadata] for document in contents.documents]
    return {"documents": documents, "file_hash": contents.file_hash, "warnings": contents.warnings}


def _create_error(error: UnreadableFileError, file_hash: str | None) -> dict[str, Any]:
    return {
        "reason": str(error),
        "is_permanent": error.is_permanent,
        "file_hash": file_hash,
        "is_last": isinstance(error, OutOfMemoryError),
    }


if __name__ == "__main__":
    main()
