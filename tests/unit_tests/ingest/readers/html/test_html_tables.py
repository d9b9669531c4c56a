"""Tables of a page."""

import pytest

from tests.unit_tests.ingest.readers.html.helpers import read_page


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            "<tr><th>Vehicle<th>Season<th>Fare<tr><td rowspan=2>Car<td>Summer<td>42 €<tr><td>Winter<td>31 €"
            "<tr><td rowspan=0>Moto<td>Summer<td>18 €<tr><td>Winter<td>12 €",
            "| Vehicle | Season | Fare |\n| --- | --- | --- |\n| Car | Summer | 42 € |\n| Car | Winter | 31 € |\n"
            "| Moto | Summer | 18 € |\n| Moto | Winter | 12 € |",
        ),
        (
            "<tr><th>Trajet<th>Aller<th>Retour<tr><td>Nantes<td colspan=2>gratuit<tr><td>Brest<td>5 €<td>6 €",
            "| Trajet | Aller | Retour |\n| --- | --- | --- |\n| Nantes | gratuit | gratuit |\n| Brest | 5 € | 6 € |",
        ),
        (
            "<thead><tr><th rowspan=2>Zone<th colspan=2>2025<tr><th>Adult<th>Child</thead><tfoot><tr><td>C<td>5<td>6</tfoot>"
            "<tbody><tr><td>A<td>1<td>2<tr><td>B<td>3<td>4",
            "| Zone | 2025 / Adult | 2025 / Child |\n| --- | --- | --- |\n| A | 1 | 2 |\n| B | 3 | 4 |\n| C | 5 | 6 |",
        ),
        (
            "<caption>Fares in 2025</caption><tr><th>Kind<th>Price<tr><td>Small<td>5<tr><td>Large<td><p>7</p><p>net</p>",
            "Fares in 2025\n\n| Kind | Price |\n| --- | --- |\n| Small | 5 |\n| Large | 7 net |",
        ),
        ("<tr><th>Phone<td>01 02<tr><th>Mail<td>x@y.example", "- Phone: 01 02\n- Mail: x@y.example"),
        (
            "<tr><th>Pass<th>Covers<tr><td>Eco<td><ul><li>bus<li>tram</ul><tr><td>Max<td>all",
            "| Pass | Covers |\n| --- | --- |\n| Eco | bus; tram |\n| Max | all |",
        ),
        (
            "<tr><th>Unit<th>Value<tr><td>a|b<td>10<sup>4</sup><tr><td>c<td>2<br>3",
            "| Unit | Value |\n| --- | --- |\n| a\\|b | 10^4 |\n| c | 2 3 |",
        ),
    ],
)  # fmt: skip
def test_data_is_a_table_with_merged_cells_filled(html, text):
    assert read_page(f"<table>{html}</table>") == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<tr><td>One column</td></tr><tr><td>of text</td></tr>", "One column\n\nof text"),
        ("<tr><td><h2>Left</h2><p>text</p></td><td>Right</td></tr>", "## Left\n\ntext\n\nRight"),
        ("<tr><td>a</td><td><table><tr><td>b</td></tr></table></td></tr><tr><td>c</td></tr>", "a\n\nb\n\nc"),
        ("<tr role=x><td>a</td><td>b</td></tr>", "a\n\nb"),
        (f"<tr><td>Menu</td><td>{'long ' * 80}</td></tr><tr><td>x</td><td>y</td></tr>", f"Menu\n\n{'long ' * 79}long\n\nx\n\ny"),
        ("loose<tr><td>a</td></tr>", "loose\n\na"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_table_for_layout_is_text(html, text):
    assert read_page(f"<p>x</p><table>{html}</table>").removeprefix("x").strip() == text


def test_a_table_that_says_it_is_layout_is_text():
    assert read_page("<table role=presentation><tr><th>a<th>b<tr><td>c<td>d</table>") == "a\n\nb\n\nc\n\nd"
