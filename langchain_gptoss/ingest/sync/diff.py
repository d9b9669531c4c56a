"""Compare sources with the manifest and plan what a synchronization has to do; nothing is changed here."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest.access_labels import Labeller, LabelOptions, create_label_options
from langchain_gptoss.ingest.documents import load_with_langchain
from langchain_gptoss.ingest.file_contents import ReadOptions
from langchain_gptoss.ingest.load import Source, list_supported_files, split_sources
from langchain_gptoss.ingest.readers.pool import ReadJob
from langchain_gptoss.ingest.sources import Listing, SkippedFile, SourceFile
from langchain_gptoss.ingest.split import DEFAULT_MAX_CHARS, ChunkLimits, check_limits
from langchain_gptoss.ingest.sync.manifest import Entry, Manifest

_RECIPE_VERSION = 4  # increased when reading or splitting gives other results than before
_MTIME_RESOLUTION_NS = 2_000_000_000  # a file may change again within one tick of its file system's clock


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A source that is new or may have changed.

    Attributes:
        entry: Its row after indexing, still without chunks.
        previous: Its row now, or None.
        file: The file; None if a LangChain loader gave the documents.
        documents: The documents of a LangChain loader.
    """

    entry: Entry
    previous: Entry | None
    file: SourceFile | None = None
    documents: Sequence[Document] = ()


@dataclass
class SyncPlan:
    """Work of a synchronization.

    Attributes:
        root: The folder that sources are relative to; None if all come from LangChain loaders.
        candidates: Sources to read.
        removed: Rows of sources that no longer exist.
        unchanged: Sources that stay as they are.
        skipped: Sources that cannot be used.
        unsupported: Files in formats that are not supported.
        labeller: Labels the documents of the candidates.
    """

    root: Path | None = None
    candidates: dict[str, Candidate] = field(default_factory=dict)
    removed: list[Entry] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    labeller: Labeller = field(default_factory=lambda: Labeller(LabelOptions()))

    def skip(self, entry: Entry) -> None:
        """Record that a source is as its row says."""
        if entry.state == "skipped":
            self.skipped.append(SkippedFile(entry.source, entry.reason))
        else:
            self.unchanged.append(entry.source)

    def create_read_jobs(self) -> list[ReadJob]:
        """Return the files to read."""
        return [
            ReadJob(candidate.file, candidate.entry.file_hash or None)
            for candidate in self.candidates.values()
            if candidate.file is not None
        ]


def choose_limits(
    manifest: Manifest, max_chars: int | None, max_tokens: int | None, overlap: int | None
) -> ChunkLimits:
    """Return the given limits, completed by those that the index was made with.

    Raises:
        InvalidInputError: The limits contradict each other or are out of range.
    """
    saved = manifest.get_setting("limits")
    current = ChunkLimits(*json.loads(saved)) if saved else ChunkLimits(DEFAULT_MAX_CHARS, None, 0)
    if max_chars is None and max_tokens is None:
        max_chars, max_tokens = current.max_chars, current.max_tokens
    limits = ChunkLimits(max_chars, max_tokens, current.overlap if overlap is None else overlap)
    check_limits(limits.max_chars, limits.max_tokens, limits.overlap)
    return limits


def choose_label_options(manifest: Manifest, access: str | None, labels: Sequence[str] | None) -> LabelOptions:
    """Return the given options, completed by those that the index was made with.

    Raises:
        InvalidInputError: The field is empty, or the labels are not a list of texts.
    """
    saved = manifest.get_setting("access")
    saved_field, saved_labels = json.loads(saved) if saved else (None, [])
    return create_label_options(access or saved_field, saved_labels if labels is None else labels)


def save_settings(manifest: Manifest, plan: SyncPlan, limits: ChunkLimits, label_options: LabelOptions) -> None:
    """Save the settings that the next synchronization is compared with."""
    manifest.save_setting("access", json.dumps([label_options.field, label_options.labels]))
    manifest.save_setting("limits", json.dumps([limits.max_chars, limits.max_tokens, limits.overlap]))
    if plan.root is not None:
        manifest.save_setting("root", str(plan.root))


def create_plan(
    sources: Source | Sequence[Source],
    manifest: Manifest,
    options: ReadOptions,
    limits: ChunkLimits,
    *,
    exclude: Path | None = None,
    rehash: bool = False,
) -> SyncPlan:
    """Plan a synchronization, judged by names, sizes and times.

    Args:
        sources: The sources of the index.
        manifest: The manifest of the index.
        options: Options of reading.
        limits: Limits of chunks.
        exclude: The folder of the index.
        rehash: True to make all files candidates, also those with the same size and time.

    Raises:
        DocumentsError: There is nothing at the sources.
        InvalidInputError: The index was made from another folder.
    """
    return SyncPlanner(manifest, options, limits, rehash=rehash).create_plan(*split_sources(sources), exclude)


class SyncPlanner:
    """Planner of one synchronization; the arguments are those of `create_plan`."""

    def __init__(self, manifest: Manifest, options: ReadOptions, limits: ChunkLimits, *, rehash: bool) -> None:
        self._manifest = manifest
        self._options = options
        self._limits = limits
        self._rehash = rehash
        self._entries = manifest.read_entries()
        self._plan = SyncPlan(labeller=Labeller(options.labels))

    def create_plan(self, places: list[str | Path], loaders: list[BaseLoader], exclude: Path | None) -> SyncPlan:
        """Compare files and LangChain loaders with the manifest."""
        plan = self._plan
        unlisted_prefixes: tuple[str, ...] = ()
        if places or not loaders:
            listing = list_supported_files(places, self._options, exclude=exclude)
            plan.root = listing.root
            plan.labeller = Labeller(self._options.labels, listing.root)
            plan.skipped += listing.skipped
            plan.unsupported += listing.unsupported
            unlisted_prefixes = tuple(listing.unlisted_prefixes)
            for file in listing.files:
                self._compare_file(file)
            self._reject_other_folder(listing)
        for loader in loaders:
            self._compare_loader(loader)
        existing = {*plan.candidates, *plan.unchanged, *(skipped.source for skipped in plan.skipped)}
        plan.removed = [
            entry
            for source, entry in self._entries.items()
            if source not in existing and not source.startswith(unlisted_prefixes)
        ]
        return plan

    def _reject_other_folder(self, listing: Listing) -> None:
        """Reject a folder that shares no file with the index: a wrong argument must not empty the index."""
        root = self._manifest.get_setting("root")
        if root in (None, str(listing.root)) or not self._entries or listing.skipped:
            return
        if not any(file.source in self._entries for file in listing.files):
            raise InvalidInputError(
                f"The index was made from {root}, and {listing.root} has none of its files.",
                hint="Choose another folder for this index, or delete the old one.",
            )

    def _compare_file(self, file: SourceFile) -> None:
        previous = self._entries.get(file.source)
        recipe = self._describe_recipe(file)
        size_bytes, mtime_ns = _read_size_and_time(file.path)
        if previous is not None and (previous.state == "pending" or previous.recipe != recipe):
            known_hash = ""  # it must be parsed again, even if its bytes are the same
        else:
            known_hash = previous.file_hash if previous else ""
            if previous and not self._rehash and (previous.size_bytes, previous.mtime_ns) == (size_bytes, mtime_ns):
                self._plan.skip(previous)
                return
        if time.time_ns() - mtime_ns < _MTIME_RESOLUTION_NS:
            mtime_ns = -1
        entry = Entry(
            source=file.source,
            size_bytes=size_bytes,
            mtime_ns=mtime_ns,
            file_hash=known_hash,
            recipe=recipe,
            state="done",
        )
        self._plan.candidates[file.source] = Candidate(entry=entry, previous=previous, file=file)

    def _compare_loader(self, loader: BaseLoader) -> None:
        documents_by_source: dict[str, list[Document]] = {}
        for document in load_with_langchain(loader):
            documents_by_source.setdefault(document.metadata["source"], []).append(document)
        recipe = self._describe_recipe(None)
        for source, documents in documents_by_source.items():
            previous = self._entries.get(source)
            contents = json.dumps([[d.page_content, d.metadata] for d in documents], sort_keys=True, default=str)
            contents_hash = hashlib.sha256(contents.encode()).hexdigest()
            is_done = previous is not None and previous.state != "pending"
            if previous and is_done and (previous.file_hash, previous.recipe) == (contents_hash, recipe):
                self._plan.skip(previous)
            else:
                entry = Entry(
                    source=source, size_bytes=0, mtime_ns=-1, file_hash=contents_hash, recipe=recipe, state="done"
                )
                self._plan.candidates[source] = Candidate(entry=entry, previous=previous, documents=documents)

    def _describe_recipe(self, file: SourceFile | None) -> str:
        loader = self._options.loaders.get(file.path.suffix.lower()) if file else None
        named = loader if loader is None or hasattr(loader, "__qualname__") else type(loader)
        name = "" if named is None else f"{named.__module__}.{named.__qualname__}"
        limits = self._limits
        labels = self._plan.labeller.describe(file)
        return json.dumps([_RECIPE_VERSION, limits.max_chars, limits.max_tokens, limits.overlap, name, *labels])


def _read_size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return 0, -1  # reading the file reports the error
    return status.st_size, status.st_mtime_ns
