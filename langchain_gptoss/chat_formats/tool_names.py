"""Names of tools as models write them."""

import re
from collections.abc import Collection

PUNCTUATION = "?!.,;:\"'`"
_FUNCTIONS = re.compile(r"(?:functions?[./:]+)+", re.IGNORECASE)


def find_tool(recipient: str, tools: Collection[str]) -> str:
    """Return the tool that a recipient names: one of `tools`, or the recipient itself without "functions.".

    A name that differs in case, separators or punctuation means a tool of `tools` if it fits exactly one of them.
    """
    for name in (recipient, recipient.removeprefix("functions."), recipient.removeprefix("functions.").strip(".")):
        if name in tools:
            return name
    stripped = recipient.strip(PUNCTUATION).removesuffix("()")
    bare = _FUNCTIONS.sub("", stripped, count=1).strip(PUNCTUATION) if _FUNCTIONS.match(stripped) else stripped
    for candidate in (bare, bare.removesuffix("json"), bare.removesuffix("code")):
        matches = [name for name in tools if _normalize_name(name) == _normalize_name(candidate)]
        if len(matches) == 1:
            return matches[0]
    return bare or stripped or recipient


def _normalize_name(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).casefold()
