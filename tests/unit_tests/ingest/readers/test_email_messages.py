"""E-mail: own text, quotations, forwarded and attached messages, attached documents."""

import json
from email.message import EmailMessage

import pytest

from langchain_gptoss.errors import DocumentWarning
from langchain_gptoss.ingest import load_documents, split_documents, sync_documents
from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason
from tests.unit_tests.ingest.sample_files import create_docx, create_eml, create_pdf, create_zip
from tests.unit_tests.ingest.sync_helpers import HashEmbeddings


def create_message(text: str, subject: str = "Drill", **headers: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Nora <nora@larkspur.example>"
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def load(folder, message: EmailMessage | bytes) -> list:
    (folder / "a.eml").write_bytes(message if isinstance(message, bytes) else message.as_bytes())
    return load_documents(folder / "a.eml")


def test_email_text_has_headers_and_names_of_attachments(tmp_path):
    data = create_eml(
        "Where is it?", text="Hello,\n\n# not a heading\n", html="<p>no</p>", attached={"bill.pdf": b"%PDF"}
    )
    with pytest.warns(DocumentWarning, match=r"its attachment bill\.pdf is left out: it is not a readable PDF"):
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


@pytest.mark.parametrize(
    "data",
    [
        b"\n\r\nSubject: x\n\nbody",
        b"\xef\xbb\xbfSubject: x\n\nbody",
        "\ufeffSubject: x\n\nbody".encode("utf-16-le"),
        b"From nora Tue Jun  3 10:00:00 2025\nSubject: x\n\nbody",
    ],
)
def test_odd_beginnings_of_a_file_are_read(tmp_path, data):
    assert load_text(tmp_path, "a.eml", data).page_content == "Subject: x\n\nbody"


@pytest.mark.parametrize(
    "old",
    [
        "> On 1 June, Tom wrote:\n> The drill is on Friday 6 June at 9:00.",
        "On 1 June 2025 at 9:00, Tom <t@x.example> wrote:\n\nThe drill is on Friday 6 June at 9:00.",
        "-----Original Message-----\nFrom: Tom\nSent: 1 June\nTo: Nora\nSubject: Drill\n\nThe drill is on Friday 6 June at 9:00.",
        "De : Tom\nEnvoyé : 1er juin\nÀ : Nora\nObjet : Exercice\n\nThe drill is on Friday 6 June at 9:00.",
    ],
)  # fmt: skip
def test_quoted_message_is_a_document_of_its_own_in_every_chunk(tmp_path, old):
    message = create_message(f"The drill moves to 12 June.\n\n{old}\n", Date="Tue, 3 Jun 2025 10:00:00 +0100")
    own, quoted = load(tmp_path, message)
    assert own.page_content.endswith("The drill moves to 12 June.")
    assert "quoted" not in own.metadata
    assert own.metadata["author"] == "Nora <nora@larkspur.example>"
    assert own.metadata["date"] == "2025-06-03T10:00:00+01:00"
    assert quoted.metadata["quoted"] == "reply"
    assert "author" not in quoted.metadata
    chunks = split_documents([own, quoted], max_chars=40)
    text = f"{own.page_content}\n\n{quoted.page_content}"
    for chunk in chunks:
        assert text[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.page_content
        assert chunk.metadata.get("quoted") == (
            "reply" if "6 June" in chunk.page_content else chunk.metadata.get("quoted")
        )
        assert "12 June" not in chunk.page_content or "quoted" not in chunk.metadata


def test_quotations_reach_the_index(tmp_path):
    load(tmp_path, create_message("New date: 12 June.\n\nTom a écrit :\n> Le 6 juin.\n"))
    (tmp_path / "b.eml").write_bytes("Subject: x\n\nÉté payé à l'hôtel".encode("cp1252"))
    report = sync_documents(tmp_path, tmp_path / "index", embeddings=HashEmbeddings(), on_progress=lambda _: None)
    assert [str(warning) for warning in report.warnings] == [
        "b.eml: it does not say its encoding; it is read as windows-1252."
    ]
    from langchain_gptoss.ingest import open_store

    store = open_store(tmp_path / "index", HashEmbeddings())
    (quoted,) = store.similarity_search("date", k=5, filter={"quoted": "reply"})
    assert quoted.page_content == "Tom a écrit :\nLe 6 juin."
    assert quoted.metadata["quoted_from"] == "Tom a écrit"


def test_html_only_reply_is_split(tmp_path):
    html = (
        '<div>The drill moves to 12 June.</div><div class="gmail_quote"><div>Le mar. 3 juin 2025 à 10:00, Tom '
        '&lt;<a href="mailto:t@x.example">t@x.example</a>&gt; a écrit :<br></div>'
        '<blockquote class="gmail_quote" style="border-left:1px solid">The drill is on 6 June.</blockquote></div>'
        "<div>Bring a helmet.</div>"
    )
    documents = load(tmp_path, create_eml("Re: Drill", html=html))
    assert [document.metadata.get("quoted") for document in documents] == [None, "reply", None]
    assert documents[1].page_content.endswith("The drill is on 6 June.")
    assert documents[2].page_content == "Bring a helmet."


def test_forward_is_marked_by_its_subject(tmp_path):
    text = "Pour info.\n\nDe : Tom\nEnvoyé : lundi 2 juin\nÀ : Nora\nObjet : Exercice\n\nL'exercice est le 6 juin.\n"
    _, forwarded = load(tmp_path, create_message(text, subject="TR: Exercice"))
    assert forwarded.metadata["quoted"] == "forward"
    assert forwarded.metadata["quoted_from"] == "De : Tom; Envoyé : lundi 2 juin"


def test_message_without_own_text_keeps_its_headers(tmp_path):
    own, quoted = load(tmp_path, create_message("> only old text\n"))
    assert own.page_content == "Subject: Drill\nFrom: Nora <nora@larkspur.example>"
    assert quoted.page_content == "only old text"


def test_attached_message_is_a_forwarded_part_with_its_own_quotations(tmp_path):
    inner = create_message("The room is B12.\n\nOn 1 June, Tom wrote:\n> The room is A1.\n", subject="Room")
    message = create_message("See the attached message.")
    message.add_attachment(inner)
    own, attached, old = load(tmp_path, message)
    assert "Attachments: message/rfc822" in own.page_content
    assert attached.page_content.endswith("The room is B12.")
    assert (attached.metadata["quoted"], attached.metadata["attachment"]) == ("forward", "Room")
    assert (old.metadata["quoted"], old.metadata["attachment"]) == ("reply", "Room")


def test_attached_documents_are_parts_with_their_names(tmp_path):
    message = create_message("See the files.")
    files = {
        "tarif été.csv": b"Name;Price\nTea;3\n",
        "notes.txt": "Prix : 5 €, payé à l’hôtel".encode("cp1252"),
        "page.html": b"<h1>Returns</h1><p>14 days.</p>",
        "guide.docx": create_docx((1, "Warranty"), "Two years."),
        "plan.pdf": create_pdf("Page one.", "Page two."),
        "event.ics": b"BEGIN:VCALENDAR\nSUMMARY:Drill\nEND:VCALENDAR\n",
        "old.eml": create_message("Older text.", subject="Old").as_bytes(),
    }
    for name, data in files.items():
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    message.add_attachment(b"x", maintype="image", subtype="png", filename="logo.png")
    message.add_attachment(create_zip({"a": "b"}), maintype="application", subtype="zip", filename="all.zip")
    with pytest.warns(DocumentWarning) as caught:
        own, *parts = load(tmp_path, message)
    assert sorted(str(warning.message) for warning in caught) == [
        "a.eml: its attachment all.zip is left out: its format is not supported.",
        "a.eml: its attachment notes.txt: it does not say its encoding; it is read as windows-1252.",
    ]
    assert f"Attachments: {', '.join([*files, 'logo.png', 'all.zip'])}" in own.page_content
    assert [part.metadata["attachment"] for part in parts] == [
        "tarif été.csv", "notes.txt", "page.html", "guide.docx", "plan.pdf", "plan.pdf", "event.ics", "old.eml",
    ]  # fmt: skip
    table, notes, page, guide, first, second, event, old = parts
    assert "Name: Tea; Price: 3" in table.page_content
    assert notes.page_content == "Prix : 5 €, payé à l’hôtel"
    assert notes.metadata["encoding"] == "windows-1252"
    assert "encoding" not in own.metadata
    assert (first.metadata["page"], second.metadata["page"]) == (1, 2)
    assert "SUMMARY:Drill" in event.page_content
    assert old.metadata["quoted"] == "forward"
    headings = {chunk.page_content: chunk.metadata["heading"] for chunk in split_documents([page, guide])}
    assert headings == {"14 days.": "Returns", "Two years.": "Warranty"}
    assert (page.metadata["title"], table.metadata["title"]) == ("Returns", "tarif été")
    assert {part.metadata["source"] for part in parts} == {"a.eml"}
    json.dumps([part.metadata for part in parts])


def test_file_type_is_enough_for_an_attachment_without_a_suffix(tmp_path):
    message = create_message("See the file.")
    message.add_attachment(create_docx("Two years."), maintype="application", subtype="vnd.openxmlformats-officedocument.wordprocessingml.document", filename="guide")  # fmt: skip
    assert load(tmp_path, message)[1].page_content.strip() == "Two years."


def test_declared_encoding_of_an_attached_text_is_used(tmp_path):
    data = (
        b"Subject: x\nContent-Type: multipart/mixed; boundary=XX\n\n--XX\n"
        b'Content-Type: text/plain; charset=koi8-r; name="a.txt"\n\n' + "Да, нет".encode("koi8-r") + b"\n--XX--\n"
    )
    _, attached = load(tmp_path, data)
    assert attached.page_content == "Да, нет"
    assert attached.metadata["encoding"] == "koi8-r"


def test_invitation_is_read_as_text(tmp_path):
    message = create_message("The drill is on 12 June.")
    message.add_alternative("BEGIN:VCALENDAR\nLOCATION:Deck B\nEND:VCALENDAR\n", subtype="calendar")
    own, invitation = load(tmp_path, message)
    assert own.page_content.endswith("The drill is on 12 June.")
    assert "LOCATION:Deck B" in invitation.page_content


def test_messages_in_messages_are_read_to_a_limit(tmp_path):
    message = create_message("level 8")
    for level in range(7, -1, -1):
        outer = create_message(f"level {level}")
        outer.add_attachment(message)
        message = outer
    with pytest.warns(DocumentWarning, match="messages are nested more than 5 times"):
        documents = load(tmp_path, message)
    assert [document.page_content[-1] for document in documents] == list("012345")


def test_attachments_have_limits(tmp_path):
    message = create_message("many")
    for number in range(3):
        message.add_attachment("x" * 2000, filename=f"{number}.txt")
    (tmp_path / "a.eml").write_bytes(message.as_bytes())
    (tmp_path / "b.eml").write_bytes(create_message("x").as_bytes())
    assert len(load_documents(tmp_path / "a.eml")) == 4
    from langchain_gptoss.ingest.readers.email_messages import read_eml

    extracted = read_eml(message.as_bytes(), 5000)
    assert len(extracted.pages) == 3
    assert extracted.warnings == [
        "its attachment 2.txt is left out: the attachments are larger than max_bytes together"
    ]


def test_base64_of_an_attached_message_is_decoded(tmp_path):
    import base64

    inner = base64.encodebytes(b"Subject: Inner\n\nThe room is B12.\n").decode()
    data = (
        "Subject: Outer\nContent-Type: multipart/mixed; boundary=XX\n\n--XX\nContent-Type: text/plain\n\nown\n--XX\n"
        f"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{inner}\n--XX--\n"
    )
    own, attached = load(tmp_path, data.encode())
    assert own.page_content.endswith("own")
    assert "The room is B12." in attached.page_content


def test_parts_have_their_own_language(tmp_path):
    english = "The drill moves to the twelfth of June, and all of us have to be there at the same time.\n"
    french = "> L'exercice est le six juin, et nous devons tous être là à la même heure dans la salle.\n"
    own, quoted = load(tmp_path, create_message(english + "\n" + french))
    assert (own.metadata["language"], quoted.metadata["language"]) == ("en", "fr")
