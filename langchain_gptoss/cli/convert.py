"""`gptoss convert`: a dense Llama or Qwen2 checkpoint becomes a gpt_oss checkpoint."""

from pathlib import Path
from typing import Annotated, cast

import typer

from langchain_gptoss.cli.console import clean_exit, show

Source = Annotated[
    str,
    typer.Argument(help="A folder with config.json and *.safetensors, a GGUF file, a hub id, or a hub id/file.gguf."),
]
Out = Annotated[Path, typer.Option("--out", help="The folder of the new checkpoint; it must not exist.")]
Experts = Annotated[
    str,
    typer.Option(
        "--experts", help="mxfp4 (4.25 bits per weight), int4 (5), int8 (8.5), bf16, or float32 (exact, large)."
    ),
]


def convert(source: Source, *, out: Out, experts: Experts = "mxfp4") -> None:
    """Convert a dense Llama or Qwen2 model into a checkpoint that this package runs.

    A stopped conversion goes on where it was.
    """
    with clean_exit():
        from langchain_gptoss.models.conversion.convert import ExpertFormat, convert_checkpoint

        folder = convert_checkpoint(source, out, experts=cast("ExpertFormat", experts))
        size_bytes = sum(file.stat().st_size for file in folder.iterdir())
        show(f"{folder}: {size_bytes / 1e9:.2f} GB")
        show(f"Memory and speed: gptoss doctor --model {folder}")
        show(f"Try it: gptoss chat --model {folder} --docs FOLDER")
