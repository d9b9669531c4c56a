"""Where an answer's model comes from: its name, revision, licence and checksum, as far as this machine knows them.

Nothing is fetched, loaded or hashed for it. OpenAI's usage policy for gpt-oss asks its users to comply with all
applicable law (https://github.com/openai/gpt-oss/blob/main/USAGE_POLICY), and the Apache License 2.0, section 4, asks
whoever passes a model on to keep its licence and notices; the provenance line names both.
"""

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.catalog import ModelCard
from langchain_gptoss.models.download import checksums

_POLICY = "https://github.com/openai/gpt-oss/blob/main/USAGE_POLICY"
_PUBLISHERS = {"openai": "OpenAI"}
_DEMO = "SmolLM2-135M-Instruct (Hugging Face), Apache-2.0, converted into a gpt_oss checkpoint"
_SAMPLING = ("temperature", "top_p", "top_k", "seed", "max_tokens", "stop", "reasoning_effort")


def provenance(model: Any) -> dict[str, Any]:
    """Returns where a chat model comes from.

    Args:
        model: A `ChatGptOss`; of any other LangChain chat model what it tells of itself, and of a `ModelCard` what
            needs no checkpoint. A model that is bound to options is looked through.

    Returns:
        `id`, `revision`, `licence`, `checksum`, `checksum_of`, `quantization`, `device`, `provider`, and `line`, the
        sentence for people; None stands for what is not known. `checksum` is the SHA-256 over the SHA-256 of the files
        (`checksum_of` is `"files"`), or of the package that the demo model came in (`"package"`).
    """
    model = _unbound(model)
    card = model if isinstance(model, ModelCard) else getattr(model, "card", None)
    if not isinstance(card, ModelCard):
        return _of_another(model)
    server = getattr(model, "base_url", None)
    folder = None if server else _folder(card, model)
    known = dict(_of_folder(str(folder))) if folder is not None else {}
    if card.source == "demo" and not server:
        from langchain_gptoss.models.demo_assets import MODEL

        known |= {"revision": MODEL.wheel.version, "checksum": MODEL.wheel.sha256, "checksum_of": "package"}
    values = {
        "id": card.source if not Path(card.source).is_absolute() else card.name,
        "revision": known.get("revision"),
        "licence": card.licence,
        "checksum": known.get("checksum"),
        "checksum_of": known.get("checksum_of"),
        "quantization": known.get("quantization"),
        "device": _device(model),
        "provider": f"server {_without_credentials(server)}" if server else "this machine",
    }
    return values | {"line": _line(card, values["revision"])}


def sampling(model: Any) -> dict[str, Any]:
    """Returns how a chat model samples, as far as it tells."""
    model = _unbound(model)
    values = {name: value for name in _SAMPLING if (value := getattr(model, name, None)) is not None}
    if "temperature" not in values and (told := _told(model).get("ls_temperature")) is not None:
        values["temperature"] = told
    return values


def _unbound(model: Any) -> Any:
    for _ in range(10):
        if (inner := getattr(model, "bound", None)) is None:
            break
        model = inner
    return model


def _told(model: Any) -> Mapping[str, Any]:
    ask = getattr(model, "_get_ls_params", None)
    if ask is None:
        return {}
    try:
        return dict(ask())
    except Exception:  # a model of others, asked for what an answer can do without
        return {}


def _of_another(model: Any) -> dict[str, Any]:
    told = _told(model)
    kind = type(model).__name__
    provider = str(told.get("ls_provider") or kind)
    name = str(told.get("ls_model_name") or getattr(model, "model_name", None) or getattr(model, "model", None) or kind)
    unknown = dict.fromkeys(("revision", "licence", "checksum", "checksum_of", "quantization", "device"))
    line = f"Built with {name}, by way of {provider}; its licence and terms are those of its publisher"
    return {"id": name, **unknown, "provider": provider, "line": line}


def _line(card: ModelCard, revision: str | None) -> str:
    if card.source == "demo":
        return f"Built with {_DEMO}"
    owner = card.source.split("/")[0] if "/" in card.source and not Path(card.source).is_absolute() else None
    whose = f" ({_PUBLISHERS.get(owner, owner)})" if owner else ""
    licence = card.licence or "under the licence of its publisher"
    at = f", revision {revision[:12]}" if revision else ""
    policy = f"; usage policy: {_POLICY}" if owner == "openai" else ""
    name = card.source.split("/")[1] if owner else card.name
    return f"Built with {name}{whose}, {licence}{at}{policy}"


def _folder(card: ModelCard, model: Any) -> Path | None:
    """Returns where the checkpoint lies, if it is here; None where it would have to be fetched first."""
    loaded = getattr(model, "__dict__", {}).get("checkpoint")
    if isinstance(loaded, Path):
        return loaded
    if card.source == "demo":
        from langchain_gptoss.models.demo_assets import MODEL

        return MODEL.path if MODEL.path.is_dir() else None
    if Path(card.source).is_absolute():
        return Path(card.source)
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(card.source, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def _of_folder(folder: str) -> Mapping[str, Any]:
    try:
        changed = os.stat(Path(folder) / "config.json").st_mtime_ns
    except OSError:
        return {}
    return _read_folder(folder, changed)


@functools.lru_cache(maxsize=32)
def _read_folder(folder: str, changed: int) -> Mapping[str, Any]:
    place = Path(folder)
    known: dict[str, Any] = {"quantization": _quantization(place)}
    if place.parent.name == "snapshots":  # of the hub's cache, where a folder has the name of its revision
        known["revision"] = place.name
    if digest := _digest(place):
        known |= {"checksum": digest, "checksum_of": "files"}
    return known


def _quantization(folder: Path) -> str | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        how = config.get("quantization_config")
        name = how.get("quant_method") if isinstance(how, dict) else config.get("dtype") or config.get("torch_dtype")
    except (OSError, ValueError, AttributeError):
        return None
    return str(name) if name else None


def _digest(folder: Path) -> str | None:
    """Returns one SHA-256 for all files, of those that the hub's cache or a file `SHA256SUMS` states."""
    try:
        found = checksums.read_checksums(folder)
    except (OSError, CheckpointError):
        return None
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(found.items()))
    return hashlib.sha256(listed.encode()).hexdigest() if found else None


def _device(model: Any) -> str | None:
    """Returns where the model runs, if it is loaded or was told."""
    engine = getattr(model, "__dict__", {}).get("running_engine")
    device = getattr(engine, "device", None) or getattr(model, "device", None)
    return str(device) if device is not None else None


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url
