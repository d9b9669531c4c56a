"""When a checkpoint is packed, and what is told before."""

import json
from pathlib import Path

import pytest

from langchain_gptoss import ChatGptOss
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.packing import locate
from langchain_gptoss.models.packing.forecast import predict_packing
from langchain_gptoss.models.packing.locate import locate_model, plan_packing
from tests.unit_tests.models.packing.tiny_models import make_adapter


def test_small_unpacked_models_are_used_as_they_are(checkpoint):
    assert locate_model(resolve_model(checkpoint)) == checkpoint
    assert locate_model(resolve_model(checkpoint), experts="unpacked") == checkpoint
    assert predict_packing(resolve_model(checkpoint), checkpoint) is None


def test_large_unpacked_models_are_packed_unless_the_user_says_no(checkpoint, monkeypatch, cache):
    monkeypatch.setattr(locate, "AUTOMATIC_BYTES", 1000)
    card = resolve_model(checkpoint)
    assert locate_model(card, experts="unpacked") == checkpoint
    packed = locate_model(card)
    assert packed.parent == cache / "packed"
    assert locate_model(resolve_model(packed)) == packed


def test_experts_in_int8_stay_in_int8_with_and_without_an_adapter(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "AUTOMATIC_BYTES", 1000)
    card = resolve_model(locate_model(resolve_model(checkpoint), experts="int8"))
    assert plan_packing(card, Path(card.source)) is None
    assert plan_packing(card, Path(card.source), experts="int8") is None
    make_adapter(tmp_path / "adapter")
    packing = plan_packing(card, Path(card.source), adapter=tmp_path / "adapter")
    assert packing.storage == "int8"
    assert predict_packing(card, Path(card.source), adapter=tmp_path / "adapter").shape.checkpoint_experts == "int8"


def test_experts_in_mxfp4_do_not_become_int8(checkpoint):
    packed = locate_model(resolve_model(checkpoint), experts="packed")
    with pytest.raises(InvalidInputError, match="larger and no better"):
        locate_model(resolve_model(packed), experts="int8")


def test_unknown_choices_are_refused_with_the_possible_ones(checkpoint):
    with pytest.raises(InvalidInputError, match="experts is 'int5'") as caught:
        locate_model(resolve_model(checkpoint), experts="int5")
    assert "'int8'" in caught.value.hint


def test_the_forecast_names_disk_and_memory(checkpoint):
    card = resolve_model(checkpoint)
    forecast = predict_packing(card, checkpoint, experts="packed")
    assert not forecast.is_done
    assert forecast.shape.checkpoint_experts == "mxfp4"
    assert "once before it is loaded (experts in MXFP4)" in forecast.sentence
    packed = locate_model(card, experts="packed")
    assert forecast.folder == str(packed)
    done = predict_packing(card, checkpoint, experts="packed")
    assert done.is_done
    assert str(packed) in done.sentence


def test_the_forecast_needs_the_configuration_only(checkpoint, monkeypatch):
    monkeypatch.setattr(locate, "AUTOMATIC_BYTES", 1000)
    (checkpoint / "model.safetensors").unlink()
    forecast = predict_packing(resolve_model(checkpoint), checkpoint)
    assert forecast.storage == "mxfp4"
    assert predict_packing(resolve_model(checkpoint), checkpoint, experts="unpacked") is None


def test_chat_models_load_the_merged_checkpoint(checkpoint, tmp_path):
    make_adapter(tmp_path / "adapter")
    llm = ChatGptOss(model=checkpoint, adapter=tmp_path / "adapter")
    merged = llm.checkpoint
    assert merged != checkpoint
    assert json.loads((merged / "packing.json").read_text())["adapter"]
    llm.adapter = None
    assert llm.checkpoint == checkpoint


def test_adapters_of_models_on_a_server_are_refused(checkpoint):
    llm = ChatGptOss(model=checkpoint, adapter="some/adapter", base_url="http://localhost:1/v1")
    with pytest.raises(InvalidInputError, match="on a server"):
        _ = llm.running_engine


def test_saved_models_name_their_adapter(tmp_path):
    llm = ChatGptOss(model="demo", adapter=tmp_path / "adapter")
    assert llm.lc_attributes == {"model": "demo", "adapter": str(tmp_path / "adapter")}
    assert llm.model_dump()["adapter"] == str(tmp_path / "adapter")
