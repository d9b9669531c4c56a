"""Decoder: byte order marks, declarations that are right, wrong or missing, repairs, and bytes that are no text."""

import codecs

import pytest

from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.decoder import decode_text

FRENCH = "L’été, l’hôtel coûte 30 € – cœur de saison."
PLAIN_FRENCH = "Le délai est payé à l'hôtel."
GERMAN = "Für die Rückgabe prüfen wir die Größe."


@pytest.mark.parametrize(
    ("data", "declared", "text", "encoding"),
    [
        (FRENCH.encode(), "", FRENCH, "utf-8"),
        (b"\xef\xbb\xbf" + FRENCH.encode(), "iso-8859-1", FRENCH, "utf-8"),
        (codecs.BOM_UTF16_LE + FRENCH.encode("utf-16-le"), "utf-8", FRENCH, "utf-16-le"),
        (codecs.BOM_UTF16_BE + FRENCH.encode("utf-16-be"), "", FRENCH, "utf-16-be"),
        (codecs.BOM_UTF32_LE + FRENCH.encode("utf-32-le"), "", FRENCH, "utf-32-le"),
        (FRENCH.encode("cp1252"), "iso-8859-1", FRENCH, "windows-1252"),
        (FRENCH.encode("cp1252"), "us-ascii", FRENCH, "windows-1252"),
        (FRENCH.encode("cp1252"), " Latin1 ", FRENCH, "windows-1252"),
        (PLAIN_FRENCH.encode("cp850"), "cp850", PLAIN_FRENCH, "cp850"),
        ("cœur à 30 €".encode("iso8859-15"), "ISO-8859-15", "cœur à 30 €", "iso-8859-15"),
        ("Привет, мир".encode("koi8-r"), "koi8-r", "Привет, мир", "koi8-r"),
        ("返品は14日以内".encode("cp932"), "shift_jis", "返品は14日以内", "shift_jis"),
        (b"plain", "iso-8859-1", "plain", "utf-8"),
        (b"Hi Mom -+Jjo--", "utf-7", "Hi Mom -☺-", "utf-7"),
        ("Ã© stays".encode(), "", "Ã© stays", "utf-8"),
        (b"", "", "", "utf-8"),
    ],
)
def test_what_a_file_says_is_used(data, declared, text, encoding):
    decoded = decode_text(data, declared=declared)
    assert (decoded.text, decoded.encoding) == (text, encoding)
    assert not decoded.is_guessed
    assert not decoded.warnings
    assert decoded.metadata == ({} if encoding == "utf-8" else {"encoding": encoding})


@pytest.mark.parametrize(
    ("data", "declared", "text", "encoding", "warning"),
    [
        (FRENCH.encode("cp1252"), "", FRENCH, "windows-1252", "does not say its encoding; it is read as windows-1252"),
        (FRENCH.encode("cp1252"), "utf-8", FRENCH, "windows-1252", "declares the encoding utf-8 and is not; it is read as windows-1252"),
        (PLAIN_FRENCH.encode("cp1252"), "klingon", PLAIN_FRENCH, "windows-1252", "does not say its encoding"),
        (PLAIN_FRENCH.encode("mac-roman"), "utf-8", PLAIN_FRENCH, "macintosh", "read as macintosh"),
        (PLAIN_FRENCH.encode("cp850"), "iso-8859-1", PLAIN_FRENCH, "cp850", "declares the encoding iso-8859-1 and is not"),
        (FRENCH.encode("cp1252"), "iso-8859-15", FRENCH, "windows-1252", "declares the encoding iso-8859-15 and is not"),
        (GERMAN.encode("cp1252"), "gb18030", GERMAN, "windows-1252", "declares the encoding gb18030"),
        (FRENCH.encode("utf-16-le"), "", FRENCH, "utf-16-le", "read as UTF-16-LE"),
        (FRENCH.encode("utf-16-be"), "utf-8", FRENCH, "utf-16-be", "read as UTF-16-BE"),
        ("Срок возврата — 14 дней.".encode("utf-16-le"), "", "Срок возврата — 14 дней.", "utf-16-le", "read as UTF-16-LE"),
        (GERMAN.encode("utf-32-le"), "", GERMAN, "utf-32-le", "read as UTF-32-LE"),
        (f"{PLAIN_FRENCH}\n".encode() * 2 + PLAIN_FRENCH.encode("cp1252"), "", f"{PLAIN_FRENCH}\n" * 2 + PLAIN_FRENCH, "utf-8 and windows-1252", "read as utf-8 and windows-1252"),
        ("日本語".encode("iso2022_jp"), "", "日本語", "iso2022-jp", "read as iso2022-jp"),
    ],
)  # fmt: skip
def test_what_is_guessed_is_named(data, declared, text, encoding, warning):
    decoded = decode_text(data, declared=declared)
    assert (decoded.text, decoded.encoding, decoded.is_guessed) == (text, encoding, True)
    (message,) = decoded.warnings
    assert warning in message
    assert decoded.metadata == {"encoding": encoding, "encoding_guessed": True}


@pytest.mark.parametrize(
    ("data", "declared", "text", "warning"),
    [
        (FRENCH.encode(), "iso-8859-1", FRENCH, "declares the encoding iso-8859-1 and is UTF-8"),
        (GERMAN.encode(), "windows-1250", GERMAN, "declares the encoding windows-1250 and is UTF-8"),
        ("L\x92acompte est de 350 \x80.".encode(), "", "L’acompte est de 350 €.", "control characters"),
        ("été".encode() * 3 + b"\xc3", "", "été" * 3, "its last character is cut off"),
        (FRENCH.encode() + b"\xe2\x82", "", FRENCH, "its last character is cut off"),
        (b"smile \xed\xa0\xbd\xed\xb8\x80 !", "", "smile 😀 !", "surrogates"),
    ],
)
def test_repairs_of_utf8_are_named(data, declared, text, warning):
    decoded = decode_text(data, declared=declared)
    assert (decoded.text, decoded.encoding, decoded.is_guessed) == (text, "utf-8", False)
    assert warning in "; ".join(decoded.warnings)


@pytest.mark.parametrize(
    ("data", "declared", "reason"),
    [
        (b"a\0b", "", "it contains NUL bytes, so it is not UTF-8 text; save it as UTF-8"),
        (b"\0\1\2\3\4\5\6\7", "", "it contains NUL bytes"),
        (b"\xff\xfea", "", "it begins with the mark of utf-16 and is not utf-16; save it as UTF-8"),
        (b"\x18\x16]\xd6,\xbd\xd0\xac\xdbOA\x9c\x07\xaf", "iso-8859-1", "it declares the encoding iso-8859-1 and is not (byte 4)"),
        (b"\xff\xff", "shift_jis", "it declares the encoding shift_jis and is not (byte 1), nor text in another known encoding"),
        (bytes(range(1, 256)), "", "it is not UTF-8 text (byte 128), nor text in another known encoding; save it as UTF-8"),
        ("é\x01\x02\x03\x04".encode("latin-1"), "", "it is not UTF-8 text (byte 1)"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_text_are_refused(data, declared, reason):
    with pytest.raises(UnreadableFileError) as raised:
        decode_text(data, declared=declared)
    assert reason in str(raised.value)


def test_no_text_has_replacement_characters_that_its_bytes_do_not_have():
    for codec in ("cp1252", "iso8859-15", "mac-roman", "cp850", "utf-16-le", "utf-8"):
        for declared in ("", "utf-8", "iso-8859-1", "us-ascii", "utf-16"):
            text = decode_text(PLAIN_FRENCH.encode(codec), declared=declared).text
            assert text == PLAIN_FRENCH, (codec, declared)
