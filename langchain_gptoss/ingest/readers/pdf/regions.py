"""Regions of a page whose words stand in columns: columns of text, and tables."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from operator import itemgetter
from statistics import median

from langchain_gptoss.ingest.readers.pdf.words import Word

Gap = tuple[float, float]
"""A horizontal interval without words: its left and its right edge."""

_CORE_SHARE = 0.25  # of a word's height above and below that does not count, because lines may overlap a little
_MIN_GAP_EMS = 0.75  # the narrowest gutter; LaTeX sets 10 points between columns of 10-point text
_MAX_PITCH = 1.1  # times the usual distance of lines, at which a line on one side only still belongs to the region
_MIN_LINE_PITCH_EMS, _MAX_LINE_PITCH_EMS = 0.8, 1.4  # within a paragraph or a cell
_MAX_BLOCK_PITCH = 1.25  # times the distance of lines, at which another paragraph or row begins
_MAX_DISTANCE = 2.5  # times the usual distance of lines, at which another region begins
_MIN_DIVIDER_PITCH = 1.15  # times the usual distance, above and below a line between two tables
_MIN_ROWS = 3  # with words on both sides of a gutter
_MIN_ROWS_SHARE = 0.6  # of the rows of a small table


@dataclass(frozen=True, kw_only=True)
class Band:
    """Words between two horizontal strips without text: a line, a row of a table, or lines side by side.

    Attributes:
        words: The words.
        top: Upper edge.
        bottom: Lower edge.
        gaps: Intervals without words; the first and the last are unbounded.
    """

    words: Sequence[Word]
    top: float
    bottom: float
    gaps: Sequence[Gap]


@dataclass(frozen=True, kw_only=True)
class Region:
    """Bands with common gutters.

    Attributes:
        bands: The bands, from top to bottom.
        gutters: The intervals between the columns, from left to right.
    """

    bands: Sequence[Band]
    gutters: Sequence[Gap]

    def split_words(self, words: Iterable[Word]) -> list[list[Word]]:
        """Return words by column."""
        columns: list[list[Word]] = [[] for _ in range(len(self.gutters) + 1)]
        for word in words:
            columns[sum(word.box.left >= right for _, right in self.gutters)].append(word)
        return columns


def find_regions(lines: Sequence[Sequence[Word]]) -> Iterator[Region]:
    """Yield the regions with two columns at least, from top to bottom.

    Args:
        lines: The upright words of a page, by line of its text.
    """
    heights = [word.box.top - word.box.bottom for line in lines for word in line]
    if not heights:
        return
    min_gap = _MIN_GAP_EMS * median(heights)
    if _count_signs(lines, min_gap) >= _MIN_ROWS:
        yield from _find_in_bands(list(_find_bands([word for line in lines for word in line], min_gap)), min_gap)


def _count_signs(lines: Sequence[Sequence[Word]], min_gap: float) -> int:
    """Return a number of lines that columns can explain: those with a wide gap, or one above the line before it.

    This is much faster than to look for columns, and most pages have none.
    """
    signs = 0
    end = inf
    for line in lines:
        _, bottom, _, top = line[0].box
        signs += _MIN_ROWS * (top > end + (top - bottom) / 2)
        end = bottom
        previous = inf
        for word in line:
            left, _, right, _ = word.box
            if left - previous >= min_gap:
                signs += 1
                break
            previous = right
    return signs


def _find_in_bands(bands: Sequence[Band], min_gap: float) -> Iterator[Region]:
    first = 0
    while len(bands) - first >= _MIN_ROWS:
        if not _has_inner_gap(bands[first]):
            first += 1
            continue
        start, end = _find_run(bands, first, min_gap)
        gutters = _choose_gutters(bands[start:end], min_gap)
        if not gutters:
            first += 1
            continue
        start, end = _extend(bands, start, end, first, gutters, min_gap)
        yield Region(bands=bands[start:end], gutters=gutters)
        first = end


def _has_inner_gap(band: Band) -> bool:
    return len(band.gaps) > 2


def _find_run(bands: Sequence[Band], first: int, min_gap: float) -> tuple[int, int]:
    """Return the bands from the first on that share a gutter, up to the last one with words on both sides."""
    gaps: Sequence[Gap] = bands[first].gaps
    end = first + 1
    steps: list[float] = []
    for number in range(first + 1, len(bands)):
        band = bands[number]
        common = intersect_gaps(gaps, band.gaps, min_gap)
        gutters = _find_gutters(bands[first : first + 1], common)
        step = bands[number - 1].top - band.top
        usual = median(steps) if steps else inf
        if not gutters or step > _MAX_DISTANCE * usual:
            break
        has_both_sides = _has_both_sides(band, gutters)
        if has_both_sides and _has_lost_gutter(bands[first:end], gaps, common):
            break
        following = bands[number + 1].top if number + 1 < len(bands) else -inf
        if not has_both_sides and min(step, band.top - following) > _MIN_DIVIDER_PITCH * usual:
            break
        # Text in the middle of a cell of several lines stands half a line below their first one.
        if step > min_gap:
            steps.append(step)
        gaps = common
        if has_both_sides:
            end = number + 1
    return first, end


def _has_lost_gutter(bands: Sequence[Band], gaps: Sequence[Gap], common: Sequence[Gap]) -> bool:
    """Return True if a gutter of a table is none in the gaps that it shares with the next row.

    A row of totals often has a cell that covers several columns.
    """
    lost = [
        gap
        for gap in _find_gutters(bands, gaps)
        if not any(left < gap[1] and gap[0] < right for left, right in common[1:-1])
    ]
    return any(sum(_has_both_sides(band, [gap]) for band in bands) >= _MIN_ROWS for gap in lost)


def _choose_gutters(bands: Sequence[Band], min_gap: float) -> list[Gap]:
    """Return the gutters of bands, if one of them has enough rows on both sides."""
    rows = [(gap, _count_rows_around(bands, gap)) for gap in _share_gaps(bands, min_gap)]
    if max((count for _, count in rows), default=0) < _MIN_ROWS:
        return []
    # The names of a table often begin with an empty cell.
    return [gap for gap, count in rows if count >= min(_MIN_ROWS, _MIN_ROWS_SHARE * len(bands))]


def _share_gaps(bands: Sequence[Band], min_gap: float) -> list[Gap]:
    gaps = list(bands[0].gaps)
    for band in bands[1:]:
        gaps = intersect_gaps(gaps, band.gaps, min_gap)
    return _find_gutters(bands, gaps)


def _extend(
    bands: Sequence[Band], start: int, end: int, first: int, gutters: Sequence[Gap], min_gap: float
) -> tuple[int, int]:
    """Return the bands of a region and those close above and below, which have words on one side of its gutters."""
    pitch = _MAX_PITCH * measure_pitch([band.top for band in bands[start:end]])

    def can_add(band: Band, distance: float) -> bool:
        return distance <= pitch and len(intersect_gaps(gutters, band.gaps, min_gap)) == len(gutters)

    while start > first and can_add(bands[start - 1], bands[start - 1].top - bands[start].top):
        start -= 1
    while end < len(bands) and can_add(bands[end], bands[end - 1].top - bands[end].top):
        end += 1
    return start, end


def split_lines(words: Iterable[Word]) -> list[list[Word]]:
    """Return words by line, from top to bottom, each line from left to right."""
    lines: list[list[Word]] = []
    end = inf
    cores = []
    for word in words:
        _, bottom, _, top = word.box
        margin = _CORE_SHARE * (top - bottom)
        cores.append((top - margin, bottom + margin, word))
    for high, low, word in sorted(cores, key=itemgetter(0), reverse=True):
        if high <= end:
            lines.append([])
            end = low
        lines[-1].append(word)
        end = min(end, low)
    return [sorted(line, key=lambda word: word.box.left) for line in lines]


def intersect_gaps(gaps: Sequence[Gap], others: Sequence[Gap], min_width: float) -> list[Gap]:
    """Return the intervals that two lists of intervals share."""
    shared = (
        (max(left, other_left), min(right, other_right)) for left, right in gaps for other_left, other_right in others
    )
    return [(left, right) for left, right in shared if right - left >= min_width]


def _find_bands(words: Sequence[Word], min_gap: float) -> Iterator[Band]:
    for line in split_lines(words):
        gaps: list[Gap] = []
        end = -inf
        for word in line:
            if word.box.left - end >= min_gap:
                gaps.append((end, word.box.left))
            end = max(end, word.box.right)
        yield Band(
            words=line,
            top=max(word.box.top for word in line),
            bottom=min(word.box.bottom for word in line),
            gaps=[*gaps, (end, inf)],
        )


def _find_gutters(bands: Sequence[Band], gaps: Sequence[Gap]) -> list[Gap]:
    """Return the intervals that have words of the bands on both sides."""
    left = min(word.box.left for band in bands for word in band.words)
    right = max(word.box.right for band in bands for word in band.words)
    return [gap for gap in gaps if gap[0] > left and gap[1] < right]


def _count_rows_around(bands: Sequence[Band], gap: Gap) -> int:
    """Return the number of lines that a gap has on the side with fewer, in bands with words on both sides."""
    rows = 0
    for band in bands:
        left = [word for word in band.words if word.box.right <= gap[0]]
        right = [word for word in band.words if word.box.left >= gap[1]]
        if left and right:
            rows += min(len(split_lines(left)), len(split_lines(right)))
    return rows


def _has_both_sides(band: Band, gutters: Sequence[Gap]) -> bool:
    return any(
        any(word.box.right <= left for word in band.words) and any(word.box.left >= right for word in band.words)
        for left, right in gutters
    )


def group_bands(bands: Sequence[Band]) -> list[list[Band]]:
    """Return bands by block: the lines of a block are closer to each other than to the next block."""
    if not bands:
        return []
    height = median(word.box.height for band in bands for word in band.words)
    steps = [above.top - below.top for above, below in pairwise(bands)]
    line_pitch = min((step for step in steps if step >= _MIN_LINE_PITCH_EMS * height), default=inf)
    if line_pitch > _MAX_LINE_PITCH_EMS * height:
        return [[band] for band in bands]
    groups = [[bands[0]]]
    for step, band in zip(steps, bands[1:], strict=True):
        if step > _MAX_BLOCK_PITCH * line_pitch:
            groups.append([])
        groups[-1].append(band)
    return groups


def measure_pitch(tops: Sequence[float]) -> float:
    """Return the usual distance between the tops of lines, 0 for fewer than two."""
    distances = [above - below for above, below in pairwise(tops)]
    return median(distances) if distances else 0
