"""GGUF files: all types are read as the gguf package reads them, and damaged files are refused."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError
from langchain_gptoss.models.conversion.gguf_file import TYPES, open_gguf
from langchain_gptoss.models.conversion.gguf_values import _DEQUANTIZERS, check_types, read_gguf_tensor

FIELDS = {"a": 1, "b": "text", "c": [1.5, 2.5], "d": ["x", "yé"], "e": True}


def write_file(file: Path, *, kind: str = "F32", content: np.ndarray | None = None) -> Path:
    content = np.arange(64, dtype=np.float32).reshape(2, 32) if content is None else content
    writer = gguf.GGUFWriter(file, "llama")
    for name, value in FIELDS.items():
        add = {int: writer.add_uint32, str: writer.add_string, list: writer.add_array, bool: writer.add_bool}
        add[type(value)](name, value)
    writer.add_tensor("w", content, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.add_tensor("v", np.ones(3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_metadata_and_shapes_are_read(tmp_path):
    file = open_gguf(write_file(tmp_path / "x.gguf"))
    assert {name: file.fields[name] for name in FIELDS} == FIELDS
    assert {name: tensor.shape for name, tensor in file.tensors.items()} == {"w": (2, 32), "v": (3,)}
    assert torch.equal(read_gguf_tensor(file, "w", torch.float32), torch.arange(64.0).view(2, 32))
    assert torch.equal(read_gguf_tensor(file, "w", torch.bfloat16, rows=1), torch.arange(32.0).view(1, 32).bfloat16())


@pytest.mark.parametrize("kind", sorted(set(_DEQUANTIZERS) - {"F32", "F16", "BF16"}))
def test_random_blocks_have_the_numbers_of_the_gguf_package(kind, tmp_path):
    block = next(entry for entry in TYPES.values() if entry.name == kind)
    random = np.random.default_rng(0)
    rows = 300  # more numbers than one piece has
    content = random.integers(0, 256, (rows, 3 * block.block_bytes), dtype=np.uint8)
    # Random bytes can be infinite scales; a float16 with this high byte is finite.
    if kind == "Q6_K":
        content[:, 209 :: block.block_bytes] &= 0x3F
    else:
        content[:, 1 :: block.block_bytes] &= 0x3F
        if kind in {"Q4_1", "Q5_1", "Q4_K", "Q5_K"}:
            content[:, 3 :: block.block_bytes] &= 0x3F
    file = open_gguf(write_file(tmp_path / "x.gguf", kind=kind, content=content))
    expected = gguf.dequantize(content, gguf.GGMLQuantizationType[kind])
    found = read_gguf_tensor(file, "w", torch.float32).numpy()
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_sixteen_bit_numbers_are_read(kind, tmp_path):
    values = torch.randn(3, 32).to({"F16": torch.float16, "BF16": torch.bfloat16}[kind])
    content = values.view(torch.uint8).numpy()
    file = open_gguf(write_file(tmp_path / "x.gguf", kind=kind, content=content))
    assert torch.equal(read_gguf_tensor(file, "w", torch.float32), values.float())


def test_types_that_are_not_read_are_named(tmp_path):
    content = np.zeros((2, 66), np.uint8)
    file = open_gguf(write_file(tmp_path / "x.gguf", kind="IQ2_XXS", content=content))
    with pytest.raises(CheckpointError, match="stores 'w' as IQ2_XXS; this package reads F32"):
        check_types(file)


def test_every_shortened_file_is_refused(tmp_path):
    content = write_file(tmp_path / "x.gguf").read_bytes()
    end = max(tensor.start + tensor.nbytes for tensor in open_gguf(tmp_path / "x.gguf").tensors.values())
    for size in (0, 3, 4, 20, *range(30, end, 7)):
        (tmp_path / "short.gguf").write_bytes(content[:size])
        with pytest.raises(DamagedCheckpointError):
            open_gguf(tmp_path / "short.gguf")


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, b"GGML", "does not begin"),
        (8, struct.pack("<Q", 2**60), "tensors"),
        (16, struct.pack("<Q", 2**60), "metadata fields"),
        (24, struct.pack("<Q", 2**62), "ends within its header"),
    ],
)
def test_impossible_headers_are_refused(tmp_path, position, value, message):
    content = write_file(tmp_path / "x.gguf").read_bytes()
    (tmp_path / "x.gguf").write_bytes(content[:position] + value + content[position + len(value) :])
    with pytest.raises(DamagedCheckpointError, match=message):
        open_gguf(tmp_path / "x.gguf")


def test_other_versions_are_refused(tmp_path):
    content = write_file(tmp_path / "x.gguf").read_bytes()
    (tmp_path / "x.gguf").write_bytes(content[:4] + struct.pack("<I", 9) + content[8:])
    with pytest.raises(CheckpointError, match="version 9"):
        open_gguf(tmp_path / "x.gguf")
