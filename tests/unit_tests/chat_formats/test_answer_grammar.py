"""Grammars of answers, followed by llguidance."""

import pytest
from llguidance import LLMatcher, LLTokenizer

from langchain_gptoss.chat_formats.answer_grammar import build_harmony_grammar, build_tagged_grammar
from langchain_gptoss.chat_formats.base import AnswerGrammar, PromptOptions, ResponseFormat, Tool
from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS
from tests.unit_tests.chat_formats.byte_tokenizer import build_backend

BACKEND = build_backend(list(CONTROL_TOKENS))
CONTROL_IDS = {token: BACKEND.token_to_id(token) for token in CONTROL_TOKENS}
TOKENIZER = LLTokenizer(BACKEND.to_str(), eos_token=[CONTROL_IDS["<|return|>"], CONTROL_IDS["<|call|>"]])
UNION = [{"type": "object", "properties": {key: {"type": "integer"}}, "required": [key]} for key in "ab"]
NODE = {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/N"}}}
LIST = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}
NAMES = {"type": "object", "properties": {"definitions": {"type": "integer"}}}
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
# Schema, a value that follows it, a value that does not.
SCHEMAS = {
    "reference": ({"$ref": "#/$defs/N", "$defs": {"N": NODE}}, '{"v":1,"next":{"v":2}}', '{"v":1,"next":{"v":"x"}}'),
    "root": (LIST, '{"kids":[{"kids":[{}]}]}', '{"kids":[{"kids":[1]}]}'),
    "any": ({"anyOf": UNION}, '{"b":1}', '{"b":"x"}'),
    "all": ({"allOf": UNION}, '{"a":1,"b":1}', '{"a":1}'),
    "names": (NAMES, '{"definitions":1,"other":[]}', '{"definitions":[]}'),
    "closed": (CLOSED, '{"a":1}', '{"other":1}'),
}
TOOLS = (Tool(name="f"), Tool(name="g"))


def is_accepted(grammar: AnswerGrammar, answer: str) -> bool:
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(grammar.lark))
    assert not matcher.get_error()
    return matcher.consume_tokens(BACKEND.encode(answer).ids)


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("form", ["answer", "call", "tagged answer", "tagged call", "tagged strict call"])
def test_schemas_of_every_kind_are_enforced(schema, form):
    json_schema, valid, invalid = SCHEMAS[schema]
    tool = Tool(name="f", parameters=json_schema, strict=True if "strict" in form else None)
    answer_options = PromptOptions(response_format=ResponseFormat(name="x", schema=json_schema))
    call_options = PromptOptions(tools=(tool,), tool_choice="auto" if "strict" in form else "f")
    options = answer_options if "answer" in form else call_options
    build_grammar = build_tagged_grammar if "tagged" in form else lambda o: build_harmony_grammar(o, CONTROL_IDS)

    def write(text: str) -> str:
        call = f'{{"name": "f", "arguments": {text}}}'
        return {
            "answer": f"<|channel|>final<|message|>{text}<|return|>",
            "call": f"<|channel|>commentary to=functions.f <|constrain|>json<|message|>{text}<|call|>",
            "tagged answer": text,
            "tagged call": call,
            "tagged strict call": f"<tool_call>{call}</tool_call>",
        }[form]

    assert is_accepted(build_grammar(options), write(valid))
    assert not is_accepted(build_grammar(options), write(invalid))


def test_free_answers_need_no_grammar():
    for options in (PromptOptions(), PromptOptions(tools=TOOLS, tool_choice="none")):
        assert build_harmony_grammar(options, CONTROL_IDS) is None
        assert build_tagged_grammar(options) is None


BACK = "<|start|>assistant"
THOUGHT = "<|channel|>analysis<|message|>Hm.<|end|>"
PREAMBLE = "<|channel|>commentary<|message|>I look it up.<|end|>"
ANSWER = "<|channel|>final<|message|>Rain.<|return|>"
STRICT_TOOLS = tuple(
    Tool(name=name, strict=True, parameters={"type": "object", "properties": {"a": {"type": "integer"}}})
    for name in ("f", "g")
)


def write_call(name: str = "f", end: str = "<|call|>", arguments: str = '{"a":1}') -> str:
    return f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}{end}"


def accepts(answer: str, **options: object) -> bool:
    """Return True if the harmony grammar accepts the answer and allows it to end there."""
    grammar = build_harmony_grammar(PromptOptions(**{"tools": STRICT_TOOLS, **options}), CONTROL_IDS)
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(grammar.lark))
    assert not matcher.get_error()
    return matcher.consume_tokens(BACKEND.encode(answer).ids) and (matcher.is_stopped() or matcher.is_accepting())


HEADERS_OF_CALLS = [
    "<|channel|>commentary to=functions.f <|constrain|>json",
    "<|channel|>commentary to=functions.f<|constrain|>json",
    "<|channel|>commentary to=functions.f json",
    "<|channel|>commentary to=functions.f code",
    "<|channel|>commentary to=functions.f <|constrain|>code",
    "<|channel|>commentary to=functions.f",
    "<|channel|>analysis to=functions.f <|constrain|>json",
    "<|channel|>analysis to=functions.f code",
    "<|channel|>analysis to=functions.f",
    " to=functions.f<|channel|>commentary <|constrain|>json",
    " to=functions.f<|channel|>commentary<|constrain|>json",
    " to=functions.f<|channel|>commentary json",
    " to=functions.f<|channel|>commentary code",
    " to=functions.f<|channel|>commentary",
    " to=functions.f<|channel|>analysis <|constrain|>json",
    " to=functions.f<|channel|>analysis code",
    " to=functions.f<|channel|>analysis",
]


@pytest.mark.parametrize("header", HEADERS_OF_CALLS)
@pytest.mark.parametrize("choice", ["auto", "any", "f"])
@pytest.mark.parametrize(
    "before", ["", THOUGHT + BACK, PREAMBLE + BACK, THOUGHT + BACK + PREAMBLE + BACK + THOUGHT + BACK]
)
def test_every_written_form_of_a_call_is_accepted(header, choice, before):
    assert accepts(f'{before}{header}<|message|>{{"a":1}}<|call|>', tool_choice=choice)
    assert not accepts(f'{before}{header}<|message|>{{"a":"x"}}<|call|>', tool_choice=choice)


@pytest.mark.parametrize(
    "answer",
    [
        "<|channel|>commentary to=functions.h<|message|>{}<|call|>",
        "<|channel|>commentary to=functions.fcode<|message|>{}<|call|>",
        "<|channel|>final to=functions.f<|message|>{}<|call|>",
        "<|channel|>commentary to=functions.f<|message|>{}<|return|>",
        "<|channel|>commentary to=functions.f text<|message|>{}<|call|>",
        " to=functions.f<|message|>{}<|call|>",
        "Rain.",
        write_call() + BACK + write_call(),
    ],
)
@pytest.mark.parametrize("choice", ["auto", "any"])
def test_broken_calls_are_not_accepted(answer, choice):
    assert not accepts(answer, tool_choice=choice)


MORE = write_call("g", "<|end|>") + BACK
SEQUENCES = {
    "two calls": MORE + write_call(),
    "three calls": MORE + MORE + write_call(),
    "reasoning between calls": MORE + THOUGHT + BACK + write_call(),
    "a preamble between calls": THOUGHT + BACK + MORE + PREAMBLE + BACK + write_call("g"),
    "other forms": f" to=functions.f<|channel|>analysis code<|message|>{{}}<|end|>{BACK}{write_call('f')}",
    "an answer after a call": MORE + ANSWER,
}


@pytest.mark.parametrize("choice", ["auto", "any"])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_calls_follow_each_other_where_parallel_calls_are_allowed(sequence, choice):
    assert accepts(SEQUENCES[sequence], tool_choice=choice)
    assert not accepts(SEQUENCES[sequence], tool_choice=choice, parallel_tool_calls=False)


def test_later_calls_follow_their_schema_too():
    assert not accepts(MORE + write_call(arguments='{"a":"x"}'))
    assert not accepts(write_call("g", "<|end|>", '{"a":"x"}') + BACK + write_call())
    again = write_call("f", "<|end|>") + BACK + write_call("f")
    assert accepts(again, tool_choice="f")
    assert not accepts(MORE + write_call(), tool_choice="f")


def test_turn_ends_after_its_last_message_only():
    assert accepts(ANSWER)
    assert not accepts(ANSWER, tool_choice="any")
    assert not accepts(THOUGHT)
    assert not accepts(write_call(end="<|end|>"))
    assert not accepts(ANSWER + BACK + ANSWER)


def test_allowed_tools_limit_the_calls_of_lenient_tools_too():
    assert build_harmony_grammar(PromptOptions(tools=TOOLS, allowed_tools=("f", "g")), CONTROL_IDS) is None
    for choice in ("auto", "any"):
        options = {"tools": TOOLS, "allowed_tools": ("f",), "tool_choice": choice}
        assert accepts(write_call("f", arguments="{}"), **options)
        assert not accepts(write_call("g", arguments="{}"), **options)
        assert accepts(ANSWER, **options) == (choice == "auto")


@pytest.mark.parametrize("content_type", ["", " <|constrain|>json", "<|constrain|>json", " json"])
def test_every_written_form_of_a_json_answer_is_accepted(content_type):
    options = {"tools": (), "response_format": ResponseFormat(name="x", schema={"type": "array"})}
    assert accepts(f"{THOUGHT}{BACK}<|channel|>final{content_type}<|message|>[]<|return|>", **options)
    assert not accepts(f"{PREAMBLE}{BACK}<|channel|>final{content_type}<|message|>[]<|return|>", **options)
    assert not accepts(f"<|channel|>final{content_type}<|message|>{{}}<|return|>", **options)


def test_tagged_answer_is_text_or_calls():
    grammar = build_tagged_grammar(PromptOptions(tools=TOOLS))
    call = '<tool_call>{"name": "g", "arguments": {}}</tool_call>'
    assert is_accepted(grammar, "Hello.")
    assert is_accepted(grammar, call + call)
    assert is_accepted(grammar, "I look it up.\n" + call)
    assert not is_accepted(grammar, '<tool_call>{"name": "h"')
    assert not is_accepted(grammar, 'I look it up. <tool_call>{"name": "h"')
    assert not is_accepted(grammar, call + "Hello.")
    single = build_tagged_grammar(PromptOptions(tools=TOOLS, parallel_tool_calls=False))
    assert is_accepted(single, "I look it up. " + call)
    assert not is_accepted(single, call + call)
    assert not is_accepted(single, "I look it up. " + call + call)


def test_tagged_answer_with_a_schema_is_json_or_a_call():
    response_format = ResponseFormat(name="x", schema={"type": "array"})
    grammar = build_tagged_grammar(PromptOptions(tools=TOOLS, response_format=response_format))
    assert is_accepted(grammar, "[]")
    assert is_accepted(grammar, '<tool_call>{"name": "f", "arguments": {}}</tool_call>')
    assert not is_accepted(grammar, "Hello.")


def test_required_call_of_several_tools_is_one_schema():
    grammar = build_tagged_grammar(PromptOptions(tools=TOOLS, tool_choice="any"))
    assert is_accepted(grammar, '{"name": "g", "arguments": {}}')
    assert len(grammar.json_schema["anyOf"]) == 2


def test_required_call_is_one_object_without_tags():
    call = '{"name": "g", "arguments": {}}'
    for choice in ("any", "g"):
        grammar = build_tagged_grammar(PromptOptions(tools=TOOLS, tool_choice=choice))
        assert is_accepted(grammar, call)
        assert not is_accepted(grammar, call + call)
        assert not is_accepted(grammar, f"<tool_call>{call}</tool_call>")
        assert not is_accepted(grammar, "Hello.")
