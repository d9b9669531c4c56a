"""Write the demo model as a GGUF file with other types of weights, for llama.cpp and ik_llama.cpp.

    python benchmarks/make_demo_gguf.py --out /data/demo-q8.gguf [--type Q8_0]

The demo model comes from a GGUF file in Q4_1, and its checkpoint holds the weights in bfloat16, some of them scaled.
They are rounded in the same way here before they get the requested type, so both files contain the same model.
"""

import argparse
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from langchain_gptoss.models.checkpoint_config import read_config
from langchain_gptoss.models.demo import fetch_demo_gguf, fetch_demo_model

TYPES = {"Q8_0": Type.Q8_0, "F32": Type.F32, "F16": Type.F16}


def main() -> None:
    """Read the options and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="a file that does not exist yet")
    parser.add_argument("--type", choices=TYPES, default="Q8_0", help="type of the matrices")
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} exists already; name another file.")
    write_demo_gguf(options.out, TYPES[options.type])


def write_demo_gguf(file: Path, matrix_type: Type) -> None:
    """Write the demo model with all matrices in one type; the file gets its name when it is complete."""
    reader = gguf.GGUFReader(fetch_demo_gguf())
    partial = file.with_name(f"{file.name}.partial")
    writer = gguf.GGUFWriter(partial, reader.fields["general.architecture"].contents())
    _copy_metadata(reader, writer)
    config = read_config(fetch_demo_model())
    alpha, experts = float(config["swiglu_alpha"]), int(config["num_local_experts"])
    # The scales of the checkpoint; see langchain_gptoss.models.conversion.mapping.
    scales = {"ffn_gate": 1 / alpha, "ffn_down": alpha * experts}
    for tensor in reader.tensors:
        scale = next((scale for name, scale in scales.items() if name in tensor.name), 1.0)
        values = _round_to_bfloat16(gguf.dequantize(tensor.data, tensor.tensor_type), np.float32(scale))
        kind = matrix_type if values.ndim > 1 else Type.F32
        data = values.astype(np.float32) if kind == Type.F32 else gguf.quantize(values, kind)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(file)
    print(f"{file}: {file.stat().st_size / 1e9:.2f} GB")


def _round_to_bfloat16(values: np.ndarray, scale: np.float32) -> np.ndarray:
    """Round scaled float32 values to the nearest bfloat16, and remove the scale again."""
    bits = (values * scale).astype(np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32) / scale


def _copy_metadata(reader: Any, writer: gguf.GGUFWriter) -> None:
    skipped = {"general.architecture", "general.file_type", "general.quantization_version"}
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in skipped:
            kind, *element_kinds = field.types
            element_kind = element_kinds[-1] if element_kinds else None
            writer.add_key_value(name, field.contents(), kind, sub_type=element_kind)


if __name__ == "__main__":
    main()
