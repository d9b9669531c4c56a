"""Checkpoints that are damaged, disguised, or ask for code: each is refused, with the reason, before it is opened."""

import hashlib
import json
import pickle
import random
import struct
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch
from huggingface_hub import HfApi
from safetensors import safe_open
from safetensors.torch import save_file

from langchain_gptoss import ChatGptOss
from langchain_gptoss._progress import show_progress
from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError, DownloadError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.checkpoint import check_checkpoint, locate_checkpoint
from langchain_gptoss.models.download.checksums import verify_checksums
from langchain_gptoss.models.safetensors_files import (
    INDEX,
    check_weights,
    list_weight_files,
    read_header,
)

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
CONFIG = {"model_type": "gpt_oss", "vocab_size": 10, "num_hidden_layers": 2, "hidden_size": 64}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole checkpoint of two shards."""
    path = tmp_path / "mine"
    path.mkdir()
    weights = {
        FIRST: {"model.embed_tokens.weight": torch.rand(10, 64), "a": torch.rand(3, 5).bfloat16()},
        SECOND: {"b_blocks": torch.zeros(2, 16, dtype=torch.uint8), "scalar": torch.tensor(1.0), "none": torch.ones(0)},
    }
    for file, tensors in weights.items():
        save_file(tensors, path / file, metadata={"format": "pt"})
    write(path / INDEX, {"metadata": {"total_size": 2560 + 30 + 32 + 4}, "weight_map": placed(weights)})
    write(path / "config.json", CONFIG)
    write(path / "tokenizer.json", {"model": {"vocab": {"a": 0, "b": 8}}, "added_tokens": [{"id": 9, "content": "c"}]})
    return path


def placed(weights: dict[str, dict[str, torch.Tensor]]) -> dict[str, str]:
    return {name: file for file, tensors in weights.items() for name in tensors}


def write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value))


def change(file: Path, **values: object) -> None:
    write(file, json.loads(file.read_text()) | values)


def change_index(folder: Path, **places: str | None) -> None:
    weight_map = json.loads((folder / INDEX).read_text())["weight_map"] | places
    change(folder / INDEX, weight_map={name: file for name, file in weight_map.items() if file is not None})


def test_a_whole_checkpoint_passes(folder):
    check_checkpoint(folder)
    assert locate_checkpoint(resolve_model(folder)) == folder.resolve()
    headers = check_weights(folder)
    assert list(headers) == [folder / FIRST, folder / SECOND] == list_weight_files(folder)


def test_a_header_says_where_every_tensor_lies(folder):
    for file in list_weight_files(folder):
        content = file.read_bytes()
        with safe_open(file, "pt") as reference:
            tensors = read_header(file)
            assert set(tensors) == set(reference.keys())
            for name, stored in tensors.items():
                tensor = reference.get_tensor(name)
                assert stored.shape == tuple(tensor.shape)
                assert stored.count == tensor.numel()
                assert stored.nbytes == tensor.nbytes
                assert content[stored.start : stored.end] == tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def test_a_header_is_read_without_the_weights(tmp_path):
    text = json.dumps({"a": {"dtype": "U8", "shape": [20_000_000_000], "data_offsets": [0, 20_000_000_000]}}).encode()
    file = tmp_path / "model.safetensors"
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + 20_000_000_000)  # sparse: it takes no room
    began = time.perf_counter()
    assert read_header(file)["a"].nbytes == 20_000_000_000
    assert time.perf_counter() - began < 0.5


def test_a_file_cut_anywhere_is_refused(folder):
    content = (folder / SECOND).read_bytes()
    for length in range(len(content)):
        (folder / SECOND).write_bytes(content[:length])
        with pytest.raises(DamagedCheckpointError, match=SECOND):
            check_checkpoint(folder)


def test_no_alteration_of_a_header_is_more_than_an_error(folder):
    content = (folder / FIRST).read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    dice = random.Random(4)
    for _ in range(500):
        altered = bytearray(content)
        for _ in range(dice.randint(1, 3)):
            altered[dice.randrange(header)] = dice.randrange(256)
        (folder / FIRST).write_bytes(altered)
        try:
            check_checkpoint(folder)
        except CheckpointError:
            continue
        assert read_header(folder / FIRST)  # what was altered were spaces or metadata, which say nothing of tensors


ENTRY = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": ENTRY | {"data_offsets": [1, 5]}}, "do not follow"),
        ({"a": ENTRY, "b": ENTRY}, "do not follow"),
        ({"a": ENTRY, "b": ENTRY | {"data_offsets": [5, 9]}}, "do not follow"),
        ({"a": ENTRY | {"data_offsets": [4, 0]}}, r"takes 4 bytes and has -4"),
        ({"a": ENTRY | {"dtype": "F32"}}, "of type F32 and shape .4. takes 16 bytes and has 4"),
        ({"a": ENTRY | {"shape": [2**40, 2**40]}}, "takes .* bytes and has 4"),
        ({"a": ENTRY | {"shape": [-2, -2]}}, "not whole numbers"),
        ({"a": ENTRY | {"shape": [True, 4]}}, "not whole numbers"),
        ({"a": ENTRY | {"shape": [4.0]}}, "not whole numbers"),
        ({"a": ENTRY | {"dtype": "PICKLE"}}, "unknown type 'PICKLE'"),
        ({"a": ENTRY | {"data_offsets": [0]}}, "not enough values"),
        ({"a": {"dtype": "U8", "shape": [4]}}, "lacks 'data_offsets'"),
        ({"a": 5}, "not subscriptable"),
        ([], "not a JSON object"),
        (json.dumps({"a": ENTRY, "b": ENTRY}).replace('"b"', '"a"'), "holds 'a' twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1', "delimiter"),
        (b"{\xff\xfe}", "utf-8"),
    ],
)
def test_headers_that_cannot_be(tmp_path, header, message):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"1234")
    with pytest.raises(DamagedCheckpointError, match=rf"not a readable safetensors file: .*{message}.*again"):
        read_header(tmp_path / "model.safetensors")


class Evil:
    """Leaves a mark wherever its pickle is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_the_evil_pickle_is_evil(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


def zipped(file: Path, mark: Path) -> None:
    torch.save({"a": Evil(mark)}, file)


def bare(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(Evil(mark)))


@pytest.mark.parametrize("save", [zipped, bare])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.safetensors"])
def test_a_pickle_is_refused_and_never_opened(folder, tmp_path, save, name):
    for file in (folder / FIRST, folder / SECOND, folder / INDEX):
        file.unlink()
    save(folder / name, tmp_path / "mark")
    with pytest.raises(CheckpointError, match=r"pickle|not a readable safetensors file") as caught:
        ChatGptOss(model=folder, chat_format="harmony").invoke("hello")
    assert name in str(caught.value)
    assert not (tmp_path / "mark").exists()


def test_an_index_cannot_lead_to_a_pickle(folder, tmp_path):
    zipped(folder / "pytorch_model.bin", tmp_path / "mark")
    change_index(folder, a="pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"names 'pytorch_model\.bin'.*nothing else is ever opened"):
        ChatGptOss(model=folder).invoke("hello")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/x.safetensors", r"..\x.safetensors", "C:x.safetensors"])
def test_an_index_cannot_lead_out_of_the_folder(folder, name):
    change_index(folder, a=name)
    with pytest.raises(CheckpointError, match=r"only name \*\.safetensors files beside it"):
        check_checkpoint(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_checkpoint_is_refused_and_never_run(folder, tmp_path, file):
    (folder / "modeling_evil.py").write_text(
        f"import pathlib; pathlib.Path({str(tmp_path / 'mark')!r}).touch()\nclass EvilModel: ...\n"
    )
    content = CONFIG if file == "config.json" else {}
    write(folder / file, content | {"auto_map": {"AutoModelForCausalLM": "modeling_evil.EvilModel"}})
    with pytest.raises(CheckpointError, match=rf"{file}' asks with 'auto_map'.*never runs code of a checkpoint"):
        ChatGptOss(model=folder).invoke("hello")
    assert not (tmp_path / "mark").exists()
    assert not any("modeling_evil" in name for name in sys.modules)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!doctype html><title>Sign in</title>", "a web page"),
        (b"GGUF\3\0\0\0\0\0\0\0", "a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        (b'{"error": "sign in"}', "a JSON file"),
        (b"", "it has 0 bytes"),
        (b"\xff" * 100, "its header would have 18446744073709551615 bytes"),
    ],
)
def test_what_is_no_weight_file_is_called_by_its_name(folder, content, what):
    (folder / FIRST).write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=what):
        check_checkpoint(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / SECOND).unlink(), f"lacks '{SECOND}', which its index names"),
        (lambda folder: change_index(folder, a=SECOND), f"holds 'a' in '{FIRST}', and its index has it in '{SECOND}'"),
        (lambda folder: change_index(folder, a=None), f"holds 'a' in '{FIRST}', and its index has it nowhere"),
        (lambda folder: change_index(folder, zz=FIRST), "holds 'zz' in no file, and its index has it in"),
        (lambda folder: change(folder / INDEX, metadata={"total_size": 7}), "take 2626 bytes, and its index says 7"),
        (lambda folder: (folder / INDEX).unlink(), f"lacks '{INDEX}', which lists the files that belong with"),
        (lambda folder: save_file({"a": torch.ones(2)}, folder / SECOND), f"holds 'a' twice, in '{FIRST}' and in"),
        (lambda folder: (folder / SECOND).write_bytes((folder / FIRST).read_bytes()), "holds .* twice"),
    ],
)
def test_an_index_that_does_not_fit_its_files(folder, spoil, message):
    spoil(folder)
    with pytest.raises(DamagedCheckpointError, match=message):
        check_checkpoint(folder)


@pytest.mark.parametrize("metadata", [None, {}, {"total_size": 2626}, {"total_size": 2626.0}])
def test_an_index_may_leave_the_size_out(folder, metadata):
    change(folder / INDEX, metadata=metadata)
    check_checkpoint(folder)


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
def test_configurations_that_cannot_be(folder, values, message):
    change(folder / "config.json", **values)
    with pytest.raises(CheckpointError, match=message):
        check_checkpoint(folder)


def test_an_embedding_of_another_size(folder):
    change(folder / "config.json", vocab_size=12)
    with pytest.raises(CheckpointError, match=r"'model.embed_tokens.weight' of shape \[10, 64\].*vocab_size is 12"):
        check_checkpoint(folder)


@pytest.mark.parametrize(
    "tokenizer",
    [
        {"model": {"vocab": {"a": 0, "b": 10}}},
        {"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 10, "content": "<|end|>"}]},
        {"model": {"vocab": [["a", 0.0]] * 11}},
    ],
)
def test_a_tokenizer_with_more_tokens_than_the_model(folder, tokenizer):
    write(folder / "tokenizer.json", tokenizer)
    with pytest.raises(
        CheckpointError, match=r"token ids up to 10, and the model's vocabulary ends at 9 .vocab_size 10"
    ):
        check_checkpoint(folder)


@pytest.mark.parametrize(
    "tokenizer", ["", "{", "{}", "[]", '{"model": {"vocab": 5}}', '{"model": {"vocab": {"a": "b"}}}']
)
def test_a_damaged_tokenizer(folder, tokenizer):
    (folder / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(DamagedCheckpointError, match=r"tokenizer\.json' .*again"):
        check_checkpoint(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(DamagedCheckpointError, match=r"has no tokenizer\.json"):
        check_checkpoint(folder)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def flip(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_files_are_verified_by_their_sums(folder):
    assert verify_checksums(folder) == ()  # nothing is known of them
    names = (FIRST, SECOND, "config.json")
    lines = [f"{sha256(folder / name)}  {name}" for name in names[:2]]
    lines += ["", "# a remark", f"{sha256(folder / 'config.json').upper()} *./config.json"]
    (folder / "SHA256SUMS").write_text("\n".join(lines))
    assert verify_checksums(folder) == names
    assert locate_checkpoint(resolve_model(folder), verify=True) == folder.resolve()
    flip(folder / FIRST)
    check_checkpoint(folder)  # the header is as it was
    with pytest.raises(DamagedCheckpointError, match=f"Altered in .*'{FIRST}'. The content"):
        locate_checkpoint(resolve_model(folder), verify=True)
    (folder / SECOND).unlink()
    with pytest.raises(DamagedCheckpointError, match=f"lacks '{SECOND}', which 'SHA256SUMS' lists"):
        verify_checksums(folder)


@pytest.mark.parametrize("line", ["text", f"{'0' * 64}  ../config.json", f"{'0' * 64}  /etc/passwd", f"{'0' * 63}  a"])
def test_sums_that_cannot_be_read(folder, line):
    (folder / "SHA256SUMS").write_text(line)
    with pytest.raises(DamagedCheckpointError, match="SHA256SUMS' cannot be read: line 1"):
        verify_checksums(folder)


@pytest.fixture
def cached(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint as the hub's client keeps it: content under its digest, names as links."""
    from huggingface_hub import constants

    storage = tmp_path / "hub" / "models--some--model"
    snapshot = storage / "snapshots" / ("1" * 40)
    for made in (snapshot, storage / "blobs", storage / "refs"):
        made.mkdir(parents=True)
    (storage / "refs" / "main").write_text(snapshot.name)
    for file in folder.iterdir():
        content = file.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        blob = storage / "blobs" / (sha256(file) if file.suffix == ".safetensors" else git)
        blob.write_bytes(content)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_a_cached_model_needs_no_socket(cached):
    assert locate_checkpoint(resolve_model("some/model"), verify=True) == cached
    assert set(verify_checksums(cached)) == {file.name for file in cached.iterdir()}


@pytest.fixture
def no_network(no_network, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise httpx.ConnectError("no route to host")

    monkeypatch.setattr(HfApi, "model_info", fail)


def test_a_cached_model_that_cannot_be_run_is_refused_without_a_network_too(cached):
    change(cached / "config.json", model_type="llama")
    with pytest.raises(CheckpointError, match="architecture 'llama'"):
        locate_checkpoint(resolve_model("some/model"))


@pytest.mark.parametrize("name", ["config.json", FIRST])
def test_altered_content_in_the_cache_is_found(cached, name):
    flip((cached / name).resolve())
    with pytest.raises(DamagedCheckpointError, match=f"Altered in .*'{name}'"):
        verify_checksums(cached)


def test_without_a_network_the_error_says_what_the_cache_lacks(cached):
    (cached / SECOND).unlink()
    with pytest.raises(DownloadError, match=rf"is cached, but not complete \(.* lacks '{SECOND}'.*cannot be reached"):
        locate_checkpoint(resolve_model("some/model"))
    with pytest.raises(DownloadError, match=r"'some/other' is not cached, and the hub cannot be reached"):
        locate_checkpoint(resolve_model("some/other"))


def test_the_bar_counts_bytes(capfd):
    with show_progress(4_000_000, "Loading it", done_bytes=1_000_000) as bar:
        bar.update(3_000_000)
    shown = capfd.readouterr().err
    assert "Loading it: 100%" in shown
    assert "4.00M/4.00M" in shown
