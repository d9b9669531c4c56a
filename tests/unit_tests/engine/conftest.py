"""A gpt_oss checkpoint so small that tests can load it: random weights, one sliding and one full layer."""

from pathlib import Path

import pytest
import torch
from transformers import GptOssConfig, GptOssForCausalLM


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "tiny-gpt-oss"
    config = GptOssConfig(
        num_hidden_layers=2,
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        vocab_size=200,
        hidden_size=64,
        intermediate_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=512,
        initial_range=0.2,
        initializer_range=0.2,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = GptOssForCausalLM(config)
    with torch.no_grad():  # the initialisation leaves biases and sinks at 0, which would hide a mistake in them
        for name, weight in model.named_parameters():
            if "bias" in name or "sinks" in name:
                weight.normal_(0, 0.2)
    model.save_pretrained(folder)
    return folder
