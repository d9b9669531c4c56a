"""Tools as harmony shows them to the model: a TypeScript namespace (openai/harmony guide, "Function calling").

The forms are those of `openai-harmony`: comments above a property, `// default:` behind it, the members of `oneOf` on
lines of their own. That library writes `anyOf`, `allOf`, `$ref`, `const` and maps as `any`, enums of numbers as
`number`, and drops the descriptions of most members and items. Here they keep their meaning, in the same forms.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.chat_formats.base import Tool
from langchain_gptoss.chat_formats.harmony.schema_reading import (
    get_only_member,
    is_nullable,
    is_object,
    join_parts,
    list_parts,
    list_properties,
    list_required,
    list_value_schemas,
)
from langchain_gptoss.chat_formats.json_schema import merge_reference, resolve_pointer

_SCALARS = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}
_UNIONS = ("oneOf", "anyOf")
_MAX_DEPTH = 32  # deeper levels become `any`
_MAX_REFERENCED_TYPES = 2000  # types written inside of references; further ones become `any`
_MAX_DESCRIPTION_DEPTH = 4  # such as the items of the items of a definition
_IDENTIFIER = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")


def write_namespace(tools: Sequence[Tool]) -> str:
    """Return the `# Tools` section of a prompt."""
    parts = ["# Tools\n\n## functions\n\nnamespace functions {\n"]
    for tool in tools:
        comment = "".join(f"// {line}\n" for line in tool.description.splitlines())
        parts.append(f"{comment}type {tool.name} = {_write_signature(tool)};\n")
    return "\n".join([*parts, "} // namespace functions"])


def _write_signature(tool: Tool) -> str:
    writer = _TypeWriter(tool.parameters)
    written = writer.write_root()
    if written.text in {"any", "{\n}"}:
        return "() => any"
    descriptions = writer.find_descriptions(tool.parameters)
    lines = [line for text in descriptions if text.strip() != tool.description.strip() for line in text.splitlines()]
    comment = "".join(f" // {line}\n" for line in lines).lstrip()
    if written.has_lines:
        return f"(_:{comment and ' '}{comment.rstrip()}{written.text}\n) => any"
    return f"(_: {comment}{written.text}) => any"


@dataclass(frozen=True, kw_only=True)
class _Type:
    """A TypeScript type.

    Attributes:
        text: The type. If it starts with a line break, it is a union with its members on lines of their own.
        operator: `"|"` or `"&"` if it is made of several types.
    """

    text: str
    operator: str = ""

    @property
    def has_lines(self) -> bool:
        """True for a union with its members on lines of their own, where comments may stand."""
        return self.text.startswith("\n")

    def write_part(self, indent: str, *, operators: str = "|&") -> str:
        """Return the type as a part of a larger one, in parentheses if it has one of the operators."""
        if self.has_lines:
            return f"({self.text}\n{indent[:-4]})"
        return f"({self.text})" if self.operator and self.operator in operators else self.text


_ANY = _Type(text="any")


class _TypeWriter:
    """Writer of the types of one schema.

    A definition that refers to itself is written once, with its name as a comment, and by its name in other places.
    `indent` is the indentation of the properties of an object, as in openai-harmony.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._open_references: list[str] = []
        self._recursive: set[str] = set()
        self._named: set[str] = set()
        self._referenced_types = 0

    def write_root(self) -> _Type:
        """Return the type of the whole schema."""
        return self._write_reference("#", self._root, "", 0)

    def find_descriptions(self, schema: Any) -> list[str]:
        """Return what describes a type: its own text, and those of its definition, its parts and its items."""
        return list(dict.fromkeys(self._iterate_descriptions(schema, 0)))

    def _write_type(self, schema: Any, indent: str, depth: int) -> _Type:
        if schema is False:
            return _Type(text="never")
        self._referenced_types += len(self._open_references) > 1
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH or self._referenced_types > _MAX_REFERENCED_TYPES:
            return _ANY
        if isinstance(reference := schema.get("$ref"), str):
            return self._write_reference(reference, merge_reference(schema, self._root), indent, depth)
        written = self._write_whole(schema, indent, depth)
        if not is_nullable(schema) or written == _ANY:
            return written
        if written.has_lines:
            return _Type(text=f"{written.text}\n{indent[:-4]} | null", operator="|")
        return _Type(text=f"{written.write_part(indent, operators='&')} | null", operator="|")

    def _write_reference(self, reference: str, target: Mapping[str, Any], indent: str, depth: int) -> _Type:
        if reference in self._named:
            return _Type(text=self._name_of(reference))
        if reference in self._open_references:
            if not is_object(target):
                return _ANY
            self._recursive.add(reference)
            return _Type(text=self._name_of(reference))
        self._open_references.append(reference)
        written = self._write_type(target, indent, depth)
        self._open_references.pop()
        if reference in self._recursive and written.text.startswith("{\n") and not written.operator:
            self._named.add(reference)
            return _Type(text=f"{{ // {self._name_of(reference)}{written.text[1:]}")
        return written

    def _name_of(self, reference: str) -> str:
        name = reference.rpartition("/")[2]
        if name in {"", "#"}:
            name = str(self._root.get("title") or "Arguments")
        return re.sub(r"\W+", "_", name)

    def _write_whole(self, schema: Mapping[str, Any], indent: str, depth: int) -> _Type:
        if isinstance(values := schema.get("enum"), list) and values:
            return _join_union([_Type(text=_write_literal(value)) for value in values], indent)
        if "const" in schema:
            return _Type(text=_write_literal(schema["const"]))
        if isinstance(schema.get("allOf"), list):
            parts = list_parts(schema, self._root)
            if (joined := join_parts(parts)) is not None:
                return self._write_whole(joined, indent, depth)
            return _join_intersection([self._write_type(part, indent, depth + 1) for part in parts], indent)
        unions = [key for key in _UNIONS if isinstance(schema.get(key), list) and schema[key]]
        if not unions:
            return self._write_plain(schema, indent, depth)
        own = self._write_whole(_drop(schema, *_UNIONS), indent, depth)
        written_unions = [self._write_union(schema, key, indent, depth) for key in unions]
        # Members without a type only add conditions, such as a list of required keys.
        types = [written for written, is_typed in written_unions if is_typed or own == _ANY]
        if not types or list_properties(schema):
            types.insert(0, own)
        return _join_intersection(types, indent)

    def _write_union(self, schema: Mapping[str, Any], key: str, indent: str, depth: int) -> tuple[_Type, bool]:
        """Return a union, with its members on lines if one of them has a comment; and True if all have a type."""
        members = schema[key]
        comments = [" ".join(" ".join(self._write_member_comments(member)).split()) for member in members]
        if key == "anyOf" and (get_only_member(schema) is not None or not any(comments)):
            types = [self._write_type(member, indent, depth + 1) for member in members]
            return _join_union(types, indent), _ANY not in types
        line = f"\n{indent[:-4]} | "
        inner_indent = f"{indent[:-4]}   "
        types = [self._write_type(member, inner_indent, depth + 1) for member in members]
        written = [
            line + _add_comment(member_type.write_part(inner_indent, operators="&"), comment)
            for member_type, comment in zip(types, comments, strict=True)
        ]
        return _Type(text="".join(dict.fromkeys(written)), operator="|"), _ANY not in types

    def _write_member_comments(self, member: Any) -> Iterator[str]:
        yield from self.find_descriptions(member)
        if "default" in (followed := self._follow(member)):
            yield f"default: {_write_default(followed)}"

    def _write_plain(self, schema: Mapping[str, Any], indent: str, depth: int) -> _Type:
        kind = schema.get("type")
        if isinstance(kind, list):
            return _join_union(
                [self._write_plain({**schema, "type": option}, indent, depth) for option in kind], indent
            )
        if is_object(schema):
            return self._write_object(schema, indent, depth)
        if kind == "array" or (kind is None and ("items" in schema or "prefixItems" in schema)):
            return _Type(text=self._write_array(schema, indent, depth))
        return _Type(text=_SCALARS.get(kind, "any") if isinstance(kind, str) else "any")

    def _write_array(self, schema: Mapping[str, Any], indent: str, depth: int) -> str:
        items = schema.get("items")
        first = schema.get("prefixItems", items)
        if isinstance(first, list):  # `items` was a list before JSON Schema 2020-12
            rest = schema.get("additionalItems") if first is items else items
            types = [self._write_type(item, indent, depth + 1).write_part(indent) for item in first]
            if isinstance(rest, Mapping):
                types.append(f"...{self._write_type(rest, indent, depth + 1).write_part(indent)}[]")
            return f"[{', '.join(types)}]"
        if "items" not in schema:
            return "Array<any>"
        return f"{self._write_type(items, indent, depth + 1).write_part(indent)}[]"

    def _write_object(self, schema: Mapping[str, Any], indent: str, depth: int) -> _Type:
        properties = list_properties(schema)
        values = list_value_schemas(schema)
        if not properties and values:
            value_type = _join_union([self._write_type(value, indent, depth + 1) for value in values], indent)
            return _Type(text=f"Record<string, {value_type.write_part(indent, operators='')}>")
        required = set(list_required(schema))
        lines = ["{"]
        for name, property_schema in properties.items():
            key = name if _IDENTIFIER.fullmatch(name) else _write_literal(name)
            lines += self._write_comments(name, property_schema, indent)
            lines += self._write_property(key if name in required else f"{key}?", property_schema, indent, depth)
        for value in values:
            lines += self._write_comments("", value, indent)
            lines += self._write_property("[key: string]", value, indent, depth)
        return _Type(text="\n".join([*lines, f"{indent}}}"]))

    def _write_property(self, key: str, schema: Any, indent: str, depth: int) -> Iterator[str]:
        written = self._write_type(schema, f"{indent}    ", depth + 1)
        schema = self._follow(schema)
        default = f"// default: {_write_default(schema)}" if "default" in schema else ""
        if written.has_lines:
            if default:
                yield f"{indent}{default}"
            yield f"{indent}{key}:{written.text}\n{indent},"
        else:
            yield f"{indent}{key}: {written.text},{default and ' '}{default}"

    def _follow(self, schema: Any) -> Mapping[str, Any]:
        """Return a schema with its reference replaced by the target; keys beside the reference override those of it."""
        for _ in range(_MAX_DESCRIPTION_DEPTH):
            if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
                schema = merge_reference(schema, self._root)
        return schema if isinstance(schema, Mapping) else {}

    def _write_comments(self, name: str, schema: Any, indent: str) -> Iterator[str]:
        lines = self._iterate_comments(name, schema) if isinstance(schema, Mapping) else ()
        return (f"{indent}// {line}" if line else f"{indent}//" for line in lines)

    def _iterate_comments(self, name: str, schema: Mapping[str, Any]) -> Iterator[str]:
        title = schema.get("title")
        # Pydantic makes a title of every name; such a title says nothing.
        if isinstance(title, str) and title.strip() and title != name.title().replace("_", " ").strip():
            yield from [*title.splitlines(), ""]
        for description in self.find_descriptions(schema):
            yield from description.splitlines()
        if isinstance(examples := schema.get("examples"), list) and examples:
            yield "Examples:"
            yield from (f"- {_write_literal(example)}" for example in examples)

    def _iterate_descriptions(self, schema: Any, depth: int) -> Iterator[str]:
        if not isinstance(schema, Mapping) or depth > _MAX_DESCRIPTION_DEPTH:
            return
        if isinstance(description := schema.get("description"), str) and description.strip():
            yield description
        parts = [resolve_pointer(self._root, schema["$ref"])] if isinstance(schema.get("$ref"), str) else []
        parts += schema["allOf"] if isinstance(schema.get("allOf"), list) else []
        for part in [*parts, get_only_member(schema)]:
            yield from self._iterate_descriptions(part, depth + 1)
        for label, part in _label_inner_schemas(schema):
            yield from (f"{label}: {text}" for text in self._iterate_descriptions(part, depth + 1))


def _label_inner_schemas(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the schemas of items and values, which have no line for a comment, with a word for each."""
    items = schema.get("items")
    first = schema.get("prefixItems", items)
    if isinstance(first, list):
        yield from ((f"Item {number}", item) for number, item in enumerate(first, start=1))
    if isinstance(items, Mapping):
        yield "Items", items
    if not list_properties(schema):
        yield from (("Values", value) for value in list_value_schemas(schema))


def _join_union(types: Sequence[_Type], indent: str) -> _Type:
    texts = list(dict.fromkeys(written.write_part(indent, operators="&") for written in types))
    if len(texts) == 1:
        return types[0]
    return _Type(text=" | ".join(texts), operator="|") if texts else _ANY


def _join_intersection(types: Sequence[_Type], indent: str) -> _Type:
    parts = [written for written in dict.fromkeys(types) if written != _ANY]
    if len(parts) < 2:
        return parts[0] if parts else _ANY
    return _Type(text=" & ".join(part.write_part(indent, operators="|") for part in parts), operator="&")


def _add_comment(written: str, comment: str) -> str:
    """Return a member of a union with its comment: behind the bracket that opens an object, else at the end."""
    if not comment:
        return written
    first, separator, rest = written.partition("\n")
    if not first.startswith("{") or not written.endswith("}"):
        return f"{written} // {comment}"
    return f"{first}{':' if '//' in first else ' //'} {comment}{separator}{rest}"


def _drop(schema: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}


def _write_literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _write_default(schema: Mapping[str, Any]) -> str:
    value = schema["default"]
    # openai-harmony writes the default of an enum of strings without quotes.
    is_word = isinstance(value, str) and schema.get("enum") and value.isprintable()
    return value if is_word else _write_literal(value)
