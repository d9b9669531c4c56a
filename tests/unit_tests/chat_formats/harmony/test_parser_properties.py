"""Answers of several messages, with the faults of real models, read whole and cut off at every token."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS
from tests import scale
from tests.unit_tests.chat_formats.harmony.parsing import parse
from tests.unit_tests.scripted_models import encode

TOOLS = ["get_weather", "now"]
START = "<|start|>assistant"


@dataclass(frozen=True)
class Message:
    """One message of an answer, and what the parser must make of it."""

    header: str
    body: str
    end: str = "<|end|>"
    kind: str = "text"
    tool: str = ""

    @property
    def written(self) -> str:
        return f"{self.header}<|message|>{self.body}{self.end}"


TEXTS = (
    st.lists(
        st.sampled_from(
            ["Hello", " world", " été 🎉", "\n\n", "{", '"}', " to=functions.now", "final", "assistant", " user:"]
        ),
        min_size=1,
        max_size=4,
    )
    .map("".join)
    .filter(str.strip)
)
ARGUMENTS = st.sampled_from(["{}", '{"city":"Nantes"}', '{ "a": [1, {"b": "}"}] }', '{"text":"one\\ntwo"}'])
CONTENT_TYPES = st.sampled_from(
    ["", " <|constrain|>json", "<|constrain|>json", " json", " code", " please", "<|constrain|>jso"]
)
CALL_ENDS = st.sampled_from(["<|call|>", "<|end|>", "<|return|>"])

reasoning = st.builds(Message, st.just("<|channel|>analysis"), TEXTS, kind=st.just("reasoning"))
answers = st.builds(
    Message,
    st.sampled_from([
        "<|channel|>final", "<|channel|>commentary", "<|channel|>final <|constrain|>json", "<|channel|>final extra words",
        "<|channel|>final<|channel|>final", "<|channel|>analysis<|channel|>final", "<|channel|>commentary?",
        "<|channel|>Final", "<|channel|>final to=user", "<|channel|>commentary to=assistant", "",
    ]),
    TEXTS.filter(lambda text: not text.lstrip().startswith(("{", '"'))),
    st.sampled_from(["<|end|>", "<|return|>"]),
)  # fmt: skip
OFFERED = st.sampled_from([
    ("<|channel|>commentary to=functions.get_weather", "get_weather"), (" to=functions.now<|channel|>commentary", "now"),
    ("<|channel|>analysis to=functions.now", "now"), ("<|channel|>commentary to=now", "now"),
    ("<|channel|>commentary to=functions.now?", "now"), ("<|channel|>commentary to=functions.functions.now", "now"),
    ("<|channel|>commentary to=functions.Get_Weather", "get_weather"), ('<|channel|>commentary to="now"', "now"),
    ("<|channel|>commentary to=functions.get_weather<|channel|>commentary", "get_weather"),
    ("<|channel|>commentary to=functions.now<|channel|>commentary to=functions.get_weather", "get_weather"),
    (" to=functions.gone<|channel|>commentary to=functions.now", "now"),
    ("<|channel|>commentary to=functions.now to=functions.get_weather", "get_weather"),
    (" to=functions.now to=functions.get_weather<|channel|>commentary", "get_weather"),
    ("<|channel|>commentary to=functions.now()", "now"), ('<|channel|>commentary to=functions."now"', "now"),
])  # fmt: skip
UNOFFERED = st.sampled_from([
    ("<|channel|>commentary to=functions.search_web", "search_web"), (" to=functions.gone<|channel|>commentary", "gone"),
    ("<|channel|>analysis to=browser.search", "browser.search"), ("<|channel|>analysis to=python", "python"),
    ("<|channel|>commentary to=container.exec", "container.exec"), ("<|channel|>commentary to=functions.now2", "now2"),
    ("<|channel|>commentary to=functions.now<|channel|>commentary to=functions.gone", "gone"),
])  # fmt: skip


def build_calls(recipients: st.SearchStrategy[tuple[str, str]], kind: str) -> st.SearchStrategy[Message]:
    return st.builds(
        lambda recipient, content_type, body, end: Message(recipient[0] + content_type, body, end, kind, recipient[1]),
        recipients,
        CONTENT_TYPES,
        ARGUMENTS,
        CALL_ENDS,
    )


calls, unoffered_calls = build_calls(OFFERED, "call"), build_calls(UNOFFERED, "unoffered")
MADE_UP = st.sampled_from([
    "user", "system", "developer", "tool", "functions.now to=assistant<|channel|>commentary", "User",
    "functions.now<|channel|>commentary to=assistant", "now to=assistant", "browser.search to=assistant", "user: ",
    "python to=assistant<|channel|>commentary", "functions.gone<|channel|>commentary",
])  # fmt: skip
messages = st.lists(st.one_of(reasoning, answers, calls, unoffered_calls), min_size=1, max_size=4)


def write(parts: list[Message]) -> str:
    return START.join(part.written for part in parts)


def join(parts: list[Message], kind: str) -> str:
    return "\n\n".join(part.body for part in parts if part.kind == kind)


def check_whole(parts: list[Message], answer: dict) -> None:
    assert answer["text"] == join(parts, "text")
    assert answer["reasoning"] == join(parts, "reasoning")
    assert answer["calls"] == [[part.tool, part.body] for part in parts if part.kind == "call"]
    assert [call[:2] for call in answer["invalid_calls"]] == [
        [part.tool, part.body] for part in parts if part.kind == "unoffered"
    ]
    assert all("There is no tool" in error for *_, error in answer["invalid_calls"])


@given(messages)
@settings(deadline=None, max_examples=scale(400))
def test_every_message_has_its_place(parts):
    answer = parse(encode(write(parts)), TOOLS)
    check_whole(parts, answer)
    assert not answer["ended"]


@given(
    messages, MADE_UP, st.sampled_from(["<|message|>More?<|end|>", "<|message|>", "<|message|>{}<|call|>"]), messages
)
@settings(deadline=None, max_examples=scale(300))
def test_a_made_up_role_ends_the_turn(parts, role, rest, later):
    answer = parse(encode(f"{write(parts)}<|start|>{role}{rest}{START}{write(later)}"), TOOLS)
    check_whole(parts, answer)
    assert answer["ended"]
    assert answer["repairs"][-1].found == f"<|start|>{role}"
    assert "ends the turn" in answer["repairs"][-1].interpretation


def has_clear_header(part: Message) -> bool:
    # Cut after an extra word, a header may be text without its `<|message|>`.
    return not part.header.endswith((" extra words", " please"))


def check_cut(parts: list[Message], ids: list[int], size: int) -> None:
    """Check an answer that was cut off after some tokens."""
    whole, answer = parse(ids, TOOLS), parse(ids[:size], TOOLS)
    assert whole["text"].startswith(answer["text"]), "header words or other debris"
    assert whole["reasoning"].startswith(answer["reasoning"])
    ends = 0
    complete = 0  # number of valid calls that the model ended before the cut
    for part in parts:
        ends += len(encode((START if ends else "") + part.written))
        complete += part.kind == "call" and ends <= size
    assert answer["calls"] == whole["calls"][:complete]
    for name, arguments, error in answer["invalid_calls"]:
        assert "cut off" in error or "There is no tool" in error
        assert any(name == part.tool and part.body.startswith(arguments) for part in parts)


@given(messages.map(lambda parts: [part for part in parts if has_clear_header(part)]))
@example([Message("<|channel|>commentary to=functions.now", "{}", "<|call|>", "call", "now")])
@settings(deadline=None, max_examples=scale(100))
def test_a_cut_at_any_token_gives_a_prefix_and_no_call(parts):
    ids = encode(write(parts))
    for size in range(len(ids)):
        check_cut(parts, ids, size)


@pytest.mark.parametrize("end", ["", "<|call|>"])
def test_only_the_end_completes_a_call(end):
    ids = encode(f'<|channel|>commentary to=functions.now <|constrain|>json<|message|>{{"zone":"UTC"}}{end}')
    assert len(parse(ids, TOOLS)["calls"]) == bool(end)
    assert len(parse(ids, TOOLS, is_complete=True)["calls"]) == 1  # an engine that hides its stop tokens


# Words that belong to headers; the last one may be cut.
DEBRIS = st.sampled_from([
    "<|channel|>", "<|constrain|>", "<|start|>", "assistant", "analysis", "commentary", "commentary?", "final", " json",
    " to=functions.now", " to=functions.gone",
])  # fmt: skip
LAST_DEBRIS = st.sampled_from(["", " jso", " comment", " to=", " to=functions.no", "<|constrain|>j", " code", "?"])


@given(st.lists(DEBRIS, max_size=6), LAST_DEBRIS, st.sampled_from(["<|end|>", "<|return|>", "<|call|>", ""]))
@settings(deadline=None, max_examples=scale(500))
def test_words_of_headers_alone_are_not_shown(words, last_word, end):
    header = "".join(["<|channel|>", *words, last_word])
    answer = parse(encode(header + end), TOOLS)
    assert (answer["calls"], answer["invalid_calls"]) == ([], [])
    shown = answer["text"] + answer["reasoning"]
    assert not any(token in shown for token in CONTROL_TOKENS)
    assert not shown.strip(), shown


GLUE = st.sampled_from([
    "<|channel|>final", "<|channel|>commentary", "<|start|>assistant", "<|start|>final", "<|start|>assistantfinal",
    "<|channel|>commentary?", "assistant", "final", "commentary", "assistantfinal", "<|channel|>final <|constrain|>json ",
])  # fmt: skip
READER_TEXTS = st.sampled_from([
    "I'm sorry, but I can't help with that.", "Hello there", "Été 🎉", "Paris. It is in France.", "**Yes**", "漢字",
    "User Interface", "The final answer is 5.", "JSON is a format.", "To be sure, ask.",
])  # fmt: skip


@given(GLUE, READER_TEXTS, st.sampled_from(["<|end|>", "<|return|>", ""]), st.booleans())
@settings(deadline=None, max_examples=scale(300))
def test_text_glued_to_header_words_is_shown_alone(header, text, end, has_reasoning):
    before = "<|channel|>analysis<|message|>Hm.<|end|>" if has_reasoning else ""
    answer = parse(encode(f"{before}{header}{text}{end}"), TOOLS)
    assert answer["text"] == text
    assert answer["repairs"]


@pytest.mark.parametrize(
    ("written", "reasoning", "text"),
    [
        ("analysisWe should greet.assistantfinalHello", "We should greet.", "Hello"),
        ("analysisWe greet.assistantfinal# Title\n\nText", "We greet.", "# Title\n\nText"),
        ("analysisUser asks.assistantcommentaryI look.assistantfinalDone.", "User asks.", "I look.\n\nDone."),
        ("analysisThe assistant answers, finally.assistantfinalÇa va", "The assistant answers, finally.", "Ça va"),
        ("finally we met", "", "finally we met"),
        ("analysis of the data", "", "analysis of the data"),
        ("assistants help", "", "assistants help"),
        ("finalement, oui", "", "finalement, oui"),
        ("final answer: 5", "", "final answer: 5"),
        ("user stories are short", "", "user stories are short"),
        ("<|channel|>final<|message|>See assistantfinal and analysisWe.", "", "See assistantfinal and analysisWe."),
    ],
)
def test_answers_without_control_tokens_are_read(written, reasoning, text):
    for end in ("", "<|return|>"):
        answer = parse(encode(written + end), TOOLS)
        assert (answer["reasoning"], answer["text"]) == (reasoning, text)


def test_a_call_without_control_tokens_is_made_if_the_model_ended_it():
    ids = encode('analysisWe need it.assistantcommentary to=functions.now json{"zone":"UTC"}')
    assert parse(ids, TOOLS, is_complete=True)["calls"] == [["now", '{"zone":"UTC"}']]
    assert parse(ids, TOOLS)["calls"] == []


@pytest.mark.parametrize(("end", "text"), [("<|return|>", "B"), ("<|end|>", "B"), ("", "B")])
def test_one_letter_is_an_answer(end, text):
    assert parse(encode(f"<|channel|>final {text}{end}"), TOOLS)["text"] == text
    assert parse(encode(f"<|channel|>final a{end}"), TOOLS)["text"] == ("a" if end else "")


@pytest.mark.parametrize(
    ("written", "text", "calls"),
    [
        # A header that contradicts itself: the body shows whether it is a call.
        ("<|channel|>commentary to=functions.now<|channel|>final<|message|>Hello<|return|>", "Hello", []),
        ("<|channel|>commentary to=functions.now<|channel|>final<|message|>{}<|call|>", "", [["now", "{}"]]),
        (" to=functions.now<|channel|>final<|message|> Hello<|return|>", " Hello", []),
        ("<|channel|>final to=functions.now<|message|>{}<|call|>", "", [["now", "{}"]]),
        ("<|channel|>final to=functions.now<|message|><|call|>", "", [["now", "{}"]]),
        ("<|channel|>final to=functions.now<|message|><|return|>", "", []),
        # A header without its end.
        ('<|channel|>commentary to=functions.now json{"a":1}<|call|>', "", [["now", '{"a":1}']]),
        ('<|channel|>commentary to=functions.now<|constrain|>json{"a":1}<|call|>', "", [["now", '{"a":1}']]),
        ('<|channel|>commentary to=functions.now{"a":1}<|call|>', "", [["now", '{"a":1}']]),
        ('<|channel|>commentary to=functions.now json{"a":1}', "", []),
        # A call that another message ends.
        ('<|channel|>commentary to=functions.now<|message|>{"a":1}<|start|>assistant<|channel|>final<|message|>Hi', "Hi",
         [["now", '{"a":1}']]),
        ("<|channel|>commentary to=functions.now<|message|><|start|>assistant<|channel|>final<|message|>Hi", "Hi", []),
        ('<|channel|>commentary to=functions.now<|message|>{"a":1}<|endoftext|>', "", [["now", '{"a":1}']]),
    ],
)  # fmt: skip
def test_broken_headers_of_calls_are_read(written, text, calls):
    answer = parse(encode(written), TOOLS)
    assert (answer["text"], answer["calls"]) == (text, calls)
