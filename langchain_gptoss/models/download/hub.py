"""Download of checkpoints from the model hub into the hub's own cache, where other programs find them too.

When `huggingface_hub` is interrupted, it discards the received part of a file, which may be gigabytes; it does not
compare the received content with its checksum, and it takes names in the cache from the server's answers. So this
module downloads files itself (see `hub_transfer`), checks every value that the hub gives (see `hub_metadata`), takes no
byte beyond the published size, and moves a file into the cache only if its checksum is the published one. `refs/main`,
which the cache needs for offline use, is written last: a model counts as cached only when it is complete.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from filelock import FileLock, Timeout

from langchain_gptoss._io import sync_to_disk, write_atomically
from langchain_gptoss._progress import ProgressBar, show_progress
from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError, DownloadError, GptOssError
from langchain_gptoss.models.download.cache_directory import require_free_space, translate_storage_errors
from langchain_gptoss.models.download.checksums import matches_checksum
from langchain_gptoss.models.download.hub_cache import PARTIAL_SUFFIX, RemoteFile, Snapshot
from langchain_gptoss.models.download.hub_metadata import check_commit, check_files, create_description_error
from langchain_gptoss.models.download.hub_transfer import HTTP_ERRORS, AlteredFileError, receive_file, truncate
from langchain_gptoss.models.safetensors_files import read_header

# Code and weights of other formats are never fetched, nor are folders: in the published repositories these contain the
# same weights for two other runtimes.
_FILE_PATTERNS = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")
_WEIGHTS_SUFFIX = ".safetensors"
_CACHE_VARIABLE = "HF_HOME"
_MAX_ATTEMPTS = 2
_LOCK_POLL_S = 0.5
_MAX_ERROR_LENGTH = 200

Check = Callable[[Path], object]


def fetch_from_hub(repository: str, *, check: Check, check_config: Check, repair: bool = False) -> Path:
    """Return a repository's folder in the hub's cache; fetch missing files first, with one progress bar.

    A complete cached model is returned without asking the hub. If another process fetches the same repository, this
    one waits for it. An interrupt keeps the received bytes.

    Args:
        repository: Hub id, `organisation/name`.
        check: Raises a `DamagedCheckpointError` if the files in a folder are incomplete.
        check_config: Raises a `CheckpointError` if this package cannot run the model of a folder's `config.json`. It is
            called before anything large is fetched.
        repair: True to compare every cached file with its published checksum first and to fetch altered files again.

    Raises:
        CheckpointError: The repository contains no checkpoint that this package can run.
        DownloadError: The model is not cached, or incompletely cached, and cannot be fetched.
        StorageError: The cache is full or cannot be written.
    """
    folder, problem = _find_cached(repository, check)
    if folder is not None and not repair:
        return folder
    with _translate_hub_errors(repository, problem):
        snapshot = _describe_repository(repository)
        with _lock_repository(snapshot):
            # Another process may have fetched it in the meantime.
            folder, _ = _find_cached(repository, check)
            if folder is not None and not repair:
                return folder
            _fetch_snapshot(snapshot, check_config, verify=repair)
    return snapshot.folder


def fetch_file_from_hub(repository: str, name: str, *, sha256: str | None = None) -> Path:
    """Return one file of a repository in the hub's cache, such as a GGUF file; fetch it first if it is missing.

    Args:
        repository: Hub id, `organisation/name`.
        name: Name of the file.
        sha256: Expected SHA-256 of its content; None takes the one that the hub publishes.

    Raises:
        DownloadError: The file is not cached and cannot be fetched, or has another SHA-256.
        StorageError: The cache is full or cannot be written.
    """
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repository, name)
    if isinstance(cached, str) and (sha256 is None or matches_checksum(Path(cached), sha256)):
        return Path(cached)
    with _translate_hub_errors(f"{repository}/{name}", None):
        snapshot = _describe_repository(repository, name)
        if sha256 is not None and snapshot.files[0].checksum != sha256:
            raise DownloadError(
                f"{name!r} of {repository!r} has the SHA-256 {snapshot.files[0].checksum[:12]}... on the hub, and "
                f"{sha256[:12]}... is expected: it is another file.",
                hint="Check the hub or mirror (HF_ENDPOINT).",
            )
        with _lock_repository(snapshot):
            _fetch_snapshot(snapshot, _accept, verify=False)
    return snapshot.folder / name


def _accept(_: Path) -> None:
    """Accept every folder: a single file has no configuration."""


def _find_cached(repository: str, check: Check) -> tuple[Path | None, CheckpointError | None]:
    """Return the cached folder if it can be used, or the problem with the cached files, if there are any."""
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
        raise DownloadError(f"{repository!r} cannot be a model on the hub: {_extract_first_line(error)}") from error
    return folder, None


def _describe_repository(repository: str, name: str | None = None) -> Snapshot:
    """Ask the hub for the newest commit of a repository and its files, or one of them."""
    from huggingface_hub import HfApi, constants

    try:
        info = HfApi().model_info(repository, files_metadata=True)
        needed = [sibling for sibling in info.siblings or [] if _is_needed(sibling.rfilename, name)]
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, HTTP_ERRORS):
            raise
        raise create_description_error(repository) from error
    commit, files = check_commit(repository, info.sha), check_files(repository, needed)
    if name is not None and not files:
        raise DownloadError(f"{repository!r} has no file {name!r} on the hub.", hint="Check the name.")
    if name is None and not any(file.name.endswith(_WEIGHTS_SUFFIX) for file in files):
        raise CheckpointError(
            f"{repository!r} has no *.safetensors files on the hub. Other weight files may be pickles, which can run "
            "code when they are opened, and are never fetched.",
            hint="Choose another model.",
        )
    storage = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    return Snapshot(repository=repository, commit=commit, files=files, storage=storage)


def _is_needed(name: str, wanted: str | None) -> bool:
    if wanted is not None:
        return name == wanted
    return "/" not in name and any(fnmatch(name, pattern) for pattern in _FILE_PATTERNS)


@contextmanager
def _lock_repository(snapshot: Snapshot) -> Iterator[None]:
    """Let one process at a time fetch a repository; the others wait and show its progress."""
    file = snapshot.storage.parent / ".locks" / snapshot.storage.name / "langchain-gptoss.lock"
    lock = FileLock(file)
    with translate_storage_errors(snapshot.storage.parent, setting=_CACHE_VARIABLE):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _wait_for_lock(lock, snapshot)
    try:
        yield
    finally:
        lock.release()


def _wait_for_lock(lock: FileLock, snapshot: Snapshot) -> None:
    present_bytes = snapshot.count_present_bytes()
    description = f"Waiting: another process fetches {snapshot.repository}"
    with show_progress(snapshot.total_bytes, description, done_bytes=present_bytes) as progress_bar:
        while True:
            try:
                lock.acquire(timeout=_LOCK_POLL_S)
            except Timeout:
                now_bytes = snapshot.count_present_bytes()
                progress_bar.update(now_bytes - present_bytes)
                present_bytes = now_bytes
            else:
                return


def _fetch_snapshot(snapshot: Snapshot, check_config: Check, *, verify: bool) -> None:
    with translate_storage_errors(snapshot.storage.parent, setting=_CACHE_VARIABLE):
        _remove_partial_files(snapshot)
        _remove_damaged_files(snapshot, verify=verify)
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                _fetch_config(snapshot, check_config)
                require_free_space(snapshot.storage, snapshot.count_missing_bytes(), setting=_CACHE_VARIABLE)
                _fetch_files(snapshot)
                break
            except AlteredFileError as error:
                if attempt == _MAX_ATTEMPTS:
                    raise DownloadError(
                        f"{error} of {snapshot.repository!r} arrived altered twice: its checksum is not the published "
                        "one. Both downloads were removed.",
                        hint="Check the proxy or mirror between this machine and the hub, then try again.",
                    ) from error
        refs = snapshot.storage / "refs"
        refs.mkdir(parents=True, exist_ok=True)
        write_atomically(refs / "main", snapshot.commit.encode("ascii"))


def _remove_partial_files(snapshot: Snapshot) -> None:
    """Remove partial files that an earlier commit of the repository left."""
    current = {snapshot.get_partial_path(file) for file in snapshot.files}
    for partial in (snapshot.storage / "blobs").glob(f"*{PARTIAL_SUFFIX}"):
        if partial not in current:
            partial.unlink()


def _remove_damaged_files(snapshot: Snapshot, *, verify: bool) -> None:
    """Remove cached files that differ from the published ones, so that they are fetched again."""
    for file in snapshot.files:
        paths = (snapshot.get_path(file), snapshot.get_blob_path(file))
        path = next((path for path in paths if path.exists()), None)
        # Without a file there may still be a broken link to remove.
        if path is None or not _is_intact(path, file, verify=verify):
            snapshot.remove_file(file)


def _is_intact(path: Path, file: RemoteFile, *, verify: bool) -> bool:
    if path.stat().st_size != file.size_bytes:
        return False
    if verify:
        with show_progress(file.size_bytes, f"Verifying {file.name}") as progress_bar:
            return matches_checksum(path, file.checksum, progress_bar)
    if not file.name.endswith(_WEIGHTS_SUFFIX):
        return matches_checksum(path, file.checksum)
    # Only the header is checked: hashing every shard would add a minute to each resumed download.
    try:
        read_header(path)
    except DamagedCheckpointError:
        return False
    return True


class _HiddenBar:
    """A progress bar that is not shown, for a file that is fetched before the bar of all files."""

    def update(self, n: int) -> None:
        """Do nothing."""

    def set_description(self, desc: str) -> None:
        """Do nothing."""


def _fetch_config(snapshot: Snapshot, check_config: Check) -> None:
    for file in snapshot.files:
        if file.name == "config.json":
            _fetch_file(snapshot, file, _HiddenBar())
    check_config(snapshot.folder)


def _fetch_files(snapshot: Snapshot) -> None:
    present_bytes = snapshot.count_present_bytes()
    description = f"Fetching {snapshot.repository}"
    with show_progress(snapshot.total_bytes, description, done_bytes=present_bytes) as progress_bar:
        for file in sorted(snapshot.files, key=lambda file: (file.name.endswith(_WEIGHTS_SUFFIX), file.name)):
            _fetch_file(snapshot, file, progress_bar)


def _fetch_file(snapshot: Snapshot, file: RemoteFile, progress_bar: ProgressBar) -> None:
    path = snapshot.get_path(file)
    if path.exists():
        return
    blob = snapshot.get_blob_path(file)
    if not blob.exists():
        _download_blob(snapshot, file, progress_bar)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.symlink_to(os.path.relpath(blob, path.parent))
    except (OSError, NotImplementedError):
        # Windows without the right to create links; the hub's client too then stores the file itself here.
        blob.replace(path)


def _download_blob(snapshot: Snapshot, file: RemoteFile, progress_bar: ProgressBar) -> None:
    from huggingface_hub import hf_hub_url

    partial = snapshot.get_partial_path(file)
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("ab") as stream:
        if stream.tell() > file.size_bytes:
            truncate(stream)
        url = hf_hub_url(snapshot.repository, file.name, revision=snapshot.commit)
        receive_file(url, file.size_bytes, stream, progress_bar)
    sync_to_disk(partial)
    if file.name.endswith(_WEIGHTS_SUFFIX):  # the others take no time
        progress_bar.set_description(f"Verifying {file.name}")
    if not matches_checksum(partial, file.checksum):
        partial.unlink()
        raise AlteredFileError(repr(file.name))
    partial.replace(snapshot.get_blob_path(file))
    progress_bar.set_description(f"Fetching {snapshot.repository}")


@contextmanager
def _translate_hub_errors(repository: str, problem: CheckpointError | None) -> Iterator[None]:
    """Raise errors of this package, with a hint, for errors of the network and the hub.

    Args:
        repository: Hub id of the fetched repository.
        problem: The reason why its cached files cannot be used.
    """
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    hub_errors: tuple[type[Exception], ...] = (*HTTP_ERRORS, HfHubHTTPError, OSError, RuntimeError)
    try:
        yield
    except GatedRepoError as error:
        raise DownloadError(
            f"{repository!r} asks for an account on the hub.",
            hint="Accept its terms there, then run `hf auth login`.",
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"The hub has no model {repository!r}.", hint="Check the name, or pass a local folder."
        ) from error
    except GptOssError:
        raise
    except hub_errors as error:
        if problem is not None and not isinstance(problem, DamagedCheckpointError):
            raise problem from error  # the cached files are complete and refused, so the hub could not help
        state = f"is cached, but not complete ({_extract_first_sentence(problem)})" if problem else "is not cached"
        raise DownloadError(
            f"{repository!r} {state}, and the hub cannot be reached: {_extract_first_line(error)}",
            hint="Connect to the network and try again, which continues the download, or copy the checkpoint to this "
            "machine and pass its folder; model='demo' needs no hub.",
        ) from error


def _extract_first_sentence(error: GptOssError) -> str:
    return re.split(r"\. (?=[A-Z])", error.message)[0].removesuffix(".")


def _extract_first_line(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:_MAX_ERROR_LENGTH]
    return line if line.endswith((".", "!")) else f"{line}."
