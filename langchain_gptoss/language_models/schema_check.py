"""The check of JSON values against their schema after generation: all keywords, also those that no grammar enforces."""

import datetime
import ipaddress
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from langchain_gptoss.chat_formats.base import Tool
from langchain_gptoss.chat_formats.schema_dialects import DATA_KEYS, SCHEMA_MAP_KEYS, update_schema
from langchain_gptoss.chat_formats.schema_references import ReferenceResolver
from langchain_gptoss.chat_formats.schema_relaxation import relax_schema

_MAX_MESSAGE_CHARACTERS = 300
# A pattern that backtracks for longer than this is not checked.
_PATTERN_TIMEOUT_S = 0.5


def check_arguments(tool: Tool, arguments: Any) -> str | None:
    """Return the reason for which arguments do not follow the schema of their tool; None if they do."""
    if not isinstance(arguments, Mapping):
        return "The arguments are not a JSON object."
    return check_value(tool.parameters, arguments)


def is_enforced_completely(tool: Tool) -> bool:
    """Return True if a grammar leaves nothing out of the schema of a tool's arguments."""
    relaxed = relax_schema(tool.parameters, name=tool.name)
    return relaxed.is_satisfiable and not relaxed.omitted


def check_value(schema: Mapping[str, Any] | bool, value: Any) -> str | None:
    """Return the reason for which a JSON value does not follow a schema; None if it does.

    Parts of the schema that cannot be checked are passed over: references to other documents, which are never fetched,
    and patterns that Python cannot read or that take too long.

    Args:
        schema: A JSON schema of any draft.
        value: A value as `json.loads` returns it.

    Returns:
        The violated keyword and its place, such as `"$.tags: uniqueItems is violated: ['a', 'a'] has ..."`.
    """
    from jsonschema.exceptions import best_match

    validator = _build_validator(json.dumps(schema, ensure_ascii=False))
    try:
        error = best_match(validator.iter_errors(value))
    except (RecursionError, ValueError, TypeError, LookupError, ArithmeticError):
        return None  # the schema itself is malformed
    if error is None:
        return None
    message = error.message
    if len(message) > _MAX_MESSAGE_CHARACTERS:
        message = f"{message[:_MAX_MESSAGE_CHARACTERS]}..."
    return f"{error.json_path}: {error.validator or 'schema'} is violated: {message}."


@lru_cache(maxsize=256)
def _build_validator(text: str) -> Any:
    from referencing import Registry

    schema = update_schema(json.loads(text))
    checkable = _drop_foreign_references(schema, ReferenceResolver(schema))
    return _load_validator_class()(checkable, registry=Registry(), format_checker=_load_format_checker())


def _drop_foreign_references(schema: Any, resolver: ReferenceResolver) -> Any:
    """Return a schema without the references whose target is in another document, or missing."""
    if isinstance(schema, list):
        return [_drop_foreign_references(item, resolver) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    is_foreign = isinstance(schema.get("$ref"), str) and resolver.resolve(schema) is None
    return {
        key: value
        if key in DATA_KEYS
        else {name: _drop_foreign_references(item, resolver) for name, item in value.items()}
        if key in SCHEMA_MAP_KEYS and isinstance(value, Mapping)
        else _drop_foreign_references(value, resolver)
        for key, value in schema.items()
        if key != "$ref" or not is_foreign
    }


@lru_cache(maxsize=1)
def _load_validator_class() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    return extend(
        Draft202012Validator,
        {
            "pattern": _check_pattern,
            "patternProperties": _check_pattern_properties,
            "additionalProperties": _check_additional_properties,
            "multipleOf": _check_multiple,
        },
    )


def _check_pattern(validator: Any, pattern: str, value: Any, _: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if validator.is_type(value, "string") and _matches(pattern, value) is False:
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _check_pattern_properties(validator: Any, patterns: Mapping[str, Any], value: Any, _: Any) -> Iterator[Any]:
    for pattern, schema in patterns.items() if validator.is_type(value, "object") else ():
        for name, item in value.items():
            if _matches(pattern, name):
                yield from validator.descend(item, schema, path=name, schema_path=pattern)


def _check_additional_properties(validator: Any, schema: Any, value: Any, parent: Mapping[str, Any]) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not validator.is_type(value, "object"):
        return
    patterns = parent.get("patternProperties") or ()
    # A pattern that cannot be read may match any name.
    names = [
        name
        for name in value
        if name not in (parent.get("properties") or ())
        and all(_matches(pattern, name) is False for pattern in patterns)
    ]
    if schema is False:
        if names:
            yield ValidationError(f"{', '.join(map(repr, names))} is not allowed")
    elif schema is not True:
        for name in names:
            yield from validator.descend(value[name], schema, path=name)


def _matches(pattern: str, text: str) -> bool | None:
    """Return True if a pattern matches anywhere in a text; None if that cannot be found out."""
    import regex  # unlike re, it reads \p{L} and has a time limit

    try:
        return regex.search(pattern, text, timeout=_PATTERN_TIMEOUT_S) is not None
    except (regex.error, TimeoutError, RecursionError):
        return None


def _check_multiple(validator: Any, divisor: Any, value: Any, _: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not validator.is_type(value, "number"):
        return
    try:
        # Binary fractions would make 0.07 no multiple of 0.01.
        is_multiple = Decimal(str(value)) % Decimal(str(divisor)) == 0
    except InvalidOperation:
        return
    if not is_multiple:
        yield ValidationError(f"{value!r} is not a multiple of {divisor!r}")


@lru_cache(maxsize=1)
def _load_format_checker() -> Any:
    """Return the check of the formats that the standard library can read; by the standard others are annotations."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    readers: Mapping[str, Callable[[str], Any]] = {
        "date": datetime.date.fromisoformat,
        "date-time": lambda text: datetime.datetime.fromisoformat(_remove_leap_second(text).upper()),
        "time": lambda text: datetime.time.fromisoformat(_remove_leap_second(text).upper()),
        "ipv4": ipaddress.IPv4Address,
        "ipv6": ipaddress.IPv6Address,
        "uuid": uuid.UUID,
    }
    for name, read in readers.items():
        checker.checks(name, raises=ValueError)(_build_format_check(read))
    return checker


def _build_format_check(read: Callable[[str], Any]) -> Callable[[object], bool]:
    def check_format(value: object) -> bool:
        if isinstance(value, str):
            read(value)
        return True

    return check_format


def _remove_leap_second(text: str) -> str:
    return text.replace(":60", ":59")
