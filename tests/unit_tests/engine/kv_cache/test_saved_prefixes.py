"""Saved prefixes give the same keys and values in the next process, or nothing."""

import logging
import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from langchain_gptoss.engine.batch import BLOCK_TOKENS, Batch, CacheLayout, SequenceChunk
from langchain_gptoss.engine.kv_cache import prefix_file
from langchain_gptoss.engine.kv_cache.cache import PagedCache
from langchain_gptoss.engine.kv_cache.prefix_file import compute_file_size
from langchain_gptoss.engine.kv_cache.saved_prefixes import PrefixStore, compute_model_digest
from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners.torch_runner import TorchRunner
from langchain_gptoss.errors import CheckpointError, InvalidInputError, StorageError
from tests.unit_tests.engine.kv_cache.fakes import LAYOUT, MemoryRunner

RANDOM = np.random.default_rng(0)
MANY_BYTES = 10**9


def build_store(folder: Path, *, max_bytes: int = MANY_BYTES, model: str = "model", arithmetic: str = "memory"):
    return PrefixStore(folder, max_bytes=max_bytes, model_digest=model, arithmetic=arithmetic, layout=LAYOUT)


def build_tokens(text: str) -> list[int]:
    """Return one block of tokens for each letter."""
    return [ord(letter) for letter in text for _ in range(BLOCK_TOKENS)]


def build_blocks(count: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (count, LAYOUT.block_bytes), dtype=np.uint8)


def save(store: PrefixStore, text: str) -> np.ndarray:
    blocks = build_blocks(len(text))
    assert store.save(build_tokens(text), [blocks])
    return blocks


def load(store: PrefixStore, text: str, **options) -> np.ndarray:
    pieces = list(store.load(build_tokens(text), **options))
    return np.concatenate([np.empty((0, LAYOUT.block_bytes), dtype=np.uint8), *pieces])


def list_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.prefix"))


def set_age(path: Path, hours: int) -> None:
    now = path.stat().st_mtime
    os.utime(path, (now - 3600 * hours, now - 3600 * hours))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "prefixes"


def test_a_saved_prefix_is_found_by_another_process(folder):
    blocks = save(build_store(folder), "abc")
    store = build_store(folder)
    assert store.count_tokens(build_tokens("abcd")) == 3 * BLOCK_TOKENS
    np.testing.assert_array_equal(load(store, "abcd"), blocks)
    np.testing.assert_array_equal(load(store, "abx"), blocks[:2])
    np.testing.assert_array_equal(load(store, "abc", first_block=2), blocks[2:])
    assert len(load(store, "xbc")) == len(load(store, "abc", first_block=3)) == len(load(store, "")) == 0


def test_a_store_sees_what_another_one_saves_and_deletes(folder):
    store = build_store(folder)
    assert store.count_tokens(build_tokens("ab")) == 0
    save(build_store(folder), "ab")
    assert store.count_tokens(build_tokens("ab")) == 2 * BLOCK_TOKENS
    list_files(folder)[0].unlink()
    assert store.count_tokens(build_tokens("ab")) == 0


def test_tokens_after_the_last_full_block_are_not_saved(folder):
    store = build_store(folder)
    tokens = build_tokens("ab")[:-1]
    assert store.save(tokens, [build_blocks(1)])
    assert store.count_tokens(build_tokens("ab")) == BLOCK_TOKENS
    assert not store.save(tokens[:3], [])


def test_blocks_are_read_and_written_in_pieces(folder, monkeypatch):
    monkeypatch.setattr(prefix_file, "_MAX_PIECE_BYTES", 2 * LAYOUT.block_bytes + 1)
    store, blocks = build_store(folder), build_blocks(7)
    assert store.save(build_tokens("abcdefg"), [blocks[:3], blocks[3:3], blocks[3:]])
    pieces = list(store.load(build_tokens("abcdefg"), first_block=2))
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(pieces), blocks[2:])


def test_the_longest_common_beginning_of_several_files_is_loaded(folder):
    store = build_store(folder)
    save(store, "abxy")
    longest = save(store, "abcd")
    save(store, "zbcde")
    np.testing.assert_array_equal(load(store, "abcde"), longest)


def test_a_longer_prefix_replaces_its_beginnings(folder):
    store = build_store(folder)
    for text in ("ab", "abcd", "x"):
        save(store, text)
    assert len(list_files(folder)) == 2
    assert store.count_tokens(build_tokens("ab")) == 2 * BLOCK_TOKENS


def test_a_prefix_that_is_saved_is_not_written_again(folder):
    store = build_store(folder)
    blocks = save(store, "abc")
    set_age(list_files(folder)[0], 5)
    before = list_files(folder)[0].stat()

    def refuse():
        raise AssertionError("blocks were read")
        yield

    assert store.save(build_tokens("ab"), refuse())
    assert store.save(build_tokens("abc"), refuse())
    np.testing.assert_array_equal(load(store, "abc"), blocks)
    after = list_files(folder)[0].stat()
    assert after.st_ino == before.st_ino
    assert after.st_mtime_ns > before.st_mtime_ns  # it counts as used


@pytest.mark.parametrize("other", [{"model": "other"}, {"arithmetic": "other"}])
def test_prefixes_of_another_model_or_arithmetic_are_not_found(folder, other):
    save(build_store(folder), "ab")
    store = build_store(folder, **other)
    assert store.count_tokens(build_tokens("ab")) == 0
    save(store, "abc")
    assert len(list_files(folder)) == 2


def test_prefixes_of_another_layout_are_not_found(folder):
    save(build_store(folder), "ab")
    layout = CacheLayout(layers=1, kv_heads=2, head_dim=4)  # blocks of the same size
    assert layout.block_bytes == LAYOUT.block_bytes
    store = PrefixStore(folder, max_bytes=MANY_BYTES, model_digest="model", arithmetic="memory", layout=layout)
    assert store.count_tokens(build_tokens("ab")) == 0


def test_the_least_recently_used_prefixes_of_all_models_are_deleted(folder):
    file_bytes = compute_file_size(2, LAYOUT.block_bytes)
    store = build_store(folder, max_bytes=3 * file_bytes)
    for age, text in ((9, "aa"), (8, "bb")):
        save(store, text)
        new = next(path for path in list_files(folder) if path.stat().st_mtime_ns == max_mtime(folder))
        set_age(new, age)
    other = build_store(folder, max_bytes=3 * file_bytes, model="other")
    save(other, "cc")
    set_age(next(path for path in list_files(folder) if path.stat().st_mtime_ns == max_mtime(folder)), 7)
    assert len(load(store, "aa")) == 2  # now "bb" is the oldest
    save(store, "dd")
    assert [store.count_tokens(build_tokens(text)) > 0 for text in ("aa", "bb", "dd")] == [True, False, True]
    assert other.count_tokens(build_tokens("cc")) > 0
    save(store, "ee")
    assert other.count_tokens(build_tokens("cc")) == 0
    assert sum(path.stat().st_size for path in list_files(folder)) <= 3 * file_bytes


def max_mtime(folder: Path) -> int:
    return max(path.stat().st_mtime_ns for path in list_files(folder))


def test_a_prefix_above_the_limit_is_not_saved_and_nothing_is_deleted(folder, caplog):
    store = build_store(folder, max_bytes=compute_file_size(2, LAYOUT.block_bytes))
    save(store, "ab")
    assert not store.save(build_tokens("xyz"), [build_blocks(3)])
    assert "limit" in caplog.text
    assert store.count_tokens(build_tokens("ab")) == 2 * BLOCK_TOKENS


def test_unrelated_files_are_neither_read_nor_deleted(folder):
    store = build_store(folder, max_bytes=compute_file_size(1, LAYOUT.block_bytes))
    notes = [folder / "notes.prefix", folder / "README", folder / f"{'0' * 16}-{'g' * 32}.prefix"]
    for path in notes:
        path.write_bytes(b"x" * 5000)
    for text in "ab":
        save(store, text)
    assert all(path.read_bytes() == b"x" * 5000 for path in notes)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def check_each_damaged_byte(path: Path, blocks: np.ndarray, positions: list[int]) -> None:
    """Damage one byte after the other; what is loaded must be a beginning of what was saved."""
    good = path.read_bytes()
    for position in positions:
        flip(path, position)
        loaded = load(build_store(path.parent), "abc")
        assert len(loaded) < 3
        np.testing.assert_array_equal(loaded, blocks[: len(loaded)])
        path.write_bytes(good)
    assert len(load(build_store(path.parent), "abc")) == 3


def test_no_damaged_byte_is_loaded(folder, monkeypatch):
    monkeypatch.setattr(prefix_file, "_MAX_PIECE_BYTES", LAYOUT.block_bytes)
    blocks = save(build_store(folder), "abc")
    (path,) = list_files(folder)
    size = path.stat().st_size
    check_each_damaged_byte(path, blocks, [*range(0, 70), *range(70, size, 97), size - 1])


@pytest.mark.parametrize(
    ("position", "reason"),
    [(0, "not a saved prefix"), (8, "format version 0"), (40, "another model"), (70, "checksum of its tokens")],
)
def test_a_damaged_header_is_ignored_with_its_reason_once(folder, caplog, position, reason):
    save(build_store(folder), "ab")
    (path,) = list_files(folder)
    flip(path, position)
    store = build_store(folder)
    assert len(load(store, "ab")) == len(load(store, "ab")) == 0
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert reason in record.message
    assert str(path) in record.message


def test_a_damaged_block_is_not_loaded_and_the_prefix_can_be_saved_again(folder, caplog):
    store = build_store(folder)
    save(store, "ab")
    (path,) = list_files(folder)
    flip(path, path.stat().st_size - 2 * 32 - 5)
    assert len(load(store, "ab")) == 0
    assert "checksum of block 1" in caplog.text
    assert store.count_tokens(build_tokens("ab")) == 0
    blocks = save(store, "ab")
    np.testing.assert_array_equal(load(store, "ab"), blocks)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_ignored(folder, share, caplog):
    save(build_store(folder), "ab")
    (path,) = list_files(folder)
    os.truncate(path, int(path.stat().st_size * share))
    assert len(load(build_store(folder), "ab")) == 0
    assert "is ignored" in caplog.text


def test_a_file_that_is_truncated_after_it_was_found_is_ignored(folder, caplog):
    store = build_store(folder)
    save(store, "ab")
    assert store.count_tokens(build_tokens("ab"))
    (path,) = list_files(folder)
    os.truncate(path, path.stat().st_size // 2)
    assert len(load(store, "ab")) == 0
    assert "is truncated" in caplog.text


def test_blocks_cannot_be_exchanged_between_files(folder):
    store = build_store(folder)
    save(store, "ab")
    (first,) = list_files(folder)
    save(store, "xy")
    second = next(path for path in list_files(folder) if path != first)
    head_bytes = compute_file_size(2, LAYOUT.block_bytes) - 2 * (LAYOUT.block_bytes + 32)
    second.write_bytes(second.read_bytes()[:head_bytes] + first.read_bytes()[head_bytes:])
    assert len(load(build_store(folder), "xy")) == 0


def test_wrong_blocks_are_refused_and_leave_no_file(folder):
    store = build_store(folder)
    for pieces in ([build_blocks(1)], [build_blocks(3)], [build_blocks(2)[:, 1:]], [build_blocks(2).view(np.int8)]):
        with pytest.raises(ValueError, match="expected"):
            store.save(build_tokens("ab"), pieces)
    assert [path.name for path in folder.iterdir()] == [".prefixes.lock"]


def test_a_full_disk_is_logged_and_leaves_no_file(folder, caplog):
    store = build_store(folder)

    def fail():
        yield build_blocks(1)
        raise OSError(28, "No space left on device")

    assert not store.save(build_tokens("ab"), fail())
    assert "No space left" in caplog.text
    assert list_files(folder) == []
    assert store.count_tokens(build_tokens("ab")) == 0


def test_leftovers_of_a_killed_process_are_deleted(folder):
    store = build_store(folder)
    leftover = folder / f".partial-{'0' * 16}-{'0' * 32}.prefix-abcdefgh"
    leftover.write_bytes(b"x")
    save(store, "ab")
    assert not leftover.exists()


def test_a_folder_that_was_deleted_is_no_error(folder, caplog):
    store = build_store(folder)
    save(store, "ab")
    shutil.rmtree(folder)
    assert store.count_tokens(build_tokens("ab")) == 0
    assert "cannot be read" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_only_the_owner_may_read_the_files(folder):
    save(build_store(folder), "ab")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in list_files(folder)] == [0o600]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_a_folder_that_others_can_write_is_refused(folder):
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StorageError, match=r"others could change .* written by other accounts"):
        build_store(folder)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot be saved"):
        build_store(tmp_path / "file")


def test_a_limit_of_nothing_is_refused(folder):
    with pytest.raises(InvalidInputError, match="max_bytes is 0"):
        build_store(folder, max_bytes=0)


# The digest of a model


@pytest.fixture
def checkpoint(tiny_checkpoint, tmp_path):
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def test_the_same_files_have_the_same_digest_in_any_folder(checkpoint, tmp_path):
    moved = Path(shutil.copytree(checkpoint, tmp_path / "moved"))
    assert compute_model_digest(moved) == compute_model_digest(checkpoint)


@pytest.mark.parametrize("part", ["weights", "config", "time"])
def test_a_changed_checkpoint_has_another_digest(checkpoint, part):
    before = compute_model_digest(checkpoint)
    weights, config = checkpoint / "model.safetensors", checkpoint / "config.json"
    times = (weights.stat().st_atime_ns, weights.stat().st_mtime_ns)
    if part == "weights":
        flip(weights, weights.stat().st_size - 1)
        os.utime(weights, ns=times)
    elif part == "config":
        config.write_text(config.read_text().replace("10000.0", "20000.0"))
    else:
        os.utime(weights, ns=(times[0], times[1] + 1_000_000_000))
    assert compute_model_digest(checkpoint) != before


def test_a_folder_without_weights_has_no_digest(tmp_path):
    with pytest.raises(CheckpointError, match=r"no \*\.safetensors"):
        compute_model_digest(tmp_path)


# With a cache


def build_cache(block_count: int) -> tuple[PagedCache, MemoryRunner]:
    runner = MemoryRunner()
    return PagedCache(runner, budget_bytes=block_count * LAYOUT.block_bytes), runner


def compute(cache: PagedCache, runner: MemoryRunner, text: str, **options) -> np.ndarray:
    """Store a sequence with random keys and values, and return them."""
    tokens = build_tokens(text)
    blocks, _ = cache.start(tokens, **options)
    first = len(blocks)
    assert cache.grow(blocks, len(tokens))
    runner.write_blocks(blocks[first:], build_blocks(len(blocks) - first))
    cache.store(tokens, blocks, **options)
    data = runner.read_blocks(blocks)
    cache.release(blocks)
    return data


def find(cache: PagedCache, runner: MemoryRunner, text: str, **options) -> np.ndarray:
    blocks, _ = cache.start([*build_tokens(text), 1], **options)
    cache.release(blocks)
    return runner.read_blocks(blocks)


@pytest.mark.parametrize("piece_blocks", [1, 2, 100])
def test_a_new_cache_loads_what_another_one_saved(folder, monkeypatch, piece_blocks):
    monkeypatch.setattr(prefix_file, "_MAX_PIECE_BYTES", piece_blocks * LAYOUT.block_bytes)
    store = build_store(folder)
    cache, runner = build_cache(12)
    data = compute(cache, runner, "abcde")
    assert cache.save_prefix(store, build_tokens("abcdefg")) == 5 * BLOCK_TOKENS
    other_cache, other_runner = build_cache(12)
    compute(other_cache, other_runner, "xab")  # so that the blocks have other places
    assert other_cache.load_prefix(build_store(folder), build_tokens("abcdz")) == 4 * BLOCK_TOKENS
    np.testing.assert_array_equal(find(other_cache, other_runner, "abcdz"), data[:4])
    other_cache.check_integrity([])
    assert other_cache.reusable_count == 3 + 4


def test_only_missing_blocks_are_loaded(folder):
    store = build_store(folder)
    cache, runner = build_cache(12)
    compute(cache, runner, "abcd")
    cache.save_prefix(store, build_tokens("abcd"))
    data = compute(*(other := build_cache(12)), "ab")
    assert other[0].load_prefix(store, build_tokens("abcd")) == 4 * BLOCK_TOKENS
    np.testing.assert_array_equal(find(*other, "abcd")[:2], data)
    assert other[0].reusable_count == 4
    other[0].check_integrity([])


def test_loading_keeps_to_the_budget(folder):
    store = build_store(folder)
    cache, runner = build_cache(12)
    data = compute(cache, runner, "abcdefgh")
    cache.save_prefix(store, build_tokens("abcdefgh"))
    small_cache, small_runner = build_cache(6)
    compute(small_cache, small_runner, "xyz")
    held: list[int] = []
    assert small_cache.grow(held, 2 * BLOCK_TOKENS)
    assert small_cache.load_prefix(store, build_tokens("abcdefgh")) == 4 * BLOCK_TOKENS
    small_cache.check_integrity([held])
    np.testing.assert_array_equal(find(small_cache, small_runner, "abcdefgh"), data[:4])
    assert small_cache.used_count == 2


def test_blocks_of_a_salt_are_not_saved(folder):
    store = build_store(folder)
    cache, runner = build_cache(12)
    options = {"salt": "one", "shared_tokens": 2 * BLOCK_TOKENS}
    compute(cache, runner, "abcd", **options)
    assert cache.save_prefix(store, build_tokens("abcd")) == 2 * BLOCK_TOKENS
    other = build_cache(12)
    assert other[0].load_prefix(store, build_tokens("abcd")) == 2 * BLOCK_TOKENS
    assert len(find(*other, "abcd", **options)) == 2
    assert len(find(*other, "abcd", salt="one", shared_tokens=BLOCK_TOKENS)) == 1


def test_nothing_is_saved_or_loaded_if_nothing_is_known(folder):
    store = build_store(folder)
    cache, _ = build_cache(12)
    assert cache.save_prefix(store, build_tokens("ab")) == 0
    assert cache.load_prefix(store, build_tokens("ab")) == 0
    assert list_files(folder) == []
    cache.check_integrity([])


def test_a_failing_runner_leaves_the_cache_intact(folder, monkeypatch):
    store = build_store(folder)
    cache, runner = build_cache(12)
    compute(cache, runner, "abc")
    cache.save_prefix(store, build_tokens("abc"))
    cache, runner = build_cache(12)

    def fail(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(runner, "write_blocks", fail)
    with pytest.raises(RuntimeError):
        cache.load_prefix(store, build_tokens("abc"))
    cache.check_integrity([])
    assert cache.reusable_count == cache.used_count == 0


def compute_logits(runner: TorchRunner, blocks: list[int], tokens: list[int], start: int) -> torch.Tensor:
    chunk = SequenceChunk(token_ids=tokens[start:], start=start, block_table=blocks, logit_count=1)
    return runner.forward(Batch(chunks=(chunk,)))


def test_logits_after_a_loaded_prefix_are_those_after_the_computed_one(folder, tiny_checkpoint):
    model = load_model(tiny_checkpoint, plan_checkpoint(tiny_checkpoint, device="cpu", dtype="float32"))
    tokens = [int(token) for token in np.random.default_rng(1).integers(3, 200, 53)]
    digest = compute_model_digest(tiny_checkpoint)
    logits = []
    for has_saved_prefix in (False, True):
        runner = TorchRunner(model)
        layout = runner.cache_layout
        store = PrefixStore(
            folder, max_bytes=MANY_BYTES, model_digest=digest, arithmetic=runner.arithmetic, layout=layout
        )
        cache = PagedCache(runner, budget_bytes=8 * layout.block_bytes)
        if has_saved_prefix:
            assert cache.load_prefix(store, tokens) == 48
        blocks, cached_count = cache.start(tokens)
        assert cached_count == (48 if has_saved_prefix else 0)
        assert cache.grow(blocks, len(tokens))
        if not has_saved_prefix:
            compute_logits(runner, blocks, tokens[:48], 0)
            cache.store(tokens[:48], blocks)
            assert cache.save_prefix(store, tokens) == 48
        logits.append(compute_logits(runner, blocks, tokens, 48))
        runner.close()
    torch.testing.assert_close(logits[1], logits[0], atol=0, rtol=0)
