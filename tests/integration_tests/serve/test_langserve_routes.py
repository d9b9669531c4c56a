"""The server as its clients see it: a real uvicorn on a loopback port, asked by LangServe's own RemoteRunnable."""

import hashlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langserve import RemoteRunnable
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss import ChatGptOss, FaissStore, create_chatbot
from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine
from langchain_gptoss.engine.scheduler import Generation
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve import ServerSettings, add_chatbot_routes, create_app

KEYS = set(ChatbotOutput.model_fields)
FIRST = {"sources", "standalone_question", "language"}
QUESTION = {"question": "How much does the express delivery cost?"}
ANSWER = "The express delivery costs 12.90 euros."
TEXTS = ["The express delivery costs 12.90 euros.", "The museum opens at noon.", "Apples are red."]


class Words(Embeddings):
    """Words hashed into 64 dimensions."""

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * 64
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0] % 64] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class SlowEngine(ScriptedEngine):
    """A scripted engine that takes its time, as a model does."""

    def _replay(self, completion: list[int], request: GenerationRequest, limit: int) -> Generation:
        replay = super()._replay(completion, request, limit)
        while True:
            time.sleep(0.01)
            try:
                yield next(replay)
            except StopIteration as end:
                return end.value


def harmony(text: str) -> list[int]:
    encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    return encoding.encode(f"<|channel|>final<|message|>{text}<|return|>", allowed_special="all")


def scripted(*answers: str, context_length: int = 4096) -> ScriptedEngine:
    return ScriptedEngine([harmony(answer) for answer in answers], context_length=context_length)


def chatbot_over(engine: ScriptedEngine, **options: object) -> Runnable:
    documents = [Document(page_content=text, metadata={"source": f"{i}.md"}) for i, text in enumerate(TEXTS)]
    store = FaissStore(Words())
    store.add_documents(documents)
    return create_chatbot(ChatGptOss(model="gpt-oss-20b", engine=engine), store.as_retriever(), **options)


@contextmanager
def running(app: FastAPI, *, send_buffer: int | None = None) -> Iterator[str]:
    """Yields the address of an application that is served until the end of the block."""
    with socket.socket() as listener:
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            assert server.started
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def remote(chatbot: Runnable) -> Iterator[RemoteRunnable]:
    with running(create_app(chatbot)) as address:
        client = RemoteRunnable(f"{address}/chatbot/", timeout=60)
        yield client
        client.sync_client.close()


def plain(value: object) -> dict:
    """What JSON makes of an output, without the seconds it took."""
    output = value.model_dump(mode="json") if isinstance(value, ChatbotOutput) else dict(value)
    output.pop("timings", None)
    return output


def test_invoke_gives_what_the_chatbot_gives_here():
    local = chatbot_over(scripted(ANSWER)).invoke(QUESTION)
    with remote(chatbot_over(scripted(ANSWER))) as bot:
        answer = bot.invoke(QUESTION)
    assert set(answer) == KEYS
    assert plain(answer) == plain(local)
    assert answer["answer"] == f"{ANSWER} [1]"
    assert answer["citations"][0]["quote"] == TEXTS[0]
    assert not answer["abstained"]


def test_stream_comes_in_the_order_of_the_chatbot():
    local = list(chatbot_over(scripted(ANSWER), strict=False).stream(QUESTION))
    with remote(chatbot_over(scripted(ANSWER), strict=False)) as bot:
        events = list(bot.stream(QUESTION))
    assert [plain(event) for event in events] == [plain(event) for event in local]
    assert set(events[0]) == FIRST
    assert len([event for event in events if list(event) == ["answer"]]) > 3
    assert {"citations", "abstained", "reason", "usage"} <= set(events[-1])
    whole = events[0]
    for event in events[1:]:
        whole += event
    assert set(whole) <= KEYS
    assert whole["answer"] == f"{ANSWER} [1]"


async def test_async_gives_the_same():
    with remote(chatbot_over(scripted(ANSWER, ANSWER, ANSWER))) as bot:
        async with bot.async_client:
            answer = await bot.ainvoke(QUESTION)
            events = [event async for event in bot.astream(QUESTION)]
            assert plain(answer) == plain(bot.invoke(QUESTION))
    whole = events[0]
    for event in events[1:]:
        whole += event
    assert plain(whole).items() <= plain(answer).items()


async def test_stream_events_show_the_model_at_work():
    with remote(chatbot_over(scripted(ANSWER))) as bot:
        async with bot.async_client:
            events = [event async for event in bot.astream_events(QUESTION, version="v2")]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "on_chain_start"
    assert kinds[-1] == "on_chain_end"
    assert {"on_retriever_end", "on_chat_model_stream"} <= set(kinds)


def test_batch_answers_each_question():
    other = {"question": "When does the museum open?"}
    with remote(chatbot_over(scripted("The museum opens at noon."))) as bot:
        answers = bot.batch([other, {"question": "Who wrote Hamlet?"}])
    assert [set(answer) for answer in answers] == [KEYS, KEYS]
    assert answers[0]["answer"] == "The museum opens at noon. [1]"
    assert answers[1]["abstained"]
    assert answers[1]["answer"] == "I could not find this in the documents."


def test_history_arrives_as_the_messages_that_were_sent():
    seen = []
    history = [SystemMessage("Be kind."), HumanMessage("How much is it?"), AIMessage("12.90 euros. [1]")]
    echo = RunnableLambda(lambda value: seen.append(value) or {"answer": "ok"})
    with remote(echo) as bot:
        bot.invoke({"question": "And now?", "chat_history": history})
        list(bot.stream({"question": "And now?", "chat_history": history}))
        bot.batch([{"question": "And now?", "chat_history": history}, {"question": "Alone"}])
    with_history = [value for value in seen if "chat_history" in value]
    assert len(with_history) == 3
    for value in with_history:
        assert [type(message) for message in value["chat_history"]] == [SystemMessage, HumanMessage, AIMessage]
        assert [message.content for message in value["chat_history"]] == [message.content for message in history]
    assert {"question": "Alone"} in seen


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"question": "  "}, "The question is empty. Pass it as"),
        ({"query": "What?"}, "The input cannot be read. question: Field required."),
        ({"question": 5}, "The input cannot be read. question: Input should be a valid string."),
        ({"question": "What?", "chat_history": [{"content": "a"}]}, 'a message looks like {"type": "human"'),
        ({"question": "What?", "chat_history": ["a"]}, 'a message looks like {"type": "human"'),
        ({"question": "What?", "chat_history": [{"type": "person", "content": "a"}]}, "Input tag 'person'"),
    ],
)
def test_a_bad_input_is_answered_with_what_is_wrong(value, message):
    engine = scripted()
    with remote(chatbot_over(engine)) as bot:
        for path, body in (
            ("invoke", {"input": value}),
            ("stream", {"input": value}),
            ("batch", {"inputs": [QUESTION, value]}),
        ):
            answer = httpx.post(f"{bot.url}{path}", json=body)
            assert answer.status_code == 422
            assert message in answer.json()["detail"]
        with pytest.raises(httpx.HTTPStatusError) as raised:
            bot.invoke(value)
        assert message in raised.value.response.json()["detail"]
    assert engine.requests == []


def test_a_request_without_input_is_answered_with_how_to_send_one():
    with remote(chatbot_over(scripted())) as bot:
        for path, content, message in (
            ("invoke", '{"inputs": []}', 'Send {"input": {"question": "..."}}.'),
            ("batch", '{"inputs": 3}', 'Send {"inputs": [{"question": "..."}, ...]}.'),
            ("stream", "[]", 'Send {"input": {"question": "..."}}.'),
            ("invoke", "{", "The request is not JSON"),
        ):
            answer = httpx.post(f"{bot.url}{path}", content=content)
            assert answer.status_code == 422
            assert message in answer.json()["detail"]


def test_too_long_a_question_is_answered_with_its_length():
    long = {"question": "How much does the express delivery cost? " * 20}
    with remote(chatbot_over(scripted(ANSWER, context_length=100))) as bot:
        with pytest.raises(httpx.HTTPStatusError, match="the model's context holds 100") as invoked:
            bot.invoke(long)
        with pytest.raises(httpx.HTTPStatusError) as streamed:
            list(bot.stream(long))
    assert invoked.value.response.status_code == 422
    # LangServe has sent status 200 by then, and puts no message into its error event.
    assert streamed.value.response.status_code == 500


def test_our_own_faults_are_not_shown_to_the_client():
    with remote(chatbot_over(scripted())) as bot:  # the engine has no completion left
        with pytest.raises(httpx.HTTPStatusError, match="500 Internal Server Error") as raised:
            bot.invoke(QUESTION)
        assert raised.value.response.text == "Internal Server Error"


def test_a_client_that_leaves_stops_the_engine():
    engine = SlowEngine([harmony("word " * 3000)])
    with remote(chatbot_over(engine, strict=False)) as bot:
        stream = bot.stream(QUESTION)
        assert set(next(stream)) == FIRST
        assert list(next(stream)) == ["answer"]
        stream.close()
        time.sleep(1)
        left = engine.steps
        time.sleep(1)
        assert engine.steps == left
        assert 0 < left < 300


def test_pages_schemas_and_health():
    with running(create_app(chatbot_over(scripted()), title="Help desk")) as address, httpx.Client() as client:
        assert client.get(f"{address}/healthz").json() == {"status": "ok"}
        assert "<html" in client.get(f"{address}/chatbot/playground/").text
        api = client.get(f"{address}/openapi.json").json()
        assert api["info"]["title"] == "Help desk"
        assert {"/chatbot/invoke", "/chatbot/batch", "/chatbot/stream", "/chatbot/stream_events"} <= set(api["paths"])
        takes, gives = (client.get(f"{address}/chatbot/{way}put_schema").json() for way in ("in", "out"))
        assert takes["$defs"]["ServedInput"]["required"] == ["question"]
        assert set(gives["properties"]) == KEYS


def test_the_chat_model_can_be_left_out():
    app = create_app(chatbot_over(scripted(ANSWER)), settings=ServerSettings(chat_model=False))
    with running(app) as address, httpx.Client() as client:
        assert [each["id"] for each in client.get(f"{address}/v1/models").json()["data"]] == ["chatbot"]
        assert client.post(f"{address}/model/invoke", json={"input": "hi"}).status_code == 404
        assert client.post(f"{address}/chat/invoke", json={"input": {"messages": []}}).status_code == 404
        assert client.post(f"{address}/chatbot/invoke", json={"input": QUESTION}).status_code == 200


def test_two_chatbots_in_an_app_of_ones_own(capfd):
    app = FastAPI()
    add_chatbot_routes(app, chatbot_over(scripted(ANSWER)), path="/shop/help")
    add_chatbot_routes(app, chatbot_over(scripted()), path="/museum")
    with running(app) as address:
        assert RemoteRunnable(f"{address}/shop/help").invoke(QUESTION)["answer"] == f"{ANSWER} [1]"
        assert RemoteRunnable(f"{address}/museum").invoke({"question": "Who wrote Hamlet?"})["abstained"]
        assert httpx.get(f"{address}/chatbot/input_schema").status_code == 404
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("path", ["chatbot", "/chatbot/", "/", ""])
def test_a_path_that_cannot_work_is_refused(path):
    with pytest.raises(InvalidInputError, match="begin with a slash"):
        add_chatbot_routes(FastAPI(), RunnableLambda(dict), path=path)


def test_serve_runs_until_it_is_interrupted():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    code = f"""
from langchain_core.runnables import RunnableLambda
from langchain_gptoss.serve import serve
serve(RunnableLambda(lambda value: {{"answer": value["question"]}}), port={port})
"""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: process.poll() is not None or _answers(port), 60)
        bot = RemoteRunnable(f"http://127.0.0.1:{port}/chatbot")
        assert bot.invoke({"question": "hello"}) == {"answer": "hello"}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode in {0, -signal.SIGINT, 130}, err.decode()
        assert b"LANGSERVE" not in out
    finally:
        process.kill()
        process.communicate()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"status": "ok"}
    except httpx.ConnectError:
        return False


MISSING = """
import sys
sys.modules["langserve"] = None
from langchain_gptoss.errors import MissingDependencyError
try:
    import langchain_gptoss.serve
except MissingDependencyError as error:
    print(error)
"""


def test_without_the_extra_the_error_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", MISSING], check=True, capture_output=True, text=True, timeout=120)
    assert 'pip install "langchain-gptoss[serve]"' in done.stdout


def test_the_demo_model_answers_from_the_handbook_over_http(demo_llm, handbook_store):
    chatbot = create_chatbot(demo_llm, handbook_store.as_retriever())
    question = {"question": "How much does standard delivery cost?"}
    with remote(chatbot) as bot:
        answer = bot.invoke(question)
        pieces = [event["answer"] for event in bot.stream(question) if "answer" in event]
        declined = bot.invoke({"question": "What is the capital of France?"})
        history = [HumanMessage(question["question"]), AIMessage(answer["answer"])]
        followed = bot.invoke({"question": "And express delivery?", "chat_history": history})
    assert "4.90" in answer["answer"]
    assert answer["citations"][0]["source"] == "en/shipping.md"
    assert answer["usage"]["output_tokens"] > 0
    assert "4.90" in "".join(pieces)
    assert declined["abstained"]
    assert "12.90" in followed["answer"]
