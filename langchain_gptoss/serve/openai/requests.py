"""Requests of OpenAI's API: null means the default, unknown fields are reported, and errors name the wrong field.

Every object of a request that this server reads is a `RequestPart`. Objects that it passes on, such as JSON schemas,
are plain dicts, so that a null in them keeps its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, model_validator

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.inputs import describe_validation_error

IGNORED_FIELDS_HEADER = "X-Ignored-Fields"
"""Response header with the fields of the request that had no effect."""

_MAX_REPORTED_FIELDS, _MAX_NAME_CHARS = 30, 80
_NAME_CHARACTERS = "[]._-"

RequestT = TypeVar("RequestT", bound=BaseModel)
Item = TypeVar("Item")


def _convert_integral_number(value: Any) -> Any:
    """Return 5 for 5.0: languages with one kind of number write both."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Number = Annotated[float, Strict()]
"""A JSON number."""

Integer = Annotated[int, Strict(), BeforeValidator(_convert_integral_number)]
"""A JSON number without a fraction."""

Flag = Annotated[bool, Strict()]
"""JSON's true or false."""

Array = Annotated[list[Item], Field(fail_fast=True)]
"""A JSON array, read up to its first wrong item: a million errors would keep the server busy."""


class RequestPart(BaseModel):
    """An object of a request. A null counts as a missing field, and unknown fields are kept to be reported."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}


def parse_request(body: bytes, kind: type[RequestT]) -> RequestT:
    """Return the request in a body.

    Raises:
        RequestRefused: The body is not such a request; the refusal names the first wrong field.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise _refuse_request(error, body) from None


def list_ignored_fields(part: RequestPart) -> list[str]:
    """Return the unknown fields of a request, such as `messages[].mood`, each once."""
    return list(dict.fromkeys(_iterate_ignored_fields(part, "")))


def build_ignored_fields_header(names: Iterable[str]) -> dict[str, str]:
    """Return the response header that names fields without an effect; empty if there are none."""
    quoted = [quote(name[:_MAX_NAME_CHARS], safe=_NAME_CHARACTERS) for name in dict.fromkeys(names)]
    reported = quoted[:_MAX_REPORTED_FIELDS] + ["..."] * (len(quoted) > _MAX_REPORTED_FIELDS)
    return {IGNORED_FIELDS_HEADER: ", ".join(reported)} if reported else {}


def _iterate_ignored_fields(part: RequestPart, prefix: str) -> Iterator[str]:
    yield from (prefix + name for name in part.model_extra or {})
    for name in part.model_fields_set & type(part).model_fields.keys():
        value = getattr(part, name)
        if isinstance(value, RequestPart):
            yield from _iterate_ignored_fields(value, f"{prefix}{name}.")
        for item in value if isinstance(value, list) else []:
            if isinstance(item, RequestPart):
                yield from _iterate_ignored_fields(item, f"{prefix}{name}[].")


def _refuse_request(error: ValidationError, body: bytes) -> RequestRefused:
    """Return the refusal of the problem that lies deepest: of a union's problems it is that of the intended form."""
    problems: list[Any] = error.errors(include_url=False)
    if problems[0]["type"] == "json_invalid":
        return RequestRefused(400, f"The body of the request is not valid JSON: {describe_validation_error(error)}")
    value = json.loads(body)
    places = [_find_place(value, problem) for problem in problems]
    deepest = max(range(len(problems)), key=lambda number: (len(places[number]), -number))
    same_place = [problem for problem, place in zip(problems, places, strict=True) if place == places[deepest]]
    message, code = _describe_problems(same_place, _format_place(places[deepest]))
    return RequestRefused(400, message, param=_format_place(places[deepest]) or None, code=code)


def _find_place(value: Any, problem: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the path of a problem in the body; pydantic's also contains the names of a union's members."""
    place: list[Any] = []
    *_, last = problem["loc"] or (None,)
    for step in problem["loc"]:
        is_item = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if is_item or (isinstance(value, dict) and step in value):
            place, value = [*place, step], value[step]
    if problem["type"] == "missing" and place[-1:] != [last]:  # a null is in the body and counts as missing
        place.append(last)
    return tuple(place)


def _format_place(place: Iterable[Any]) -> str:
    """Return a path as OpenAI writes it: `messages[0].content`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


_BOUNDS = {
    "greater_than": ("above", "gt", "below_min_value"),
    "greater_than_equal": ("of at least", "ge", "below_min_value"),
    "less_than": ("below", "lt", "above_max_value"),
    "less_than_equal": ("of at most", "le", "above_max_value"),
}
_TYPE_NAMES = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_JSON_TYPES = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def _describe_problems(problems: list[Any], field: str) -> tuple[str, str]:
    """Return a message about the problems of one field, and OpenAI's code for the first one."""
    first = problems[0]
    kind, context, value = first["type"], first.get("ctx") or {}, first["input"]
    if kind == "missing":
        return f"Missing required parameter: '{field}'.", "missing_required_parameter"
    if kind == "literal_error":
        return f"Invalid value for '{field}': {value!r}. Supported values are: {context['expected']}.", "invalid_value"
    if kind in _BOUNDS:
        words, limit, code = _BOUNDS[kind]
        number_type = "integer" if isinstance(value, int) else "decimal"
        message = f"Invalid '{field}': expected a value {words} {context[limit]}, but got {value!r} instead."
        return message, f"{number_type}_{code}"
    if kind == "too_short" and not value:
        return f"Invalid '{field}': the array is empty.", "empty_array"
    expected = [_TYPE_NAMES[problem["type"]] for problem in problems if problem["type"] in _TYPE_NAMES]
    if expected:
        types, got = " or ".join(dict.fromkeys(expected)), _JSON_TYPES.get(type(value), "another type")
        return f"Invalid type for '{field}': expected {types}, but got {got} instead.", "invalid_type"
    return f"Invalid '{field}': {first['msg']}.", "invalid_value"
