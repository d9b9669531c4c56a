"""The native runner: the runner contract, all formats, shapes and kinds of layers, against transformers in float32."""

import copy
import functools
import itertools
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GptOssConfig, GptOssForCausalLM

from langchain_gptoss.engine.batch import SequenceChunk
from langchain_gptoss.engine.kernels.build import build_kernel
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.engine.kernels.native import LEVELS, Kernel, get_cpu_kernel
from langchain_gptoss.engine.runners.native import NativeRunner
from langchain_gptoss.engine.runners.native_weights import NativeFormats
from langchain_gptoss.engine.token_stream import Cancelled
from langchain_gptoss.errors import CheckpointError, GptOssError, GptOssMemoryError, KernelError
from tests.unit_tests.engine.int8_layout import separate_rows
from tests.unit_tests.engine.runners.runner_contract import (
    BLOCKS,
    LONG,
    LONG_TABLE,
    SHORT,
    SHORT_TABLE,
    RunnerContract,
    chunk,
    forward,
)

YARN = {
    "rope_type": "yarn",
    "rope_theta": 150_000.0,
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 64,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FORMATS = {
    "int8": NativeFormats(dense="int8", experts="int8"),
    "bfloat16": NativeFormats(dense="bfloat16", experts="bfloat16"),
}
TOLERANCE = 0.02  # of logits up to 4; the cache has 11 significant bits, and 8-bit activations would cause 0.4


def create_runner(folder: Path, formats: NativeFormats | None = None, **options: Any) -> NativeRunner:
    runner = NativeRunner(folder, formats=formats, **options)
    runner.allocate_cache(BLOCKS)
    return runner


def round_weights(model: Any, kind: str, *, only_dense: bool = False) -> Any:
    """Returns a copy of a model with its matrices rounded as the native runner rounds them."""
    rounded = copy.deepcopy(model)
    if model.config.tie_word_embeddings:  # the embedding itself is not rounded
        rounded.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        for name, weight in rounded.named_parameters():
            is_dense = name.endswith(("proj.weight", "lm_head.weight"))
            if is_dense or (name.endswith(("gate_up_proj", "down_proj")) and not only_dense):
                matrix = weight if is_dense else weight.transpose(1, 2)
                matrix.copy_(round_matrix(matrix, kind))
    return rounded


def round_matrix(matrix: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "bfloat16":
        return matrix.bfloat16().float()
    padded = torch.nn.functional.pad(matrix, (0, -matrix.shape[-1] % BLOCK))
    rows = padded.flatten(0, -2).contiguous()
    weights, scales = separate_rows(*get_cpu_kernel().quantize_int8(rows), len(rows))
    rounded = weights.unflatten(-1, (-1, BLOCK)) * scales.float().unsqueeze(-1)
    return rounded.reshape(padded.shape)[..., : matrix.shape[-1]]


@pytest.fixture(scope="module", params=FORMATS)
def unpacked(tiny_checkpoint, transformers_model, request) -> Any:
    with closing(create_runner(tiny_checkpoint, FORMATS[request.param])) as runner:
        yield runner, round_weights(transformers_model, request.param)


@pytest.fixture(scope="module")
def packed(packed_checkpoint, dequantized_model) -> Any:
    with closing(create_runner(packed_checkpoint, NativeFormats(expert_bits=16))) as runner:
        yield runner, round_weights(dequantized_model, "int8", only_dense=True)


class TestUnpackedCheckpoint(RunnerContract):
    tolerance = TOLERANCE

    @pytest.fixture
    def runner(self, unpacked) -> Any:
        return unpacked[0]

    @pytest.fixture
    def reference(self, unpacked) -> Any:
        return unpacked[1]


class TestPackedCheckpoint(RunnerContract):
    tolerance = TOLERANCE

    @pytest.fixture
    def runner(self, packed) -> Any:
        return packed[0]

    @pytest.fixture
    def reference(self, packed) -> Any:
        return packed[1]


# Heads and sizes that are no multiples of 16 and 32, groups of 1 to 5 query heads, other rotations, and more experts than tokens.
ODD_SHAPES = {
    "odd": {"hidden_size": 72, "intermediate_size": 40, "num_attention_heads": 3, "num_key_value_heads": 3}
    | {"head_dim": 12, "num_local_experts": 3, "num_experts_per_tok": 3},
    "groups": {"num_attention_heads": 5, "num_key_value_heads": 1, "head_dim": 32, "num_local_experts": 40}
    | {"num_experts_per_tok": 1, "layer_types": ["full_attention", "sliding_attention"], "sliding_window": 5},
    "yarn": {"max_position_embeddings": 2048, "tie_word_embeddings": True, "sliding_window": 100}
    | {"rope_parameters": YARN, "num_attention_heads": 6, "num_key_value_heads": 3},
    "llama3": {"rope_parameters": LLAMA3, "head_dim": 32},
    "no biases": {"attention_bias": False, "num_hidden_layers": 3, "layer_types": None, "vocab_size": 213},
}


@pytest.fixture(scope="module")
def create_checkpoint(tiny_checkpoint, tmp_path_factory) -> Any:
    """Saves a model with other sizes than the tiny one's; returns its folder and the model."""

    @functools.cache
    def create(name: str) -> tuple[Path, Any]:
        config = GptOssConfig.from_pretrained(tiny_checkpoint)
        options = config.to_dict() | ODD_SHAPES[name]
        torch.manual_seed(3)
        model = GptOssForCausalLM(GptOssConfig(**options)).eval()
        with torch.no_grad():
            for parameter_name, weight in model.named_parameters():
                if "bias" in parameter_name or "sinks" in parameter_name:
                    weight.normal_(0, 0.2)
        folder = tmp_path_factory.mktemp("odd") / "model"
        model.save_pretrained(folder, max_shard_size="100KB")
        return folder, model

    return create


def check_near(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Checks all tokens but a few: where two experts are nearly equal, rounding chooses, and later tokens see it."""
    is_near = torch.isclose(actual, expected, atol=TOLERANCE, rtol=TOLERANCE).all(dim=1)
    assert is_near.float().mean() > 0.9


# Padded heads move columns of the output matrix to other blocks of int8, so the reference of "odd" is rounded otherwise.
@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in ODD_SHAPES for k in FORMATS if (n, k) != ("odd", "int8")])
def test_logits_of_other_shapes_equal_those_of_transformers(create_checkpoint, name, kind):
    folder, model = create_checkpoint(name)
    ids = draw_tokens(150)
    with torch.inference_mode():
        expected = round_weights(model, kind)(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    with closing(create_runner(folder, FORMATS[kind])) as runner:
        table = tuple(range(10))
        actual = torch.cat(
            [forward(runner, chunk(ids, table, start, end)) for start, end in ((0, 90), (90, 91), (91, 150))]
        )
    check_near(actual, expected)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    threads = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(threads)


def draw_tokens(count: int) -> tuple[int, ...]:
    return tuple(torch.randint(3, 200, (count,), generator=torch.Generator().manual_seed(count)).tolist())


def test_a_prompt_of_a_thousand_tokens_has_the_logits_of_transformers_and_of_its_chunks(create_checkpoint):
    folder, model = create_checkpoint("yarn")
    ids, table = draw_tokens(1000), tuple(range(62, -1, -1))
    with torch.inference_mode():
        expected = round_weights(model, "int8")(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    with closing(NativeRunner(folder, formats=FORMATS["int8"])) as runner:
        runner.allocate_cache(len(table))
        whole = forward(runner, chunk(ids, table))
        parts = [forward(runner, chunk(ids, table, start, start + 257)) for start in range(0, 1000, 257)]
    check_near(whole, expected)
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("name", ODD_SHAPES)
def test_the_bits_of_a_long_sequence_depend_neither_on_the_level_nor_on_shares_of_its_keys(
    create_checkpoint, set_threads, name
):
    folder, _ = create_checkpoint(name)
    ids, table = draw_tokens(620), tuple(range(39))
    bounds = (0, 500, 501, 503, 506, 510, 515, 521, 528, 536, 545, *range(546, 620), 620)
    results = []
    for level, threads in (
        ("portable", 1),
        (LEVELS[-1], 1),
        (LEVELS[-1], 3),
    ):  # three threads share the keys of few tokens
        set_threads(threads)
        with closing(NativeRunner(folder, kernel=Kernel(build_kernel(), max_level=level))) as runner:
            runner.allocate_cache(len(table))
            parts = [chunk(ids, table, start, end) for start, end in itertools.pairwise(bounds)]
            results.append(torch.cat([forward(runner, part) for part in parts]))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_gives_the_same_bits(tiny_checkpoint, packed_checkpoint, level, bits):
    kernel = Kernel(build_kernel(), max_level=level)
    if kernel.level != level:
        pytest.skip(f"this processor has no {level}")
    portable = Kernel(build_kernel(), max_level="portable")
    formats = NativeFormats(expert_bits=bits)
    for folder in (tiny_checkpoint, packed_checkpoint):
        results = []
        for each in (portable, kernel):
            with closing(create_runner(folder, formats, kernel=each)) as runner:
                results.append(forward(runner, chunk(LONG, LONG_TABLE), chunk(SHORT, SHORT_TABLE)))
        assert torch.equal(*results)


def test_eight_bits_stay_near_sixteen(packed_checkpoint):
    logits = []
    for bits in (8, 16):
        with closing(create_runner(packed_checkpoint, NativeFormats(expert_bits=bits))) as runner:
            logits.append(forward(runner, chunk(LONG, LONG_TABLE)))
    error = (logits[0] - logits[1]).norm(dim=1) / logits[1].norm(dim=1)
    assert 0 < error.median() < 0.1


def count_workers() -> int:
    return [file.read_text() for file in Path("/proc/self/task").glob("*/comm")].count("gptoss-worker\n")


def wait_for_workers(count: int) -> None:
    deadline = time.monotonic() + 30
    while count_workers() != count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert count_workers() == count


@pytest.mark.parametrize("precise", [True, False])
def test_threads_do_not_change_the_bits(packed_checkpoint, precise, set_threads):
    results = []
    for threads in (1, 3):
        set_threads(threads)
        with closing(create_runner(packed_checkpoint, NativeFormats(expert_bits=16 if precise else 8))) as runner:
            results.append(forward(runner, chunk(LONG, LONG_TABLE)))
    assert torch.equal(*results)


def test_more_threads_than_processors_compute_the_same_bits_in_every_pass(packed_checkpoint, set_threads):
    with closing(create_runner(packed_checkpoint)) as runner:
        expected = forward(runner, chunk(LONG, LONG_TABLE))
        for threads in [16] * 40 + [2, 5, 1, 3]:
            set_threads(threads)
            assert torch.equal(forward(runner, chunk(LONG, LONG_TABLE)), expected)


def test_runners_compute_at_the_same_time(packed_checkpoint, set_threads):
    def compute_all() -> list[torch.Tensor]:
        set_threads(2)  # each Python thread has its own number
        with closing(create_runner(packed_checkpoint)) as runner:
            return [forward(runner, chunk(LONG, LONG_TABLE)) for _ in range(10)]

    with ThreadPoolExecutor(3) as pool:
        results = [result for future in [pool.submit(compute_all) for _ in range(3)] for result in future.result()]
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the names of the process's threads in /proc")
def test_closing_a_runner_ends_its_workers(packed_checkpoint, set_threads):
    set_threads(4)
    with closing(create_runner(packed_checkpoint)) as runner:
        before = count_workers()
        forward(runner, chunk(LONG, LONG_TABLE))
        wait_for_workers(before + 3)  # a thread names itself when it begins
    wait_for_workers(before)  # the system lists an ended thread a little longer


def test_not_a_number_stays_in_its_own_sequence(tiny_checkpoint, tmp_path):
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "nan"))
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][7] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    long = tuple(8 if token == 7 else token for token in LONG)
    with closing(create_runner(folder)) as runner:
        expected = forward(runner, chunk(long, LONG_TABLE))
        both = forward(runner, chunk((3, 7, 4), SHORT_TABLE), chunk(long, LONG_TABLE))
        assert both[0].isfinite().all()
        assert both[1].isnan().all()
        assert both[2].isnan().all()
        assert torch.equal(both[3:], expected)
        # A block that held such keys and values is used again.
        assert torch.equal(forward(runner, chunk(long, (11, 3, 5, 6))), expected)


@pytest.mark.parametrize(
    ("ids", "table", "start"),
    [((200,), (1,), 0), ((-1,), (1,), 0), ((5,), (BLOCKS,), 0), ((5,), (-1,), 0), ((5,), (1,), 16), ((5,), (1,), -1)],
)
def test_a_batch_outside_the_model_or_the_cache_is_refused(unpacked, ids, table, start):
    with pytest.raises(KernelError, match="do not exist"):
        forward(unpacked[0], SequenceChunk(token_ids=ids, start=start, block_table=table, logit_count=1))


def test_abort_ends_the_pass_before_its_next_layer(packed_checkpoint):
    with closing(create_runner(packed_checkpoint)) as runner:
        expected = forward(runner, chunk(LONG, LONG_TABLE))
        is_over, cancelled = threading.Event(), 0
        thread = threading.Thread(target=lambda: [runner.abort() for _ in iter(is_over.is_set, True)])
        thread.start()
        try:
            for _ in range(1000):
                try:
                    forward(runner, chunk(LONG, LONG_TABLE))
                except Cancelled:
                    cancelled += 1
                    break
        finally:
            is_over.set()
            thread.join()
        assert cancelled
        assert torch.equal(forward(runner, chunk(LONG, LONG_TABLE)), expected)


def test_a_closed_runner_and_a_missing_cache_are_clear_errors(tiny_checkpoint):
    runner = NativeRunner(tiny_checkpoint)
    with pytest.raises(GptOssError, match="no KV cache"):
        forward(runner, chunk(SHORT, SHORT_TABLE))
    with pytest.raises(GptOssMemoryError, match="cannot be reserved"):
        runner.allocate_cache(2**55)
    runner.close()
    runner.close()
    with pytest.raises(GptOssError, match="was closed"):
        forward(runner, chunk(SHORT, SHORT_TABLE))


@pytest.mark.parametrize(("name", "message"), [("model.norm.weight", "lacks"), ("model.extra", "has 1 weights")])
def test_missing_and_superfluous_weights_are_named(tiny_checkpoint, tmp_path, name, message):
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "changed"))
    weights = load_file(folder / "model.safetensors")
    if weights.pop(name, None) is None:
        weights[name] = torch.zeros(3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=message) as raised:
        NativeRunner(folder)
    assert name in str(raised.value)


def test_the_runner_works_without_transformers(packed_checkpoint):
    code = (
        "import sys; from pathlib import Path; from langchain_gptoss.engine.runners.native import NativeRunner; "
        f"NativeRunner(Path({str(packed_checkpoint)!r})).close(); assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
