"""Running heads, running feet and page numbers: lines in the margins of pages that are no part of the text."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import inf
from statistics import median

from langchain_gptoss.ingest.readers.pdf.lines import Line, PageLines

_MARGIN_SHARE = 0.15  # of the page's height, in which a running head stands
_MAX_LINES = 4  # in one margin
_SAME_PLACE_POINTS = 4.0
_MAX_SIZE = 1.15  # times the size of the text; a larger line is a title
_MIN_SHARE = 0.6  # of the pages, or of the even or the odd ones
_MIN_TITLE_PAGES = 3  # with a title that is a running head
_MIN_CERTAIN_PAGES = 4  # with the same line, which is a running head even if it stands close to the text
_MIN_GAP = 0.5  # heights of a line between a running head and the text
_MIN_CHAPTER_PAGES = 3  # neighbouring pages whose head names their chapter
_MIN_COUNTING_PAGES, _MIN_COUNTING_SHARE = 3, 0.5  # pages whose number stands in a margin
_NUMBER_MARKS = " -–—|·•.[]()/"
_LINE_GAP = 0.6  # of a line's height: a table's header stands nearer to its first row
_MAX_ROMAN = 3999

_ROMAN = r"[ivxlcdm]+"
_NUMBER = re.compile(rf"\d+|(?<![^\W_]){_ROMAN}(?![^\W_])", re.IGNORECASE)
_PAGE_WORD = r"(?:pages?|pag\.?|pp?\.|p|seite|página|pagina|sheet|folio|feuillet)"
_PAGE_NUMBER = re.compile(
    rf"[\W_]*(?:{_PAGE_WORD}\s*)?(?:n[o°]\.?\s*)?(?P<number>\d+|{_ROMAN})"
    rf"(?:\s*(?:/|\||of|sur|de|von|out of)\s*(?:{_PAGE_WORD}\s*)?\d+)?[\W_]*",
    re.IGNORECASE,
)
_EXPLICIT_PAGE_NUMBER = re.compile(
    rf"[\W_]*{_PAGE_WORD}\s*(?P<number>\d+)\s*(?:/|\||of|sur|de|von)\s*\d+[\W_]*", re.IGNORECASE
)
# A number after these words names a part of the text, and does not count pages.
_PART_NUMBER = re.compile(
    r"\b(?:art(?:icles?|\.)|chap(?:ters?|itres?|\.)|sections?|annex(?:es?)?|appendi(?:x|ces)|part(?:ie)?s?|steps?|étapes?|questions?|"
    r"lots?|titles?|titres?|tab(?:le|leau|elle)s?|fig(?:ures?|\.)|days?|jours?|tage?|weeks?|semaines?|lessons?|leçons?|exerci[cs]es?|"
    r"clauses?|rules?|règles?|items?|modules?|units?|unités?|slides?|rooms?|salles?|invoice|facture|n[o°]|no\.|#)\W{0,3}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A line in a margin.

    Attributes:
        page: Index of its page.
        index: Index of the line on the page.
        is_top: True in the upper margin.
        edge: Distance of its baseline from the lower edge of the page in points.
        numbers: The numbers in it.
        pattern: Its text with each number replaced, in lower case.
        text: Its text in lower case.
        gap: Distance to the next line towards the middle of the page, in heights of the line.
        is_title: True if it is larger than text.
        is_bold: True if it is bold.
    """

    page: int
    index: int
    is_top: bool
    edge: float
    numbers: tuple[int, ...]
    pattern: str
    text: str
    gap: float
    is_title: bool
    is_bold: bool

    @property
    def is_page_number(self) -> bool:
        """True if the line says nothing but the number of its page."""
        return _PAGE_NUMBER.fullmatch(self.text) is not None


def remove_running_heads(pages: Sequence[PageLines]) -> list[PageLines]:
    """Return pages without the lines that repeat in their margins and without page numbers.

    A line goes if the pages have it at the same place, apart from a number that counts pages. The first page keeps a
    line that is larger than the text, which is the title. Headers of tables, which stand close above their rows, stay.
    """
    heights = [line.box.height for page in pages for line in page.lines if line.box.height > 0]
    max_height = _MAX_SIZE * median(heights) if heights else 0.0
    candidates = [item for number, page in enumerate(pages) for item in _find_candidates(number, page, max_height)]
    running = set(_find_running(candidates, len(pages)))
    repeats = Counter(item.text for item in running)
    removed: dict[int, set[int]] = defaultdict(set)
    for _, margin in groupby(candidates, key=lambda item: (item.page, item.is_top)):
        for item in _drop_close(list(_find_outermost(list(margin), running)), repeats):
            removed[item.page].add(item.index)
    return [_remove_lines(page, removed[number]) for number, page in enumerate(pages)]


def _remove_lines(page: PageLines, removed: set[int]) -> PageLines:
    if not removed:
        return page
    kept = [line for index, line in enumerate(page.lines) if index not in removed]
    # A page of nothing but a repeated line is a page with little text.
    if not kept:
        kept = [line for line in page.lines if not _PAGE_NUMBER.fullmatch(line.text.casefold())]
    return page.replace_lines(kept)


def _find_candidates(number: int, page: PageLines, max_height: float) -> Iterator[_Candidate]:
    upright = [(index, line) for index, line in enumerate(page.lines) if line.box.height > 0]
    if not upright or page.height <= 0:
        return
    from_top = sorted(upright, key=lambda item: -item[1].box.top)
    for is_top, lines in ((True, from_top), (False, from_top[::-1])):
        for index, line in lines[:_MAX_LINES]:
            depth = page.height - line.box.top if is_top else line.box.bottom
            if depth > _MARGIN_SHARE * page.height:
                break
            if not (is_top and _is_table_header(line, page.lines)):
                yield _create_candidate(number, index, page.lines, is_top=is_top, max_height=max_height)


def _create_candidate(page: int, index: int, lines: Sequence[Line], *, is_top: bool, max_height: float) -> _Candidate:
    line = lines[index]
    text = " ".join(line.text.casefold().split())
    box = line.box
    if is_top:
        distances = [box.bottom - other.box.top for other in lines if other.box.bottom < box.bottom]
    else:
        distances = [other.box.bottom - box.top for other in lines if other.box.top > box.top]
    return _Candidate(
        page=page,
        index=index,
        is_top=is_top,
        edge=box.bottom,
        numbers=tuple(value for match in _NUMBER.finditer(text) if (value := _read_number(match[0])) is not None),
        pattern=_NUMBER.sub("#", text),
        text=text,
        gap=min(distances, default=inf) / box.height,
        is_title=box.height > max_height,
        is_bold=line.is_bold,
    )


def _is_table_header(line: Line, lines: Sequence[Line]) -> bool:
    """Return True if the words of a line stand at the same places as those of the line close below it."""
    below = [
        other
        for other in lines
        if other.box.top <= line.box.bottom + line.box.height / 2
        and line.box.bottom - other.box.top < _LINE_GAP * line.box.height
    ]
    edges = {round(edge) for other in below for word in other.words for edge in (word.box.left, word.box.right)}
    starts = [word.box for word in line.words]
    gaps = [
        box
        for before, box in pairwise(starts)
        if box.left - before.right > line.box.height and edges & {round(box.left), round(box.right)}
    ]
    return bool(gaps)


def _find_running(candidates: Sequence[_Candidate], page_count: int) -> Iterator[_Candidate]:
    yield from (item for item in candidates if _EXPLICIT_PAGE_NUMBER.fullmatch(item.text))
    small = [item for item in candidates if not item.is_title]
    yield from _find_counting(small, page_count)
    groups: dict[tuple[bool, str], list[_Candidate]] = defaultdict(list)
    for item in candidates:
        groups[item.is_top, item.pattern].append(item)
    for items in _group_by_offset([item for item in small if item.is_page_number and item.numbers]):
        if _is_repeated(items, page_count):
            yield from items
    for same_pattern in groups.values():
        for items in _group_by_place(same_pattern):
            for same in (*_group_by_text(items), *([items] if _has_page_count(items) else [])):
                if same[0].is_title:
                    if len(same) >= _MIN_TITLE_PAGES and len(same) >= _MIN_SHARE * page_count:
                        yield from sorted(same, key=lambda item: item.page)[1:]
                elif _is_repeated(same, page_count):
                    yield from same


def _drop_close(outermost: list[_Candidate], repeats: Counter[str]) -> list[_Candidate]:
    """Return the running lines of a margin without those close to the text, which are headings, unless many repeat."""
    while outermost:
        inner = outermost[-1]
        if inner.is_page_number or inner.gap >= _MIN_GAP or repeats[inner.text] >= _MIN_CERTAIN_PAGES:
            break
        outermost = outermost[:-1]
    return outermost


def _find_counting(candidates: Sequence[_Candidate], page_count: int) -> Iterator[_Candidate]:
    """Yield the lines that begin or end with the number of their page, whatever else they say.

    Heads of books name the chapter beside the number.
    """
    offsets = {item: {number - item.page for number in _list_outer_numbers(item)} for item in candidates}
    pages = Counter(offset for _, offset in {(item.page, offset) for item in candidates for offset in offsets[item]})
    for offset, count in pages.items():
        if count < max(_MIN_COUNTING_PAGES, _MIN_COUNTING_SHARE * page_count):
            continue
        counting = [item for item in candidates if offset in offsets[item]]
        patterns = Counter(item.pattern for item in counting)
        for is_top in (True, False):
            for items in _group_by_place([item for item in counting if item.is_top == is_top]):
                if len(items) > 1:
                    # "2 Pumps" on the second page of many may be a heading, and one on several pages is none.
                    yield from (
                        item for item in items if patterns[item.pattern] > 1 or not item.pattern.startswith("#")
                    )
        yield from (item for item in counting if item.is_page_number)


def _list_outer_numbers(item: _Candidate) -> Iterator[int]:
    """Yield the numbers at the beginning and at the end of a line that may be page numbers."""
    parts = item.pattern.split("#")
    if item.is_bold and not item.is_page_number:
        return
    if len(parts) == 1 or len(item.numbers) != len(parts) - 1:
        return
    if not parts[0].strip(_NUMBER_MARKS):
        yield item.numbers[0]
    if not parts[-1].strip(_NUMBER_MARKS) and not _PART_NUMBER.search(parts[-2]):
        yield item.numbers[-1]


def _find_outermost(margin: Sequence[_Candidate], running: set[_Candidate]) -> Iterator[_Candidate]:
    """Yield the running lines of a margin from its edge to the first line of text."""
    text_edge = next((item.edge for item in margin if item not in running), None)
    for item in margin:
        is_outside = text_edge is None or (item.edge > text_edge if item.is_top else item.edge < text_edge)
        if item in running and (is_outside or item.edge == text_edge):
            yield item


def _group_by_place(items: Sequence[_Candidate]) -> Iterator[list[_Candidate]]:
    group: list[_Candidate] = []
    for item in sorted(items, key=lambda item: item.edge):
        if group and item.edge - group[-1].edge > _SAME_PLACE_POINTS:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _group_by_text(items: Sequence[_Candidate]) -> list[list[_Candidate]]:
    groups: dict[str, list[_Candidate]] = defaultdict(list)
    for item in items:
        groups[item.text].append(item)
    return list(groups.values())


def _group_by_offset(items: Sequence[_Candidate]) -> Iterator[list[_Candidate]]:
    """Yield the page numbers that count the pages from the same first page at the same height."""
    groups: dict[tuple[bool, int], list[_Candidate]] = defaultdict(list)
    for item in items:
        groups[item.is_top, item.numbers[0] - item.page].append(item)
    for group in groups.values():
        yield from _group_by_place(group)


def _has_page_count(items: Sequence[_Candidate]) -> bool:
    """Return True if one number in the lines counts the pages and the others do not change."""
    columns = list(zip(*(item.numbers for item in items), strict=False))
    changing = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    if len(changing) != 1 or items[0].is_bold:
        return False
    before = items[0].pattern.split("#")[changing[0]]
    offsets = {item.numbers[changing[0]] - item.page for item in items}
    return len(offsets) == 1 and not _PART_NUMBER.search(before)


def _is_repeated(items: Sequence[_Candidate], page_count: int) -> bool:
    """Return True if lines stand on most pages, on most even or odd ones, or on a chapter's worth of neighbours."""
    pages = sorted({item.page for item in items})
    if len(pages) < 2:
        return False
    if len(pages) >= _MIN_SHARE * page_count:
        return True
    steps = {later - earlier for earlier, later in pairwise(pages)}
    if len({page % 2 for page in pages}) == 1 and len(pages) >= _MIN_SHARE * page_count / 2:
        return True
    return len(pages) >= _MIN_CHAPTER_PAGES and max(steps) <= 2


def _read_number(text: str) -> int | None:
    if text.isdecimal():
        return int(text) if len(text) < 10 else None
    values = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}[char] for char in text.casefold()]
    total = sum(-value if value < max(values[place:]) else value for place, value in enumerate(values))
    return total if total <= _MAX_ROMAN else None
