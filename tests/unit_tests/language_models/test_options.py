"""Options of both model classes: defaults, overrides, copies, serialization."""

import copy
import pickle
from pathlib import Path

import pytest
from langchain_core.load import dumpd
from pydantic import ValidationError

from langchain_gptoss import ChatGptOss, GptOssLLM
from langchain_gptoss.chat_formats.plain import PlainFormat
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.chat_formats.byte_tokenizer import build_tokenizer
from tests.unit_tests.scripted_models import build_chat_model, write_answer


def test_copies_and_pickles_keep_the_options():
    llm = ChatGptOss(model="gpt-oss-20b", temperature=0.5)
    _ = llm.card, llm.format
    again = pickle.loads(pickle.dumps(llm))
    assert (again.temperature, again.card.name) == (0.5, "gpt-oss-20b")
    assert llm.model_copy(update={"model": "demo"}).card.name == "demo"
    running = build_chat_model(write_answer("a"), write_answer("b"))
    running.invoke("x")
    assert copy.deepcopy(running).invoke("x").content == "b"
    llm.model = "demo"
    assert llm.card.name == "demo"


def test_model_per_call_has_the_options_of_the_constructor():
    llm = build_chat_model(write_answer("a"), write_answer("b"), write_answer("c"))
    llm.invoke("x", model="gpt-oss-120b")
    llm.temperature = 0.1
    llm.invoke("x", model="gpt-oss-120b")
    llm.model_copy(update={"temperature": 0.2}).invoke("x", model="gpt-oss-120b")
    assert [request.sampling.temperature for request in llm.engine.requests] == [1.0, 0.1, 0.2]


@pytest.mark.parametrize("model_class", [ChatGptOss, GptOssLLM])
def test_models_are_serialized_without_key_or_weights(model_class, tmp_path):
    serialized = dumpd(model_class(model=Path(tmp_path), temperature=0.5, api_key="hidden"))
    assert serialized["id"] == [*model_class.__module__.split("."), model_class.__name__]
    assert serialized["kwargs"]["model"] == str(tmp_path)
    assert serialized["kwargs"]["temperature"] == 0.5
    assert "hidden" not in str(serialized)


def test_unknown_argument_of_the_constructor_is_rejected():
    with pytest.raises(ValueError, match=r"Unknown argument 'temprature'. Did you mean 'temperature'"):
        ChatGptOss(model="gpt-oss-20b", temprature=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temprature": 1}, "Unknown option 'temprature'. Did you mean 'temperature'"),
        ({"top_p": 0}, "top_p is 0"),
        ({"max_tokens": -1}, "max_tokens is -1"),
        ({"min_p": 2}, "min_p is 2"),
        ({"presence_penalty": 5}, "presence_penalty is 5"),
        ({"frequency_penalty": -5}, "frequency_penalty is -5"),
        ({"logit_bias": {1: 1000}}, "logit_bias has 1000"),
        ({"reasoning_effort": "max"}, "reasoning_effort is 'max'"),
    ],
)
def test_invalid_options_of_a_call_are_rejected(options, message):
    with pytest.raises(InvalidInputError, match=message):
        build_chat_model(write_answer("A")).invoke("Hello", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"temprature": 1},
        {"temperature": -1},
        {"top_p": 0},
        {"max_tokens": 0},
        {"reasoning_effort": "max"},
        {"device": "tpu"},
        {"min_p": 1.5},
        {"frequency_penalty": 3},
        {"presence_penalty": -2.1},
        {"logit_bias": {"word": 1}},
    ],
)
def test_invalid_fields_are_rejected(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        ChatGptOss(model="gpt-oss-20b", **options)


def test_sampling_options_reach_the_engine():
    llm = build_chat_model(write_answer("A"), write_answer("B"), temperature=0.3, top_p=0.9, top_k=40, seed=7)
    llm.invoke("Hello")
    llm.invoke("Hello", temperature=0, seed=8, max_tokens=3)
    first, second = (request.sampling for request in llm.engine.requests)
    assert (first.temperature, first.top_p, first.top_k, first.seed, first.max_tokens) == (0.3, 0.9, 40, 7, None)
    assert (second.temperature, second.top_p, second.top_k, second.seed, second.max_tokens) == (0, 0.9, 40, 8, 3)


def test_penalties_and_bias_reach_the_engine():
    fields = {"min_p": 0.1, "frequency_penalty": 0.2, "presence_penalty": 0.3, "logit_bias": {"12": -1}}
    llm = build_chat_model(write_answer("A"), write_answer("B"), write_answer("C"), **fields)
    llm.invoke("Hello")
    llm.invoke("Hello", min_p=0, frequency_penalty=-0.2, presence_penalty=0, logit_bias={7: 5})
    llm.bind(logit_bias=None).invoke("Hello")
    values = [
        (params.min_p, params.frequency_penalty, params.presence_penalty, params.logit_bias)
        for params in (request.sampling for request in llm.engine.requests)
    ]
    assert values == [(0.1, 0.2, 0.3, {12: -1}), (0, -0.2, 0, {7: 5}), (0.1, 0.2, 0.3, None)]


@pytest.mark.parametrize("model_class", [ChatGptOss, GptOssLLM])
def test_sampling_options_identify_a_model_in_caches_and_traces(model_class):
    options = {"min_p": 0.1, "frequency_penalty": 0.2, "presence_penalty": 0.3, "logit_bias": {12: -1.0}}
    params = model_class(model="gpt-oss-20b", **options)._identifying_params
    assert {name: params[name] for name in options} == options


def test_default_temperature_is_that_of_the_catalogue():
    llm = build_chat_model(write_answer("A"))
    llm.invoke("Hello")
    assert llm.engine.requests[0].sampling.temperature == 1.0


def test_constructor_loads_nothing(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("langchain_gptoss.language_models.options.get_local_engine", fail)
    monkeypatch.setattr("langchain_gptoss.language_models.options.locate_model", fail)
    llm = ChatGptOss(model="gpt-oss-120b")
    assert "gpt-oss-120b" in repr(llm)
    llm._get_ls_params()


def test_answers_of_models_without_reasoning_have_a_limit_by_default(monkeypatch):
    monkeypatch.setattr(GptOssLLM, "format", PlainFormat(build_tokenizer(), stop_ids=frozenset({0})))
    llm = GptOssLLM(model="demo", engine=ScriptedEngine([], context_length=32_768))
    assert llm.choose_max_tokens() == 4096
    llm.engine = ScriptedEngine([], context_length=2048)
    assert llm.choose_max_tokens() == 1024
    assert llm.model_copy(update={"max_tokens": 7}).choose_max_tokens() == 7
    assert llm.model_copy(update={"max_tokens": None}).choose_max_tokens() is None


def test_models_that_reason_have_no_limit_by_default():
    llm = build_chat_model(write_answer("a"), write_answer("b"))
    llm.invoke("x")
    llm.invoke("x", max_tokens=50)
    assert [request.sampling.max_tokens for request in llm.engine.requests] == [None, 50]


def test_serialization_tells_no_limit_from_the_default():
    assert dumpd(ChatGptOss(model="demo", max_tokens=None))["kwargs"]["max_tokens"] is None
    assert dumpd(ChatGptOss(model="demo"))["kwargs"]["max_tokens"] == "auto"
