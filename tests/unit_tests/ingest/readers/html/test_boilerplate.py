"""Menus, cookie banners, headers and footers are no text; the content that looks like them is."""

import pytest

from tests.unit_tests.ingest.readers.html.helpers import read_page

CONTENT = "<h1>Fares</h1><p>The ferry leaves the port of Larkspur at nine every morning.</p>"
SHOWN = "# Fares\n\nThe ferry leaves the port of Larkspur at nine every morning."
LINKS = "<a href=/>Home</a> <a href=/shop>Shop</a> <a href=/contact>Contact</a>"
LIST = "<ul><li><a href=/>Accueil</a></li><li><a href=/p>Produits</a></li><li><a href=/c>Contact</a></li></ul>"


@pytest.mark.parametrize(
    "around",
    [
        f"<nav><h2>Menu</h2>{LIST}</nav>",
        f"<div role=navigation>Go to: {LIST}</div>",
        f"<div class='main-menu'>{LIST}</div>",
        f"<div class=breadcrumb>You are here: {LINKS}</div>",
        f"<div>{LIST}</div>",
        "<div><a href=/>Home</a> | <a href=/shop>Shop</a> | <a href=/contact>Contact</a></div>",
        f"<table><tr><td>{LINKS}</td></tr></table>",
        f"<header><a href=/><img alt=Larkspur src=logo.png></a>{LIST}</header>",
        f"<footer>{LIST}<p>© 2025 Larkspur Ferries. All rights reserved.</p></footer>",
        f"<div id=footer>{LINKS}<br>Tous droits réservés</div>",
        "<div class=footer>Mentions légales - Plan du site - © Ville de Larkspur</div>",
        "<footer><p>Imprint. Privacy policy. Terms of use. © 2025 Larkspur Ferries</p></footer>",
        "<footer>Données personnelles | Accessibilité : partiellement conforme | Gestion des cookies</footer>",
        "<a href='#main'>Skip to content</a>",
        "<a href='#contenu'>Aller au contenu</a>",
        "<div id=banner-9><p>We use cookies to improve your visit.</p><button>Accept all</button></div>",
        "<div><div><p>Ce site utilise des cookies.</p><a href=#>Tout accepter</a> <a href=#>Refuser</a></div></div>",
        "<div role=dialog><p>Cookies and your consent: see our partners.</p><input type=button value=OK></div>",
        "<div><span>Nous déposons des traceurs.</span><div onclick='x()'>Continuer sans accepter</div></div>",
        "<form role=search><label>Search the site</label><input></form>",
    ],
)
def test_what_surrounds_the_content_is_left_out(around):
    assert read_page(around + CONTENT) == SHOWN
    assert read_page(f"<main>{CONTENT}</main>{around}") == SHOWN


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("<footer><p>Registered office: 4 Quay Street</p><a href=/map>Map</a></footer>", "4 Quay Street"),
        ("<footer>Larkspur Ferries, 5 Quay Road. Imprint. Privacy.</footer>", "5 Quay Road"),
        ("<footer><p>Contact: Nadia Ferran</p></footer>", "Contact: Nadia Ferran"),
        ("<footer><p>Ouvert tous les jours sauf le dimanche.</p></footer>", "sauf le dimanche"),
        ("<header><p>Edition of 1 May 2025</p></header>", "Edition of 1 May 2025"),
        ("<article><header><h2>Winter</h2><p>By Anna</p></header></article>", "By Anna"),
        ("<div class=menu><h2>Menu du jour</h2><ul><li>Soupe 6 €<li>Plat 12 €</ul></div>", "Soupe 6 €"),
        ("<p>You need:</p><ul><li><a href=a>A pass</a><li><a href=b>A map</a><li><a href=c>A key</a></ul>", "A map"),
        ("<h2>Formulaires</h2><ul><li><a href=a>Un</a><li><a href=b>Deux</a><li><a href=c>Trois</a></ul>", "Deux"),
        ("<ul><li><a href=a.pdf>Plan A</a><li><a href=b.pdf>Plan B</a><li><a href=c.pdf>Plan C</a></ul>", "Plan B"),
        ("<p><a href=tel:1>01 02</a> <a href=tel:2>03 04</a> <a href=mailto:x@y>x@y</a></p>", "03 04"),
        ("<div><p>Bake the cookies for 12 minutes.</p><a href=/s>Save this recipe</a></div>", "12 minutes"),
        ("<article><p>We use cookies for 13 months.</p><a href=#>Manage cookies</a></article>", "13 months"),
    ],
)
def test_content_that_looks_like_a_frame_stays(content, shown):
    assert shown in read_page(CONTENT + content)
    assert shown in read_page(content + CONTENT)


def test_a_page_of_links_alone_keeps_them():
    assert read_page(f"<div class=menu>{LIST}</div>") == "- Accueil\n- Produits\n- Contact"


def test_repeated_headers_and_footers_of_printed_pages_stand_once():
    pages = "".join(
        f"<div class=page-header>Larkspur tariff, page {number}</div><p>Part {number}</p><footer>In force since May"
        " 2025</footer>"
        for number in (1, 2, 3)
    )
    text = read_page(pages)
    assert text == "Larkspur tariff, page 1\n\nPart 1\n\nIn force since May 2025\n\nPart 2\n\nPart 3"
