"""The models that this package knows by name, and how any other checkpoint is found.

Shapes, contexts, licences and recommended sampling are those of the published model cards and configurations.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from langchain_gptoss.errors import CheckpointError, ModelNotFoundError
from langchain_gptoss.models.shapes import SHAPES, Shape

ChatFormatName = Literal["harmony", "template", "plain"]


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of a model before a byte of it is loaded.

    Attributes:
        name: The name users type.
        source: A hub id such as `"openai/gpt-oss-20b"`, a folder, or `"demo"`.
        aliases: Other names that resolve to it.
        chat_format: How messages become tokens; None means: look at the checkpoint's tokenizer.
        context_length: Prompt and answer together, in tokens; None means: see the checkpoint's config.
        parameters: Total number of weights; None where it is not known beforehand.
        temperature: Recommended sampling temperature.
        licence: SPDX identifier, or None where it is the user's own checkpoint.
        note: A sentence that users should read, such as why a name answers with another model.
        shape: Its size in parts; None where only the checkpoint's config knows it.
    """

    name: str
    source: str
    aliases: tuple[str, ...] = ()
    chat_format: ChatFormatName | None = None
    context_length: int | None = None
    parameters: int | None = None
    temperature: float = 1.0
    licence: str | None = None
    note: str = ""
    shape: Shape | None = None


def _published(name: str, parameters: int, *, aliases: tuple[str, ...] = (), note: str = "") -> ModelCard:
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


_SAFEGUARD = "Classifies text by a policy that is given in the prompt; it is not meant for general chat."

CATALOG: tuple[ModelCard, ...] = (
    ModelCard(
        name="demo",
        source="demo",
        chat_format="template",
        context_length=8_192,
        parameters=134_515_008,
        temperature=0.0,
        licence="Apache-2.0",
        note="SmolLM2-135M-Instruct as a gpt_oss checkpoint: small, English, for trying things out.",
        shape=SHAPES["demo"],
    ),
    _published("gpt-oss-20b", 20_910_000_000, aliases=("gpt-oss", "20b", "gpt-oss:20b")),
    _published("gpt-oss-120b", 116_830_000_000, aliases=("120b", "gpt-oss:120b")),
    _published("gpt-oss-safeguard-20b", 20_910_000_000, note=_SAFEGUARD),
    _published("gpt-oss-safeguard-120b", 116_830_000_000, note=_SAFEGUARD),
)

# Two names under which an article described base models; neither is published (see docs/models.md).
_NOTE_3_6B = (
    "'gpt-oss-3.6b' is not published: 3.6 billion is the number of parameters that gpt-oss-20b activates per token, "
    "so this is gpt-oss-20b."
)
_NO_1_0B = (
    "'gpt-oss-1.0b' is a shape (a gpt_oss configuration of about 1.0 billion parameters), and no checkpoint of it is "
    "published. Pass the folder or the hub id of a checkpoint of your own, as in model='path/to/checkpoint'."
)


def resolve_model(reference: str | Path) -> ModelCard:
    """Returns the card for a name, a hub id, or a folder.

    Args:
        reference: A catalogued name or alias (`"demo"`, `"gpt-oss-20b"`), an existing folder, or a hub id
            (`"organisation/name"`).

    Raises:
        ModelNotFoundError: Nothing answers to it; the nearest names are suggested.
        CheckpointError: It is a path, and there is no folder at that path.
    """
    text = str(reference)
    name = text.strip().lower()
    if name == "gpt-oss-1.0b":
        raise ModelNotFoundError(_NO_1_0B)
    if name == "gpt-oss-3.6b":
        card = resolve_model("gpt-oss-20b")
        return ModelCard(**{**card.__dict__, "name": name, "note": _NOTE_3_6B})
    for card in CATALOG:
        if not isinstance(reference, Path) and (name == card.name or name in card.aliases):
            return card
    if isinstance(reference, Path) or Path(text).expanduser().exists() or _looks_like_a_path(text):
        return _folder_card(Path(text).expanduser())
    if re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", text):
        return ModelCard(name=text, source=text)
    raise ModelNotFoundError(_unknown(text))


def _looks_like_a_path(text: str) -> bool:
    return text.startswith((".", "/", "~", "\\")) or text.count("/") > 1 or bool(re.match(r"[A-Za-z]:[\\/]", text))


def _folder_card(folder: Path) -> ModelCard:
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "not there"
        raise CheckpointError(
            f"{str(folder)!r} is {what}. Pass the folder that holds config.json and the *.safetensors files."
        )
    return ModelCard(name=folder.resolve().name, source=str(folder.resolve()))


def _unknown(text: str) -> str:
    names = [card.name for card in CATALOG] + ["gpt-oss-3.6b"]
    near = difflib.get_close_matches(text.lower(), names, n=3, cutoff=0.5) or names
    return (
        f"No model is called {text!r}. Did you mean {', '.join(near)}? "
        "A folder with a checkpoint or a hub id (organisation/name) works too."
    )
