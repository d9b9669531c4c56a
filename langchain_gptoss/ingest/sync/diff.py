"""What a synchronisation has to do, found out by comparing sources with the manifest; nothing is changed here."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest.load import Options, Source, foreign_documents, parted, supported_files
from langchain_gptoss.ingest.sources import Found, Listing, Skipped
from langchain_gptoss.ingest.split import DEFAULT_MAX_CHARS, check_limits
from langchain_gptoss.ingest.sync.manifest import Entry, Manifest

_RECIPE = 2  # raised when reading or splitting changes what comes out
_RACY_NS = 2_000_000_000  # a file that was changed so shortly ago may change again in the same tick of its clock


@dataclass(frozen=True)
class Limits:
    """How texts are split.

    Attributes:
        max_chars: The most characters in a passage, or None.
        max_tokens: The most tokens, or None.
        overlap: How much of the passage before it a passage repeats.
    """

    max_chars: int | None
    max_tokens: int | None
    overlap: int


@dataclass(frozen=True)
class Candidate:
    """A source that is new or may have changed.

    Attributes:
        entry: Its row when it is done, still without passages.
        known: Its row now, or None.
        found: The file; None where a LangChain loader gave the documents.
        documents: These documents.
    """

    entry: Entry
    known: Entry | None
    found: Found | None = None
    documents: Sequence[Document] = ()


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        root: The folder that sources are relative to; None where all come from LangChain loaders.
        candidates: What is to be read, by source.
        removed: Rows of what is gone.
        unchanged: Sources that are left alone.
        skipped: What cannot be used.
        others: Files of kinds that are not read.
    """

    root: Path | None = None
    candidates: dict[str, Candidate] = field(default_factory=dict)
    removed: list[Entry] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def leave(self, known: Entry) -> None:
        """Notes that a source is as its row says."""
        if known.state == "skipped":
            self.skipped.append(Skipped(known.source, known.reason))
        else:
            self.unchanged.append(known.source)


def limits_of(manifest: Manifest, max_chars: int | None, max_tokens: int | None, overlap: int | None) -> Limits:
    """Returns the limits that were given, filled up with those the index was made with.

    Raises:
        InvalidInputError: They cannot work.
    """
    noted = manifest.setting("limits")
    known = Limits(*json.loads(noted)) if noted else Limits(DEFAULT_MAX_CHARS, None, 0)
    if max_chars is None and max_tokens is None:
        max_chars, max_tokens = known.max_chars, known.max_tokens
    limits = Limits(max_chars, max_tokens, known.overlap if overlap is None else overlap)
    check_limits(limits.max_chars, limits.max_tokens, limits.overlap)
    return limits


def note_settings(manifest: Manifest, plan: Plan, limits: Limits) -> None:
    """Notes what the next synchronisation is compared with."""
    wanted = {"limits": json.dumps([limits.max_chars, limits.max_tokens, limits.overlap])}
    if plan.root is not None:
        wanted["root"] = str(plan.root)
    for name, value in wanted.items():
        if manifest.setting(name) != value:
            manifest.set(name, value)


def make_plan(
    sources: Source | Sequence[Source],
    manifest: Manifest,
    options: Options,
    limits: Limits,
    *,
    exclude: Path | None = None,
    rehash: bool = False,
) -> Plan:
    """Returns what is to be done, as far as names, sizes and times tell.

    Args:
        sources: What the index shall hold.
        manifest: What it holds.
        options: How files are read.
        limits: How texts are split.
        exclude: The folder of the index.
        rehash: Files are candidates even where size and time are as they were.

    Raises:
        DocumentsError: There is nothing at the sources.
        InvalidInputError: They have nothing in common with those of the index.
    """
    return _Planner(manifest, options, limits, rehash=rehash).plan(*parted(sources), exclude)


class _Planner:
    def __init__(self, manifest: Manifest, options: Options, limits: Limits, *, rehash: bool) -> None:
        self._manifest = manifest
        self._options = options
        self._limits = limits
        self._rehash = rehash
        self._known = manifest.entries()
        self._plan = Plan()

    def plan(self, places: list[str | Path], foreign: list[BaseLoader], exclude: Path | None) -> Plan:
        plan = self._plan
        blind: tuple[str, ...] = ()
        if places or not foreign:
            listing = supported_files(places, self._options, exclude=exclude)
            plan.root = listing.root
            plan.skipped += listing.skips
            plan.others += listing.others
            blind = tuple(listing.blind)
            for found in listing.files:
                self._compare(found)
            self._refuse_another_folder(listing)
        for loader in foreign:
            self._compare_foreign(loader)
        there = {*plan.candidates, *plan.unchanged, *(skipped.source for skipped in plan.skipped)}
        plan.removed = [
            entry for source, entry in self._known.items() if source not in there and not source.startswith(blind)
        ]
        return plan

    def _refuse_another_folder(self, listing: Listing) -> None:
        """Keeps an index from being emptied by a slip of the hand."""
        noted = self._manifest.setting("root")
        if noted in (None, str(listing.root)) or not self._known or listing.skips:
            return
        if not any(found.source in self._known for found in listing.files):
            raise InvalidInputError(
                f"The index was made from {noted}, and {listing.root} holds none of its files. "
                "Choose another folder for this index, or delete the old one."
            )

    def _compare(self, found: Found) -> None:
        known = self._known.get(found.source)
        recipe = self._recipe(found)
        size, mtime = _size_and_time(found.path)
        if known is not None and (known.state == "pending" or known.recipe != recipe):
            told = ""
        else:
            told = known.file_hash if known else ""
            if known and not self._rehash and (known.size, known.mtime_ns) == (size, mtime):
                self._plan.leave(known)
                return
        if time.time_ns() - mtime < _RACY_NS:
            mtime = -1
        entry = Entry(found.source, size, mtime, told, recipe, "done")
        self._plan.candidates[found.source] = Candidate(entry, known, found)

    def _compare_foreign(self, loader: BaseLoader) -> None:
        by_source: dict[str, list[Document]] = {}
        for document in foreign_documents(loader.lazy_load()):
            by_source.setdefault(document.metadata["source"], []).append(document)
        recipe = self._recipe(None)
        for source, documents in by_source.items():
            known = self._known.get(source)
            held = json.dumps([[d.page_content, d.metadata] for d in documents], sort_keys=True, default=str)
            digest = hashlib.sha256(held.encode()).hexdigest()
            if known and (known.file_hash, known.recipe) == (digest, recipe) and known.state != "pending":
                self._plan.leave(known)
            else:
                entry = Entry(source, 0, -1, digest, recipe, "done")
                self._plan.candidates[source] = Candidate(entry, known, None, documents)

    def _recipe(self, found: Found | None) -> str:
        loader = self._options.loaders.get(found.path.suffix.lower()) if found else None
        kind = loader if loader is None or hasattr(loader, "__qualname__") else type(loader)
        name = "" if kind is None else f"{kind.__module__}.{kind.__qualname__}"
        limits = self._limits
        return json.dumps([_RECIPE, limits.max_chars, limits.max_tokens, limits.overlap, name])


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        told = path.stat()
    except (OSError, ValueError):
        return 0, -1  # reading it will say why
    return told.st_size, told.st_mtime_ns
