"""The harmony parser: regular output, malformed output, and any sequence of tokens."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS
from tests import scale
from tests.unit_tests.chat_formats.harmony.parsing import FORMAT, TOOL_NAMES, parse
from tests.unit_tests.scripted_models import ENCODING, encode


def read(completion: str | list[int]) -> tuple[str, str]:
    """Return the reasoning and the text of an answer."""
    answer = parse(encode(completion) if isinstance(completion, str) else completion)
    return answer["reasoning"], answer["text"]


def test_reasoning_and_answer_are_separated():
    completion = "<|channel|>analysis<|message|>They greet.<|end|><|start|>assistant<|channel|>final<|message|>Hi there!<|return|>"
    assert read(completion) == ("They greet.", "Hi there!")


def test_text_is_streamed_token_by_token():
    parser = FORMAT.parser()
    shown = [
        [delta.text for delta in parser.feed(i)] for i in encode("<|channel|>final<|message|>one two three<|return|>")
    ]
    assert shown == [[], [], [], ["one"], [" two"], [" three"], []]


@pytest.mark.parametrize("text", ["🎉 done", "été 👩‍👩‍👧 déjà", "漢字かな", "é"])
@pytest.mark.parametrize("header", ["<|channel|>final<|message|>", "", "<|start|>final<|channel|>final<|message|>"])
def test_characters_split_over_tokens_are_joined(header, text):
    assert read(f"{header}{text}<|return|>") == ("", text)


def test_incomplete_character_at_the_end_is_dropped():
    first, *_ = encode("🎉")
    assert "\ufffd" not in read([*encode("<|channel|>final<|message|>Hi"), first])[1]


def test_incomplete_character_does_not_reach_into_the_next_message():
    first, *_ = encode("🎉")
    thinking, answering = encode("<|channel|>analysis<|message|>Hm"), encode("<|channel|>final<|message|>Hi")
    assert read([*thinking, first, *encode("<|end|><|start|>assistant"), *answering]) == ("Hm", "Hi")


@pytest.mark.parametrize(
    ("completion", "reasoning", "answer"),
    [
        ("Paris is nice", "", "Paris is nice"),
        ("Paris.<|return|>", "", "Paris."),
        (" to the point<|return|>", "", " to the point"),
        ("<|message|>Hi<|return|>", "", "Hi"),
        ("<|channel|>final extra words<|message|>Hi<|return|>", "", "Hi"),
        ("<|channel|>analysis<|message|>t<|end|>The answer<|return|>", "t", "The answer"),
        ("<|channel|>analysis<|message|>t<|end|><|start|>final<|channel|>final<|message|>Hi<|return|>", "t", "Hi"),
        (
            "<|channel|>analysis<|message|>t<|end|><|start|>assistant<|start|>assistant<|channel|>final<|message|>Hi",
            "t",
            "Hi",
        ),
        ("<|channel|>final Paris it is<|return|>", "", "Paris it is"),
        ("<|channel|>analysis so what", "so what", ""),
        ("<|channel|>comment", "", ""),
        ("<|channel|>analysis<|message|>cut o", "cut o", ""),
        ("<|channel|>final<|message|>a<|constrain|>b<|endoftext|>c<|message|>d", "", "abcd"),
        ("<|channel|>final<|message|>a<|start|>assistant<|channel|>final<|message|>b<|return|>", "", "a\n\nb"),
        ("", "", ""),
    ],
)
def test_malformed_output_is_repaired(completion, reasoning, answer):
    assert read(completion) == (reasoning, answer)


REAL_OUTPUT = [
    '<|channel|>analysis<|message|>Look up été 🎉.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Été 🎉"}<|call|>',
    ' to=functions.get_weather<|channel|>commentary json<|message|>{"city":"Nantes"}<|call|>',
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>It rains, été 🎉👩‍👩‍👧.<|return|>",
    "<|channel|>commentary<|message|>First, a plan.<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>",
    "<|channel|>commentary to=functions.now<|message|><|call|>",
]


@pytest.mark.parametrize(
    ("completion", "reasoning", "text", "calls", "repair_count"),
    [
        (REAL_OUTPUT[0], "Look up été 🎉.", "", [["get_weather", '{"city":"Été 🎉"}']], 0),
        (REAL_OUTPUT[1], "", "", [["get_weather", '{"city":"Nantes"}']], 0),
        (REAL_OUTPUT[2], "Hm.", "It rains, été 🎉👩‍👩‍👧.", [], 0),
        (REAL_OUTPUT[3], "", "First, a plan.\n\nDone.", [], 0),
        (REAL_OUTPUT[4], "", "", [["now", "{}"]], 1),
        ("<|channel|>commentary to=now<|message|>{}<|call|>", "", "", [["now", "{}"]], 1),
        ("<|channel|>commentary to=functions.now code<|message|>{}<|call|>", "", "", [["now", "{}"]], 0),
        # Output that models really produce.
        ("<|channel|>commentary to=functions.now please <|message|>{}<|call|>", "", "", [["now", "{}"]], 1),
        ("<|channel|>analysis to=functions.now<|message|>{}<|call|>", "", "", [["now", "{}"]], 0),
        (
            "<|channel|>commentary to=functions.now<|channel|>commentary<|message|>{}<|call|>",
            "",
            "",
            [["now", "{}"]],
            1,
        ),
        ("<|channel|>final <|constrain|>json<|message|>{}<|return|>", "", "{}", [], 0),
        ("<|channel|>commentary to=assistant<|channel|>analysis<|message|>t<|end|>", "t", "", [], 1),
        ("<|channel|>final<|channel|>final<|message|>Hi<|return|>", "", "Hi", [], 1),
        ("<|start|>final<|channel|>final<|message|>Hi<|return|>", "", "Hi", [], 2),
        ("<|channel|>final and more words<|message|>Hi<|return|>", "", "Hi", [], 1),
        ("<|channel|>analysis<|message|>t<|end|><|channel|>final<|message|>Hi<|return|>", "t", "Hi", [], 1),
        ("<|channel|>analysis<|message|>t<|end|>Hi<|return|>", "t", "Hi", [], 1),
        ("<|channel|>analysis<|message|>t<|end|>assistant<|channel|>final<|message|>Hi<|return|>", "t", "Hi", [], 1),
        ("<|channel|>commentary to=functions.no", "", "", [], 1),
    ],
)
def test_real_output_is_read(completion, reasoning, text, calls, repair_count):
    answer = parse(encode(completion))
    assert (answer["reasoning"], answer["text"], answer["calls"]) == (reasoning, text, calls)
    assert len(answer["repairs"]) == repair_count, answer["repairs"]
    assert all(repair.found and repair.interpretation for repair in answer["repairs"])


@pytest.mark.parametrize("completion", REAL_OUTPUT)
def test_truncated_output_gives_a_prefix_of_the_answer(completion):
    ids = encode(completion)
    complete = parse(ids)
    for size in range(len(ids)):
        answer = parse(ids[:size])
        assert complete["reasoning"].startswith(answer["reasoning"])
        assert complete["text"].startswith(answer["text"])
        for call, complete_call in zip(answer["calls"], complete["calls"], strict=False):
            assert call[0] == complete_call[0]
            assert complete_call[1].startswith(call[1]) or call[1] == "{}"


@given(
    st.lists(st.sampled_from(["Hello", " 🎉", " world", "\n\nété", " to", " =", "final", "."]), min_size=1, max_size=12)
)
@settings(deadline=None, max_examples=scale(200))
def test_no_text_of_a_message_is_lost(words):
    text = "".join(words)
    for header in (
        "<|channel|>final<|message|>",
        "<|channel|>analysis<|message|>t<|end|><|channel|>final x<|message|>",
    ):
        assert read(f"{header}{text}<|return|>")[1] == text
    parser = FORMAT.parser()
    deltas = [delta for token_id in encode(f"{text}<|return|>") for delta in parser.feed(token_id)] + parser.flush()
    found = "".join(delta.text for delta in deltas)
    # Header words that are glued to the text, as in "finalHello", are in the repairs.
    written = "".join(repair.found for repair in parser.repairs if repair.found != "text without a header") + found
    assert written == text or not text.strip()


MARKERS = ["Xylophonemarker", " Quartzitebeacon", " Zeppelinlantern"]  # words that no header holds


def check_text_is_kept(ids: list[int], answer: dict[str, Any]) -> None:
    """Check that all text is in the answer or its repairs, and that no control token is in the answer."""
    calls = "".join(name + arguments for name, arguments, *_ in answer["calls"] + answer["invalid_calls"])
    output = answer["reasoning"] + answer["text"] + calls
    assert not any(token in output for token in CONTROL_TOKENS)
    output += "".join(repair.found + repair.interpretation for repair in answer["repairs"])
    text = ENCODING.decode([token_id for token_id in ids if not ENCODING.is_special_token(token_id)])
    for marker in MARKERS:
        assert output.count(marker.strip()) >= text.count(marker.strip())


CONTROL_IDS = (200002, 200003, 200005, 200006, 200007, 200008, 200012, 199998, 199999, 200500, 201087)
HEADER_WORDS = ("analysis", "final", "commentary", "assistant", " to=functions.now", " to", "=", " json")
PIECES = st.one_of(
    st.sampled_from([[token_id] for token_id in CONTROL_IDS]),
    st.sampled_from([encode(word) for word in MARKERS]),
    st.sampled_from([encode(word) for word in HEADER_WORDS]),
)


@given(st.lists(PIECES, max_size=20))
@settings(deadline=None, max_examples=scale(500, minimum=100))
def test_no_sequence_raises_or_loses_text(pieces):
    ids = [token_id for piece in pieces for token_id in piece]
    check_text_is_kept(ids, parse(ids))


@given(st.lists(st.one_of(PIECES, st.integers(0, 199_997).map(lambda token_id: [token_id])), max_size=20))
@settings(deadline=None, max_examples=scale(400))
def test_no_output_raises_or_shows_a_control_token(pieces):
    answer = parse([token_id for piece in pieces for token_id in piece] + [5_000_000])
    assert not any(token in answer["reasoning"] + answer["text"] for token in CONTROL_TOKENS)


@pytest.mark.parametrize("seed", range(scale(200, minimum=20)))
def test_mutations_of_real_output_are_read(seed):
    generator = random.Random(seed)
    ids = encode(generator.choice(REAL_OUTPUT).replace("Nantes", MARKERS[0]).replace("rains", MARKERS[1].strip()))
    for _ in range(generator.randint(1, 4)):
        place = generator.randrange(len(ids))
        change = generator.choice(["drop", "double", "swap", "control", "any"])
        if change == "drop":
            del ids[place]
        elif change == "double":
            ids.insert(place, ids[place])
        elif change == "swap":
            other = generator.randrange(len(ids))
            ids[place], ids[other] = ids[other], ids[place]
        else:
            first_id = 199_998 if change == "control" else 0
            ids.insert(place, generator.randrange(first_id, 201_090))
    answer = parse(ids)
    assert all(name in TOOL_NAMES for name, _ in answer["calls"])
    check_text_is_kept([], answer)


@given(st.lists(st.sampled_from(REAL_OUTPUT), min_size=1, max_size=3), st.data())
@settings(deadline=None, max_examples=scale(50))
def test_only_offered_tools_are_called(completions, data):
    offered = data.draw(st.lists(st.sampled_from(TOOL_NAMES), unique=True))
    answer = parse([token_id for completion in completions for token_id in encode(completion)], offered)
    assert {name for name, _ in answer["calls"]} <= set(offered)


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>commentary to=functions.get_weather <|constrain|>json junk",
        "<|channel|>commentary? to=functions.get_weather",
        " to=functions.get_weather<|channel|>commentary <|constrain|>JSON",
        "commentary to=functions.get_weather <|constrain|>json",
        " to=functions.now to=functions.get_weather<|channel|>commentary",
    ],
)
def test_a_header_that_the_limit_cuts_shows_nothing(header):
    ids = encode(header)
    for length in range(2, len(ids) + 1):
        answer = parse(ids[:length])
        assert (answer["text"], answer["calls"]) == ("", []), length


@pytest.mark.parametrize("content_type", ["jso", "response"])
def test_an_unknown_content_type_is_a_repair(content_type):
    answer = parse(encode(f"<|channel|>final <|constrain|>{content_type}<|message|>Hi<|return|>"))
    assert (answer["text"], len(answer["repairs"])) == ("Hi", 1)
