"""Tools as harmony shows them to the model: a TypeScript namespace (openai/harmony guide, "Function calling").

The `oss-harmony` renderer turns `anyOf` and `$ref` into `any` and integer enums into `number`; here they keep their
meaning. Where it is right, the text is the same.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_gptoss.chat_formats.base import Tool

_SCALARS = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}
_DEEPEST = 8  # where a schema refers to itself, the type becomes `any` here


def namespace(tools: Sequence[Tool]) -> str:
    """Returns the `# Tools` section for some functions."""
    parts = ["# Tools\n\n## functions\n\nnamespace functions {\n"]
    for tool in tools:
        comment = "".join(f"// {line}\n" for line in tool.description.splitlines())
        parts.append(f"{comment}type {tool.name} = {_signature(tool.parameters)};\n")
    return "\n".join([*parts, "} // namespace functions"])


def _signature(parameters: Mapping[str, Any]) -> str:
    writer = _Writer(parameters)
    schema = writer.resolved(parameters)
    joined = {"anyOf", "oneOf", "allOf"} & schema.keys()
    if not schema.get("properties") and not joined and not isinstance(schema.get("additionalProperties"), Mapping):
        return "() => any"
    return f"(_: {writer.written(parameters, indent='', depth=0)}) => any"


class _Writer:
    """Writes the types of one schema, whose definitions it knows."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def resolved(self, schema: Any) -> Mapping[str, Any]:
        """Returns a schema with its `$ref` followed; what stands beside the reference wins."""
        seen = 0
        while isinstance(schema, Mapping) and isinstance(reference := schema.get("$ref"), str) and seen < _DEEPEST:
            target: Any = self._root
            for key in reference.removeprefix("#").strip("/").split("/"):
                key = key.replace("~1", "/").replace("~0", "~")
                target = target.get(key, {}) if isinstance(target, Mapping) and key else target
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**(target if isinstance(target, Mapping) else {}), **beside}
            seen += 1
        return schema if isinstance(schema, Mapping) else {}

    def written(self, schema: Any, *, indent: str, depth: int) -> str:
        """Returns a schema as a TypeScript type."""
        schema = self.resolved(schema)
        if depth > _DEEPEST:
            return "any"
        if isinstance(values := schema.get("enum"), Sequence) and values:
            return " | ".join(_literal(value) for value in values)
        if "const" in schema:
            return _literal(schema["const"])
        for key, joint in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
            if isinstance(options := schema.get(key), Sequence) and options:
                types = [self.written(option, indent=indent, depth=depth + 1) for option in options]
                return joint.join(dict.fromkeys(types))
        kind = schema.get("type")
        if isinstance(kind, list):
            types = [self.written({**schema, "type": one}, indent=indent, depth=depth) for one in kind]
            return " | ".join(dict.fromkeys(types))
        nullable = " | null" if schema.get("nullable") is True else ""
        return self._simple(kind, schema, indent, depth) + nullable

    def _simple(self, kind: Any, schema: Mapping[str, Any], indent: str, depth: int) -> str:
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(schema, indent, depth)
        if kind == "array" or (kind is None and "items" in schema):
            return self._array(schema, indent, depth)
        return _SCALARS.get(kind, "any") if isinstance(kind, str) else "any"

    def _array(self, schema: Mapping[str, Any], indent: str, depth: int) -> str:
        if isinstance(places := schema.get("prefixItems"), Sequence):
            return "[" + ", ".join(self.written(place, indent=indent, depth=depth + 1) for place in places) + "]"
        if not schema.get("items"):
            return "Array<any>"
        item = self.written(schema["items"], indent=indent, depth=depth + 1)
        joined = re.search(r"\} [|&] " if item.startswith("{") else " [|&] ", item)
        return f"({item})[]" if joined else f"{item}[]"

    def _object(self, schema: Mapping[str, Any], indent: str, depth: int) -> str:
        properties = schema.get("properties") or {}
        values = schema.get("additionalProperties")
        if not properties and isinstance(values, Mapping):
            return f"Record<string, {self.written(values, indent=indent, depth=depth + 1)}>"
        required = set(schema.get("required") or ())
        inner = indent + "    " if depth else indent
        lines = ["{"]
        for name, described in properties.items():
            lines += self._property(name, described, name in required, inner, depth)
        return "\n".join([*lines, f"{inner}}}" if depth else "}"])

    def _property(self, name: str, described: Any, required: bool, indent: str, depth: int) -> Iterator[str]:
        schema = self.resolved(described)
        for line in str(schema.get("description") or "").splitlines():
            yield f"{indent}// {line}"
        if isinstance(examples := schema.get("examples"), Sequence) and examples:
            yield f"{indent}// Examples:"
            yield from (f"{indent}// - {_literal(example)}" for example in examples)
        key = name if name.isidentifier() else json.dumps(name, ensure_ascii=False)
        kind = self.written(schema, indent=indent, depth=depth + 1)
        default = f" // default: {_default(schema)}" if "default" in schema else ""
        yield f"{indent}{key}{'' if required else '?'}: {kind},{default}"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _default(schema: Mapping[str, Any]) -> str:
    value = schema["default"]
    # The reference renderer shows the default of an enum of strings without quotes.
    return value if isinstance(value, str) and schema.get("enum") else _literal(value)
