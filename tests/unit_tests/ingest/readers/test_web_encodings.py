"""Names of encodings as the web uses them."""

import pytest

from langchain_gptoss.ingest.readers.web_encodings import find_codec, get_standard_name


@pytest.mark.parametrize(
    ("names", "codec"),
    [
        ("iso-8859-1 ISO8859-1 latin1 l1 us-ascii ascii ANSI_X3.4-1968 cp819 iso_8859-1:1987 x-cp1252 windows-1252 ansi", "cp1252"),
        ("iso-8859-15 latin-9 l9 csisolatin9 iso8859_15", "iso8859-15"),
        ("iso-8859-9 latin5 windows-1254", "cp1254"),
        ("utf-8 UTF8 utf_8 unicode-1-1-utf-8 utf8mb4 cp65001", "utf-8"),
        ("gb2312 gbk x-gbk GB_2312-80 chinese", "gb18030"),
        ("shift_jis sjis x-sjis windows-31j ms_kanji", "cp932"),
        ("euc-kr ks_c_5601-1987 korean windows-949", "cp949"),
        ("big5 cn-big5 x-x-big5", "big5hkscs"),
        ("macintosh x-mac-roman mac", "mac-roman"),
        ("cp850 ibm850", "cp850"),
        ("' iso-8859-2 '", "iso8859-2"),
    ],
)  # fmt: skip
def test_names_mean_what_browsers_read(names, codec):
    listed = [names] if names.startswith("'") else names.split()
    assert {find_codec(name) for name in listed} == {codec}


@pytest.mark.parametrize(
    "name", ["", "klingon", "base64", "rot13", "unicode_escape", "idna", "x\0y", "hex", "punycode"]
)
def test_unknown_names_and_codecs_that_are_no_encodings_are_not_found(name):
    assert find_codec(name) is None


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("cp1252", "windows-1252"),
        ("iso8859-15", "iso-8859-15"),
        ("mac-roman", "macintosh"),
        ("cp932", "shift_jis"),
        ("euc_jp", "euc-jp"),
        ("utf-16-le", "utf-16-le"),
        ("cp850", "cp850"),
    ],
)
def test_names_of_the_standard(codec, name):
    assert get_standard_name(codec) == name
    assert find_codec(name) == codec
