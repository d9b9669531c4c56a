"""The model that finds names and addresses: loading, windows, errors; with small random checkpoints."""

import json
from itertools import pairwise

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast
from transformers.models.openai_privacy_filter import (
    OpenAIPrivacyFilterConfig,
    OpenAIPrivacyFilterForTokenClassification,
)

from langchain_gptoss.audit import AuditLog, Masker, PrivacyFilter, Span, read_entries
from langchain_gptoss.errors import CheckpointError, InvalidInputError, ModelNotFoundError

SENTENCE = "Ada Lovelace lives in Paris and writes to Bob at 12 rue de la Paix , Lyon . the cat sat on a mat with"
WORDS = SENTENCE.split()
LONG_TEXT = " ".join(WORDS[number * number % 23] for number in range(300))
ALL_LABELS = {
    name: name.removeprefix("private_")
    for name in ("private_person", "private_address", "private_date", "private_url", "secret", "account_number")
}


def make_tokenizer(*, special=False):
    names = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate([*names, *WORDS])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]"
    )


def make_network(seed=3):
    torch.manual_seed(seed)
    config = OpenAIPrivacyFilterConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=16,
        head_dim=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=3,
        pad_token_id=3,
        eos_token_id=2,
        initializer_range=1.0,
    )
    return OpenAIPrivacyFilterForTokenClassification(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("filter")
    make_network().save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return path


def test_spans_of_a_random_checkpoint_are_ordered_words(folder):
    spans = PrivacyFilter.load(folder, labels=ALL_LABELS).find_spans(LONG_TEXT)
    assert spans
    assert all(before.end <= after.start for before, after in pairwise(spans))
    assert all(LONG_TEXT[span.start : span.end].strip() == LONG_TEXT[span.start : span.end] for span in spans)
    assert {span.label for span in spans} <= set(ALL_LABELS.values())


@pytest.mark.parametrize("window_tokens", [40, 64, 101])
def test_windows_give_the_spans_of_the_whole_text(folder, window_tokens):
    whole = PrivacyFilter.load(folder, labels=ALL_LABELS).find_spans(LONG_TEXT)
    # Two layers see 6 tokens to each side; the windows overlap by more.
    assert PrivacyFilter.load(folder, labels=ALL_LABELS, window_tokens=window_tokens).find_spans(LONG_TEXT) == whole


def test_model_with_special_tokens_reads_long_texts():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=0, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=24, id2label={0: "O", 1: "B-PER", 2: "I-PER"}, label2id={"O": 0, "B-PER": 1, "I-PER": 2},
    )  # fmt: skip
    network = BertForTokenClassification(config)
    tokenizer = make_tokenizer(special=True)
    with torch.no_grad():  # each word is judged alone: names are persons
        network.bert.embeddings.position_embeddings.weight.zero_()
        network.bert.embeddings.token_type_embeddings.weight.zero_()
        network.bert.embeddings.word_embeddings.weight.zero_()
        network.bert.embeddings.word_embeddings.weight[:, 0] = 1.0
        for word in ("Ada", "Lovelace", "Bob"):
            network.bert.embeddings.word_embeddings.weight[tokenizer.convert_tokens_to_ids(word)] *= -1.0
        network.classifier.weight.zero_()
        network.classifier.bias.zero_()
        network.classifier.weight[0, 0], network.classifier.weight[2, 0] = 1.0, -1.0
    detector = PrivacyFilter(network, tokenizer, labels={"PER": "person"})
    text = "the cat sat on a mat with Ada Lovelace and Bob . " * 20
    found = [text[span.start : span.end] for span in detector.find_spans(text)]
    assert found == ["Ada Lovelace", "Bob"] * 20
    masked = Masker(detectors=[detector]).mask("Ada Lovelace and Bob and ada@example.org and Ada  Lovelace")
    assert masked == "[person-1] and [person-2] and [email-1] and [person-1]"


@pytest.mark.parametrize("text", ["", " ", "12 34", "\n", "\ud800 Ada", "Ada", "é" * 5, "[CLS] Ada [SEP]"])
def test_odd_texts_are_read(folder, text):
    for span in PrivacyFilter.load(folder, labels=ALL_LABELS).find_spans(text):
        assert 0 <= span.start < span.end <= len(text)


class ScriptedDetector:
    """Finds given words."""

    def __init__(self, words):
        self.words, self.texts = words, []

    def find_spans(self, text):
        self.texts.append(text)
        return [
            Span(start=text.index(word), end=text.index(word) + len(word), label=label)
            for word, label in self.words.items()
            if word in text
        ]


def test_detector_reads_masked_text_and_placeholders_stay():
    detector = ScriptedDetector({"Ada [email-1] Lovelace": "person", "12 rue de la Paix": "address"})
    masked = Masker(detectors=[detector]).mask("Ada ada@example.org Lovelace, 12 rue de la Paix")
    assert detector.texts == ["Ada [email-1] Lovelace, 12 rue de la Paix"]
    assert masked == "[person-1] [email-1] [person-2], [address-1]"


def test_overlapping_spans_hide_everything():
    detector = ScriptedDetector({"Ada Love": "person", "Lovelace": "person", "lace lives": "address"})
    assert Masker(detectors=[detector]).mask("Ada Lovelace lives") == "[person-1][person-2] [address-1]"


def test_equal_names_in_a_record_share_a_placeholder(tmp_path):
    masker = Masker(detectors=[ScriptedDetector({"Ada": "person"}), ScriptedDetector({"ADA": "person"})])
    with AuditLog(tmp_path / "log.jsonl", mask=masker) as log:
        log.append({"event": "note", "question": "Who is Ada?", "answer": "ADA is here."})
    entry = list(read_entries(tmp_path / "log.jsonl"))[-1]
    assert (entry.record["question"], entry.record["answer"]) == ("Who is [person-1]?", "[person-1] is here.")


def test_missing_model_names_the_download():
    with pytest.raises(ModelNotFoundError, match="not on this machine") as caught:
        PrivacyFilter.load("nobody/no-such-filter")
    assert "hf download nobody/no-such-filter" in str(caught.value)


def test_unknown_labels_name_the_known_ones(folder):
    with pytest.raises(InvalidInputError, match=r"PER.*private_person"):
        PrivacyFilter.load(folder, labels={"PER": "person"})
    with pytest.raises(InvalidInputError, match="Two words"):
        PrivacyFilter.load(folder, labels={"private_person": "Two words"})
    with pytest.raises(InvalidInputError, match="window_tokens is 2"):
        PrivacyFilter.load(folder, window_tokens=2)


def test_damaged_folders_are_refused(folder, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        PrivacyFilter.load(tmp_path)  # no weights
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        PrivacyFilter.load(tmp_path)


def test_model_without_a_trained_head_is_refused(folder, tmp_path):
    network = make_network()
    network.model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="no weights for"):
        PrivacyFilter.load(tmp_path)


def test_weights_that_are_no_numbers_are_refused():
    network = make_network()
    torch.nn.init.constant_(network.score.weight, float("nan"))
    with pytest.raises(CheckpointError, match="not numbers"):
        PrivacyFilter(network, make_tokenizer()).find_spans("Ada Lovelace")
