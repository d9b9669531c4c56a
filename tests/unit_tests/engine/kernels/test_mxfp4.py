"""The MXFP4 reference in torch against transformers' own code."""

import pytest
import torch
from transformers import GptOssConfig
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

from langchain_gptoss.engine.kernels.mxfp4 import apply_experts_reference, dequantize_mxfp4, quantize_mxfp4


def test_every_byte_is_dequantized_as_by_transformers():
    blocks = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    for scale in (*range(1, 255, 23), 126, 127, 128, 254):
        scales = torch.full((1, 1, 16), scale, dtype=torch.uint8)
        expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.bfloat16).transpose(1, 2)
        assert torch.equal(dequantize_mxfp4(blocks, scales, torch.bfloat16), expected.reshape(1, 1, -1))


def test_smallest_and_largest_scale_and_nan():
    blocks = torch.full((3, 16), 0x21, dtype=torch.uint8)  # 0.5 and 1.0
    values = dequantize_mxfp4(blocks, torch.tensor([0, 254, 255], dtype=torch.uint8))
    assert values[:32].tolist() == [2.0**-128, 2.0**-127] * 16
    assert values[32:64].tolist() == [2.0**126, 2.0**127] * 16
    assert values[64:].isnan().all()


def test_quantizing_keeps_numbers_that_mxfp4_can_represent(create_experts):
    experts = create_experts(2, 96, 32)
    values = dequantize_mxfp4(experts.gate_up_blocks, experts.gate_up_scales)
    assert torch.equal(dequantize_mxfp4(*quantize_mxfp4(values)), values)


def test_quantizing_rounds_to_nearest_and_ties_to_even():
    block = torch.tensor([0.2, 0.3, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 5.1, -0.75, -4.9, 6.0] + [0.0] * 20)
    expected = [0.0, 0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 6.0, -1.0, -4.0, 6.0] + [0.0] * 20
    assert dequantize_mxfp4(*quantize_mxfp4(block)).tolist() == expected
    assert dequantize_mxfp4(*quantize_mxfp4(torch.zeros(64))).tolist() == [0.0] * 64


@pytest.mark.parametrize(("count", "hidden", "middle", "tokens", "active"), [(4, 64, 32, 7, 2), (8, 96, 160, 33, 4)])
def test_reference_equals_transformers_experts(create_experts, create_input, count, hidden, middle, tokens, active):
    experts = create_experts(count, hidden, middle)
    config = GptOssConfig(hidden_size=hidden, intermediate_size=middle, num_local_experts=count)
    config._experts_implementation = "eager"
    module = GptOssExperts(config)
    with torch.no_grad():
        module.gate_up_proj.copy_(dequantize_mxfp4(experts.gate_up_blocks, experts.gate_up_scales).transpose(1, 2))
        module.down_proj.copy_(dequantize_mxfp4(experts.down_blocks, experts.down_scales).transpose(1, 2))
        module.gate_up_proj_bias.copy_(experts.gate_up_bias)
        module.down_proj_bias.copy_(experts.down_bias)
        inputs = create_input(tokens, hidden, count, active)
        torch.testing.assert_close(apply_experts_reference(*inputs, experts), module(*inputs), atol=1e-4, rtol=1e-4)
