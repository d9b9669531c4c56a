"""The pattern files: every rule compiles, has keywords if it needs them, and finds its example."""

import pytest

from langchain_gptoss.chatbot.guard import find_injections
from langchain_gptoss.chatbot.guard.rules import Rule, load_rules
from langchain_gptoss.text.normalization import FoldedText

RULES = [*load_rules().sentence_rules, *load_rules().keyword_rules]


def is_found_by(rule: Rule, sentence: str) -> bool:
    """Return True if a rule alone finds a sentence."""
    folded, prefix = FoldedText(sentence).text, load_rules().prefix
    if rule.begins_sentence:
        return any(rule.regex.match(folded, offset) for offset in (0, prefix.match(folded).end()))
    return any(keyword in folded for keyword in rule.keywords) and bool(rule.regex.search(folded))


def test_the_names_of_the_rules_are_unique():
    assert len({rule.name for rule in RULES}) == len(RULES) > 70


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_finds_its_example(rule):
    assert is_found_by(rule, rule.example)
    assert find_injections(f"Delivery costs 4.90 euros.\n{rule.example}")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_documented_and_limited_to_sentence_starts_or_keywords(rule):
    assert rule.why.endswith(".")
    assert rule.begins_sentence != bool(rule.keywords)
    assert "{{" not in rule.pattern
