"""The main shapes of harmony against golden files, and against the reference library where it can write the shape.

`python scripts/harmony_golden.py` brings the files up to date after a change that is meant; read the diff, which is
what the model will see. A new shape is a new file of messages and task, without `text` and `ids`.
"""

import importlib.util
import json

import pytest

from tests import ROOT
from tests.unit_tests.chat_formats.harmony.reference import ENCODING, reference_ids

SPEC = importlib.util.spec_from_file_location("harmony_golden", ROOT / "scripts" / "harmony_golden.py")
golden = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(golden)

FILES = sorted(golden.FOLDER.glob("*.json"))
START = 200006
SHAPES = [pytest.param(json.loads(path.read_text("utf-8")), id=path.stem) for path in FILES]


def split(ids: list[int]) -> list[list[int]]:
    """Returns a prompt's messages, each from its `<|start|>`."""
    starts = [place for place, token_id in enumerate(ids) if token_id == START]
    return [ids[start:end] for start, end in zip(starts, [*starts[1:], len(ids)], strict=True)]


def without_developer(ids: list[int]) -> list[list[int]]:
    developer = [START, *ENCODING.encode("developer")]
    return [message for message in split(ids) if message[: len(developer)] != developer]


def test_the_main_shapes_are_there():
    assert {path.stem for path in FILES} >= {
        "question",
        "instructions",
        "history",
        "effort_high",
        "tools",
        "tools_types",
        "tool_loop",
        "after_final",
        "preamble",
        "two_calls",
        "response_format",
        "tool_choice_forced",
        "special_tokens",
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_written_as_its_golden_file_has_it(shape):
    lines, ids = golden.prompt(shape)
    assert lines == shape["text"]
    assert ids == shape["ids"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_bringing_a_file_up_to_date_changes_nothing(path):
    content = path.read_text("utf-8")
    assert golden.written(json.loads(content)) == content


@pytest.mark.parametrize("shape", SHAPES)
def test_the_ids_are_the_library_s(shape):
    ids = reference_ids(*golden.read(shape), golden.DAY.isoformat())
    if "library_differs" not in shape:
        assert ENCODING.decode(shape["ids"]) == ENCODING.decode(ids)
        assert shape["ids"] == ids
        return
    # The differences are all of the developer message; one that is gone needs no exception any more.
    written, expected = without_developer(shape["ids"]), without_developer(ids)
    assert written == expected
    assert shape["ids"] != ids
