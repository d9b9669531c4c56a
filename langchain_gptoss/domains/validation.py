"""Says what is wrong with a profile: which key, why, and what would be right."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_SHOWN = 4  # faults; the rest is counted
_EXPECTED = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "tuple_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
}


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Returns the faults of a profile as sentences.

    Args:
        error: What pydantic found.
        model: The class that was to be made.

    Returns:
        One line that names every key at fault, up to four, and counts the rest.
    """
    faults = [_fault(each, model) for each in error.errors(include_url=False)]
    more = f" And {len(faults) - _SHOWN} more." if len(faults) > _SHOWN else ""
    return " ".join(faults[:_SHOWN]) + more


def closest(name: str, known: tuple[str, ...]) -> str:
    """Returns a sentence that suggests a known name and lists them all.

    Args:
        name: What was given.
        known: What there is.

    Returns:
        "Did you mean ...? Known: ...", without the question where nothing is near.
    """
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(known)}."


def _fault(found: Any, model: type[BaseModel]) -> str:
    place, kind, value = found["loc"], found["type"], found["input"]
    key = _key(place)
    if kind == "extra_forbidden":
        known = tuple(_model_at(model, place[:-1]).model_fields)
        return f"The key {key!r} is unknown. {closest(str(place[-1]), known)}"
    if kind == "missing":
        return f"The key {key!r} is missing."
    if kind in _EXPECTED:
        return f"The key {key!r} must be {_EXPECTED[kind]}, not {_shown(value)}."
    if kind == "value_error":  # our own words; pydantic puts "Value error, " before them
        return f"The key {key!r} {found['ctx']['error']}."
    return f"The key {key!r} is {_shown(value)}: {found['msg']}."


def _key(place: tuple[str | int, ...]) -> str:
    """Writes a place as in TOML: `safety.refuse[0].patterns[1]`."""
    parts: Iterator[str] = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in _seen(place))
    return "".join(parts).lstrip(".")


def _seen(place: tuple[str | int, ...]) -> Iterator[str | int]:
    """Leaves out what pydantic adds for the key of a table: the fault's own text says it."""
    return (part for part in place if part != "[key]")


def _model_at(model: type[BaseModel], place: tuple[str | int, ...]) -> type[BaseModel]:
    """Follows a place down to the class of the table that it names."""
    for part in place:
        if isinstance(part, str):
            model = _inner(model.model_fields[part].annotation)
    return model


def _inner(annotation: Any) -> type[BaseModel]:
    """Returns the class within an annotation: `SafetyRule` of `tuple[SafetyRule, ...]`."""
    while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        annotation = get_args(annotation)[0]
    return annotation


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
