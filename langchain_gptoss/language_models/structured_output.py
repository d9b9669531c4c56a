"""`with_structured_output`: what is bound to the model, and what reads its answer."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.json import parse_json_markdown
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.language_models.tools import json_format, named, openai_tools

Method = Literal["json_schema", "function_calling", "json_mode"]
_loads = partial(json.loads, strict=False)
METHODS = ("json_schema", "function_calling", "json_mode")


def structured(
    model: Any,
    schema: Mapping[str, Any] | type | None,
    options: Mapping[str, Any],
    *,
    method: Method,
    strict: bool | None,
    include_raw: bool,
) -> Runnable[LanguageModelInput, Any]:
    """Returns a model that answers with the schema's value; see `ChatGptOss.with_structured_output`."""
    if method not in METHODS:
        raise InvalidInputError(f"method is {method!r}; it must be one of {', '.join(METHODS)}.")
    if schema is None and method != "json_mode":
        raise InvalidInputError(f"method={method!r} needs a schema; only 'json_mode' works without one.")
    bind, parser = _BINDERS[method](model, named(schema), strict)
    bind = bind.bind(**options) if options else bind
    if not include_raw:
        answer: Runnable[LanguageModelInput, Any] = bind | parser
        return answer
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bind) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _by_function(model: Any, schema: Any, strict: bool | None) -> tuple[Any, Any]:
    (tool,) = openai_tools([schema], strict=strict)
    name = tool["function"]["name"]
    shown = {"kwargs": {"method": "function_calling", "strict": strict}, "schema": convert_to_json_schema(schema)}
    bind = model.bind_tools([tool], tool_choice=name, ls_structured_output_format=shown)
    if _is_model(schema):
        return bind, PydanticToolsParser(tools=[schema], first_tool_only=True)
    return bind, JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _by_schema(model: Any, schema: Any, strict: bool | None) -> tuple[Any, Any]:
    response_format = json_format(schema, strict=strict)
    shown = {"kwargs": {"method": "json_schema", "strict": strict}, "schema": convert_to_json_schema(schema)}
    return model.bind(response_format=response_format, ls_structured_output_format=shown), _reader(schema)


def _by_mode(model: Any, schema: Any, _: bool | None) -> tuple[Any, Any]:
    shown = {"kwargs": {"method": "json_mode"}, "schema": None if schema is None else convert_to_json_schema(schema)}
    bind = model.bind(response_format={"type": "json_object"}, ls_structured_output_format=shown)
    return bind, _reader(schema)


def _reader(schema: Any) -> Any:
    return _ModelReader(pydantic_object=schema) if _is_model(schema) else _JsonReader()


class _JsonReader(JsonOutputParser):
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _check_complete(result, partial)
        return super().parse_result(result, partial=partial)


class _ModelReader(PydanticOutputParser[Any]):
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _check_complete(result, partial)
        return super().parse_result(result, partial=partial)


def _check_complete(result: list[Generation], partial: bool) -> None:
    """Checks a whole answer: LangChain's parsers complete JSON that was cut off, and its values are then wrong."""
    if partial:
        return
    try:
        parse_json_markdown(result[0].text.strip(), parser=_loads)
    except ValueError as error:
        raise OutputParserException(
            f"The answer is not whole JSON: {error}. Where it was cut off, raise max_tokens.",
            llm_output=result[0].text,
        ) from error


def _is_model(schema: Any) -> bool:
    return isinstance(schema, type) and is_basemodel_subclass(schema)


_BINDERS: Mapping[str, Callable[[Any, Any, bool | None], tuple[Any, Any]]] = {
    "function_calling": _by_function,
    "json_schema": _by_schema,
    "json_mode": _by_mode,
}
