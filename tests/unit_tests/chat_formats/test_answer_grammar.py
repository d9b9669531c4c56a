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
SCHEMAS = {
    "reference": ({"$ref": "#/$defs/N", "$defs": {"N": NODE}}, '{"v":1,"next":{"v":2}}'),
    "root": ({"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}, '{"kids":[{}]}'),
    "any": ({"anyOf": UNION}, '{"b":1}'),
    "all": ({"allOf": UNION}, '{"a":1,"b":1}'),
    "names": ({"type": "object", "properties": {"definitions": {"type": "integer"}}}, '{"definitions":1}'),
}
TOOLS = (Tool(name="f"), Tool(name="g"))


def is_accepted(grammar: AnswerGrammar, answer: str) -> bool:
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(grammar.lark))
    assert not matcher.get_error()
    return matcher.consume_tokens(BACKEND.encode(answer).ids)


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("form", ["answer", "call", "tagged answer", "tagged call", "tagged strict call"])
def test_schemas_of_every_kind_are_enforced(schema, form):
    json_schema, value = SCHEMAS[schema]
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

    assert is_accepted(build_grammar(options), write(value))
    assert not is_accepted(build_grammar(options), write('{"other":1}'))


def test_free_answers_need_no_grammar():
    for options in (PromptOptions(), PromptOptions(tools=TOOLS, tool_choice="none")):
        assert build_harmony_grammar(options, CONTROL_IDS) is None
        assert build_tagged_grammar(options) is None


def test_tagged_answer_is_text_or_calls():
    grammar = build_tagged_grammar(PromptOptions(tools=TOOLS))
    call = '<tool_call>{"name": "g", "arguments": {}}</tool_call>'
    assert is_accepted(grammar, "Hello.")
    assert is_accepted(grammar, call + call)
    assert not is_accepted(grammar, '<tool_call>{"name": "h"')
    single = build_tagged_grammar(PromptOptions(tools=TOOLS, parallel_tool_calls=False))
    assert is_accepted(single, call)
    assert not is_accepted(single, call + call)


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
