"""API keys in a file."""

import stat
import tomllib
from datetime import UTC, date, datetime, timedelta

import pytest

from langchain_gptoss.errors import InvalidInputError, StorageError
from langchain_gptoss.serve import ApiKey, Keys, add_key

DIGEST = "0123456789abcdef" * 4


def write_keys(tmp_path, text: str):
    file = tmp_path / "keys.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_added_key_is_known_and_only_its_hash_is_stored(tmp_path):
    file = tmp_path / "keys.toml"
    key = add_key(
        file, "Étude Dupont", labels=["hr", 'with "quotes"'], requests_per_minute=5, expires=date(2999, 1, 31)
    )
    assert Keys.load(file).find_key(key) == ApiKey(
        name="Étude Dupont", labels=("hr", 'with "quotes"'), requests_per_minute=5, expires=date(2999, 1, 31)
    )
    assert key not in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_key_has_the_priority_of_its_file(tmp_path):
    file = tmp_path / "keys.toml"
    high, usual = add_key(file, "high", priority=3), add_key(file, "usual")
    keys = Keys.load(file)
    assert [keys.find_key(key).caller.priority for key in (high, usual)] == [3, 0]


def test_an_invalid_priority_is_refused(tmp_path):
    file = write_keys(tmp_path, f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\npriority = "high"')
    with pytest.raises(InvalidInputError, match="priority is 'high'; it must be a whole number"):
        Keys.load(file)


def test_keys_are_added_to_an_existing_file(tmp_path):
    file = write_keys(tmp_path, f'# a comment\n[[key]]\nname = "old"\nsha256 = "{DIGEST.upper()}"')
    first, second = add_key(file, "a"), add_key(file, "b")
    keys = Keys.load(file)
    assert [keys.find_key(key).name for key in (first, second)] == ["a", "b"]
    assert [entry["name"] for entry in tomllib.loads(file.read_text())["key"]] == ["old", "a", "b"]
    assert file.read_text().startswith("# a comment")


@pytest.mark.parametrize("key", ["", "gptoss-", DIGEST, "\udcff", "x" * 100_000])
def test_other_keys_are_unknown(tmp_path, key):
    add_key(tmp_path / "keys.toml", "a")
    assert Keys.load(tmp_path / "keys.toml").find_key(key) is None


def test_a_used_name_is_refused_and_changes_nothing(tmp_path):
    file = tmp_path / "keys.toml"
    add_key(file, "a")
    before = file.read_text()
    with pytest.raises(InvalidInputError, match="'a' or its key is already used"):
        add_key(file, "a")
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\nb", "x" * 91])
def test_an_invalid_name_is_refused(tmp_path, name):
    with pytest.raises(InvalidInputError, match="A name has 1 to 90 characters"):
        ApiKey(name=name)
    with pytest.raises(InvalidInputError, match="key 1: The caller's name is"):
        add_key(tmp_path / "keys.toml", name)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        add_key(tmp_path / "none" / "keys.toml", "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"contains no \[\[key\]\]"),
        ("key = 3", r"contains no \[\[key\]\]"),
        ("key = [3]", "key 1: 3 is unknown"),
        ("[[key", "cannot be read"),
        ('[[key]]\nname = "a"', "sha256 is None"),
        ('[[key]]\nname = "a"\nsha256 = "abc"', "sha256 is 'abc'"),
        (f'[[key]]\nname = "a"\nsha256 = "{"g" * 64}"', "64 hexadecimal digits"),
        (f'[[key]]\nname = 3\nsha256 = "{DIGEST}"', "name is 3"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nlabel = ["x"]', "label is unknown"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nlabels = "x"', "labels is 'x'"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nrequests_per_minute = 0', "requests_per_minute is 0"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nrequests_per_minute = true', "requests_per_minute is True"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nexpires = "2027-01-31"', "expires is '2027-01-31'"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nexpires = 2027-01-31T10:00:00', "must be a date"),
        (
            f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\n[[key]]\nname = "b"\nsha256 = "{DIGEST.upper()}"',
            "key 2: 'b' or its key is already used",
        ),
    ],
)
def test_an_invalid_file_is_refused(tmp_path, text, message):
    with pytest.raises(InvalidInputError, match=message):
        Keys.load(write_keys(tmp_path, text))


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match=r"none\.toml cannot be read"):
        Keys.load(tmp_path / "none.toml")
    (tmp_path / "keys.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match=r"keys\.toml cannot be read"):
        Keys.load(tmp_path / "keys.toml")


def test_a_key_expires_after_its_last_day():
    today = datetime.now(UTC).date()
    assert not ApiKey(name="a").is_expired
    assert not ApiKey(name="a", expires=today + timedelta(days=1)).is_expired
    assert ApiKey(name="a", expires=today - timedelta(days=1)).is_expired


@pytest.mark.parametrize("label", ["", " ", "\t", "a\n", "a\x1b", "\udc80", "x" * 201])
def test_labels_that_no_document_can_have_are_refused(tmp_path, label):
    with pytest.raises(InvalidInputError, match=r"labels is .*; it must be a list of strings with 1 to 200"):
        add_key(tmp_path / "keys.toml", "a", labels=["hr", label])
    assert not (tmp_path / "keys.toml").exists()


def test_a_text_is_no_list_of_labels(tmp_path):
    with pytest.raises(InvalidInputError, match="Pass a list of strings"):
        add_key(tmp_path / "keys.toml", "a", labels="hr")
