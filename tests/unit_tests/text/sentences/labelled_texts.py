"""Texts with sentence boundaries marked by hand, from `tests/unit_tests/text/data/sentence_boundaries.txt`."""

from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).parents[1] / "data" / "sentence_boundaries.txt"
_MARK = "‖"
_TRAILING = " \n|"  # white space and cell borders are no part of a sentence


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """A text and the offsets at which its sentences end, but the last."""

    topic: str
    text: str
    ends: tuple[int, ...]


def load_labelled_texts() -> list[LabelledText]:
    """Return all texts of the file, in order."""
    _, *groups = _FILE.read_text(encoding="utf-8").split("\n=== ")
    texts = []
    for group in groups:
        topic, _, body = group.partition("\n")
        texts += [_parse_text(topic, part.strip("\n")) for part in body.split("\n---\n")]
    return texts


def _parse_text(topic: str, marked: str) -> LabelledText:
    parts = marked.split(_MARK)
    text, ends = "", []
    for part in parts:
        text += part
        ends.append(len(text.rstrip(_TRAILING)))
    return LabelledText(topic=topic, text=text, ends=tuple(ends[:-1]))
