"""Short chat templates with tools, of the shapes that families of models have."""


def _keep_line_breaks(template: str) -> str:
    """Return a template whose line breaks after blocks are written, although transformers trims them."""
    return template.replace("%}\n", "%}{{ '\n' }}")


QWEN = _keep_line_breaks(
    "{% if tools %}<|im_start|>system\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% else %}You help.{% endif %}"
    "\n\n# Tools\n<tools>{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}\n</tools>\nCall as "
    '<tool_call>\n{"name": ..., "arguments": ...}\n</tool_call><|im_end|>\n'
    "{% elif messages[0].role == 'system' %}<|im_start|>system\n{{ messages[0].content }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% elif message.role == 'assistant' %}<|im_start|>assistant"
    "{% if message.content %}\n{{ message.content }}{% endif %}"
    "{% for call in message.tool_calls %}\n<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}'
    "<|im_end|>\n"
    "{% elif message.role == 'tool' %}"
    "{% if loop.first or messages[loop.index0 - 1].role != 'tool' %}<|im_start|>user{% endif %}"
    "\n<tool_response>\n{{ message.content }}\n</tool_response>"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}<|im_end|>\n{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

LLAMA = _keep_line_breaks(
    "{% for message in messages %}"
    "{% if message.role == 'user' and loop.first and tools %}<|im_start|>user\nAnswer with JSON "
    '{"name": ..., "parameters": ...}.\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}'
    "{{ message.content }}<|im_end|>"
    "{% elif 'tool_calls' in message %}"
    "{% if message.tool_calls | length != 1 %}{{ raise_exception('One call at a time, please') }}{% endif %}"
    '<|im_start|>assistant\n{"name": "{{ message.tool_calls[0].function.name }}", '
    '"parameters": {{ message.tool_calls[0].function.arguments | tojson }}}<|im_end|>'
    "{% elif message.role == 'tool' %}<|im_start|>ipython\n{{ message.content | tojson }}<|im_end|>"
    "{% else %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

MISTRAL = _keep_line_breaks(
    "{% for message in messages %}"
    "{% if message.role == 'user' %}"
    "{% if tools and loop.first %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "[INST] {{ message.content }}[/INST]"
    "{% elif message.role == 'assistant' and message.tool_calls is defined %}[TOOL_CALLS] ["
    "{% for call in message.tool_calls %}"
    "{% if call.id | length != 9 %}{{ raise_exception('Ids have nine characters') }}{% endif %}"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}, "id": "{{ call.id }}"}'
    "{% if not loop.last %}, {% endif %}{% endfor %}]<|im_end|>"
    "{% elif message.role == 'assistant' %} {{ message.content }}<|im_end|>"
    "{% elif message.role == 'tool' %}"
    '[TOOL_RESULTS] {"content": {{ message.content | tojson }}, "call_id": "{{ message.tool_call_id }}"}[/TOOL_RESULTS]'
    "{% endif %}{% endfor %}"
)

HERMES = _keep_line_breaks(
    "<|im_start|>system\nTools: {% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}<|im_end|>\n"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.tool_calls is defined %}{% for call in message.tool_calls %}<tool_call>\n"
    '{"arguments": {{ call.function.arguments | tojson }}, "name": "{{ call.function.name }}"}\n</tool_call>'
    "{% if not loop.last %}\n{% endif %}{% endfor %}"
    "{% elif message.role == 'tool' %}<tool_response>\n{{ message.content }}\n</tool_response>"
    "{% else %}{{ message.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
