"""CSV: delimiters, quotation marks, comments and the lines around a table."""

import pytest

from langchain_gptoss.ingest import split_documents
from langchain_gptoss.ingest.readers.csv_files import read_csv
from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason


def read_lines(text):
    data = text if isinstance(text, bytes) else text.encode()
    return [line for line in read_csv(data, 10**9).pages[0].splitlines() if line]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "Name,City\nAnna,Paris\nBob,\n", "- Name: Anna; City: Paris\n- Name: Bob"),
        ("a.csv", 'Nom;Ville\n"Anne; dite ""Nana""";"Paris\nNord"\n', '- Nom: Anne; dite "Nana"; Ville: Paris Nord'),
        ("a.csv", "1,2\n3,4\n", "- 1; 2\n- 3; 4"),
        ("a.csv", "only\n", "- only"),
        ("a.tsv", "Name\tAge\nAnna\t3\t4\n", "- Name: Anna; Age: 3; 4"),
    ],
)
def test_rows_become_list_items(tmp_path, name, text, expected):
    document = load_text(tmp_path, name, text.encode())
    assert document.page_content == expected
    assert document.metadata["title"] == "a"
    assert {chunk.metadata["heading"] for chunk in split_documents([document])} == {""}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Nom;Prix\nA;1,5\nB;2,5\n", ["- Nom: A; Prix: 1,5", "- Nom: B; Prix: 2,5"]),
        ("Paris;1,5\nLyon;2,5\n", ["- Paris: 1,5", "- Lyon: 2,5"]),
        ("1,5;2,5;3,5\n4,5;5,5;6,5\n", ["- 1,5; 2,5; 3,5", "- 4,5; 5,5; 6,5"]),
        ("Name,Tags,Price\nTea,a;b,3\nMilk,c;d,4\n", ["- Name: Tea; Tags: a;b; Price: 3", "- Name: Milk; Tags: c;d; Price: 4"]),
        ("Nom;Adresse\nZoé;4 rue, Brest\nLéo;5 rue, Lyon\n", ["- Nom: Zoé; Adresse: 4 rue, Brest", "- Nom: Léo; Adresse: 5 rue, Lyon"]),
        ("Prix, 2025, en euros\nNom;Prix\nA;3\nB;4\n", ["Prix, 2025, en euros", "- Nom: A; Prix: 3", "- Nom: B; Prix: 4"]),
        ("Name\tCity\nAnna\tParis, France\nBob\tLyon, France\n", ["- Name: Anna; City: Paris, France", "- Name: Bob; City: Lyon, France"]),
        ("Name|City\nAnna|Paris\n", ["- Name: Anna; City: Paris"]),
        ('Name,Amount\nA,"1,234.50"\nB,"2,000.00"\n', ["- Name: A; Amount: 1,234.50", "- Name: B; Amount: 2,000.00"]),
        ("Code;CP\n00123;01000\n00124;75001\n", ["- Code: 00123; CP: 01000", "- Code: 00124; CP: 75001"]),
        ("Name,City\rAnna,Paris\rBob,Lyon\r", ["- Name: Anna; City: Paris", "- Name: Bob; City: Lyon"]),
        ('Name, Note\nAnna, "a, b"\n', ["- Name: Anna; Note: a, b"]),
        ("Name,City,Age\nAnna,Paris\nBob,Lyon,4,extra\n", ["- Name: Anna; City: Paris", "- Name: Bob; City: Lyon; Age: 4; extra"]),
        ("Name,Note\nA,x\x0cy\nB,z\u2028w\n", ["- Name: A; Note: x y", "- Name: B; Note: z w"]),
    ],
)  # fmt: skip
def test_all_lines_decide_the_delimiter(text, lines):
    assert read_lines(text) == lines


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffsep=;\nName;City\nAline;Brest\n".encode(),
        b'"sep=|"\r\nName|City\r\nAline|Brest\r\n',
        b"sep=\t\nName\tCity\nAline\tBrest\n",
        b"SEP=;\r\nName;City\r\nAline;Brest",
        "\ufeffsep=;\r\nName;City\r\nAline;Brest\r\n".encode("utf-16-le"),
    ],
)
def test_the_file_can_state_its_delimiter(text):
    assert read_lines(text) == ["- Name: Aline; City: Brest"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('Name,Note\nAnna,"line one\nline two"\nBob,"x ""y"" z"\n', ["- Name: Anna; Note: line one line two", '- Name: Bob; Note: x "y" z']),
        ('Name,Note\nAnna,"said \\"hi\\", ok"\n', ['- Name: Anna; Note: said "hi", ok']),
        ('Name,Size\nTV,55"\nPC,13\n', ['- Name: TV; Size: 55"', "- Name: PC; Size: 13"]),
        ('Name,Note\nAnna,"open\n' + "Bob,x\n" * 150, ['- Name: Anna; Note: "open', *["- Name: Bob; Note: x"] * 150]),
    ],
)  # fmt: skip
def test_quotation_marks(text, lines):
    assert read_lines(text) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# Exported by X, Y\n# second\nName,Age\nAnna,3\nBob,4\n", ["- Name: Anna; Age: 3", "- Name: Bob; Age: 4", "Exported by X, Y", "second"]),
        ("# Exported by X, Y\nName,Age\nAnna,3\n", ["- Name: Anna; Age: 3", "Exported by X, Y"]),
        ("#Name,Age\nAnna,3\nBob,4\n", ["- Name: Anna; Age: 3", "- Name: Bob; Age: 4"]),
        ("#,Name\n1,Anna\n2,Bob\n", ["- #: 1; Name: Anna", "- #: 2; Name: Bob"]),
        ("Rank,Name\n#1,Anna\n#2,Bob\n", ["- Rank: #1; Name: Anna", "- Rank: #2; Name: Bob"]),
        ("Name;Age\nAnna;3\n# in years\nBob;4\n", ["- Name: Anna; Age: 3", "- Name: Bob; Age: 4", "in years"]),
    ],
)  # fmt: skip
def test_comments_are_no_rows(text, lines):
    assert read_lines(text) == lines


def test_a_title_is_the_title_of_the_document_and_the_heading_of_its_chunks(tmp_path):
    rows = "".join(f"Ship {number};Captain {number};{number}\n" for number in range(60))
    document = load_text(tmp_path, "crew.csv", f"Crew list, summer 2025;;\n\nShip;Master;Wage\n{rows}".encode())
    assert document.metadata["title"] == "Crew list, summer 2025"
    assert document.page_content.startswith("Crew list, summer 2025\n\n- Ship: Ship 0; Master: Captain 0; Wage: 0\n")
    chunks = split_documents([document])
    assert len(chunks) > 2
    assert {chunk.metadata["heading"] for chunk in chunks} == {"Crew list, summer 2025"}


def test_lines_that_look_like_headings_are_rows(tmp_path):
    document = load_text(tmp_path, "a.csv", b"Tag,Use\n# x,title\n## y,section\n")
    (chunk,) = split_documents([document])
    assert chunk.page_content == "- Tag: # x; Use: title\n- Tag: ## y; Use: section"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'"' + b"x" * 200_000, "it is not readable CSV (field larger than field limit (131072))"),
        (b"\n,,\n", "it is empty"),
    ],
)
def test_unusable_files_are_skipped(tmp_path, data, reason):
    assert reason in read_skip_reason(tmp_path, "a.csv", data)
