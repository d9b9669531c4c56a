"""The chatbot on scripted models and plain retrievers: what is cited, what is refused, and in which order it comes."""

import functools
import json
import operator

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from pydantic import Field

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.chatbot import ChatbotInput
from langchain_gptoss.chatbot.grounding.answer_stream import Draft
from langchain_gptoss.chatbot.grounding.citations import supporting_span
from langchain_gptoss.chatbot.grounding.passages import nearest_spans, passages_of, spans_of
from langchain_gptoss.chatbot.history import expand_follow_up
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.errors import ContextLengthError, InvalidInputError

SHIPPING = (
    "Standard delivery costs 4.90 euros and takes three to five working days.\n"
    "- Express delivery costs 12.90 euros and takes one working day.\n"
    "- Store pickup is free in all stores."
)
RETURNS = "An opened laptop can be returned within 14 days. Opened in-ear headphones cannot be returned."
DOCUMENTS = [
    Document(SHIPPING, metadata={"source": "shipping.md", "heading": "Delivery > Prices", "start": 100}),
    Document(RETURNS, metadata={"source": "returns.md", "heading": "Returns", "start": 0, "page": 3}),
]
EXPRESS = "How much does express delivery cost?"


class Fixed(BaseRetriever):
    """Gives the same documents to every question and remembers the questions."""

    documents: list[Document]
    asked: list[str] = Field(default_factory=list)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        self.asked.append(query)
        return self.documents


def scripted(*answers: str) -> ChatGptOss:
    encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    ids = [encoding.encode(f"<|channel|>final<|message|>{a}<|return|>", allowed_special="all") for a in answers]
    return ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine(ids))


def chatbot(*answers: str, documents=DOCUMENTS, **options):
    return create_chatbot(scripted(*answers), Fixed(documents=documents), **options)


# Support


SPANS = spans_of(passages_of(DOCUMENTS, limit=4))


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        ("The answer is 12.90 euros.", "Express delivery costs 12.90 euros and takes one working day."),
        ("Express delivery costs 12,90 euros.", "Express delivery costs 12.90 euros and takes one working day."),
        ("The answer is 4.90 euros.", None),  # the price of something else
        ("Express delivery costs 13.90 euros.", None),
        ("How much does express delivery cost?", None),  # a question is no answer
        ("Express delivery has a cost.", None),  # nothing beyond the question
        ("Express delivery does not cost 12.90 euros.", None),
        ("Hello!", None),
        ("", None),
    ],
)
def test_support(sentence, quote):
    span = supporting_span(sentence, EXPRESS, SPANS)
    assert (span.text if span else None) == quote


def test_a_premise_taken_over_from_the_question_needs_support():
    assert (
        supporting_span("The student price of express delivery is 12.90 euros.", "Student price of express?", SPANS)
        is None
    )


def test_yes_and_no():
    question = "Is store pickup free?"
    assert supporting_span("Yes, store pickup is free.", question, SPANS).text == "Store pickup is free in all stores."
    assert supporting_span("No, store pickup is not free.", question, SPANS) is None


# The chain


def test_an_answer_is_cited_with_offsets_in_the_source():
    answer = chatbot("Express delivery costs 12.90 euros.").invoke({"question": EXPRESS})
    assert answer["answer"] == "Express delivery costs 12.90 euros. [1]"
    assert not answer["abstained"]
    (citation,) = answer["citations"]
    assert citation["source"] == "shipping.md"
    assert citation["heading"] == "Delivery > Prices"
    assert citation["quote"] == SHIPPING[citation["start"] - 100 : citation["end"] - 100]
    assert "12.90" in citation["quote"]
    assert citation["verdict"] == "supported"
    assert answer["usage"]["output_tokens"] > 5
    json.dumps(answer.model_dump())


def test_unsupported_sentences_are_left_out_and_the_same_span_keeps_its_number():
    said = "The moon is made of cheese. Express delivery costs 12.90 euros [7]. It takes one working day. Ask me more!"
    answer = chatbot(said).invoke({"question": EXPRESS})
    assert answer["answer"] == "Express delivery costs 12.90 euros. [1] It takes one working day. [1]"
    assert len(answer["citations"]) == 1


def test_not_strict_shows_tokens_and_marks_what_has_no_support():
    bot = chatbot("The moon is made of cheese【4†L1】. Express delivery costs 12.90 euros.", strict=False)
    events = list(bot.stream({"question": EXPRESS}))
    answer = "".join(event.get("answer", "") for event in events)
    assert answer == "The moon is made of cheese. [?] Express delivery costs 12.90 euros. [1]"
    assert len([event for event in events if "answer" in event]) > 8


def test_a_stream_gives_sources_first_and_citations_last():
    events = list(chatbot("Express delivery costs 12.90 euros.").stream({"question": EXPRESS}))
    assert events[0].model_fields_set == {"sources", "standalone_question", "language"}
    assert [source["number"] for source in events[0]["sources"]] == [1, 2]
    assert events[-1].model_fields_set >= {"citations", "abstained", "reason", "usage", "timings"}
    assert all(event.model_fields_set == {"answer"} for event in events[1:-1])


def test_a_quotation_stands_in_where_the_model_is_wrong():
    answer = chatbot("It costs 99 euros.").invoke({"question": EXPRESS})
    assert answer["answer"] == "The documents say: “Express delivery costs 12.90 euros and takes one working day.” [1]"
    assert answer["citations"][0]["verdict"] == "quoted"
    french = [Document("La livraison express coûte 12,90 euros.", metadata={"source": "fr.md"})]
    answer = chatbot("Je ne sais pas.", documents=french).invoke({"question": "Combien coûte la livraison express ?"})
    assert answer["answer"] == "Les documents disent : « La livraison express coûte 12,90 euros. » [1]"


def test_it_declines_without_asking_the_model():
    engine = ScriptedEngine([])
    bot = create_chatbot(ChatGptOss(model="gpt-oss-20b", engine=engine), Fixed(documents=DOCUMENTS))
    answer = bot.invoke({"question": "Do you sell gift cards?"})
    assert answer["abstained"]
    assert answer["answer"] == "I could not find this in the documents."
    assert answer["citations"] == answer["sources"] == []
    assert "below 0.50" in answer["reason"]
    assert answer["usage"] is None
    assert engine.requests == []
    assert bot.invoke("Vendez-vous des cartes cadeaux ?")["answer"].startswith("Je n'ai pas trouvé")


def test_it_declines_when_nothing_answers_by_itself():
    answer = chatbot("Yes, 8% for students.").invoke(
        {"question": "Is there express delivery for students abroad tomorrow?"}
    )
    assert answer["abstained"]
    assert answer["citations"] == []


def test_how_sure_it_must_be_is_a_choice():
    said = "It costs 12.90 euros."
    assert chatbot(said, decline_below=1.0).invoke(EXPRESS)["abstained"]
    assert not chatbot(said, decline_below=0.0).invoke(EXPRESS)["abstained"]


def test_no_documents_at_all():
    assert chatbot(documents=[]).invoke({"question": EXPRESS})["abstained"]


def test_a_follow_up_is_asked_with_the_question_before():
    history = [HumanMessage("How much does standard delivery cost?"), AIMessage("4.90 euros. [1]")]
    retriever = Fixed(documents=DOCUMENTS, asked=[])
    bot = create_chatbot(scripted("No.", "Express delivery costs 12.90 euros."), retriever)
    answer = bot.invoke({"question": "and for express delivery?", "chat_history": history})
    assert retriever.asked == ["How much does standard delivery cost? and for express delivery?"]
    assert answer["standalone_question"] == retriever.asked[0]
    assert answer["answer"] == "Express delivery costs 12.90 euros. [1]"


def test_a_new_question_is_asked_alone():
    history = [HumanMessage("How much does standard delivery cost?")]
    assert expand_follow_up("When can an opened laptop be returned?", history) == [
        ("When can an opened laptop be returned?", 1.0)
    ]
    assert len(expand_follow_up("Et pour la livraison express ?", history)) == 2
    assert len(expand_follow_up("How long does it take?", history)) == 2
    assert expand_follow_up("and for express?", []) == [("and for express?", 1.0)]
    chain = [*history, HumanMessage("and for express?")]
    assert expand_follow_up("and abroad?", chain)[1][0] == "How much does standard delivery cost?"


def test_focus_shows_the_model_only_the_nearest_sentence():
    llm = scripted("The answer is 12.90 euros.")
    create_chatbot(llm, Fixed(documents=DOCUMENTS), focus=1).invoke({"question": EXPRESS})
    prompt = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS).decode(llm.engine.requests[0].prompt_ids)
    assert "Context: Express delivery costs 12.90 euros and takes one working day.\n" in prompt
    assert "Standard delivery" not in prompt


def test_spans_are_ranked_by_words_without_embeddings():
    ranked = nearest_spans([(EXPRESS, 1.0)], passages_of(DOCUMENTS, limit=4), None, limit=2)
    assert ranked[0][0].text.startswith("Express delivery costs")
    assert ranked[0][1] > ranked[1][1]


def test_any_chat_model_will_do():
    llm = GenericFakeChatModel(messages=iter([AIMessage("Express delivery costs 12.90 euros.")]))
    answer = create_chatbot(llm, Fixed(documents=DOCUMENTS)).invoke(EXPRESS)
    assert answer["answer"] == "Express delivery costs 12.90 euros. [1]"


def test_a_brief_draft_stops_listening():
    draft = Draft(question=EXPRESS, language="en", spans=SPANS, strict=True, brief=True)
    shown = [piece for text in ["The answer is 12.90 euros. ", "And ", "so on"] for piece in draft.feed(text)]
    assert shown == ["The answer is 12.90 euros. [1]"]
    assert draft.done
    assert list(draft.finish()) == []


def test_a_model_that_repeats_itself_is_stopped():
    engine_answer = "Express delivery costs 12.90 euros. " * 50
    llm = scripted(engine_answer)
    answer = create_chatbot(llm, Fixed(documents=DOCUMENTS)).invoke({"question": EXPRESS})
    assert answer["answer"] == "Express delivery costs 12.90 euros. [1]"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("strict", [True, False])
def test_cutting_the_models_text_differently_changes_nothing(size, strict):
    said = "The moon is cheese [2]. Express delivery costs 12.90 euros [1, 2]. \nStore pickup is free!  Bye"
    draft = Draft(question=EXPRESS, language="en", spans=SPANS, strict=strict)
    pieces = [said[i : i + size] for i in range(0, len(said), size)]
    shown = "".join([piece for text in pieces for piece in draft.feed(text)] + list(draft.finish()))
    expected = {
        True: "Express delivery costs 12.90 euros. [1]\nStore pickup is free! [2]",
        False: "The moon is cheese. [?] Express delivery costs 12.90 euros. [1]\nStore pickup is free! [2] Bye [?]",
    }
    assert shown == expected[strict]


def without_timings(output):
    return output.model_dump(exclude={"timings"})


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_paragraphs_and_lists_stay(size):
    said = "Express delivery costs 12.90 euros.\n\n- The moon is cheese.\n- Store pickup is free in all stores.\n"
    draft = Draft(
        question="How much do express delivery and store pickup cost?", language="en", spans=SPANS, strict=True
    )
    pieces = [said[i : i + size] for i in range(0, len(said), size)]
    shown = "".join([piece for text in pieces for piece in draft.feed(text)] + list(draft.finish()))
    assert shown == "Express delivery costs 12.90 euros. [1]\n\n- Store pickup is free in all stores. [2]"


async def test_every_mode_gives_the_same():
    said = "Express delivery costs 12.90 euros."
    bot = chatbot(*[said] * 7)
    question = {"question": EXPRESS}
    whole = bot.invoke(question)
    assert whole.timings.keys() >= {"retrieve", "judge", "answer", "verify"}
    assert without_timings(await bot.ainvoke(question)) == without_timings(whole)
    assert [without_timings(output) for output in bot.batch([question])] == [without_timings(whole)]
    (batched,) = await bot.abatch([ChatbotInput(**question)])
    assert without_timings(batched) == without_timings(whole)
    for pieces in (list(bot.stream(question)), [piece async for piece in bot.astream(question)]):
        total = functools.reduce(operator.add, pieces)
        assert without_timings(total.to_output()) == without_timings(whole)
    events = [event async for event in bot.astream_events(question, version="v2")]
    assert events[-1]["event"] == "on_chain_end"
    assert without_timings(events[-1]["data"]["output"].to_output()) == without_timings(whole)
    names = {event["name"] for event in events}
    assert {"gptoss_chatbot", "retrieve", "judge", "answer", "verify", "cite", "ChatGptOss", "Fixed"} <= names


@pytest.mark.parametrize("value", ["", "   ", {"question": ""}, {"question": 5}, {}, None])
def test_an_empty_question_is_refused(value):
    with pytest.raises(InvalidInputError, match="The question is empty"):
        chatbot().invoke(value)


def test_a_question_longer_than_the_context_is_refused_with_both_lengths():
    bot = create_chatbot(
        ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([], context_length=50)), Fixed(documents=[])
    )
    with pytest.raises(ContextLengthError, match=r"1\d\d tokens and the model's context holds 50"):
        bot.invoke({"question": "word " * 100})


@pytest.mark.parametrize(
    "options", [{"max_passages": 0}, {"focus": -1}, {"language": "de"}, {"decline_below": 1.5}, {"history_tokens": 0}]
)
def test_options_that_cannot_work(options):
    with pytest.raises(InvalidInputError, match=f"{next(iter(options))} is"):
        chatbot(**options)
