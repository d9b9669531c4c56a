"""The route for text completions, with scripted models."""

from typing import Any

import pytest

from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import ServerSettings
from tests.integration_tests.serve.helpers import (
    ENCODING,
    MODEL,
    connect,
    make_app,
    make_chatbot,
    make_engine,
    read_metric,
    run_server,
    serve_chatbot,
)


def make_text_engine(*texts: str) -> ScriptedEngine:
    return ScriptedEngine([ENCODING.encode(text, allowed_special="all") for text in texts])


@pytest.fixture(scope="module")
def idle_client():
    """A client of a server whose model must not be used."""
    engine = make_engine()
    settings = ServerSettings(max_batch=4)
    with run_server(make_app(make_chatbot(engine), settings=settings)) as address, connect(address) as client:
        yield client
    assert engine.requests == []


def complete(client, **fields: Any) -> Any:
    return client.post("/v1/completions", json={"model": MODEL, "prompt": "Once upon", **fields})


def test_the_text_is_continued_without_a_chat_format():
    engine = make_text_engine(" a time, é!<|return|>")
    with serve_chatbot(make_chatbot(engine)) as client:
        answer = complete(client).json()
        assert read_metric(client, 'gptoss_tokens_total{kind="output"}') == answer["usage"]["completion_tokens"]
    assert ENCODING.decode(engine.requests[0].prompt_ids) == "Once upon"
    assert engine.requests[0].sampling.max_tokens == 16
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "text": " a time, é!", "logprobs": None, "finish_reason": "stop"}]
    assert answer["usage"]["prompt_tokens"] == 2


def test_control_tokens_are_written_by_name():
    output = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi"
    ids = ENCODING.encode("<|start|>user<|message|>Hello<|end|><|start|>assistant", allowed_special="all")
    engine = make_text_engine(output + "<|return|>")
    with serve_chatbot(make_chatbot(engine)) as client:
        answer = complete(client, prompt=ids, max_tokens=50, echo=True).json()
    assert list(engine.requests[0].prompt_ids) == ids
    assert answer["choices"][0]["text"] == ENCODING.decode(ids) + output


def test_control_tokens_in_a_text_are_ordinary_text():
    engine = make_text_engine("a<|return|>")
    with serve_chatbot(make_chatbot(engine)) as client:
        complete(client, prompt="<|start|>")
    assert engine.requests[0].prompt_ids == tuple(ENCODING.encode("<|start|>", disallowed_special=()))


def test_several_prompts_and_answers_have_their_index():
    engine = make_text_engine(*["x y z<|return|>"] * 4)
    with serve_chatbot(make_chatbot(engine)) as client:
        answer = complete(client, prompt=["a b", "c"], n=2, seed=7).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    prompts = sorted((ENCODING.decode(request.prompt_ids), request.sampling.seed) for request in engine.requests)
    assert prompts == [("a b", 7), ("a b", 8), ("c", 7), ("c", 8)]
    assert answer["usage"]["prompt_tokens"] == 3
    assert answer["usage"]["completion_tokens"] == 16


def test_a_stream_has_the_text_the_reason_and_the_usage():
    with serve_chatbot(make_chatbot(make_text_engine("one two three four<|return|>"))) as client:
        lines = complete(client, stream=True, echo=True, max_tokens=3, stream_options={"include_usage": True}).text
    events = [line.removeprefix("data: ") for line in lines.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    import json

    *chunks, last = [json.loads(event) for event in events[:-1]]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Once upon" + "one two three"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert last["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_stop_strings_end_the_text():
    with serve_chatbot(make_chatbot(make_text_engine("one two three<|return|>"))) as client:
        choice = complete(client, stop=" three").json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("one two", "stop")


def test_no_tokens_give_the_prompt_back(idle_client):
    choice = complete(idle_client, max_tokens=0, echo=True).json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("Once upon", "length")


@pytest.mark.parametrize("field", ["max_tokens", "echo", "suffix", "best_of", "n", "logprobs", "stop", "stream"])
def test_null_means_the_default(field):
    engine = make_text_engine("a<|return|>")
    with serve_chatbot(make_chatbot(engine)) as client:
        assert complete(client, **{field: None}).json()["choices"][0]["text"] == "a"
    assert engine.requests[0].sampling.max_tokens == 16


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, None),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": ["a", 5]}, "prompt[1]"),
        ({"prompt": [[1, "a"]]}, "prompt[0]"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [10**6]}, "prompt"),
        ({"prompt": [[5, 2**80]]}, "prompt"),
        ({"prompt": ["a"] * 5}, "prompt"),
        ({"prompt": ["a"] * 3, "n": 2}, "prompt"),
        ({"suffix": "the end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 1}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 9}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"model": "chatbot"}, "model"),
    ],
)
def test_a_wrong_value_is_refused_by_name(idle_client, fields, param):
    answer = complete(idle_client, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_the_model_is_not_used_after_the_client_has_gone():
    from tests.integration_tests.serve.helpers import SlowEngine, post_and_disconnect, wait_until

    engine = SlowEngine([ENCODING.encode("word " * 3000)] * 2)
    with serve_chatbot(make_chatbot(engine)) as client:
        body = {"model": MODEL, "prompt": ["a", "b"], "max_tokens": 2900, "stream": True}
        post_and_disconnect(client, "/v1/completions", body, engine)
        wait_until(engine.ended.is_set)
    assert engine.steps < 5000
