"""Calibration of decisions: a temperature per kind of question, fitted on questions whose answers are known.

A model's probabilities are too sure of themselves, or not sure enough, and prefer yes or no whatever the text is. One
temperature, and for yes/no questions a bias, correct both without a change of the order of the answers
(Guo et al., "On Calibration of Modern Neural Networks", 2017).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from langchain_gptoss._io import write_atomically
from langchain_gptoss.decisions.prompts import PROMPT_VERSION
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.language_models.options import GptOssModel

FILE_VERSION = 1
_SAMPLE_BYTES = 1 << 20  # of the beginning and the end of a file of weights
_BUNDLED = ("demo-large",)  # names in the catalog; each has a file in this folder
_FIELD_BY_TYPE = {"noul": "noul_temperature", "choice": "choice_temperature", "score": "score_temperature"}


@dataclass(frozen=True, kw_only=True)
class DecisionCalibration:
    """Fitted numbers for one model.

    Attributes:
        model: Name of the model.
        model_digest: Digest of the model; see `compute_model_digest`.
        noul_temperature: Divides the log odds of yes/no questions; above 1 makes them less sure.
        noul_bias: Added to the log odds of yes after that.
        choice_temperature: Divides the log-probabilities of the answers of a `Choice`.
        score_temperature: Divides the log-probabilities of the levels of a `Score`.
        prompt_version: Version of the prompts with which it was fitted.
        provenance: Data, number of questions, and results on data that was not used for the fit.
    """

    model: str
    model_digest: str
    noul_temperature: float = 1.0
    noul_bias: float = 0.0
    choice_temperature: float = 1.0
    score_temperature: float = 1.0
    prompt_version: int = PROMPT_VERSION
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Raise an error that names the first invalid value."""
        for name in _FIELD_BY_TYPE.values():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise InvalidInputError(f"{name} is {value!r}; it must be a number above 0.")
        if not isinstance(self.noul_bias, int | float) or not math.isfinite(self.noul_bias):
            raise InvalidInputError(f"noul_bias is {self.noul_bias!r}; it must be a number.")

    def save(self, path: str | Path) -> None:
        """Write the calibration to a JSON file."""
        text = json.dumps({"version": FILE_VERSION, **asdict(self)}, indent=2, ensure_ascii=False)
        write_atomically(Path(path), f"{text}\n".encode())

    @classmethod
    def load(cls, path: str | Path) -> DecisionCalibration:
        """Read a calibration from a JSON file.

        Raises:
            InvalidInputError: The file cannot be read, or is no calibration of this version.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInputError(
                f"The calibration in {str(path)!r} cannot be read: {error}.", hint="Check the path, or fit it again."
            ) from error
        known = {entry.name for entry in fields(cls)}
        is_valid = isinstance(values, dict) and values.get("version") == FILE_VERSION
        if not is_valid or not {"model", "model_digest"} <= values.keys() <= known | {"version"}:
            raise InvalidInputError(
                f"{str(path)!r} is no calibration of version {FILE_VERSION}.", hint="Fit it again with this version."
            )
        return cls(**{name: value for name, value in values.items() if name != "version"})

    def check_model(self, digest: str) -> None:
        """Check that the calibration belongs to a model and to the prompts of this version.

        Raises:
            InvalidInputError: It does not.
        """
        if self.model_digest != digest:
            raise InvalidInputError(
                f"The calibration was fitted for {self.model!r}, and its digest differs from that of this model.",
                hint="Fit a calibration for this model with fit_calibration, or leave calibration out.",
            )
        if self.prompt_version != PROMPT_VERSION:
            raise InvalidInputError(
                f"The calibration was fitted for version {self.prompt_version} of the prompts, and this is version "
                f"{PROMPT_VERSION}.",
                hint="Fit it again with fit_calibration.",
            )


def calculate_probabilities(
    kind: str, logprobs: Sequence[float], calibration: DecisionCalibration | None = None
) -> list[float]:
    """Return the probabilities of the answers, which add up to 1.

    Args:
        kind: `"noul"` (yes is the first answer), `"choice"` or `"score"`.
        logprobs: Log-probability of each answer; they need not add up to anything.
        calibration: The model's calibration; None takes the model's own distribution.
    """
    temperature = 1.0 if calibration is None else getattr(calibration, _FIELD_BY_TYPE[kind])
    logits = [value / temperature for value in logprobs]
    if kind == "noul" and calibration is not None:
        logits[0] += calibration.noul_bias
    largest = max(logits)
    if largest == -math.inf:
        return [1 / len(logits)] * len(logits)
    weights = [math.exp(value - largest) for value in logits]
    return [weight / sum(weights) for weight in weights]


def find_bundled_calibration(llm: GptOssModel) -> DecisionCalibration | None:
    """Return the calibration that the package has for a model; None if it has none.

    The model is known by its name in the catalog. A folder, a fine-tune, an adapter, other experts and a model on a
    server are other models, whatever they are called.
    """
    is_own = llm.base_url is None and llm.adapter is None and llm.experts is None
    return load_bundled_calibration(llm.card.source) if is_own and llm.card.source in _BUNDLED else None


@lru_cache(maxsize=len(_BUNDLED))
def load_bundled_calibration(name: str) -> DecisionCalibration:
    """Return the calibration of a model in the catalog.

    Args:
        name: Name of the model.
    """
    with as_file(files("langchain_gptoss.decisions").joinpath(f"{name}.json")) as path:
        return DecisionCalibration.load(path)


def compute_model_digest(llm: GptOssModel) -> str:
    """Return a digest that tells models apart: a SHA-256 over a checkpoint's small files and parts of its weights.

    The weights are not read as a whole: the first and the last megabyte of each file differ between fine-tunes. A model
    on a server is known by its name only.
    """
    digest = hashlib.sha256()
    if llm.engine is not None or (llm.base_url is not None and not Path(llm.card.source).is_dir()):
        digest.update(llm.card.source.encode())
        return digest.hexdigest()
    names = ("config.json", "tokenizer.json", "chat_template.jinja")
    paths = [llm.checkpoint / name for name in names] + sorted(llm.checkpoint.glob("*.safetensors"))
    for path in (path for path in paths if path.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            file.seek(max(0, size - _SAMPLE_BYTES))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
