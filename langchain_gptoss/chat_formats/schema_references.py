"""References within one JSON schema: pointers, anchors, and identifiers of embedded schemas."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from langchain_gptoss.chat_formats.schema_dialects import DATA_KEYS, SCHEMA_MAP_KEYS

Schema = Mapping[str, Any] | bool


class ReferenceResolver:
    """Finds the targets of the references in one schema; other documents are never fetched."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        """Read the identifiers and anchors of the schema.

        Args:
            root: The schema; it must not change while the resolver is used.
        """
        self._documents: dict[str, Mapping[str, Any]] = {"": root}
        self._anchors: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._bases: dict[int, str] = {}
        self._scan(root, "")

    def _scan(self, root: Mapping[str, Any], base: str) -> None:
        pending: list[tuple[Any, str]] = [(root, base)]
        while pending:
            node, base = pending.pop()
            if isinstance(node, list):
                pending += [(item, base) for item in node]
            if not isinstance(node, Mapping):
                continue
            base = self._register(node, base)
            for key, value in node.items():
                if key in SCHEMA_MAP_KEYS and isinstance(value, Mapping):
                    pending += [(item, base) for item in value.values()]
                elif key not in DATA_KEYS:
                    pending.append((value, base))

    def _register(self, node: Mapping[str, Any], base: str) -> str:
        identifier = node.get("$id")
        if isinstance(identifier, str):
            document, anchor = urldefrag(_join(base, identifier))
            if anchor:
                self._anchors[document, anchor] = node
            else:
                base = document
                self._documents[base] = node
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(name := node.get(key), str):
                self._anchors[base, name] = node
        self._bases[id(node)] = base
        return base

    def resolve(self, node: Mapping[str, Any]) -> Schema | None:
        """Return the target of the node's `$ref`; None if it is not in this schema."""
        document, fragment = urldefrag(_join(self._bases.get(id(node), ""), node["$ref"]))
        target = self._documents.get(document)
        if target is None or not fragment:
            return target
        if fragment.startswith("/"):
            return _follow_pointer(target, unquote(fragment))
        return self._anchors.get((document, unquote(fragment)))


def _join(base: str, reference: str) -> str:
    if reference.startswith("#"):  # urljoin does not join fragments to a URN
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


def _follow_pointer(root: Any, pointer: str) -> Schema | None:
    target = root
    for escaped in pointer.split("/")[1:]:
        key = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(target, Mapping) and key in target:
            target = target[key]
        elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
            target = target[int(key)]
        else:
            return None
    return target if isinstance(target, Mapping | bool) else None
