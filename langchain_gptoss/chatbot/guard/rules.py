"""Rules that recognize instructions to a model; the patterns are in `patterns/en.toml` and `patterns/fr.toml`.

They are matched on folded text: lower case, without accents, lookalike letters written in Latin. Ordinary documents
contain instructions to their readers ("Send the form to the town hall", "Run the following command"), so an imperative
alone is not an injection. A pattern also requires something that concerns only a model: its answer, its instructions,
its role, a request to write or to judge a text, or the control tokens of its chat format.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

Kind = Literal["override", "role", "control", "answer", "task", "exfiltration", "tool", "address"]

PARAGRAPH_KINDS: frozenset[Kind] = frozenset({"override", "role", "control", "address"})
"""Kinds after which the rest of the paragraph counts as part of the injection."""

LANGUAGES = ("en", "fr")
# The beginning of a sentence, a list item or a quotation.
_SENTENCE_START = re.compile(r"""(?:^|(?<=[.!?:;\n"“”«•*(\[])|(?<=[-–—] ))\s*""")
_FRAGMENT = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A pattern of an instruction to a model.

    Attributes:
        name: Name of the rule.
        kind: Kind of the instruction.
        pattern: Regular expression on folded text. With ^ it is tried where a sentence begins, else everywhere.
        keywords: Words of which every match contains one; the pattern is tried only on texts with one of them, which
            saves time. Empty for patterns with ^.
        why: The reason for the rule.
        example: A sentence that the rule finds.
    """

    name: str
    kind: Kind
    pattern: str
    keywords: tuple[str, ...]
    why: str
    example: str

    @property
    def begins_sentence(self) -> bool:
        """True if the pattern is tried only where a sentence begins."""
        return self.pattern.startswith("^")

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The pattern, compiled at its first use."""
        return re.compile(self.pattern.removeprefix("^"))


@dataclass(frozen=True, kw_only=True)
class RuleSet:
    """The rules of all languages.

    Attributes:
        sentence_rules: Rules that are tried where a sentence begins.
        keyword_rules: Rules that are tried on texts with one of their keywords.
        prefix: Words that may precede the verb of a sentence, such as "please" or "you must".
    """

    sentence_rules: tuple[Rule, ...]
    keyword_rules: tuple[Rule, ...]
    prefix: re.Pattern[str]


def find_matches(folded_text: str) -> Iterator[tuple[Kind, int, int]]:
    """Yield kind, start and end of each match of the rules in a folded text."""
    rules = load_rules()
    for sentence in _SENTENCE_START.finditer(folded_text):
        start = sentence.end()
        prefix = rules.prefix.match(folded_text, start)
        for offset in {start, prefix.end() if prefix else start}:
            for rule in rules.sentence_rules:
                if match := rule.regex.match(folded_text, offset):
                    yield rule.kind, start, match.end()
    for rule in rules.keyword_rules:
        if any(keyword in folded_text for keyword in rule.keywords):
            for match in rule.regex.finditer(folded_text):
                yield rule.kind, *match.span()


@cache
def load_rules() -> RuleSet:
    """Return the rules of all languages."""
    tables = [_load_table(language) for language in LANGUAGES]
    rules = [rule for table in tables for rule in _parse_rules(table)]
    prefixes = "|".join(_join_lines(table["sentence_prefix"]) for table in tables)
    return RuleSet(
        sentence_rules=tuple(rule for rule in rules if rule.begins_sentence),
        keyword_rules=tuple(rule for rule in rules if not rule.begins_sentence),
        prefix=re.compile(f"(?:{prefixes})*"),
    )


def _load_table(language: str) -> dict[str, Any]:
    file = files("langchain_gptoss.chatbot.guard").joinpath("patterns", f"{language}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _parse_rules(table: Mapping[str, Any]) -> Iterator[Rule]:
    fragments = {name: _join_lines(text) for name, text in table["fragments"].items()}
    for entry in table["rules"]:
        pattern = _FRAGMENT.sub(lambda match: fragments[match[1]], _join_lines(entry["pattern"]))
        yield Rule(
            name=entry["name"],
            kind=entry["kind"],
            pattern=pattern,
            keywords=tuple(entry.get("keywords", ())),
            why=entry["why"],
            example=entry["example"],
        )


def _join_lines(pattern: str) -> str:
    """Return a pattern without the line breaks and the indentation that make it readable in the file."""
    return "".join(line.strip() for line in pattern.splitlines())
