"""int8 matrices with and without the kernel."""

import torch

from langchain_gptoss.engine.kernels import dense


def test_int8_matrices_are_the_same_without_the_kernel(kernel, monkeypatch):
    matrix = torch.randn(70, 96, generator=torch.Generator().manual_seed(4))
    monkeypatch.setattr(dense, "get_cpu_kernel", lambda: None)
    values, scales = dense.quantize_int8(matrix)
    assert torch.equal(scales, kernel.quantize_int8(matrix)[1])
    assert (values.int() - kernel.quantize_int8(matrix)[0].int()).abs().max() <= 1
    assert torch.equal(dense.dequantize_int8(values, scales), kernel.dequantize_int8(values, scales))
