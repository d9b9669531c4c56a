"""PDFs with text at given places."""

from collections.abc import Sequence
from typing import NamedTuple

from tests.unit_tests.ingest.sample_files import assemble_pdf

LINE_PITCH = 14.0
TOP, BOTTOM = 810.0, 30.0  # baselines of a running head and of a page number on A4


class Text(NamedTuple):
    """A text in Helvetica with its place.

    Attributes:
        x: Left edge in points from the left.
        y: Baseline in points from the bottom.
        text: The text, of characters that Windows-1252 has.
        size: Font size.
        angle: Font matrix: "1 0 0 1" for text that runs to the right, "0 1 -1 0" for text that runs upwards.
        is_bold: True for Helvetica-Bold.
    """

    x: float
    y: float
    text: str
    size: float = 11
    angle: str = "1 0 0 1"
    is_bold: bool = False


def place_lines(x: float, y: float, *lines: str, pitch: float = LINE_PITCH, size: float = 11) -> list[Text]:
    """Place lines below each other, the first with its baseline at `y`."""
    return [Text(x, y - pitch * number, line, size) for number, line in enumerate(lines)]


def create_placed_pdf(
    *pages: Sequence[Text],
    page_entries: Sequence[str] = (),
    drawings: Sequence[str] = (),
    extra: Sequence[str] = (),
    catalog: str = "",
) -> bytes:
    """Create a PDF of A4 pages.

    Args:
        pages: The texts of each page, in the order in which they are drawn.
        page_entries: More entries of each page's dictionary.
        drawings: Operators to draw before the text of each page.
        extra: Objects after the pages, the first numbered `5 + 2 * len(pages)`.
        catalog: More entries of the catalogue.
    """
    kids = " ".join(f"{5 + 2 * i} 0 R" for i in range(len(pages)))
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /{} /Encoding /WinAnsiEncoding >>"
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        font.format("Helvetica"),
        font.format("Helvetica-Bold"),
    ]
    for number, texts in enumerate(pages):
        entries = page_entries[number] if number < len(page_entries) else ""
        drawing = drawings[number] if number < len(drawings) else ""
        stream = "\n".join([drawing, *map(_format_text, texts)])
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {6 + 2 * number} 0 R {entries} "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    return assemble_pdf([*objects, *extra])


def _format_text(item: Text) -> str:
    data = item.text.encode("cp1252").hex()
    font = "F2" if item.is_bold else "F1"
    return f"BT /{font} {item.size} Tf {item.angle} {item.x} {item.y} Tm <{data}> Tj ET"
