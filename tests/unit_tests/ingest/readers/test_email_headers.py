"""Headers of e-mail: encoded words, encoded file names, raw bytes, dates."""

import email
from email.message import Message
from email.policy import compat32

import pytest

from langchain_gptoss.ingest.readers.email_headers import (
    get_charset,
    get_file_name,
    get_header,
    get_iso_date,
    is_forward,
    is_reply,
)


def parse(*lines: str | bytes) -> Message:
    data = b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    return email.message_from_bytes(data + b"\r\n\r\nbody", policy=compat32)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Subject: plain", "plain"),
        ("Subject: =?utf-8?B?UsOpdW5pb24=?= du 3", "Réunion du 3"),
        ("Subject: =?UTF-8?Q?R=C3=A9?=\r\n =?UTF-8?Q?union_d=C3=A9plac=C3=A9e?=", "Réunion déplacée"),
        ("Subject: =?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=", "café"),
        ("Subject: =?iso-8859-1?Q?L=92acompte_de_30_=80?=", "L’acompte de 30 €"),
        ("Subject: =?utf-8?Q?L=92acompte?=", "L’acompte"),
        ("Subject: =?klingon?Q?caf=C3=A9?=", "café"),
        ("Subject: =?iso-8859-1*fr?Q?caf=E9?=", "café"),
        ("Subject: Réunion", "Réunion"),
        ("Subject: Réunion =?utf-8?Q?d=C3=A9plac=C3=A9e?= été", "Réunion déplacée été"),
        ("Subject: a long\r\n\tsubject", "a long subject"),
        ("Subject: =?utf-8?B?a?=", "=?utf-8?B?a?="),
        ("subject: lower", "lower"),
        ("X-Other: x", ""),
    ],
)
def test_headers_are_readable_text(header, text):
    assert get_header(parse(header), "Subject") == text


def test_raw_bytes_of_an_old_program_are_decoded():
    assert get_header(parse("Subject: Réunion déplacée à l’été".encode("cp1252")), "Subject") == (
        "Réunion déplacée à l’été"
    )


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('Content-Disposition: attachment; filename="prix.csv"', "prix.csv"),
        ("Content-Disposition: attachment; filename*=utf-8''%C3%A9t%C3%A9.pdf", "été.pdf"),
        ("Content-Disposition: attachment; filename*=iso-8859-1''30%20%80.txt", "30 €.txt"),
        (
            "Content-Disposition: attachment; filename*0*=utf-8''%C3%A9t%C3; filename*1*=%A9.pdf",
            "été.pdf",
        ),
        ('Content-Disposition: attachment; filename="=?utf-8?Q?=C3=A9t=C3=A9.pdf?="', "été.pdf"),
        ('Content-Disposition: attachment; filename="été.pdf"', "été.pdf"),
        ('Content-Disposition: attachment; filename="été.pdf"'.encode("cp1252"), "été.pdf"),
        ('Content-Type: application/pdf; name="a b.pdf"', "a b.pdf"),
        ('Content-Disposition: attachment; filename="C:\\\\docs\\\\a.txt"', "a.txt"),
        ('Content-Disposition: attachment; filename="../../a.txt"', "a.txt"),
        ("Content-Type: text/plain", ""),
    ],
)
def test_file_names(header, name):
    assert get_file_name(parse(header)) == name


def test_character_sets():
    assert get_charset(parse("Content-Type: text/plain; charset=iso-8859-1")) == "iso-8859-1"
    assert get_charset(parse('Content-Type: text/plain; charset="UTF-8"')) == "UTF-8"
    assert get_charset(parse("Content-Type: text/plain; charset*=us-ascii'en'utf-8")) == "utf-8"
    assert get_charset(parse("Content-Type: text/plain")) == ""


@pytest.mark.parametrize(
    ("date", "iso"),
    [
        ("Tue, 3 Jun 2025 10:00:00 +0200", "2025-06-03T10:00:00+02:00"),
        ("3 Jun 2025 10:00 GMT", "2025-06-03T10:00:00+00:00"),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_dates_are_iso(date, iso):
    assert get_iso_date(parse(f"Date: {date}")) == iso


@pytest.mark.parametrize(
    ("headers", "reply", "forward"),
    [
        (["Subject: Re: drill"], True, False),
        (["Subject: RÉ: exercice"], True, False),
        (["Subject: AW: Übung"], True, False),
        (["Subject: drill", "In-Reply-To: <1@x>"], True, False),
        (["Subject: Fwd: drill"], False, True),
        (["Subject: TR : exercice"], False, True),
        (["Subject: FW: Re: drill"], False, True),
        (["Subject: Re: Fwd: drill"], True, False),
        (["Subject: Restaurant: menu"], False, False),
        (["Subject: Travel: trains"], False, False),
        (["From: a"], False, False),
    ],
)
def test_replies_and_forwards_are_recognized(headers, reply, forward):
    message = parse(*headers)
    assert (is_reply(message), is_forward(message)) == (reply, forward)
