"""Headers of weight files: valid ones are read, damaged and disguised files are refused with the reason."""

import json
import random
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError
from langchain_gptoss.models.safetensors_files import INDEX, check_weights, list_weight_files, read_header
from tests import scale
from tests.unit_tests.models.checkpoint_files import FIRST_SHARD, SECOND_SHARD, change_json, change_weight_map

TENSOR = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}


def test_headers_give_the_position_of_every_tensor(checkpoint):
    for file in list_weight_files(checkpoint):
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


def test_headers_are_read_without_the_weights(tmp_path):
    # Reading 20 GB would exhaust the memory or the time limit of the test run.
    text = json.dumps({"a": {"dtype": "U8", "shape": [20_000_000_000], "data_offsets": [0, 20_000_000_000]}}).encode()
    file = tmp_path / "model.safetensors"
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + 20_000_000_000)  # a sparse file needs no disk space
    assert read_header(file)["a"].nbytes == 20_000_000_000


def test_truncated_files_are_refused(checkpoint):
    file = checkpoint / SECOND_SHARD
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(DamagedCheckpointError, match=SECOND_SHARD):
            read_header(file)


def test_altered_headers_raise_no_other_error(checkpoint):
    file = checkpoint / FIRST_SHARD
    content = file.read_bytes()
    header_end = 8 + struct.unpack("<Q", content[:8])[0]
    generator = random.Random(4)
    for _ in range(scale(1000)):
        altered = bytearray(content)
        for _ in range(generator.randint(1, 3)):
            altered[generator.randrange(header_end)] = generator.randrange(256)
        file.write_bytes(altered)
        try:
            check_weights(checkpoint)
        except CheckpointError:
            continue
        assert read_header(file)  # only spaces or metadata were altered


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": TENSOR | {"data_offsets": [1, 5]}}, "do not follow"),
        ({"a": TENSOR, "b": TENSOR}, "do not follow"),
        ({"a": TENSOR, "b": TENSOR | {"data_offsets": [5, 9]}}, "do not follow"),
        ({"a": TENSOR | {"data_offsets": [4, 0]}}, r"takes 4 bytes and has -4"),
        ({"a": TENSOR | {"dtype": "F32"}}, "of type F32 and shape .4. takes 16 bytes and has 4"),
        ({"a": TENSOR | {"shape": [2**40, 2**40]}}, "takes .* bytes and has 4"),
        ({"a": TENSOR | {"shape": [-2, -2]}}, "not whole numbers"),
        ({"a": TENSOR | {"shape": [True, 4]}}, "not whole numbers"),
        ({"a": TENSOR | {"shape": [4.0]}}, "not whole numbers"),
        ({"a": TENSOR | {"dtype": "PICKLE"}}, "unknown type 'PICKLE'"),
        ({"a": TENSOR | {"data_offsets": [0]}}, "not enough values"),
        ({"a": {"dtype": "U8", "shape": [4]}}, "lacks 'data_offsets'"),
        ({"a": 5}, "not subscriptable"),
        ([], "not a JSON object"),
        (json.dumps({"a": TENSOR, "b": TENSOR}).replace('"b"', '"a"'), "holds 'a' twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1', "delimiter"),
        (b"{\xff\xfe}", "utf-8"),
    ],
)
def test_invalid_headers_are_refused(tmp_path, header, message):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"1234")
    with pytest.raises(DamagedCheckpointError, match=rf"not a readable safetensors file: .*{message}.*again"):
        read_header(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("content", "description"),
    [
        (b"<!doctype html><title>Sign in</title>", "a web page"),
        (b"GGUF\3\0\0\0\0\0\0\0", "a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        (b'{"error": "sign in"}', "a JSON file"),
        (b"", "it has 0 bytes"),
        (b"\xff" * 100, "its header would have 18446744073709551615 bytes"),
    ],
)
def test_files_of_other_formats_are_named(checkpoint, content, description):
    (checkpoint / FIRST_SHARD).write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=description):
        check_weights(checkpoint)


# The index


def test_list_weight_files_follows_the_index(tmp_path):
    for name in ("a.safetensors", "b.safetensors", "other.safetensors"):
        (tmp_path / name).touch()
    assert len(list_weight_files(tmp_path)) == 3
    weight_map = {"x": "b.safetensors", "y": "a.safetensors", "z": "a.safetensors"}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    assert list_weight_files(tmp_path) == [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]


@pytest.mark.parametrize(
    "index",
    [{"weight_map": {}}, {"weight_map": []}, {"weight_map": {"a": 5}}, {"weight_map": None}, [], "text", {}],
    ids=repr,
)
def test_indexes_without_file_names_are_refused(tmp_path, index):
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(DamagedCheckpointError, match=r"index\.json' cannot be read"):
        list_weight_files(tmp_path)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "../other.safetensors", "/etc/x.safetensors", r"..\x.safetensors", "C:x.safetensors"]
)
def test_indexes_may_only_name_safetensors_files_beside_them(checkpoint, name):
    change_weight_map(checkpoint, a=name)
    with pytest.raises(
        CheckpointError, match=r"only name \*\.safetensors files beside it.*nothing else is ever opened"
    ):
        check_weights(checkpoint)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / SECOND_SHARD).unlink(), f"lacks '{SECOND_SHARD}', which its index names"),
        (
            lambda folder: change_weight_map(folder, a=SECOND_SHARD),
            f"holds 'a' in '{FIRST_SHARD}', and its index has it in '{SECOND_SHARD}'",
        ),
        (
            lambda folder: change_weight_map(folder, a=None),
            f"holds 'a' in '{FIRST_SHARD}', and its index has it nowhere",
        ),
        (lambda folder: change_weight_map(folder, zz=FIRST_SHARD), "holds 'zz' in no file, and its index has it in"),
        (
            lambda folder: change_json(folder / INDEX, metadata={"total_size": 7}),
            "take 2626 bytes, and its index says 7",
        ),
        (lambda folder: (folder / INDEX).unlink(), f"lacks '{INDEX}', which lists the files that belong with"),
        (
            lambda folder: save_file({"a": torch.ones(2)}, folder / SECOND_SHARD),
            f"holds 'a' twice, in '{FIRST_SHARD}' and in",
        ),
    ],
    ids=["missing file", "wrong file", "missing entry", "missing tensor", "wrong size", "no index", "repeated tensor"],
)
def test_disagreements_of_index_and_files_are_refused(checkpoint, damage, message):
    damage(checkpoint)
    with pytest.raises(DamagedCheckpointError, match=message):
        check_weights(checkpoint)


@pytest.mark.parametrize("metadata", [None, {}, {"total_size": 2626}, {"total_size": 2626.0}])
def test_the_total_size_of_an_index_is_optional(checkpoint, metadata):
    change_json(checkpoint / INDEX, metadata=metadata)
    assert list(check_weights(checkpoint)) == [checkpoint / FIRST_SHARD, checkpoint / SECOND_SHARD]


def test_a_single_file_needs_no_index(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    assert list(check_weights(tmp_path)) == [tmp_path / "model.safetensors"]
