"""Names in English and French sentences, found by their capital letters."""

from __future__ import annotations

import re
from functools import lru_cache

from langchain_gptoss.text.normalization import normalize_prose
from langchain_gptoss.text.quantities import is_calendar_word
from langchain_gptoss.text.words import extract_content_words, is_stop_word

_NAME = re.compile(r"(?:\b(?:[ldjnscmtLDJNSCMT]|[Qq]u)['’])?([^\W_]+(?:-[^\W_]+)*)")
_SENTENCE_START = re.compile(r"""(?:^|(?<!\s[A-Z])\.|[!?…:\n]|^\W*[-*•])["'“”«»(\[\s*-]*$""")
_CONTEXT_CHARS = 8  # characters before a word that show whether it begins a sentence


@lru_cache(maxsize=4096)
def extract_names(text: str) -> tuple[str, ...]:
    """Return the content words of the names in a text, in order and each once.

    Names are words with a capital letter that do not begin a sentence, and acronyms. Months and days are not names.
    """
    text = normalize_prose(text)
    names: list[str] = []
    for match in _NAME.finditer(text):
        spelling = match[1]
        words = extract_content_words(spelling)
        if not spelling[0].isupper() or is_stop_word(spelling) or is_calendar_word("".join(words[:1])):
            continue
        is_acronym = len(spelling) > 1 and spelling.isupper()
        if is_acronym or not _SENTENCE_START.search(text[max(0, match.start() - _CONTEXT_CHARS) : match.start()]):
            names += words
    return tuple(dict.fromkeys(names))
