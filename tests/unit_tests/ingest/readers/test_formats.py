"""Office, EPUB, tables, JSON, e-mail and loaders of others: what is read of them, and why some cannot be."""

import datetime
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_gptoss.errors import DocumentsError, InvalidInputError, MissingDependencyError
from langchain_gptoss.ingest import Skipped, load_documents, split_documents
from langchain_gptoss.retrievers import BM25Retriever
from langchain_gptoss.text.language import detect_language
from tests.unit_tests.ingest.office_files import docx, eml, epub, zipped


def read(folder: Path, name: str, data: bytes) -> Document:
    (folder / name).write_bytes(data)
    (document,) = load_documents(folder / name)
    assert document.metadata["content_hash"] == hashlib.sha256(document.page_content.encode()).hexdigest()
    return document


def reason(folder: Path, name: str, data: bytes, **options: object) -> str:
    (folder / name).write_bytes(data)
    (folder / "zz.txt").write_text("good")
    skips: list[Skipped] = []
    load_documents(folder, on_skip=skips.append, **options)
    (skip,) = skips
    assert skip.source == name
    return skip.reason


def test_word(tmp_path):
    pytest.importorskip("mammoth")
    data = docx((1, "Returns"), "You may return_it within 30 days.", (2, "Costs"), [["Kind", "Price"], ["Small", "5"]])
    document = read(tmp_path, "a.docx", data)
    assert document.metadata["title"] == "Returns"
    assert document.metadata["language"] == "en"
    first, second = split_documents([document])
    assert (first.metadata["heading"], first.page_content) == ("Returns", "You may return_it within 30 days.")
    assert second.metadata["heading"] == "Returns > Costs"
    assert "| Small | 5 |" in second.page_content


def test_powerpoint_has_a_page_for_each_slide(tmp_path):
    pptx = pytest.importorskip("pptx")
    deck = pptx.Presentation()
    for title in ("First", "Second"):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = f"# about {title}\nmore"
    table = slide.shapes.add_table(2, 2, 0, 0, 9144, 9144).table
    for row, column, text in ((0, 0, "a"), (0, 1, "b"), (1, 0, "1"), (1, 1, "2")):
        table.cell(row, column).text = text
    slide.notes_slide.notes_text_frame.text = "Say hello."
    out = io.BytesIO()
    deck.save(out)
    (tmp_path / "a.pptx").write_bytes(out.getvalue())
    first, second = load_documents(tmp_path)
    assert first.page_content == "# First\n\n- # about First\n- more"
    assert second.page_content == (
        "# Second\n\n- # about Second\n- more\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nNotes:\n- Say hello."
    )
    assert [(d.metadata["page"], d.metadata["title"]) for d in (first, second)] == [(1, "First"), (2, "First")]
    assert second.metadata["start"] == len(first.page_content) + 2
    assert [chunk.metadata["heading"] for chunk in split_documents([first, second])] == ["First", "Second"]


def test_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    sheet.append(["Name", "Since", "Price"])
    sheet.append(["Tea", datetime.datetime(2024, 5, 1), 3.5])
    sheet.append([None, None, None])
    sheet.append(["Coffee\nblack", datetime.datetime(2024, 5, 1, 8, 30), 4])
    book.create_sheet("Empty")
    hidden = book.create_sheet("Hidden")
    hidden.append(["secret"])
    hidden.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    assert read(tmp_path, "a.xlsx", out.getvalue()).page_content == (
        "## Prices\n\n- Name: Tea; Since: 2024-05-01; Price: 3.5\n"
        "- Name: Coffee black; Since: 2024-05-01 08:30:00; Price: 4"
    )


def test_epub_in_reading_order(tmp_path):
    document = read(tmp_path, "a.epub", epub("<h1>One</h1><p>first</p>", "<h1>Two</h1><p>second</p>", title="Big Book"))
    assert document.page_content == "# One\n\nfirst\n\n# Two\n\nsecond"
    assert document.metadata["title"] == "Big Book"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "Name,City\nAnna,Paris\n,\nBob,\n", "- Name: Anna; City: Paris\n- Name: Bob"),
        ("a.csv", 'Nom;Ville\n"Anne; dite ""Nana""";"Paris\nNord"\n', '- Nom: Anne; dite "Nana"; Ville: Paris Nord'),
        ("a.csv", "1,2\n3,4\n", "- 1; 2\n- 3; 4"),
        ("a.csv", "only\n", "- only"),
        ("a.tsv", "Name\tAge\nAnna\t3\t4\n", "- Name: Anna; Age: 3; 4"),
        ("a.json", '{"a": {"b": [1, 2], "c": null}, "d": "text"}', "a.b: 1, 2\nd: text"),
        ("a.json", '[{"q": "x", "l": [{"z": true}]}, "two"]', "q: x\nl[1].z: true\n\ntwo"),
        ("a.jsonl", '{"a": 1}\n\n{"a": "# no heading"}\n', "a: 1\n\na: # no heading"),
        ("a.json", r'{"a": "x\u0000\ud800y"}', "a: x\ufffdy"),
    ],
)
def test_tables_and_json(tmp_path, name, text, expected):
    document = read(tmp_path, name, text.encode())
    assert document.page_content == expected
    assert document.metadata["title"] == "a"
    assert {chunk.metadata["heading"] for chunk in split_documents([document])} == {""}


def test_email(tmp_path):
    data = eml("Where is it?", text="Hello,\n\n# not a heading\n", html="<p>no</p>", attached={"bill.pdf": b"%PDF"})
    document = read(tmp_path, "a.eml", data)
    assert document.page_content == (
        "Subject: Where is it?\nFrom: Zoé <zoe@larkspur.example>\nTo: shop@larkspur.example\n"
        "Attachments: bill.pdf\n\nHello,\n\n# not a heading"
    )
    assert document.metadata["title"] == "Where is it?"
    assert read(tmp_path, "b.eml", eml("Only", html="<p>Hi <b>you</b></p>")).page_content.endswith("\n\nHi **you**")
    odd = b"Subject: x\r\nContent-Type: text/plain; charset=klingon\r\n\r\ncaf\xc3\xa9\r\n"
    assert read(tmp_path, "c.eml", odd).page_content == "Subject: x\n\ncafé"


BOMB = zipped({"word/document.xml": b"0" * 3_000_000, "[Content_Types].xml": "x"})
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [
        ("a.docx", b"", "it is empty"),
        ("a.docx", b"junk", "it is not a readable Word document (.docx) (File is not a zip file); open it and save"),
        ("a.docx", zipped({"x": "y"}), "it is not a readable Word document"),
        ("a.pptx", zipped({"x": "y"}), "it is not a readable PowerPoint presentation"),
        ("a.xlsx", zipped({"x": "y"}), "it is not a readable Excel workbook"),
        ("a.epub", zipped({"x": "y"}), "it is not a readable EPUB book"),
        ("a.docx", docx("long text")[:-40], "it is not a readable Word document"),
        ("a.docx", docx(), "it is empty"),
        ("a.docx", OLE, "it is protected by a password or in the format of before 2007; save a copy without"),
        ("a.xlsx", OLE, "it is protected by a password or in the format of before 2007"),
        ("a.docx", BOMB, "unpack to 3 MB of text and the limit is 1 MB; if it is no zip bomb, split it or raise"),
        ("a.epub", epub("x", enciphered=["OEBPS/text/c0.xhtml"]), "it is protected (DRM)"),
        ("a.epub", zipped({"META-INF/container.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'}), "defines entities"),
        ("a.csv", b'"' + b"x" * 200_000, "it is not readable CSV (field larger than field limit (131072))"),
        ("a.csv", b"\n,,\n", "it is empty"),
        ("a.json", b"{", "it is not valid JSON (Expecting"),
        ("a.json", b"", "it is empty"),
        ("a.json", b"[" * 100_000, "its JSON is nested too deeply"),
        ("a.jsonl", b'{}\n{"a"\n', "it is not valid JSON (line 2: "),
        ("a.json", "é".encode("latin-1"), "it is not UTF-8 text"),
        ("a.eml", b"", "it is empty"),
        ("a.eml", b"just text", "it is not an e-mail: it has no headers"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_and_what_to_do(tmp_path, name, data, part):
    for module in {".docx": ["mammoth"], ".pptx": ["pptx"], ".xlsx": ["openpyxl"]}.get(Path(name).suffix, []):
        pytest.importorskip(module)
    assert part in reason(tmp_path, name, data, max_bytes=1_000_000)


def test_a_zip_directory_that_lies_is_not_believed(tmp_path):
    pytest.importorskip("mammoth")
    honest = docx("x" * 5_000_000)
    size = zipfile.ZipFile(io.BytesIO(honest)).getinfo("word/document.xml").file_size
    lying = honest.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert "it is not a readable Word document" in reason(tmp_path, "a.docx", lying, max_bytes=1_000_000)


def test_too_large_a_file_is_never_opened(tmp_path, monkeypatch):
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(100_000_001)
    (tmp_path / "good.txt").write_text("good")
    opened = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or read_bytes(path))
    skips: list[Skipped] = []
    load_documents(tmp_path, on_skip=skips.append)
    assert [skip.reason for skip in skips] == ["it has 100.0 MB and the limit is 100.0 MB; split it or raise max_bytes"]
    assert opened == ["good.txt"]
    with pytest.raises(InvalidInputError, match="max_bytes is 0"):
        load_documents(tmp_path, max_bytes=0)


def test_links_in_circles_end(tmp_path):
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    skips: list[Skipped] = []
    assert len(load_documents(tmp_path, on_skip=skips.append)) == 1
    reasons = {skip.source: skip.reason for skip in skips}
    assert reasons["sub/up"].startswith("it is a link to a folder, which is not followed; name that folder")
    assert reasons["loop.md"].startswith("it cannot be read (Too many levels")
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path / "sub")
    (tmp_path / "sub" / "b.md").write_text("y")
    assert [d.metadata["source"] for d in load_documents(linked, on_skip=skips.append)] == ["b.md"]


def test_a_file_that_vanishes_while_it_is_read(tmp_path, monkeypatch):
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("x")
    read_bytes = Path.read_bytes

    def vanishing(path: Path) -> bytes:
        if path.name == "a.md":
            path.unlink()
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", vanishing)
    skips: list[Skipped] = []
    assert len(load_documents(tmp_path, on_skip=skips.append)) == 1
    assert [str(skip) for skip in skips] == ["Skipped a.md: it no longer exists."]


def test_patterns_and_lists(tmp_path, monkeypatch):
    for name in ("docs/a.md", "docs/deep/b.md", "docs/c.txt", "docs/d.png", "other/e.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")

    def sources(*places: object) -> list[str]:
        return [document.metadata["source"] for document in load_documents(list(places))]

    assert sources(str(tmp_path / "docs" / "**" / "*.md")) == ["a.md", "deep/b.md"]
    assert sources(tmp_path / "docs", tmp_path / "other" / "e.md") == ["docs/a.md", "docs/c.txt", "docs/deep/b.md", "other/e.md"]  # fmt: skip
    assert sources(tmp_path / "docs", str(tmp_path / "docs" / "*.md")) == ["a.md", "c.txt", "deep/b.md"]
    monkeypatch.chdir(tmp_path)
    assert sources("*/?.md") == ["docs/a.md", "other/e.md"]
    (tmp_path / "[x].md").write_text("brackets")
    assert sources("[x].md") == ["[x].md"]
    with pytest.raises(DocumentsError, match=r"No file matches .*\*\.pdf. Check the pattern"):
        load_documents("docs/*.pdf")
    with pytest.raises(DocumentsError, match="No documents are named"):
        load_documents([])
    with pytest.raises(DocumentsError, match="There is no file or folder at nowhere"):
        load_documents(["docs", "nowhere"])
    with pytest.raises(InvalidInputError, match="neither a path nor a LangChain loader"):
        load_documents([Document(page_content="x")])


def test_an_index_in_the_folder_is_no_document(tmp_path):
    for name in ("docs/a.md", "docs/index/sync.sqlite", "docs/index/x.json", "docs/s/index-0.faiss", "docs/s/manifest.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert [document.metadata["source"] for document in load_documents(tmp_path)] == ["docs/a.md"]


class Lines(BaseLoader):
    """A stranger's loader: a document for each line, without most of the metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lazy_load(self):
        for number, line in enumerate(self.path.read_text().splitlines()):
            yield Document(page_content=line, metadata={"source": str(self.path), "line": number})


def test_any_langchain_loader_is_a_source(tmp_path):
    (tmp_path / "a.log").write_text("one one\n\nthree")
    (tmp_path / "b.md").write_text("text")
    markdown, first, third = load_documents([Lines(tmp_path / "a.log"), tmp_path / "b.md"])
    assert markdown.metadata["source"] == "b.md"
    assert (first.metadata["start"], third.metadata["start"]) == (0, len("one one\n\n\n\n"))
    assert first.metadata["content_hash"] == hashlib.sha256(b"one one\n\n\n\nthree").hexdigest()
    assert third.metadata["line"] == 2
    assert [chunk.page_content for chunk in split_documents([first, third])] == ["one one", "three"]
    (tmp_path / "empty.log").write_text("")
    with pytest.raises(DocumentsError, match="the loaders returned no documents"):
        load_documents(Lines(tmp_path / "empty.log"))


def test_loaders_by_suffix(tmp_path):
    (tmp_path / "a.log").write_text("one\ntwo")
    (tmp_path / "b.pdf").write_text("scan")
    (tmp_path / "c.md").write_text("text")
    loaders = {"LOG": Lines, ".pdf": lambda path: f"# OCR\n\n{path.read_text()}"}
    documents = load_documents(tmp_path, loaders=loaders)
    assert [(d.metadata["source"], d.page_content) for d in documents] == [
        ("a.log", "one"),
        ("a.log", "two"),
        ("b.pdf", "# OCR\n\nscan"),
        ("c.md", "text"),
    ]
    assert [d.metadata["title"] for d in documents] == ["a", "a", "b", "c"]

    def broken(path: Path) -> str:
        raise KeyError("page")

    skips: list[Skipped] = []
    load_documents(tmp_path, loaders={".pdf": broken}, on_skip=skips.append)
    assert [str(skip) for skip in skips] == ["Skipped b.pdf: broken could not read it (KeyError: 'page')."]
    load_documents(tmp_path, loaders={".pdf": lambda _: " "}, on_skip=skips.append)
    assert skips[-1].reason == "it holds no text"
    structured = load_documents(tmp_path / "b.pdf", loaders={".pdf": lambda _: "# Scan\n\n## Costs\n\nfive"})
    assert [chunk.metadata["heading"] for chunk in split_documents(structured)] == ["Scan > Costs"]
    with pytest.raises(InvalidInputError, match=r"The loader for \.pdf returned no text"):
        load_documents(tmp_path, loaders={".pdf": lambda _: [1]})


def test_loaders_of_langchain_community(tmp_path):
    loaders = pytest.importorskip("langchain_community.document_loaders")
    (tmp_path / "a.txt").write_text("some text in English, which is the language of this file")
    (document,) = load_documents(loaders.TextLoader(str(tmp_path / "a.txt")))
    assert document.metadata["language"] == "en"
    assert document.metadata["start"] == 0


def test_a_missing_parser_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mammoth", None)
    (tmp_path / "a.docx").write_bytes(docx("x"))
    with pytest.raises(MissingDependencyError, match=r'pip install "langchain-gptoss\[rag\]"'):
        load_documents(tmp_path)


def test_encodings_that_a_file_names_itself(tmp_path):
    text = "Prix : 5 € à l'été"
    for name, data in {
        "le.txt": b"\xff\xfe" + text.encode("utf-16-le"),
        "be.csv": b"\xfe\xff" + text.encode("utf-16-be"),
        "32.md": b"\xff\xfe\0\0" + text.encode("utf-32-le"),
        "meta.html": f'<html><head><META http-equiv="x" content="text/html; charset=windows-1252"></head>{text}'.encode("cp1252"),
        "short.html": f"<meta charset='cp1252'>{text}".encode("cp1252"),
        "xml.htm": f'<?xml version="1.0" encoding="cp1252"?><p>{text}'.encode("cp1252"),
        "unknown.html": f"<meta charset=klingon>{text}".encode(),
        "marked.html": b"\xef\xbb\xbf" + f"<meta charset=cp1252>{text}".encode(),
    }.items():  # fmt: skip
        assert text in read(tmp_path, name, data).page_content, name


# Article 1 of the Universal Declaration of Human Rights.
ARTICLE_1 = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De har utrustats med förnuft och samvete och bör handla gentemot varandra i en anda av gemenskap.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím a mají spolu jednat v duchu bratrství.",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi. Ele sunt înzestrate cu rațiune și conștiință și trebuie să se comporte unele față de altele în spiritul fraternității.",
}  # fmt: skip
NOT_NAMED = {
    "et": "Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt. Neile on antud mõistus ja südametunnistus.",
    "cy": "Genir pawb yn rhydd ac yn gydradd â'i gilydd mewn urddas a hawliau. Fe'u cynysgaeddir â rheswm a chydwybod.",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama. Mereka dikaruniai akal dan hati nurani.",
    "hr": "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima. Ona su obdarena razumom i sviješću.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Text in English is here.",
    "zh": "人人生而自由,在尊严和权利上一律平等。The API of 他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "numbers": "12345", "nouns": "Rückgabe Gerät; Größe: 5; Ville: Orléans; Straße",
}  # fmt: skip


@pytest.mark.parametrize(("language", "text"), [*ARTICLE_1.items(), *((None, text) for text in NOT_NAMED.values())])
def test_a_language_is_named_where_the_text_leaves_no_doubt(tmp_path, language, text):
    assert read(tmp_path, "a.txt", text.encode()).metadata.get("language") == language
    long = "12 5.5 ........ 13\n" * 500 + f"{text} " * 60 + "12 5.5 ........ 13\n" * 500
    assert read(tmp_path, "a.txt", long.encode()).metadata.get("language") == language


def test_a_guess_serves_a_search():
    assert detect_language("Wie lange ist die Garantie?") == "de"
    assert detect_language("¿Cuánto cuesta el envío?") is None
    found = BM25Retriever.from_texts([*ARTICLE_1.values()])
    assert found.invoke("Menschen und Würde")[0].page_content == ARTICLE_1["de"]
    assert found.invoke("humain")[0].page_content == ARTICLE_1["fr"]


def test_metadata_is_json(tmp_path):
    (tmp_path / "a.eml").write_bytes(eml("x", text="y"))
    json.dumps([document.metadata for document in load_documents(tmp_path)])
