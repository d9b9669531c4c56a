"""Options for scheduling and caching on a server: sent, refused, or met on this side."""

import threading

import httpx
import pytest

from langchain_gptoss.engine import GenerationRequest
from langchain_gptoss.engine.runners.remote import RemoteEngine
from langchain_gptoss.engine.runners.server_protocols import LlamaServer, VllmServer
from langchain_gptoss.errors import DeadlineError, InvalidInputError


def build_body(protocol, **options):
    return protocol.build_body(GenerationRequest(prompt_ids=(1, 2), **options), "m", 8)


def test_vllm_gets_salt_and_priority():
    assert not {"cache_salt", "priority"} & build_body(VllmServer()).keys()
    body = build_body(VllmServer(), cache_salt="alice", priority=3)
    assert (body["cache_salt"], body["priority"]) == ("alice", -3)


def test_llama_server_takes_nothing_from_its_cache_for_a_prompt_with_a_salt():
    assert build_body(LlamaServer())["cache_prompt"] is True
    assert build_body(LlamaServer(), cache_salt="alice")["cache_prompt"] is False


def test_llama_server_refuses_a_priority():
    with pytest.raises(InvalidInputError, match=r"priority is 1, and llama\.cpp's server has no priorities"):
        build_body(LlamaServer(), priority=1)


def test_a_deadline_ends_an_answer_that_a_server_does_not_complete():
    released = threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/props":
            return httpx.Response(200, json={"default_generation_settings": {"n_ctx": 512}})
        released.wait(30)
        return httpx.Response(500)

    engine = RemoteEngine("http://host:8080", "m", transport=httpx.MockTransport(answer))
    try:
        stream = engine.submit(GenerationRequest(prompt_ids=(1, 2), deadline_s=0.01))
        with pytest.raises(DeadlineError, match=r"not completed the answer after 0\.01 s"):
            list(stream)
    finally:
        released.set()
        engine.close()


def test_an_answer_before_its_deadline_is_complete():
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/props":
            return httpx.Response(200, json={"default_generation_settings": {"n_ctx": 512}})
        return httpx.Response(200, text='data: {"tokens": [7], "stop": true}\n\n')

    engine = RemoteEngine("http://host:8080", "m", transport=httpx.MockTransport(answer))
    assert list(engine.submit(GenerationRequest(prompt_ids=(1, 2), deadline_s=600))) == [7]
    engine.close()
