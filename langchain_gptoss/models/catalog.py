"""Catalog of the models that this package knows by name, and the lookup of any other checkpoint.

Shapes, contexts, licences and recommended sampling are taken from the published model cards and configurations.
"""

import difflib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from langchain_gptoss.errors import CheckpointError, ModelNotFoundError
from langchain_gptoss.models.shapes import SHAPES, Shape

ChatFormatName = Literal["harmony", "template", "plain"]
ToolFormatName = Literal["template", "prompt"]
"""`"template"`: the checkpoint's chat template shows the tools; `"prompt"`: our own prompt describes them."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Facts about a model that are known before anything is loaded.

    Attributes:
        name: Name that users type.
        source: A hub id such as `"openai/gpt-oss-20b"`, the absolute path of a folder, `"demo"` or `"demo-large"`.
        aliases: Other names of the model.
        chat_format: Format that turns messages into tokens; None means that the checkpoint's tokenizer decides.
        tool_format: How tools are shown to a model with a chat template, by measurement; None prefers the template if
            its notation of calls is recognized.
        context_length: Longest context, prompt and answer together, in tokens; None means that the checkpoint's config
            has it.
        parameters: Total number of weights; None if it is unknown.
        temperature: Recommended sampling temperature.
        licence: SPDX identifier; None for a user's own checkpoint.
        note: A sentence for users, such as the reason why a name means another model.
        languages: ISO 639-1 codes of the only languages that it can write; empty for models of many languages.
        shape: Sizes of the model; None means that only the checkpoint's config has them.
    """

    name: str
    source: str
    aliases: tuple[str, ...] = ()
    chat_format: ChatFormatName | None = None
    tool_format: ToolFormatName | None = None
    context_length: int | None = None
    parameters: int | None = None
    temperature: float = 1.0
    licence: str | None = None
    note: str = ""
    shape: Shape | None = None
    languages: tuple[str, ...] = ()


def _build_published_card(name: str, parameters: int, *, aliases: tuple[str, ...] = (), note: str = "") -> ModelCard:
    return ModelCard(
        name=name,
        source=f"openai/{name}",
        aliases=(f"openai/{name}", *aliases),
        chat_format="harmony",
        context_length=131_072,
        parameters=parameters,
        licence="Apache-2.0",
        note=note,
        shape=SHAPES[name.rsplit("-", 1)[1]],
    )


_SAFEGUARD_NOTE = "Classifies text by a policy in the prompt; it is not meant for general chat."

CATALOG: tuple[ModelCard, ...] = (
    ModelCard(
        name="demo",
        source="demo",
        chat_format="template",
        tool_format="prompt",  # its template has no tools
        context_length=8_192,
        parameters=134_515_008,
        temperature=0.0,
        licence="Apache-2.0",
        note="SmolLM2-135M-Instruct as a gpt_oss checkpoint: small, English, for trying things out.",
        shape=SHAPES["demo"],
        languages=("en",),
    ),
    ModelCard(
        name="demo-large",
        source="demo-large",
        chat_format="template",
        tool_format="template",  # 17 of 20 calls right; 7 with our prompt (benchmarks/tools.py)
        context_length=32_768,
        parameters=1_543_714_304,
        temperature=0.0,
        licence="Apache-2.0",
        note="Qwen2.5-Coder-1.5B-Instruct as a gpt_oss checkpoint: English and French; 1.1 GB to fetch once.",
        shape=SHAPES["demo-large"],
    ),
    _build_published_card("gpt-oss-20b", 20_910_000_000, aliases=("gpt-oss", "20b", "gpt-oss:20b")),
    _build_published_card("gpt-oss-120b", 116_830_000_000, aliases=("120b", "gpt-oss:120b")),
    _build_published_card("gpt-oss-safeguard-20b", 20_910_000_000, note=_SAFEGUARD_NOTE),
    _build_published_card("gpt-oss-safeguard-120b", 116_830_000_000, note=_SAFEGUARD_NOTE),
)

# An article described base models under these two names; neither is published (see docs/models.md).
_NOTE_3_6B = (
    "'gpt-oss-3.6b' is not published: 3.6 billion is the number of parameters that gpt-oss-20b activates per token, "
    "so this is gpt-oss-20b."
)
_MESSAGE_1_0B = (
    "'gpt-oss-1.0b' is a shape (a gpt_oss configuration of about 1.0 billion parameters), and no checkpoint of it is "
    "published."
)
_HINT_1_0B = "Pass the folder or the hub id of your own checkpoint, as in model='path/to/checkpoint'."
# Models with a similar name that cannot run here, by their names: what they are, and what to do.
_REFUSED_NAMES = (
    (
        re.compile(r".*gpt-oss-puzzle.*"),
        "has another architecture: its layers have different numbers of experts.",
        "Use 'gpt-oss-120b', from which it was made.",
    ),
    (
        re.compile(r".*privacy-filter.*"),
        "finds personal data: it labels tokens and generates no text.",
        "Use transformers' pipeline('token-classification').",
    ),
    (
        re.compile(r".*eagle-?3.*"),
        "is a draft head for speculative decoding, which is not supported yet.",
        "Use the model that it was trained for; 'gptoss serve' and ChatGptOss speculate without a draft head.",
    ),
    (
        re.compile(r"(gpt-oss-)?swallow"),
        "is a family of fine-tunes.",
        "Pass the hub id of one of them, as in model='organisation/name'.",
    ),
)
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_MAX_TEMPERATURE = 10.0
_MAX_SUGGESTIONS = 3
_SUGGESTION_CUTOFF = 0.5


def resolve_model(reference: str | Path) -> ModelCard:
    """Return the card for a name, a hub id, or a folder.

    Args:
        reference: A name or alias of the catalog (`"demo"`, `"gpt-oss-20b"`), an existing folder, or a hub id
            (`"organisation/name"`).

    Raises:
        ModelNotFoundError: No model has this name; the message suggests similar names.
        CheckpointError: The reference is a path, and there is no folder at that path.
    """
    text = str(reference)
    name = text.strip().lower()
    if name == "gpt-oss-1.0b":
        raise ModelNotFoundError(_MESSAGE_1_0B, hint=_HINT_1_0B)
    if name == "gpt-oss-3.6b":
        return replace(resolve_model("gpt-oss-20b"), name=name, note=_NOTE_3_6B)
    if not isinstance(reference, Path) and not Path(text).expanduser().exists():
        _refuse_similar_names(text)
    for card in CATALOG:
        if not isinstance(reference, Path) and (name == card.name or name in card.aliases):
            return card
    if isinstance(reference, Path) or Path(text).expanduser().exists() or _is_path(text):
        return _build_folder_card(Path(text).expanduser())
    if _HUB_ID.fullmatch(text):
        return ModelCard(name=text, source=text)
    raise _build_not_found_error(text)


def _refuse_similar_names(text: str) -> None:
    """Raise an error for the names of models that are known and cannot run."""
    for pattern, description, hint in _REFUSED_NAMES:
        if pattern.fullmatch(text.strip().lower()) and not _is_path(text):
            raise ModelNotFoundError(f"{text!r} {description}", hint=hint)


def _is_path(text: str) -> bool:
    """Return True if a text has the form of a path and not of a hub id."""
    return text.startswith((".", "/", "~", "\\")) or text.count("/") > 1 or bool(re.match(r"[A-Za-z]:[\\/]", text))


def _build_folder_card(folder: Path) -> ModelCard:
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "does not exist"
        raise CheckpointError(
            f"{str(folder)!r} {problem}.", hint="Pass the folder that holds config.json and the *.safetensors files."
        )
    return ModelCard(
        name=folder.resolve().name, source=str(folder.resolve()), temperature=_read_recommended_temperature(folder)
    )


def _read_recommended_temperature(folder: Path) -> float:
    """Return the temperature of a checkpoint's `generation_config.json`: 0 if it does not sample, by default 1."""
    try:
        config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        if config.get("do_sample") is False:
            return 0.0
        temperature = config.get("temperature", 1.0)
    except (OSError, ValueError, AttributeError, RecursionError):
        return 1.0  # if the file is damaged, loading the model says so
    is_number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    return float(temperature) if is_number and 0 <= temperature <= _MAX_TEMPERATURE else 1.0


def _build_not_found_error(text: str) -> ModelNotFoundError:
    names = [card.name for card in CATALOG] + ["gpt-oss-3.6b"]
    similar = difflib.get_close_matches(text.lower(), names, n=_MAX_SUGGESTIONS, cutoff=_SUGGESTION_CUTOFF) or names
    return ModelNotFoundError(
        f"No model is called {text!r}. Did you mean {', '.join(similar)}?",
        hint="A folder with a checkpoint or a hub id (organisation/name) works too.",
    )
