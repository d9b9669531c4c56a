"""A decision model as judge of the passages, alone and in the chatbot."""

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.chatbot.grounding.judge_weights import JudgeWeights, load_judge_weights
from langchain_gptoss.chatbot.grounding.passage_judge import build_evidence, create_passage_judge
from langchain_gptoss.chatbot.grounding.passages import Passage, collect_spans
from langchain_gptoss.chatbot.grounding.verifiers import create_verifier
from langchain_gptoss.decisions import GptOssDecisions
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.chatbot.fakes import EXPRESS, EXPRESS_ANSWER, build_model, build_retriever
from tests.unit_tests.scripted_models import ENCODING, ScoringEngine, write_final


def build_decisions(probability: float) -> tuple[GptOssDecisions, ScoringEngine]:
    engine = ScoringEngine(lambda _: {"Yes": probability, "No": 1 - probability})
    return GptOssDecisions(llm=ChatGptOss(model="gpt-oss-20b", engine=engine)), engine


def test_weights_are_those_of_a_logistic_combination():
    weights = JudgeWeights(
        weights={"constant": 0.0, "rules": 1.0, "judge": 2.0},
        threshold=0.5,
        closed_threshold=0.2,
        quote_threshold=0.9,
        provenance={},
    )
    assert weights.combine(rules=0.5, judge=0.5) == pytest.approx(0.5)
    assert weights.combine(rules=0.8, judge=0.5) == pytest.approx(0.8)
    assert weights.combine(rules=0.5, judge=0.8) == pytest.approx(16 / 17)
    assert 0 <= weights.combine(rules=0.0, judge=0.0) < 0.01 < 0.99 < weights.combine(rules=1.0, judge=1.0) <= 1


def test_the_package_has_weights_in_which_nothing_lowers_the_probability():
    weights = load_judge_weights("passage_judge")
    assert weights.combine(judge=0.5, rules=0.9) >= weights.combine(judge=0.5, rules=0.6)
    assert weights.combine(judge=0.9, rules=0.6) > weights.combine(judge=0.6, rules=0.6)
    assert 0 < weights.closed_threshold < weights.threshold < weights.quote_threshold < 1
    assert weights.provenance["data"]


@pytest.mark.parametrize(("probability", "is_answered"), [(0.95, True), (0.05, False)])
async def test_the_judge_declines_what_the_rules_would_answer(probability, is_answered):
    decisions, engine = build_decisions(probability)
    for is_async in (False, True):
        bot = create_chatbot(build_model(EXPRESS_ANSWER), build_retriever(), judge=decisions)
        output = await bot.ainvoke(EXPRESS) if is_async else bot.invoke(EXPRESS)
        assert bool(output["citations"]) == is_answered
        assert output["abstained"] != is_answered
        assert "judge" in output["reason"] or is_answered
    assert len(engine.requests) == 2
    assert "12.90 euros" in ENCODING.decode(engine.requests[0].prompt_ids)


@pytest.mark.parametrize(
    ("question", "is_answered"), [(EXPRESS, False), ("Does express delivery cost 12.90 euros?", True)]
)
def test_a_no_of_the_judge_may_be_the_answer_to_a_question_that_asks_whether(question, is_answered):
    decisions, _ = build_decisions(0.3)
    output = create_chatbot(build_model(EXPRESS_ANSWER), build_retriever(), judge=decisions).invoke(question)
    assert output.abstained != is_answered


def test_the_judge_is_not_asked_where_the_rules_decline():
    decisions, engine = build_decisions(0.99)
    bot = create_chatbot(build_model("x"), build_retriever(), judge=decisions)
    assert bot.invoke("Who painted the ceiling of the Sistine Chapel?")["abstained"]
    assert engine.requests == []


def build_demo_large(probability: float, *answers: str) -> tuple[ChatGptOss, ScoringEngine]:
    engine = ScoringEngine(
        lambda _: {"Yes": probability, "No": 1 - probability}, completions=[write_final(text) for text in answers]
    )
    return ChatGptOss(model="demo-large", engine=engine, chat_format="harmony"), engine


@pytest.mark.parametrize(("judge", "requests"), [("auto", 2), (True, 2), (False, 1)])
def test_a_model_with_a_bundled_calibration_judges_for_itself(judge, requests):
    llm, engine = build_demo_large(0.95, EXPRESS_ANSWER)
    output = create_chatbot(llm, build_retriever(), judge=judge).invoke(EXPRESS)
    assert output["citations"]
    assert len(engine.requests) == requests
    assert output["usage"]["input_tokens"] == sum(len(request.prompt_ids) for request in engine.requests)


def test_the_judge_is_asked_by_default():
    assert create_chatbot(build_demo_large(0.95)[0], build_retriever()).settings.judge is not None


@pytest.mark.parametrize(
    "options",
    [{"model": "demo"}, {"model": "gpt-oss-20b"}, {"model": "demo-large", "base_url": "http://localhost:1/v1"}],
)
def test_other_models_judge_only_if_they_are_told_to(options):
    assert create_chatbot(ChatGptOss(**options), build_retriever()).settings.judge is None
    assert create_chatbot(build_model("x"), build_retriever()).settings.judge is None


def test_the_judge_reads_the_two_sentences_that_are_nearest_to_the_question():
    llm, engine = build_demo_large(0.95, EXPRESS_ANSWER)
    text = "The shop is in Lyon. Standard delivery costs 4.90 euros. Express delivery costs 12.90 euros."
    create_chatbot(llm, build_retriever(text, heading="Prices")).invoke(EXPRESS)
    prompt = ENCODING.decode(engine.requests[0].prompt_ids)
    sentences = "Prices. Express delivery costs 12.90 euros.\nStandard delivery costs 4.90 euros."
    assert f"Text:\n{sentences}\n\nQuestion: " in prompt
    assert "Lyon" not in prompt


def test_sentences_of_other_passages_have_their_own_heading():
    passages = [
        Passage(number=number, text=text, source="a.md", heading=heading, page=None, start=0, relevance=None)
        for number, (heading, text) in enumerate([("Prices", "It is free."), ("Times", "It takes a day.")], 1)
    ]
    assert build_evidence(collect_spans(passages)) == "Prices. It is free.\nTimes. It takes a day."


@pytest.mark.parametrize(("probability", "is_quoted"), [(0.999, True), (0.5, False)])
def test_documents_are_quoted_for_a_refused_answer_where_the_judge_is_sure(probability, is_quoted):
    decisions, _ = build_decisions(probability)
    question = "What is the price of express delivery abroad?"  # the rules alone are not sure enough to quote
    bot = create_chatbot(build_model("It is 99 euros."), build_retriever(), judge=decisions)
    output = bot.invoke(question)
    assert "judge" in output.reason or not is_quoted
    assert [citation.verdict for citation in output.citations] == (["quoted"] if is_quoted else [])


def test_the_judge_is_not_asked_without_a_sentence_that_states_something():
    decisions, engine = build_decisions(0.01)
    bot = create_chatbot(build_model(EXPRESS_ANSWER), build_retriever(EXPRESS), judge=decisions, decline_below=0.0)
    assert "judge" not in bot.invoke(EXPRESS)["reason"]
    assert engine.requests == []


def test_a_small_model_is_no_judge_of_its_own_passages():
    llm = ChatGptOss(model="demo")
    assert create_passage_judge(True, llm, is_able=False) is None
    assert create_passage_judge(False, llm, is_able=True) is None
    assert create_passage_judge(True, ChatGptOss(model="gpt-oss-20b"), is_able=True) is not None
    with pytest.raises(InvalidInputError, match="FakeListChatModel is no decision model"):
        create_passage_judge(True, FakeListChatModel(responses=["x"]), is_able=True)
    assert create_chatbot(llm, build_retriever(), judge=True).settings.judge is None


def test_a_decision_model_verifies_claims():
    decisions, engine = build_decisions(0.25)
    verifier = create_verifier(decisions)
    assert verifier.verify(EXPRESS_ANSWER, "THE EVIDENCE", EXPRESS) == pytest.approx(0.25, abs=1e-6)
    prompt = ENCODING.decode(engine.requests[0].prompt_ids)
    assert prompt.index("THE EVIDENCE") < prompt.index(EXPRESS) < prompt.index(EXPRESS_ANSWER)
