"""Who may use a server and how much: keys in a file, rates, limits; no server is needed for that."""

import stat
import tomllib
from datetime import UTC, date, datetime, timedelta

import pytest

from langchain_gptoss.errors import InvalidInputError, StorageError
from langchain_gptoss.serve import Caller, Keys, ServerSettings, add_key
from langchain_gptoss.serve.gate import Rates

DIGEST = "0123456789abcdef" * 4


def written(tmp_path, text: str):
    file = tmp_path / "keys.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_key_that_was_added_is_known_and_kept_nowhere(tmp_path):
    file = tmp_path / "keys.toml"
    key = add_key(file, "Étude Dupont", labels=["hr", 'with "quotes"'], limit=5, expires=date(2999, 1, 31))
    assert Keys.load(file).caller(key) == Caller(
        name="Étude Dupont", labels=("hr", 'with "quotes"'), requests_per_minute=5, expires=date(2999, 1, 31)
    )
    assert key not in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_keys_are_added_to_what_was_there(tmp_path):
    file = written(tmp_path, f'# ours\n[[key]]\nname = "old"\nsha256 = "{DIGEST.upper()}"')
    first, second = add_key(file, "a"), add_key(file, "b")
    keys = Keys.load(file)
    assert [keys.caller(key).name for key in (first, second)] == ["a", "b"]
    assert [entry["name"] for entry in tomllib.loads(file.read_text())["key"]] == ["old", "a", "b"]
    assert file.read_text().startswith("# ours")


@pytest.mark.parametrize("key", ["", "gptoss-", DIGEST, "\udcff", "x" * 100_000])
def test_other_keys_are_unknown(tmp_path, key):
    add_key(tmp_path / "keys.toml", "a")
    assert Keys.load(tmp_path / "keys.toml").caller(key) is None


def test_a_name_that_is_taken_changes_nothing(tmp_path):
    file = tmp_path / "keys.toml"
    add_key(file, "a")
    before = file.read_text()
    with pytest.raises(InvalidInputError, match="'a' or its key is there twice"):
        add_key(file, "a")
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\nb", "x" * 91])
def test_a_name_that_cannot_work_is_refused(tmp_path, name):
    with pytest.raises(InvalidInputError, match="name has 1 to 90 characters"):
        Caller(name=name)
    with pytest.raises(InvalidInputError, match="key 1: A caller is called"):
        add_key(tmp_path / "keys.toml", name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match="could not be written"):
        add_key(tmp_path / "none" / "keys.toml", "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"holds no \[\[key\]\]"),
        ("key = 3", r"holds no \[\[key\]\]"),
        ("key = [3]", "key 1: 3 is not known"),
        ("[[key", "cannot be read"),
        ('[[key]]\nname = "a"', "sha256 is None"),
        ('[[key]]\nname = "a"\nsha256 = "abc"', "sha256 is 'abc'"),
        (f'[[key]]\nname = "a"\nsha256 = "{"g" * 64}"', "64 hexadecimal digits"),
        (f'[[key]]\nname = 3\nsha256 = "{DIGEST}"', "name is 3"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nlabel = ["x"]', "label is not known"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nlabels = "x"', "labels is 'x'"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nrequests_per_minute = 0', "requests_per_minute is 0"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nrequests_per_minute = true', "requests_per_minute is True"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nexpires = "2027-01-31"', "expires is '2027-01-31'"),
        (f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\nexpires = 2027-01-31T10:00:00', "must be a date"),
        (
            f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\n[[key]]\nname = "b"\nsha256 = "{DIGEST.upper()}"',
            "key 2: 'b' or its key is there twice",
        ),
    ],
)
def test_a_file_that_cannot_work_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(InvalidInputError, match=message):
        Keys.load(written(tmp_path, text))


def test_a_file_that_is_missing_or_binary_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"none\.toml cannot be read"):
        Keys.load(tmp_path / "none.toml")
    (tmp_path / "keys.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match=r"keys\.toml cannot be read"):
        Keys.load(tmp_path / "keys.toml")


def test_a_key_is_good_on_its_last_day_and_not_after_it():
    today = datetime.now(UTC).date()
    assert not Caller(name="a").expired
    assert not Caller(name="a", expires=today + timedelta(days=1)).expired
    assert Caller(name="a", expires=today - timedelta(days=1)).expired


def test_a_rate_allows_a_minutes_worth_at_once_and_then_one_by_one():
    rates = Rates()
    assert [rates.wait("a", 3, now=0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert rates.wait("a", 3, now=0.0) == pytest.approx(20.0)
    assert rates.wait("b", 3, now=0.0) == 0.0
    assert rates.wait("a", 3, now=15.0) == pytest.approx(5.0)
    assert rates.wait("a", 3, now=20.1) == 0.0
    assert rates.wait("a", 3, now=20.1) > 0
    assert [rates.wait("a", 3, now=10_000.0) for _ in range(4)][2:] == [0.0, pytest.approx(20.0)]


def test_rates_remember_a_bounded_number_of_callers():
    rates = Rates()
    for number in range(10_050):
        rates.wait(str(number), 1, now=0.0)
    assert rates.wait("10049", 1, now=0.0) > 0
    assert rates.wait("0", 1, now=0.0) == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_body_bytes": 0}, "max_body_bytes is 0"),
        ({"upload_seconds": -1}, "upload_seconds is -1"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds is nan"),
        ({"max_concurrent": "8"}, "max_concurrent is '8'"),
        ({"max_batch": 0}, "max_batch is 0"),
        ({"grace_seconds": None}, "grace_seconds is None"),
        ({"requests_per_minute": 0}, "requests_per_minute is 0"),
        ({"cors_origins": ("intranet.example",)}, "cors_origins holds 'intranet.example'"),
        ({"cors_origins": ("https://intranet.example/",)}, "without a path"),
        ({"cors_origins": ("*",)}, "an origin looks like"),
    ],
)
def test_a_limit_that_cannot_work_is_refused(values, message):
    with pytest.raises(InvalidInputError, match=message):
        ServerSettings(**values)
    assert ServerSettings(requests_per_minute=None).requests_per_minute is None
