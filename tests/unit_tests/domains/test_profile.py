"""Profiles as values: rules, fingerprint, copies, and errors that name the wrong key."""

import copy
import pickle
import re

import pytest
from pydantic import ValidationError

from langchain_gptoss.domains import DomainProfile, SafetyRule
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.domains.conftest import PROFILE_VALUES, change_profile


def test_a_rule_ignores_accents_case_and_invisible_characters():
    rule = SafetyRule(category="x", patterns=("l'œuvre  ?cachée|idées noires",))
    for text in ("L’ŒUVRE CACHEE", "l'oeuvre cach\u0065\u0301e", "ide\u0301es\u00a0noires", "id\u200bées\nnoires"):
        assert rule.matches(text), text
    assert not rule.matches("idée noire")


def test_the_first_matching_rule_decides_and_its_message_replaces_the_refusal():
    rules = [
        {"category": "first", "patterns": ["bomb"]},
        {"category": "second", "patterns": ["bomb", "poison"], "message": "Call 112."},
    ]
    profile = DomainProfile(**change_profile(safety={"policy": "", "refuse": rules}))
    assert profile.find_refusal("A bomb?") == PROFILE_VALUES["refusal"]
    assert profile.find_refusal("Poison?") == "Call 112."
    assert profile.find_refusal("Roses?") is None


def test_the_fingerprint_changes_with_the_content_only():
    profile = DomainProfile(**PROFILE_VALUES)
    assert profile.fingerprint == DomainProfile(**dict(reversed(PROFILE_VALUES.items()))).fingerprint
    assert profile.fingerprint != DomainProfile(**change_profile(tone="Dry.")).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", profile.fingerprint)


def test_a_profile_cannot_be_changed_and_can_be_copied():
    profile = DomainProfile(**PROFILE_VALUES)
    with pytest.raises(ValidationError, match="frozen"):
        profile.tone = "Dry."
    assert profile.find_refusal("catapult")  # compiles the patterns
    assert pickle.loads(pickle.dumps(profile)) == copy.deepcopy(profile) == profile
    assert DomainProfile.model_validate(PROFILE_VALUES) == profile
    assert DomainProfile.model_validate_json(profile.model_dump_json()) == profile


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1, 1.0])
def test_decline_below_takes_numbers_from_0_to_1(value):
    profile = DomainProfile(**change_profile(retrieval={"decline_below": value}))
    assert profile.retrieval.decline_below == value


def leave_out(key: str) -> dict:
    return {name: value for name, value in PROFILE_VALUES.items() if name != key}


def refuse(**rule) -> dict:
    return change_profile(safety={"policy": "", "refuse": [{"category": "x", **rule}]})


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (change_profile(tonne="x"), ["'tonne' is unknown", "Did you mean 'tone'", "persona"]),
        (change_profile(retrieval={"passage": 3}), ["'retrieval.passage' is unknown", "Did you mean 'passages'"]),
        (
            refuse(pattern=["a"]),
            [
                "'safety.refuse[0].patterns' is missing",
                "'safety.refuse[0].pattern' is unknown",
                "Did you mean 'patterns'",
            ],
        ),
        (leave_out("refusal"), ["'refusal' is missing"]),
        (leave_out("disclaimer"), ["'disclaimer' is missing"]),
        (change_profile(safety={}), ["'safety.policy' is missing"]),
        (change_profile(persona="  \n"), ["'persona' is empty"]),
        (change_profile(glossary={"mulch": ""}), ["'glossary.mulch' is empty"]),
        (change_profile(glossary={"mulch": 3}), ["'glossary.mulch' must be a text", "not 3"]),
        (change_profile(tone=5), ["'tone' must be a text in quotes, not 5"]),
        (change_profile(sample_questions="When?"), ["'sample_questions' must be a list"]),
        (change_profile(sample_questions=["When?", "Where?"]), ["'sample_questions'", "at least 3"]),
        (change_profile(sample_questions=["When?", "Where?", ""]), ["'sample_questions[2]' is empty"]),
        (change_profile(retrieval=3), ["'retrieval' must be a table"]),
        (change_profile(retrieval={"passages": "4"}), ["'retrieval.passages' must be a whole number, not '4'"]),
        (change_profile(retrieval={"passages": True}), ["'retrieval.passages' must be a whole number, not True"]),
        (change_profile(retrieval={"passages": 0}), ["'retrieval.passages' must be at least 1, not 0"]),
        (change_profile(retrieval={"passages": -3}), ["'retrieval.passages' must be at least 1, not -3"]),
        (change_profile(retrieval={"passages": 51}), ["'retrieval.passages' must be at most 50, not 51"]),
        (change_profile(retrieval={"strict": "yes"}), ["'retrieval.strict' must be true or false"]),
        (change_profile(retrieval={"decline_below": "x"}), ["'retrieval.decline_below' must be a number"]),
        (change_profile(retrieval={"decline_below": 5.0}), ["'retrieval.decline_below' must be at most 1, not 5.0"]),
        (change_profile(retrieval={"decline_below": -0.1}), ["'retrieval.decline_below' must be at least 0, not -0.1"]),
        (
            change_profile(retrieval={"decline_below": float("nan")}),
            ["'retrieval.decline_below' must be a finite number"],
        ),
        (change_profile(language="de"), ["'language' is 'de'", "'en' or 'fr'"]),
        (change_profile(name="My Garden"), ["'name' is 'My Garden'", "pattern"]),
        (change_profile(description="a\nb"), ["'description' has several lines"]),
        (
            refuse(patterns=["a", "(b"]),
            ["'safety.refuse[0].patterns[1]' is not a regular expression", "position 0", "(b"],
        ),
        (refuse(patterns=["a*"]), ["'safety.refuse[0].patterns[0]' matches every question"]),
        (refuse(patterns=[]), ["'safety.refuse[0].patterns'", "at least 1"]),
        (dict.fromkeys("abcdef", 1), ["And", "more."]),
    ],
)
def test_an_error_names_the_key_and_the_reason(values, parts):
    with pytest.raises(InvalidInputError) as caught:
        DomainProfile(**values)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
