"""Conversion of dense Llama and Qwen2 checkpoints, from safetensors or GGUF, into gpt_oss checkpoints."""
