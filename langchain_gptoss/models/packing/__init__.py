"""Packing of gpt_oss checkpoints: unpacked experts become MXFP4, and LoRA adapters are merged."""
