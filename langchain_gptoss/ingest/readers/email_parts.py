"""Parts of an e-mail: which of them are its text, and which are attachments.

MIME nests parts without limits and mail programs use them freely: text before and after a picture, a letter in plain
text and in HTML, a plain version that is empty or only says that there is another one.
"""

import binascii
import email
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.policy import compat32
from typing import Any, cast

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.decoder import DecodedText, decode_text
from langchain_gptoss.ingest.readers.email_headers import get_charset, get_file_name
from langchain_gptoss.ingest.readers.html import convert_html_to_markdown, find_declared_encoding

_MAX_NESTING = 50  # of multiparts; deeper ones are an attack
_SIGNATURE_TYPES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_NOT_FOR_READERS = (
    *_SIGNATURE_TYPES,
    "text/rfc822-headers",
    "message/delivery-status",
    "message/disposition-notification",
)
_MIN_SHARE_OF_HTML = 0.5  # of the words of the HTML version that a plain version has, to be taken for the same text
_WORD = re.compile(r"\w+")
_BLANK = re.compile(r"(?:\s|&nbsp;|\xa0|\u200b|\ufeff)*")
_FLOWED_QUOTES = re.compile(r">*")
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_QUOTE_CLASSES = {"gmail_quote", "yahoo_quoted", "protonmail_quote", "tutanota_quote", "zmail_extra", "moz-cite-prefix"}
_QUOTE_STYLE = re.compile(r"border-left(?:-style|-width|-color)?\s*:(?!\s*(?:none|0))", re.IGNORECASE)
_ATTRIBUTION_END = re.compile(
    r"(?:wrote|[aà] [eé]crit|écrivait|schrieb|escribió|scritto|schreef)\s*:\s*$", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """An attachment, as yet unread.

    Attributes:
        name: Its file name, else its subject or its type.
        part: The part of the message.
        has_name: True if it has a file name.
    """

    name: str
    part: Message
    has_name: bool


class EmailBody:
    """Text and attachments of a message, in order.

    Attributes:
        texts: The texts of its parts.
        attachments: Its attachments.
        metadata: The encoding, if it is not UTF-8.
        warnings: What a user should know about the text.
    """

    def __init__(self, message: Message) -> None:
        self.texts: list[str] = []
        self.attachments: list[Attachment] = []
        self.metadata: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.texts = self._collect(message, 0)

    def _collect(self, part: Message, depth: int) -> list[str]:
        """Return the texts of a part and of those in it, and record its attachments."""
        content_type = part.get_content_type()
        if depth > _MAX_NESTING:
            self.warnings.append(f"its parts are nested more than {_MAX_NESTING} times; the inner ones are left out")
        elif content_type == "multipart/encrypted":
            self.warnings.append("it is encrypted, so its text is left out")
        elif content_type == "multipart/alternative":
            return self._choose_version([self._collect(child, depth + 1) for child in _get_children(part)], part)
        elif part.is_multipart() and not content_type.startswith("message/"):
            return [text for child in _get_children(part) for text in self._collect(child, depth + 1)]
        elif _is_body_text(part):
            return self._read_text(part)
        elif content_type not in _NOT_FOR_READERS:
            self._add_attachment(part)
        return []

    def _add_attachment(self, part: Message) -> None:
        file_name = get_file_name(part)
        is_picture_of_page = part.get_content_maintype() == "image" and part.get("Content-ID") and not file_name
        if not is_picture_of_page:
            name = file_name or part.get_content_type()
            self.attachments.append(Attachment(name=name, part=part, has_name=bool(file_name)))

    def _choose_version(self, versions: list[list[str]], part: Message) -> list[str]:
        """Return the version to read: plain text, unless the HTML has clearly more to say."""
        filled = [
            (child.get_content_type() == "text/plain", version)
            for child, version in zip(_get_children(part), versions, strict=True)
            if any(map(str.strip, version))
        ]
        plain = next((version for is_plain, version in filled if is_plain), None)
        rich = next((version for is_plain, version in reversed(filled) if not is_plain), None)
        if plain is None or rich is None:
            return plain or rich or []
        plain_words, rich_words = _find_words(plain), _find_words(rich)
        is_fuller = len(rich_words) > len(plain_words)
        return rich if is_fuller and len(plain_words & rich_words) < _MIN_SHARE_OF_HTML * len(rich_words) else plain

    def _read_text(self, part: Message) -> list[str]:
        data = get_payload(part)
        is_html = part.get_content_subtype() in ("html", "xhtml")
        try:
            decoded = _decode_part(data, get_charset(part), find_declared_encoding(data) if is_html else "")
            text = decoded.text.replace("\r\n", "\n").replace("\r", "\n")
            if is_html:
                text = convert_email_html(text)
            elif str(part.get_param("format") or "").lower() == "flowed":
                text = join_flowed_lines(text, delete_space=str(part.get_param("delsp") or "").lower() == "yes")
        except UnreadableFileError as error:
            self.warnings.append(f"a part of its text is left out: {error}")
            return []
        text = text.strip("\n").rstrip()
        if _BLANK.fullmatch(text):
            return []
        self.metadata.update(decoded.metadata)
        self.warnings += (warning for warning in decoded.warnings if warning not in self.warnings)
        return [text]


def _get_children(part: Message) -> Sequence[Message]:
    payload = part.get_payload()
    return cast("Sequence[Message]", payload) if isinstance(payload, list) else ()


def _is_body_text(part: Message) -> bool:
    if part.get_content_maintype() != "text" or part.get_content_type() in ("text/calendar", "text/rfc822-headers"):
        return False
    return part.get_content_disposition() != "attachment" and not get_file_name(part)


def get_payload(part: Message) -> bytes:
    """Return the bytes of a part, whose transfer encoding may be damaged."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def get_attached_message(part: Message) -> Message | None:
    """Return the message that a part of type message/rfc822 contains, None if there is none."""
    children = _get_children(part)
    if not children:
        return None
    message = children[0]
    if part.get("Content-Transfer-Encoding", "").strip().lower() == "base64" and not message.keys():
        # The standard forbids it, and some programs do it.
        try:
            data = binascii.a2b_base64(str(message.get_payload()))
        except (binascii.Error, ValueError):
            return None
        message = email.message_from_bytes(data, policy=compat32)
    return message if message.keys() else None


def _decode_part(data: bytes, charset: str, meta_charset: str) -> DecodedText:
    decoded = decode_text(data, declared=charset or meta_charset)
    if decoded.is_guessed and charset and meta_charset:
        by_meta = decode_text(data, declared=meta_charset)
        return by_meta if not by_meta.is_guessed else decoded
    return decoded


def _find_words(texts: Sequence[str]) -> set[str]:
    return {word for text in texts for word in _WORD.findall(text.lower())}


def join_flowed_lines(text: str, *, delete_space: bool = False) -> str:
    """Join the lines of text with `format=flowed` (RFC 3676): one that ends with a space continues on the next.

    Args:
        text: The text.
        delete_space: True if the space at the end is not part of the text (`delsp=yes`).
    """
    return "\n".join(_join_flowed(text.split("\n"), delete_space=delete_space))


def _join_flowed(lines: Sequence[str], *, delete_space: bool) -> Iterator[str]:
    pending: tuple[str, str] | None = None  # the marks of quotation and the text of a line that continues
    for line in lines:
        quotes = _FLOWED_QUOTES.match(line)
        marks = quotes[0] if quotes else ""
        content = line[len(marks) :].removeprefix(" ")
        is_flowed = content.endswith(" ") and content != "-- "
        if pending is not None and (pending[0] != marks or content == "-- "):
            yield _format_flowed(*pending)
            pending = None
        if pending is not None:
            content = pending[1] + content
        if is_flowed:
            pending = marks, content[:-1] if delete_space else content
        else:
            yield _format_flowed(marks, content)
            pending = None
    if pending is not None:
        yield _format_flowed(*pending)


def _format_flowed(marks: str, content: str) -> str:
    return f"{marks} {content}" if marks else content


def convert_email_html(html: str) -> str:
    """Convert the HTML of an e-mail to Markdown in which ">" marks what it quotes, and not what it only indents."""
    if "<blockquote" in html.lower():
        html = _rename_indentations(html)
    return convert_html_to_markdown(html)


def _rename_indentations(html: str) -> str:
    lxml_html = require("lxml.html", extra="rag")
    parser = lxml_html.HTMLParser(huge_tree=True)
    try:
        page = lxml_html.document_fromstring(_XML_DECLARATION.sub("", html, count=1), parser=parser)
    except (ValueError, lxml_html.etree.ParserError):
        return html
    for element in page.iter("blockquote"):
        if not _is_quotation(element):
            element.tag = "div"
    return str(lxml_html.tostring(page, encoding="unicode"))


def _is_quotation(element: Any) -> bool:
    is_marked = element.get("type", "").lower() == "cite" or element.get("cite")
    if is_marked or _QUOTE_STYLE.search(element.get("style", "")):
        return True
    ancestors = (element, *element.iterancestors())
    classes = {name.lower() for ancestor in ancestors for name in ancestor.get("class", "").split()}
    return bool(classes & _QUOTE_CLASSES) or bool(_ATTRIBUTION_END.search(_get_text_before(element)))


def _get_text_before(element: Any) -> str:
    """Return the text right before an element, "" if it is the first."""
    node = element
    while node is not None:
        previous = node.getprevious()
        if previous is None:
            node = node.getparent()
            text = "" if node is None else node.text or ""
        else:
            is_element = isinstance(previous.tag, str)
            text = (previous.text_content() if is_element else "") + (previous.tail or "")
            node = previous
        if text.strip():
            return str(text)
    return ""
