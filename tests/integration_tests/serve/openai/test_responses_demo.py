"""The Responses API with the real demo model and OpenAI's client. The model's words are not checked, only their form."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from langchain_gptoss import create_chatbot
from tests.integration_tests.serve.helpers import make_app, run_server

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Returns the weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Nantes", "Brest"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
SHORT: Any = {"model": "demo", "temperature": 0, "max_output_tokens": 40}


@pytest.fixture(scope="module")
def client(demo_llm, handbook_store) -> Iterator[openai.OpenAI]:
    """A client of a server with the demo model and a chatbot over the sample handbook."""
    chatbot = create_chatbot(demo_llm, handbook_store.as_retriever(), domain="support")
    with (
        run_server(make_app(chatbot)) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120) as openai_client,
    ):
        yield openai_client


def test_an_answer_and_its_stream_have_the_same_text(client):
    asked = {**SHORT, "input": "What is the capital of France?"}
    whole = client.responses.create(**asked)
    *_, last = events = list(client.responses.create(**asked, stream=True))
    assert "Paris" in whole.output_text
    assert last.type == "response.completed"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == last.response.output_text == whole.output_text
    assert whole.usage.input_tokens == last.response.usage.input_tokens > 0


def test_the_token_limit_makes_an_answer_incomplete(client):
    response = client.responses.create(**SHORT | {"max_output_tokens": 1}, input="Count from one to one hundred.")
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.usage.output_tokens == 1


def test_a_required_call_follows_the_schema_and_takes_its_result(client):
    first = client.responses.create(
        **SHORT,
        input="How is the weather in Nantes?",
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    call = first.output[-1]
    assert (call.type, call.name) == ("function_call", "get_weather")
    assert json.loads(call.arguments)["city"] in ("Nantes", "Brest")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
    second = client.responses.create(**SHORT, input=[result], tools=[WEATHER], previous_response_id=first.id)
    assert second.output
    assert second.usage.input_tokens > first.usage.input_tokens


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int


def test_structured_output_is_parsed(client):
    response = client.responses.parse(**SHORT, input="Name a city of France.", text_format=City)
    assert response.status == "completed"
    assert isinstance(response.output_parsed, City)


def test_an_earlier_response_is_remembered(client):
    first = client.responses.create(**SHORT, input="My name is Bertrand.")
    second = client.responses.create(**SHORT, input="What is my name?", previous_response_id=first.id)
    assert "Bertrand" in second.output_text


def test_the_chatbot_cites_the_handbook(client):
    response = client.responses.create(model="chatbot", input="How much does express shipping cost?")
    message = response.output[-1]
    citations = message.model_extra["citations"]
    assert [annotation.number for annotation in message.content[0].annotations] == [
        each["number"] for each in citations
    ]
    for annotation, citation in zip(message.content[0].annotations, citations, strict=True):
        assert response.output_text[annotation.index :].startswith(f"[{citation['number']}]")
