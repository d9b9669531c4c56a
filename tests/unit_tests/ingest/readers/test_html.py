"""HTML as Markdown."""

import pytest

from langchain_gptoss.ingest import load_documents
from tests.unit_tests.ingest.readers.helpers import read_skip_reason


@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0"?>\n<!DOCTYPE html>'])
def test_html_becomes_markdown(tmp_path, declaration):
    (tmp_path / "page.HTM").write_text(
        f"{declaration}<html><head><title>Tab</title><style>a {{}}</style><script>var x</script></head><body>"
        "<nav>Menu</nav><h1>Prices</h1><p>A <b>snake_case</b> 2*3</p><h2>Table</h2><table><tr><th>a</th></tr>"
        "<tr><td>1</td></tr></table><script>more()</script></body></html>"
    )
    (document,) = load_documents(tmp_path)
    assert document.page_content.split("\n\n") == [
        "# Prices",
        "A **snake_case** 2*3",
        "## Table",
        "| a |\n| --- |\n| 1 |",
    ]
    assert document.metadata["title"] == "Prices"


def test_bare_words_are_read_and_deep_nesting_is_rejected(tmp_path):
    (tmp_path / "words.html").write_text("https://larkspur.example/prices")
    assert load_documents(tmp_path)[0].page_content.strip() == "https://larkspur.example/prices"
    nested = b"<div>" * 5000 + b"x"
    assert read_skip_reason(tmp_path, "words.html", nested) == "its HTML is nested too deeply"
