"""Checkpoints that are damaged, disguised, or ask for code are refused, with the reason, before they are opened."""

import os
import pickle
import sys
from pathlib import Path

import pytest
import torch

from langchain_gptoss import ChatGptOss
from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.checkpoint import check_checkpoint, locate_checkpoint
from langchain_gptoss.models.safetensors_files import INDEX
from tests.unit_tests.models.checkpoint_files import (
    CONFIG,
    FIRST_SHARD,
    SECOND_SHARD,
    change_json,
    change_weight_map,
    write_json,
)


def test_complete_checkpoints_pass(checkpoint):
    check_checkpoint(checkpoint)
    assert locate_checkpoint(resolve_model(checkpoint)) == checkpoint.resolve()


def test_the_demo_model_is_fetched(checkpoint, monkeypatch):
    monkeypatch.setattr("langchain_gptoss.models.checkpoint.fetch_demo_model", lambda: checkpoint)
    assert locate_checkpoint(resolve_model("demo")) == checkpoint


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "does not hold a JSON object"),
        (
            lambda folder: change_json(folder / "config.json", model_type="llama"),
            "'llama'; this package runs 'gpt_oss'",
        ),
        (lambda folder: (folder / SECOND_SHARD).unlink(), f"lacks '{SECOND_SHARD}'"),
    ],
    ids=["no config", "no JSON", "no object", "architecture", "missing shard"],
)
def test_damaged_checkpoints_are_refused(checkpoint, damage, message):
    damage(checkpoint)
    with pytest.raises(CheckpointError, match=message):
        check_checkpoint(checkpoint)


class MarkingPickle:
    """Creates a file wherever its pickle is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def write_zipped_pickle(file: Path, mark: Path) -> None:
    torch.save({"a": MarkingPickle(mark)}, file)


def write_bare_pickle(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(MarkingPickle(mark)))


def test_the_pickle_of_these_tests_runs_code(tmp_path):
    write_bare_pickle(tmp_path / "model.bin", tmp_path / "mark")
    pickle.loads((tmp_path / "model.bin").read_bytes())
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("write_pickle", [write_zipped_pickle, write_bare_pickle])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.safetensors"])
def test_pickles_are_refused_and_never_opened(checkpoint, tmp_path, write_pickle, name):
    for file in (checkpoint / FIRST_SHARD, checkpoint / SECOND_SHARD, checkpoint / INDEX):
        file.unlink()
    write_pickle(checkpoint / name, tmp_path / "mark")
    with pytest.raises(CheckpointError, match=r"pickle|not a readable safetensors file") as caught:
        ChatGptOss(model=checkpoint, chat_format="harmony").invoke("hello")
    assert name in str(caught.value)
    assert not (tmp_path / "mark").exists()


def test_pickles_named_by_an_index_are_never_opened(checkpoint, tmp_path):
    write_zipped_pickle(checkpoint / "pytorch_model.bin", tmp_path / "mark")
    change_weight_map(checkpoint, a="pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"names 'pytorch_model\.bin'.*nothing else is ever opened"):
        ChatGptOss(model=checkpoint).invoke("hello")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_checkpoint_is_refused_and_never_run(checkpoint, tmp_path, file):
    (checkpoint / "modeling_evil.py").write_text(
        f"import pathlib; pathlib.Path({str(tmp_path / 'mark')!r}).touch()\nclass EvilModel: ...\n"
    )
    content = CONFIG if file == "config.json" else {}
    write_json(checkpoint / file, content | {"auto_map": {"AutoModelForCausalLM": "modeling_evil.EvilModel"}})
    with pytest.raises(CheckpointError, match=rf"{file}' asks with 'auto_map'.*never runs code of a checkpoint"):
        ChatGptOss(model=checkpoint).invoke("hello")
    assert not (tmp_path / "mark").exists()
    assert not any("modeling_evil" in name for name in sys.modules)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": None}, "architecture None; this package runs 'gpt_oss'"),
        ({"hidden_size": 0}, "hidden_size is 0 and must be a whole number from 1 to"),
        ({"hidden_size": "64"}, "hidden_size is '64'"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"num_local_experts": None}, "num_local_experts is None"),
        ({"layer_types": ["full_attention"]}, "layer_types names 1 layers and num_hidden_layers is 2"),
        ({"layer_types": ["full_attention", "magic"]}, "layer_types has 'magic'"),
        ({"layer_types": [1, 2]}, "layer_types is not a list of names"),
        ({"hidden_size": 65, "quantization_config": {"quant_method": "mxfp4"}}, "65 and must be a multiple of 32"),
        ({"num_attention_heads": 6, "num_key_value_heads": 4}, "must be a multiple of num_key_value_heads"),
        ({"num_local_experts": 4, "num_experts_per_tok": 5}, "num_experts_per_tok is 5 and there are 4 experts"),
    ],
)
def test_impossible_configs_are_refused(checkpoint, values, message):
    change_json(checkpoint / "config.json", **values)
    with pytest.raises(CheckpointError, match=message):
        check_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "values",
    [
        {"layer_types": ["full_attention", "sliding_attention"]},
        {"quantization_config": {"quant_method": "mxfp4"}, "intermediate_size": 32},
    ],
)
def test_possible_configs_pass(checkpoint, values):
    change_json(checkpoint / "config.json", **values)
    check_checkpoint(checkpoint)


def test_embeddings_of_another_size_are_refused(checkpoint):
    change_json(checkpoint / "config.json", vocab_size=12)
    with pytest.raises(CheckpointError, match=r"'model.embed_tokens.weight' of shape \[10, 64\].*vocab_size is 12"):
        check_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "tokenizer",
    [
        {"model": {"vocab": {"a": 0, "b": 10}}},
        {"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 10, "content": "<|end|>"}]},
        {"model": {"vocab": [["a", 0.0]] * 11}},
    ],
    ids=["vocabulary", "added token", "unigram"],
)
def test_tokenizers_with_more_tokens_than_the_model_are_refused(checkpoint, tokenizer):
    write_json(checkpoint / "tokenizer.json", tokenizer)
    with pytest.raises(CheckpointError, match=r"ids up to 10, and the model's vocabulary ends at 9 .vocab_size 10"):
        check_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "tokenizer", ["", "{", "{}", "[]", '{"model": {"vocab": 5}}', '{"model": {"vocab": {"a": "b"}}}']
)
def test_damaged_tokenizers_are_refused(checkpoint, tokenizer):
    (checkpoint / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(DamagedCheckpointError, match=r"tokenizer\.json' .*again"):
        check_checkpoint(checkpoint)


def test_missing_tokenizers_are_refused(checkpoint):
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(DamagedCheckpointError, match=r"has no tokenizer\.json"):
        check_checkpoint(checkpoint)


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"]
)
def test_pipes_and_devices_are_not_opened(checkpoint, name, kind):
    (checkpoint / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(checkpoint / name)
    else:
        (checkpoint / name).symlink_to("/dev/zero")
    with pytest.raises(DamagedCheckpointError, match=f"{name}' is not a regular file but a pipe"):
        check_checkpoint(checkpoint)
