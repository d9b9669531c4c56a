"""Resumable download of one large file from the hub.

A download continues after the bytes that an interrupt or a lost connection left in the file.
"""

import importlib
import importlib.util
import time
from http import HTTPStatus
from typing import BinaryIO

from langchain_gptoss._progress import ProgressBar

# huggingface_hub 1.x raises the exceptions of httpx, and 2.x those of httpx2.
_HTTP_LIBRARIES = [importlib.import_module(name) for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
HTTP_ERRORS: tuple[type[Exception], ...] = tuple(library.HTTPError for library in _HTTP_LIBRARIES)
"""Base classes of the exceptions that the installed huggingface_hub lets through from its HTTP library."""

_MAX_FAILURES = 5  # in a row, without a single new byte
_FIRST_PAUSE_S = 0.2
_PAUSE_FACTOR = 3  # each further pause is this much longer
_RETRYABLE_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class AlteredFileError(Exception):
    """The content of a downloaded file is not the published one; the message is the file's name."""


class _RetryableError(OSError):
    """The server is busy, or the connection ended early; the download can continue later."""


_RETRYABLE_ERRORS: tuple[type[Exception], ...] = (
    *(library.TransportError for library in _HTTP_LIBRARIES),
    _RetryableError,
)


def receive_file(url: str, size_bytes: int, stream: BinaryIO, progress_bar: ProgressBar) -> None:
    """Append the rest of a file to a stream; reconnect after lost connections as long as new bytes arrive.

    Args:
        url: Address of the file.
        size_bytes: Published size of the file.
        stream: Contains the bytes received so far; its position is its end.
        progress_bar: Updated with the number of bytes received.

    Raises:
        AlteredFileError: The server's file has another size.
        OSError: The server stays busy, or the stream cannot be written.
        Exception: One of `HTTP_ERRORS`: the server cannot be reached or refuses.
    """
    failures = 0
    while (received_bytes := stream.tell()) < size_bytes:
        try:
            _receive_once(url, size_bytes, stream, progress_bar)
        except _RETRYABLE_ERRORS:
            failures = 0 if stream.tell() > received_bytes else failures + 1
            if failures == _MAX_FAILURES:
                raise
            time.sleep(_FIRST_PAUSE_S * _PAUSE_FACTOR**failures)


def truncate(stream: BinaryIO) -> None:
    """Delete the content of a stream."""
    stream.seek(0)
    stream.truncate()


def _receive_once(url: str, size_bytes: int, stream: BinaryIO, progress_bar: ProgressBar) -> None:
    from huggingface_hub import constants, get_session, hf_raise_for_status
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    file_name = repr(url.rsplit("/", 1)[-1])
    received_bytes = stream.tell()
    # Compressed content could be neither counted nor resumed.
    headers = {**build_hf_headers(), "Range": f"bytes={received_bytes}-", "Accept-Encoding": "identity"}
    timeout_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout_s) as response:
        if response.status_code in _RETRYABLE_STATUS:
            raise _RetryableError(f"the server answers {response.status_code} for {url}")
        starts_over = received_bytes > 0 and response.status_code == HTTPStatus.OK
        is_shorter = response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if starts_over or is_shorter:
            truncate(stream)
            progress_bar.update(-received_bytes)
            received_bytes = 0
        if is_shorter:
            raise AlteredFileError(file_name)
        hf_raise_for_status(response)
        for chunk in response.iter_bytes():  # without a chunk size, so that a lost connection loses no buffered bytes
            stream.write(chunk[: size_bytes - received_bytes])
            received_bytes += len(chunk)
            progress_bar.update(len(chunk))
            if received_bytes > size_bytes:
                raise AlteredFileError(file_name)
    if received_bytes < size_bytes:
        raise _RetryableError(f"the connection ended {size_bytes - received_bytes} bytes early")
