"""The English office files: a boat yard, its staff, contracts and papers."""

import io
from email.message import EmailMessage

from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet
from pptx import Presentation
from pptx.util import Inches

from .formats import (
    PdfPage,
    create_docx,
    create_pdf,
    format_field,
    format_footnote,
    format_paragraph,
    format_run,
    format_table,
)

EUROS = '#,##0.00 "€"'


def create_english_files() -> dict[str, bytes]:
    """Return the files by name."""
    return {
        "price_list.xlsx": _create_price_list(),
        "staff.xlsx": _create_staff_list(),
        "opening_hours.html": OPENING_HOURS.encode(),
        "lease.docx": _create_lease(),
        "complaint.eml": _create_complaint(),
        "pump_manual.pdf": create_pdf(MANUAL, by_line=True),
        "minutes.txt": MINUTES.encode(),
        "terms.md": TERMS.encode(),
        "budget.xlsx": _create_budget(),
        "safety_training.pptx": _create_training(),
    }


def save_workbook(book: Workbook) -> bytes:
    """Return a workbook as a file."""
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def set_format(sheet: Worksheet, cells: str, number_format: str) -> None:
    """Give the cells of an area a number format."""
    for row in sheet[cells]:
        for cell in row:
            cell.number_format = number_format


def _create_price_list() -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = "Boat hire"
    for row in (
        ["Lakeside Boat Yard: hire prices 2026"],
        [],
        ["Group", "Boat", "Low season", None, "High season", None],
        [None, None, "Half day", "Full day", "Half day", "Full day"],
        ["Paddle boats", "Single kayak", 14, 22, 18.5, 29],
        [None, "Double kayak", 19, 31, 24, 38.5],
        [None, "Three-seat canoe", 23, 36, 28, 45],
        ["Sailing boats", "Dinghy Wren", 42, 68, 55, 89],
        [None, "Keelboat Osprey", 96, 154, 120, 195],
        [],
        ["A deposit of 150 € is due for sailing boats. Lifejackets are included in all prices."],
    ):
        sheet.append(row)
    for area in ("A1:F1", "A3:A4", "B3:B4", "C3:D3", "E3:F3", "A5:A7", "A8:A9", "A11:F11"):
        sheet.merge_cells(area)
    set_format(sheet, "C5:F9", EUROS)
    return save_workbook(book)


def _create_staff_list() -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = "Staff"
    for row in (
        ["Lakeside Boat Yard"],
        ["Staff list, as of 1 March 2026"],
        [],
        ["Name", "Function", "Office", "Extension", "Working hours per week"],
        ["Amelia Norcross", "Harbour master", "A 1", 201, "39:00"],
        ["Gareth Pyle", "Boat builder", "Workshop", 214, "36:30"],
        ["Siobhan Daly", "Bookkeeper", "A 4", 207, "24:00"],
        ["Tomasz Wilk", "Sailing instructor", "Pier 2", 222, "30:15"],
        ["Harriet Osei", "Shop assistant", "Shop", 219, "18:45"],
    ):
        sheet.append(row)
    contacts = book.create_sheet("Emergency")
    for row in (
        ["Fire alarm company", "Beacon Systems, 01539 555 018"],
        ["First aid box", "Behind the shop counter"],
        ["Assembly point", "Car park B, by the flagpole"],
        ["Nearest hospital", "Westmere General, 12 km"],
    ):
        contacts.append(row)
    return save_workbook(book)


OPENING_HOURS = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Opening hours - Lakeside Boat Yard</title>
<style>.old { display: none }</style><script>var closes = "midnight";</script></head>
<body>
<div id="cookie-banner" class="cookie-consent"><p>We use cookies to improve your visit. Cookies are kept for 13
months.</p><button>Accept all</button></div>
<header><nav><ul><li><a href="/">Home</a></li><li><a href="/hire">Boat hire</a></li><li><a href="/courses">Courses</a>
</li></ul></nav></header>
<main>
<h1>Opening hours</h1>
<p>The yard is open all year round<sup>1</sup>. The slipway can be used by members at any time.</p>
<p style="display:none">The shop closes at 16:00 on Saturdays.</p>
<table><caption>Opening hours by season</caption>
<tr><th>Season</th><th>Place</th><th>Monday to Friday</th><th>Saturday</th><th>Sunday</th></tr>
<tr><td rowspan="2">April to September</td><td>Shop</td><td>9:00-18:00</td><td>9:00-17:30</td><td>10:00-13:00</td></tr>
<tr><td>Hire desk</td><td>8:30-19:00</td><td>8:00-20:00</td><td>8:00-20:00</td></tr>
<tr><td rowspan="2">October to March</td><td>Shop</td><td>10:00-16:30</td><td>10:00-15:00</td><td>closed</td></tr>
<tr><td>Hire desk</td><td colspan="3">by appointment only</td></tr>
</table>
<h2>How to find us</h2>
<p>Bus 43 stops at the gate every twenty minutes. Parking costs 2 € per day; members park free of charge.</p>
<p><small><sup>1</sup> Except on 25 December and 1 January.</small></p>
</main>
<footer><p>Lakeside Boat Yard, 5 Quay Road. Imprint. Privacy.</p></footer>
</body></html>
"""


def _create_lease() -> bytes:
    tenant = format_field('FORMTEXT "Tenant"', "Rowan Ashdown")
    body = "".join(
        [
            format_paragraph("Lease of a berth", style="Heading1"),
            format_paragraph(
                format_run("This lease is concluded between Lakeside Boat Yard (the lessor) and ")
                + tenant
                + format_run(" (the lessee) for berth ")
                + format_field("MERGEFIELD Berth", "C 17")
                + format_run(".")
            ),
            format_paragraph("Term and notice", style="Heading2"),
            format_paragraph(
                "The lease begins on 1 April 2026 and runs for five years. The lessee may give notice of three months, "
                "the lessor notice of six months."
            ),
            format_paragraph("Rent", style="Heading2"),
            format_paragraph(
                format_run("The rent is payable in advance by the third working day of each quarter")
                + format_footnote(1)
                + format_run(". If payment is late, interest of 5 % per year is due.")
            ),
            format_table(
                [
                    ["Item", "Amount", "Due"],
                    ["Rent of the berth", "310.00 €", "quarterly"],
                    ["Electricity, flat rate", "45.00 €", "quarterly"],
                    ["Key deposit", "60.00 €", "once"],
                ]
            ),
            format_paragraph("Duties of the lessee", style="Heading2"),
            format_paragraph("The lessee must not:"),
            format_paragraph("sublet the berth;", list_level=0),
            format_paragraph("keep petrol on the pontoon;", list_level=0),
            format_paragraph("sand hulls outside the workshop.", list_level=0),
            format_paragraph(
                "The lessee shall insure the boat against third-party claims for at least 2 million euros."
            ),
        ]
    )
    notes = ["A quarter begins on 1 January, 1 April, 1 July and 1 October."]
    return create_docx(body, header="Lakeside Boat Yard · Lease 2026-C17", footer="Page 1 of 1", footnotes=notes)


def _create_complaint() -> bytes:
    message = EmailMessage()
    message["Subject"] = "Re: Invoice 2026-0418"
    message["From"] = "Siobhan Daly <office@lakeside.example>"
    message["To"] = "Ben Hurst <ben@hurst.example>"
    message["Date"] = "Tue, 12 May 2026 10:14:00 +0100"
    message.set_content(
        "Dear Mr Hurst,\n\n"
        "you are right: the crane fee on invoice 2026-0418 was wrong. The correct crane fee is 85 euros. We will "
        "refund the difference by 29 May to your account. The winter storage stays at 420 euros.\n\n"
        "Kind regards\nSiobhan Daly\n\n"
        "On Mon, 11 May 2026 at 18:02, Ben Hurst <ben@hurst.example> wrote:\n"
        "> Hello,\n>\n> invoice 2026-0418 says that the crane fee is 185 euros. Last year the crane fee was 80 euros.\n"
        "> Please send the refund by 15 May.\n>\n> Ben Hurst\n"
    )
    message.add_alternative(
        "<p>Dear Mr Hurst,</p><p>you are right: the crane fee on invoice 2026-0418 was wrong. The correct crane fee is "
        "85 euros. We will refund the difference by 29 May to your account. The winter storage stays at 420 euros.</p>"
        "<blockquote>The crane fee is 185 euros. Please send the refund by 15 May.</blockquote>",
        subtype="html",
    )
    return message.as_bytes()


MANUAL = [
    PdfPage(
        head="Brook 300 bilge pump - Operating manual",
        foot="1",
        columns=(
            [
                "1 Installation",
                "",
                "Fit the pump at the lowest point of the bilge",
                "and fix it with four M5 screws. The hose must",
                "have an inner diameter of 25 mm. Do not bend",
                "the hose more than necessary. A self-prim-",
                "ing pump needs no water before the start.",
                "",
                "2 Electrical connection",
                "",
                "The pump runs on 12 V direct current. Protect",
                "the circuit with a fuse of 7.5 A. The red wire",
                "is the positive one.",
            ],
            [
                "3 Operation",
                "",
                "The float switch starts the pump as soon as",
                "the water is 40 mm high. The pump delivers",
                "31 litres per minute. It must not run dry for",
                "longer than 30 seconds.",
                "",
                "4 Maintenance",
                "",
                "Clean the strainer every two months. Replace",
                "the impeller after 600 hours of operation. The",
                "spare part has the number BR-300-IMP, and it",
            ],
        ),
    ),
    PdfPage(
        head="Brook 300 bilge pump - Operating manual",
        foot="2",
        columns=(
            [
                "is sold by every dealer. Grease the seal once",
                "a year.",
                "",
                "5 Faults",
                "",
                "If the pump hums but does not turn, the im-",
                "peller is blocked. If the pump does not start,",
                "check the fuse and the float switch.",
            ],
            [
                "6 Warranty",
                "",
                "The warranty lasts 36 months from the date of",
                "purchase. It does not cover:",
                "- damage by frost",
                "- pumps that ran dry",
                "- worn seals",
            ],
        ),
    ),
]

MINUTES = """LAKESIDE BOAT YARD
Minutes of the members' meeting, 14 February 2026

Present: Amelia Norcross (chair), Siobhan Daly (minutes), 43 members
Apologies: Gareth Pyle, Dr. J. R. Whitcombe

1. Accounts
Ms Daly presented the accounts for 2025. Income was 212,400 euros and expenditure 198,750 euros. The accounts were
approved with 38 votes in favour, 2 against and 3 abstentions.

2. New jetty
The builder, Marlow & Sons, offers the jetty for 64,000 euros; Pontec asks for 71,500 euros. The meeting chose Pontec
because its offer includes lighting. Work is planned to begin in September 2026.

3. Youth section
Tomasz Wilk was elected head of the youth section. He succeeds Ellen Fairley, who held the office for nine years.
Sailing camp: 3 to 8 August, at most 24 children.

4. Any other business
The proposal to ban motor boats on Sundays was rejected. The next meeting takes place on 13 June 2026 at 7 pm in the
boathouse.
"""

TERMS = """---
title: Terms of hire
valid_from: 2026-01-01
author: Siobhan Daly
---

Terms of hire
=============

Who may hire
------------

Hirers must be at least 18 years old. Sailing boats are hired only to persons with a sailing licence. Each hirer may
take up to two boats at a time.

Cancellation
------------

Bookings can be cancelled free of charge until 48 hours before the start. After that, half of the price is due. If there
is a storm warning, the full price is refunded.

Insurance
---------

The insurance covers:

- damage to other boats
- injuries of passengers

The insurance does not cover:

- lost paddles
- damage caused by drunken hirers
- items left in the boat

The excess is 200 € per case.

Pets
----

Dogs are welcome on all boats except the Osprey. Cats are not allowed.
"""


def _create_budget() -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = "Budget"
    for row in (
        ["Budget of the boat yard, in euros"],
        [],
        ["Item", 2024, 2025, 2026, "Change 2025 to 2026"],
        ["Berth rents", 88400, 91250, 94600, 0.0367],
        ["Boat hire", 61200, 70300, 73800, 0.0498],
        ["Courses", 32750, 29900, 34385, 0.15],
        ["Repairs", 18300, 20950, 19274, -0.08],
        ["Total", "=SUM(B4:B7)", "=SUM(C4:C7)", "=SUM(D4:D7)", None],
    ):
        sheet.append(row)
    sheet.merge_cells("A1:E1")
    set_format(sheet, "B4:D8", EUROS)
    set_format(sheet, "E4:E7", "0.0%")
    sheet["G3"], sheet["H3"] = "Loan", "Interest"
    sheet["G4"], sheet["H4"] = "Harbour Bank", 0.0325
    sheet["G5"], sheet["H5"] = "County fund", 0.0115
    set_format(sheet, "H4:H5", "0.00%")
    return save_workbook(book)


def _create_training() -> bytes:
    deck = Presentation()
    title = deck.slides.add_slide(deck.slide_layouts[0])
    title.shapes.title.text = "Safety on the water"
    title.placeholders[1].text = "Training for new staff"
    rules = deck.slides.add_slide(deck.slide_layouts[1])
    rules.shapes.title.text = "Before casting off"
    rules.placeholders[
        1
    ].text = (
        "Check the weather: no hire from wind force 6\nLifejackets are compulsory for everybody\nRadio on channel 72"
    )
    rules.notes_slide.notes_text_frame.text = "The rescue boat must be fuelled every evening by the last instructor."
    table_slide = deck.slides.add_slide(deck.slide_layouts[5])
    table_slide.shapes.title.text = "Fire extinguishers"
    rows = [
        ["Place", "Type", "Next check"],
        ["Workshop", "Foam, 9 litres", "October 2026"],
        ["Shop", "Carbon dioxide, 2 kg", "March 2027"],
        ["Fuel pier", "Powder, 12 kg", "June 2026"],
    ]
    table = table_slide.shapes.add_table(len(rows), 3, Inches(1), Inches(2), Inches(8), Inches(2)).table
    for y, row in enumerate(rows):
        for x, text in enumerate(row):
            table.cell(y, x).text = text
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()
