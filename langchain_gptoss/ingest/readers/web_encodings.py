"""Names of encodings as the web uses them.

Browsers read some names as a larger encoding than they once meant: a page that declares ISO-8859-1 or US-ASCII has the
quotation marks and the euro sign of windows-1252 in practice. The WHATWG Encoding Standard lists these names. Python
knows most of them under the older meaning, so its answer is translated.
"""

import codecs

# Names of the standard that Python lacks, and names that mail programs and editors write.
_MORE_NAMES = {
    "ansi": "cp1252",
    "cn-big5": "big5hkscs",
    "csgb2312": "gb18030",
    "csiso88596e": "iso8859-6",
    "csiso88596i": "iso8859-6",
    "csiso88598e": "iso8859-8",
    "csiso88598i": "iso8859-8",
    "csisolatin9": "iso8859-15",
    "csmacintosh": "mac-roman",
    "csunicode": "utf-16",
    "cp1252": "cp1252",
    "dos-874": "cp874",
    "gb_2312-80": "gb18030",
    "iso-10646-ucs-2": "utf-16",
    "iso-8859-6-e": "iso8859-6",
    "iso-8859-6-i": "iso8859-6",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-8-i": "iso8859-8",
    "koi8-ru": "koi8-u",
    "latin-9": "iso8859-15",
    "logical": "iso8859-8",
    "mac": "mac-roman",
    "sun_eu_greek": "iso8859-7",
    "unicode": "utf-16",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "unicode11utf8": "utf-8",
    "unicodefeff": "utf-16-le",
    "unicodefffe": "utf-16-be",
    "unicode20utf8": "utf-8",
    "ucs-2": "utf-16",
    "utf8mb4": "utf-8",
    "visual": "iso8859-8",
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "windows-949": "cp949",
    "x-ansi": "cp1252",
    "x-gbk": "gb18030",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-mac-roman": "mac-roman",
    "x-mac-ukrainian": "mac-cyrillic",
    "x-sjis": "cp932",
    "x-unicode20utf8": "utf-8",
    "x-x-big5": "big5hkscs",
}
_WEB_MEANING = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "utf-8-sig": "utf-8",
}
# Codecs of Python that are no encodings of files.
_NOT_FOR_FILES = {"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
_STANDARD_NAMES = {
    "cp866": "ibm866",
    "cp874": "windows-874",
    "cp932": "shift_jis",
    "cp949": "euc-kr",
    "big5hkscs": "big5",
    "mac-roman": "macintosh",
    "mac-cyrillic": "x-mac-cyrillic",
}


def find_codec(name: str) -> str | None:
    """Return Python's codec for the name of an encoding as browsers understand it, None if the name is unknown."""
    name = name.strip().strip("\"'").strip().lower()
    if name in _MORE_NAMES:
        return _MORE_NAMES[name]
    try:
        codec = codecs.lookup(name.removeprefix("x-") if name.startswith("x-cp") else name)
    except (LookupError, ValueError):  # ValueError: the name has a NUL
        return None
    if not codec._is_text_encoding or codec.name.replace("_", "-") in _NOT_FOR_FILES:
        return None
    return _WEB_MEANING.get(codec.name, codec.name)


def get_standard_name(codec: str) -> str:
    """Return the name of a codec in the WHATWG Encoding Standard: "windows-1252" for "cp1252"."""
    if codec in _STANDARD_NAMES:
        return _STANDARD_NAMES[codec]
    if codec.startswith("cp125"):
        return f"windows-{codec.removeprefix('cp')}"
    return codec.replace("iso8859", "iso-8859").replace("_", "-")
