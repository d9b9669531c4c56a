"""LangChain's own integration suite, every feature on, with harmony as gpt-oss-20b would emit it.

No case is expected to fail here: what the demo model is too small for is shown to work.
"""

import json
import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenStream

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
JOKE = {"setup": "Why was the cat sitting on the computer?", "punchline": "To keep an eye on the mouse!"}
ARGUMENTS = {
    "magic_function": {"input": 3},
    "magic_function_no_args": {},
    "my_adder_tool": {"a": 3, "b": 4},
    "get_weather": {"location": "San Francisco, CA"},
    "greeting_generator": {"answer_style": "pirate"},
    "Joke": JOKE,
}


class Speaker(ScriptedEngine):
    """Answers a prompt as the model would: thinks, then calls the tool that is asked for, or answers."""

    def __init__(self) -> None:
        super().__init__([])

    def submit(self, request: GenerationRequest) -> TokenStream:
        prompt = ENCODING.decode(request.prompt_ids)
        self._completions.append(ENCODING.encode(completion(prompt), allowed_special="all"))
        return super().submit(request)


def completion(prompt: str) -> str:
    thought = "<|channel|>analysis<|message|>The user wants something; let me see.<|end|><|start|>assistant"
    question = prompt.rpartition("<|start|>user<|message|>")[2]
    offered = re.findall(r"^type (\w+) = ", prompt, flags=re.MULTILINE)
    answered = "<|start|>functions." in question
    demanded = re.search(r"Answer this message with a call to functions\.(\w+)", prompt)
    if offered and not answered and (demanded or "hello" not in question.lower()):
        name = demanded[1] if demanded else offered[0]
        arguments = ARGUMENTS.get(name) or named(question)
        written = json.dumps(arguments, ensure_ascii=False)
        return f"{thought}<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{written}<|call|>"
    answer = json.dumps(JOKE) if "JSON" in prompt or "# Response Formats" in prompt else "Hello! How can I help?"
    return f"{thought}<|channel|>final<|message|>{answer}<|return|>"


def named(question: str) -> dict[str, str]:
    found = re.search(r"'([^']+)'", question)
    return {"customer_name": found[1]} if found else {}


class TestScripted(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[ChatGptOss]:
        return ChatGptOss

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gpt-oss-20b", "engine": Speaker()}

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
        return self._asked(stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._asked(stream=stream)

    def _asked(self, *, stream: bool) -> AIMessage:
        llm = ChatGptOss(**self.chat_model_params)
        message = sum_of(llm.stream("Hello")) if stream else llm.invoke("Hello")
        assert message.usage_metadata["output_token_details"]["reasoning"] > 5
        return message


def sum_of(chunks: Any) -> AIMessage:
    whole = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
class TestScriptedByEachMethod:
    """The structured-output cases once more, by each method."""

    @pytest.mark.parametrize("schema_type", ["pydantic", "typeddict", "json_schema"])
    def test_structured_output(self, method, schema_type):
        suite = type("Suite", (TestScripted,), {"structured_output_kwargs": {"method": method}})()
        llm = ChatGptOss(**suite.chat_model_params)
        suite.test_structured_output(llm, schema_type)
        suite.test_structured_output_pydantic_2_v1(llm)
        suite.test_structured_output_optional_param(llm)
