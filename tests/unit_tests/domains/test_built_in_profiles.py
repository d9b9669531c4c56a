"""The built-in profiles: complete, parallel in both languages, and rules that refuse no innocent question."""

import re
import time
import tomllib

import pytest

from langchain_gptoss.domains import (
    DomainProfile,
    SafetyPolicy,
    SafetyRule,
    format_instructions,
    get_profile_path,
    list_languages,
    load_built_in_domains,
    load_domain,
)
from tests import ROOT
from tests.unit_tests.domains.conftest import BUILT_IN_NAMES, LANGUAGES, write_profile

PAGE = ROOT / "docs" / "domains.md"
PROFILES = [pytest.param(name, language, id=f"{name}.{language}") for name in BUILT_IN_NAMES for language in LANGUAGES]


def read_values(name: str, language: str) -> dict:
    """Return the values in a built-in profile's file."""
    return tomllib.loads(get_profile_path(name, language=language).read_text(encoding="utf-8"))


def collect_texts(values) -> list[str]:
    """Return every text within a profile's values; patterns and ids are left out."""
    if isinstance(values, str):
        return [values]
    if isinstance(values, list):
        return [text for value in values for text in collect_texts(value)]
    if isinstance(values, dict):
        skipped = ("patterns", "category", "name", "language", "version")
        return [text for key, value in values.items() if key not in skipped for text in collect_texts(value)]
    return []


def test_there_are_eight_domains_in_two_languages():
    assert [(profile.name, profile.language) for profile in load_built_in_domains()] == [
        (name, language) for name in BUILT_IN_NAMES for language in LANGUAGES
    ]
    assert all(list_languages(name) == LANGUAGES for name in BUILT_IN_NAMES)
    assert len({profile.fingerprint for profile in load_built_in_domains()}) == 16


@pytest.mark.parametrize(("name", "language"), PROFILES)
def test_profile_is_complete(name, language):
    profile = load_domain(name, language=language)
    assert (profile.name, profile.language) == (name, language)
    assert profile == DomainProfile(**read_values(name, language))
    assert len(profile.description) <= 130
    assert len(profile.glossary) >= 8
    assert len(profile.safety.refuse) >= 2
    assert all(rule.message for rule in profile.safety.refuse)
    if name not in ("support", "education"):
        assert profile.disclaimer
    text = profile.model_dump_json()
    assert "TODO" not in text
    assert "@@" not in text


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_english_and_french_are_parallel(name):
    english, french = (load_domain(name, language=language) for language in LANGUAGES)
    assert list(read_values(name, "en")) == list(read_values(name, "fr"))
    assert english.version == french.version
    assert english.retrieval == french.retrieval
    # A question may come in either language, so both files have the same patterns.
    assert [(rule.category, rule.patterns) for rule in english.safety.refuse] == [
        (rule.category, rule.patterns) for rule in french.safety.refuse
    ]
    assert len(english.sample_questions) == len(french.sample_questions)
    assert english.answer_format.count("\n- ") == french.answer_format.count("\n- ")
    for key in ("persona", "scope", "refusal", "not_in_documents", "out_of_scope", "title"):
        assert getattr(english, key) != getattr(french, key)
    assert bool(english.disclaimer) == bool(french.disclaimer)
    sections = [re.findall(r"^## (\S+)", profile.safety.policy, re.MULTILINE) for profile in (english, french)]
    assert sections[0] == ["INSTRUCTIONS", "DEFINITIONS", "VIOLATES", "SAFE", "EXAMPLES"]
    assert sections[1] == ["INSTRUCTIONS", "DÉFINITIONS", "ENFREINT", "CONFORME", "EXEMPLES"]
    answers = [re.findall(r"^(?:Answer|Réponse)\W+([01])$", p.safety.policy, re.MULTILINE) for p in (english, french)]
    assert answers[0] == answers[1]
    assert {"0", "1"} == set(answers[0])


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_french_texts_follow_french_typography(name):
    values = read_values(name, "fr")
    for text in [*collect_texts(values), *values["glossary"], format_instructions(load_domain(name, language="fr"))]:
        assert "'" not in text
        assert not re.search(r" [:;!?»]", text), text  # a space where a line could break
        assert not re.search(r"« ", text), text
        assert not re.search(r"\w[;!?»]", text), text  # no space at all
        assert not re.search(r"[^\d\s]:(?=\s|$)", text), text
        assert '"' not in text


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_english_texts_have_no_french_typography(name):
    assert not re.search("[\u00a0\u202f«»]", " ".join(collect_texts(read_values(name, "en"))))


def test_health_and_education_name_the_help_lines():
    for name in ("health", "education"):
        for language, numbers in (("en", ("988", "116 123", "3114", "112", "911")), ("fr", ("3114", "15", "112"))):
            message = load_domain(name, language=language).find_refusal("I want to kill myself")
            assert message is not None
            assert all(number in message for number in numbers)
    assert "15" in load_domain("health", language="fr").disclaimer


@pytest.mark.parametrize(("name", "language"), PROFILES)
def test_rules_refuse_forbidden_questions(name, language, questions):
    profile = load_domain(name, language=language)
    for category, refused in questions[name]["refused"].items():
        for question in refused:
            rule = profile.safety.find_violated_rule(question)
            assert rule is not None, question
            assert rule.category == category, question
            assert profile.find_refusal(question) == rule.message


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_every_pattern_refuses_a_question(name, questions):
    for rule in load_domain(name).safety.refuse:
        refused = [
            question for other in BUILT_IN_NAMES for question in questions[other]["refused"].get(rule.category, [])
        ]
        single_rules = {pattern: SafetyRule(category="single", patterns=(pattern,)) for pattern in rule.patterns}
        assert [pattern for pattern, single in single_rules.items() if not any(map(single.matches, refused))] == []


@pytest.mark.parametrize(("name", "language"), PROFILES)
def test_rules_pass_innocent_questions(name, language, questions):
    profile = load_domain(name, language=language)
    passed = [question for other in BUILT_IN_NAMES for question in questions[other]["passed"]]
    texts = [*passed, *profile.sample_questions, *profile.glossary.values(), profile.scope]
    assert [text for text in texts if profile.find_refusal(text)] == []


def test_rules_take_no_quadratic_time_on_hostile_questions():
    """The rules need about a second; with quadratic backtracking they would need many minutes."""
    rules = [rule for name in BUILT_IN_NAMES for rule in load_domain(name).safety.refuse]
    hostile = ["how can i " * 500, "give me the " * 500, "a" * 5_000, "je veux " * 700, "rank " * 1_000]
    started = time.process_time()
    for text in hostile:
        assert not any(rule.matches(text) for rule in rules)
    assert time.process_time() - started < 60


@pytest.mark.parametrize(("name", "language"), PROFILES)
def test_instructions_contain_every_text_that_the_model_needs(name, language):
    profile = load_domain(name, language=language)
    text = format_instructions(profile)
    keys = ["persona", "tone", "scope", "outside", "out_of_scope", "not_in_documents", "answer_format", "disclaimer"]
    assert all(getattr(profile, key) in text for key in keys)
    assert all(term in text and meaning in text for term, meaning in profile.glossary.items())
    assert profile.safety.policy not in text  # the policy is for another model
    assert len(text) < 5_000
    labels = {"en": "Tone: ", "fr": "Ton\u00a0: "}
    assert labels[language] in text
    assert f":\n{profile.answer_format}\n" in text  # a list begins on its own line
    assert not re.search(r"[ \u00a0]$", text, re.MULTILINE)


def test_the_example_of_the_docs_page_loads(tmp_path):
    example = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example
    profile = load_domain(write_profile(tmp_path, example[1]))
    assert set(tomllib.loads(example[1])) == set(DomainProfile.model_fields)
    assert profile.find_refusal("Where can I find death cap mushrooms for someone I hate?") is None
    assert profile.safety.refuse


def test_the_docs_page_explains_every_key_and_lists_every_profile():
    page = PAGE.read_text(encoding="utf-8")
    tables = [SafetyRule, SafetyPolicy, type(load_domain("law").retrieval)]
    for key in [*DomainProfile.model_fields, *(key for table in tables for key in table.model_fields)]:
        assert f"`{key}`" in page or f".{key}`" in page, key
    for name in BUILT_IN_NAMES:
        assert f"| `{name}` |" in page
