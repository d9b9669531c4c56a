"""Files are compared with the checksums of SHA256SUMS and of the hub's cache."""

import pytest

from langchain_gptoss.errors import DamagedCheckpointError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.checkpoint import check_checkpoint, locate_checkpoint
from langchain_gptoss.models.download.checksums import verify_checksums
from tests.unit_tests.models.checkpoint_files import FIRST_SHARD, SECOND_SHARD, compute_sha256, flip_last_bit


def test_folders_without_checksums_pass(checkpoint):
    assert verify_checksums(checkpoint) == ()


def test_files_are_compared_with_sha256sums(checkpoint):
    names = (FIRST_SHARD, SECOND_SHARD, "config.json")
    lines = [f"{compute_sha256(checkpoint / name)}  {name}" for name in names[:2]]
    lines += ["", "# a comment", f"{compute_sha256(checkpoint / 'config.json').upper()} *./config.json"]
    (checkpoint / "SHA256SUMS").write_text("\n".join(lines))
    assert verify_checksums(checkpoint) == names
    assert locate_checkpoint(resolve_model(checkpoint), verify=True) == checkpoint.resolve()
    flip_last_bit(checkpoint / FIRST_SHARD)
    check_checkpoint(checkpoint)  # the header is unchanged
    with pytest.raises(DamagedCheckpointError, match=f"Altered in .*'{FIRST_SHARD}'. The content differs"):
        locate_checkpoint(resolve_model(checkpoint), verify=True)
    (checkpoint / SECOND_SHARD).unlink()
    with pytest.raises(DamagedCheckpointError, match=f"lacks '{SECOND_SHARD}', which 'SHA256SUMS' lists"):
        verify_checksums(checkpoint)


@pytest.mark.parametrize("line", ["text", f"{'0' * 64}  ../config.json", f"{'0' * 64}  /etc/passwd", f"{'0' * 63}  a"])
def test_invalid_lines_of_sha256sums_are_refused(checkpoint, line):
    (checkpoint / "SHA256SUMS").write_text(line)
    with pytest.raises(DamagedCheckpointError, match="SHA256SUMS' cannot be read: line 1"):
        verify_checksums(checkpoint)
