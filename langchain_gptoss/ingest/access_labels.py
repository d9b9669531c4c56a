"""Access labels of files: from their front matter, from a rules file in the folder, or the same for all.

A file whose labels cannot be understood gets none, so that nobody sees it, and a warning names it. It never falls back
to a rule or to the labels for all, which may be wider than its author wrote.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest.readers.markdown import FRONT_MATTER
from langchain_gptoss.ingest.sources import ACCESS_RULES, SourceFile
from langchain_gptoss.text.label_values import PUBLIC, describe_value, normalize_labels

RULES_FILE = ACCESS_RULES
"""Name of the file that labels the files of its folder and the folders below it."""
DEFAULT_FIELD = "access"
"""Metadata field with the labels of a document."""

_HEAD_BYTES = 65_536
_FENCES = {"---": ("---", "..."), "+++": ("+++",)}
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Options of labelling files.

    Attributes:
        field: Metadata field, and key in front matter, with the labels.
        labels: Labels of files that neither their front matter nor a rule labels.
    """

    field: str = DEFAULT_FIELD
    labels: tuple[str, ...] = ()


def create_label_options(field: str | None, labels: Sequence[str] | None) -> LabelOptions:
    """Return validated options; None means the default.

    Raises:
        InvalidInputError: The field is empty, or the labels are not a list of texts.
    """
    if field is not None and (not isinstance(field, str) or not field.strip()):
        raise InvalidInputError(f"access is {field!r}.", hint="Give the name of a metadata field, such as 'access'.")
    if isinstance(labels, str) or not all(isinstance(label, str) and label.strip() for label in labels or ()):
        raise InvalidInputError(f"labels is {labels!r}.", hint="Pass a list of texts, such as ['public'].")
    return LabelOptions(field=field or DEFAULT_FIELD, labels=tuple(label.strip() for label in labels or ()))


class Labeller:
    """Labels the documents of files.

    Args:
        options: How files are labelled.
        root: The folder up to which rules files are looked for; None for none.
    """

    def __init__(self, options: LabelOptions, root: Path | None = None) -> None:
        self._options = options
        self._root = root
        self._rules: dict[Path, Mapping[str, tuple[str, ...]]] = {}

    def describe(self, file: SourceFile | None) -> list[Any]:
        """Return what decides on the labels of a file besides its contents, as JSON values; empty by default."""
        given = self._find_given_labels(file)
        is_default = given is None and self._options.field == DEFAULT_FIELD
        return [] if is_default else [self._options.field, given]

    def label_documents(
        self, documents: Sequence[Document], file: SourceFile | None = None
    ) -> tuple[list[Document], list[str]]:
        """Return the documents of a file with their labels, and warnings as clauses without a full stop.

        Args:
            documents: The documents; their metadata or front matter may have labels.
            file: The file; None for documents of a LangChain loader, to which no rules apply.

        Raises:
            InvalidInputError: A rules file is invalid.
        """
        given, warnings = self._find_given_labels(file), []
        has_hidden_labels: bool | None = None
        labelled = []
        for document in documents:
            found, value = self._find_value(document.metadata)
            if not found:
                if has_hidden_labels is None:
                    has_hidden_labels = file is not None and self._has_unread_field(file.path)
                if has_hidden_labels:
                    warnings.append(
                        f"nobody may see it, because {self._options.field!r} in its front matter is no list"
                    )
                labels = [] if has_hidden_labels else given
            else:
                labels = normalize_labels(value)
                if labels is None:
                    labels = []
                    warnings.append(
                        f"nobody may see it, because {self._options.field!r} is {describe_value(value)} "
                        "and not a list of texts"
                    )
                elif odd := [label for label in labels if label != PUBLIC and label.lower() == PUBLIC]:
                    warnings.append(f"its label {odd[0]!r} is not {PUBLIC!r}: upper and lower case differ")
            metadata = document.metadata
            if labels is not None:
                metadata = {**metadata, self._options.field: list(labels)}
            labelled.append(Document(id=document.id, page_content=document.page_content, metadata=metadata))
        return labelled, list(dict.fromkeys(warnings))

    def _find_value(self, metadata: Mapping[str, Any]) -> tuple[bool, Any]:
        """Return whether a document has labels, and their value as it is written."""
        name = self._options.field
        if name in metadata:
            return True, metadata[name]
        front_matter = metadata.get(FRONT_MATTER)
        if isinstance(front_matter, Mapping):
            for key, value in front_matter.items():
                if str(key).casefold() == name.casefold():
                    return True, value
        return False, None

    def _has_unread_field(self, path: Path) -> bool:
        """Return True if a front matter that could not be read, or only in part, has the field.

        The reader drops empty and nested values, and leaves a block that is not valid in the text.
        """
        try:
            with path.open("rb") as file:
                data = file.read(_HEAD_BYTES)
        except OSError:
            return True
        encoding = "utf-16" if data.startswith(_UTF16_MARKS) else "utf-8-sig"
        lines = data.decode(encoding, "replace").lstrip().splitlines()
        endings = _FENCES.get(lines[0].strip()) if lines else None
        if endings is None:
            return False
        name = re.escape(self._options.field.partition(".")[0])
        key = re.compile(rf"""\s*["'\[]*{name}["'\]]*\s*(?:[:=.\]]|$)""", re.IGNORECASE)
        for line in lines[1:]:
            if line.strip() in endings:
                return False
            if key.match(line):
                return True
        return False

    def _find_given_labels(self, file: SourceFile | None) -> list[str] | None:
        """Return the labels of a file by the nearest rule that matches it, else those for all files, else None."""
        if file is not None and self._root is not None and file.path.is_relative_to(self._root):
            for folder in file.path.parents:
                path = file.path.relative_to(folder).as_posix()
                for pattern, labels in self._read_rules(folder).items():
                    if _matches_pattern(path, pattern):
                        return list(labels)
                if folder == self._root:
                    break
        return list(self._options.labels) or None

    def _read_rules(self, folder: Path) -> Mapping[str, tuple[str, ...]]:
        if folder not in self._rules:
            self._rules[folder] = read_rules(folder / RULES_FILE)
        return self._rules[folder]


def read_rules(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the rules in a file, labels by pattern, in their order; empty if there is no file.

    Raises:
        InvalidInputError: The file cannot be read, or is invalid. Nothing is indexed then: a rule that is not
            understood might have restricted a file.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInputError(f"The access rules in {path} cannot be read: {error}.", hint=_RULES_HINT) from error
    table = values.get("labels")
    if set(values) != {"labels"} or not isinstance(table, Mapping):
        raise InvalidInputError(f"{path} must have one table [labels].", hint=_RULES_HINT)
    rules = {}
    for pattern, value in table.items():
        labels = None if isinstance(value, Mapping) else normalize_labels(value)
        if labels is None or not pattern.strip("/ "):
            raise InvalidInputError(f"{path}: {json.dumps(pattern)} is {describe_value(value)}.", hint=_RULES_HINT)
        rules[pattern] = tuple(labels)
    return rules


_RULES_HINT = 'Write [labels], and below it lines such as "hr/**" = ["hr"]. The first pattern that fits a file decides.'


def _matches_pattern(path: str, pattern: str) -> bool:
    """Return True if a relative path fits a pattern: `*` is any text without a slash, `**` any folders.

    A pattern without a slash fits names in every folder, and one that names a folder fits all files in it.
    """
    pattern = pattern.strip().removeprefix("./").lstrip("/")
    parts = path.split("/")
    wanted = pattern.rstrip("/").split("/")
    if len(wanted) == 1 and not pattern.endswith("/") and wanted != ["**"]:
        return any(fnmatchcase(part, wanted[0]) for part in parts)
    return _match_parts(parts, wanted)


def _match_parts(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    # One row of the usual table for patterns with "**"; recursion would take exponential time.
    reachable = {0}
    for part in parts:
        following = set()
        for index in _skip_double_stars(reachable, wanted):
            if index == len(wanted):
                following.add(index)  # the pattern named a folder above this part
            elif wanted[index] == "**":
                following.add(index)
            elif fnmatchcase(part, wanted[index]):
                following.add(index + 1)
        reachable = following
    return len(wanted) in _skip_double_stars(reachable, wanted)


def _skip_double_stars(indices: set[int], wanted: Sequence[str]) -> set[int]:
    reached = set(indices)
    for index in sorted(indices):
        while index < len(wanted) and wanted[index] == "**":
            index += 1
            reached.add(index)
    return reached
