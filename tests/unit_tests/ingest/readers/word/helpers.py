"""Word files whose XML a test writes."""

from langchain_gptoss.ingest.readers.word import read_docx
from tests.unit_tests.ingest.sample_files import create_zip

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_NAMESPACES = (
    f'xmlns:w="{_W}" xmlns:r="{_R}" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ' xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"'
    ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml"'
)
_ROOTS = {"header": "hdr", "footer": "ftr"}
STYLES = "".join(
    f'<w:style w:styleId="{identifier}"><w:name w:val="{name}"/>{rest}</w:style>'
    for identifier, name, rest in (
        ("Titre", "Title", ""),
        ("Titre1", "heading 1", ""),
        ("Titre2", "heading 2", '<w:basedOn w:val="Titre1"/>'),
        ("Clause", "Clause", '<w:basedOn w:val="Titre2"/>'),
        ("Plan", "Plan", '<w:pPr><w:outlineLvl w:val="2"/></w:pPr>'),
        ("Masque", "Hidden", "<w:rPr><w:vanish/></w:rPr>"),
        ("Exposant", "Raised", '<w:rPr><w:vertAlign w:val="superscript"/></w:rPr>'),
    )
)


def create_word_parts(body: str, **parts: str) -> dict[str, str]:
    """Return the parts of a Word file from the XML of its body and of other parts: numbering, footnotes, header1."""
    parts = {"styles": STYLES, **parts}
    relationships = "".join(
        f'<Relationship Id="{name}" Type="{_R}/{name.rstrip("0123456789")}" Target="{name}.xml"/>' for name in parts
    )
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    files = {
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="a" Type="{_R}/officeDocument" '
        'Target="/word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}">{relationships}</Relationships>',
        "word/document.xml": f"<w:document {_NAMESPACES}><w:body>{body}</w:body></w:document>",
    }
    for name, xml in parts.items():
        kind = name.rstrip("0123456789")
        root = _ROOTS.get(kind, kind)
        files[f"word/{name}.xml"] = f"<w:{root} {_NAMESPACES}>{xml}</w:{root}>"
    return files


def create_word_file(body: str, **parts: str) -> bytes:
    """Create a Word file; see `create_word_parts`."""
    return create_zip(create_word_parts(body, **parts))


def read_word(body: str, **parts: str) -> str:
    """Return the text of such a file."""
    (page,) = read_docx(create_word_file(body, **parts), 10**9).pages
    return page


def write_paragraph(*runs: str, properties: str = "") -> str:
    """Return a paragraph of runs; a run without markup is a text."""
    content = "".join(run if run.startswith("<") else write_run(run) for run in runs)
    return f"<w:p>{f'<w:pPr>{properties}</w:pPr>' if properties else ''}{content}</w:p>"


def write_run(text: str, properties: str = "") -> str:
    """Return a run of a text with properties."""
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def write_raised(text: str) -> str:
    """Return a run in superscript."""
    return write_run(text, '<w:vertAlign w:val="superscript"/>')


def write_field(instruction: str, *result: str) -> str:
    """Return the runs of a complex field."""
    return (
        f'<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> {instruction} </w:instrText></w:r>'
        f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{"".join(map(write_run, result))}'
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def write_table(*rows: str) -> str:
    """Return a table of rows of cells."""
    return f"<w:tbl><w:tblPr/>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def write_cell(text: str, properties: str = "") -> str:
    """Return a cell with a paragraph, or with the XML of its content."""
    content = text if text.startswith("<w:") else write_paragraph(text)
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{content}</w:tc>"
