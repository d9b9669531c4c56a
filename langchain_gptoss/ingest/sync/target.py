"""Where a synchronised index lives: a manifest and the vectors, opened only when they are needed.

A folder holds `sync.sqlite` and `store/`, a `FaissStore`. Any other LangChain vector store takes its place, with the
manifest in a file of its own.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import GptOssError, IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.ingest.sources import SYNC_MANIFEST
from langchain_gptoss.ingest.split import embedded_text
from langchain_gptoss.ingest.sync.manifest import Manifest

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

    from langchain_gptoss.vectorstores import FaissStore

STORE = "store"
_ASIDE = "store.damaged"
_LOCK_SECONDS = 5


class Target:
    """A manifest and the store it describes.

    Attributes:
        manifest: The manifest.
        folder: The index's folder; None where the store is an object of the caller's.
    """

    def __init__(
        self, manifest: Manifest, *, folder: Path | None, store: VectorStore | None, embeddings: Embeddings | str | None
    ) -> None:
        """Takes a folder or a store."""
        self.manifest = manifest
        self.folder = folder
        self._store = store
        self._embeddings = embeddings
        self._asked = embeddings if isinstance(embeddings, str) else manifest.setting("embeddings")

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model: the caller's, else the one that the index was made with, else the default."""
        if not isinstance(self._embeddings, Embeddings):
            self._embeddings = _loaded(self._embeddings, self.manifest)
        return self._embeddings

    @property
    def is_saved(self) -> bool:
        """Whether there is a store already."""
        # A crash while saving may have left it under another name, where FaissStore finds it.
        noted = bool(self.manifest.setting("saved"))
        return self.folder is None or noted or (self.folder / STORE).exists()

    @property
    def store(self) -> Any:
        """The vector store, read at the first use."""
        if self._store is None:
            assert self.folder is not None
            if self.is_saved:
                self._store = _faiss_store().load(self.folder / STORE, self.embeddings)
            else:
                self._store = _faiss_store()(self.embeddings)
        return self._store

    def put(self, chunks: Sequence[Document]) -> None:
        """Embeds passages and adds them."""
        if hasattr(self.store, "add_with_vectors"):
            self.store.add_with_vectors(chunks, self._vectors(chunks))
        elif _qdrant().supports_vectors(self.store):
            _qdrant().add_with_vectors(self.store, chunks, self._vectors(chunks))
        else:
            self.store.add_documents(list(chunks), ids=[chunk.id for chunk in chunks])

    def _vectors(self, chunks: Sequence[Document]) -> list[list[float]]:
        texts = [embedded_text(chunk) for chunk in chunks]
        try:
            vectors = self.embeddings.embed_documents(texts)
        except (GptOssError, ImportError):
            raise
        except Exception as error:  # a model or a server of somebody else's fails in any way
            name = embeddings_name(self.embeddings) or type(self.embeddings).__name__
            raise IndexStoreError(
                f"The embedding model {name} failed on {len(texts):,} passages, of {chunks[0].metadata.get('source')} "
                f"and others ({type(error).__name__}: {error}). What was indexed before is kept. Put the model right "
                "and synchronise again, which goes on from there."
            ) from error
        _check_vectors(chunks, vectors)
        return vectors

    def delete(self, ids: Sequence[str]) -> None:
        """Deletes passages; one that is not there is no error."""
        if ids:
            self.store.delete(list(ids))

    def present(self, ids: Sequence[str]) -> dict[str, Document]:
        """Returns those passages that are in the store, by id."""
        if not ids:
            return {}
        if self.folder is None and _qdrant().is_qdrant(self.store):
            found: dict[str, Document] = _qdrant().get_documents(self.store, ids)
            return found
        return {str(document.id): document for document in self.store.get_by_ids(list(ids))}

    def size(self) -> int | None:
        """Returns the number of passages in the store, or None where a store does not tell."""
        return len(self.store) if hasattr(self.store, "__len__") else None

    def save(self) -> None:
        """Writes the store, in place of the one that is there."""
        if self.folder is not None:
            self.store.save(self.folder / STORE)
            model = embeddings_name(self.embeddings)
            for name, value in (("model", model), ("embeddings", self._asked or model), ("saved", "yes")):
                if self.manifest.setting(name) != value:
                    self.manifest.set(name, value)

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Begins with an empty store; the old one lies beside it until the block ends well."""
        if self.folder is None:
            raise InvalidInputError("Only an index in a folder can be built anew. Empty the store and sync again.")
        aside = self.folder / _ASIDE
        if (self.folder / STORE).exists():
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / STORE).rename(aside)
        self.manifest.set("saved", "")
        self._store = _faiss_store()(self.embeddings)
        yield
        shutil.rmtree(aside, ignore_errors=True)


def _check_vectors(chunks: Sequence[Document], vectors: list[list[float]]) -> None:
    """Names the file, which the store does not know; the store checks the rest."""
    if len(vectors) != len(chunks):
        raise InvalidInputError(
            f"The embedding model returned {len(vectors):,} vectors for {len(chunks):,} texts. It must return one "
            "each; check the model, or the server that runs it."
        )
    for chunk, vector in zip(chunks, vectors, strict=True):
        if not all(map(math.isfinite, vector)):
            raise InvalidInputError(
                f"The embedding model made NaN or infinity of a passage of {chunk.metadata.get('source')} (characters "
                f"{chunk.metadata.get('start')} to {chunk.metadata.get('end')}). Check the model, its precision, and "
                "this text."
            )


def _faiss_store() -> type[FaissStore]:
    # Imported when it is needed: half of the time that a run with nothing to do takes would be its import.
    from langchain_gptoss.vectorstores import FaissStore

    return FaissStore


def _qdrant() -> ModuleType:
    from langchain_gptoss.vectorstores import qdrant

    return qdrant


def embeddings_name(embeddings: Embeddings) -> str:
    """Returns the name of an embedding model, "" where it has none."""
    names = (getattr(embeddings, attribute, None) for attribute in ("model_name", "model"))
    return next((name for name in names if isinstance(name, str)), "")


def _loaded(name: str | None, manifest: Manifest | None) -> Embeddings:
    from langchain_gptoss.embeddings import load_embeddings

    recorded = (manifest.setting("embeddings") if manifest else None) or None
    if name is None and recorded is not None and os.path.isabs(recorded) and not Path(recorded).exists():
        recorded = None  # the cache was moved, and the default is made there anew
    return load_embeddings(name or recorded)


@contextmanager
def opened(
    store: str | Path | VectorStore, *, embeddings: Embeddings | str | None, manifest: str | Path | None
) -> Iterator[Target]:
    """Opens an index for one process at a time.

    Args:
        store: A folder, which is made if it is not there; or a vector store, which needs `manifest`.
        embeddings: The embedding model or its name.
        manifest: Where the manifest of a store of the caller's is.

    Raises:
        IndexStoreError: Another process is at work on the index, or it is damaged.
        InvalidInputError: The folder holds something else, or `manifest` is missing or not wanted.
        StorageError: The folder cannot be made.
    """
    if not isinstance(store, str | Path):
        if manifest is None:
            raise InvalidInputError(
                "Synchronising a vector store needs manifest=, a file such as 'docs.sqlite' that says what is in it."
            )
        path, folder = Path(os.path.abspath(os.path.expanduser(manifest))), None
    elif manifest is not None:
        raise InvalidInputError("manifest= goes with a vector store; an index in a folder has its own.")
    else:
        folder = Path(os.path.abspath(os.path.expanduser(store)))
        path = folder / SYNC_MANIFEST
        _refuse_foreign(folder)
    with ExitStack() as stack:
        stack.enter_context(_locked(path))
        rows = stack.enter_context(Manifest(path))
        given = None if isinstance(store, str | Path) else store
        yield Target(rows, folder=folder, store=given, embeddings=embeddings or getattr(given, "embeddings", None))


def _refuse_foreign(folder: Path) -> None:
    try:
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be used for an index ({error.strerror}). Choose another folder."
        ) from error
    if names and SYNC_MANIFEST not in names:
        raise InvalidInputError(
            f"The folder {folder} holds something else than a synchronised index ({', '.join(sorted(names)[:3])}). "
            "Choose a new or an empty folder."
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    guard = FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        guard.acquire()
    except Timeout:
        raise IndexStoreError(
            f"Another process is at work on the index {path.parent}. Wait until it ends, or stop it."
        ) from None
    except OSError as error:
        raise StorageError(f"{path.parent} cannot be written ({error.strerror}). Choose another folder.") from error
    try:
        yield
    finally:
        guard.release()


def open_store(folder: str | Path, embeddings: Embeddings | str | None = None) -> FaissStore:
    """Returns the store of an index that `sync` made, or one that `FaissStore.save` did.

    Args:
        folder: Where it is.
        embeddings: The embedding model or its name; by default the one that the index was made with.

    Raises:
        IndexStoreError: There is none, it is damaged, or it was made with another embedding model.
    """
    place = Path(os.path.abspath(os.path.expanduser(folder)))
    if not (place / SYNC_MANIFEST).exists():
        if not place.is_dir():
            raise IndexStoreError(f"There is no index in {place}. Make one: gptoss index FOLDER --store {place}")
        return _faiss_store().load(place, embeddings_for(place, embeddings))
    with Manifest(place / SYNC_MANIFEST) as manifest:
        if not Target(manifest, folder=place, store=None, embeddings=None).is_saved:
            raise IndexStoreError(f"The index in {place} is not complete yet. Synchronise it again, to the end.")
    return _faiss_store().load(place / STORE, embeddings_for(place, embeddings))


def embeddings_for(folder: Path, embeddings: Embeddings | str | None) -> Embeddings:
    """Returns an embedding model: the one that is given or named, else the one that an index was made with."""
    if isinstance(embeddings, Embeddings):
        return embeddings
    if not (folder / SYNC_MANIFEST).exists():
        return _loaded(embeddings, None)
    with Manifest(folder / SYNC_MANIFEST) as manifest:
        return _loaded(embeddings, manifest)
