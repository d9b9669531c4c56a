"""Views of JSON schemas for their TypeScript form: properties, map values, joined parts, optional values."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_gptoss.chat_formats.json_schema import merge_reference

_OTHER_KINDS = {"enum", "const", "anyOf", "oneOf", "items", "prefixItems"}


def is_object(schema: Mapping[str, Any]) -> bool:
    """Return True if the values of a schema are objects."""
    kind = schema.get("type")
    if kind is None:
        return "properties" in schema or bool(list_value_schemas(schema))
    return bool(kind == "object")


def is_nullable(schema: Mapping[str, Any]) -> bool:
    """Return True if a schema allows null by OpenAPI's `nullable` only."""
    if schema.get("nullable") is not True:
        return False
    unions = [schema[key] for key in ("anyOf", "oneOf") if isinstance(schema.get(key), list)]
    members = [member for union in unions for member in union if isinstance(member, Mapping)]
    kinds = [schema.get("type"), *(member.get("type") for member in members)]
    values = schema.get("enum")
    return not any(kind == "null" or (isinstance(kind, list) and "null" in kind) for kind in kinds) and not (
        isinstance(values, list) and None in values
    )


def list_properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schemas of the properties by name."""
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def list_required(schema: Mapping[str, Any]) -> list[str]:
    """Return the names of the properties that must be there."""
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def list_value_schemas(schema: Mapping[str, Any]) -> list[Any]:
    """Return the schemas of the values that an object may hold under further names; True allows any value."""
    patterns = schema.get("patternProperties")
    values = [*patterns.values()] if isinstance(patterns, Mapping) else []
    further = schema.get("additionalProperties")
    is_open = further is True and not list_properties(schema) and not values
    return [*values, further] if isinstance(further, Mapping) or is_open else values


def get_only_member(schema: Mapping[str, Any]) -> Any:
    """Return the member of an `anyOf` that has only null beside it; None if there are more, or null is described."""
    members = schema.get("anyOf")
    if not isinstance(members, list):
        return None
    others = [member for member in members if member != {"type": "null"}]
    return others[0] if len(others) == 1 else None


def list_parts(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the parts of an `allOf`, those of nested ones, and last the schema itself without them."""
    return _list_parts(schema, root, ())


def _list_parts(schema: Any, root: Mapping[str, Any], open_references: Sequence[str]) -> list[Mapping[str, Any]]:
    if not isinstance(schema, Mapping):
        return []
    if isinstance(reference := schema.get("$ref"), str):
        if reference in open_references:
            return []
        return _list_parts(merge_reference(schema, root), root, (*open_references, reference))
    members = schema["allOf"] if isinstance(schema.get("allOf"), list) else []
    parts = [part for member in members for part in _list_parts(member, root, open_references)]
    return [*parts, {key: value for key, value in schema.items() if key != "allOf"}]


def join_parts(parts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return one schema for parts that all must hold; None if more than one of them is not a plain object."""
    joined: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    required: list[str] = []
    for part in parts:
        if _OTHER_KINDS & part.keys() and any(_OTHER_KINDS & other.keys() for other in parts if other is not part):
            return None
        for name, value in list_properties(part).items():
            earlier = properties.get(name)
            if isinstance(earlier, Mapping) and isinstance(value, Mapping):
                value = {**earlier, **value}
            properties[name] = value
        required += list_required(part)
        joined.update(part)
    if properties:
        joined["properties"] = properties
    if required:
        joined["required"] = required
    return joined
