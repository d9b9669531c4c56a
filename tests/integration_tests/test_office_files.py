"""Questions about realistic office files with the demo stack: the goals of benchmarks/office.py.

Every sixth question is asked, and all of them in a thorough run.
"""

import importlib

import pytest

from tests import IS_THOROUGH, ROOT

pytest.importorskip("openpyxl")
pytest.importorskip("pptx")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def office():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("office")


@pytest.fixture(scope="module")
def results(office, demo_llm, tmp_path_factory):
    return office.ask_questions(demo_llm, tmp_path_factory.mktemp("office"), every=1 if IS_THOROUGH else 6)


def test_the_right_row_is_cited(office, results):
    right = sum(result.is_right for result in results)
    assert right >= office.MIN_RIGHT / 60 * len(results), (
        f"{right} of {len(results)}\n{office.format_failures(results)}"
    )


def test_nothing_false_is_shown_as_supported(office, results):
    wrong = [result for result in results if result.is_wrong]
    assert not wrong, office.format_failures(wrong)
