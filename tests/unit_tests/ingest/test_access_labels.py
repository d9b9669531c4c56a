"""Labels of files: front matter, rules in the folder, labels for all; what is not understood is hidden and named."""

import warnings

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_gptoss.errors import DocumentWarning, InvalidInputError
from langchain_gptoss.ingest import check_index, index_documents, load_documents, open_store, sync_documents
from langchain_gptoss.ingest.access_labels import RULES_FILE, _matches_pattern, read_rules

EMBEDDING = DeterministicFakeEmbedding(size=8)
TEXT = "# Delivery\n\nExpress delivery costs 12 euros.\n"
RULES = """
[labels]
"hr/public.md" = ["public"]
"hr/**" = "hr, board"
"*.txt" = ["notes"]
"""


def write_files(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def load_labels(folder, field="access", **options):
    return {
        document.metadata["source"]: document.metadata.get(field)
        for document in load_documents(folder, access=None if field == "access" else field, **options)
    }


UNDERSTOOD = [
    ("---\naccess: [hr]\n---\n", ["hr"]),
    ("---\naccess: hr\n---\n", ["hr"]),
    ("---\naccess: hr, sales\n---\n", ["hr", "sales"]),
    ("---\naccess:\n- hr\n- sales\n---\n", ["hr", "sales"]),
    ("---\nAccess: [hr]\n---\n", ["hr"]),
    ("---\naccess: [2024, hr]\n---\n", ["2024", "hr"]),
    ("+++\naccess = ['hr']\n+++\n", ["hr"]),
    ("---\ntitle: Prices\n---\n", ["staff"]),
    ("", ["staff"]),
    ("The access: [hr] of staff.\n", ["staff"]),
    ("---\ntitle: x\n---\naccess: hr\n", ["staff"]),
]


@pytest.mark.parametrize(("head", "labels"), UNDERSTOOD)
def test_front_matter_goes_before_the_labels_for_all(head, labels, tmp_path):
    write_files(tmp_path, {"a.md": head + TEXT})
    assert load_labels(tmp_path, labels=["staff"]) == {"a.md": labels}


HIDDEN = [
    "---\naccess: []\n---\n",
    "---\naccess:\n---\n",
    "---\naccess: true\n---\n",
    "---\naccess: {groups: [hr]}\n---\n",
    "---\naccess:\n  groups: [hr]\n---\n",
    "---\naccess: [hr, [it]]\n---\n",
    "---\naccess: [hr\n---\n",
    '---\n"access": [hr\n---\n',
    "---\ntitle: a: b\naccess: [hr]\n---\n",
    "---\naccess: [hr]\n\nno end\n",
    "+++\naccess = 1.5\n+++\n",
    "+++\n[access]\nread = ['hr']\n+++\n",
    "\ufeff---\naccess: [hr\n---\n",
]


@pytest.mark.parametrize("head", HIDDEN)
def test_front_matter_that_is_not_understood_hides_its_file_and_is_named(head, tmp_path):
    write_files(tmp_path, {"a.md": head + TEXT, "b.md": TEXT})
    with pytest.warns(DocumentWarning, match=r"a\.md: nobody may see it"):
        assert load_labels(tmp_path, labels=["public"]) == {"a.md": [], "b.md": ["public"]}


def test_a_text_file_with_front_matter_is_hidden(tmp_path):
    write_files(tmp_path, {"a.txt": "---\naccess: [hr]\n---\nExpress delivery costs 12 euros."})
    with pytest.warns(DocumentWarning, match="nobody may see it"):
        assert load_labels(tmp_path, labels=["public"]) == {"a.txt": []}


def test_a_label_that_only_looks_public_is_named(tmp_path):
    write_files(tmp_path, {"a.md": "---\naccess: [Public]\n---\n" + TEXT})
    with pytest.warns(DocumentWarning, match="upper and lower case differ"):
        assert load_labels(tmp_path) == {"a.md": ["Public"]}


def test_the_first_rule_that_fits_labels_a_file(tmp_path):
    write_files(
        tmp_path,
        {
            RULES_FILE: RULES,
            "hr/pay.md": TEXT,
            "hr/a/b/deep.md": TEXT,
            "hr/public.md": TEXT,
            "hr/own.md": "---\ngroups: [board]\n---\n" + TEXT,
            "hr/inner/access.toml": '[labels]\n"secret.md" = ["board"]\n',
            "hr/inner/secret.md": TEXT,
            "hr/inner/other.md": TEXT,
            "notes/a.txt": TEXT,
            "rest.md": TEXT,
        },
    )
    expected = {
        "hr/pay.md": ["hr", "board"],
        "hr/a/b/deep.md": ["hr", "board"],
        "hr/public.md": ["public"],
        "hr/own.md": ["board"],
        "hr/inner/secret.md": ["board"],
        "hr/inner/other.md": ["hr", "board"],
        "notes/a.txt": ["notes"],
        "rest.md": None,
    }
    assert load_labels(tmp_path, "groups") == expected
    assert load_labels(tmp_path, "groups", labels=["staff"]) == {**expected, "rest.md": ["staff"]}
    assert load_labels(str(tmp_path / "hr" / "*.md"), "groups")["pay.md"] is None  # rules above the folder do not count


PATTERNS = [
    ("hr/**", "hr/a.md", True),
    ("hr/**", "hr/a/b.md", True),
    ("hr/**", "hr2/a.md", False),
    ("hr/", "hr/a/b.md", True),
    ("hr", "hr/a/b.md", True),
    ("hr", "x/hr/b.md", True),
    ("hr/*", "hr/a.md", True),
    ("*.md", "a/b.md", True),
    ("*.md", "a/b.txt", False),
    ("a/*.md", "a/b.md", True),
    ("a/*.md", "a/b/c.md", False),
    ("**/c.md", "a/b/c.md", True),
    ("**/c.md", "c.md", True),
    ("**", "a/b/c.md", True),
    ("./a.md", "a.md", True),
    ("/a/b.md", "a/b.md", True),
    ("A.md", "a.md", False),
    ("[ab].md", "b.md", True),
    ("**/**/**/**/x", "/".join("a" * 60), False),
]


@pytest.mark.parametrize(("pattern", "path", "fits"), PATTERNS)
def test_patterns_of_rules(pattern, path, fits):
    assert _matches_pattern(path, pattern) is fits


@pytest.mark.parametrize(
    "text",
    [
        "[labels",
        "labels = 3",
        "[label]\n'a' = ['b']",
        "[labels]\n'a' = true",
        "[labels]\na.b = ['c']",
        "[labels]\n'/' = 'a'",
        "[labels]\n'a' = [['b']]",
        "[labels]\n'a' = 'b'\n[other]\nx = 1",
        "",
    ],
)
def test_invalid_rules_stop_indexing(text, tmp_path):
    write_files(tmp_path, {RULES_FILE: text, "a.md": TEXT})
    with pytest.raises(InvalidInputError, match=r"access\.toml"):
        load_documents(tmp_path)
    assert read_rules(tmp_path / "none") == {}


@pytest.mark.parametrize(
    "options", [{"access": ""}, {"access": " "}, {"labels": "hr"}, {"labels": [""]}, {"labels": [1]}]
)
def test_invalid_options_raise_an_error(options, tmp_path):
    write_files(tmp_path, {"a.md": TEXT})
    with pytest.raises(InvalidInputError):
        load_documents(tmp_path, **options)


def test_documents_of_other_loaders_are_labelled():
    values = {"a": "hr", "b": ["hr", 5], "c": None, "d": ["hr", None]}
    documents = [Document(f"Text {name}.", metadata={"source": name, "acl": value}) for name, value in values.items()]
    documents.append(Document("Text e.", metadata={"source": "e"}))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        store = index_documents(documents, embeddings=EMBEDDING, access="acl", labels=["public"])
    labels = {metadata["source"]: metadata["acl"] for metadata in store.iterate_metadata()}
    assert labels == {"a": ["hr"], "b": ["hr", "5"], "c": [], "d": [], "e": ["public"]}
    assert [str(warning.message)[:2] for warning in found] == ["c:", "d:"]


def read_stored_labels(store, field="groups"):
    stored = open_store(store, EMBEDDING).iterate_metadata()
    return {metadata["source"]: metadata.get(field) for metadata in stored}


def test_an_index_follows_changes_of_labels(tmp_path):
    docs, store = tmp_path / "docs", tmp_path / "store"
    write_files(docs, {"hr/a.md": TEXT, "b.md": TEXT, "c.md": "---\ngroups: [own]\n---\n" + TEXT})

    def sync(**options):
        return sync_documents(docs, store, embeddings=EMBEDDING, **options)

    sync(access="groups", labels=["staff"])
    assert read_stored_labels(store) == {"hr/a.md": ["staff"], "b.md": ["staff"], "c.md": ["own"]}
    assert sync().unchanged == ("b.md", "c.md", "hr/a.md")  # the options are kept
    write_files(docs, {RULES_FILE: '[labels]\n"hr/**" = ["hr"]\n'})
    assert sync().changed == ("hr/a.md",)
    assert read_stored_labels(store)["hr/a.md"] == ["hr"]
    assert check_index(store, docs, embeddings=EMBEDDING).is_consistent
    write_files(docs, {"c.md": "---\ngroups: {a: b}\n---\n" + TEXT})
    report = sync()
    assert report.changed == ("c.md",)
    assert "nobody may see it" in str(report.warnings[0])
    sync(labels=[])
    assert read_stored_labels(store) == {"hr/a.md": ["hr"], "b.md": None, "c.md": []}
