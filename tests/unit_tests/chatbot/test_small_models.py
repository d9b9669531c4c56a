"""Single-sentence mode: which models it is for, and that other models' answers do not depend on it."""

import json
from dataclasses import asdict

import pytest
from langchain_core.language_models import GenericFakeChatModel

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.chatbot.grounding.answer_stream import AnswerStream
from langchain_gptoss.chatbot.small_models import BriefAnswerStream, choose_focus
from tests.unit_tests.chatbot.fakes import EXPRESS, build_model, build_retriever

SIZES = {
    "num_hidden_layers": 28,
    "num_local_experts": 4,
    "num_experts_per_tok": 4,
    "hidden_size": 1536,
    "intermediate_size": 2240,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}
BOTH = [
    "Express delivery costs 12.90 euros.",
    "It takes one working day in Germany, for parcels of up to 20 kilograms.",
]


def write_checkpoint(folder, **sizes):
    """Write the config of a gpt_oss checkpoint, which is all that tells the size of a model."""
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_oss", **SIZES, **sizes}), encoding="utf-8")
    return ChatGptOss(model=folder)


def test_a_folder_of_a_model_that_can_read_is_shown_whole_passages(tmp_path):
    assert choose_focus(write_checkpoint(tmp_path)) == 0


def test_a_folder_of_a_small_model_is_shown_one_sentence(tmp_path):
    assert choose_focus(write_checkpoint(tmp_path, num_hidden_layers=4)) == 1


def test_the_catalog_tells_the_size_of_a_named_model():
    assert [choose_focus(ChatGptOss(model=name)) for name in ("demo", "gpt-oss-20b")] == [1, 0]


@pytest.mark.parametrize("config", ["{", "{}", '{"num_hidden_layers": -1}'])
def test_a_config_that_tells_no_size_does_not_make_a_model_small(tmp_path, config):
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    assert choose_focus(ChatGptOss(model=tmp_path)) == 0


def test_hub_ids_and_other_chat_models_are_shown_whole_passages():
    models = [ChatGptOss(model="someone/fine-tune"), GenericFakeChatModel(messages=iter([]))]
    assert [choose_focus(model) for model in models] == [0, 0]


def test_a_small_model_is_stopped_after_its_first_supported_sentence():
    answers = {focus: ask(" ".join(BOTH), focus=focus) for focus in (0, 1)}
    assert answers == {0: f"{BOTH[0]} [1] {BOTH[1]} [2]", 1: f"{BOTH[0]} [1]"}


def test_only_the_stream_of_small_models_differs():
    fields = {"question": EXPRESS, "language": "en", "spans": [], "strict": True}
    assert asdict(BriefAnswerStream(**fields)) == asdict(AnswerStream(**fields))
    assert AnswerStream.max_sentence_chars > BriefAnswerStream.max_sentence_chars


def ask(answer: str, *, focus: int) -> str:
    """Return what the chatbot shows of a model's answer."""
    bot = create_chatbot(build_model(answer), build_retriever(" ".join(BOTH)), focus=focus)
    return str(bot.invoke(EXPRESS).answer)
