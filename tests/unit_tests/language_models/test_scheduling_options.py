"""Options for scheduling and caching: how they reach the engine, and what it reports back."""

import pytest
from langchain_core import exceptions as langchain_errors
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from pydantic import ValidationError

from langchain_gptoss import ChatGptOss, GptOssLLM
from langchain_gptoss.engine import TokenStream
from langchain_gptoss.errors import DeadlineError, InvalidInputError
from tests.unit_tests.scripted_models import (
    ENCODING,
    RecordingEngine,
    build_chat_model,
    build_completion_model,
    encode,
    write_final,
)

ANSWER = write_final("A")
OPTIONS = {"priority": 2, "deadline_s": 9.5, "cache_salt": "alice", "is_speculative": False}
RULES, QUESTION = SystemMessage("Answer in one sentence."), HumanMessage("What is the capital of France?")


def read_options(llm, call=-1):
    request = llm.engine.requests[call]
    return {name: getattr(request, name) for name in OPTIONS}


def read_shared_text(llm, call=-1):
    request = llm.engine.requests[call]
    return ENCODING.decode(request.prompt_ids[: request.shared_tokens])


@pytest.mark.parametrize("build", [build_chat_model, build_completion_model])
def test_options_of_the_constructor_and_of_a_call_reach_the_engine(build):
    llm = build(*[ANSWER] * 3)
    llm.invoke("Hello")
    assert read_options(llm) == {"priority": 0, "deadline_s": None, "cache_salt": None, "is_speculative": True}
    llm.invoke("Hello", **OPTIONS)
    assert read_options(llm) == OPTIONS
    llm.model_copy(update=OPTIONS).invoke("Hello", priority=-1)
    assert read_options(llm) == OPTIONS | {"priority": -1}


async def test_options_in_the_configuration_of_a_run_reach_the_engine():
    llm = build_chat_model(*[ANSWER] * 6)
    config = {"configurable": {"cache_salt": "alice", "priority": 2}}
    llm.invoke("Hello", config)
    await llm.ainvoke("Hello", config)
    list(llm.stream("Hello", config))
    [chunk async for chunk in llm.astream("Hello", config)]
    RunnableLambda(lambda text: llm.invoke(text)).invoke("Hello", config)
    for call in range(5):
        assert read_options(llm, call) == {
            "priority": 2,
            "deadline_s": None,
            "cache_salt": "alice",
            "is_speculative": True,
        }
    llm.bind(cache_salt="bob").invoke("Hello", config)
    assert read_options(llm)["cache_salt"] == "bob"


@pytest.mark.parametrize(
    ("name", "value"),
    [("priority", 1.5), ("deadline_s", 0), ("cache_salt", ""), ("cache_salt", 7), ("is_speculative", "yes")],
)
def test_invalid_options_of_a_call_are_rejected(name, value):
    with pytest.raises(InvalidInputError, match=f"{name} is"):
        build_chat_model(ANSWER).invoke("Hello", **{name: value})


@pytest.mark.parametrize("options", [{"deadline_s": -1}, {"priority": "high"}, {"cache_salt": 7}])
@pytest.mark.parametrize("model_class", [ChatGptOss, GptOssLLM])
def test_invalid_fields_are_rejected(model_class, options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        model_class(model="gpt-oss-20b", **options)


def test_prompts_with_a_salt_share_the_first_system_message_and_nothing_after_it():
    llm = build_chat_model(*[ANSWER] * 3, cache_salt="alice")
    llm.invoke([RULES, QUESTION])
    shared = read_shared_text(llm)
    assert "Answer in one sentence." in shared
    assert shared.endswith("<|start|>user<|message|>")
    llm.invoke([RULES, SystemMessage("She asked about Lyon."), QUESTION])
    assert "Answer in one sentence" in read_shared_text(llm)
    assert "She" not in read_shared_text(llm)
    llm.invoke([QUESTION])
    assert "You are ChatGPT" in read_shared_text(llm)
    assert "France" not in read_shared_text(llm)


def test_prompts_without_a_salt_name_no_shared_beginning():
    llm = build_chat_model(ANSWER)
    llm.invoke([RULES, QUESTION])
    assert llm.engine.requests[0].shared_tokens == 0


def test_the_system_prompt_can_be_kept_apart_too():
    llm = build_chat_model(ANSWER, cache_salt="alice", shares_system_prompt=False)
    llm.invoke([RULES, QUESTION])
    assert llm.engine.requests[0].shared_tokens == 0
    assert llm.engine.requests[0].cache_salt == "alice"


def test_a_completion_with_a_salt_shares_the_beginning_of_the_chat_format_only():
    llm = build_completion_model(ANSWER, ANSWER, cache_salt="alice")
    llm.invoke("What is the capital of France?")
    assert "You are ChatGPT" in read_shared_text(llm)
    assert "France" not in read_shared_text(llm)
    llm.model_copy(update={"raw": True}).invoke("The capital of France is")
    assert llm.engine.requests[1].shared_tokens == 0


class ReportingEngine(RecordingEngine):
    """An engine that takes 16 tokens of each prompt from its cache."""

    def submit(self, request):
        stream = super().submit(request)
        stream.cached_tokens = 16
        return stream


class LateEngine(RecordingEngine):
    """An engine that misses the deadline after the first tokens of an answer."""

    def submit(self, request):
        self.requests.append(request)
        stream = TokenStream()
        for token_id in encode("<|channel|>final<|message|>Paris is"):
            stream.put(token_id)
        stream.fail(DeadlineError("The answer was not complete after 1 s."))
        return stream


def test_usage_names_the_tokens_from_the_cache():
    llm = ChatGptOss(model="gpt-oss-20b", engine=ReportingEngine([encode(ANSWER)]))
    assert llm.invoke("Hello").usage_metadata["input_token_details"] == {"cache_read": 16}
    completion = GptOssLLM(model="gpt-oss-20b", engine=ReportingEngine([encode(ANSWER)]))
    assert completion.generate(["Hello"]).generations[0][0].generation_info["cached_tokens"] == 16


def test_a_missed_deadline_is_a_timeout_of_langchain_after_the_tokens_before_it():
    llm = ChatGptOss(model="gpt-oss-20b", engine=LateEngine([]))
    texts = []
    with pytest.raises(langchain_errors.ModelTimeoutError, match="not complete after 1 s"):
        texts.extend(chunk.text for chunk in llm.stream("Hello", deadline_s=1))
    assert "".join(texts) == "Paris is"
    with pytest.raises(DeadlineError):
        llm.invoke("Hello", deadline_s=1)
