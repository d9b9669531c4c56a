"""The models that a server offers."""

from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.runnables import RunnableLambda

from langchain_gptoss import ChatGptOss
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.models import ServedModels, get_embeddings_name

CHATBOT = RunnableLambda(lambda value: value)
LLM = ChatGptOss(model="gpt-oss-20b")
EMBEDDINGS = DeterministicFakeEmbedding(size=4)


def refuse(get: Any, name: str) -> Any:
    with pytest.raises(RequestRefused) as raised:
        get(name)
    return raised.value.response


def test_each_route_finds_its_models():
    models = ServedModels(CHATBOT, LLM, EMBEDDINGS)
    assert models.names == ["chatbot", "gpt-oss-20b", "DeterministicFakeEmbedding"]
    assert models.get_chat_model("gpt-oss-20b") is LLM
    assert models.get_completion_model("gpt-oss-20b") is LLM
    assert models.get_embeddings("DeterministicFakeEmbedding") is EMBEDDINGS


def test_a_model_of_another_route_is_refused_with_the_reason():
    models = ServedModels(CHATBOT, LLM, EMBEDDINGS)
    for get, name, reason in [
        (models.get_chat_model, "DeterministicFakeEmbedding", "does not answer conversations"),
        (models.get_completion_model, "chatbot", "does not continue texts"),
        (models.get_embeddings, "gpt-oss-20b", "does not compute embeddings"),
    ]:
        response = refuse(get, name)
        assert (response.status_code, response.param, response.code) == (400, "model", "unsupported_model")
        assert reason in response.message
        assert refuse(get, "gpt-9").status_code == 404


def test_models_that_are_not_served_are_not_found():
    models = ServedModels(CHATBOT)
    assert models.names == ["chatbot"]
    for get in (models.get_chat_model, models.get_completion_model, models.get_embeddings):
        assert refuse(get, "gpt-oss-20b").code == "model_not_found"


def test_another_chat_model_continues_no_texts():
    models = ServedModels(CHATBOT, GenericFakeChatModel(messages=iter(())))
    assert refuse(models.get_completion_model, "GenericFakeChatModel").code == "unsupported_model"


def test_an_embedding_model_in_a_folder_has_the_name_of_the_folder(tmp_path):
    class Named(DeterministicFakeEmbedding):
        model_name: str

    folder = tmp_path / "small-model"
    folder.mkdir()
    assert get_embeddings_name(Named(size=1, model_name=str(folder))) == "small-model"
    assert get_embeddings_name(Named(size=1, model_name="intfloat/e5")) == "intfloat/e5"
