"""`with_structured_output`: the options bound to the model, and the parser of its answer."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.json import parse_json_markdown
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.language_models.schema_check import check_value
from langchain_gptoss.language_models.tool_forms import read_schema
from langchain_gptoss.language_models.tools import build_response_format

Method = Literal["json_schema", "function_calling", "json_mode"]
METHODS = ("json_schema", "function_calling", "json_mode")


def build_structured_output(
    model: Any,
    schema: Mapping[str, Any] | type | None,
    options: Mapping[str, Any],
    *,
    method: Method,
    strict: bool | None,
    include_raw: bool,
) -> Runnable[LanguageModelInput, Any]:
    """Return a runnable that answers with a value of the schema; see `ChatGptOss.with_structured_output`."""
    if method not in METHODS:
        raise InvalidInputError(f"method is {method!r}; it must be one of {', '.join(METHODS)}.")
    if schema is None and method != "json_mode":
        raise InvalidInputError(f"method={method!r} needs a schema.", hint="Only 'json_mode' works without one.")
    bound_model, parser = _BINDERS[method](model, schema, strict)
    bound_model = bound_model.bind(**options) if options else bound_model
    if include_raw:
        parse = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        report_failure = RunnablePassthrough.assign(parsed=lambda _: None)
        parse_safely = parse.with_fallbacks([report_failure], exception_key="parsing_error")
        parser = RunnableMap(raw=RunnablePassthrough()) | parse_safely
    # Only the first step of a sequence gets the options of a call, such as `stop`, so it must be the model itself.
    runnable: Runnable[LanguageModelInput, Any] = bound_model | parser
    return runnable


def _bind_function(model: Any, schema: Any, strict: bool | None) -> tuple[Any, Any]:
    function = read_schema(schema)
    name = function["name"]
    bound_model = model.bind_tools(
        [{"type": "function", "function": function}],
        tool_choice=name,
        parallel_tool_calls=False,  # the parsers read one call
        strict=strict,
        ls_structured_output_format=_describe_binding("function_calling", schema, strict),
    )
    if _is_pydantic_model(schema):
        return bound_model, _ValidCallPydanticParser(tools=[schema], first_tool_only=True)
    return bound_model, _ValidCallJsonParser(key_name=name, first_tool_only=True)


def _bind_json_schema(model: Any, schema: Any, strict: bool | None) -> tuple[Any, Any]:
    response_format = build_response_format(schema, strict=strict)
    bound_model = model.bind(
        response_format=response_format,
        ls_structured_output_format=_describe_binding("json_schema", schema, strict),
    )
    is_enforced = response_format["json_schema"].get("strict") is not False
    return bound_model, _build_parser(schema, response_format["json_schema"]["schema"] if is_enforced else None)


def _bind_json_mode(model: Any, schema: Any, _: bool | None) -> tuple[Any, Any]:
    description = {
        "kwargs": {"method": "json_mode"},
        "schema": None if schema is None else _describe_schema(schema),
    }
    bound_model = model.bind(response_format={"type": "json_object"}, ls_structured_output_format=description)
    return bound_model, _build_parser(schema)


def _describe_binding(method: Method, schema: Any, strict: bool | None) -> dict[str, Any]:
    """Return the description of the output format that LangSmith shows."""
    return {"kwargs": {"method": method, "strict": strict}, "schema": _describe_schema(schema)}


def _describe_schema(schema: Any) -> dict[str, Any]:
    try:
        return convert_to_json_schema(schema)
    except (ValueError, TypeError, AttributeError, KeyError):
        # A form that LangChain does not know, such as a list of types. It reads the description once more, and takes
        # a function of OpenAI's API as it is.
        function = {"parameters": {}, **read_schema(schema)}
    return {"type": "function", "function": function}


def _build_parser(schema: Any, json_schema: Mapping[str, Any] | None = None) -> Any:
    if _is_pydantic_model(schema):
        return _CompletePydanticParser(pydantic_object=schema)
    return _CompleteJsonParser(json_schema=json_schema)


class _CompleteJsonParser(JsonOutputParser):
    """JSON parser that rejects truncated answers, and values that do not follow the schema.

    Attributes:
        json_schema: The schema; None accepts any JSON.
    """

    json_schema: Mapping[str, Any] | None = None

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return the value of an answer; `partial` accepts the beginning of one."""
        _check_complete(result, partial)
        value = super().parse_result(result, partial=partial)
        if self.json_schema is not None and not partial and (problem := check_value(self.json_schema, value)):
            raise OutputParserException(f"The answer does not follow the schema. {problem}", llm_output=result[0].text)
        return value


class _CompletePydanticParser(PydanticOutputParser[Any]):
    """Pydantic parser that rejects truncated answers."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return the value of an answer; `partial` accepts the beginning of one."""
        _check_complete(result, partial)
        return super().parse_result(result, partial=partial)


class _ValidCallJsonParser(JsonOutputKeyToolsParser):
    """Parser of a call's arguments that reports an invalid call."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return the arguments of the call; `partial` accepts the beginning of them."""
        _check_calls(result, partial)
        return super().parse_result(result, partial=partial)


class _ValidCallPydanticParser(PydanticToolsParser):
    """Parser of a call's arguments as a Pydantic model that reports an invalid call."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return an instance of the model; `partial` accepts the beginning of the arguments."""
        _check_calls(result, partial)
        return super().parse_result(result, partial=partial)


def _check_calls(result: list[Generation], partial: bool) -> None:
    """Check that an answer has a valid call, if it has any; LangChain's parsers would return None.

    Raises:
        OutputParserException: The only calls are invalid.
    """
    message = result[0].message if isinstance(result[0], ChatGeneration) else None
    if partial or not isinstance(message, AIMessage) or message.tool_calls or not message.invalid_tool_calls:
        return
    call = message.invalid_tool_calls[0]
    raise OutputParserException(
        f"The call of {call['name']!r} is invalid. {call['error']} If it was cut off, raise max_tokens.",
        llm_output=call["args"],
    )


def _check_complete(result: list[Generation], partial: bool) -> None:
    """Check that an answer is complete JSON; LangChain's parsers would complete it with wrong values.

    Raises:
        OutputParserException: The answer is not complete JSON.
    """
    if partial:
        return
    try:
        parse_json_markdown(result[0].text.strip(), parser=_parse_json)
    except ValueError as error:
        raise OutputParserException(
            f"The answer is not complete JSON: {error}. If it was cut off, raise max_tokens.",
            llm_output=result[0].text,
        ) from error


_parse_json = partial(json.loads, strict=False)


def _is_pydantic_model(schema: Any) -> bool:
    return isinstance(schema, type) and is_basemodel_subclass(schema)


_BINDERS: Mapping[str, Callable[[Any, Any, bool | None], tuple[Any, Any]]] = {
    "function_calling": _bind_function,
    "json_schema": _bind_json_schema,
    "json_mode": _bind_json_mode,
}
