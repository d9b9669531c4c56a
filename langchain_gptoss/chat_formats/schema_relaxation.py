"""JSON schemas that a grammar can follow: the given ones without the keywords that constrained decoding cannot enforce.

A relaxed schema accepts every value that the given schema accepts, and perhaps more. The rest is checked after
generation (`language_models/schema_check.py`). The supported keywords are those of llguidance (docs/json_schema.md).
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_gptoss.chat_formats.schema_dialects import update_schema
from langchain_gptoss.chat_formats.schema_patterns import FORMAT_PATTERNS, NATIVE_FORMATS, remove_assertions
from langchain_gptoss.chat_formats.schema_references import ReferenceResolver
from langchain_gptoss.errors import SchemaWarning

# llguidance reads JSON that is nested 128 levels deep, and follows 2000 alternatives at one place.
_MAX_DEPTH = 20
_MAX_OPTIONAL_PROPERTIES = 250
_MAX_PROPERTIES = 1000
_MAX_ENUM_VALUES = 5000
_MAX_LENGTH = 100_000
_MAX_MIN_ITEMS = 500
_MAX_INTEGER_DIVISOR = 1000
_MAX_NODES = 50_000

_NUMBER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
# Keywords that no grammar enforces; `uniqueItems: false` and the like are checked where they are read.
_UNENFORCED_KEYWORDS = (
    *("not", "if", "dependentRequired", "dependentSchemas", "contains", "unevaluatedItems", "$dynamicRef"),
    "$recursiveRef",
)
_COMBINATIONS = frozenset({"anyOf", "oneOf", "allOf", "$ref", "if", "dependentSchemas", "not", "$dynamicRef"})
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"})


@dataclass(frozen=True, kw_only=True)
class RelaxedSchema:
    """A schema for a grammar.

    Attributes:
        schema: The schema, complete with the definitions that it refers to.
        omitted: Keywords of the given schema that the grammar does not enforce, or not completely.
        is_satisfiable: False if no value follows the given schema.
    """

    schema: Mapping[str, Any]
    omitted: tuple[str, ...] = ()
    is_satisfiable: bool = True


def relax_schema(schema: Mapping[str, Any] | bool, *, name: str = "") -> RelaxedSchema:
    """Return a schema without the keywords that a grammar cannot enforce, and warn once about them.

    Args:
        schema: A JSON schema of any draft.
        name: Name of the schema, for the warning.
    """
    return _relax_text(json.dumps(schema, ensure_ascii=False), name)


@lru_cache(maxsize=512)
def _relax_text(text: str, name: str) -> RelaxedSchema:
    relaxed = _relax(update_schema(json.loads(text)))
    subject = f"The schema {name!r}" if name else "A schema"
    if not relaxed.is_satisfiable:
        warnings.warn(f"{subject} contradicts itself: no value follows it.", SchemaWarning, stacklevel=2)
    elif relaxed.omitted:
        warnings.warn(
            f"{subject} has keywords that are not enforced during generation: {', '.join(relaxed.omitted)}. "
            "What the model writes is checked against them afterwards.",
            SchemaWarning,
            stacklevel=2,
        )
    return relaxed


def _relax(schema: Mapping[str, Any]) -> RelaxedSchema:
    for strength in range(3):
        relaxer = _Relaxer(schema, strength)
        relaxed = relaxer.build()
        problem = find_problem(relaxed)
        if problem is None:
            return RelaxedSchema(schema=relaxed, omitted=tuple(sorted(relaxer.omitted)))
        if problem.startswith("Unsatisfiable"):
            return RelaxedSchema(schema=relaxed, omitted=tuple(sorted(relaxer.omitted)), is_satisfiable=False)
    kind = schema.get("type")
    return RelaxedSchema(schema={"type": kind} if kind else {}, omitted=tuple(sorted(schema.keys() - _ANNOTATIONS)))


def find_problem(schema: Mapping[str, Any] | bool) -> str | None:
    """Return the reason for which llguidance rejects a schema; None if it accepts the schema."""
    return _find_problem(json.dumps(schema))


@lru_cache(maxsize=4096)
def _find_problem(text: str) -> str | None:
    from llguidance import LLMatcher  # slow to import

    problem: str = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(text))
    if not problem or problem.startswith("WARNING"):
        return None
    return problem.strip().splitlines()[0].partition("failed to compile JSON schema: ")[2] or problem


def _is_supported(schema: Mapping[str, Any]) -> bool:
    problem = find_problem(schema)
    # A part that no value follows is removed by llguidance itself, for example one of several alternatives.
    return problem is None or problem.startswith("Unsatisfiable")


class _Relaxer:
    """Relaxation of one schema.

    Strength 0 omits what llguidance is known not to support. Strength 1 also omits keywords beside references and
    combinations, which llguidance joins and sometimes cannot. Strength 2 keeps types, names and values only.
    """

    def __init__(self, root: Mapping[str, Any], strength: int) -> None:
        self.omitted: set[str] = set()
        self._root = root
        self._strength = strength
        self._resolver = ReferenceResolver(root)
        self._names: dict[int, str] = {}
        self._pending: list[Any] = []
        self._nodes = 0

    def build(self) -> dict[str, Any]:
        """Return the relaxed schema; each target of a reference becomes a definition."""
        schema = self._relax(self._root, 0)
        definitions: dict[str, Any] = {}
        while self._pending:
            target = self._pending.pop()
            definitions[self._names[id(target)]] = self._relax(target, 0)
        for _ in range(_MAX_DEPTH):  # the root itself says what kind of value it is
            if isinstance(schema, bool) or schema.keys() != {"$ref"}:
                break
            schema = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {"type": "string", "const": 0} if schema is False else {} if schema is True else schema
        return {**schema, "$defs": definitions} if definitions else schema

    def _relax(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, Mapping):
            return schema if isinstance(schema, bool) else {}
        if schema.keys() == {"not"} and schema["not"] in ({}, True):
            return False
        self._nodes += 1
        if depth > _MAX_DEPTH:
            return self._refer(schema)
        if self._nodes > _MAX_NODES:
            self._omit("properties")
            return {}
        relaxed = {key: schema[key] for key in ("type", "const") if key in schema}
        self._omit_all(key for key in _UNENFORCED_KEYWORDS if key in schema)
        self._relax_enum(schema, relaxed)
        self._relax_numbers(schema, relaxed)
        self._relax_string(schema, relaxed)
        self._relax_array(schema, relaxed, depth)
        self._relax_object(schema, relaxed, depth)
        return self._relax_combinations(schema, relaxed, depth)

    def _omit(self, keyword: str) -> None:
        self.omitted.add(keyword)

    def _omit_all(self, keywords: Iterable[str]) -> None:
        self.omitted.update(keywords)

    def _refer(self, target: Mapping[str, Any] | bool) -> Any:
        if isinstance(target, bool):
            return target
        if id(target) not in self._names:
            self._names[id(target)] = str(len(self._names))
            self._pending.append(target)
        return {"$ref": f"#/$defs/{self._names[id(target)]}"}

    def _relax_enum(self, schema: Mapping[str, Any], relaxed: dict[str, Any]) -> None:
        if (values := schema.get("enum")) is None:
            return
        if len(values) > _MAX_ENUM_VALUES:
            self._omit("enum")
        else:
            relaxed["enum"] = values

    def _relax_numbers(self, schema: Mapping[str, Any], relaxed: dict[str, Any]) -> None:
        bounds = {key: schema[key] for key in _NUMBER_BOUNDS if key in schema}
        divisor = {key: schema[key] for key in ("multipleOf",) if key in schema}
        if not bounds and not divisor:
            return
        kind = {"type": schema["type"]} if "type" in schema else {}
        if divisor and (self._strength == 2 or schema["multipleOf"] > _MAX_INTEGER_DIVISOR):
            self._omit_all(divisor)
            divisor = {}
        if divisor and not _is_supported({**kind, **bounds, **divisor}):
            self._omit_all(divisor)
            divisor = {}
        if bounds and (self._strength == 2 or not _is_supported({**kind, **bounds})):
            self._omit_all(bounds)
            bounds = {}
        relaxed.update(bounds | divisor)

    def _relax_string(self, schema: Mapping[str, Any], relaxed: dict[str, Any]) -> None:
        for key in ("minLength", "maxLength"):
            if key in schema and (schema[key] > _MAX_LENGTH or self._strength == 2):
                self._omit(key)
            elif key in schema:
                relaxed[key] = schema[key]
        pattern, text_format = schema.get("pattern"), schema.get("format")
        if isinstance(pattern, str):
            self._relax_pattern(pattern, relaxed)
        elif isinstance(text_format, str) and text_format in FORMAT_PATTERNS and self._strength < 2:
            relaxed["pattern"] = FORMAT_PATTERNS[text_format]
        if text_format in NATIVE_FORMATS and self._strength < 2:
            relaxed["format"] = text_format

    def _relax_pattern(self, pattern: str, relaxed: dict[str, Any]) -> None:
        lengths: dict[str, Any] = {key: relaxed[key] for key in ("minLength", "maxLength") if key in relaxed}
        simple = remove_assertions(pattern)
        if simple != pattern:
            self._omit("pattern")
        if self._strength < 2 and _is_supported({"type": "string", "pattern": simple, **lengths}):
            relaxed["pattern"] = simple
        else:
            self._omit("pattern")

    def _relax_array(self, schema: Mapping[str, Any], relaxed: dict[str, Any], depth: int) -> None:
        if "prefixItems" in schema:
            relaxed["prefixItems"] = [self._relax(item, depth + 1) for item in schema["prefixItems"]]
        if "items" in schema:
            relaxed["items"] = self._relax(schema["items"], depth + 1)
        for key, limit in (("minItems", _MAX_MIN_ITEMS), ("maxItems", _MAX_LENGTH)):
            if key in schema and schema[key] > limit:
                self._omit(key)
            elif key in schema:
                relaxed[key] = schema[key]
        if schema.get("uniqueItems") is True:
            self._omit("uniqueItems")
            # Without a limit, a model may repeat the few allowed values for ever.
            count = self._count_values(schema.get("items"))
            if count is not None and "prefixItems" not in schema:
                relaxed["maxItems"] = min(count, relaxed.get("maxItems", count))

    def _count_values(self, schema: Any) -> int | None:
        """Return the number of values that a schema allows, if it lists them."""
        schema = self._follow(schema)
        if isinstance(schema.get("enum"), list):
            return len(schema["enum"])
        return 1 if "const" in schema else 2 if schema.get("type") == "boolean" else None

    def _follow(self, schema: Any) -> Mapping[str, Any]:
        for _ in range(_MAX_DEPTH):
            if not isinstance(schema, Mapping) or "$ref" not in schema:
                break
            schema = self._resolver.resolve(schema)
        return schema if isinstance(schema, Mapping) else {}

    def _relax_object(self, schema: Mapping[str, Any], relaxed: dict[str, Any], depth: int) -> None:
        keys = ("properties", "patternProperties", "additionalProperties", "required")
        if "properties" in schema:
            relaxed["properties"] = {name: self._relax(item, depth + 1) for name, item in schema["properties"].items()}
        if isinstance(schema.get("required"), list):
            relaxed["required"] = schema["required"]
        if "additionalProperties" in schema:
            relaxed["additionalProperties"] = self._relax(schema["additionalProperties"], depth + 1)
        self._relax_patterns(schema, relaxed, depth)
        self._relax_names(schema, relaxed, depth)
        self._limit_properties(relaxed)
        if "unevaluatedProperties" in schema:
            is_plain = not _COMBINATIONS & schema.keys() and "additionalProperties" not in schema
            if is_plain:  # then it means the same as additionalProperties
                relaxed["additionalProperties"] = self._relax(schema["unevaluatedProperties"], depth + 1)
            elif schema["unevaluatedProperties"] not in (True, {}):
                self._omit("unevaluatedProperties")
        counts = {key: schema[key] for key in ("minProperties", "maxProperties") if key in schema}
        if counts:
            shape = {key: relaxed[key] for key in keys if key in relaxed}
            shape = {**shape, "properties": {name: {} for name in relaxed.get("properties", {})}}
            shape |= {"additionalProperties": {}} if shape.get("additionalProperties", True) is not False else {}
            shape.pop("patternProperties", None)
            is_joined = bool(_COMBINATIONS & schema.keys())
            if is_joined or self._strength == 2 or not _is_supported({"type": "object", **shape, **counts}):
                self._omit_all(counts)
            else:
                relaxed.update(counts)

    def _relax_patterns(self, schema: Mapping[str, Any], relaxed: dict[str, Any], depth: int) -> None:
        if not (patterns := schema.get("patternProperties")):
            return
        if self._strength < 2 and _is_supported({"type": "object", "patternProperties": {key: {} for key in patterns}}):
            relaxed["patternProperties"] = {key: self._relax(item, depth + 1) for key, item in patterns.items()}
            return
        self._omit("patternProperties")
        relaxed.pop("additionalProperties", None)  # it does not hold for names that match a pattern

    def _relax_names(self, schema: Mapping[str, Any], relaxed: dict[str, Any], depth: int) -> None:
        """Express `propertyNames` by properties or patterns, where it lists the names or gives a pattern."""
        if "propertyNames" not in schema:
            return
        names = self._follow(schema["propertyNames"])
        allowed = names.get("enum", [names["const"]] if "const" in names else None)
        is_free = "properties" not in schema and "patternProperties" not in schema
        values = relaxed.get("additionalProperties", {})
        if allowed is not None and is_free and len(allowed) <= _MAX_OPTIONAL_PROPERTIES:
            relaxed["properties"] = {name: values for name in allowed if isinstance(name, str)}
            relaxed["additionalProperties"] = False
            return
        pattern = names.get("pattern")
        if isinstance(pattern, str) and is_free and self._strength < 2:
            simple = remove_assertions(pattern)
            if _is_supported({"type": "object", "patternProperties": {simple: {}}}):
                relaxed["patternProperties"] = {simple: values}
                relaxed["additionalProperties"] = False
                if simple == pattern and names.keys() - _ANNOTATIONS <= {"pattern", "type"}:
                    return
        if names.keys() - _ANNOTATIONS - {"type"} or schema["propertyNames"] is False:
            self._omit("propertyNames")

    def _limit_properties(self, relaxed: dict[str, Any]) -> None:
        """Leave out optional properties, and then all, of a schema with more of them than llguidance can follow."""
        properties, required = relaxed.get("properties", {}), set(relaxed.get("required", ()))
        kept = properties
        if len(properties.keys() - required) > _MAX_OPTIONAL_PROPERTIES:
            kept = {name: item for name, item in properties.items() if name in required}
        if len(kept) > _MAX_PROPERTIES:
            kept = {}
            relaxed.pop("required")
        if len(kept) < len(properties):
            self._omit("properties")
            relaxed["properties"] = kept
            relaxed.pop("additionalProperties", None)

    def _relax_combinations(self, schema: Mapping[str, Any], relaxed: dict[str, Any], depth: int) -> Any:
        """Return the relaxed schema with its reference and its combinations."""
        parts: list[Any] = []
        if "$ref" in schema:
            target = self._resolver.resolve(schema)
            if target is None:
                self._omit("$ref")
            elif target is not schema:
                parts.append({} if target is True else self._refer(target))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                branches = [self._relax(item, depth + 1) for item in schema[key]]
                parts.append({"anyOf": branches})
                if key == "oneOf" and not self._are_disjoint(schema[key]):
                    self._omit("oneOf")
        parts += [self._relax(item, depth + 1) for item in schema.get("allOf", ()) if item not in (True, {})]
        if self._strength and parts and (relaxed or len(parts) > 1):
            return self._choose_part(relaxed, parts)
        if len(parts) == 1 and parts[0] is not False and (not relaxed or parts[0].keys() <= {"$ref", "anyOf"}):
            return {**relaxed, **parts[0]}
        return {**relaxed, "allOf": parts} if parts else relaxed

    def _choose_part(self, relaxed: dict[str, Any], parts: list[Any]) -> Any:
        """Return the one part of a conjunction that says most: named properties, else the first combination."""
        if relaxed.keys() & {"properties", "items", "prefixItems", "enum", "const"}:
            self._omit_all(("$ref", "anyOf", "allOf"))
            return relaxed
        self._omit_all(("allOf",) if len(parts) > 1 else relaxed.keys())
        return parts[0]

    def _are_disjoint(self, branches: list[Any]) -> bool:
        """Return True if no value can follow two of the schemas, as far as types and constant properties show."""
        followed = [self._follow(branch) for branch in branches]
        return all(
            _are_disjoint(first, second) for index, first in enumerate(followed) for second in followed[index + 1 :]
        )


def _are_disjoint(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    kinds = [_list_types(schema) for schema in (first, second)]
    if kinds[0] and kinds[1] and not kinds[0] & kinds[1]:
        return True
    values = [_list_constants(schema) for schema in (first, second)]
    if values[0] and values[1]:
        return not values[0] & values[1]
    if kinds[0] != {"object"} or kinds[1] != {"object"}:
        return False
    shared = set(first.get("required") or ()) & set(second.get("required") or ())
    for name in shared:
        constants = [_list_constants((schema.get("properties") or {}).get(name)) for schema in (first, second)]
        if constants[0] and constants[1] and not constants[0] & constants[1]:
            return True
    return False


def _list_types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    kinds = {kind} if isinstance(kind, str) else set(kind or ())
    return kinds | {"integer"} if "number" in kinds else kinds


def _list_constants(schema: Any) -> set[str]:
    if not isinstance(schema, Mapping):
        return set()
    values = [schema["const"]] if "const" in schema else schema.get("enum") or []
    return {json.dumps(value, sort_keys=True) for value in values}
