"""What a hub says is checked before it becomes a path, a size or an offset."""

from types import SimpleNamespace

import pytest

from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.download.hub_metadata import MAX_FILE_BYTES, check_commit, check_file_name, check_files

SHA256, GIT_ID, COMMIT = "ab" * 32, "cd" * 20, "0123456789" * 4


def describe(name="config.json", size=2, blob_id=GIT_ID, lfs=None) -> SimpleNamespace:
    return SimpleNamespace(rfilename=name, size=size, blob_id=blob_id, lfs=lfs)


@pytest.mark.parametrize(
    "name",
    ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "a b.txt", "读我.txt", "_x.model", ".x.json"],
)  # fmt: skip
def test_usual_names_are_taken(name):
    assert check_file_name("o/n", name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "...", " ", "../x.json", "..\\x.json", "a/b.json", "a\\b.json", "/etc/x.json", "C:x.json", "x.json:stream",
     "a\0.json", "a\n.json", "a\x1b[2J.json", "a\u202e.json", "x.json.", "x.json ", "*.json", "a|b.json", "x" * 300, None, 5, b"a", ["a"]],
)  # fmt: skip
def test_names_that_could_lead_elsewhere_are_refused(name):
    with pytest.raises(DownloadError, match="as the file name of 'o/n', which cannot be"):
        check_file_name("o/n", name)


@pytest.mark.parametrize("commit", ["", "main", "0" * 39, "0" * 41, "G" * 40, COMMIT.upper() + "A", "../" * 13 + "x", COMMIT + "\n", None, 5, [COMMIT]])  # fmt: skip
def test_commits_are_40_hexadecimal_digits(commit):
    assert check_commit("o/n", COMMIT) == COMMIT
    with pytest.raises(DownloadError, match="as the commit of"):
        check_commit("o/n", commit)


@pytest.mark.parametrize("size", ["x", "5", 1.5, -1, None, True, float("nan"), [1]])
def test_sizes_are_whole_numbers(size):
    with pytest.raises(DownloadError, match=r"as the size of config\.json"):
        check_files("o/n", [describe(size=size)])


def test_files_that_the_hub_serves_to_its_own_client_only_name_that_client():
    with pytest.raises(DownloadError, match=r"hf download o/n"):
        check_files("o/n", [describe(size=MAX_FILE_BYTES + 1)])
    assert check_files("o/n", [describe(size=MAX_FILE_BYTES)])[0].size_bytes == MAX_FILE_BYTES


@pytest.mark.parametrize("checksum", ["", "x", "../../victim", GIT_ID[:-1], GIT_ID + "0", GIT_ID.upper(), GIT_ID + "\n", None, 5, "/" * 40])  # fmt: skip
def test_checksums_are_hexadecimal_digits_of_their_length(checksum):
    with pytest.raises(DownloadError, match=r"as the checksum of config\.json"):
        check_files("o/n", [describe(blob_id=checksum)])
    with pytest.raises(DownloadError, match=r"as the checksum of config\.json"):
        check_files("o/n", [describe(lfs=SimpleNamespace(sha256=checksum))])


def test_a_git_id_is_no_sha256_and_the_other_way_round():
    for wrong in (describe(blob_id=SHA256), describe(lfs=SimpleNamespace(sha256=GIT_ID))):
        with pytest.raises(DownloadError, match="as the checksum"):
            check_files("o/n", [wrong])


def test_two_files_of_one_name_are_refused():
    assert len(check_files("o/n", [describe("a.json"), describe("b.json")])) == 2
    with pytest.raises(DownloadError, match="second file of the same name"):
        check_files("o/n", [describe("a.json"), describe("A.json", blob_id="0" * 40)])


def test_values_in_messages_are_short():
    with pytest.raises(DownloadError) as raised:
        check_commit("o/n", "x" * 10_000)
    assert len(str(raised.value)) < 400
