"""The instructions of a domain for the model."""

import pytest

from langchain_gptoss.domains import DomainProfile, format_instructions
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.domains.conftest import PROFILE_VALUES, change_profile


def test_braces_stay_as_they_are():
    braces = "Write {name} and {{twice}}, {text}, {term} and {0}."
    profile = DomainProfile(**change_profile(persona=braces, tone=braces, glossary={"{meaning}": braces}))
    assert format_instructions(profile).count(braces) == 3
    assert f"- {{meaning}}: {braces}" in format_instructions(profile)


def test_the_glossary_is_cut_at_a_whole_term():
    profile = DomainProfile(**change_profile(glossary={"first": "a" * 50, "second": "b" * 50}))
    text = format_instructions(profile, glossary_chars=100)
    assert "first" in text
    assert "second" not in text
    assert "Terms" not in format_instructions(profile, glossary_chars=0)


def test_an_empty_disclaimer_is_left_out():
    assert "notice" not in format_instructions(DomainProfile(**PROFILE_VALUES))


def test_a_negative_glossary_length_raises_an_error():
    with pytest.raises(InvalidInputError, match="glossary_chars is -1"):
        format_instructions(DomainProfile(**PROFILE_VALUES), glossary_chars=-1)
