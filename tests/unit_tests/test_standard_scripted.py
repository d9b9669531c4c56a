"""LangChain's standard integration tests, every feature on, with the harmony that gpt-oss-20b would write.

All cases pass here, also those for which the demo model is too small.
"""

import json
import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenStream
from tests.unit_tests.scripted_models import ENCODING, encode

JOKE = {"setup": "Why was the cat sitting on the computer?", "punchline": "To keep an eye on the mouse!"}
ARGUMENTS = {
    "magic_function": {"input": 3},
    "magic_function_no_args": {},
    "my_adder_tool": {"a": 3, "b": 4},
    "get_weather": {"location": "San Francisco, CA"},
    "greeting_generator": {"answer_style": "pirate"},
    "Joke": JOKE,
}


class RespondingEngine(ScriptedEngine):
    """An engine that answers a prompt as the model would: it reasons, then calls a tool or answers."""

    def __init__(self) -> None:
        super().__init__([])

    def submit(self, request: GenerationRequest) -> TokenStream:
        prompt = ENCODING.decode(request.prompt_ids)
        self._completions.append(encode(write_completion(prompt)))
        return super().submit(request)


def write_completion(prompt: str) -> str:
    reasoning = "<|channel|>analysis<|message|>The user wants something; let me see.<|end|><|start|>assistant"
    question = prompt.rpartition("<|start|>user<|message|>")[2]
    offered = re.findall(r"^type (\w+) = ", prompt, flags=re.MULTILINE)
    has_result = "<|start|>functions." in question
    required = re.search(r"Answer this message with a call to functions\.(\w+)", prompt)
    if offered and not has_result and (required or "hello" not in question.lower()):
        name = required[1] if required else offered[0]
        arguments = ARGUMENTS.get(name) or read_arguments(question)
        written = json.dumps(arguments, ensure_ascii=False)
        return f"{reasoning}<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{written}<|call|>"
    answer = json.dumps(JOKE) if "JSON" in prompt or "# Response Formats" in prompt else "Hello! How can I help?"
    return f"{reasoning}<|channel|>final<|message|>{answer}<|return|>"


def read_arguments(question: str) -> dict[str, str]:
    match = re.search(r"'([^']+)'", question)
    return {"customer_name": match[1]} if match else {}


class TestScripted(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[ChatGptOss]:
        return ChatGptOss

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gpt-oss-20b", "engine": RespondingEngine()}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        details = ["reasoning_output", "cache_read_input"]
        return {"invoke": details, "stream": details}

    @property
    def model_override_value(self) -> str:
        return "gpt-oss-120b"

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._check_reasoning(stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._check_reasoning(stream=stream)

    def _check_reasoning(self, *, stream: bool) -> AIMessage:
        llm = ChatGptOss(**self.chat_model_params)
        message = merge_chunks(llm.stream("Hello")) if stream else llm.invoke("Hello")
        assert message.usage_metadata["output_token_details"]["reasoning"] > 5
        return message


def merge_chunks(chunks: Any) -> AIMessage:
    first, *others = chunks
    return sum(others, first)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
class TestScriptedByEachMethod:
    """The cases of structured output, by each method."""

    @pytest.mark.parametrize("schema_type", ["pydantic", "typeddict", "json_schema"])
    def test_structured_output(self, method, schema_type):
        suite = type("Suite", (TestScripted,), {"structured_output_kwargs": {"method": method}})()
        llm = ChatGptOss(**suite.chat_model_params)
        suite.test_structured_output(llm, schema_type)
        suite.test_structured_output_pydantic_2_v1(llm)
        suite.test_structured_output_optional_param(llm)
