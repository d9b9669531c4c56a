"""Tool calls as models write them in JSON: their name and arguments, repaired where the meaning is plain."""

import json
import re
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.chat_formats.lenient_json import JsonError, read_json_values

_NAME = re.compile(r"""["']name["']\s*:\s*["']([^"']+)["']""")
_ARGUMENTS = re.compile(r"""["'](?:arguments|parameters)["']\s*:\s*""")
_FENCE = re.compile(r"\A\s*`{1,3}\w*\s*|\s*`{1,3}\s*\Z")
_DOUBLED_BRACES = re.compile(r"\s*\{\s*(\{.*\})\s*\}\s*", re.DOTALL)
_ARGUMENTS_KEYS = ("arguments", "parameters")
_CALL_KEYS = frozenset({"name", "id", "type", "call_id", "tool_call_id", "index", *_ARGUMENTS_KEYS})
_UNFINISHED = "a missing bracket"


@dataclass(frozen=True, kw_only=True)
class WrittenCall:
    """One call as the model wrote it.

    Attributes:
        name: Name of the tool; empty if there is none.
        arguments: JSON text, or the model's own text if that could not be read.
        has_arguments: True if the model wrote arguments, if only empty ones.
        is_plain: True if the object has keys of a call only.
        repairs: Descriptions of what was repaired.
    """

    name: str
    arguments: str
    has_arguments: bool = True
    is_plain: bool = True
    repairs: tuple[str, ...] = ()


def read_written_calls(text: str, *, is_complete: bool) -> list[WrittenCall]:
    """Return the calls in a text that holds nothing else: an object, several, or a list of them.

    A text that is not even nearly JSON gives one call with its name and arguments as far as they can be found.

    Args:
        text: The text between the marks of a call.
        is_complete: True if the model ended the call. Missing brackets of a call that was cut off are not added.
    """
    body, repairs = text, []
    if "`" in text and (body := _FENCE.sub("", text)) != text:
        repairs.append("a code fence around the call")
    if doubled := _DOUBLED_BRACES.fullmatch(body):  # some templates show the form of a call so
        body = doubled[1]
        repairs.append("doubled braces")
    try:
        values, rest, found = read_json_values(body)
    except (JsonError, RecursionError):
        return [_read_broken_call(body)]
    if _UNFINISHED in found and not is_complete:
        return [_read_broken_call(body)]
    repairs += [*found, *(["text after the call"] if rest.strip() else [])]
    objects = [value for item in values for value in (item if isinstance(item, list) else [item])]
    calls = [_read_object(value, tuple(repairs)) for value in objects]
    return [call for call in calls if call is not None] or [WrittenCall(name="", arguments="")]


def _read_broken_call(text: str) -> WrittenCall:
    name, arguments = _NAME.search(text), _ARGUMENTS.search(text)
    return WrittenCall(
        name=name[1] if name else "",
        arguments=text[arguments.end() :].strip() if arguments else "",
        has_arguments=arguments is not None,
    )


def _read_object(value: Any, repairs: tuple[str, ...]) -> WrittenCall | None:
    """Return the call that an object is; None for anything else."""
    if not isinstance(value, dict):
        return None
    function = value.get("function")
    if isinstance(function, dict):  # the form of OpenAI's API
        value = function
    elif isinstance(function, str) and "name" not in value:
        value = {"name": function, **{key: item for key, item in value.items() if key != "function"}}
    if not isinstance(value.get("name"), str):
        return None
    key = next((key for key in _ARGUMENTS_KEYS if key in value), None)
    arguments = value[key] if key else None
    if isinstance(arguments, str) and (decoded := _decode_arguments(arguments)) is not None:
        arguments, repairs = decoded, (*repairs, "the arguments as a string of JSON")
    return WrittenCall(
        name=value["name"],
        arguments=json.dumps({} if arguments is None or arguments == "" else arguments, ensure_ascii=False),
        has_arguments=key is not None,
        is_plain=value.keys() <= _CALL_KEYS,
        repairs=repairs,
    )


def _decode_arguments(text: str) -> dict[str, Any] | None:
    """Return the object that a string holds; None if it holds none."""
    try:
        values, rest, _ = read_json_values(text)
    except (JsonError, RecursionError):
        return None
    is_object = len(values) == 1 and isinstance(values[0], dict) and not rest.strip()
    return values[0] if is_object else None
