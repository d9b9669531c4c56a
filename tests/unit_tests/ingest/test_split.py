"""split_documents: every chunk is an exact slice, nothing is lost, structure comes first."""

import re
import time
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest import split_documents
from tests import scale

HEADING = re.compile(r" {0,3}#{1,6}([ \t]|$)")


LINES = st.sampled_from(
    ["# One", "## Two ##", "   ### Three", "#", "#no", "    # no", "```", "~~~~", "```py", "- item", "  * sub", "12) n", "| a | b |", "", " ", "\x0c"]
) | st.text(alphabet="ab .!?»\"\u2028\x85\xa0#`é。𝄞\t", max_size=60)  # fmt: skip


TEXTS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r", "\n\n"])), max_size=25).map(
    lambda lines: "".join(line + end for line, end in lines)
)


def split_text(text: str, limit: int = 700, **metadata: object) -> list[Document]:
    return split_documents([Document(page_content=text, metadata=metadata)], max_chars=limit)


def split_texts(text: str, limit: int = 700) -> list[str]:
    return [chunk.page_content for chunk in split_text(text, limit)]


@settings(deadline=None, max_examples=scale(300))
@given(text=TEXTS | st.text(max_size=200), limit=st.integers(1, 80), base=st.integers(0, 1000))
def test_spans_are_exact_and_nothing_is_lost(text, limit, base):
    chunks = split_text(text, limit, start=base)
    covered: set[int] = set()
    last = base
    for chunk in chunks:
        start, end = chunk.metadata["start"], chunk.metadata["end"]
        assert text[start - base : end - base] == chunk.page_content
        assert chunk.page_content == chunk.page_content.strip()
        assert 1 <= len(chunk.page_content) <= limit
        assert start >= last
        last = end
        covered.update(range(start - base, end - base))
    has_fence = "```" in text or "~~~" in text
    at = 0
    for line in re.findall(r"[^\r\n]+|[\r\n]", text):
        missing = [i for i in range(at, at + len(line)) if i not in covered and not text[i].isspace()]
        heading = HEADING.match(line)
        assert not missing or heading, (line, missing)
        if heading and not has_fence:
            assert not covered & set(range(at, at + len(line)))
        at += len(line)
    assert len({chunk.id for chunk in chunks}) == len(chunks)


def count_words(text: str) -> int:
    """Count tokens like a model that splits words and marks and adds a special token at each end."""
    return len(re.findall(r"\w+|[^\w\s]", text)) + 2


def count_characters(text: str) -> int:
    return len(text)


def count_squared_words(text: str) -> int:
    """Count more for a text than for the sum of its parts."""
    return len(text.split()) ** 2


@settings(deadline=None, max_examples=scale(300))
@given(
    text=TEXTS | st.text(max_size=200),
    limit=st.integers(4, 60),
    share=st.sampled_from([0, 0.2, 0.5, 0.99]),
    count=st.sampled_from([None, count_words, count_characters, count_squared_words]),
    base=st.integers(0, 1000),
)
def test_spans_are_exact_with_tokens_and_overlap(text, limit, share, count, base):
    document = Document(page_content=text, metadata={"start": base})
    overlap = int(limit * share)
    options = {"max_chars": limit} if count is None else {"max_tokens": limit, "count_tokens": count}
    chunks = split_documents([document], **options, overlap=overlap)
    spans = [(chunk.metadata["start"] - base, chunk.metadata["end"] - base) for chunk in chunks]
    plain = [chunk.page_content for chunk in split_documents([document], max_chars=10**6)]
    covered = "".join(text[i] for i in sorted({i for span in spans for i in range(*span)}) if not text[i].isspace())
    assert covered == "".join("".join(chunk.split()) for chunk in plain)
    size = count or len
    for (start, end), chunk in zip(spans, chunks, strict=True):
        assert text[start:end] == chunk.page_content == chunk.page_content.strip()
        heading = chunk.metadata["heading"]
        embedded = f"{heading}\n{chunk.page_content}" if heading and count is count_words else chunk.page_content
        assert len(chunk.page_content) == 1 or size(embedded) <= limit or size(f"{heading}\n") - 2 > limit // 2
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start < next_start
        assert end < next_end
        assert next_start >= end or size(text[next_start:end]) <= overlap
    assert len({chunk.id for chunk in chunks}) == len(chunks)


def test_token_limit_includes_headings():
    text = "# One two\n\nRed tea is hot. Ice is not.\n\nh i"
    split_text = partial(split_documents, [Document(page_content=text)], count_tokens=count_words)
    assert [chunk.page_content for chunk in split_text(max_tokens=10)] == ["Red tea is hot.", "Ice is not.\n\nh i"]
    assert [chunk.page_content for chunk in split_text(max_tokens=100)] == ["Red tea is hot. Ice is not.\n\nh i"]


def test_overlap_repeats_sentences_or_words():
    document = Document(page_content="One two. Three four. Five six seven eight nine ten.")
    chunks = split_documents([document], max_chars=36, overlap=13)
    assert [chunk.page_content for chunk in chunks] == [
        "One two. Three four.",
        "four. Five six seven eight nine ten.",
    ]
    chunks = split_documents([document], max_chars=44, overlap=13)
    assert [chunk.page_content for chunk in chunks] == [
        "One two. Three four.",
        "Three four. Five six seven eight nine ten.",
    ]
    document = Document(page_content="alpha beta gamma delta epsilon")
    chunks = split_documents([document], max_chars=16, overlap=6)
    assert [chunk.page_content for chunk in chunks] == ["alpha beta gamma", "gamma delta", "delta epsilon"]


def test_tables_stay_whole():
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"
    assert split_texts(f"A paragraph before it.\n{table}\nAfter.", 46) == ["A paragraph before it.", f"{table}\nAfter."]


def test_invalid_limits_are_rejected():
    document = Document(page_content="x")
    for options, message in [
        ({"max_chars": 5, "max_tokens": 5, "count_tokens": len}, "both given"),
        ({"max_tokens": 5}, "needs count_tokens="),
        ({"max_tokens": 0, "count_tokens": len}, "max_tokens is 0 and must be at least 1. 128 to 512"),
        ({"overlap": 700}, r"overlap is 700 and must be at least 0 and below max_chars \(700\)"),
        ({"overlap": -1}, "overlap is -1"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            split_documents([document], **options)


def test_blocks_are_packed_whole():
    assert split_texts("aaaa\nbbbb\n\ncccc\n\ndddd", 15) == ["aaaa\nbbbb\n\ncccc", "dddd"]
    assert split_texts("- one one\n  more\n- two two\n- three", 18) == ["- one one\n  more", "- two two\n- three"]
    assert split_texts("| a | b |\n|---|---|\n| 1 | 2 |", 19) == ["| a | b |\n|---|---|", "| 1 | 2 |"]
    assert split_texts("```\nab\n\ncd\n```\ntext", 15) == ["```\nab\n\ncd\n```", "text"]


def test_long_paragraphs_are_cut_at_sentences_then_words_then_characters():
    assert split_texts("One two. Three four! « Five ? » Six.", 15) == ["One two.", "Three four!", "« Five ? » Six."]
    assert split_texts("alpha beta gamma", 11) == ["alpha beta", "gamma"]
    assert split_texts("abcdefgh ij", 3) == ["abc", "def", "gh", "ij"]
    assert split_texts("日本語。日本語。", 5) == ["日本語。", "日本語。"]
    assert split_texts("```\none. two\nthree\n```", 12) == ["```\none. two", "three\n```"]


def test_chunk_metadata_and_ids():
    document = Document(page_content="# T\none", metadata={"source": "a.md", "start": 10, "page": 2, "extra": [1]})
    (chunk,) = split_documents([document])
    assert chunk.metadata == {
        "source": "a.md", "start": 14, "end": 17, "page": 2, "extra": [1], "heading": "T", "chunk_id": chunk.id
    }  # fmt: skip
    assert chunk.id == "8480103947421192ca7f09c7015d22e3"
    assert document.metadata["start"] == 10
    others = [
        split_documents([Document(page_content=text, metadata=document.metadata | change)])[0].id
        for text, change in [("# T\none", {"source": "b.md"}), ("# T\none", {"start": 11}), ("# T\ntwo", {})]
    ]
    assert len({chunk.id, *others}) == 4


def test_max_chars_below_one_is_rejected():
    with pytest.raises(InvalidInputError, match="max_chars is 0"):
        split_text("x", 0)


@pytest.mark.parametrize(
    "text",
    [
        "." * 300_000,
        'a."' * 100_000,
        "`" * 300_000,
        "a" + " " * 300_000 + "b",
        "# " + "[" * 300_000,
        "```\n" * 50_001,
    ],
)
def test_repetitive_text_takes_linear_time(text):
    started = time.process_time()
    split_text(text)
    assert time.process_time() - started < 60  # quadratic time takes many minutes


@pytest.mark.parametrize(
    ("own", "text", "headings"),
    [
        ("Fees", "# Late\none\n## More\ntwo", ["Fees > Late", "Fees > Late > More"]),
        ("Fees", "one", ["Fees"]),
        ("Fees > Late", "one", ["Fees > Late"]),
        ("Fees", "# Fees\none", ["Fees"]),
        ("", "# Late\none", ["Late"]),
        (None, "one", [""]),
        (["Fees"], "one", [""]),
    ],
)
def test_own_heading_of_a_document_is_above_its_headings(own, text, headings):
    chunks = split_text(text, heading=own)
    assert [chunk.metadata["heading"] for chunk in chunks] == headings


def test_chunks_can_be_split_again():
    chunks = split_documents(split_text("# Fees\n\n## Late\n\nOne is paid. Two is free.", source="a.md"), max_chars=14)
    assert [(chunk.page_content, chunk.metadata["heading"]) for chunk in chunks] == [
        ("One is paid.", "Fees > Late"),
        ("Two is free.", "Fees > Late"),
    ]


def test_abbreviations_do_not_end_a_piece():
    assert split_texts("Ask Dr. Amara Osei. Ask J. R. Lee.", 20) == ["Ask Dr. Amara Osei.", "Ask J. R. Lee."]
    assert split_texts("Voir l'art. L. 145-1. Et la p. 3.", 22) == ["Voir l'art. L. 145-1.", "Et la p. 3."]
