"""Columns of text in reading order."""

import re
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from statistics import median

from langchain_gptoss.ingest.readers.pdf.lines import Line, PageLines, rebuild_line
from langchain_gptoss.ingest.readers.pdf.regions import Band, Region, find_regions, group_bands, split_lines
from langchain_gptoss.ingest.readers.pdf.text_tables import find_row_lines, find_table_lines
from langchain_gptoss.ingest.readers.pdf.words import Word

_MIN_COLUMN_LINES = 4
_MIN_ROWS = 3
_MIN_WORDS_PER_LINE = 2.5
_FULL_SHARE = 0.7  # of the column's width that a full line has
_MIN_FULL_LINES = 0.5  # share of full lines in a column of text
_MIN_ALIGNED = 0.6  # share of a column's lines that begin at its left edge
_ALIGNED_POINTS = 2.0
_MIN_WIDTH_SHARE = 0.75  # of the width of the column beside it
_LIST_MARK = re.compile(r"[^\w\s]{1,2}|\(?(?:\d{1,3}|[a-zA-Z])[.):]")


def arrange_regions(page: PageLines) -> PageLines:
    """Return a page with its columns of text one after the other and its tables as lines that name their columns.

    PDFium gives the text in the order in which it is drawn. Programs that draw line by line over all columns mix them.
    """
    lines = list(page.lines)
    for region in find_regions([line.words for line in lines]):
        bold = frozenset(word.start for line in page.lines if line.is_bold for word in line.words)
        lines = _arrange_region(page.raw_text, lines, region, bold)
    return page.replace_lines(lines)


def _arrange_region(text: str, lines: list[Line], region: Region, bold: frozenset[int]) -> list[Line]:
    columns = region.split_words(word for band in region.bands for word in band.words)
    if all(_LIST_MARK.fullmatch(text, word.start, word.end) for word in columns[0]):
        return lines
    if _is_prose(text, columns) and not _has_rows(region):
        return lines if _is_in_order(columns) else _replace_words(lines, region.bands, _list_lines(text, columns), text)
    rows = find_table_lines(text, region, bold)
    if rows is None:
        # Blocks beside each other, such as two addresses, are drawn one after the other; rows are not.
        rows = None if _is_in_order(columns) else find_row_lines(text, region)
    return lines if rows is None else _replace_words(lines, region.bands, rows, text)


def _is_prose(text: str, columns: Sequence[Sequence[Word]]) -> bool:
    """Return True if columns hold lines of text that begin below each other and fill the width of their column.

    A column beside such a one may have more short lines, such as headings and items of a list, if it is as wide and
    one of its sentences runs over its full width into the next line.
    """
    split = [split_lines(words) for words in columns]
    full = [lines for lines in split if _is_text_column(lines)]
    width = max((_measure_width(lines) for lines in full), default=inf)
    return all(lines in full or _is_running_column(text, lines, width) for lines in split)


def _is_running_column(text: str, lines: Sequence[Sequence[Word]], width: float) -> bool:
    if not _is_aligned(lines) or _measure_width(lines) < _MIN_WIDTH_SHARE * width:
        return False
    left = _find_left(lines)
    return any(
        line[-1].box.right - left >= _FULL_SHARE * width and text[following[0].start].islower()
        for line, following in pairwise(lines)
    )


def _has_rows(region: Region) -> bool:
    """Return True if the same gaps divide all columns, as between the rows of a table."""
    groups = group_bands(region.bands)
    if not _MIN_ROWS <= len(groups) < len(region.bands):
        return False
    return all(all(region.split_words(word for band in group for word in band.words)) for group in groups)


def _is_text_column(lines: Sequence[Sequence[Word]]) -> bool:
    if not _is_aligned(lines):
        return False
    left, width = _find_left(lines), _measure_width(lines)
    full = sum(line[-1].box.right - left >= _FULL_SHARE * width for line in lines)
    return full >= _MIN_FULL_LINES * len(lines)


def _is_aligned(lines: Sequence[Sequence[Word]]) -> bool:
    """Return True for lines of some words each that begin below each other."""
    if len(lines) < _MIN_COLUMN_LINES or sum(map(len, lines)) < _MIN_WORDS_PER_LINE * len(lines):
        return False
    left = _find_left(lines)
    aligned = sum(abs(line[0].box.left - left) <= _ALIGNED_POINTS for line in lines)
    return aligned >= _MIN_ALIGNED * len(lines)


def _find_left(lines: Sequence[Sequence[Word]]) -> float:
    return median(line[0].box.left for line in lines)


def _measure_width(lines: Sequence[Sequence[Word]]) -> float:
    return max(line[-1].box.right for line in lines) - _find_left(lines)


def _is_in_order(columns: Sequence[Sequence[Word]]) -> bool:
    """Return True if the text of the page already holds one column after the other."""
    end = -1
    for words in columns:
        if min(word.start for word in words) < end:
            return False
        end = max(word.end for word in words)
    return True


def _list_lines(text: str, columns: Sequence[Sequence[Word]]) -> list[Line]:
    return [rebuild_line(text, line) for words in columns for line in split_lines(words)]


def _replace_words(lines: Sequence[Line], bands: Sequence[Band], replacement: Sequence[Line], text: str) -> list[Line]:
    """Return lines with others in place of the words of some bands."""
    removed = {word.start for band in bands for word in band.words}
    kept: list[Line] = []
    place: int | None = None
    for line in lines:
        rest = [word for word in line.words if word.start not in removed]
        if len(rest) == len(line.words):
            kept.append(line)
            continue
        place = len(kept) if place is None else place
        if rest:
            kept.append(rebuild_line(text, rest))
    place = len(kept) if place is None else place
    return [*kept[:place], *replacement, *kept[place:]]
