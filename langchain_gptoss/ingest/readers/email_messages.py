"""Reader of e-mail: what a message says, what it quotes or forwards, and its attachments, each as a part of its own."""

import codecs
import email
import mimetypes
from dataclasses import dataclass, field, replace
from email.message import Message
from email.policy import compat32
from pathlib import PurePosixPath
from typing import Any

from langchain_gptoss.ingest.readers.base import ExtractedText, PageHeadings, UnreadableFileError
from langchain_gptoss.ingest.readers.decoder import decode_text
from langchain_gptoss.ingest.readers.email_headers import get_charset, get_header, get_iso_date, is_forward, is_reply
from langchain_gptoss.ingest.readers.email_parts import Attachment, EmailBody, get_attached_message, get_payload
from langchain_gptoss.ingest.readers.email_quotes import QuoteKind, split_quotes
from langchain_gptoss.ingest.readers.registry import READERS, load_reader
from langchain_gptoss.ingest.structure import MARKDOWN, can_have_headings

_HEADERS = ("Subject", "From", "To", "Cc", "Date")
_MAX_DEPTH = 5  # of messages in messages
_MAX_ATTACHMENTS = 200  # of a message and the messages in it
_TEXT_SUFFIXES = {".log", ".ics", ".vcs", ".vcf", ".text"}  # read as plain text
_SUFFIXES_WITH_DECLARATION = {".html", ".htm"}  # their text may name another encoding than their headers
_MEDIA_TYPES = ("image/", "audio/", "video/")  # without text; the names are in the message's own text
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_eml(data: bytes, max_bytes: int) -> ExtractedText:
    """Read an e-mail.

    Its own text comes first, with subject, sender, receivers, date and the names of its attachments. What it quotes or
    forwards are parts with `quoted` and `quoted_from` in their metadata, attachments are parts with `attachment`.
    """
    if data.startswith(_WIDE_MARKS):
        data = decode_text(data).text.encode()
    try:
        message = email.message_from_bytes(data.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n"), policy=compat32)
        reader = _EmailReader(max_bytes)
        reader.add_message(message)
    except (UnreadableFileError, ImportError):
        raise
    except Exception as error:  # the parser raises errors of several kinds on malformed headers
        raise UnreadableFileError(f"it is not a readable e-mail ({error}); save it again as .eml") from error
    if not reader.has_headers:
        raise UnreadableFileError("it is not an e-mail: it has no headers" if data.strip() else "it is empty")
    return ExtractedText(
        [part.text for part in reader.parts],
        get_header(message, "Subject"),
        headings=[part.headings for part in reader.parts],
        metadata=reader.metadata,
        page_metadata=[part.metadata for part in reader.parts],
        warnings=reader.warnings,
    )


@dataclass(frozen=True, kw_only=True)
class _Part:
    text: str
    metadata: dict[str, Any]
    headings: PageHeadings = field(default_factory=list)


class _EmailReader:
    """Reader of a message and of the messages in it."""

    def __init__(self, max_bytes: int) -> None:
        self._remaining_bytes = max_bytes
        self._attachment_count = 0
        self.has_headers = False
        self.parts: list[_Part] = []
        self.metadata: dict[str, Any] = {}
        self.warnings: list[str] = []

    def add_message(self, message: Message, *, attachment: str = "", depth: int = 0) -> None:
        """Add a message; one that is attached to another one has a name."""
        body = EmailBody(message)
        place = f"its attachment {attachment}: " if attachment else ""
        self.warnings += (f"{place}{warning}" for warning in body.warnings)
        headers = [f"{name}: {value}" for name in _HEADERS if (value := get_header(message, name))]
        if not attachment:
            self.metadata.update(body.metadata)
            self.has_headers = bool(headers)
        if body.attachments:
            headers.append(f"Attachments: {', '.join(item.name for item in body.attachments)}")
        self._add_text(message, "\n".join(headers), "\n\n".join(body.texts), attachment)
        for item in body.attachments:
            self._add_attachment(item, depth)

    def _add_text(self, message: Message, headers: str, text: str, attachment: str) -> None:
        parts = split_quotes(text, is_reply=is_reply(message), is_forward=is_forward(message))
        own_kind: QuoteKind = "forward" if attachment else ""
        common = {"attachment": attachment} if attachment else {}
        own = {
            **common,
            **_describe_quotation(own_kind, get_header(message, "From") if attachment else ""),
            **{name: value for name, value in _describe_sender(message).items() if value},
        }
        if headers and (not parts or parts[0].kind):
            self.parts.append(_Part(text=headers, metadata=own))
            headers = ""
        for part in parts:
            if part.kind:
                self.parts.append(
                    _Part(text=part.text, metadata={**common, **_describe_quotation(part.kind, part.origin)})
                )
            else:
                self.parts.append(_Part(text="\n\n".join(filter(None, (headers, part.text))), metadata=own))
                headers = ""

    def _add_attachment(self, attachment: Attachment, depth: int) -> None:
        name, content_type = attachment.name, attachment.part.get_content_type()
        if content_type.startswith(_MEDIA_TYPES):
            return
        self._attachment_count += 1
        try:
            if self._attachment_count > _MAX_ATTACHMENTS:
                raise UnreadableFileError(f"there are more than {_MAX_ATTACHMENTS}")
            if content_type == "message/rfc822":
                self._add_attached_message(attachment, depth)
            else:
                self._read_attachment(name, attachment.part, depth)
        except UnreadableFileError as error:
            self.warnings.append(f"its attachment {name} is left out: {error}")

    def _add_attached_message(self, attachment: Attachment, depth: int) -> None:
        message = get_attached_message(attachment.part)
        if message is None:
            raise UnreadableFileError("it is not a readable e-mail")
        self._check_depth(depth)
        name = attachment.name if attachment.has_name else get_header(message, "Subject") or attachment.name
        self.add_message(message, attachment=name, depth=depth + 1)

    def _read_attachment(self, name: str, part: Message, depth: int) -> None:
        data = get_payload(part)
        self._remaining_bytes -= len(data)
        if self._remaining_bytes < 0:
            raise UnreadableFileError("the attachments are larger than max_bytes together")
        suffix = _choose_suffix(name, part.get_content_type())
        if suffix == ".eml":
            self._check_depth(depth)
            message = email.message_from_bytes(data.lstrip(b"\r\n"), policy=compat32)
            if not message.keys():
                raise UnreadableFileError("it is not an e-mail: it has no headers")
            self.add_message(message, attachment=name, depth=depth + 1)
            return
        warnings: tuple[str, ...] = ()
        metadata: dict[str, Any] = {}
        if part.get_content_maintype() == "text" and get_charset(part) and suffix not in _SUFFIXES_WITH_DECLARATION:
            decoded = decode_text(data, declared=get_charset(part))
            data, metadata, warnings = decoded.text.encode(), decoded.metadata, decoded.warnings
        extracted = load_reader(".txt" if suffix in _TEXT_SUFFIXES else suffix)(data, self._remaining_bytes)
        if not any(map(str.strip, extracted.pages)):
            raise UnreadableFileError(extracted.empty_reason)
        self.warnings += (f"its attachment {name}: {warning}" for warning in (*warnings, *extracted.warnings))
        self._add_pages(name, suffix, replace(extracted, metadata={**metadata, **extracted.metadata}))

    def _add_pages(self, name: str, suffix: str, extracted: ExtractedText) -> None:
        common = {**extracted.metadata, "attachment": name, "title": extracted.title or PurePosixPath(name).stem}
        if can_have_headings(f"file{suffix}") and suffix not in _TEXT_SUFFIXES:
            common["format"] = MARKDOWN
        for index, page in enumerate(extracted.pages):
            metadata = {**common, **({"page": index + 1} if extracted.has_pages else {})}
            if extracted.page_metadata:
                metadata |= extracted.page_metadata[index]
            headings = extracted.headings[index] if extracted.headings else []
            self.parts.append(_Part(text=page, metadata=metadata, headings=headings))

    @staticmethod
    def _check_depth(depth: int) -> None:
        if depth >= _MAX_DEPTH:
            raise UnreadableFileError(f"messages are nested more than {_MAX_DEPTH} times")


def _describe_quotation(kind: QuoteKind, origin: str) -> dict[str, str]:
    if not kind:
        return {}
    return {"quoted": kind, **({"quoted_from": origin} if origin else {})}


def _describe_sender(message: Message) -> dict[str, str]:
    return {"author": get_header(message, "From"), "date": get_iso_date(message)}


def _choose_suffix(name: str, content_type: str) -> str:
    """Return the suffix that tells the reader of an attachment: that of its name, else that of its type."""
    suffixes = [PurePosixPath(name).suffix.lower(), mimetypes.guess_extension(content_type) or ""]
    known = [suffix for suffix in suffixes if suffix in READERS or suffix in _TEXT_SUFFIXES]
    if not known:
        raise UnreadableFileError("its format is not supported")
    return known[0]
