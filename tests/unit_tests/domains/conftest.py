"""Values of a small profile, which tests change one by one."""

import copy
import tomllib
from pathlib import Path

import pytest

BUILT_IN_NAMES = ("education", "finance", "health", "hr", "it", "law", "research", "support")
LANGUAGES = ("en", "fr")

PROFILE_VALUES = {
    "name": "garden",
    "language": "en",
    "version": "1",
    "title": "Garden",
    "description": "Answers on garden plants.",
    "persona": "You are a gardener.",
    "tone": "Friendly.",
    "scope": "Plants.",
    "outside": "Animals.",
    "answer_format": "One sentence.",
    "disclaimer": "",
    "refusal": "I cannot help with that.",
    "not_in_documents": "The books do not say.",
    "out_of_scope": "I only know plants.",
    "sample_questions": ["When?", "Where?", "How?"],
    "glossary": {"mulch": "A cover of the soil."},
    "retrieval": {"passages": 3, "strict": False},
    "safety": {"policy": "", "refuse": [{"category": "weapons", "patterns": ["catapult"], "message": ""}]},
}


def change_profile(**values) -> dict:
    """Return the values of the small profile with some of them replaced."""
    return copy.deepcopy(PROFILE_VALUES) | values


def write_profile(folder: Path, text: str) -> Path:
    """Write a profile's TOML into a folder and return its path."""
    path = folder / "garden.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def questions() -> dict:
    """Questions that the rules must refuse or pass, by domain."""
    file = Path(__file__).parent / "data" / "domain_questions.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
