"""Chunks with what stands around them, joined so that every character keeps its place in the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from langchain_core.documents import Document

# Between neighbours stands white space, or a heading that is in no chunk. A longer gap is something left out.
_MAX_GAP = 300


Place = tuple[str, int, int]
"""A source and a character span in it."""


def place_of(document: Document) -> Place | None:
    """Returns a chunk's source and character span, or None where it has no exact span."""
    source, start = document.metadata.get("source"), document.metadata.get("start")
    if source is None or not isinstance(start, int):
        return None
    return str(source), start, start + len(document.page_content)


def window(
    hit: Document, chunks: Sequence[Document], *, before: int, after: int, section: bool, max_chars: int
) -> list[Document]:
    """Returns a hit and the chunks around it, in reading order.

    Args:
        hit: The chunk that was found.
        chunks: Chunks of its source, in any order.
        before: How many chunks before it.
        after: How many after it.
        section: All chunks under the hit's heading instead, whatever `before` and `after` say.
        max_chars: The most characters from the first chunk's beginning to the last one's end.
    """
    found = {place: chunk for chunk in [*chunks, hit] if (place := place_of(chunk))}
    ordered = [found[place] for place in sorted(found)]
    at = ordered.index(hit)
    spans = [place[1:] for place in sorted(found)]

    def fits(place: int, low: int, high: int) -> bool:
        if not 0 <= place < len(ordered):
            return False
        wanted = at - before <= place <= at + after
        if section:
            wanted = ordered[place].metadata.get("heading") == hit.metadata.get("heading")
        gap = max(right[0] - left[1] for left, right in pairwise(spans[low : high + 1]))
        length = max(end for _, end in spans[low : high + 1]) - spans[low][0]
        return wanted and gap <= _MAX_GAP and length <= max_chars

    low, high = at, at
    while True:
        left = fits(low - 1, low - 1, high)
        low -= left
        right = fits(high + 1, low, high + 1)
        high += right
        if not left and not right:
            return ordered[low : high + 1]


def joined(hit: Document, chunks: Sequence[Document]) -> Document:
    """Returns one document from the first chunk's beginning to the last one's end, with the hit's metadata.

    What stands between two chunks is not known here and becomes line ends, as many as it has characters: offsets of
    everything else stay those of the source.
    """
    start = min(chunk.metadata["start"] for chunk in chunks)
    text = ""
    for chunk in sorted(chunks, key=lambda chunk: chunk.metadata["start"]):
        at = chunk.metadata["start"] - start
        text += "\n" * (at - len(text))
        text += chunk.page_content[len(text) - at :]
    metadata = {**hit.metadata, "start": start, "end": start + len(text)}
    return Document(id=hit.id, page_content=text, metadata=metadata)


def passages(
    hits: Sequence[Document],
    chunks_of: Callable[[Document], Sequence[Document]],
    *,
    before: int,
    after: int,
    section: bool,
    max_chars: int,
) -> list[Document]:
    """Returns hits with what stands around them, in the order of the hits; no chunk is in two passages.

    Windows that overlap become one passage where that stays within `max_chars`. A hit without an exact place is
    returned as it is.

    Args:
        hits: Best first.
        chunks_of: Gives the chunks of a hit's source.
        before: As of `window`, and so are the others.
        after: How many chunks after a hit.
        section: All chunks under the hit's heading.
        max_chars: The most characters of a passage.
    """
    groups: list[tuple[Document, dict[Place, Document]]] = []
    used: set[Place] = set()

    def near(hit: Document, chunks: Sequence[Document]) -> dict[Place, Document]:
        found = window(hit, chunks, before=before, after=after, section=section, max_chars=max_chars)
        return {place: chunk for chunk in found if (place := place_of(chunk))}

    for hit in hits:
        place = place_of(hit)
        if place in used:
            continue
        chunks = chunks_of(hit) if place else []
        group = near(hit, chunks) if place else {}
        overlapping = next((other for _, other in groups if other.keys() & group.keys()), None)
        if overlapping is not None and _length([*overlapping, *group]) <= max_chars:
            overlapping.update(group)
        else:
            if overlapping is not None:
                group = near(hit, [chunk for chunk in chunks if place_of(chunk) not in used])
            groups.append((hit, group))
        used.update(group)
    return [joined(hit, list(group.values())) if group else hit for hit, group in groups]


def _length(places: Sequence[Place]) -> int:
    return max(end for _, _, end in places) - min(start for _, start, _ in places)
