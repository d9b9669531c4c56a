"""Web pages: encodings, titles, markup that is not correct."""

import pytest

from langchain_gptoss.ingest import load_documents
from langchain_gptoss.ingest.readers.html import convert_html_to_markdown, read_html
from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason
from tests.unit_tests.ingest.readers.html.helpers import read_page


@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0"?>\n<!DOCTYPE html>'])
def test_html_becomes_markdown(tmp_path, declaration):
    (tmp_path / "page.HTM").write_text(
        f"{declaration}<html><head><title>Tab</title><style>a {{}}</style><script>var x</script></head><body>"
        "<nav>Menu</nav><h1>Prices</h1><p>A <b>snake_case</b> 2*3</p><h2>Table</h2><table><tr><th>a</th></tr>"
        "<tr><td>1</td></tr></table><script>more()</script></body></html>"
    )
    (document,) = load_documents(tmp_path)
    assert document.page_content.split("\n\n") == ["# Prices", "A snake_case 2*3", "## Table", "| a |\n| --- |\n| 1 |"]
    assert document.metadata["title"] == "Prices"


def test_bare_words_are_read_and_deep_nesting_is_rejected(tmp_path):
    (tmp_path / "words.html").write_text("https://larkspur.example/prices")
    assert load_documents(tmp_path)[0].page_content.strip() == "https://larkspur.example/prices"
    nested = b"<div>" * 5000 + b"x"
    assert read_skip_reason(tmp_path, "words.html", nested) == "its HTML is nested too deeply"


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">', "windows-1252"),
        ("<meta charset='windows-1252'>", "windows-1252"),
        ('<?xml version="1.0" encoding="iso-8859-15"?>', "iso-8859-15"),
        ("<meta charset=utf-8>", "utf-8"),
        ("", "utf-8-sig"),
        ("", "utf-16"),
    ],
)
def test_the_declared_encoding_counts(head, encoding):
    page = f"{head}<p>L'abonnement coûte 30 € au cœur de l'été.</p>"
    assert read_html(page.encode(encoding), 10**9).pages == ["L'abonnement coûte 30 € au cœur de l'été."]


def test_the_title_is_the_first_heading_else_the_title_element(tmp_path):
    assert load_text(tmp_path, "a.html", b"<title>Tab</title><h2>Fares</h2>x").metadata["title"] == "Fares"
    assert load_text(tmp_path, "b.html", b"<title>The\n tab</title>x").metadata["title"] == "The tab"


@pytest.mark.parametrize("page", ["", " \n", "<!-- only a comment -->", "<p>&nbsp;</p>", "<title>x</title>"])
def test_pages_without_text_are_empty(tmp_path, page):
    assert read_skip_reason(tmp_path, "a.html", page.encode()) == "it is empty"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>one<p>two", "one\n\ntwo"),
        ("<p>one</p></body></html><p>two</p>", "one\n\ntwo"),
        ("<table><tr><td>a<td>b<tr><td>1<td>2</table>", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "- a\n- b\n  - c"),
        ("<dl><dt>A<dt>B<dd>1<dt>C<dd>2</dl>", "- A, B: 1\n- C: 2"),
        ("a\x0bb &#146;c&#146; &euro;", "a b ’c’ €"),
        ("<b>a<p>c</b>d", "a\n\ncd"),
    ],
)
def test_markup_that_is_not_correct_loses_no_text(page, text):
    assert read_page(page) == text


def test_empty_elements_of_xhtml_do_not_swallow_the_page():
    page = (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="x.js"/></head>'
        '<body><a id="p1"/><p>one<br/>two</p><p/><p><![CDATA[a < b & c]]></p></body></html>'
    )
    assert convert_html_to_markdown(page) == "one\ntwo\n\na < b & c"


def test_character_data_without_an_end_and_in_pieces():
    page = '<?xml version="1.0"?><p><![CDATA[a]]> <![CDATA[<b>]]></p><p>c</p>'
    assert convert_html_to_markdown(page) == "a <b>\n\nc"
    assert convert_html_to_markdown('<?xml version="1.0"?><p>a</p><![CDATA[b') == "a"


def test_messages_and_books_keep_what_would_be_a_menu_on_a_page():
    links = "<div><a href=1>One</a> <a href=2>Two</a> <a href=3>Three</a></div>"
    page = f"{links}<p>A sentence that is long enough to be the content of this page.</p><nav>gone</nav>"
    assert convert_html_to_markdown(page).startswith("One Two Three\n\nA sentence")
    assert "One" not in read_page(page)
