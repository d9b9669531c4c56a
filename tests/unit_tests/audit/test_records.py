"""Records of answers."""

import hashlib
import re

import pytest
from pydantic import ValidationError

from langchain_gptoss.audit import AnswerRecord, generate_id
from tests.unit_tests.audit.audit_helpers import OUTPUT, build_record


def test_record_from_a_chatbot_output():
    record = build_record(guard=["a finding", {"rule": "injection"}])
    (passage,) = record.passages
    assert passage.sha256 == hashlib.sha256(b"Fourteen days to send").hexdigest()
    assert (passage.source, passage.page, passage.start, passage.end) == ("returns.md", 3, 10, 31)
    assert "Fourteen days to send" not in record.model_dump_json()
    assert record.citations[0]["quote"] == "Fourteen days"
    assert record.standalone_question == "How long may a laptop be returned?"
    assert record.guard == ({"what": "a finding"}, {"rule": "injection"})


def test_record_from_a_dict_ignores_unknown_keys():
    plain = OUTPUT.model_dump()
    assert AnswerRecord.from_output(plain, id="1") == AnswerRecord.from_output(OUTPUT, id="1")
    sparse = AnswerRecord.from_output(
        {"answer": "Yes.", "usage": None, "whatever": 1, "passages": [{"text": "x", "n": 1}]}
    )
    assert sparse.answer == "Yes."
    assert sparse.passages[0].sha256 == hashlib.sha256(b"x").hexdigest()
    assert AnswerRecord.from_output({}, user=None).user is None


def test_misspelt_field_raises_an_error_and_records_are_frozen():
    with pytest.raises(ValidationError, match="sesion"):
        AnswerRecord.from_output({}, sesion="x")
    with pytest.raises(ValidationError):
        build_record().answer = "Other."


def test_ids_sort_by_time_and_are_version_7():
    ids = [generate_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", name) for name in ids)
    assert [name[:12] for name in ids] == sorted(name[:12] for name in ids)
