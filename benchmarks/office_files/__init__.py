"""Twenty realistic office files, and sixty questions about them, in English and French."""

from pathlib import Path

from .english import create_english_files
from .french import create_french_files

__all__ = ["write_files"]


def write_files(folder: Path) -> None:
    """Write the files into the folders `en` and `fr` of a folder."""
    for language, files in (("en", create_english_files()), ("fr", create_french_files())):
        (folder / language).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / language / name).write_bytes(data)
