"""A server whose documents nobody may see says so when it starts."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss import BM25Retriever, create_chatbot
from langchain_gptoss.serve import ApiKey, Keys, ServerSettings, create_app
from tests.unit_tests.chatbot.fakes import build_model


def start(labels, *, key_labels=None, access="groups"):
    documents = [
        Document(f"text {n}", metadata={"source": f"{n}.md"} | ({} if label is None else {"groups": label}))
        for n, label in enumerate(labels)
    ]
    chatbot = create_chatbot(build_model(), BM25Retriever.from_documents(documents), access=access)
    keys = None if key_labels is None else Keys({"0" * 64: ApiKey(name="a", labels=key_labels)})
    create_app(chatbot, settings=ServerSettings(keys=keys))


@pytest.mark.parametrize(
    ("labels", "key_labels", "parts"),
    [
        ([None, None], ("hr",), ("any passage (2 in all)", "none has labels in the field 'groups'", "keys have hr")),
        ([["sales"], None], ("hr",), ("their labels are sales", "keys have hr")),
        ([["sales"]], (), ("no key has a label",)),
        ([["sales"]], None, ("callers without a key have none",)),
        ([["Public"]], ("HR",), ("their labels are Public",)),
        (["public"], ("hr",), ("none has labels",)),
        ([[str(n)] for n in range(9)], None, ("0, 1, 2, 3, 4 and 4 more",)),
        ([["a\x1b]52;c;aGk=\x07"]], None, ("a␛]52;c;aGk=␇",)),
    ],
)
def test_hidden_documents_are_named(labels, key_labels, parts, caplog):
    start(labels, key_labels=key_labels)
    (message,) = [record.getMessage() for record in caplog.records if "Nobody may see" in record.getMessage()]
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize(
    ("labels", "key_labels", "access"),
    [
        ([["public"], None], None, "groups"),
        ([["hr"], None], ("hr", "it"), "groups"),
        ([None], None, None),
        ([], None, "groups"),
    ],
)
def test_visible_documents_give_no_warning(labels, key_labels, access, caplog):
    start(labels, key_labels=key_labels, access=access)
    assert caplog.records == []
