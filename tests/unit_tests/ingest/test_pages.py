"""Sentences that go on on the next page are one sentence in one chunk, an exact slice of the file's text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_gptoss.ingest import split_documents
from langchain_gptoss.ingest.pages import group_pages
from langchain_gptoss.ingest.readers.base import PAGE_BREAK
from tests import scale


def make_pages(*texts: str, **metadata: object) -> list[Document]:
    pages, start = [], 0
    for number, text in enumerate(texts, 1):
        page = {"source": "manual.pdf", "start": start, "page": number, **metadata}
        pages.append(Document(page_content=text, metadata=page))
        start += len(text) + len(PAGE_BREAK)
    return pages


def split(pages: list[Document], max_chars: int = 90) -> list[tuple[str, int, int | None]]:
    chunks = split_documents(pages, max_chars=max_chars)
    text = PAGE_BREAK.join(page.page_content for page in pages)
    for chunk in chunks:
        assert text[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.page_content
    return [(chunk.page_content, chunk.metadata["page"], chunk.metadata.get("end_page")) for chunk in chunks]


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (
            ("The pump is old.\nThe bearing is to be inspected by a technician at least", "once every 18 months.\nIt is blue."),
            "The bearing is to be inspected by a technician at least\n\nonce every 18 months.",
        ),
        (
            ("Le palier doit être contrôlé par un technicien tous les", "18 mois, en cale sèche. La coque est bleue."),
            "Le palier doit être contrôlé par un technicien tous les\n\n18 mois, en cale sèche.",
        ),
        (
            ("The contract was signed on behalf of the company by Dr.", "Amara Osei in Bonn. It is valid."),
            "The contract was signed on behalf of the company by Dr.\n\nAmara Osei in Bonn.",
        ),
        (
            ("- Oil\n- The filter of the second engine must be changed", "by a certified technician.\n- Air"),
            "- The filter of the second engine must be changed\n\nby a certified technician.",
        ),
        (
            ("The filter of the engine must never be cleaned with the\n12", "help of solvents. Use water."),
            "The filter of the engine must never be cleaned with the\n12\n\nhelp of solvents.",
        ),
    ],
)  # fmt: skip
def test_a_sentence_across_two_pages_is_in_one_chunk(texts, sentence):
    chunks = split(make_pages(*texts), len(sentence))
    (chunk,) = [chunk for chunk in chunks if sentence in chunk[0]]
    assert chunk[1:] == (1, 2)
    rest = [other for other in chunks if other[1] == 2]
    assert rest
    assert all(end_page is None for _, _, end_page in rest)


def test_only_the_open_sentence_moves():
    pages = make_pages("One is here. Two is read by all who", "want it. Three is here.\n\nFour is here.")
    assert split(pages, 700) == [
        ("One is here. Two is read by all who\n\nwant it.", 1, 2),
        ("Three is here.\n\nFour is here.", 2, None),
    ]


def test_a_sentence_over_three_pages_begins_on_the_first():
    pages = make_pages("The rule holds for all members of the", "club and of the other clubs in the", "city. The end.")
    assert split(pages, 700) == [
        ("The rule holds for all members of the\n\nclub and of the other clubs in the\n\ncity.", 1, 3),
        ("The end.", 3, None),
    ]


@pytest.mark.parametrize(
    "pages",
    [
        make_pages("The rule is clear.", "it holds for all."),
        make_pages("Opening hours", "from May to June we open at nine."),
        make_pages("| a | b |\n| the rule of the house | and of the", "club | d |"),
        [*make_pages("The rule holds for all members of the"), *make_pages("club. The end.", source="other.pdf")],
        make_pages("The rule holds for all members of the", "# Club\n\nof the city.", source="a.md", format="markdown"),
        [Document(page_content=text) for text in ("The rule holds for all members of the", "club. The end.")],
        [
            Document(page_content="The rule holds for all members of the", metadata={"page": 1, "start": 0}),
            Document(page_content="club. The end.", metadata={"page": 3, "start": 99}),
        ],
        [
            Document(page_content="He wrote to the members of the", metadata={"start": 0}),
            Document(page_content="club of the city.", metadata={"start": 32, "quoted": "reply"}),
        ],
    ],
    ids=["full stop", "title", "table", "other file", "heading", "no places", "missing page", "parts of a mail"],
)
def test_pages_that_do_not_continue_stay_apart(pages):
    chunks = split_documents(pages)
    assert len(chunks) == len(pages)
    assert not [chunk for chunk in chunks if "end_page" in chunk.metadata]


def test_ids_do_not_depend_on_other_files():
    pages = make_pages("The rule holds for all members of the", "club. The end.")
    others = make_pages("A page.", source="other.pdf")
    ids = [chunk.id for chunk in split_documents(pages)]
    assert ids == [chunk.id for chunk in split_documents([*others, *pages])][1:]
    assert ids == [chunk.id for chunk in split_documents(iter(pages))]


def test_a_list_that_goes_on_on_the_next_page_keeps_its_lead_in():
    pages = make_pages("The warranty does not cover:\n\n- theft\n- fire", "- damage by a fall\n\nAll else is covered.")
    chunks = split_documents(pages, max_chars=60)
    assert [(chunk.page_content, chunk.metadata.get("lead_in")) for chunk in chunks] == [
        ("The warranty does not cover:\n\n- theft\n- fire", None),
        ("- damage by a fall\n\nAll else is covered.", "The warranty does not cover:"),
    ]


@settings(deadline=None, max_examples=scale(200))
@given(
    texts=st.lists(st.text(alphabet="abA .,:-\n1|#", min_size=1, max_size=80), min_size=1, max_size=5),
    limit=st.integers(1, 60),
)
def test_chunks_of_pages_are_exact_slices_and_nothing_is_lost(texts, limit):
    pages = make_pages(*texts)
    joined = PAGE_BREAK.join(texts)
    chunks = split_documents(pages, max_chars=limit)
    assert all(joined[c.metadata["start"] : c.metadata["end"]] == c.page_content for c in chunks)
    assert "".join("".join(chunk.page_content.split()) for chunk in chunks) == "".join(joined.split())
    assert all(1 <= len(chunk.page_content) <= limit for chunk in chunks)


def test_group_pages_keeps_the_order():
    pages = [*make_pages("a", "b"), *make_pages("c", source="c.pdf"), Document(page_content="d")]
    assert [run.text for run in group_pages(pages)] == ["a\n\nb", "c", "d"]
