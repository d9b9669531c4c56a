"""The common beginnings of consecutive prompts, in tokens: what an engine with a prefix cache reads once."""

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import ChatbotPrompts
from langchain_gptoss.chatbot.grounding.passages import collect_passages, order_by_place
from tests.unit_tests.chatbot.fakes import (
    EXPRESS,
    EXPRESS_ANSWER,
    PRICES,
    STANDARD,
    FixedRetriever,
    build_scripted_model,
    load_encoding,
)

STANDARD_ANSWER = "Standard delivery costs 4.90 euros."
DOCUMENTS = [
    Document(PRICES, metadata={"source": "prices.md", "start": 0}),
    Document("Standard delivery takes three days. Express delivery takes one day.", metadata={"source": "times.md"}),
    Document("Parcels over 30 kilograms cost 9 euros more.", metadata={"source": "prices.md", "start": 900}),
    Document("Orders over 50 euros are delivered free of charge.", metadata={"source": "free.md"}),
]


class RotatingRetriever(FixedRetriever):
    """Ranks the same documents in another order for each query."""

    def _get_relevant_documents(self, query, *, run_manager):
        documents = super()._get_relevant_documents(query, run_manager=run_manager)
        turn = len(self.queries) % len(documents)
        return documents[turn:] + documents[:turn]


def decode_common_beginning(*prompts):
    """Return the common beginning of two prompts, as text."""
    pairs = zip(*prompts, strict=False)
    length = next((index for index, (one, other) in enumerate(pairs) if one != other), min(map(len, prompts)))
    return load_encoding().decode(prompts[0][:length])


def ask(llm, retriever, *inputs):
    """Return the prompts of all calls for the questions."""
    bot = create_chatbot(llm, retriever, focus=0, decline_below=0.0, max_passages=len(DOCUMENTS))
    for value in inputs:
        bot.invoke(value)
    return [request.prompt_ids for request in llm.engine.requests]


def test_questions_over_the_same_documents_differ_in_the_question_only():
    prompts = ask(
        build_scripted_model(STANDARD_ANSWER, EXPRESS_ANSWER),
        RotatingRetriever(documents=DOCUMENTS),
        STANDARD,
        EXPRESS,
    )
    common = decode_common_beginning(*prompts)
    assert common.endswith("Question: How much does")
    assert all(document.page_content in common for document in DOCUMENTS)
    assert len(load_encoding().encode(common, allowed_special="all")) > 0.95 * len(prompts[0])


def test_turns_of_a_conversation_share_the_instructions_and_the_earlier_exchanges():
    first = [HumanMessage(STANDARD), AIMessage(STANDARD_ANSWER)]
    second = [HumanMessage("When can an opened laptop be returned?"), AIMessage("Within 14 days.")]
    one, other = ask(
        build_scripted_model(EXPRESS_ANSWER, EXPRESS_ANSWER),
        FixedRetriever(documents=DOCUMENTS),
        {"question": EXPRESS, "chat_history": first},
        {"question": EXPRESS, "chat_history": [*first, *second]},
    )
    common = decode_common_beginning(one, other)
    assert "Answer the question using only the numbered passages." in common
    assert STANDARD_ANSWER in common
    assert PRICES not in common


def test_the_calls_that_complete_follow_ups_share_task_and_examples_between_users():
    llm = build_scripted_model(EXPRESS, EXPRESS_ANSWER, EXPRESS, EXPRESS_ANSWER)
    bot = create_chatbot(llm, FixedRetriever(documents=DOCUMENTS), focus=0, decline_below=0.0)
    for user, history in (
        ("alice", [HumanMessage(STANDARD), AIMessage(STANDARD_ANSWER)]),
        ("bob", [HumanMessage("How long does standard delivery take?"), AIMessage("Three days.")]),
    ):
        value = {"question": "and for express delivery?", "chat_history": history}
        bot.invoke(value, {"configurable": {"user_id": user, "cache_salt": user}})
    one, other = (request for request in llm.engine.requests if request.cache_salt and "Last question" in read(request))
    shared = one.prompt_ids[: one.shared_tokens]
    assert shared == other.prompt_ids[: other.shared_tokens]
    assert "Rewrite the last question" in load_encoding().decode(shared)
    assert "Last question: And schools?" in load_encoding().decode(shared)
    assert STANDARD not in load_encoding().decode(shared)
    assert read(one).count("and for express delivery?") == 1


def read(request):
    """Return the prompt of a request as text."""
    return load_encoding().decode(request.prompt_ids)


@pytest.mark.parametrize("domain", [None, "support"])
def test_users_share_the_instructions(domain):
    llm = build_scripted_model(STANDARD_ANSWER, EXPRESS_ANSWER)
    bot = create_chatbot(llm, FixedRetriever(documents=DOCUMENTS), focus=0, decline_below=0.0, domain=domain)
    for user, question in (("alice", STANDARD), ("bob", EXPRESS)):
        bot.invoke(question, {"configurable": {"user_id": user, "cache_salt": user}})
    requests = llm.engine.requests
    assert [request.cache_salt for request in requests] == ["alice", "bob"]
    one, other = (request.prompt_ids[: request.shared_tokens] for request in requests)
    assert one == other
    shared = load_encoding().decode(one)
    assert "in the language of the question" in shared
    assert PRICES not in shared


@pytest.mark.parametrize("first", ["Answer from this: {context}", "{question} {instructions}"])
def test_users_share_nothing_of_a_prompt_that_has_passages_or_questions_in_its_first_message(first):
    passages = ChatPromptTemplate.from_messages([("system", first), ("human", "{context} {question}")])
    llm = build_scripted_model(STANDARD_ANSWER)
    options = {"focus": 0, "decline_below": 0.0, "prompts": ChatbotPrompts(passages=passages)}
    bot = create_chatbot(llm, FixedRetriever(documents=DOCUMENTS), **options)
    bot.invoke(STANDARD, {"configurable": {"cache_salt": "alice"}})
    assert llm.engine.requests[0].cache_salt == "alice"
    assert llm.engine.requests[0].shared_tokens == 0


def test_passages_have_one_order_whatever_their_rank():
    ranked = [
        collect_passages(DOCUMENTS[turn:] + DOCUMENTS[:turn], limit=len(DOCUMENTS)) for turn in range(len(DOCUMENTS))
    ]
    texts = [[(each.number, each.text) for each in order_by_place(passages)] for passages in ranked]
    assert all(other == texts[0] for other in texts)
    assert [number for number, _ in texts[0]] == [1, 2, 3, 4]
    assert [passage.number for passage in ranked[1]] == [1, 2, 3, 4]
