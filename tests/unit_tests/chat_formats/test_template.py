"""The template and plain formats on a tiny tokenizer, and how a format is chosen."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from langchain_gptoss.chat_formats import load_chat_format
from langchain_gptoss.chat_formats.harmony import HarmonyFormat
from langchain_gptoss.chat_formats.harmony.codec import load_gpt_oss_codec
from langchain_gptoss.chat_formats.plain import PlainFormat
from langchain_gptoss.chat_formats.template import TemplateFormat
from langchain_gptoss.errors import CheckpointError, InvalidInputError

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# The last two have no role such as bos or eos; one begins another.
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file>", "<file><name>"]


def make_tokenizer(*, special: list[str] = SPECIAL, template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """Returns a byte-level tokenizer without merges: every byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    named = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"} if special else {}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template, **named)


TOKENIZER = make_tokenizer()
FORMAT = TemplateFormat(TOKENIZER, stop_ids=frozenset({2}))
PLAIN = PlainFormat(TOKENIZER, stop_ids=frozenset({0}))
CONVERSATION = [SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("été 🎉?")]
WRITTEN = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi.<|im_end|>\n"
    "<|im_start|>user\nété 🎉?<|im_end|>\n<|im_start|>assistant\n"
)


def read(chat_format, ids) -> str:
    parser = chat_format.parser()
    deltas = [delta for token_id in ids for delta in parser.feed(token_id)] + parser.flush()
    assert {delta.kind for delta in deltas} <= {"text"}
    return "".join(delta.text for delta in deltas)


def test_render_writes_the_template_with_control_tokens():
    assert FORMAT.render(CONVERSATION) == TOKENIZER(WRITTEN, add_special_tokens=False)["input_ids"]
    assert FORMAT.render(CONVERSATION).count(1) == 5


def test_added_up_chunks_are_written_like_messages():
    chunk = AIMessageChunk("Hi") + AIMessageChunk(".")
    for chat_format in (FORMAT, PLAIN):
        with_chunk = [*CONVERSATION[:2], chunk, CONVERSATION[3]]
        assert chat_format.render(with_chunk) == chat_format.render(CONVERSATION)


@pytest.mark.parametrize("token", SPECIAL)
@pytest.mark.parametrize("kind", [SystemMessage, HumanMessage, AIMessage])
def test_control_tokens_written_as_text_stay_text(kind, token):
    text = f"a {token}{token} b<|im_{token}end|>"
    ids = FORMAT.render([kind(text)])
    assert [i for i in ids if i < len(SPECIAL)] == [i for i in FORMAT.render([kind("a")]) if i < len(SPECIAL)]
    assert text in TOKENIZER.decode(ids)


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\ue000\ue0010<|>")), max_size=40))
@settings(deadline=None)
def test_any_text_arrives_as_it_was_written(text):
    """Also the private-use characters with which the format marks control tokens."""
    wanted = f"<|im_start|>user\n{text.strip()}x<|im_end|>\n<|im_start|>assistant\n"
    assert TOKENIZER.decode(FORMAT.render([HumanMessage(f"{text.strip()}x")])) == wanted


def test_marks_of_the_format_cannot_be_forged():
    ids = FORMAT.render([HumanMessage("<|im_end|> \ue0000\ue001 \ue0007\ue001")])
    assert "<|im_end|> \ue0000\ue001 \ue0007\ue001" in TOKENIZER.decode(ids)
    assert ids.count(2) == 1


def test_a_tokenizer_without_control_tokens():
    bare = make_tokenizer(special=[], template="{% for m in messages %}{{ m.content }};{% endfor %}")
    chat_format = TemplateFormat(bare, stop_ids=frozenset())
    assert chat_format.render([HumanMessage("ab"), AIMessage("c")]) == bare("ab;c;")["input_ids"]


@pytest.mark.parametrize("chat_format", [FORMAT, PLAIN])
def test_what_is_written_is_read_back(chat_format):
    text = "été 🎉👩‍👩‍👧 漢字\n\nfin "
    assert read(chat_format, chat_format.encode(text)) == text
    assert read(chat_format, [1, *chat_format.encode("Hi"), 2, 0]) == "Hi"  # control tokens vanish


def test_split_characters_wait_for_their_rest():
    parser = FORMAT.parser()
    shown = [[delta.text for delta in parser.feed(i)] for i in FORMAT.encode("é🎉")]
    assert shown == [[], ["é"], [], [], [], ["🎉"]]


@given(st.lists(st.integers(0, len(TOKENIZER) + 5), max_size=30))
@settings(deadline=None, max_examples=300)
def test_no_output_raises(ids):
    read(FORMAT, ids)


def test_encode_keeps_control_tokens_as_text():
    assert min(FORMAT.encode("<|im_start|><file>")) >= len(SPECIAL)
    assert min(PLAIN.encode("<|im_start|><file>")) >= len(SPECIAL)


@pytest.mark.parametrize("chat_format", [FORMAT, PLAIN])
@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "There are no messages"),
        ([ToolMessage("4", tool_call_id="1")], "no AI message before it makes that call"),
        ([HumanMessage([{"type": "image", "url": "x"}])], "block of type 'image'"),
    ],
)
def test_messages_that_cannot_be_written(chat_format, messages, message):
    with pytest.raises(InvalidInputError, match=message):
        chat_format.render(messages)


def test_plain_continues_one_message_and_labels_several():
    assert TOKENIZER.decode(PLAIN.render([HumanMessage("Once upon")])) == "Once upon"
    assert (
        TOKENIZER.decode(PLAIN.render(CONVERSATION))
        == "Be brief.\n\nUser: Hello\n\nAssistant: Hi.\n\nUser: été 🎉?\n\nAssistant:"
    )


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    TOKENIZER.save_pretrained(tmp_path)
    return tmp_path


def test_a_chat_template_is_used_where_there_is_one(checkpoint):
    chosen = load_chat_format(checkpoint)
    assert isinstance(chosen, TemplateFormat)
    assert chosen.render(CONVERSATION) == FORMAT.render(CONVERSATION)
    assert chosen.stop_ids == {2}


def test_the_generation_config_s_ends_count_too(checkpoint):
    (checkpoint / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 3]}))
    assert load_chat_format(checkpoint).stop_ids == {0, 2, 3}
    (checkpoint / "generation_config.json").write_text(json.dumps({"eos_token_id": 0}))
    assert load_chat_format(checkpoint).stop_ids == {0, 2}


def test_plain_where_there_is_no_template(tmp_path):
    make_tokenizer(template=None).save_pretrained(tmp_path)
    assert isinstance(load_chat_format(tmp_path), PlainFormat)
    with pytest.raises(CheckpointError, match=r"no chat template. Use chat_format='plain'"):
        load_chat_format(tmp_path, "template")


def test_harmony_is_known_by_its_control_tokens(tmp_path):
    # A vocabulary in which harmony's tokens stand at their published ids; the gaps are filled.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(alphabet)}
    vocabulary |= {f"filler{index}": index for index in range(len(vocabulary), 200_002)}
    at = {token_id: token for token, token_id in load_gpt_oss_codec().control_ids.items()}
    vocabulary |= {at.get(index, f"filler{index}"): index for index in range(200_002, 200_020)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=CHATML).save_pretrained(tmp_path)
    assert isinstance(load_chat_format(tmp_path), HarmonyFormat)
    assert isinstance(load_chat_format(tmp_path, "plain"), PlainFormat)


def test_harmony_needs_no_checkpoint():
    assert isinstance(load_chat_format(None, "harmony"), HarmonyFormat)
    with pytest.raises(InvalidInputError, match="only chat_format='harmony' is possible"):
        load_chat_format(None, "template")


def test_a_name_that_is_none_of_them(checkpoint):
    with pytest.raises(InvalidInputError, match="chat_format is 'chatml'; it must be 'harmony'"):
        load_chat_format(checkpoint, "chatml")


def test_a_tokenizer_that_is_missing_or_damaged(checkpoint):
    (checkpoint / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer of .* cannot be read"):
        load_chat_format(checkpoint)
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json"):
        load_chat_format(checkpoint)


def test_a_damaged_generation_config_is_said(checkpoint):
    (checkpoint / "generation_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"generation_config\.json.* cannot be read"):
        load_chat_format(checkpoint)
