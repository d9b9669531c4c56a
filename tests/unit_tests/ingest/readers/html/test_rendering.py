"""Elements of a page as Markdown: no words glued, none split."""

import pytest

from tests.unit_tests.ingest.readers.html.helpers import read_page


@pytest.mark.parametrize(
    ("html", "text"),
    [
        # Words and lines.
        ("<p>inter<b>nation</b>al <i>law</i></p>", "international law"),
        ("<div>one<div>two</div>three</div>", "one\n\ntwo\n\nthree"),
        ("<p>4 Quay Street<br>Larkspur<br/>12&nbsp;&euro;</p>", "4 Quay Street\nLarkspur\n12\xa0€"),
        ("<p>one<br><br>two</p>", "one\n\ntwo"),
        ("<p>in&shy;ter&shy;na&shy;tio&shy;nal long<wbr>word</p>", "international longword"),
        ("<a href=/a>Home</a><a href=/b>Shop</a>", "Home Shop"),
        ("<p>See <a href='https://larkspur.example/t?id=5'>the terms</a>.</p>", "See the terms."),
        ("<p>Press <kbd>F5</kbd> or <code>reload</code></p>", "Press F5 or reload"),
        ("<p>An <abbr title='Value added tax'>VAT</abbr> of 20 %</p>", "An VAT of 20 %"),
        ("<p>x <img src=a.png alt='a map'>y</p>", "x a map y"),
        ("<span style='display:block'>10</span><span style='display:block'>4</span>", "10\n\n4"),
        ("<style>.r{display:flex}</style><div class=r><span>Adult</span><span>12 €</span></div>", "Adult\n\n12 €"),
        ("<p>10<span>4</span></p>", "104"),
        ("<p># no heading<br>---</p>", "\\# no heading\n\\---"),
        ("<h2>Two <small>small</small><br>lines</h2>", "## Two small lines"),
        ("<div role=heading aria-level=3>Three</div>", "### Three"),
        ("<hgroup><h1>A</h1><p>B</p></hgroup>", "# A\n\nB"),
        # Quotations and code.
        ("<p>He said <q>no</q>.</p>", "He said “no”."),
        ("<p lang=fr>Il dit <q>non</q>.</p>", "Il dit «\xa0non\xa0»."),
        ("<blockquote><p>one</p><p>two</p></blockquote>", "> one\n>\n> two"),
        ("<pre>a\n  # b<br>c</pre>", "```\na\n  # b\nc\n```"),
        # Lists.
        ("<p>It does not cover:</p><ul><li>a fall<li>water</ul>", "It does not cover:\n\n- a fall\n- water"),
        ("<ol start=3><li>c<li value=7>g<li>h</ol>", "3. c\n7. g\n8. h"),
        ("<ol type=a><li>x<li>y</ol>", "- a. x\n- b. y"),
        ("<ol type=I><li>x<li>y</ol><ol reversed><li>b<li>a</ol>", "- I. x\n- II. y\n\n2. b\n1. a"),
        ("<ul><li>a<ol><li>b<ul><li>c</ul></ol><li>d</ul>", "- a\n  1. b\n     - c\n- d"),
        ("<ul><li>a</li><ul><li>b</li></ul><li>c</li></ul>", "- a\n  - b\n- c"),
        ("<ul>Kinds<li>a</li> and <li>b</li></ul>", "- Kinds\n- a\n- and\n- b"),
        ("<ul><li><p>a</p><p>b</p></li></ul>", "- a\n\n  b"),
        ("<ul><li></li><li><img src=x></li><li>a</li></ul>", "- a"),
        ("<dl><dt>Opening<dd>9 to 5<dt>Combien&nbsp;?<dd>12 €</dl>", "- Opening: 9 to 5\n- Combien\xa0? 12 €"),
        ("<dl><div><dt>Prix</dt><dd>5 €</dd><dd>6 €</dd></div></dl>", "- Prix: 5 €; 6 €"),
        ("<dl><dt>Kinds<dd><ul><li>a<li>b</ul></dl>", "- Kinds:\n  - a\n  - b"),
        ("<dl><dt>Alone</dl>", "- Alone"),
        # Superscripts, subscripts, notes and formulas.
        ("<p>10<sup>4</sup> litres, 2 m<sup>3</sup>, H<sub>2</sub>O</p>", "10^4 litres, 2 m³, H₂O"),
        ("<p>le 1<sup>er</sup> mai, 12<sup>e</sup></p>", "le 1er mai, 12e"),
        ("<p>12<sup><a href='#n'>3</a></sup> euros</p>", "12 [3] euros"),
        ("<p>12<a href='#n'><sup>3</sup></a> euros.<sup id=r><a href='#c'>[4]</a></sup> Next</p>", "12 [3] euros.[4] Next"),
        ("<p>12<a class=footnote-ref href='#fn1'>1</a> euros</p>", "12 [1] euros"),
        ("<p>12<a epub:type=noteref href='notes.xhtml#n1'>1</a> euros</p>", "12 [1] euros"),
        ("<p>Sans taxe <a href='#r1'>↩︎</a></p><h2>Prix<a class=headerlink href='#prix'>¶</a></h2>", "Sans taxe\n\n## Prix"),
        ("<p>19<sup>99</sup>&nbsp;€</p>", "19,99\xa0€"),
        ("<style>.s{vertical-align:super}</style><p>10<span class=s>4</span></p>", "10^4"),
        ("<p>10<span style='vertical-align:super;font-size:60%'>4</span></p>", "10^4"),
        ("<p><sup>A whole sentence in small print, which is long.</sup></p>", "A whole sentence in small print, which is long."),
        (
            "<math><msup><mn>10</mn><mn>4</mn></msup><mo>+</mo><mfrac><mi>a</mi><mn>2</mn></mfrac>"
            "<msub><mi>x</mi><mn>1</mn></msub><msqrt><mi>b</mi></msqrt><annotation>10^4</annotation></math>",
            "10^4 + a/2x₁√b",
        ),
    ],
)  # fmt: skip
def test_text_of_elements(html, text):
    assert read_page(html) == text


def test_code_with_fences_has_a_longer_fence():
    assert read_page("<pre>a\n````\nb</pre>") == "`````\na\n````\nb\n`````"


def test_deep_lists_are_rendered_in_linear_time():
    depth = 60
    text = read_page("<ul><li>x" * depth)
    assert text.count("x") == depth
