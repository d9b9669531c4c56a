"""`PrivacyFilter`: finds names and addresses with a token-classification model on this machine.

Made for openai/privacy-filter, a model with the architecture of gpt-oss that labels personal data. Every
token-classification model of transformers with a fast tokenizer works. Nothing is downloaded, and no code or pickle of
the model's folder runs.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_gptoss._process import ForkGuard
from langchain_gptoss._progress import silence_transformers_bars
from langchain_gptoss.audit.span_decoding import Span, SpanDecoder, merge_spans, split_label
from langchain_gptoss.errors import CheckpointError, InvalidInputError, ModelNotFoundError

LABELS = {"private_person": "person", "private_address": "address"}
"""Kinds by the labels of openai/privacy-filter that are masked by default; patterns find the others."""
_WINDOW_TOKENS, _OVERLAP_TOKENS = 2048, 512
_MIN_WINDOW_TOKENS = 8
_SURROGATE = re.compile("[\ud800-\udfff]")  # tokenizers refuse them


class PrivacyFilter:
    """Finds personal data by its meaning; pass it to `Masker(detectors=[...])`.

    Example:
        .. code-block:: python

            masker = Masker(detectors=[PrivacyFilter.load("openai/privacy-filter")])
            AuditLog("audit.jsonl", mask=masker)
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, labels: Mapping[str, str] = LABELS, window_tokens: int | None = None
    ) -> None:
        """Use a model and a tokenizer that are loaded.

        Args:
            model: A token-classification model of transformers.
            tokenizer: Its fast tokenizer.
            labels: The kinds in the placeholders by the labels of the model, without prefixes such as `B-`. Other
                labels are not masked.
            window_tokens: Longest text at once, in tokens; longer ones are read in overlapping windows. None uses
                2,048, or less if the model reads less.

        Raises:
            InvalidInputError: The model has none of these labels, a kind is not a word, or the window is too small.
            CheckpointError: The tokenizer reports no positions in the text.
        """
        names = [model.config.id2label[index] for index in range(len(model.config.id2label))]
        known = {split_label(name)[1] for name in names} - {""}
        if unknown := [label for label in labels if label not in known]:
            raise InvalidInputError(
                f"The model has no label {unknown[0]!r}.",
                hint=f"Pass labels= with some of {', '.join(sorted(known))}, such as {{'PER': 'person'}}.",
            )
        if odd := [kind for kind in labels.values() if not re.fullmatch(r"[a-z][a-z_]{0,30}", kind)]:
            raise InvalidInputError(f"{odd[0]!r} cannot name a kind.", hint="Use lower-case letters, such as 'person'.")
        if not getattr(tokenizer, "is_fast", False):
            raise CheckpointError(
                "The tokenizer does not report positions in the text.", hint="Use a model with a tokenizer.json."
            )
        self._model, self._tokenizer, self._labels = model.eval(), tokenizer, dict(labels)
        self._window = _choose_window(model, tokenizer, window_tokens)
        self._decoder = SpanDecoder(names)
        self._fork_guard = ForkGuard()

    @classmethod
    def load(
        cls,
        model: str | Path = "openai/privacy-filter",
        *,
        labels: Mapping[str, str] = LABELS,
        device: str = "cpu",
        window_tokens: int | None = None,
    ) -> "PrivacyFilter":
        """Load a model from a folder, or by its hub id from the cache of this machine.

        Args:
            model: A folder, or the id of a model that was downloaded before.
            labels: As in the class.
            device: `"cpu"`, or another device of torch.
            window_tokens: As in the class.

        Raises:
            ModelNotFoundError: The model is not on this machine.
            CheckpointError: Its files are damaged, or it is another kind of model.
            InvalidInputError: An argument is invalid.
        """
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            with silence_transformers_bars():
                tokenizer = AutoTokenizer.from_pretrained(model, **options)
                network, report = AutoModelForTokenClassification.from_pretrained(
                    model, **options, dtype="auto", use_safetensors=True, output_loading_info=True
                )
        except Exception as error:  # transformers and tokenizers raise many kinds on damaged files
            raise _create_load_error(model, error) from error
        if missing := sorted(report["missing_keys"]):
            raise CheckpointError(
                f"{str(model)!r} has no weights for {missing[0]!r}: it is not a trained token-classification model.",
                hint="Use openai/privacy-filter, or another model for token classification.",
            )
        return cls(network.to(device), tokenizer, labels=labels, window_tokens=window_tokens)

    def find_spans(self, text: str) -> list[Span]:
        """Return the personal data in a text, in order and without overlaps.

        Args:
            text: Any text.

        Raises:
            CheckpointError: The model computes values that are not numbers.
            GptOssForkError: This process was forked after the model was loaded.
        """
        self._fork_guard.check("This privacy filter")
        if not any(character.isalpha() for character in text):
            return []
        scores, offsets = self._compute_scores(_SURROGATE.sub("\ufffd", text))
        spans = self._decoder.decode(scores, offsets) if len(offsets) else []
        kept = [
            Span(start=span.start, end=span.end, label=self._labels[span.label])
            for span in spans
            if span.label in self._labels
        ]
        return merge_spans(text, kept)

    def _compute_scores(self, text: str) -> tuple[Any, list[tuple[int, int]]]:
        """Return the log probabilities of the labels of all tokens, and the positions of the tokens.

        The scores of a token in two windows are those of the window in which it is farther from an edge.
        """
        import numpy

        size = self._window - self._tokenizer.num_special_tokens_to_add()
        overlap = min(_OVERLAP_TOKENS, size // 2)
        encoded = self._tokenizer(
            text,
            truncation=True,
            max_length=self._window,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            split_special_tokens=True,
        )
        scores: list[Any] = []
        offsets: list[tuple[int, int]] = []
        for number, token_ids in enumerate(encoded["input_ids"]):
            is_text = [not special for special in encoded["special_tokens_mask"][number]]
            window_offsets = [
                offset for offset, keep in zip(encoded["offset_mapping"][number], is_text, strict=True) if keep
            ]
            if not window_offsets:
                continue
            window_scores = self._run_model(token_ids)[numpy.array(is_text)]
            skipped = overlap // 2 if number else 0
            if number:  # replace the end of the window before
                dropped = overlap - skipped
                scores[-1] = scores[-1][: len(scores[-1]) - dropped]
                del offsets[len(offsets) - dropped :]
            scores.append(window_scores[skipped:])
            offsets += window_offsets[skipped:]
        return (numpy.concatenate(scores) if scores else numpy.zeros((0, 0))), offsets

    def _run_model(self, token_ids: Sequence[int]) -> Any:
        import torch

        ids = torch.tensor([list(token_ids)], device=self._model.device)
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].float()
        if not bool(torch.isfinite(logits).all()):
            raise CheckpointError(
                "The privacy filter computes values that are not numbers.", hint="Copy or download the model again."
            )
        return torch.log_softmax(logits, dim=-1).cpu().numpy()


def _choose_window(model: Any, tokenizer: Any, window_tokens: int | None) -> int:
    limits = [getattr(model.config, "max_position_embeddings", None), getattr(tokenizer, "model_max_length", None)]
    longest = min(limit for limit in (*limits, _WINDOW_TOKENS) if isinstance(limit, int) and limit > 0)
    window = longest if window_tokens is None else window_tokens
    if window_tokens is not None and window_tokens < _MIN_WINDOW_TOKENS:
        raise InvalidInputError(f"window_tokens is {window_tokens}.", hint=f"It is at least {_MIN_WINDOW_TOKENS}.")
    return window


def _create_load_error(model: str | Path, error: Exception) -> Exception:
    name = str(model)
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if not Path(name).is_dir() and isinstance(error, OSError | ValueError):
        return ModelNotFoundError(
            f"The model {name!r} is not on this machine: there is no such folder, and it is not in the hub's cache.",
            hint=f"Download it once with: hf download {name}",
        )
    return CheckpointError(
        f"The privacy filter {name!r} cannot be loaded: {reason}", hint="Copy or download its files again."
    )
