"""Harmony as a whole: what is rendered is read back, under any cutting, and nothing is lost."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss.chat_formats.base import PromptOptions, Tool
from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS, HarmonyFormat
from langchain_gptoss.chat_formats.harmony.typescript import write_namespace

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
FORMAT = HarmonyFormat()
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where."},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "integer", "default": 3, "description": "How many."},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
    },
    "required": ["city"],
}
TOOLS = (Tool(name="get_weather", description="Gets the weather.\nFor a city.", parameters=WEATHER), Tool(name="now"))
NAMES = [tool.name for tool in TOOLS]


def ids_of(text: str) -> list[int]:
    return ENCODING.encode(text, allowed_special="all")


def parsed(ids: list[int], tools: list[str] = NAMES) -> dict:
    """Returns what the parser makes of an answer."""
    parser = FORMAT.parser(tools)
    deltas = [delta for token_id in ids for delta in parser.feed(token_id)] + parser.flush()
    made: dict = {"reasoning": "", "text": "", "calls": [], "mended": list(parser.repairs)}
    for delta in deltas:
        if delta.kind != "tool_call":
            made[delta.kind] += delta.text
            continue
        if delta.name:
            made["calls"].append([delta.name, ""])
        assert delta.call_index == len(made["calls"]) - 1
        made["calls"][delta.call_index][1] += delta.text
    return made


# ---- rendering: types; test_harmony_golden.py has the shapes

QUESTION = HumanMessage("What is the weather in Nantes?")
RESULT = ToolMessage("rain", tool_call_id="1")


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"enum": [1, 2]}, "1 | 2"),
        ({"type": "integer", "enum": [1, 2]}, "1 | 2"),
        ({"const": "x"}, '"x"'),
        ({"type": ["string", "integer"]}, "string | number"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "items": {"$ref": "#/$defs/City"}}, "{\n    // Its name.\n    name: string,\n    }[]"),
        (
            {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/City"}, {"type": "null"}]}},
            "({\n    // Its name.\n    name: string,\n    } | null)[]",
        ),
        ({"type": ["array", "null"], "items": {"type": "string"}}, "string[] | null"),
        (
            {"type": ["object", "null"], "properties": {"a": {"type": "string"}}},
            "{\n    a?: string,\n    } | null",
        ),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, "[string, number]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Record<string, number>"),
        ({"$ref": "#/$defs/City"}, "{\n    // Its name.\n    name: string,\n    }"),
        ({"allOf": [{"$ref": "#/$defs/City"}]}, "{\n    // Its name.\n    name: string,\n    }"),
        ({"type": "string", "nullable": True}, "string | null"),
        ({}, "any"),
    ],
)
def test_types_keep_their_meaning(schema, written):
    city = {"type": "object", "properties": {"name": {"type": "string", "description": "Its name."}}}
    parameters = {
        "type": "object",
        "properties": {"x": schema},
        "required": ["x"],
        "$defs": {"City": {**city, "required": ["name"]}},
    }
    assert f"x: {written},\n" in write_namespace([Tool(name="f", parameters=parameters)])


def test_a_type_that_holds_itself_ends():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    parameters = {"type": "object", "properties": {"first": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    assert "any" in write_namespace([Tool(name="f", parameters=parameters)])


def test_a_function_without_arguments():
    empty = Tool(name="now", parameters={"type": "object", "properties": {}})
    assert "type now = () => any;" in write_namespace([empty])


# ---- reading back

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
ARGUMENTS = st.dictionaries(
    TEXT, st.one_of(TEXT, st.integers(-99, 99), st.none(), st.lists(TEXT, max_size=2)), max_size=3
)


@given(reasoning=st.one_of(st.just(""), TEXT), text=TEXT, arguments=st.one_of(st.none(), ARGUMENTS))
@settings(deadline=None, max_examples=150)
def test_what_is_rendered_is_read_back(reasoning, text, arguments):
    calls = [] if arguments is None else [{"name": "get_weather", "args": arguments, "id": "1"}]
    message = AIMessage(text, tool_calls=calls, additional_kwargs={"reasoning_content": reasoning})
    before = FORMAT.render([QUESTION], PromptOptions(tools=TOOLS))
    after = FORMAT.render([QUESTION, message, *([RESULT] if calls else [])], PromptOptions(tools=TOOLS))
    made = parsed(turn(before, after))
    assert made["mended"] == []
    assert made["text"] == text
    # Reasoning before an answer is not part of the history; before a call it is.
    assert made["reasoning"] == (reasoning if calls else "")
    assert [[name, json.loads(written)] for name, written in made["calls"]] == (
        [["get_weather", arguments]] if calls else []
    )


def turn(before: list[int], after: list[int]) -> list[int]:
    """Returns the assistant's turn: what follows the prompt, up to the tool's result or the next prompt."""
    assert after[: len(before)] == before
    written = after[len(before) :]
    result = ids_of("<|start|>functions.get_weather")
    places = [i for i in range(len(written)) if written[i : i + len(result)] == result]
    end = places[0] if places else len(written) - len(ids_of("<|start|>assistant"))
    return written[:end]


REAL = [
    '<|channel|>analysis<|message|>Look up été 🎉.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Été 🎉"}<|call|>',
    ' to=functions.get_weather<|channel|>commentary json<|message|>{"city":"Nantes"}<|call|>',
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>It rains, été 🎉👩‍👩‍👧.<|return|>",
    "<|channel|>commentary<|message|>First, a plan.<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>",
    "<|channel|>commentary to=functions.now<|message|><|call|>",
]


@pytest.mark.parametrize(
    ("completion", "reasoning", "text", "calls", "mended"),
    [
        (REAL[0], "Look up été 🎉.", "", [["get_weather", '{"city":"Été 🎉"}']], 0),
        (REAL[1], "", "", [["get_weather", '{"city":"Nantes"}']], 0),
        (REAL[2], "Hm.", "It rains, été 🎉👩‍👩‍👧.", [], 0),
        (REAL[3], "", "First, a plan.\n\nDone.", [], 0),
        (REAL[4], "", "", [["now", "{}"]], 1),
        ("<|channel|>commentary to=now<|message|>{}<|call|>", "", "", [["now", "{}"]], 0),
        ("<|channel|>commentary to=functions.now code<|message|>{}<|call|>", "", "", [["now", "{}"]], 0),
        # What models really emit.
        ("<|channel|>commentary to=functions.now please <|message|>{}<|call|>", "", "", [["now", "{}"]], 1),
        ("<|channel|>analysis to=functions.now<|message|>{}<|call|>", "", "", [["now", "{}"]], 0),
        ("<|channel|>commentary to=functions.gone<|message|>{}<|call|>", "", "{}", [], 1),
        ("<|channel|>analysis to=python code<|message|>1+1<|call|>", "1+1", "", [], 1),
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
def test_real_output_is_read(completion, reasoning, text, calls, mended):
    made = parsed(ids_of(completion))
    assert (made["reasoning"], made["text"], made["calls"]) == (reasoning, text, calls)
    assert len(made["mended"]) == mended, made["mended"]
    assert all(mend.found and mend.interpretation for mend in made["mended"])


@pytest.mark.parametrize("completion", REAL)
def test_a_cut_at_any_token_gives_the_beginning(completion):
    ids = ids_of(completion)
    whole = parsed(ids)
    for size in range(len(ids)):
        made = parsed(ids[:size])
        assert whole["reasoning"].startswith(made["reasoning"])
        assert whole["text"].startswith(made["text"])
        for call, complete in zip(made["calls"], whole["calls"], strict=False):
            assert call[0] == complete[0]
            assert complete[1].startswith(call[1]) or call[1] == "{}"


def accounted(ids: list[int], made: dict) -> None:
    """Checks that every piece of text is in the answer, the reasoning, the calls, or the report of a mend."""
    told = made["reasoning"] + made["text"] + "".join(name + written for name, written in made["calls"])
    told += "".join(mend.found + mend.interpretation for mend in made["mended"])
    for marker in CONTROL_TOKENS:
        assert marker not in made["reasoning"] + made["text"] + "".join(written for _, written in made["calls"])
    text = ENCODING.decode([i for i in ids if not ENCODING.is_special_token(i)])
    for marker in MARKED:
        assert told.count(marker.strip()) >= text.count(marker.strip())


MARKED = ["Xylophonemarker", " Quartzitebeacon", " Zeppelinlantern"]  # words that no header holds
PIECES = st.one_of(
    st.sampled_from([[i] for i in (200002, 200003, 200005, 200006, 200007, 200008, 200012, 199999, 200500, 201087)]),
    st.sampled_from([ids_of(word) for word in MARKED]),
    st.sampled_from(
        [ids_of(w) for w in ("analysis", "final", "commentary", "assistant", " to=functions.now", " json")]
    ),
)


@given(st.lists(PIECES, max_size=20))
@settings(deadline=None, max_examples=500)
def test_no_sequence_raises_or_loses_text(pieces):
    ids = [token_id for piece in pieces for token_id in piece]
    accounted(ids, parsed(ids))


@pytest.mark.parametrize("seed", range(200))
def test_mutations_of_real_output_are_read(seed):
    chance = random.Random(seed)
    ids = ids_of(chance.choice(REAL).replace("Nantes", MARKED[0]).replace("rains", MARKED[1].strip()))
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(ids))
        change = chance.choice(["drop", "double", "swap", "control", "any"])
        if change == "drop":
            del ids[place]
        elif change == "double":
            ids.insert(place, ids[place])
        elif change == "swap":
            other = chance.randrange(len(ids))
            ids[place], ids[other] = ids[other], ids[place]
        else:
            ids.insert(place, chance.randrange(199_998, 201_090) if change == "control" else chance.randrange(201_090))
    made = parsed(ids)
    assert all(name in NAMES for name, _ in made["calls"])
    accounted([], made)


@given(st.lists(st.sampled_from(REAL), min_size=1, max_size=3), st.data())
@settings(deadline=None, max_examples=50)
def test_only_offered_tools_are_called(completions, data):
    offered = data.draw(st.lists(st.sampled_from(NAMES), unique=True))
    made = parsed([i for completion in completions for i in ids_of(completion)], offered)
    assert {name for name, _ in made["calls"]} <= set(offered)


def test_every_special_token_stays_text_wherever_it_is_written():
    tokens = sorted(ENCODING.special_tokens_set)
    text = " ".join(tokens)
    messages = [
        SystemMessage(text),
        HumanMessage(text),
        AIMessage(text, tool_calls=[{"name": "now", "args": {"x": text}, "id": "1"}]),
        ToolMessage(text, tool_call_id="1"),
    ]
    tool = Tool(name="now", description=text, parameters={"type": "object", "properties": {"x": {"description": text}}})
    plain = [
        SystemMessage("a"),
        HumanMessage("a"),
        AIMessage("a", tool_calls=[{"name": "now", "args": {"x": "a"}, "id": "1"}]),
        ToolMessage("a", tool_call_id="1"),
    ]

    def controls(ids: list[int]) -> list[int]:
        return [token_id for token_id in ids if ENCODING.is_special_token(token_id)]

    assert controls(FORMAT.render(messages, PromptOptions(tools=(tool,)))) == controls(
        FORMAT.render(plain, PromptOptions(tools=(Tool(name="now"),)))
    )
