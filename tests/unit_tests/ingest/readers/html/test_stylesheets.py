"""Style rules: which one wins."""

import lxml.html
import pytest

from langchain_gptoss.ingest.readers.html.stylesheets import Stylesheet, parse_style_attribute


@pytest.mark.parametrize(
    ("css", "display"),
    [
        ("p {display:none}", "none"),
        ("* {display:none}", "none"),
        ("P.b.a {display:none}", "none"),
        (".a {display:none} p {display:block}", "none"),
        ("#i {display:block} .a.b {display:none}", "block"),
        (".a {display:none} .b {display:block}", "block"),
        (".a {display:none!important} #i {display:block}", "none"),
        ("section > .a {display:none}", "none"),
        ("section div .a {display:none}", "none"),
        ("article .a {display:none}", None),
        (".c {display:none}", None),
        (".a + p, .a ~ p, p:not(.a), .a:hover, .a::after {display:none}", None),
        ("@import 'x'; .a {display:none}", "none"),
        ("@media print {.a {display:none}} .b {display:block}", "block"),
        ("@supports (display: grid) {.a {display:grid}}", "grid"),
        ("@font-face {src: x} @keyframes k {from {display:none}}", None),
        ("[lang=fr] {display:none}", "none"),
        ("} .a {display:none}", "none"),
    ],
)
def test_the_strongest_rule_wins(css, display):
    page = lxml.html.fromstring("<section><div><p id=i class='a b' lang=fr>x</p></div></section>")
    assert Stylesheet([css]).compute(page.find(".//p")).get("display") == display


def test_the_style_attribute_is_stronger_than_rules():
    (element,) = lxml.html.fragments_fromstring("<p class=a style='display:block'>x</p>")
    assert Stylesheet([".a {display:none}"]).compute(element) == {"display": "block"}
    assert Stylesheet([".a {display:none !important}"]).compute(element) == {"display": "none"}


def test_style_attributes_are_lower_case():
    assert parse_style_attribute("Left: -99PX ; opacity:0 !important;x") == {"left": "-99px", "opacity": "0"}
