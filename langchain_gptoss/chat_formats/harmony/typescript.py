"""Tools as harmony shows them to the model: a TypeScript namespace (openai/harmony guide, "Function calling").

The renderer of `oss-harmony` turns `anyOf` and `$ref` into `any`, and integer enums into `number`. Here they keep their
meaning. In all other cases the text is the same.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_gptoss.chat_formats.base import Tool
from langchain_gptoss.chat_formats.json_schema import merge_reference

_SCALARS = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}
_MAX_DEPTH = 8  # deeper levels of a schema that refers to itself become `any`


def write_namespace(tools: Sequence[Tool]) -> str:
    """Return the `# Tools` section of a prompt."""
    parts = ["# Tools\n\n## functions\n\nnamespace functions {\n"]
    for tool in tools:
        comment = "".join(f"// {line}\n" for line in tool.description.splitlines())
        parts.append(f"{comment}type {tool.name} = {_write_signature(tool.parameters)};\n")
    return "\n".join([*parts, "} // namespace functions"])


def _write_signature(parameters: Mapping[str, Any]) -> str:
    writer = _TypeWriter(parameters)
    schema = writer.resolve(parameters)
    combinations = {"anyOf", "oneOf", "allOf"} & schema.keys()
    if (
        not schema.get("properties")
        and not combinations
        and not isinstance(schema.get("additionalProperties"), Mapping)
    ):
        return "() => any"
    return f"(_: {writer.write_type(parameters, indent='', depth=0)}) => any"


class _TypeWriter:
    """Writer of the types of one schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def resolve(self, schema: Any) -> Mapping[str, Any]:
        """Return a schema with its `$ref` followed; keys beside the reference override those of its target."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
                break
            schema = merge_reference(schema, self._root)
        return schema if isinstance(schema, Mapping) else {}

    def write_type(self, schema: Any, *, indent: str, depth: int) -> str:
        """Return a schema as a TypeScript type."""
        schema = self.resolve(schema)
        if depth > _MAX_DEPTH:
            return "any"
        if isinstance(values := schema.get("enum"), Sequence) and values:
            return " | ".join(_write_literal(value) for value in values)
        if "const" in schema:
            return _write_literal(schema["const"])
        for key, operator in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
            if isinstance(parts := schema.get(key), Sequence) and parts:
                types = [self.write_type(part, indent=indent, depth=depth + 1) for part in parts]
                return operator.join(dict.fromkeys(types))
        kind = schema.get("type")
        if isinstance(kind, list):
            types = [self.write_type({**schema, "type": option}, indent=indent, depth=depth) for option in kind]
            return " | ".join(dict.fromkeys(types))
        nullable = " | null" if schema.get("nullable") is True else ""
        return self._write_simple_type(kind, schema, indent, depth) + nullable

    def _write_simple_type(self, kind: Any, schema: Mapping[str, Any], indent: str, depth: int) -> str:
        if kind == "object" or (kind is None and "properties" in schema):
            return self._write_object(schema, indent, depth)
        if kind == "array" or (kind is None and "items" in schema):
            return self._write_array(schema, indent, depth)
        return _SCALARS.get(kind, "any") if isinstance(kind, str) else "any"

    def _write_array(self, schema: Mapping[str, Any], indent: str, depth: int) -> str:
        if isinstance(items := schema.get("prefixItems"), Sequence):
            return "[" + ", ".join(self.write_type(item, indent=indent, depth=depth + 1) for item in items) + "]"
        if not schema.get("items"):
            return "Array<any>"
        item_type = self.write_type(schema["items"], indent=indent, depth=depth + 1)
        is_combination = re.search(r"\} [|&] " if item_type.startswith("{") else " [|&] ", item_type)
        return f"({item_type})[]" if is_combination else f"{item_type}[]"

    def _write_object(self, schema: Mapping[str, Any], indent: str, depth: int) -> str:
        properties = schema.get("properties") or {}
        values = schema.get("additionalProperties")
        if not properties and isinstance(values, Mapping):
            return f"Record<string, {self.write_type(values, indent=indent, depth=depth + 1)}>"
        required = set(schema.get("required") or ())
        inner_indent = indent + "    " if depth else indent
        lines = ["{"]
        for name, property_schema in properties.items():
            lines += self._write_property(name, property_schema, name in required, inner_indent, depth)
        return "\n".join([*lines, f"{inner_indent}}}" if depth else "}"])

    def _write_property(
        self, name: str, property_schema: Any, is_required: bool, indent: str, depth: int
    ) -> Iterator[str]:
        schema = self.resolve(property_schema)
        for line in str(schema.get("description") or "").splitlines():
            yield f"{indent}// {line}"
        if isinstance(examples := schema.get("examples"), Sequence) and examples:
            yield f"{indent}// Examples:"
            yield from (f"{indent}// - {_write_literal(example)}" for example in examples)
        key = name if name.isidentifier() else json.dumps(name, ensure_ascii=False)
        property_type = self.write_type(schema, indent=indent, depth=depth + 1)
        default = f" // default: {_write_default(schema)}" if "default" in schema else ""
        yield f"{indent}{key}{'' if is_required else '?'}: {property_type},{default}"


def _write_literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _write_default(schema: Mapping[str, Any]) -> str:
    value = schema["default"]
    # The reference renderer writes the default of a string enum without quotes.
    return value if isinstance(value, str) and schema.get("enum") else _write_literal(value)
