"""Operations on JSON schemas: follow references, forbid properties that a schema does not name."""

from collections.abc import Mapping
from typing import Any

_MAX_REFERENCES = 8
_DEFINITION_KEYS = {"$defs", "definitions"}
_DATA_KEYS = {"default", "const", "enum", "examples"}
_OPEN_KEYS = {"additionalProperties", "patternProperties", "allOf", "unevaluatedProperties"}


def resolve_pointer(root: Any, reference: str) -> Mapping[str, Any]:
    """Return the schema at a local reference such as `"#/$defs/City"`; an empty schema if nothing is there."""
    target = root
    for escaped in reference.removeprefix("#").strip("/").split("/"):
        key = escaped.replace("~1", "/").replace("~0", "~")
        target = target.get(key, {}) if isinstance(target, Mapping) and key else target
    return target if isinstance(target, Mapping) else {}


def merge_reference(schema: Mapping[str, Any], root: Any) -> Mapping[str, Any]:
    """Return the target of the schema's `$ref`, overridden by the keys beside the reference."""
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**resolve_pointer(root, schema["$ref"]), **beside}


def can_be_object(schema: Mapping[str, Any]) -> bool:
    """Return False if the schema's type, after its references, excludes objects."""
    for _ in range(_MAX_REFERENCES):
        kind = schema.get("type")
        if kind is not None:
            return "object" in (kind if isinstance(kind, list) else [kind])
        if not isinstance(schema.get("$ref"), str) or not schema["$ref"].startswith("#/"):
            return schema.keys() != {"not"} or bool(schema["not"])
        schema = merge_reference(schema, schema)
    return True


def forbid_unnamed_properties(schema: Any) -> Any:
    """Return a schema whose objects hold only the properties that it names, unless it says otherwise.

    A schema with a joined `allOf` is returned unchanged, because each of its parts names some of the properties only.
    """
    return schema if _has_joined_parts(schema) else _forbid_unnamed_properties(schema)


def _has_joined_parts(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(_has_joined_parts(item) for item in schema)
    if not isinstance(schema, Mapping):
        return False
    parts = schema.get("allOf")
    return (isinstance(parts, list) and len(parts) > 1) or any(_has_joined_parts(item) for item in schema.values())


def _forbid_unnamed_properties(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_forbid_unnamed_properties(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {
        key: value
        if key in _DATA_KEYS
        else {name: _forbid_unnamed_properties(item) for name, item in value.items()}
        if key in {"properties", *_DEFINITION_KEYS} and isinstance(value, Mapping)
        else _forbid_unnamed_properties(value)
        for key, value in schema.items()
    }
    if schema.get("properties") and not _OPEN_KEYS & schema.keys():
        closed["additionalProperties"] = False
    return closed
