"""The choice of a chat format, and tokenizers that cannot be loaded."""

import json
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from transformers import AutoTokenizer

from langchain_gptoss.chat_formats import load_chat_format
from langchain_gptoss.chat_formats.checkpoint_tokenizer import load_tokenizer
from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS, HarmonyFormat
from langchain_gptoss.chat_formats.plain import PlainFormat
from langchain_gptoss.chat_formats.template import TemplateFormat
from langchain_gptoss.errors import CheckpointError, InvalidInputError
from tests.unit_tests.chat_formats.byte_tokenizer import build_tokenizer


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    build_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_chat_template_is_used_if_there_is_one(checkpoint):
    chat_format = load_chat_format(checkpoint)
    assert isinstance(chat_format, TemplateFormat)
    expected = TemplateFormat(build_tokenizer(), stop_ids=frozenset())
    assert chat_format.render([HumanMessage("Hello")]) == expected.render([HumanMessage("Hello")])
    assert chat_format.stop_ids == {2}


def test_stop_tokens_of_the_generation_config_are_added(checkpoint):
    (checkpoint / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 3]}))
    assert load_chat_format(checkpoint).stop_ids == {0, 2, 3}
    (checkpoint / "generation_config.json").write_text(json.dumps({"eos_token_id": 0}))
    assert load_chat_format(checkpoint).stop_ids == {0, 2}


def test_plain_format_is_used_without_a_template(tmp_path):
    build_tokenizer(template=None).save_pretrained(tmp_path)
    assert isinstance(load_chat_format(tmp_path), PlainFormat)
    with pytest.raises(CheckpointError, match=r"no chat template. Use chat_format='plain'"):
        load_chat_format(tmp_path, "template")


def test_harmony_is_chosen_by_its_control_tokens(tmp_path):
    build_tokenizer(special=[*CONTROL_TOKENS, "<|endoftext|>"]).save_pretrained(tmp_path)
    assert isinstance(load_chat_format(tmp_path), HarmonyFormat)
    assert isinstance(load_chat_format(tmp_path, "plain"), PlainFormat)


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "TokenizersBackend", None])
def test_tokenizer_is_the_one_that_transformers_chooses(checkpoint, name):
    path = checkpoint / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"tokenizer_class": name}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    expected, loaded = AutoTokenizer.from_pretrained(checkpoint), load_tokenizer(checkpoint)
    assert type(loaded) is type(expected)
    assert loaded.get_vocab() == expected.get_vocab()
    assert loaded.added_tokens_decoder == expected.added_tokens_decoder
    assert loaded.chat_template == expected.chat_template
    assert loaded("Hello")["input_ids"] == expected("Hello")["input_ids"]


@pytest.mark.parametrize("text", ["{", "[]", '{"tokenizer_class": 5}'])
def test_damaged_tokenizer_config_is_an_error(checkpoint, text):
    (checkpoint / "tokenizer_config.json").write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_tokenizer(checkpoint)


def test_harmony_needs_no_checkpoint():
    assert isinstance(load_chat_format(None, "harmony"), HarmonyFormat)
    with pytest.raises(InvalidInputError, match="only chat_format='harmony' is possible"):
        load_chat_format(None, "template")


def test_harmony_needs_its_control_tokens(checkpoint):
    with pytest.raises(CheckpointError, match=r"lacks harmony's control token <\|start\|>. Use another chat_format"):
        load_chat_format(checkpoint, "harmony")


def test_unknown_name_is_rejected(checkpoint):
    with pytest.raises(InvalidInputError, match="chat_format is 'chatml'; it must be 'harmony'"):
        load_chat_format(checkpoint, "chatml")


def test_missing_or_damaged_tokenizer_is_reported(checkpoint):
    (checkpoint / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer of .* cannot be read"):
        load_chat_format(checkpoint)
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json"):
        load_chat_format(checkpoint)


def test_damaged_generation_config_is_reported(checkpoint):
    (checkpoint / "generation_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"generation_config\.json.* cannot be read"):
        load_chat_format(checkpoint)
