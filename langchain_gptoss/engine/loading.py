"""A checkpoint folder becomes a model in memory: the device and the number type are chosen here, and said why."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from langchain_gptoss.errors import CheckpointError, GptOssMemoryError, InvalidInputError
from langchain_gptoss.models.checkpoint import read_config, weight_files

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_WIDTHS = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1, "I8": 1, "F64": 8, "I64": 8, "I32": 4, "BOOL": 1}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a model runs, in which number type, and why.

    Attributes:
        device: `"cuda"` or `"cpu"`.
        dtype: Of the weights in memory.
        why: The reason, for people.
    """

    device: str
    dtype: torch.dtype
    why: str


def place(folder: Path, *, device: str | None = None, dtype: str | None = None) -> Placement:
    """Chooses device and number type; what is given overrides.

    Raises:
        InvalidInputError: An unknown device or type, or CUDA where there is none.
        GptOssMemoryError: The weights do not fit into the memory that is free.
    """
    chosen = choose_device(device)
    if dtype is not None and dtype not in _DTYPES:
        raise InvalidInputError(f"dtype is {dtype!r}; it must be one of {', '.join(_DTYPES)}, or None to choose.")
    placement = _with_dtype(folder, chosen, dtype)
    _check_memory(folder, placement)
    return placement


def choose_device(device: str | None) -> str:
    """Returns the device that was asked for, or a CUDA GPU if there is one, or the CPU.

    Raises:
        InvalidInputError: An unknown device, or CUDA where there is none.
    """
    if device not in {None, "cpu", "cuda"}:
        raise InvalidInputError(f"device is {device!r}; it must be 'cuda', 'cpu', or None to choose.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("device is 'cuda', and torch finds no CUDA GPU here. Use device='cpu'.")
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _with_dtype(folder: Path, device: str, dtype: str | None) -> Placement:
    if dtype is not None:
        return Placement(device=device, dtype=_DTYPES[dtype], why=f"{device}, {dtype} as asked")
    if device == "cuda":
        return Placement(device=device, dtype=torch.bfloat16, why="a CUDA GPU, in the checkpoint's own bfloat16")
    if weights_size(folder, torch.float32) <= _free_memory("cpu") * 0.9:
        # bf16 arithmetic is many times slower than fp32 on CPUs without instructions for it.
        return Placement(device=device, dtype=torch.float32, why="no CUDA GPU; float32 is fastest on most CPUs")
    return Placement(device=device, dtype=torch.bfloat16, why="no CUDA GPU; float32 would not fit, bfloat16 is slow")


def weights_size(folder: Path, dtype: torch.dtype) -> int:
    """Returns how many bytes the weights take when unpacked to `dtype`, read from the file headers alone.

    Raises:
        CheckpointError: A weight file is missing, truncated, or not safetensors.
    """
    numbers = 0
    for file in weight_files(folder):
        for name, tensor in _header(file).items():
            stored = tensor["data_offsets"][1] - tensor["data_offsets"][0]
            if name.endswith("_blocks"):
                numbers += stored * 2  # MXFP4: two numbers in a byte
            elif not name.endswith("_scales"):
                numbers += stored // _WIDTHS.get(tensor["dtype"], 2)
    return numbers * dtype.itemsize


def _header(file: Path) -> dict[str, Any]:
    """Returns the tensors that a safetensors file declares, and checks that the file is as long as they need."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > 100_000_000:  # the format's own limit
                raise ValueError("its header is too long")
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        end = 8 + length + max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise CheckpointError(
            f"{str(file)!r} is not a readable safetensors file: {error}. Copy or fetch the checkpoint again."
        ) from error
    if file.stat().st_size != end:
        raise CheckpointError(
            f"{str(file)!r} has {file.stat().st_size} bytes and its header declares {end}: it was cut off or altered. "
            "Copy or fetch the checkpoint again."
        )
    return header


def _check_memory(folder: Path, placement: Placement) -> None:
    needed = weights_size(folder, placement.dtype)
    free = _free_memory(placement.device)
    if needed > free:
        raise GptOssMemoryError(
            f"{folder.name!r} needs {needed / 1e9:.1f} GB of {placement.device} memory for its weights in "
            f"{str(placement.dtype).removeprefix('torch.')} and {free / 1e9:.1f} GB are free. "
            "Close other programs, use a machine with more memory, or use model='demo'."
        )


def _free_memory(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 2**62  # not Linux: cannot tell, so do not stand in the way
    available = next(line for line in lines if line.startswith("MemAvailable"))
    return int(available.split()[1]) * 1024


def load_model(folder: Path, placement: Placement) -> Any:
    """Loads a gpt_oss checkpoint with transformers: safetensors only, no code from the checkpoint, no network.

    Returns:
        A `transformers.GptOssForCausalLM` in evaluation mode.

    Raises:
        CheckpointError: Weights are missing or of another shape than the config says.
        GptOssMemoryError: Memory ran out while loading.
    """
    from transformers import GptOssForCausalLM

    try:
        # Typed as Any: transformers declares the model alone, and returns a pair when asked for the loading report.
        loaded: Any = GptOssForCausalLM.from_pretrained(
            folder,
            dtype=placement.dtype,
            device_map=placement.device if placement.device == "cuda" else None,
            experts_implementation="grouped_mm",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            raise GptOssMemoryError(f"Memory ran out while loading {folder.name!r}. Close other programs.") from error
        raise CheckpointError(f"{str(folder)!r} cannot be loaded: {error}") from error
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise CheckpointError(
            f"{str(folder)!r} lacks {len(missing)} weights that its config asks for, such as {missing[0]!r}. "
            "Copy or fetch the checkpoint again."
        )
    return model.eval()


def context_length(folder: Path) -> int:
    """Returns the positions that a checkpoint's config allows, in tokens."""
    return int(read_config(folder).get("max_position_embeddings", 131_072))
