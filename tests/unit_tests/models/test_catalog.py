"""Names, aliases, paths and hub ids resolve to model cards; unknown names get suggestions."""

from pathlib import Path

import pytest

from langchain_gptoss.errors import CheckpointError, ModelNotFoundError
from langchain_gptoss.models.catalog import CATALOG, resolve_model


@pytest.mark.parametrize(
    ("reference", "name", "source"),
    [
        ("demo", "demo", "demo"),
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
