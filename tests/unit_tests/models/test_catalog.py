"""Names, aliases, paths and hub ids resolve to model cards; unknown names get suggestions."""

from pathlib import Path

import pytest

from langchain_gptoss.errors import CheckpointError, ModelNotFoundError
from langchain_gptoss.models.catalog import CATALOG, resolve_model


@pytest.mark.parametrize(
    ("reference", "name", "source"),
    [
        ("demo", "demo", "demo"),
        ("demo-large", "demo-large", "demo-large"),
        ("gpt-oss-20b", "gpt-oss-20b", "openai/gpt-oss-20b"),
        ("gpt-oss-safeguard-20b", "gpt-oss-safeguard-20b", "openai/gpt-oss-safeguard-20b"),
        ("gpt-oss-3.6b", "gpt-oss-3.6b", "openai/gpt-oss-20b"),
        ("somebody/their-model", "somebody/their-model", "somebody/their-model"),
    ],
)
def test_resolve_model(reference, name, source):
    card = resolve_model(reference)
    assert (card.name, card.source) == (name, source)


@pytest.mark.parametrize("card", CATALOG, ids=lambda card: card.name)
def test_names_and_aliases_resolve_in_any_case(card):
    for text in (card.name, *card.aliases):
        assert resolve_model(text) is resolve_model(text.upper()) is resolve_model(f" {text} ") is card


def test_names_and_aliases_are_unique():
    names = [name for card in CATALOG for name in (card.name, *card.aliases)]
    assert len(names) == len(set(names))


def test_catalogued_models_have_shapes_of_their_size():
    for card in CATALOG:
        assert card.shape is not None
        assert card.shape.parameters == pytest.approx(card.parameters, rel=0.005)
        assert card.shape.max_positions == card.context_length


def test_unpublished_names_are_explained():
    assert "3.6 billion is the number of parameters that gpt-oss-20b activates" in resolve_model("gpt-oss-3.6b").note
    with pytest.raises(ModelNotFoundError, match=r"no checkpoint of it is published.*your own checkpoint"):
        resolve_model("gpt-oss-1.0b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpt-oss-puzzle-88b", "another architecture"),
        ("nvidia/gpt-oss-puzzle-88B", "gpt-oss-120b"),
        ("privacy-filter", "generates no text"),
        ("openai/privacy-filter", "generates no text"),
        ("nvidia/gpt-oss-120b-Eagle3-v3", "not supported yet"),
        ("GPT-OSS-Swallow", "hub id"),
    ],
)
def test_models_that_cannot_run_are_refused_with_the_reason(text, message):
    with pytest.raises(ModelNotFoundError) as error:
        resolve_model(text)
    assert message in str(error.value)


def test_fine_tunes_and_own_folders_are_not_refused_for_their_names(tmp_path):
    assert resolve_model("somebody/GPT-OSS-Swallow-20B").source == "somebody/GPT-OSS-Swallow-20B"
    (tmp_path / "eagle3").mkdir()
    assert resolve_model(str(tmp_path / "eagle3")).name == "eagle3"


@pytest.mark.parametrize(
    ("content", "temperature"),
    [
        ('{"do_sample": false, "temperature": 0.7}', 0.0),
        ('{"do_sample": true, "temperature": 0.7}', 0.7),
        ('{"do_sample": true}', 1.0),
        ('{"temperature": "hot"}', 1.0),
        ('{"temperature": -1}', 1.0),
        ("[]", 1.0),
        ("{", 1.0),
        (None, 1.0),
    ],
)
def test_folders_recommend_a_temperature(tmp_path, content, temperature):
    if content is not None:
        (tmp_path / "generation_config.json").write_text(content)
    assert resolve_model(tmp_path).temperature == temperature


@pytest.mark.parametrize("text", ["gtp-oss-20b", "gpt-oss-30b", "gpt oss 20b", "llama", "a b/c", "-x/y"])
def test_unknown_names_get_suggestions(text):
    with pytest.raises(ModelNotFoundError, match=r"Did you mean .*(gpt-oss-20b|demo)"):
        resolve_model(text)


def test_folders_resolve(tmp_path):
    card = resolve_model(tmp_path)
    assert (card.name, card.source) == (tmp_path.resolve().name, str(tmp_path.resolve()))
    with pytest.raises(CheckpointError, match="does not exist"):
        resolve_model(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="a file, not a folder"):
        resolve_model(tmp_path / "file")


def test_paths_win_over_names_only_if_they_look_like_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    assert resolve_model("demo").source == "demo"
    assert resolve_model(Path("demo")).source == str(tmp_path.resolve() / "demo")
    assert resolve_model("./demo").source == str(tmp_path.resolve() / "demo")


@pytest.mark.parametrize("text", ["./none", "/none/at/all", "~/none", "a/b/c", r"C:\models\x", "../none"])
def test_missing_paths_are_not_taken_for_hub_ids(text):
    with pytest.raises(CheckpointError, match="does not exist"):
        resolve_model(text)
