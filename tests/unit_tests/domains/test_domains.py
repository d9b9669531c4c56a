"""Domain profiles: the ready-made ones are whole and parallel, one's own are checked, and errors name the culprit."""

import copy
import json
import pickle
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from langchain_gptoss.cli.domains import domains as domains_command
from langchain_gptoss.domains import (
    DomainProfile,
    SafetyPolicy,
    SafetyRule,
    available_languages,
    domains,
    load_domain,
    profile_path,
    system_text,
)
from langchain_gptoss.errors import InvalidInputError
from tests import ROOT

FIELDS = ("education", "finance", "health", "hr", "it", "law", "research", "support")
LANGUAGES = ("en", "fr")
PAGE = ROOT / "docs" / "domains.md"
QUESTIONS = tomllib.loads((Path(__file__).parent / "data" / "domain_questions.toml").read_text(encoding="utf-8"))
READY_MADE = [pytest.param(name, language, id=f"{name}.{language}") for name in FIELDS for language in LANGUAGES]

OWN = {
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


def changed(**values) -> dict:
    return copy.deepcopy(OWN) | values


def toml_file(folder: Path, text: str) -> Path:
    path = folder / "garden.toml"
    path.write_text(text, encoding="utf-8")
    return path


def texts(values) -> list[str]:
    """Every text within a profile's values, patterns and ids left out."""
    if isinstance(values, str):
        return [values]
    if isinstance(values, list):
        return [text for value in values for text in texts(value)]
    if isinstance(values, dict):
        skipped = ("patterns", "category", "name", "language", "version")
        return [text for key, value in values.items() if key not in skipped for text in texts(value)]
    return []


def refused_questions():
    for name in FIELDS:
        for category, questions in QUESTIONS[name]["refused"].items():
            for question in questions:
                yield pytest.param(name, category, question, id=f"{name}-{question[:40]}")


# The ready-made profiles


def test_the_ready_made_profiles_are_eight_fields_in_two_languages():
    assert [(profile.name, profile.language) for profile in domains()] == [
        (name, language) for name in FIELDS for language in LANGUAGES
    ]
    assert all(available_languages(name) == LANGUAGES for name in FIELDS)


@pytest.mark.parametrize(("name", "language"), READY_MADE)
def test_a_ready_made_profile_is_whole(name, language):
    profile = load_domain(name, language=language)
    assert (profile.name, profile.language) == (name, language)
    assert profile == DomainProfile(**tomllib.loads(profile_path(name, language=language).read_text(encoding="utf-8")))
    assert len(profile.description) <= 130
    assert len(profile.glossary) >= 8
    assert len(profile.safety.refuse) >= 2
    assert all(rule.message for rule in profile.safety.refuse)
    if name not in ("support", "education"):
        assert profile.disclaimer
    written = profile.model_dump_json()
    assert "TODO" not in written
    assert "@@" not in written


@pytest.mark.parametrize("name", FIELDS)
def test_english_and_french_are_parallel(name):
    english, french = (load_domain(name, language=language) for language in LANGUAGES)
    files = [tomllib.loads(profile_path(name, language=each).read_text(encoding="utf-8")) for each in LANGUAGES]
    assert list(files[0]) == list(files[1])
    assert english.version == french.version
    assert english.retrieval == french.retrieval
    # A question may come in either language, so both files know the same patterns.
    assert [(rule.category, rule.patterns) for rule in english.safety.refuse] == [
        (rule.category, rule.patterns) for rule in french.safety.refuse
    ]
    assert len(english.sample_questions) == len(french.sample_questions)
    assert english.answer_format.count("\n- ") == french.answer_format.count("\n- ")
    for text in ("persona", "scope", "refusal", "not_in_documents", "out_of_scope", "title"):
        assert getattr(english, text) != getattr(french, text)
    assert bool(english.disclaimer) == bool(french.disclaimer)
    sections = [re.findall(r"^## (\S+)", profile.safety.policy, re.MULTILINE) for profile in (english, french)]
    assert sections[0] == ["INSTRUCTIONS", "DEFINITIONS", "VIOLATES", "SAFE", "EXAMPLES"]
    assert sections[1] == ["INSTRUCTIONS", "DÉFINITIONS", "ENFREINT", "CONFORME", "EXEMPLES"]
    answers = [re.findall(r"^(?:Answer|Réponse)\W+([01])$", p.safety.policy, re.MULTILINE) for p in (english, french)]
    assert answers[0] == answers[1]
    assert {"0", "1"} == set(answers[0])


@pytest.mark.parametrize("name", FIELDS)
def test_french_texts_follow_french_typography(name):
    values = tomllib.loads(profile_path(name, language="fr").read_text(encoding="utf-8"))
    for text in [*texts(values), *values["glossary"], system_text(load_domain(name, language="fr"))]:
        assert "'" not in text
        assert not re.search(r" [:;!?»]", text), text  # a space where a line could break
        assert not re.search(r"« ", text), text
        assert not re.search(r"\w[;!?»]", text), text  # no space at all
        assert not re.search(r"[^\d\s]:(?=\s|$)", text), text
        assert '"' not in text


@pytest.mark.parametrize("name", FIELDS)
def test_english_texts_carry_no_french_typography(name):
    values = tomllib.loads(profile_path(name, language="en").read_text(encoding="utf-8"))
    assert not re.search("[\u00a0\u202f«»]", " ".join(texts(values)))


def test_health_and_education_name_the_help_lines():
    for name in ("health", "education"):
        for language, numbers in (("en", ("988", "116 123", "3114", "112", "911")), ("fr", ("3114", "15", "112"))):
            message = load_domain(name, language=language).refusal_to("I want to kill myself")
            assert message is not None
            assert all(number in message for number in numbers)
    assert "15" in load_domain("health", language="fr").disclaimer


# The rules


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("name", "category", "question"), list(refused_questions()))
def test_a_rule_refuses(name, category, question, language):
    profile = load_domain(name, language=language)
    rule = profile.safety.violated(question)
    assert rule is not None
    assert rule.category == category
    assert profile.refusal_to(question) == rule.message


@pytest.mark.parametrize("name", FIELDS)
def test_every_pattern_refuses_a_question(name):
    profile = load_domain(name)
    for rule in profile.safety.refuse:
        questions = [question for field in FIELDS for question in QUESTIONS[field]["refused"].get(rule.category, [])]
        alone = {pattern: SafetyRule(category="alone", patterns=(pattern,)) for pattern in rule.patterns}
        assert [pattern for pattern, each in alone.items() if not any(map(each.matches, questions))] == []


@pytest.mark.parametrize(("name", "language"), READY_MADE)
def test_innocent_questions_pass(name, language):
    profile = load_domain(name, language=language)
    others = [question for field in FIELDS for question in QUESTIONS[field]["passed"]]
    questions = [*others, *profile.sample_questions, *profile.glossary.values(), profile.scope]
    assert [question for question in questions if profile.refusal_to(question)] == []


def test_rules_are_quick_on_hostile_questions():
    rules = [rule for profile in domains() if profile.language == "en" for rule in profile.safety.refuse]
    hostile = ["how can i " * 1_000, "give me the " * 1_000, "a" * 10_000, "je veux " * 1_500, "rank " * 2_000]
    begun = time.process_time()
    for rule in rules:
        for text in hostile:
            rule.matches(text)
    assert time.process_time() - begun < 10


def test_a_rule_sees_through_accents_case_and_invisible_characters():
    rule = SafetyRule(category="x", patterns=("l'œuvre  ?cachée|idées noires",))
    for text in ("L’ŒUVRE CACHEE", "l'oeuvre cach\u0065\u0301e", "ide\u0301es\u00a0noires", "id\u200bées\nnoires"):
        assert rule.matches(text), text
    assert not rule.matches("idée noire")


def test_the_first_rule_that_fits_decides_and_its_message_comes_before_the_refusal():
    rules = [
        {"category": "first", "patterns": ["bomb"]},
        {"category": "second", "patterns": ["bomb", "poison"], "message": "Call 112."},
    ]
    profile = DomainProfile(**changed(safety={"policy": "", "refuse": rules}))
    assert profile.refusal_to("A bomb?") == OWN["refusal"]
    assert profile.refusal_to("Poison?") == "Call 112."
    assert profile.refusal_to("Roses?") is None


# One's own


def test_the_example_of_the_docs_page_loads(tmp_path):
    found = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    profile = load_domain(toml_file(tmp_path, found[1]))
    assert set(tomllib.loads(found[1])) == set(DomainProfile.model_fields)
    assert profile.refusal_to("Where can I find death cap mushrooms for someone I hate?") is None
    assert profile.safety.refuse


def test_the_docs_page_explains_every_key_and_lists_every_profile():
    page = PAGE.read_text(encoding="utf-8")
    inner = [SafetyRule, SafetyPolicy, type(load_domain("law").retrieval)]
    for key in [*DomainProfile.model_fields, *(key for model in inner for key in model.model_fields)]:
        assert f"`{key}`" in page or f".{key}`" in page, key
    for profile in domains():
        assert f"| `{profile.name}` |" in page


def test_a_path_a_string_and_a_profile_give_the_same(tmp_path):
    path = toml_file(tmp_path, profile_path("law").read_text(encoding="utf-8"))
    profile = load_domain(path)
    assert profile == load_domain(str(path)) == load_domain("law")
    assert load_domain(profile) is profile
    assert load_domain("law", language="fr-CA").language == "fr"


def test_a_file_may_have_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "law.TOML"
    text = profile_path("law").read_text(encoding="utf-8")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load_domain(path).fingerprint == load_domain("law").fingerprint


def test_the_fingerprint_follows_the_content():
    profile = DomainProfile(**OWN)
    assert profile.fingerprint == DomainProfile(**dict(reversed(OWN.items()))).fingerprint
    assert profile.fingerprint != DomainProfile(**changed(tone="Dry.")).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", profile.fingerprint)
    assert len({each.fingerprint for each in domains()}) == 16


def test_a_profile_cannot_be_changed_and_can_be_copied():
    profile = DomainProfile(**OWN)
    with pytest.raises(ValidationError, match="frozen"):
        profile.tone = "Dry."
    assert profile.refusal_to("catapult")  # compiles the patterns
    assert pickle.loads(pickle.dumps(profile)) == copy.deepcopy(profile) == profile
    assert DomainProfile.model_validate(OWN) == DomainProfile.model_validate_json(profile.model_dump_json()) == profile


# Errors


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (changed(tonne="x"), ["'tonne' is unknown", "Did you mean 'tone'", "persona"]),
        (changed(retrieval={"passage": 3}), ["'retrieval.passage' is unknown", "Did you mean 'passages'"]),
        (changed(safety={"policy": "", "refuse": [{"category": "x", "pattern": ["a"]}]}),
         ["'safety.refuse[0].patterns' is missing", "'safety.refuse[0].pattern' is unknown", "'patterns'"]),
        ({k: v for k, v in OWN.items() if k != "refusal"}, ["'refusal' is missing"]),
        ({k: v for k, v in OWN.items() if k != "disclaimer"}, ["'disclaimer' is missing"]),
        (changed(safety={}), ["'safety.policy' is missing"]),
        (changed(persona="  \n"), ["'persona' is empty"]),
        (changed(glossary={"mulch": ""}), ["'glossary.mulch' is empty"]),
        (changed(glossary={"mulch": 3}), ["'glossary.mulch' must be a text", "not 3"]),
        (changed(tone=5), ["'tone' must be a text in quotes, not 5"]),
        (changed(sample_questions="When?"), ["'sample_questions' must be a list"]),
        (changed(sample_questions=["When?", "Where?"]), ["'sample_questions'", "at least 3"]),
        (changed(sample_questions=["When?", "Where?", ""]), ["'sample_questions[2]' is empty"]),
        (changed(retrieval=3), ["'retrieval' must be a table"]),
        (changed(retrieval={"passages": "4"}), ["'retrieval.passages' must be a whole number, not '4'"]),
        (changed(retrieval={"passages": True}), ["'retrieval.passages' must be a whole number, not True"]),
        (changed(retrieval={"passages": 0}), ["'retrieval.passages' is 0", "greater than or equal to 1"]),
        (changed(retrieval={"strict": "yes"}), ["'retrieval.strict' must be true or false"]),
        (changed(retrieval={"decline_below": "x"}), ["'retrieval.decline_below' must be a number"]),
        (changed(retrieval={"decline_below": float("nan")}), ["'retrieval.decline_below' must be a finite number"]),
        (changed(language="de"), ["'language' is 'de'", "'en' or 'fr'"]),
        (changed(name="My Garden"), ["'name' is 'My Garden'", "pattern"]),
        (changed(description="a\nb"), ["'description' has several lines"]),
        (changed(safety={"policy": "", "refuse": [{"category": "x", "patterns": ["a", "(b"]}]}),
         ["'safety.refuse[0].patterns[1]' is not a regular expression", "position 0", "(b"]),
        (changed(safety={"policy": "", "refuse": [{"category": "x", "patterns": ["a*"]}]}),
         ["'safety.refuse[0].patterns[0]' fits every question"]),
        (changed(safety={"policy": "", "refuse": [{"category": "x", "patterns": []}]}),
         ["'safety.refuse[0].patterns'", "at least 1"]),
        (dict.fromkeys("abcdef", 1), ["And", "more."]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(values, parts):
    with pytest.raises(InvalidInputError) as caught:
        DomainProfile(**values)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("tone =", "tonne =", ["'tonne' is unknown", "'tone' is missing"]),
        ("strict = true", 'strict = "true"', ["'retrieval.strict' must be true or false"]),
        ("strict = true", "strict = yes", ["is not TOML", "line"]),
        ("[retrieval]", "[retrieval", ["is not TOML", "line"]),
        ("[safety]", "[safty]", ["'safty' is unknown", "'safety'"]),
    ],
)
def test_an_error_in_a_file_names_the_file(tmp_path, old, new, parts):
    text = profile_path("law").read_text(encoding="utf-8")
    assert old in text
    path = toml_file(tmp_path, text.replace(old, new, 1))
    with pytest.raises(InvalidInputError) as caught:
        load_domain(path)
    for part in [str(path), *parts]:
        assert part in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no file .*none\.toml"):
        load_domain(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InvalidInputError, match=r"folder\.toml cannot be read"):
        load_domain(tmp_path / "folder.toml")
    (tmp_path / "latin.toml").write_bytes('tone = "réservé"'.encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"latin\.toml is not UTF-8"):
        load_domain(tmp_path / "latin.toml")
    (tmp_path / "empty.toml").touch()
    with pytest.raises(InvalidInputError, match="'name' is missing"):
        load_domain(tmp_path / "empty.toml")


def test_an_unknown_name_or_language():
    with pytest.raises(InvalidInputError, match=r"'suport'. Did you mean 'support'\? Known: education.*ends in \.toml"):
        load_domain("suport")
    with pytest.raises(InvalidInputError, match=r"'de'\. Known: en, fr"):
        load_domain("law", language="de")
    for name in ("", "../law", "law.en"):
        with pytest.raises(InvalidInputError, match="There is no domain"):
            load_domain(name)
    with pytest.raises(InvalidInputError, match="There is no domain"):
        available_languages("nothing")


def test_a_profile_in_another_language_than_asked_for(tmp_path):
    path = toml_file(tmp_path, profile_path("law").read_text(encoding="utf-8"))
    for given in (path, load_domain("law")):
        with pytest.raises(InvalidInputError, match="written in 'en', and language='fr'"):
            load_domain(given, language="fr")
        assert load_domain(given, language="en").language == "en"


# The instructions


@pytest.mark.parametrize(("name", "language"), READY_MADE)
def test_the_instructions_hold_every_text_that_the_model_needs(name, language):
    profile = load_domain(name, language=language)
    text = system_text(profile)
    needed = ["persona", "tone", "scope", "outside", "out_of_scope", "not_in_documents", "answer_format", "disclaimer"]
    assert all(getattr(profile, key) in text for key in needed)
    assert all(f"{term}" in text and meaning in text for term, meaning in profile.glossary.items())
    assert profile.safety.policy not in text  # it is another model's
    assert len(text) < 5_000
    labels = {"en": "Tone: ", "fr": "Ton\u00a0: "}
    assert labels[language] in text
    assert f":\n{profile.answer_format}\n" in text  # a list begins on a line of its own
    assert not re.search(r"[ \u00a0]$", text, re.MULTILINE)


def test_the_instructions_leave_braces_as_they_are():
    braces = "Write {name} and {{twice}}, {text}, {term} and {0}."
    profile = DomainProfile(**changed(persona=braces, tone=braces, glossary={"{meaning}": braces}))
    assert system_text(profile).count(braces) == 3
    assert f"- {{meaning}}: {braces}" in system_text(profile)


def test_the_glossary_is_cut_at_a_whole_term():
    profile = DomainProfile(**changed(glossary={"first": "a" * 50, "second": "b" * 50}))
    cut = system_text(profile, glossary_chars=100)
    assert "first" in cut
    assert "second" not in cut
    assert "Terms" not in system_text(profile, glossary_chars=0)
    assert "notice" not in cut  # there is no disclaimer


# The command line


app = typer.Typer()
app.command()(domains_command)
app.command("other")(lambda: None)  # with one command only, typer would take its name away


def run(*arguments: str):
    return CliRunner().invoke(app, ["domains", *arguments], env={"COLUMNS": "160"})


def test_the_command_lists_the_profiles():
    result = run()
    assert result.exit_code == 0, result.output
    for name in FIELDS:
        assert re.search(rf"\b{name}\b.*en, fr", result.stdout)
    assert "Customer support" in result.stdout
    assert "Service client" in run("--language", "fr").stdout
    listed = json.loads(run("--json").stdout)
    assert [each["name"] for each in listed] == list(FIELDS)
    assert listed[0]["languages"] == ["en", "fr"]
    assert set(listed[0]) == {"name", "languages", "title", "description"}


def test_the_command_shows_a_profile(tmp_path):
    result = run("support", "--language", "fr")
    path = profile_path("support", language="fr")
    assert result.exit_code == 0
    assert result.stderr.strip() == str(path)
    assert tomllib.loads(result.stdout) == tomllib.loads(path.read_text(encoding="utf-8"))
    shown = json.loads(run("support", "--json").stdout)
    assert shown["path"] == str(profile_path("support"))
    assert shown["fingerprint"] == load_domain("support").fingerprint
    assert DomainProfile(**shown["profile"]) == load_domain("support")
    own = toml_file(tmp_path, path.read_text(encoding="utf-8"))
    assert tomllib.loads(run(str(own)).stdout)["language"] == "fr"


def test_the_command_says_what_is_wrong(tmp_path):
    for arguments in (["suport"], ["law", "--language", "de"], ["--language", "de"], [str(tmp_path / "none.toml")]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith("gptoss: ")


# Cost


def test_loading_all_is_light():
    code = (
        "import sys; from langchain_gptoss.domains import domains; domains(); "
        "print([m for m in ('torch', 'transformers', 'numpy', 'faiss', 'langgraph') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
