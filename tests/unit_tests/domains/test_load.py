"""Loading of profiles by name and from files."""

import subprocess
import sys

import pytest

from langchain_gptoss.domains import get_profile_path, list_languages, load_domain
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.domains.conftest import write_profile


def test_a_path_a_string_and_a_profile_give_the_same(tmp_path):
    path = write_profile(tmp_path, get_profile_path("law").read_text(encoding="utf-8"))
    profile = load_domain(path)
    assert profile == load_domain(str(path)) == load_domain("law")
    assert load_domain(profile) is profile
    assert load_domain("law", language="fr-CA").language == "fr"


def test_a_file_may_have_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "law.TOML"
    text = get_profile_path("law").read_text(encoding="utf-8")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load_domain(path).fingerprint == load_domain("law").fingerprint


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("tone =", "tonne =", ["'tonne' is unknown", "'tone' is missing"]),
        ("strict = true", 'strict = "true"', ["'retrieval.strict' must be true or false"]),
        ("strict = true", "strict = yes", ["is not TOML", "line"]),
        ("[retrieval]", "[retrieval", ["is not TOML", "line"]),
        ("[safety]", "[safty]", ["'safty' is unknown", "'safety'"]),
    ],
)
def test_an_error_in_a_file_names_the_file(tmp_path, old, new, parts):
    text = get_profile_path("law").read_text(encoding="utf-8")
    assert old in text
    path = write_profile(tmp_path, text.replace(old, new, 1))
    with pytest.raises(InvalidInputError) as caught:
        load_domain(path)
    for part in [str(path), *parts]:
        assert part in str(caught.value)


def test_an_unreadable_file_raises_an_error(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no file .*none\.toml"):
        load_domain(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InvalidInputError, match=r"folder\.toml cannot be read"):
        load_domain(tmp_path / "folder.toml")
    (tmp_path / "latin.toml").write_bytes('tone = "réservé"'.encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"latin\.toml is not UTF-8"):
        load_domain(tmp_path / "latin.toml")
    (tmp_path / "empty.toml").touch()
    with pytest.raises(InvalidInputError, match="'name' is missing"):
        load_domain(tmp_path / "empty.toml")


def test_an_unknown_name_or_language_raises_an_error():
    with pytest.raises(InvalidInputError, match=r"'suport'. Did you mean 'support'\? Known: education.*ends in \.toml"):
        load_domain("suport")
    with pytest.raises(InvalidInputError, match=r"'de'\. Use en or fr"):
        load_domain("law", language="de")
    for name in ("", "../law", "law.en"):
        with pytest.raises(InvalidInputError, match="There is no domain"):
            load_domain(name)
    with pytest.raises(InvalidInputError, match="There is no domain"):
        list_languages("nothing")


def test_a_profile_in_another_language_than_requested_raises_an_error(tmp_path):
    path = write_profile(tmp_path, get_profile_path("law").read_text(encoding="utf-8"))
    for domain in (path, load_domain("law")):
        with pytest.raises(InvalidInputError, match="written in 'en', and language='fr'"):
            load_domain(domain, language="fr")
        assert load_domain(domain, language="en").language == "en"


def test_loading_all_profiles_imports_nothing_heavy():
    code = (
        "import sys; from langchain_gptoss.domains import load_built_in_domains; load_built_in_domains(); "
        "print([m for m in ('torch', 'transformers', 'numpy', 'faiss', 'langgraph') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
