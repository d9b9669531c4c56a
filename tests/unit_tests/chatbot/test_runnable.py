"""The chatbot on scripted models: citations, declined questions, streams, and options."""

import asyncio
import functools
import json
import operator
import threading

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.chatbot import ChatbotInput
from langchain_gptoss.chatbot.grounding.abstention import judge
from langchain_gptoss.chatbot.grounding.passages import collect_passages
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.errors import ContextLengthError, InvalidInputError
from tests.unit_tests.chatbot.fakes import (
    EXPRESS,
    EXPRESS_ANSWER,
    STANDARD,
    FixedRetriever,
    RecordingModel,
    build_model,
    build_retriever,
    build_scripted_model,
    load_encoding,
)
from tests.unit_tests.chatbot.grounding.helpers import DOCUMENTS, SHIPPING


def build_chatbot(*answers: str, documents=DOCUMENTS, **options):
    return create_chatbot(build_scripted_model(*answers), FixedRetriever(documents=documents), **options)


def dump_without_timings(output):
    return output.model_dump(exclude={"timings"})


def test_an_answer_is_cited_with_offsets_in_the_source():
    answer = build_chatbot(EXPRESS_ANSWER).invoke({"question": EXPRESS})
    assert answer["answer"] == f"{EXPRESS_ANSWER} [1]"
    assert not answer["abstained"]
    (citation,) = answer["citations"]
    assert citation["source"] == "shipping.md"
    assert citation["heading"] == "Delivery > Prices"
    assert citation["quote"] == SHIPPING[citation["start"] - 100 : citation["end"] - 100]
    assert "12.90" in citation["quote"]
    assert citation["verdict"] == "supported"
    assert answer["usage"]["output_tokens"] > 5
    json.dumps(answer.model_dump())


def test_strict_leaves_out_unsupported_sentences_and_cites_a_span_once():
    text = "The moon is made of cheese. Express delivery costs 12.90 euros [7]. It takes one working day. Ask me more!"
    answer = build_chatbot(text).invoke({"question": EXPRESS})
    assert answer["answer"] == "Express delivery costs 12.90 euros. [1] It takes one working day. [1]"
    assert len(answer["citations"]) == 1


def test_not_strict_shows_tokens_and_marks_unsupported_sentences():
    bot = build_chatbot("The moon is made of cheese【4†L1】. Express delivery costs 12.90 euros.", strict=False)
    chunks = list(bot.stream({"question": EXPRESS}))
    answer = "".join(chunk.get("answer", "") for chunk in chunks)
    assert answer == "The moon is made of cheese. [?] Express delivery costs 12.90 euros. [1]"
    assert len([chunk for chunk in chunks if "answer" in chunk]) > 8


def test_a_stream_gives_sources_first_and_citations_last():
    chunks = list(build_chatbot(EXPRESS_ANSWER).stream({"question": EXPRESS}))
    assert chunks[0].model_fields_set == {"sources", "standalone_question", "language"}
    assert [source["number"] for source in chunks[0]["sources"]] == [1, 2]
    assert chunks[-1].model_fields_set >= {"citations", "abstained", "reason", "usage", "timings"}
    assert all(chunk.model_fields_set == {"answer"} for chunk in chunks[1:-1])


def test_a_quotation_replaces_an_unsupported_answer():
    answer = build_chatbot("It costs 99 euros.").invoke({"question": EXPRESS})
    assert answer["answer"] == "The documents say: “Express delivery costs 12.90 euros and takes one working day.” [1]"
    assert answer["citations"][0]["verdict"] == "quoted"
    french = [Document("La livraison express coûte 12,90 euros.", metadata={"source": "fr.md"})]
    answer = build_chatbot("Elle coûte 99 euros.", documents=french).invoke("Combien coûte la livraison express ?")
    assert answer["answer"] == "Les documents disent : « La livraison express coûte 12,90 euros. » [1]"


def test_unanswerable_questions_are_declined_without_asking_the_model():
    engine = ScriptedEngine([])
    bot = create_chatbot(ChatGptOss(model="gpt-oss-20b", engine=engine), FixedRetriever(documents=DOCUMENTS))
    answer = bot.invoke({"question": "Do you sell gift cards?"})
    assert answer["abstained"]
    assert answer["answer"] == "I could not find this in the documents."
    assert answer["citations"] == answer["sources"] == []
    assert "below 0.10" in answer["reason"]
    assert answer["usage"] is None
    assert engine.requests == []
    assert bot.invoke("Vendez-vous des cartes cadeaux ?")["answer"].startswith("Je n'ai pas trouvé")


def test_a_short_french_question_is_answered_in_french():
    assert create_chatbot(build_model(), build_retriever()).invoke("Qui a écrit Hamlet ?").language == "fr"


def test_the_chatbot_declines_if_no_passage_supports_the_answer():
    bot = build_chatbot("Yes, 8% for students.", decline_below=0)
    answer = bot.invoke({"question": "Is there express delivery for students abroad tomorrow?"})
    assert answer["abstained"]
    assert answer["citations"] == []
    assert "no passage supports the model's answer" in answer["reason"]


def test_decline_below_sets_the_required_confidence():
    bot = create_chatbot(build_model("It costs 12.90 euros."), build_retriever(), decline_below=1.0)
    assert bot.invoke(EXPRESS)["abstained"]
    bot = create_chatbot(build_model("It costs 12.90 euros."), build_retriever(), decline_below=0.0)
    assert not bot.invoke(EXPRESS)["abstained"]


def test_a_model_that_reads_passages_is_asked_even_if_few_words_match():
    question = "Can an opened phone be returned?"
    assert not judge(question, collect_passages(DOCUMENTS, limit=4)).is_answerable
    assert build_chatbot("I do not know.").invoke(question)["sources"]
    assert not build_chatbot("I do not know.", focus=1).invoke(question)["sources"]


@pytest.mark.parametrize("answer", ["Yes.", "[1]."])
def test_an_answer_without_a_statement_is_asked_for_again_once(answer):
    model = build_model(answer, EXPRESS_ANSWER)
    output = create_chatbot(model, build_retriever()).invoke(EXPRESS)
    assert output["answer"] == f"{EXPRESS_ANSWER} [1]"
    assert model.prompts[1][: len(model.prompts[0])] == model.prompts[0]
    assert "whole sentence" in model.prompts[1][-1].text


def test_yes_is_the_answer_if_the_model_says_no_more():
    model = build_model("Yes.", "")
    output = create_chatbot(model, build_retriever()).invoke("Does express delivery cost 12.90 euros?")
    assert output["answer"] == "Yes. [1]"


def test_yes_is_read_together_with_the_sentence_after_it():
    model = build_model("Yes. Express delivery costs 12.90 euros.")
    output = create_chatbot(model, build_retriever()).invoke("Does express delivery cost 12.90 euros?")
    assert output["answer"] == "Yes. Express delivery costs 12.90 euros. [1]"
    assert len(output["claims"]) == 1


def test_a_question_without_any_document_is_declined():
    assert build_chatbot(documents=[]).invoke({"question": EXPRESS})["abstained"]


def test_a_follow_up_is_searched_with_the_question_before():
    history = [HumanMessage(STANDARD), AIMessage("4.90 euros. [1]")]
    retriever = FixedRetriever(documents=DOCUMENTS)
    bot = create_chatbot(build_model("No.", EXPRESS_ANSWER), retriever)
    answer = bot.invoke({"question": "and for express delivery?", "chat_history": history})
    assert retriever.queries == [f"{STANDARD} and for express delivery?"]
    assert answer["standalone_question"] == retriever.queries[0]
    assert answer["answer"] == f"{EXPRESS_ANSWER} [1]"


def test_focus_shows_the_model_only_the_nearest_sentence():
    llm = build_scripted_model("The answer is 12.90 euros.")
    create_chatbot(llm, FixedRetriever(documents=DOCUMENTS), focus=1).invoke({"question": EXPRESS})
    prompt = load_encoding().decode(llm.engine.requests[0].prompt_ids)
    assert "Context: Express delivery costs 12.90 euros and takes one working day.\n" in prompt
    assert "Standard delivery" not in prompt


def test_any_chat_model_can_answer():
    llm = GenericFakeChatModel(messages=iter([AIMessage(EXPRESS_ANSWER)]))
    answer = create_chatbot(llm, FixedRetriever(documents=DOCUMENTS)).invoke(EXPRESS)
    assert answer["answer"] == f"{EXPRESS_ANSWER} [1]"


def test_a_model_that_repeats_itself_is_stopped():
    answer = build_chatbot(f"{EXPRESS_ANSWER} " * 50).invoke({"question": EXPRESS})
    assert answer["answer"] == f"{EXPRESS_ANSWER} [1]"


async def test_all_call_modes_give_the_same_output():
    bot = build_chatbot(*[EXPRESS_ANSWER] * 7)
    question = {"question": EXPRESS}
    output = bot.invoke(question)
    expected = dump_without_timings(output)
    assert output.timings.keys() >= {"retrieve", "judge", "answer", "verify"}
    assert dump_without_timings(await bot.ainvoke(question)) == expected
    assert [dump_without_timings(output) for output in bot.batch([question])] == [expected]
    (batched,) = await bot.abatch([ChatbotInput(**question)])
    assert dump_without_timings(batched) == expected
    for chunks in (list(bot.stream(question)), [chunk async for chunk in bot.astream(question)]):
        assert dump_without_timings(functools.reduce(operator.add, chunks).to_output()) == expected
    events = [event async for event in bot.astream_events(question, version="v2")]
    assert events[-1]["event"] == "on_chain_end"
    assert dump_without_timings(events[-1]["data"]["output"].to_output()) == expected
    names = {event["name"] for event in events}
    assert {"gptoss_chatbot", "retrieve", "judge", "answer", "verify", "cite", "ChatGptOss", "FixedRetriever"} <= names


def test_a_question_longer_than_the_context_is_rejected_with_both_lengths():
    llm = ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([], context_length=50))
    with pytest.raises(ContextLengthError, match=r"1\d\d tokens and the model's context holds 50"):
        create_chatbot(llm, FixedRetriever(documents=[])).invoke({"question": "word " * 100})


@pytest.mark.parametrize(
    "options",
    [
        {"max_passages": 0},
        {"excerpt_chars": -1},
        {"focus": -1},
        {"language": "de"},
        {"decline_below": 1.5},
        {"decline_below": float("nan")},
        {"history_tokens": 0},
    ],
)
def test_invalid_options_raise_an_error(options):
    with pytest.raises(InvalidInputError, match=f"{next(iter(options))} is"):
        create_chatbot(build_model(), build_retriever(), **options)


# Abandoned streams


def test_closing_a_stream_stops_the_model():
    is_closed = threading.Event()

    class EndlessModel(RecordingModel):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            try:
                for number in range(10_000_000):
                    yield ChatGenerationChunk(message=AIMessageChunk(content=f"Number {number} is up. "))
            finally:
                is_closed.set()

    bot = create_chatbot(EndlessModel(messages=iter([])), build_retriever(), strict=False)
    stream = bot.stream(STANDARD)
    for _ in range(5):
        next(stream)
    stream.close()
    assert is_closed.wait(60)


class AsyncEndlessModel(RecordingModel):
    """Streams sentences until it is stopped, and records that it was stopped."""

    is_closed: asyncio.Event
    is_started: asyncio.Event

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        try:
            for number in range(10_000_000):
                self.is_started.set()
                yield ChatGenerationChunk(message=AIMessageChunk(content=f"Number {number} is up. "))
                await asyncio.sleep(0)
        finally:
            self.is_closed.set()


def build_async_endless_model() -> AsyncEndlessModel:
    return AsyncEndlessModel(messages=iter([]), is_closed=asyncio.Event(), is_started=asyncio.Event())


async def test_closing_an_async_stream_stops_the_model():
    llm = build_async_endless_model()
    stream = create_chatbot(llm, build_retriever(), strict=False).astream(STANDARD)
    for _ in range(5):
        await anext(stream)
    await stream.aclose()
    await asyncio.wait_for(llm.is_closed.wait(), 60)


async def test_cancelling_an_async_call_stops_the_model():
    llm = build_async_endless_model()
    task = asyncio.create_task(create_chatbot(llm, build_retriever(), strict=False).ainvoke(STANDARD))
    await asyncio.wait_for(llm.is_started.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(llm.is_closed.wait(), 60)


def test_an_answer_that_the_token_limit_cuts_off_reports_its_finish_reason():
    class CutOffModel(RecordingModel):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            text = "Standard delivery costs 4.90 euros. Express delivery is ver"
            yield ChatGenerationChunk(
                message=AIMessageChunk(content=text, response_metadata={"finish_reason": "length"})
            )

    answer = create_chatbot(CutOffModel(messages=iter([])), build_retriever()).invoke(STANDARD)
    assert answer.answer == "Standard delivery costs 4.90 euros. [1]"
    assert answer.metadata["finish_reason"] == "length"
