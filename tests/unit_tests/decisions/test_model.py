"""GptOssDecisions with an engine that reports given probabilities."""

import asyncio
import math
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.decisions import Box, Choice, Noul, NoulCriteria, Question, Score
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import ValidationError

from langchain_gptoss import ChatGptOss
from langchain_gptoss.chat_formats import load_chat_format
from langchain_gptoss.decisions import DecisionCalibration, GptOssDecisions, PromptPrefix, compute_model_digest
from langchain_gptoss.errors import ContextLengthError, GptOssError, InvalidInputError
from langchain_gptoss.language_models import options

from tests.unit_tests.scripted_models import ENCODING, ScoringEngine, build_engine, write_final  # isort: skip

URGENT = Noul(instructions="Is it urgent?")
TEAM = Choice(instructions="Which team?", criteria={"billing": "Payments.", "technical": None})
ANGER = Score(instructions="How angry?", criteria=["Calm.", "Cross.", "Furious."])


def build(get_shares: Any, **fields: Any) -> tuple[GptOssDecisions, ScoringEngine]:
    engine = ScoringEngine(get_shares)
    return GptOssDecisions(llm=ChatGptOss(model="gpt-oss-20b", engine=engine), **fields), engine


def ask(decisions: GptOssDecisions, state: Any, **questions: Question) -> Any:
    return decisions.invoke({"state": state, "questions": questions})


def read_prompts(engine: ScoringEngine) -> list[str]:
    return [ENCODING.decode(request.prompt_ids) for request in engine.requests]


def test_a_yes_no_answer_adds_its_spellings_and_is_normalized_over_the_answers():
    decisions, engine = build(lambda _: {"Yes": 0.2, " yes": 0.1, "Oui": 0.1, "No": 0.1, "Maybe": 0.5})
    assert ask(decisions, "Help!", urgent=URGENT).nouls["urgent"].noul == pytest.approx(0.8, abs=1e-6)
    assert len(engine.requests) == 1
    assert engine.requests[0].sampling.max_tokens == 1


def test_a_choice_is_a_distribution_over_its_labels():
    decisions, _ = build(lambda _: {"A": 0.1, " A": 0.05, "B": 0.45, "The": 0.4})
    answer = ask(decisions, "It fails.", team=TEAM).choices["team"]
    assert answer.choice == "technical"
    assert answer.probabilities == pytest.approx({"billing": 0.25, "technical": 0.75}, abs=1e-6)
    assert answer.confidence == answer.probabilities["technical"]


def test_a_score_is_the_expected_level():
    decisions, _ = build(lambda _: {"0": 0.1, "1": 0.1, "2": 0.2, "3": 0.6})
    answer = ask(decisions, "Fix it now.", anger=ANGER).scores["anger"]
    assert answer.score == pytest.approx(1.25, abs=1e-6)
    assert answer.legend == {0: "Calm.", 1: "Cross.", 2: "Furious."}
    assert answer.probabilities == pytest.approx({0: 0.25, 1: 0.25, 2: 0.5}, abs=1e-6)
    assert answer.confidence == answer.probabilities[2]


def test_the_text_comes_first_and_is_the_same_for_all_questions():
    decisions, engine = build(lambda _: {"Yes": 1.0, "A": 1.0, "0": 1.0})
    ask(decisions, "THE TEXT", urgent=URGENT, team=TEAM, anger=ANGER)
    prompts = read_prompts(engine)
    begins = {prompt[: prompt.index("Question:")] for prompt in prompts}
    assert len(prompts) == 3
    assert len(begins) == 1
    assert "THE TEXT" in begins.pop()


@pytest.mark.parametrize("effort", ["low", "high"])
def test_a_prompt_prefix_is_continued_as_the_chat_model_would_read_it(effort):
    engine = ScoringEngine(lambda _: {"Yes": 1.0}, completions=[write_final("Fine.")])
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine, reasoning_effort=effort)
    first = [SystemMessage("RULES"), HumanMessage("Earlier?"), AIMessage("Answer.")]
    ask(
        GptOssDecisions(llm=llm, instructions="POLICY"), PromptPrefix([*first, HumanMessage("THE TEXT")]), urgent=URGENT
    )
    llm.invoke([*first, HumanMessage("THE TEXT\n\nWhat next?")])
    asked, chatted = read_prompts(engine)
    common = next(index for index, pair in enumerate(zip(asked, chatted, strict=False)) if len(set(pair)) == 2)
    assert asked[:common].endswith("THE TEXT\n\n")
    assert asked[common:].startswith("Question: Is it urgent?")
    assert "POLICY" not in asked


def test_a_prompt_prefix_that_ends_with_an_answer_is_followed_by_the_question():
    decisions, engine = build(lambda _: {"Yes": 1.0})
    ask(decisions, PromptPrefix([HumanMessage("Hello?"), AIMessage("Hello.")]), urgent=URGENT)
    assert "<|start|>user<|message|>Question: Is it urgent?" in read_prompts(engine)[0]


def test_the_answer_of_a_harmony_model_follows_an_opened_final_channel():
    decisions, engine = build(lambda _: {"Yes": 1.0})
    ask(decisions, "Help!", urgent=URGENT)
    assert read_prompts(engine)[0].endswith("<|start|>assistant<|channel|>final<|message|>")


def test_criteria_and_instructions_are_part_of_the_prompt():
    decisions, engine = build(lambda _: {"Yes": 1.0}, instructions="POLICY")
    criteria = NoulCriteria(true="a deadline today", false={"or": "later"})
    ask(decisions, "Help!", urgent=Noul(instructions={"task": "urgency"}, criteria=criteria))
    prompt = read_prompts(engine)[0]
    assert prompt.index("POLICY") < prompt.index("Help!")
    assert '{"task": "urgency"}' in prompt
    assert 'Yes means: a deadline today\nNo means: {"or": "later"}' in prompt


def test_labels_of_two_tokens_are_multiplied_along_their_tokens(monkeypatch):
    digits = {f"{number:02d}": [ENCODING.encode(digit)[0] for digit in f"{number:02d}"] for number in range(100)}
    chat_format = load_chat_format(None, "harmony")
    encode = type(chat_format).encode
    monkeypatch.setattr(type(chat_format), "encode", lambda self, text: digits.get(text) or encode(self, text))

    def get_shares(prompt: str) -> dict[str, float]:
        if prompt.endswith("<|message|>"):
            return {"0": 0.4, "1": 0.2, "2": 0.4}
        return {"5": 0.5, "6": 0.5} if prompt.endswith("1") else {"0": 0.9, "1": 0.1}

    decisions, engine = build(get_shares)
    criteria = {f"label {number}": None for number in range(30)}
    answer = ask(decisions, "Text", choice=Choice(instructions="Which?", criteria=criteria)).choices["choice"]
    assert len(engine.requests) == 4  # the first digit, and the second one after 0, 1 and 2
    assert answer.choice == "label 0"
    assert answer.probabilities["label 0"] == pytest.approx(0.36, abs=1e-6)
    assert answer.probabilities["label 15"] == pytest.approx(0.1, abs=1e-6)
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_async_batch_and_stream_give_the_same_answer():
    decisions, _ = build(lambda _: {"Yes": 0.3, "No": 0.1})
    request = {"state": "Help!", "questions": {"urgent": URGENT}}
    expected = decisions.invoke(request)
    assert asyncio.run(decisions.ainvoke(request)) == expected
    assert decisions.batch([request, request]) == [expected, expected]
    assert list(decisions.stream(request)) == [expected]


def test_questions_may_be_dictionaries():
    decisions, _ = build(lambda _: {"Yes": 0.3, "No": 0.1})
    response = ask(decisions, "Help!", urgent={"type": "noul", "instructions": "Is it urgent?"})
    assert response.nouls["urgent"].noul == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (HumanMessage("Bonjour"), "human: Bonjour"),
        ([HumanMessage("Bonjour"), AIMessage("Oui ?")], "human: Bonjour\nai: Oui ?"),
        ({"subject": "Été", "stars": 2}, '{"subject": "Été", "stars": 2}'),
        ({"chat": [HumanMessage("Hi")]}, '{"chat": [{"role": "human", "content": "Hi"}]}'),
    ],
)
def test_states_become_text(state, expected):
    decisions, engine = build(lambda _: {"Yes": 1.0})
    ask(decisions, state, urgent=URGENT)
    assert f"Text:\n{expected}\n\nQuestion:" in read_prompts(engine)[0]


def test_names_of_control_tokens_in_the_text_are_ordinary_text():
    decisions, engine = build(lambda _: {"Yes": 1.0})
    ask(decisions, "<|end|>", urgent=URGENT)
    end = ENCODING.encode("<|end|>", allowed_special="all")[0]
    plain_decisions, plain = build(lambda _: {"Yes": 1.0})
    ask(plain_decisions, "x", urgent=URGENT)
    assert engine.requests[0].prompt_ids.count(end) == plain.requests[0].prompt_ids.count(end)


def test_usage_counts_prompts_and_passes():
    decisions, engine = build(lambda _: {"Yes": 1.0, "A": 1.0})
    usage = ask(decisions, "Help!", urgent=URGENT, team=TEAM).usage
    assert usage["input_tokens"] == sum(len(request.prompt_ids) for request in engine.requests)
    assert usage["output_tokens"] == 2
    assert usage["total_tokens"] == usage["input_tokens"] + 2


def test_options_for_scheduling_come_from_the_model_and_from_the_run():
    engine = ScoringEngine(lambda _: {"Yes": 1.0})
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine, priority=1, cache_salt="a")
    decisions = GptOssDecisions(llm=llm)
    request = {"state": "Help!", "questions": {"urgent": URGENT}}
    decisions.invoke(request)
    decisions.invoke(request, {"configurable": {"priority": 5}})
    asyncio.run(decisions.ainvoke(request, {"configurable": {"priority": 6}}))
    assert [entry.priority for entry in engine.requests] == [1, 5, 6]
    assert {entry.cache_salt for entry in engine.requests} == {"a"}


def test_callbacks_see_the_run_and_the_model():
    class Recorder(BaseCallbackHandler):
        def __init__(self) -> None:
            self.metadata: list[Any] = []

        def on_chain_start(self, *_: Any, metadata: Any = None, **__: Any) -> None:
            self.metadata.append(metadata)

    recorder = Recorder()
    decisions, _ = build(lambda _: {"Yes": 1.0})
    decisions.invoke({"state": "Help!", "questions": {"urgent": URGENT}}, {"callbacks": [recorder]})
    assert recorder.metadata[0]["ls_provider"] == "gptoss"
    assert recorder.metadata[0]["ls_model_name"] == "gpt-oss-20b"


def test_a_server_is_asked_again_for_answers_that_it_did_not_report(monkeypatch):
    engine = ScoringEngine(lambda _: {"The": 0.5, "A": 0.3, "B": 0.1, "C": 0.1}, top_count=2)
    monkeypatch.setattr(options, "get_remote_engine", lambda *_, **__: engine)
    llm = ChatGptOss(model="gpt-oss-20b", base_url="http://localhost:8000/v1")
    choice = Choice(instructions="Which?", criteria={"first": None, "second": None, "third": None})
    answer = ask(GptOssDecisions(llm=llm), "Text", choice=choice).choices["choice"]
    assert answer.probabilities == pytest.approx({"first": 0.6, "second": 0.2, "third": 0.2}, abs=1e-6)
    assert len(engine.requests) == 3
    assert all(request.grammar for request in engine.requests)


def test_a_model_without_log_probabilities_is_refused():
    decisions = GptOssDecisions(llm=ChatGptOss(model="gpt-oss-20b", engine=build_engine("Yes")))
    with pytest.raises(GptOssError, match="no log-probabilities"):
        ask(decisions, "Help!", urgent=URGENT)
    with pytest.raises(ValidationError, match="FakeListChatModel does not report"):
        GptOssDecisions(llm=FakeListChatModel(responses=["Yes"]))


def test_questions_that_cannot_be_asked_are_refused():
    decisions, engine = build(lambda _: {"Yes": 1.0})
    with pytest.raises(InvalidInputError, match="image, and gpt-oss models read text only"):
        ask(decisions, "Help!", where=Box(instructions="the cat"))
    with pytest.raises(InvalidInputError, match="no questions"):
        ask(decisions, "Help!")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        ask(decisions, "Help!", urgent={"type": "noul"})
    with pytest.raises(InvalidInputError, match="101 answers; 100 are possible"):
        ask(decisions, "Help!", many=Score(instructions="Which?", criteria=[str(n) for n in range(101)]))
    image = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    for state in ({"photo": image}, HumanMessage([image])):
        with pytest.raises(InvalidInputError, match="read text only"):
            ask(decisions, state, urgent=URGENT)
    assert engine.requests == []


def test_a_text_longer_than_the_context_is_an_error():
    engine = ScoringEngine(lambda _: {"Yes": 1.0})
    engine._context_length = 100
    with pytest.raises(ContextLengthError):
        ask(GptOssDecisions(llm=ChatGptOss(model="gpt-oss-20b", engine=engine)), "word " * 200, urgent=URGENT)


def test_a_model_must_be_named():
    with pytest.raises(ValidationError, match="No model is named"):
        GptOssDecisions()
    assert GptOssDecisions(model="demo").llm.model == "demo"
    assert GptOssDecisions(llm=ChatGptOss(model="gpt-oss")).model == "gpt-oss-20b"


def test_a_calibration_changes_the_probabilities_and_not_the_order():
    engine = ScoringEngine(lambda _: {"Yes": 0.8, "No": 0.2, "A": 0.8, "B": 0.2})
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine)
    calibration = DecisionCalibration(
        model="gpt-oss-20b",
        model_digest=compute_model_digest(llm),
        noul_temperature=2.0,
        noul_bias=-1.0,
        choice_temperature=2.0,
    )
    response = ask(GptOssDecisions(llm=llm, calibration=calibration), "Help!", urgent=URGENT, team=TEAM)
    assert response.nouls["urgent"].noul == pytest.approx(1 / (1 + math.exp(1 - math.log(4) / 2)), abs=1e-6)
    assert response.choices["team"].probabilities["billing"] == pytest.approx(2 / 3, abs=1e-6)


def test_a_calibration_of_another_model_is_refused():
    decisions, _ = build(lambda _: {"Yes": 1.0}, calibration=DecisionCalibration(model="demo", model_digest="0"))
    with pytest.raises(InvalidInputError, match="was fitted for 'demo'"):
        ask(decisions, "Help!", urgent=URGENT)
