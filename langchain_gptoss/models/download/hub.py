"""Fetches checkpoints from the hub into the hub's own cache, so that other programs find them there too.

`huggingface_hub` gives up what it has of a file when it is interrupted, which may be gigabytes of a shard, and does
not compare what arrived with its digest. So the large files are fetched here: they go on where an interrupt or a lost
connection left them, and take their place in the cache only if their SHA-256 is the published one. `refs/main`, by
which the cache is read offline, is written last: a model counts as cached once it is whole.
(The cache's layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache)
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

import httpx
from filelock import FileLock, Timeout

from langchain_gptoss._progress import BytesBar, bytes_bar, without_hub_bars
from langchain_gptoss.errors import CheckpointError, DownloadError, GptOssError
from langchain_gptoss.models.download.cache_directory import require_free_space, storage_errors
from langchain_gptoss.models.download.checksums import matches
from langchain_gptoss.models.safetensors_files import DamagedCheckpointError, read_header

# Code, and weights that are not safetensors, are not among them; nor are folders, in which the published repositories
# carry the same weights for two other runtimes.
_WANTED = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")
_SETTING = "HF_HOME"
_TRIES = 5  # without a single new byte
_PAUSE = 0.2  # seconds before the next one; three times as long each time
_BUSY = {408, 429, 500, 502, 503, 504}
# The hub serves larger files only through its own protocol, which its own client speaks.
_LARGEST_BY_HTTP = 50_000_000_000

Check = Callable[[Path], object]


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of a repository on the hub.

    Attributes:
        name: Its name; wanted files lie at the top of the repository.
        size: In bytes.
        digest: Its SHA-256 where the hub stores it as a large file, else the id that Git gives to its content.
    """

    name: str
    size: int
    digest: str

    @property
    def large(self) -> bool:
        """Whether it is fetched here, and not by the hub's client."""
        return len(self.digest) == 64 and self.size <= _LARGEST_BY_HTTP


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One state of a repository, and its places in the hub's cache.

    Attributes:
        repository: `organisation/name`.
        commit: The state.
        files: The wanted files.
        storage: The repository's folder in the cache.
    """

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]
    storage: Path

    @property
    def folder(self) -> Path:
        """Where the files are found together."""
        return self.storage / "snapshots" / self.commit

    def place(self, file: RemoteFile) -> Path:
        """Returns where a file is found, by its name."""
        return self.folder / file.name

    def blob(self, file: RemoteFile) -> Path:
        """Returns where a file's content is kept, by its digest."""
        return self.storage / "blobs" / file.digest

    def partial(self, file: RemoteFile) -> Path:
        """Returns where a file's content is gathered until it is whole."""
        return self.storage / "blobs" / f"{file.digest}.gptoss.incomplete"

    def present(self, file: RemoteFile) -> int:
        """Returns how many bytes of a file are here."""
        for path in (self.place(file), self.blob(file), self.partial(file)):
            if path.exists():
                return min(path.stat().st_size, file.size)
        return 0

    def forget(self, file: RemoteFile) -> None:
        """Removes a file from the cache."""
        place = self.place(file)
        if place.is_symlink():
            # A mirror may name the content otherwise than the hub does, and a user may link to files of their own.
            target = Path(os.path.normpath(place.parent / place.readlink()))
            if target.parent == self.blob(file).parent:
                target.unlink(missing_ok=True)
        place.unlink(missing_ok=True)
        self.blob(file).unlink(missing_ok=True)


class _AlteredError(Exception):
    """What arrived is not what was published."""


class _BusyError(OSError):
    """The server asks to try again later."""


def from_hub(repository: str, *, check: Check, check_config: Check, mend: bool = False) -> Path:
    """Returns a repository's folder in the hub's cache; what is missing of it is fetched, with one progress bar.

    What is cached and whole is used without asking the hub. While another process fetches the same repository, this
    one waits. An interrupt keeps what has arrived.

    Args:
        repository: `organisation/name`.
        check: Raises a `DamagedCheckpointError` if the files in a folder are not whole.
        check_config: Raises a `CheckpointError` if a folder's `config.json` is of a model that cannot be run; called
            before anything large is fetched.
        mend: Compares every cached file with its published digest first, and fetches again what was altered.

    Raises:
        CheckpointError: The repository holds no checkpoint that can be run.
        DownloadError: It is not cached, or not wholly, and cannot be fetched.
        StorageError: The cache is full or cannot be written.
    """
    folder, wrong = _cached(repository, check)
    if folder is not None and not mend:
        return folder
    with _explained(repository, wrong):
        snapshot = _published(repository)
        with _lock(snapshot):
            # Another process may have fetched it in the meantime.
            folder, _ = _cached(repository, check)
            if folder is not None and not mend:
                return folder
            _fetch(snapshot, check_config, thoroughly=mend)
    return snapshot.folder


def _cached(repository: str, check: Check) -> tuple[Path | None, CheckpointError | None]:
    """Returns the cached folder if it can be used, or else what is wrong with it, for which the hub may have better."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(repository, "config.json")
        if not isinstance(config, str):
            return None, None
        folder = Path(config).parent
        check(folder)
    except CheckpointError as error:
        return None, error
    except HFValidationError as error:
        raise DownloadError(f"{repository!r} cannot be a model on the hub: {_first_line(error)}") from error
    return folder, None


def _published(repository: str) -> Snapshot:
    """Asks the hub which files a repository has."""
    from huggingface_hub import HfApi, constants

    info = HfApi().model_info(repository, files_metadata=True)
    if info.sha is None:
        raise DownloadError(f"The hub does not say which state {repository!r} is in. Try again later.")
    wanted = [
        RemoteFile(
            name=sibling.rfilename,
            size=sibling.size or 0,
            digest=sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "",
        )
        for sibling in info.siblings or []
        if "/" not in sibling.rfilename and any(fnmatch(sibling.rfilename, pattern) for pattern in _WANTED)
    ]
    if not any(file.name.endswith(".safetensors") for file in wanted):
        raise CheckpointError(
            f"{repository!r} has no *.safetensors files on the hub. Other weight files may be pickles, which can run "
            "code when they are opened, and are never fetched. Choose another model."
        )
    storage = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    return Snapshot(repository=repository, commit=info.sha, files=tuple(wanted), storage=storage)


@contextmanager
def _lock(snapshot: Snapshot) -> Iterator[None]:
    """Lets one process at a time fetch a repository; the others show how far it is."""
    file = snapshot.storage.parent / ".locks" / snapshot.storage.name / "langchain-gptoss.lock"
    with storage_errors(snapshot.storage.parent, setting=_SETTING):
        file.parent.mkdir(parents=True, exist_ok=True)
        guard = FileLock(file)
        try:
            guard.acquire(timeout=0)
        except Timeout:
            _wait(guard, snapshot)
    try:
        yield
    finally:
        guard.release()


def _wait(guard: FileLock, snapshot: Snapshot) -> None:
    def here() -> int:
        return sum(snapshot.present(file) for file in snapshot.files)

    seen = here()
    total = sum(file.size for file in snapshot.files)
    with bytes_bar(total, f"Waiting: another process fetches {snapshot.repository}", done=seen) as bar:
        while True:
            try:
                guard.acquire(timeout=0.5)
            except Timeout:
                now = here()
                bar.update(now - seen)
                seen = now
            else:
                return


def _fetch(snapshot: Snapshot, check_config: Check, *, thoroughly: bool) -> None:
    with storage_errors(snapshot.storage.parent, setting=_SETTING):
        _remove_damaged(snapshot, thoroughly=thoroughly)
        for last in (False, True):
            try:
                _fetch_config(snapshot, check_config)
                needed = sum(file.size - snapshot.present(file) for file in snapshot.files)
                require_free_space(snapshot.storage, needed, setting=_SETTING)
                _fetch_files(snapshot)
                break
            except _AlteredError as error:
                if last:
                    raise DownloadError(
                        f"{error} of {snapshot.repository!r} arrived altered twice: its digest is not the published "
                        "one. Both downloads were removed. Check the proxy or mirror between this machine and the "
                        "hub, then try again."
                    ) from error
        _write_ref(snapshot)


def _remove_damaged(snapshot: Snapshot, *, thoroughly: bool) -> None:
    """Removes cached files that are not what was published, so that they are fetched again."""
    expected = {snapshot.partial(file) for file in snapshot.files}
    for leftover in (snapshot.storage / "blobs").glob("*.gptoss.incomplete"):
        if leftover not in expected:  # begun when the repository had other files
            leftover.unlink()
    for file in snapshot.files:
        path = next((path for path in (snapshot.place(file), snapshot.blob(file)) if path.exists()), None)
        # Without a file, what is left may be a link to nothing.
        if path is None or not _sound(path, file, thoroughly=thoroughly):
            snapshot.forget(file)


def _sound(path: Path, file: RemoteFile, *, thoroughly: bool) -> bool:
    if file.size and path.stat().st_size != file.size:
        return False
    if not file.digest:
        return True
    if thoroughly:
        with bytes_bar(file.size, f"Verifying {file.name}") as bar:
            return matches(path, file.digest, bar)
    if not file.name.endswith(".safetensors"):
        return matches(path, file.digest)
    # Hashing every shard would make each second try of an interrupted download wait for a minute.
    try:
        read_header(path)
    except DamagedCheckpointError:
        return False
    return True


def _fetch_config(snapshot: Snapshot, check_config: Check) -> None:
    for file in snapshot.files:
        if file.name == "config.json":
            _fetch_small(snapshot, file)
    check_config(snapshot.folder)


def _fetch_files(snapshot: Snapshot) -> None:
    done = sum(snapshot.present(file) for file in snapshot.files)
    total = sum(file.size for file in snapshot.files)
    with bytes_bar(total, f"Fetching {snapshot.repository}", done=done) as bar:
        for file in sorted(snapshot.files, key=lambda file: (file.large, file.name)):
            if snapshot.place(file).exists():
                continue
            if file.large:
                _fetch_large(snapshot, file, bar)
            else:
                _fetch_small(snapshot, file)
                bar.update(file.size)


def _fetch_small(snapshot: Snapshot, file: RemoteFile) -> None:
    from huggingface_hub import hf_hub_download

    with without_hub_bars():
        hf_hub_download(snapshot.repository, file.name, revision=snapshot.commit)
    if file.digest and not matches(snapshot.place(file), file.digest):
        snapshot.forget(file)
        raise _AlteredError(repr(file.name))


def _fetch_large(snapshot: Snapshot, file: RemoteFile, bar: BytesBar) -> None:
    blob, partial = snapshot.blob(file), snapshot.partial(file)
    if not blob.exists():
        blob.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as stream:
            if stream.tell() > file.size:
                _empty(stream)
            _receive(snapshot, file, stream, bar)
            stream.flush()
            os.fsync(stream.fileno())
        bar.set_description(f"Verifying {file.name}")
        if not matches(partial, file.digest):
            partial.unlink()
            raise _AlteredError(repr(file.name))
        partial.replace(blob)
        bar.set_description(f"Fetching {snapshot.repository}")
    place = snapshot.place(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(os.path.relpath(blob, place.parent))
    except (OSError, NotImplementedError):
        # Windows without the right to make links: the hub's client too then keeps the file itself there.
        blob.replace(place)


def _receive(snapshot: Snapshot, file: RemoteFile, stream: BinaryIO, bar: BytesBar) -> None:
    """Gets the rest of a file; a connection that breaks off is made again as long as that brings something new."""
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(snapshot.repository, file.name, revision=snapshot.commit)
    failures = 0
    while (have := stream.tell()) < file.size:
        try:
            _receive_once(url, file.size, stream, bar)
        except (httpx.TransportError, _BusyError):
            failures = 0 if stream.tell() > have else failures + 1
            if failures == _TRIES:
                raise
            time.sleep(_PAUSE * 3**failures)


def _receive_once(url: str, size: int, stream: BinaryIO, bar: BytesBar) -> None:
    from huggingface_hub import constants, get_session, hf_raise_for_status
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    have = stream.tell()
    # Compressed content could be neither counted nor continued.
    headers = {**build_hf_headers(), "Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        if response.status_code in _BUSY:
            raise _BusyError(f"the server answers {response.status_code} for {url}")
        ignored = have and response.status_code == httpx.codes.OK
        ended = response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
        if ignored or ended:
            _empty(stream)
            bar.update(-have)
            have = 0
        if ended:  # the server's file is shorter than the published one
            raise _AlteredError(repr(url.rsplit("/", 1)[-1]))
        hf_raise_for_status(response)
        for chunk in response.iter_bytes():  # as they arrive: what is gathered is lost when the connection breaks
            stream.write(chunk[: size - have])
            have += len(chunk)
            bar.update(len(chunk))
            if have > size:
                raise _AlteredError(repr(url.rsplit("/", 1)[-1]))
    if have < size:
        raise httpx.RemoteProtocolError(f"the connection ended {size - have} bytes early")


def _empty(stream: BinaryIO) -> None:
    stream.seek(0)
    stream.truncate()


def _write_ref(snapshot: Snapshot) -> None:
    ref = snapshot.storage / "refs" / "main"
    ref.parent.mkdir(parents=True, exist_ok=True)
    draft = ref.with_name("main.gptoss.incomplete")
    draft.write_text(snapshot.commit, encoding="ascii")
    draft.replace(ref)


@contextmanager
def _explained(repository: str, wrong: CheckpointError | None) -> Iterator[None]:
    """Turns what the network and the hub complain about into errors that say what to do.

    Args:
        repository: What is fetched.
        wrong: Why what is cached of it cannot be used.
    """
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        yield
    except GatedRepoError as error:
        raise DownloadError(
            f"{repository!r} asks for an account on the hub: accept its terms there, then run `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(f"The hub has no model {repository!r}. Check the name, or pass a local folder.") from error
    except GptOssError:
        raise
    except (HfHubHTTPError, httpx.HTTPError, OSError, RuntimeError) as error:
        if wrong is not None and not isinstance(wrong, DamagedCheckpointError):
            raise wrong from error  # what is cached is whole and refused: that the hub is away matters less
        state = f"is cached, but not whole ({_first_sentence(wrong)})" if wrong else "is not cached"
        raise DownloadError(
            f"{repository!r} {state}, and the hub cannot be reached: {_first_line(error)} "
            "Connect to the network and try again, which goes on from what has arrived, or copy the checkpoint to "
            "this machine and pass its folder; model='demo' needs no hub."
        ) from error


def _first_sentence(error: BaseException) -> str:
    return re.split(r"\. (?=[A-Z])", str(error))[0]


def _first_line(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return line if line.endswith((".", "!")) else f"{line}."
