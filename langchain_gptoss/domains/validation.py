"""Explanations of invalid profiles: the wrong key, the reason, and a correct value."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_MAX_FAULTS = 4  # further faults are counted only
_MAX_VALUE_CHARS = 60
_EXPECTED_TYPES = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "tuple_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
}
# Pydantic's name of a limit to the key of its context and the words for it.
_LIMITS = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}


def explain_faults(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the faults of a profile as sentences on one line: up to four, and the number of the others.

    Args:
        error: The error of pydantic.
        model: The class that was validated.
    """
    faults = [_explain_fault(fault, model) for fault in error.errors(include_url=False)]
    more = f" And {len(faults) - _MAX_FAULTS} more." if len(faults) > _MAX_FAULTS else ""
    return " ".join(faults[:_MAX_FAULTS]) + more


def suggest_name(name: str, known_names: tuple[str, ...]) -> str:
    """Return a sentence that lists the known names, after a question that suggests the closest one if there is one."""
    similar = get_close_matches(name, known_names, n=1, cutoff=0.5)
    return (f"Did you mean {similar[0]!r}? " if similar else "") + f"Known: {', '.join(known_names)}."


def _explain_fault(fault: Any, model: type[BaseModel]) -> str:
    location, kind, value = fault["loc"], fault["type"], _format_value(fault["input"])
    key = _format_key(location)
    if kind == "extra_forbidden":
        known_names = tuple(_find_model(model, location[:-1]).model_fields)
        return f"The key {key!r} is unknown. {suggest_name(str(location[-1]), known_names)}"
    if kind == "missing":
        return f"The key {key!r} is missing."
    if kind in _EXPECTED_TYPES:
        return f"The key {key!r} must be {_EXPECTED_TYPES[kind]}, not {value}."
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"The key {key!r} must be {words} {fault['ctx'][name]:g}, not {value}."
    if kind == "value_error":  # our own message; pydantic puts "Value error, " before it
        return f"The key {key!r} {fault['ctx']['error']}."
    return f"The key {key!r} is {value}: {fault['msg']}."


def _format_key(location: tuple[str | int, ...]) -> str:
    """Return a location as TOML writes it: `safety.refuse[0].patterns[1]`."""
    parts: Iterator[str] = (
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in location
        if part != "[key]"  # pydantic's mark of a table's key; the message of the fault says the rest
    )
    return "".join(parts).lstrip(".")


def _find_model(model: type[BaseModel], location: tuple[str | int, ...]) -> type[BaseModel]:
    """Return the class of the table at a location."""
    for part in location:
        if isinstance(part, str):
            model = _unwrap_model(model.model_fields[part].annotation)
    return model


def _unwrap_model(annotation: Any) -> type[BaseModel]:
    """Return the model class within an annotation: `SafetyRule` of `tuple[SafetyRule, ...]`."""
    while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        annotation = get_args(annotation)[0]
    return annotation


def _format_value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[: _MAX_VALUE_CHARS - 3]}..."
