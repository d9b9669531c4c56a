"""A process that reads files for another one: `python -m langchain_gptoss.ingest.readers.worker`.

A process of its own, because parsing PDF and Office files keeps a core busy, and because a file that crashes its
parser then costs that file and not the run. Not `multiprocessing`, which runs the caller's script again in each
process. One JSON line asks for a file, one answers.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from langchain_gptoss.errors import MissingDependencyError
from langchain_gptoss.ingest.load import Options, read_file
from langchain_gptoss.ingest.readers.formats import UnusableError
from langchain_gptoss.ingest.sources import Found


def main() -> None:
    """Answers until the input ends, which it does when the asking process does."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a parser prints is no answer
    serve(sys.stdin.buffer, answers)


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Says that it is there, and answers each line of one stream on another."""
    answers.write(b"{}\n")
    answers.flush()
    for line in questions:
        answers.write(json.dumps(_answer(json.loads(line))).encode() + b"\n")
        answers.flush()


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    found = Found(question["source"], Path(question["path"]))
    try:
        contents = read_file(found, Options({}, question["max_bytes"]), known_hash=question["known_hash"])
    except UnusableError as unusable:
        return {"reason": str(unusable), "lasting": unusable.lasting, "hash": unusable.file_hash}
    except MissingDependencyError as error:
        return {"missing": str(error)}
    documents = contents.documents
    texts = None if documents is None else [[document.page_content, document.metadata] for document in documents]
    return {"documents": texts, "hash": contents.file_hash}


if __name__ == "__main__":
    main()
