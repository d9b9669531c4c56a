"""What a model reads of the passages."""

import pytest

from langchain_gptoss.chatbot.grounding.excerpts import select_excerpts
from langchain_gptoss.chatbot.grounding.passages import Passage, rank_spans

LIBRARY = (
    "The library was founded in 1902. It has three floors. Cards are free for children. Adults pay 12 euros a year. "
    "They may pay in two parts. Books are lent for three weeks. A fine is 20 cents a day."
)
POOL = (
    "The pool has four lanes. You need:\n\n- a bathing cap\n- a towel\n- a coin for the locker\n\n"
    "The pool is closed in August. Lessons begin in October."
)
PRICES = "| Season | Fare |\n|---|---|\n| Summer | 42 EUR |\n| Winter | 31 EUR |"


def build_passages(*texts: str) -> list[Passage]:
    return [
        Passage(number=number, text=text, source=f"{number}.md", heading="", page=None, start=0, relevance=None)
        for number, text in enumerate(texts, 1)
    ]


def select(question: str, *texts: str, max_chars: int) -> list[str]:
    passages = build_passages(*texts)
    ranked = [span for span, _ in rank_spans([(question, 1.0)], passages, None)]
    return [passage.text for passage in select_excerpts(question, passages, ranked, max_chars=max_chars)]


def test_short_passages_are_read_whole():
    assert select("How many lanes?", LIBRARY, POOL, max_chars=1000) == [LIBRARY, POOL]


def test_no_more_is_read_than_is_likely_to_answer():
    shelves = " ".join(f"Shelf {number} holds boxes of paper." for number in range(40))
    texts = select("What is a fine of the library a day?", LIBRARY, shelves, max_chars=600)
    assert "A fine is 20 cents a day." in texts[0]
    assert sum(map(len, texts)) <= 400


def test_a_sentence_is_read_with_the_next_one_and_the_one_that_its_pronoun_stands_for():
    assert select("How much do adults pay a year?", LIBRARY, max_chars=80) == [
        "Adults pay 12 euros a year. They may pay in two parts."
    ]
    assert select("How many floors are there?", LIBRARY, max_chars=90) == [
        "The library was founded in 1902. It has three floors. Cards are free for children."
    ]


def test_an_item_of_a_list_is_read_with_its_lead_in_and_the_items_after_it():
    question = "Do I need a bathing cap in the pool?"
    assert select(question, POOL, max_chars=80) == ["You need: a bathing cap\na towel\na coin for the locker"]
    (text,) = select(question, POOL, max_chars=120)
    assert text.endswith("You need:\na bathing cap\na towel\na coin for the locker")


def test_a_row_of_a_table_is_read_with_the_names_of_its_columns():
    (text,) = select("What is the fare in winter?", PRICES, max_chars=30)
    assert "Season: Winter" in text
    assert "Fare: 31 EUR" in text
    assert "Summer" not in text


def test_parts_that_do_not_follow_each_other_are_lines_of_their_own():
    (text,) = select("When was the library founded, and what is the fine?", LIBRARY, max_chars=90)
    assert text == "The library was founded in 1902. It has three floors.\nA fine is 20 cents a day."


@pytest.mark.parametrize("max_chars", [1, 60, 120, 200])
def test_excerpts_are_no_longer_than_the_limit_but_for_one_sentence(max_chars):
    texts = select("What is the fine of the library?", LIBRARY, POOL, max_chars=max_chars)
    assert texts[0].endswith("A fine is 20 cents a day.")
    assert sum(map(len, texts)) <= max(max_chars, len("A fine is 20 cents a day."))


def test_passages_keep_their_numbers_and_those_without_an_excerpt_are_left_out():
    passages = build_passages(LIBRARY, POOL)
    ranked = [span for span, _ in rank_spans([("Is the pool closed in August?", 1.0)], passages, None)]
    (excerpt,) = select_excerpts("Is the pool closed in August?", passages, ranked, max_chars=60)
    assert (excerpt.number, excerpt.source) == (2, "2.md")
    assert excerpt.text == "The pool is closed in August. Lessons begin in October."
