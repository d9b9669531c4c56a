"""Index that a synchronization writes to: a manifest and the vectors, which are loaded only if needed.

An index folder contains `sync.sqlite` and `store/`, a `FaissStore`. Any other LangChain vector store can take the place
of `store/`; its manifest is then a separate file.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss._io import create_private_folder, get_file_mode, lock_path
from langchain_gptoss.errors import GptOssError, IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.ingest.sources import SYNC_MANIFEST
from langchain_gptoss.ingest.split import format_for_embedding
from langchain_gptoss.ingest.sync.manifest import Manifest

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

    from langchain_gptoss.vectorstores import FaissStore

STORE_FOLDER = "store"
_DAMAGED_STORE_FOLDER = "store.damaged"
_LOCK_TIMEOUT_S = 5.0


class Target:
    """A manifest and the store that it describes.

    Args:
        manifest: The manifest.
        folder: The index's folder; None if the caller brings the store.
        store: The caller's store; None if the index is a folder.
        embeddings: The embedding model or its name; None for the one that the index was made with.

    Attributes:
        manifest: As above.
        folder: As above.
    """

    def __init__(
        self, manifest: Manifest, *, folder: Path | None, store: VectorStore | None, embeddings: Embeddings | str | None
    ) -> None:
        self.manifest = manifest
        self.folder = folder
        self._store = store
        self._embeddings = embeddings
        self._embeddings_setting = embeddings if isinstance(embeddings, str) else manifest.get_setting("embeddings")

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model: the caller's, else the one that the index was made with, else the default."""
        if not isinstance(self._embeddings, Embeddings):
            self._embeddings = _load_embeddings(self._embeddings, self.manifest)
        return self._embeddings

    @property
    def is_saved(self) -> bool:
        """True if a store has been saved."""
        # A crash during saving may have left the store under another name, where FaissStore finds it.
        return self.folder is None or bool(self.manifest.get_setting("saved")) or (self.folder / STORE_FOLDER).exists()

    @property
    def store(self) -> Any:
        """The vector store, loaded at the first use."""
        if self._store is None:
            assert self.folder is not None
            if self.is_saved:
                self._store = _import_faiss_store().load(self.folder / STORE_FOLDER, self.embeddings)
            else:
                self._store = _import_faiss_store()(self.embeddings)
        return self._store

    def put(self, chunks: Sequence[Document]) -> None:
        """Embed chunks and add them to the store."""
        if hasattr(self.store, "add_with_vectors"):
            self.store.add_with_vectors(chunks, self._embed(chunks))
        elif _import_qdrant().supports_vectors(self.store):
            _import_qdrant().add_with_vectors(self.store, chunks, self._embed(chunks))
        else:
            self.store.add_documents(list(chunks), ids=[chunk.id for chunk in chunks])

    def _embed(self, chunks: Sequence[Document]) -> list[list[float]]:
        texts = [format_for_embedding(chunk) for chunk in chunks]
        try:
            vectors = self.embeddings.embed_documents(texts)
        except (GptOssError, ImportError):
            raise
        except Exception as error:  # embedding models and their servers raise errors of any kind
            name = get_embeddings_name(self.embeddings) or type(self.embeddings).__name__
            raise IndexStoreError(
                f"The embedding model {name} failed on {len(texts):,} chunks, of {chunks[0].metadata.get('source')} "
                f"and others ({type(error).__name__}: {error}). Everything that was indexed before is kept.",
                hint="Repair the model and synchronize again, which continues from there.",
            ) from error
        _check_vectors(chunks, vectors)
        return vectors

    def delete(self, ids: Sequence[str]) -> None:
        """Delete chunks; missing ones are ignored."""
        if ids:
            self.store.delete(list(ids))

    def fetch_chunks(self, ids: Sequence[str]) -> dict[str, Document]:
        """Return those of the chunks that are in the store, by id."""
        if not ids:
            return {}
        if self.folder is None and _import_qdrant().is_qdrant(self.store):
            stored: dict[str, Document] = _import_qdrant().get_documents(self.store, ids)
            return stored
        return {str(document.id): document for document in self.store.get_by_ids(list(ids))}

    def count_chunks(self) -> int | None:
        """Return the number of chunks in the store, None if the store does not know it."""
        return len(self.store) if hasattr(self.store, "__len__") else None

    def save(self) -> None:
        """Replace the saved store by the current one."""
        if self.folder is not None:
            self.store.save(self.folder / STORE_FOLDER)
            model = get_embeddings_name(self.embeddings)
            self.manifest.save_setting("model", model)
            self.manifest.save_setting("embeddings", self._embeddings_setting or model)
            self.manifest.save_setting("saved", "yes")

    @contextmanager
    def rebuild(self) -> Iterator[None]:
        """Begin with an empty store; the old one is kept beside it until the block succeeds.

        Raises:
            InvalidInputError: The store belongs to the caller.
        """
        if self.folder is None:
            raise InvalidInputError(
                "Only an index in a folder can be rebuilt.", hint="Empty the store and synchronize again."
            )
        damaged = self.folder / _DAMAGED_STORE_FOLDER
        if (self.folder / STORE_FOLDER).exists():
            shutil.rmtree(damaged, ignore_errors=True)
            (self.folder / STORE_FOLDER).rename(damaged)
        self.manifest.save_setting("saved", "")
        self._store = _import_faiss_store()(self.embeddings)
        yield
        shutil.rmtree(damaged, ignore_errors=True)


def _check_vectors(chunks: Sequence[Document], vectors: list[list[float]]) -> None:
    """Check count and values here, where the source is known; the store checks the rest."""
    if len(vectors) != len(chunks):
        raise InvalidInputError(
            f"The embedding model returned {len(vectors):,} vectors for {len(chunks):,} texts.",
            hint="It must return one per text; check the model, or the server that runs it.",
        )
    for chunk, vector in zip(chunks, vectors, strict=True):
        if not all(map(math.isfinite, vector)):
            raise InvalidInputError(
                f"The embedding model returned NaN or infinity for a chunk of {chunk.metadata.get('source')} "
                f"(characters {chunk.metadata.get('start')} to {chunk.metadata.get('end')}).",
                hint="Check the model, its precision, and this text.",
            )


def _import_faiss_store() -> type[FaissStore]:
    # Imported on use: the import takes half of the time of a synchronization without changes.
    from langchain_gptoss.vectorstores import FaissStore

    return FaissStore


def _import_qdrant() -> ModuleType:
    from langchain_gptoss.vectorstores import qdrant

    return qdrant


def get_embeddings_name(embeddings: Embeddings) -> str:
    """Return the name of an embedding model, "" if it has none."""
    names = (getattr(embeddings, attribute, None) for attribute in ("model_name", "model"))
    return next((name for name in names if isinstance(name, str)), "")


def _load_embeddings(name: str | None, manifest: Manifest | None) -> Embeddings:
    from langchain_gptoss.embeddings import load_embeddings

    saved_name = (manifest.get_setting("embeddings") if manifest else None) or None
    if name is None and saved_name is not None and os.path.isabs(saved_name) and not Path(saved_name).exists():
        saved_name = None  # the cache was moved, and the default model is recreated there
    return load_embeddings(name or saved_name)


@contextmanager
def open_target(
    store: str | Path | VectorStore, *, embeddings: Embeddings | str | None, manifest: str | Path | None
) -> Iterator[Target]:
    """Open an index for writing, by one process at a time.

    Args:
        store: The index's folder, which is created if it is missing; or a vector store, which needs `manifest`.
        embeddings: The embedding model or its name.
        manifest: The manifest file of a vector store.

    Raises:
        IndexStoreError: Another process writes to the index, or it is damaged.
        InvalidInputError: The folder contains other files, or `manifest` is missing or superfluous.
        StorageError: The folder cannot be written.
    """
    folder: Path | None = None
    own_store: VectorStore | None = None
    if isinstance(store, str | Path):
        if manifest is not None:
            raise InvalidInputError(
                "manifest= is only for a vector store; an index in a folder has its own manifest.", hint="Omit it."
            )
        folder = resolve_path(store)
        path = folder / SYNC_MANIFEST
        _reject_other_files(folder)
    else:
        if manifest is None:
            raise InvalidInputError(
                "Synchronizing a vector store needs manifest=, a file that lists its contents.",
                hint="Give a path such as 'docs.sqlite'.",
            )
        own_store = store
        path = resolve_path(manifest)
    with ExitStack() as stack:
        stack.enter_context(_lock_manifest(path, is_own_folder=folder is not None))
        opened_manifest = stack.enter_context(Manifest(path))
        if folder is not None:
            with suppress(OSError):  # a file system without modes
                path.chmod(get_file_mode(folder))
        yield Target(
            opened_manifest,
            folder=folder,
            store=own_store,
            embeddings=embeddings or getattr(own_store, "embeddings", None),
        )


def resolve_path(path: str | Path) -> Path:
    """Return a path as absolute, with `~` replaced by the home folder."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def _reject_other_files(folder: Path) -> None:
    try:
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be used for an index ({error.strerror}).", hint="Choose another folder."
        ) from error
    if names and SYNC_MANIFEST not in names:
        raise InvalidInputError(
            f"The folder {folder} contains other files than a synchronized index ({', '.join(sorted(names)[:3])}).",
            hint="Choose a new or an empty folder.",
        )


@contextmanager
def _lock_manifest(path: Path, *, is_own_folder: bool) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            create_private_folder(path.parent, restrict=is_own_folder)
            stack.enter_context(lock_path(path, timeout_s=_LOCK_TIMEOUT_S))
        except TimeoutError:
            raise IndexStoreError(
                f"Another process writes to the index {path.parent}.", hint="Wait until it ends, or stop it."
            ) from None
        except OSError as error:
            raise StorageError(
                f"{path.parent} cannot be written ({error.strerror}).", hint="Choose another folder."
            ) from error
        yield


def open_store(folder: str | Path, embeddings: Embeddings | str | None = None) -> FaissStore:
    """Load the store of an index that `sync_documents` made, or one that `FaissStore.save` wrote.

    Args:
        folder: The index's folder.
        embeddings: The embedding model or its name; by default the one that the index was made with.

    Raises:
        IndexStoreError: There is no index, it is damaged, or it was made with another embedding model.
    """
    path = resolve_path(folder)
    if not (path / SYNC_MANIFEST).exists():
        if not path.is_dir():
            raise IndexStoreError(
                f"There is no index in {path}.", hint=f"Create one: gptoss index FOLDER --store {path}"
            )
        return _import_faiss_store().load(path, resolve_embeddings(path, embeddings))
    with Manifest(path / SYNC_MANIFEST) as manifest:
        if not Target(manifest, folder=path, store=None, embeddings=None).is_saved:
            raise IndexStoreError(f"The index in {path} is not complete.", hint="Synchronize it again.")
    return _import_faiss_store().load(path / STORE_FOLDER, resolve_embeddings(path, embeddings))


def resolve_embeddings(folder: Path, embeddings: Embeddings | str | None) -> Embeddings:
    """Return the given or named embedding model, else the one that the index in a folder was made with."""
    if isinstance(embeddings, Embeddings):
        return embeddings
    if not (folder / SYNC_MANIFEST).exists():
        return _load_embeddings(embeddings, None)
    with Manifest(folder / SYNC_MANIFEST) as manifest:
        return _load_embeddings(embeddings, manifest)
