"""Reader of e-mail."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.html import convert_html_to_markdown

_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def read_eml(data: bytes, max_bytes: int) -> ExtractedText:
    """Read an e-mail: subject, sender, receivers, date, the names of its attachments, and its text."""
    try:
        message = email.message_from_bytes(data, _class=EmailMessage, policy=email.policy.default)
        headers = [f"{name}: {value}" for name in _HEADERS if (value := _get_header(message, name))]
        body, attachments = _extract_body(message), _list_attachments(message)
    except UnreadableFileError:
        raise
    except Exception as error:  # the parser raises errors of several kinds on malformed headers
        raise UnreadableFileError(f"it is not a readable e-mail ({error}); save it again as .eml") from error
    if not headers:
        raise UnreadableFileError("it is not an e-mail: it has no headers" if data.strip() else "it is empty")
    if attachments:
        headers.append(f"Attachments: {', '.join(attachments)}")
    return ExtractedText(["\n\n".join(filter(None, ["\n".join(headers), body]))], _get_header(message, "Subject"))


def _get_header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message.get(name, "")).split())


def _extract_body(message: EmailMessage) -> str:
    part: Any = message.get_body(("plain", "html"))
    if part is None:
        return ""
    try:
        text = str(part.get_content())
    except (LookupError, ValueError):  # a character set that Python does not know
        text = part.get_payload(decode=True).decode("utf-8", "replace")
    text = text.replace("\r\n", "\n")
    return (convert_html_to_markdown(text) if part.get_content_subtype() == "html" else text).strip()


def _list_attachments(message: EmailMessage) -> list[str]:
    return [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
