"""Make the lists of common words by which the PDF reader joins broken words: `python scripts/make_common_words.py DIR`.

DIR holds the data sets of benchmarks/README.md. A word is common if it occurs twice, or 20 times
if it is short, in lower case, in the passages of SQuAD 2 and SciFact (English) or of PIAF and service-public.fr
(French). The lists hold words alone, in alphabetical order, so that nothing of the texts can be read from them.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parents[1] / "langchain_gptoss/ingest/readers/pdf"
FILES = {"en": ("squad2-dev-cs224n.json", "beir-scifact.zip"), "fr": ("piaf-v1.1.json", "spf-qr-test-fr.json")}
WORD = re.compile(r"(?<![^\W_])[a-zà-öø-ÿœæ]{2,}(?![^\W_])")
MIN_COUNT = 2
MIN_COUNT_SHORT = 20  # words of three letters or fewer, many of which are abbreviations and syllables
SHORT_CHARS = 3


def read_texts(file: Path) -> set[str]:
    """Return the distinct texts of a data set."""
    if file.suffix != ".zip":
        return set(find_strings(json.loads(file.read_text(encoding="utf-8"))))
    csv.field_size_limit(sys.maxsize)
    with zipfile.ZipFile(file) as archive:
        tables = [archive.read(name).decode() for name in archive.namelist() if name.endswith((".csv", ".tsv"))]
    return {cell for table in tables for row in csv.reader(io.StringIO(table)) for cell in row}


def find_strings(value: object) -> Iterator[str]:
    """Yield the texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from find_strings(item)


def get_min_count(word: str) -> int:
    """Return how often a word must occur to be a common one."""
    return MIN_COUNT_SHORT if len(word) <= SHORT_CHARS else MIN_COUNT


def main() -> None:
    """Write one list per language."""
    data = Path(sys.argv[1])
    for language, names in FILES.items():
        counts = Counter(word for name in names for text in read_texts(data / name) for word in WORD.findall(text))
        words = sorted(word for word, count in counts.items() if count >= get_min_count(word))
        packed = gzip.compress("\n".join(words).encode(), 9, mtime=0)
        (TARGET / f"common_words.{language}.txt.gz").write_bytes(packed)
        sys.stdout.write(f"{language}: {len(words)} words, {len(packed)} bytes\n")


if __name__ == "__main__":
    main()
