"""EPUB: order of chapters, encodings, what XML allows and HTML does not, titles from the table of contents."""

import pytest

from langchain_gptoss.errors import DocumentWarning
from langchain_gptoss.ingest import split_documents
from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason
from tests.unit_tests.ingest.sample_files import create_epub, create_zip

SENTENCE = "L’été, l’hôtel coûte 30 €."


def create_chapter(declaration: str, text: str = SENTENCE, head: str = "") -> str:
    return f"{declaration}<html><head>{head}<title>x</title></head><body><p>{text}</p></body></html>"


def test_chapters_are_in_reading_order(tmp_path):
    document = load_text(
        tmp_path, "a.epub", create_epub("<h1>One</h1><p>first</p>", "<h1>Two</h1><p>second</p>", title="Big Book")
    )
    assert document.page_content == "# One\n\nfirst\n\n# Two\n\nsecond"
    assert document.metadata["title"] == "Big Book"


@pytest.mark.parametrize(
    "chapter",
    [
        create_chapter("").encode(),
        create_chapter('<?xml version="1.0" encoding="ISO-8859-1"?>').encode("cp1252"),
        create_chapter('<?xml version="1.0" encoding="windows-1252"?>\n').encode("cp1252"),
        create_chapter("", head='<meta charset="iso-8859-15">').replace("’", "'").encode("iso8859-15"),
        create_chapter('<?xml version="1.0" encoding="UTF-16"?>').encode("utf-16"),
        b"\xfe\xff" + create_chapter('<?xml version="1.0" encoding="UTF-16"?>').encode("utf-16-be"),
        b"\xef\xbb\xbf" + create_chapter('<?xml version="1.0" encoding="utf-8"?>').encode(),
    ],
)
def test_declared_encodings_of_chapters_are_used(tmp_path, chapter):
    document = load_text(tmp_path, "a.epub", create_epub(chapter))
    assert document.page_content.replace("'", "’") == SENTENCE


@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="utf-8"?>'])
def test_guessed_encodings_of_chapters_are_named(tmp_path, declaration):
    data = create_epub("<p>good</p>", create_chapter(declaration).encode("cp1252"))
    with pytest.warns(DocumentWarning, match=r"a\.epub: its chapter c1\.xhtml: it .* it is read as windows-1252"):
        document = load_text(tmp_path, "a.epub", data)
    assert document.page_content == f"good\n\n{SENTENCE}"
    assert document.metadata["encoding_guessed"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>caf&eacute; &#233;&#xe9; &amp;&nbsp;th&egrave;se</p>", "café éé &\xa0thèse"),
        ("<p>a<![CDATA[1 < 2 & 3]]>b</p>", "a1 < 2 & 3b"),
        ('<script type="x"/><p>after</p>', "after"),
        ('<p id="x"/><p>after <i/>it</p>', "after it"),
    ],
)
def test_xml_is_read_as_xml(tmp_path, body, text):
    assert load_text(tmp_path, "a.epub", create_epub(body)).page_content.strip() == text


def test_entities_of_a_chapter_are_replaced(tmp_path):
    chapter = create_chapter(
        "<!DOCTYPE html [<!ENTITY shop \"Larkspur\">\n<!ENTITY city 'Orléans'>]>", "&shop; in &city;"
    )
    assert load_text(tmp_path, "a.epub", create_epub(chapter.encode())).page_content == "Larkspur in Orléans"


def test_empty_title_element_does_not_hide_the_chapter(tmp_path):
    chapter = b"<html><head><title/></head><body><p>text</p></body></html>"
    assert load_text(tmp_path, "a.epub", create_epub(chapter)).page_content == "text"


def test_chapters_without_headings_have_their_title_in_the_table_of_contents(tmp_path):
    contents = '<li><a href="text/c0.xhtml">Retours</a></li><li><a href="text/c1.xhtml#x">Other</a></li>'
    data = create_epub("<p>Sous 14 jours.</p>", "<h2>Garantie</h2><p>Deux ans.</p>", contents=contents)
    chunks = split_documents([load_text(tmp_path, "a.epub", data)])
    assert [(chunk.metadata["heading"], chunk.page_content) for chunk in chunks] == [
        ("Retours", "Sous 14 jours."),
        ("Retours > Garantie", "Deux ans."),
    ]


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (create_zip({"x": "y"}), "it is not a readable EPUB book"),
        (create_epub("x", enciphered=["OEBPS/text/c0.xhtml"]), "it is protected (DRM)"),
        (create_zip({"META-INF/container.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'}), "defines entities"),
        (create_zip({"META-INF/container.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'.encode("utf-16")}), "defines entities"),
        (create_epub(b"\x00\x01\x02\x03"), "it contains NUL bytes"),
    ],
)  # fmt: skip
def test_unusable_books_are_skipped_with_a_remedy(tmp_path, data, part):
    assert part in read_skip_reason(tmp_path, "a.epub", data)


def test_chapter_that_cannot_be_read_costs_that_chapter_only(tmp_path):
    data = create_epub("<p>one</p>", b"\x00\x01\x02\x03", "<p>three</p>")
    with pytest.warns(DocumentWarning, match=r"its chapter c1\.xhtml is left out: it contains NUL bytes"):
        assert load_text(tmp_path, "a.epub", data).page_content == "one\n\nthree"
