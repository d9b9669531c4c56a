"""Parts of e-mail: which are its text, in which version, and in which encoding."""

import base64
import email
from email.policy import compat32

import pytest

from langchain_gptoss.ingest.readers.email_parts import EmailBody, convert_email_html, join_flowed_lines


def parse(data: str | bytes) -> EmailBody:
    data = data if isinstance(data, bytes) else data.encode()
    return EmailBody(email.message_from_bytes(data.replace(b"\n", b"\r\n"), policy=compat32))


def create_part(content_type: str, text: str, **headers: str) -> str:
    lines = [
        f"Content-Type: {content_type}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\n".join([*lines, "", text])


def create_multipart(subtype: str, *parts: str, boundary: str = "XX") -> str:
    body = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return create_part(f'multipart/{subtype}; boundary="{boundary}"', f"{body}--{boundary}--\n")


PLAIN, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"
LETTER = "The amount due is 87.20 euros."
PICTURE = create_part("image/png", "iVBORw0KGgo=", Content_Disposition='inline; filename="a.png"', Content_Transfer_Encoding="base64")  # fmt: skip


@pytest.mark.parametrize("blank", ["", " ", "\xa0", "&nbsp;", "\u200b\n \n"])
def test_blank_plain_text_gives_way_to_html(blank):
    for first, second in ((blank, LETTER), (LETTER, blank)):
        body = parse(create_multipart("alternative", create_part(PLAIN, first), create_part(HTML, f"<p>{second}</p>")))
        assert body.texts == [LETTER]


def test_plain_text_that_only_points_to_the_html_gives_way():
    rich = f"<h1>Invoice</h1><p>Dear customer, {LETTER} Please pay by 1 April to the account below.</p>"
    for stub in ("This message is in HTML.", "Votre messagerie n'affiche pas le HTML : voir en ligne."):
        body = parse(create_multipart("alternative", create_part(PLAIN, stub), create_part(HTML, rich)))
        assert LETTER in body.texts[0]


def test_plain_text_with_the_same_words_is_preferred():
    body = parse(create_multipart("alternative", create_part(PLAIN, LETTER), create_part(HTML, f"<b>{LETTER}</b> x")))
    assert body.texts == [LETTER]
    body = parse(create_multipart("alternative", create_part(PLAIN, LETTER), create_part(HTML, "<p>no</p>")))
    assert body.texts == [LETTER]


def test_text_after_pictures_and_in_nested_parts_counts_in_order():
    inner = create_multipart("related", create_part(HTML, "<p>two</p>"), PICTURE, boundary="YY")
    body = parse(create_multipart("mixed", create_part(PLAIN, "one"), PICTURE, inner, create_part(PLAIN, "three")))
    assert body.texts == ["one", "two", "three"]
    assert [attachment.name for attachment in body.attachments] == ["a.png", "a.png"]


def test_signatures_and_reports_are_no_attachments():
    signed = create_multipart("signed", create_part(PLAIN, LETTER), create_part("application/pgp-signature", "x"))
    body = parse(signed)
    assert (body.texts, body.attachments) == ([LETTER], [])


def test_attachments_of_a_version_that_is_not_read_are_kept():
    pdf = create_part("application/pdf", "x", Content_Disposition='attachment; filename="a.pdf"')
    inner = create_multipart("mixed", create_part(HTML, f"<p>{LETTER}</p>"), pdf, boundary="YY")
    body = parse(create_multipart("alternative", create_part(PLAIN, LETTER), inner))
    assert body.texts == [LETTER]
    assert [attachment.name for attachment in body.attachments] == ["a.pdf"]


def test_encrypted_and_deeply_nested_parts_are_named():
    assert "it is encrypted" in parse(create_multipart("encrypted", create_part(PLAIN, "x"))).warnings[0]
    nested = create_part(PLAIN, "x")
    for level in range(60):
        nested = create_multipart("mixed", nested, boundary=f"B{level}Z")
    assert "nested more than 50 times" in parse(nested).warnings[0]


FRENCH = "L’acompte est de 350 €, payé à l’hôtel."


@pytest.mark.parametrize(
    ("content_type", "codec", "is_named"),
    [
        ("text/plain", "utf-8", False),
        ("text/plain", "cp1252", True),
        ("text/plain; charset=iso-8859-1", "cp1252", False),
        ("text/plain; charset=us-ascii", "cp1252", False),
        ("text/plain; charset=utf-8", "cp1252", True),
        ("text/plain; charset=iso-8859-1", "utf-8", True),
        ("text/plain; charset=klingon", "utf-8", False),
        ("text/plain; charset=x-unknown", "cp1252", True),
        ('text/plain; charset="windows-1252"', "cp1252", False),
    ],
)
@pytest.mark.parametrize("transfer", ["8bit", "base64"])
def test_text_has_the_right_characters_whatever_is_declared(content_type, codec, is_named, transfer):
    data = FRENCH.encode(codec)
    body = base64.b64encode(data) if transfer == "base64" else data
    head = f"Subject: x\nContent-Type: {content_type}\nContent-Transfer-Encoding: {transfer}\n\n"
    result = parse(head.encode() + body)
    assert result.texts == [FRENCH]
    assert bool(result.warnings) == is_named


@pytest.mark.parametrize("declared", ["", "; charset=utf-8", "; charset=iso-8859-1"])
def test_encoding_may_stand_in_the_html_only(declared):
    page = '<html><head><meta charset="windows-1250"></head><body>Cena jest wyższa, płacę.</body></html>'
    if declared.endswith("8859-1"):
        page = page.replace("windows-1250", "iso-8859-1").replace("Cena jest wyższa, płacę.", "Le délai.")
        data = page.encode("cp1252")
    else:
        data = page.encode("cp1250")
    result = parse(f"Subject: x\nContent-Type: text/html{declared}\n\n".encode() + data)
    assert result.texts[0] in ("Cena jest wyższa, płacę.", "Le délai.")


def test_damaged_quoted_printable_keeps_the_rest():
    text = "L=E9t=C9 =\nsuite =ZZ prix=3D5 \n100=25="
    body = parse(create_part("text/plain; charset=iso-8859-1", text, Content_Transfer_Encoding="quoted-printable"))
    assert body.texts[0].startswith("LétÉ suite =ZZ prix=5")
    assert "100%" in body.texts[0]


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("one \ntwo\nthree", "one two\nthree"),
        ("> one \n> two\n>> three \n>> four\nown", "> one two\n>> three four\nown"),
        ("> one \nown", "> one \nown"),
        (" stuffed\n >not quoted", "stuffed\n>not quoted"),
        ("text \n-- \nNora", "text \n-- \nNora"),
        ("last ", "last "),
    ],
)
def test_flowed_lines_are_joined(text, joined):
    assert join_flowed_lines(text) == joined
    assert join_flowed_lines("one \ntwo", delete_space=True) == "onetwo"


def test_flowed_text_of_a_message_is_joined():
    body = parse(create_part("text/plain; charset=utf-8; format=flowed", "The drill moves \nto 12 June.\n-- \nNora"))
    assert body.texts == ["The drill moves to 12 June.\n-- \nNora"]


@pytest.mark.parametrize(
    ("html", "is_quoted"),
    [
        ('<p>new</p><blockquote type="cite"><p>old</p></blockquote>', True),
        ('<p>new</p><div class="gmail_quote">x<blockquote class="gmail_quote"><p>old</p></blockquote></div>', True),
        ('<p>new</p><blockquote style="border-left: 1px solid #ccc"><p>old</p></blockquote>', True),
        ('<p>new</p><blockquote cite="mid:1@x"><p>old</p></blockquote>', True),
        ("<p>On 3 June, Tom wrote:</p><blockquote><p>old</p></blockquote>", True),
        ("<p>Tom a écrit :</p><blockquote><p>old</p></blockquote>", True),
        ('<p>new</p><blockquote style="margin:0 0 0 40px;border:none;padding:0px"><p>old</p></blockquote>', False),
        ("<p>The rules say</p><blockquote><p>old</p></blockquote>", False),
    ],
)
def test_html_quotations_get_marks_and_indented_text_does_not(html, is_quoted):
    lines = convert_email_html(html).split("\n")
    assert ("> old" in lines) == is_quoted
    assert ("old" in lines) != is_quoted
