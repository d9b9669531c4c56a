"""Experts in MXFP4, kept packed as the checkpoint has them: a reference in torch, a CPU kernel, a CUDA kernel."""
