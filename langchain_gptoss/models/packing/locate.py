"""Decides whether a checkpoint is packed before it is used, and finds the packed one in the cache."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError, InvalidInputError
from langchain_gptoss.models.catalog import CATALOG, ModelCard
from langchain_gptoss.models.checkpoint import locate_checkpoint
from langchain_gptoss.models.conversion.rounding import BLOCK
from langchain_gptoss.models.download.cache_directory import cache_directory
from langchain_gptoss.models.packing.adapter import CONFIG_FILE, WEIGHTS_FILE, LoraAdapter
from langchain_gptoss.models.packing.pack import VERSION, Storage, pack_checkpoint
from langchain_gptoss.models.packing.source import PackingSource
from langchain_gptoss.models.shapes import Shape

FOLDER = "packed"
"""The folder of packed checkpoints, in the cache folder."""

# Unpacked experts of this size are packed unless the user asks for `experts="unpacked"`. Smaller models fit into most
# machines in bfloat16 or int8, and lose more by four bits.
AUTOMATIC_BYTES = 8_000_000_000
_STORAGES: dict[str, Storage] = {"packed": "mxfp4", "int4": "int4", "int8": "int8", "unpacked": "bf16"}
_DIGEST_LENGTH = 16
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class Packing:
    """A packed checkpoint in the cache, which may not exist yet.

    Attributes:
        source: The checkpoint that it is made from.
        adapter: The adapter that is merged, or None.
        storage: How its experts are stored.
        folder: Its folder.
        description: What it is made from, as JSON.
    """

    source: PackingSource
    adapter: LoraAdapter | None
    storage: Storage
    folder: Path
    description: dict[str, Any]


def locate_model(card: ModelCard, *, adapter: str | Path | None = None, experts: str | None = None) -> Path:
    """Return the folder of the checkpoint that is loaded for a model; fetch and pack it first if that is missing.

    Args:
        card: The model.
        adapter: A LoRA adapter that is merged: a folder or a hub id; or None.
        experts: `"packed"` packs experts that are unpacked into MXFP4, `"int4"` and `"int8"` into these, and
            `"unpacked"` does not; None packs those of large models into MXFP4.

    Raises:
        CheckpointError: A checkpoint or an adapter is damaged, or they do not fit together.
        DownloadError: A file is not cached and cannot be fetched.
        InvalidInputError: int4 or int8 was asked for experts that have four bits already.
        StorageError: The disk is full or read-only.
    """
    folder = locate_checkpoint(card)
    packing = plan_packing(card, folder, adapter=adapter, experts=experts)
    if packing is None:
        return folder
    pack_checkpoint(
        packing.source,
        packing.folder,
        storage=packing.storage,
        description=packing.description,
        adapter=packing.adapter,
    )
    return packing.folder


def plan_packing(
    card: ModelCard, folder: Path, *, adapter: str | Path | None = None, experts: str | None = None
) -> Packing | None:
    """Return how a checkpoint is packed before it is used, or None if it is used as it is.

    Args:
        card: The model.
        folder: Its checkpoint.
        adapter: See `locate_model`.
        experts: See `locate_model`.

    Raises:
        CheckpointError: The checkpoint or the adapter is damaged, or they do not fit together.
        DownloadError: The adapter is not cached and cannot be fetched.
    """
    source = PackingSource(folder)
    if (experts, source.experts) in {("int8", "mxfp4"), ("int8", "int4"), ("int4", "mxfp4")}:
        stored = "MXFP4" if source.experts == "mxfp4" else "int4"
        raise InvalidInputError(
            f"experts is {experts!r}, but {str(folder)!r} has its experts in {stored}: in {experts} they would be "
            "larger and no better.",
            hint="Leave it out.",
        )
    storage = choose_storage(source.shape, experts)
    # Some trainers unpack the experts and leave MXFP4 in the configuration.
    is_consistent = source.experts in {"int4", "int8"} or (source.experts == "mxfp4") == (
        source.shape.checkpoint_experts == "mxfp4"
    )
    if adapter is None and is_consistent and (source.experts != "unpacked" or storage == "bf16"):
        return None
    source.check_tensors()
    lora = None
    if adapter is not None:
        lora = LoraAdapter(locate_adapter(adapter), source.shape)
        _check_base(card, source, lora)
    description = {
        "version": VERSION,
        "model": card.name,
        "experts": storage,
        "checkpoint": source.describe(),
        "adapter": lora.describe() if lora is not None else None,
    }
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:_DIGEST_LENGTH]
    name = re.sub(r"[^\w.-]", "--", card.name)
    target = cache_directory() / FOLDER / f"{name}-{digest}"
    return Packing(source=source, adapter=lora, storage=storage, folder=target, description=description)


def choose_storage(shape: Shape, experts: str | None) -> Storage:
    """Return how a packed checkpoint stores its experts.

    Args:
        shape: Sizes of the checkpoint.
        experts: See `locate_model`.

    Raises:
        InvalidInputError: There is no such choice.
    """
    if experts is not None:
        if experts not in _STORAGES:
            choices = ", ".join(map(repr, _STORAGES))
            raise InvalidInputError(f"experts is {experts!r}.", hint=f"Use one of {choices}, or leave it out.")
        return _STORAGES[experts]
    if shape.checkpoint_experts in {"int4", "int8"}:
        return "int4" if shape.checkpoint_experts == "int4" else "int8"
    has_blocks = shape.hidden_size % BLOCK == 0 and shape.intermediate_size % BLOCK == 0
    is_large = 2 * shape.expert_weights >= AUTOMATIC_BYTES
    return "mxfp4" if shape.checkpoint_experts == "mxfp4" or (has_blocks and is_large) else "bf16"


def get_planned_experts(experts: str | None) -> str | None:
    """Return the choice that is left for the planner after packing: a checkpoint in int4 or int8 is used as it is.

    Args:
        experts: See `locate_model`.
    """
    return None if experts in {"int4", "int8"} else experts


def locate_adapter(reference: str | Path) -> Path:
    """Return the folder of an adapter; fetch its two files from the hub if they are missing.

    Args:
        reference: A folder or a hub id.

    Raises:
        CheckpointError: There is no such folder.
        DownloadError: A file is not cached and cannot be fetched.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if isinstance(reference, Path) or not _HUB_ID.fullmatch(reference):
        raise CheckpointError(
            f"There is no adapter {str(reference)!r}.", hint=f"Pass a folder that holds {CONFIG_FILE}, or a hub id."
        )
    from langchain_gptoss.models.download.hub import fetch_file_from_hub

    fetch_file_from_hub(reference, CONFIG_FILE)
    return fetch_file_from_hub(reference, WEIGHTS_FILE).parent


def _check_base(card: ModelCard, source: PackingSource, adapter: LoraAdapter) -> None:
    """Check by names that an adapter was trained on a model; models of the same sizes differ in nothing else."""
    if adapter.base is None:
        return
    base = _find_published_name(adapter.base)
    own = _find_published_name(card.source) or _find_published_name(str(source.config.get("_name_or_path", "")))
    if base is not None and own is not None:
        is_same = base == own
    else:  # a folder may have any name
        is_same = not (_HUB_ID.fullmatch(adapter.base) and _HUB_ID.fullmatch(card.source))
    if is_same or adapter.base in {card.source, card.name, *card.aliases}:
        return
    raise CheckpointError(
        f"The adapter {str(adapter.folder)!r} was trained on {adapter.base!r}, and the model is {card.source!r}.",
        hint=f"Use model={adapter.base!r}, or if both are the same model, write its name into {CONFIG_FILE}.",
    )


def _find_published_name(name: str) -> str | None:
    """Return the published model that a name contains: `"unsloth/gpt-oss-20b-BF16"` contains `"gpt-oss-20b"`."""
    published = (card.name for card in CATALOG if card.source.startswith("openai/"))
    found = [each for each in published if each in name.lower()]
    return max(found, key=len, default=None)
