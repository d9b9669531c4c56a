"""Lead-ins of lists and tables that do not fit into one chunk."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss.ingest import split_documents
from langchain_gptoss.ingest.introductions import Introductions, find_introductions
from langchain_gptoss.ingest.split import format_for_embedding
from langchain_gptoss.retrievers import BM25Retriever


def split(text: str, max_chars: int, **metadata: object) -> list[tuple[str, str | None]]:
    chunks = split_documents([Document(page_content=text, metadata=metadata)], max_chars=max_chars)
    return [(chunk.page_content, chunk.metadata.get("lead_in")) for chunk in chunks]


def test_a_lead_in_stays_with_its_list():
    text = "We sell many tools of all kinds.\n\nNot covered:\n\n- theft\n- fire\n- a fall"
    assert split(text, 60) == [
        ("We sell many tools of all kinds.", None),
        ("Not covered:\n\n- theft\n- fire\n- a fall", None),
    ]


def test_the_last_sentence_of_a_paragraph_stays_with_the_list_that_it_introduces():
    text = "The plan lasts for two years. It does not cover:\n- theft of the device\n- a fall"
    assert split(text, 60) == [
        ("The plan lasts for two years.", None),
        ("It does not cover:\n- theft of the device\n- a fall", None),
    ]


@pytest.mark.parametrize(
    ("text", "lead_in"),
    [
        ("Not covered:\n\n- theft of it\n- fire in it\n- water in it\n- a fall of it\n", "Not covered:"),
        ("Exclus :\n\n1. le vol ;\n\n2. le feu ;\n\n3. l'eau dedans ;\n\n4. la chute.", "Exclus :"),
        ("Sont exclus :\n\nle vol du bien\n\nle feu au bien\n\nl'eau dans le bien\n", "Sont exclus :"),
        ("The following is free.\n- a cup of tea\n- a glass of water\n- a bit of cake\n", "The following is free."),
        (
            "Prices\n\n| Model | Price |\n|---|---|\n| Eco | 30 € |\n| Pro | 50 € |\n| Max | 70 € |",
            "Prices Model | Price",
        ),
    ],
)
def test_later_chunks_of_a_list_or_table_name_its_lead_in(text, lead_in):
    first, *later = split(text, 46)
    assert first[1] is None
    assert first[0].startswith(lead_in.split()[0])
    assert later
    assert {found for _, found in later} == {lead_in}


def test_nested_lists_name_both_lead_ins():
    text = "Not covered:\n- wear:\n  - seals of any kind\n  - batteries of any kind\n- theft of any kind"
    assert split(text, 44) == [
        ("Not covered:\n- wear:\n  - seals of any kind", None),
        ("- batteries of any kind\n- theft of any kind", "Not covered: wear:"),
    ]


def test_a_list_without_lead_in_and_the_text_after_a_list_have_none():
    text = "We are open.\n\n- Monday to Friday\n- Saturday until noon\n- Sunday never"
    assert {lead_in for _, lead_in in split(text, 30)} == {None}
    text = "Not covered:\n- theft of it\n- fire in it\n\nAll other damage is covered by us."
    assert split(text, 40)[-1] == ("All other damage is covered by us.", None)


def test_a_heading_ends_a_list():
    text = "Not covered:\n\n- theft\n\n# Covered\n\n- fire, water and all else\n- the rest of it"
    assert [lead_in for _, lead_in in split(text, 30, source="a.md")] == [None, None, None]


def test_the_lead_in_is_embedded_and_searched():
    text = "# Plan\n\nThe warranty does not cover:\n\n- theft of the device\n- damage by a fall"
    chunks = split_documents([Document(page_content=text, metadata={"source": "a.md"})], max_chars=52)
    assert format_for_embedding(chunks[-1]) == "Plan\nThe warranty does not cover:\n- damage by a fall"
    found = BM25Retriever.from_documents(chunks).invoke("warranty fall")
    assert found[0].page_content == "- damage by a fall"


def test_token_limit_includes_the_lead_in():
    def count_words(text: str) -> int:
        return len(text.split())

    text = "We do not cover:\n\n" + "\n".join(f"- item {number} of the list" for number in range(20))
    chunks = split_documents([Document(page_content=text)], max_tokens=20, count_tokens=count_words)
    assert len(chunks) > 2
    assert all(count_words(format_for_embedding(chunk)) <= 20 for chunk in chunks)


def test_introductions_are_found_by_offset():
    text = "Text.\n\nNeeded:\n\n- a\n\nMore."
    blocks = [(0, 5), (7, 14), (16, 19), (21, 26)]
    found = Introductions()
    for introduction in find_introductions(text, blocks, set()):
        found.add(introduction)
    assert found.find(3) is None
    assert found.find(22) is None
    introduction = found.find(16)
    assert introduction is not None
    assert introduction.blocks == blocks[1:3]
    assert introduction.find_lead_in(16) == "Needed:"
    assert introduction.find_lead_in(7) == ""
