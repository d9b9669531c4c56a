"""E-mail."""

import pytest

from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason
from tests.unit_tests.ingest.sample_files import create_eml


def test_email_text_has_headers_and_names_of_attachments(tmp_path):
    data = create_eml(
        "Where is it?", text="Hello,\n\n# not a heading\n", html="<p>no</p>", attached={"bill.pdf": b"%PDF"}
    )
    document = load_text(tmp_path, "a.eml", data)
    assert document.page_content == (
        "Subject: Where is it?\nFrom: Zoé <zoe@larkspur.example>\nTo: shop@larkspur.example\n"
        "Attachments: bill.pdf\n\nHello,\n\n# not a heading"
    )
    assert document.metadata["title"] == "Where is it?"
    assert load_text(tmp_path, "b.eml", create_eml("Only", html="<p>Hi <b>you</b></p>")).page_content.endswith(
        "\n\nHi you"
    )
    odd = b"Subject: x\r\nContent-Type: text/plain; charset=klingon\r\n\r\ncaf\xc3\xa9\r\n"
    assert load_text(tmp_path, "c.eml", odd).page_content == "Subject: x\n\ncafé"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"just text", "it is not an e-mail: it has no headers"),
    ],
)
def test_unusable_files_are_skipped(tmp_path, data, reason):
    assert reason in read_skip_reason(tmp_path, "a.eml", data)
