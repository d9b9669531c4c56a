"""JSON schemas of older drafts and of other notations, read as JSON Schema 2020-12.

Tools come from OpenAPI (`nullable`), Gemini (`"type": "OBJECT"`), Python (`"type": "dict"`) and drafts 3 to 7.
Every other module reads one dialect only.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

SCHEMA_MAP_KEYS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
SCHEMA_LIST_KEYS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
SCHEMA_KEYS = frozenset(
    {"items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"}
    | {"unevaluatedProperties", "unevaluatedItems", "contentSchema"}
)
DATA_KEYS = frozenset({"default", "const", "enum", "examples", "example"})
# Keywords whose value must be a number; another value is ignored, as an unknown keyword is.
_NUMBER_KEYS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"}
    | {"minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"}
)
_TYPE_NAMES = {
    **{name: name for name in ("object", "array", "string", "number", "integer", "boolean", "null")},
    **{"dict": "object", "hashmap": "object", "struct": "object"},
    **{"list": "array", "tuple": "array", "set": "array"},
    **{"str": "string", "char": "string"},
    **{"float": "number", "double": "number", "decimal": "number"},
    **{"int": "integer", "int32": "integer", "int64": "integer", "long": "integer"},
    **{"bool": "boolean", "none": "null", "nonetype": "null"},
}
_COUNT_KEYS = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"}
)
_OLD_DRAFT = re.compile(r"draft-0[3467]")


def update_schema(schema: Any) -> dict[str, Any]:
    """Return a schema in the dialect of JSON Schema 2020-12; a schema in this dialect is returned unchanged in content.

    Boolean schemas become `{}` and `{"not": {}}`. Names of types that JSON Schema does not have are translated, or left
    out if they mean any value. Keywords with a value of the wrong kind are left out.
    """
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    if not isinstance(schema, Mapping):
        return {}
    is_old = bool(_OLD_DRAFT.search(str(schema.get("$schema") or "")))
    modern = _update(schema, is_old)
    if not isinstance(modern, dict):
        return {}
    modern.pop("$schema", None)
    return modern


def _update(schema: Any, is_old: bool) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    if is_old and isinstance(schema.get("$ref"), str):
        # Up to draft 7, keywords beside a reference are ignored. Definitions and annotations are harmless.
        kept = {"$ref", "$defs", "definitions", "description", "title", "default", "examples", "$id", "$schema"}
        schema = {key: value for key, value in schema.items() if key in kept}
    modern = {key: _update_value(key, value, is_old) for key, value in schema.items()}
    for convert in _CONVERSIONS:
        convert(modern)
    if is_old and isinstance(modern.get("id"), str):
        modern.setdefault("$id", modern.pop("id"))
    if modern.pop("nullable", None) is True:
        modern = _allow_null(modern)
    return modern


def _update_value(key: str, value: Any, is_old: bool) -> Any:
    if key in DATA_KEYS:
        return value
    if key in SCHEMA_MAP_KEYS and isinstance(value, Mapping):
        return {name: _update(item, is_old) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_update(item, is_old) for item in value]
    if key == "dependencies" and isinstance(value, Mapping):
        return {name: _update(item, is_old) for name, item in value.items()}
    # Mappings below unknown keys may hold schemas that a reference names, as "components" of OpenAPI does.
    return _update(value, is_old) if isinstance(value, Mapping) else value


def _convert_type(schema: dict[str, Any]) -> None:
    if "type" not in schema:
        return
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    known = [_TYPE_NAMES.get(name.lower()) if isinstance(name, str) else None for name in names]
    if not known or None in known:  # an unknown name may mean any value
        del schema["type"]
    elif isinstance(schema["type"], list):
        schema["type"] = list(dict.fromkeys(known))
    else:
        schema["type"] = known[0]


def _drop_invalid_keywords(schema: dict[str, Any]) -> None:
    for key, value in list(schema.items()):
        if (
            (key in SCHEMA_MAP_KEYS and not isinstance(value, Mapping))
            or (key in SCHEMA_LIST_KEYS and (not isinstance(value, list) or not value))
            or (key in SCHEMA_KEYS and key != "items" and not isinstance(value, Mapping | bool))
            or (key in {"$ref", "pattern", "format", "$dynamicRef"} and not isinstance(value, str))
            or (key == "enum" and (not isinstance(value, list) or not value))
            or (key in _NUMBER_KEYS and (not isinstance(value, int | float) or isinstance(value, bool)))
            or (key in _COUNT_KEYS and (value < 0 or value != int(value)))
        ):
            del schema[key]
        elif key in _COUNT_KEYS:
            schema[key] = int(value)


def _convert_items(schema: dict[str, Any]) -> None:
    rest = schema.pop("additionalItems", None)
    if isinstance(items := schema.get("items"), list):
        del schema["items"]
        if items:
            schema.setdefault("prefixItems", items)
        if isinstance(rest, Mapping | bool):
            schema["items"] = rest
    elif "items" in schema and not isinstance(items, Mapping | bool):
        del schema["items"]


def _convert_exclusive_bounds(schema: dict[str, Any]) -> None:
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool):
            is_exclusive = schema.pop(exclusive)
            if is_exclusive and bound in schema:
                schema[exclusive] = schema.pop(bound)


def _convert_dependencies(schema: dict[str, Any]) -> None:
    dependencies = schema.pop("dependencies", None)
    if not isinstance(dependencies, Mapping):
        return
    for name, dependency in dependencies.items():
        if isinstance(dependency, str | list):
            names = [dependency] if isinstance(dependency, str) else dependency
            schema["dependentRequired"] = {**schema.get("dependentRequired", {}), name: names}
        elif isinstance(dependency, Mapping | bool):
            schema["dependentSchemas"] = {**schema.get("dependentSchemas", {}), name: dependency}


def _convert_required(schema: dict[str, Any]) -> None:
    """Read `"required": true` of a property, as in draft 3, as an entry of the object's list."""
    properties = schema.get("properties")
    named = []
    for name, item in properties.items() if isinstance(properties, dict) else ():
        if isinstance(item, dict) and item.get("required") is True:
            named.append(name)
            del item["required"]
    required = schema.get("required")
    if isinstance(required, list):
        schema["required"] = [name for name in required if isinstance(name, str)]
    elif "required" in schema and required is not True:
        del schema["required"]
    if named:
        listed = schema["required"] if isinstance(required, list) else []
        schema["required"] = list(dict.fromkeys([*listed, *named]))


def _convert_references(schema: dict[str, Any]) -> None:
    if schema.get("$recursiveRef") == "#":
        del schema["$recursiveRef"]
        schema.setdefault("$ref", "#")
    if "$ref" in schema:  # lists below `items` are below `prefixItems` now
        schema["$ref"] = re.sub(r"/items/(?=\d+(?:/|$))", "/prefixItems/", schema["$ref"])


_CONVERSIONS: tuple[Callable[[dict[str, Any]], None], ...] = (
    _convert_exclusive_bounds,
    _convert_items,
    _convert_type,
    _drop_invalid_keywords,
    _convert_dependencies,
    _convert_required,
    _convert_references,
)


def _allow_null(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if kind is None and {"$ref", "anyOf", "oneOf", "allOf", "const"} & schema.keys():
        annotations: dict[str, Any] = {
            key: schema.pop(key) for key in ("description", "title", "default") if key in schema
        }
        return {**annotations, "anyOf": [schema, {"type": "null"}]}
    if kind is not None:
        kinds = kind if isinstance(kind, list) else [kind]
        schema["type"] = kinds if "null" in kinds else [*kinds, "null"]
    if isinstance(values := schema.get("enum"), list) and None not in values:
        schema["enum"] = [*values, None]
    return schema
