"""CPU and GPU kernels for packed MXFP4 experts and int8 matrices, with a reference in torch."""
