"""Downloads: an imitated hub whose descriptions, commits and contents are hostile."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from huggingface_hub import constants

from langchain_gptoss.errors import GptOssError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.checkpoint import locate_checkpoint
from langchain_gptoss.models.download import hub_transfer
from scripts.attack.report import Report
from tests.integration_tests.models.hub_server import REPOSITORY, SHARDS, Hub, describe_files, write_checkpoint

AREA = "downloads"
_VICTIM = "mine"
_MAX_STORED_BYTES = 20_000_000
_EXCESS = b" " * 50_000_000

_NAMES = (
    "../victim", "../../victim", "..\\victim", "/tmp/victim", "C:victim", "a/../../victim", "a\x00b", "a\nb", ".", "..",
    "", "a" * 5000, 5, None, ["a"], {"a": 1}, "CON", "~/victim", "file:victim", "\u202evictim",
)  # fmt: skip
_SIZES = ("x", 1.5, -1, None, 2**70, True, [], {}, float("inf"), "19")
_CHECKSUMS = ("../../victim", "/etc/passwd", "", "g" * 40, "0" * 39, "0" * 41, 5, None, ["0" * 40], "0" * 39 + "\n")
_COMMITS = ("../../../victim", "main", "", "g" * 40, "0" * 39, "/etc", "0" * 39 + "\n", "..", "refs/heads/main")

Change = Callable[[dict[str, Any]], Any]


def attack_downloads(report: Report, rng: random.Random, share: float, folder: Path) -> None:
    """Fetch a model from hostile hubs."""
    attempts = _list_descriptions()
    rng.shuffle(attempts)
    with _imitate_hub(folder) as hub:
        _fetch(report, hub, folder, "an honest description", is_honest=True)
        for name, change in attempts[: max(round(len(attempts) * share), 3)]:
            hub.describe = lambda change=change: [_alter(sibling, change) for sibling in describe_files(hub.files)]
            _fetch(report, hub, folder, name)
        hub.describe = lambda: describe_files(hub.files)
        commit = hub.commit
        for hub.commit in _COMMITS[: max(round(len(_COMMITS) * share), 2)]:
            _fetch(report, hub, folder, f"the commit {hub.commit!r}")
        hub.commit = commit
        _send_other_contents(report, hub, folder)


def _list_descriptions() -> list[tuple[str, dict[str, Any]]]:
    """Return changes of the description of one file, each with its name."""
    fields: list[tuple[str, dict[str, Any]]] = [
        (f"the name {str(name)[:40]!r}", {"rfilename": name}) for name in _NAMES
    ]
    fields += [(f"the size {size!r}", {"size": size}) for size in _SIZES]
    fields += [(f"the Git id {value!r}", {"blobId": value}) for value in _CHECKSUMS]
    for value in _CHECKSUMS:
        fields.append((f"the SHA-256 {value!r}", {"lfs": {"size": 10, "sha256": value, "pointerSize": 1}}))
    for lfs in ("text", 5, [], {"size": "x", "sha256": "0" * 64}, {"size": -1, "sha256": "0" * 64}):
        fields.append((f"the storage {lfs!r}", {"lfs": lfs}))
    return fields


def _alter(sibling: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    return {**sibling, **(change if sibling["rfilename"] == "config.json" else {})}


def _send_other_contents(report: Report, hub: Hub, folder: Path) -> None:
    """Send more, less or other bytes than announced."""
    published = dict(hub.files)
    hub.describe = lambda: describe_files(published)
    for name in ("generation_config.json", "tokenizer.json", SHARDS[0]):
        content = published[name]
        contents = {"more": content + _EXCESS, "less": content[:-5], "other": content[:-1] + b"\x00", "no": b""}
        for kind, sent in contents.items():
            hub.files = {**published, name: sent}
            _fetch(report, hub, folder, f"{kind} bytes of {name}", published=published)
    hub.files = published


def _fetch(
    report: Report,
    hub: Hub,
    folder: Path,
    attempt: str,
    *,
    is_honest: bool = False,
    published: Mapping[str, bytes] | None = None,
) -> None:
    """Fetch the model; the outcome must be the published files, or an error of this package and nothing outside."""
    cache = Path(constants.HF_HUB_CACHE)
    place: Path | None = None
    try:
        place = locate_checkpoint(resolve_model(REPOSITORY))
        outcome = "loaded"
    except GptOssError as error:
        outcome = type(error).__name__
    except Exception as error:
        report.check(AREA, False, f"{attempt}: {type(error).__name__}: {error}")
        return
    expected = published or hub.files
    is_right = place is None or all(
        (place / name).is_file() and (place / name).read_bytes() == content for name, content in expected.items()
    )
    report.check(AREA, is_right and (place is not None or not is_honest), f"{attempt}: {outcome}, wrong files")
    report.check(AREA, _is_untouched(folder, cache), f"{attempt}: {outcome}, files outside of the cache changed")
    stored = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file() and not path.is_symlink())
    report.check(AREA, stored < _MAX_STORED_BYTES, f"{attempt}: {stored:,} bytes are stored")
    _remove_tree(cache)


def _is_untouched(folder: Path, cache: Path) -> bool:
    outside = [path for path in folder.rglob("*") if path.is_file() and cache not in path.parents]
    names = {path.relative_to(folder).parts[0] for path in outside}
    return (folder / "victim").read_text() == _VICTIM and names == {"victim", "published"}


def _remove_tree(cache: Path) -> None:
    for path in sorted(cache.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@contextmanager
def _imitate_hub(folder: Path) -> Iterator[Hub]:
    """Yield a hub that the client of this process uses, with a cache in a folder."""
    (folder / "victim").write_text(_VICTIM)
    hub = Hub(write_checkpoint(folder / "published", weights_per_shard=20_000))
    cache = folder / "cache" / "hub"
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    values = {"HF_HUB_CACHE": str(cache), "ENDPOINT": hub.url, "HUGGINGFACE_CO_URL_TEMPLATE": template}
    with ExitStack() as stack:
        stack.callback(hub.close)
        for name, value in {**values, "HF_HUB_DISABLE_XET": True, "HF_HUB_OFFLINE": False}.items():
            stack.enter_context(patch.object(constants, name, value))
        stack.enter_context(patch.object(hub_transfer, "_FIRST_PAUSE_S", 0.0))
        yield hub
