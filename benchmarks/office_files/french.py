"""The French office files: a small town, its swimming pool, services and papers."""

import datetime
import json

from openpyxl import Workbook

from .english import save_workbook, set_format
from .formats import (
    PdfPage,
    WordCell,
    create_docx,
    create_epub,
    create_pdf,
    format_field,
    format_paragraph,
    format_run,
    format_table,
)

EUROS = "#,##0.00\\ [$€-40C]"


def create_french_files() -> dict[str, bytes]:
    """Return the files by name."""
    return {
        "tarifs_piscine.xlsx": _create_pool_prices(),
        "annuaire.csv": DIRECTORY.encode("cp1252"),
        "horaires.html": HOURS.encode("cp1252"),
        "contrat_location.docx": _create_rental_contract(),
        "relance.eml": MAIL.encode("cp1252"),
        "notice_chaudiere.pdf": create_pdf(MANUAL, by_line=False),
        "compte_rendu.md": MINUTES.encode(),
        "guide_dechets.epub": create_epub("Guide des déchets", [chapter.encode("latin-1") for chapter in CHAPTERS]),
        "stock.jsonl": _create_stock(),
        "fiche_salle.xlsx": _create_hall_sheet(),
    }


def _create_pool_prices() -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = "Tarifs"
    for row in (
        ["Piscine municipale de Vernay"],
        ["Tarifs applicables au 1er septembre 2026"],
        [],
        ["Public", "Formule", "Habitants", None, "Extérieurs", None],
        [None, None, "Semaine", "Week-end", "Semaine", "Week-end"],
        ["Adultes", "Entrée simple", 3.2, 3.9, 4.6, 5.4],
        [None, "Carte de 10 entrées", 27, 33, 40, 47.5],
        ["Enfants", "Entrée simple", 1.8, 2.1, 2.5, 2.9],
        [None, "Carte de 10 entrées", 15, 17.5, 21, 24],
        ["Groupes", "Location d'une ligne d'eau", 18, 22, 26, 31],
        [],
        ["Le bonnet de bain est obligatoire. Les cartes sont valables 18 mois."],
    ):
        sheet.append(row)
    for area in ("A1:F1", "A2:F2", "A4:A5", "B4:B5", "C4:D4", "E4:F4", "A6:A7", "A8:A9", "A12:F12"):
        sheet.merge_cells(area)
    set_format(sheet, "C6:F10", EUROS)
    return save_workbook(book)


DIRECTORY = """sep=;
Service;Responsable;Téléphone;Étage;Budget annuel
État civil;Hélène Maréchal;04 50 55 12 01;rez-de-chaussée;48 200 €
Urbanisme;Régis Chauvet;04 50 55 12 14;2e étage;131 750 €
Écoles;Anaïs Le Goff;04 50 55 12 20;1er étage;412 300 €
Voirie;Bastien Thévenot;04 50 55 12 32;atelier;268 900 €
Régie de l'eau;Noémie Garçon;04 50 55 12 41;1er étage;97 640 €
"""

HOURS = """<!DOCTYPE html>
<html lang="fr"><head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">
<title>Horaires de la médiathèque</title></head>
<body>
<div class="cookies" role="dialog"><p>Ce site dépose des cookies pendant six mois.</p>
<button>Tout refuser</button></div>
<nav><a href="/">Accueil</a> <a href="/agenda">Agenda</a> <a href="/catalogue">Catalogue</a></nav>
<h1>Médiathèque Jean-Moulin</h1>
<p>La médiathèque prête des livres, des disques et des jeux. L’inscription coûte 12&nbsp;€ par an&nbsp;; elle est
gratuite pour les moins de 18&nbsp;ans.</p>
<div hidden>La médiathèque ferme à 17&nbsp;h le samedi.</div>
<h2>Horaires</h2>
<table>
<tr><th rowspan="2">Espace</th><th colspan="3">Période scolaire</th><th rowspan="2">Vacances</th></tr>
<tr><th>Mardi</th><th>Mercredi</th><th>Samedi</th></tr>
<tr><td>Section adultes</td><td>14&nbsp;h à 18&nbsp;h</td><td>10&nbsp;h à 19&nbsp;h</td><td>10&nbsp;h à 18&nbsp;h</td>
<td>14&nbsp;h à 17&nbsp;h 30</td></tr>
<tr><td>Section jeunesse</td><td>16&nbsp;h à 18&nbsp;h</td><td>9&nbsp;h 30 à 18&nbsp;h 30</td>
<td>10&nbsp;h à 12&nbsp;h 30</td><td>fermée</td></tr>
</table>
<h2>Prêt</h2>
<ul><li>10 livres pour quatre semaines</li><li>3 jeux pour deux semaines</li></ul>
<p>Le retard coûte 0,15&nbsp;€ par jour et par document.</p>
<div class="footer">Mentions légales - Plan du site - © Ville de Vernay</div>
</body></html>
"""


def _create_rental_contract() -> bytes:
    body = "".join(
        [
            format_paragraph("Contrat de location de matériel", style="Heading1"),
            format_paragraph(
                format_run("Entre la ville de Vernay, le loueur, et l'association ")
                + format_field("MERGEFIELD Association", "Les Tréteaux du Lac")
                + format_run(", le preneur, représentée par ")
                + format_field("FORMTEXT", "Mme Odile Rambert")
                + format_run(".")
            ),
            format_paragraph("Matériel loué", style="Heading2"),
            format_table(
                [
                    ["Catégorie", "Matériel", "Quantité", "Prix par jour", "Caution"],
                    [WordCell(text="Mobilier", merge="restart"), "Chaise pliante", "120", "0,40 €", "8 €"],
                    [WordCell(text="", merge="continue"), "Table ronde", "15", "4,50 €", "60 €"],
                    ["Sonorisation", "Enceinte active", "2", "35 €", "400 €"],
                    ["Éclairage", "Projecteur LED", "6", "9,90 €", "150 €"],
                ]
            ),
            format_paragraph("Durée", style="Heading2"),
            format_paragraph(
                "La location commence le 1er juillet 2026 à 8 h et se termine le 6 juillet 2026 à midi. Tout jour de "
                "retard est facturé au double du prix."
            ),
            format_paragraph("Obligations du preneur", style="Heading2"),
            format_paragraph("Il est interdit au preneur :"),
            format_paragraph("de sous-louer le matériel ;", list_level=0),
            format_paragraph("de percer les tables ;", list_level=0),
            format_paragraph("de laisser les enceintes dehors la nuit.", list_level=0),
            format_paragraph(
                "Le preneur rend le matériel propre. Le nettoyage fait par la ville coûte 75 €. L'assurance du preneur "
                "couvre le vol, sauf si le local n'était pas fermé à clé."
            ),
        ]
    )
    return create_docx(body, header="Ville de Vernay · contrat n° 2026-0731", footer="Paraphes : ____   Page 1/1")


MAIL = """Subject: Re: Fuite au gymnase
From: Bastien Thevenot <voirie@vernay.example>
To: Karine Lopes <sports@vernay.example>
Date: Thu, 5 Mar 2026 09:30:00 +0100
MIME-Version: 1.0
Content-Type: text/plain

Bonjour Karine,

Le plombier a trouvé la fuite : c'est le joint de la douche n° 4. La réparation coûte 640 euros et aura lieu le 17 mars.
Le gymnase reste ouvert pendant les travaux, mais les vestiaires seront fermés jusqu'au 19 mars.

Bien à toi,
Bastien

Le 2 mars 2026 à 16:45, Karine Lopes a écrit :
> Bonjour Bastien,
> L'entreprise Aquaflux demandait 980 euros pour la réparation et proposait de venir le 10 mars.
> Faut-il fermer le gymnase ?
> Karine
"""

MANUAL = [
    PdfPage(
        head="Chaudière Alizé 24 – Notice d'emploi",
        foot="– 1 –",
        columns=(
            [
                "Mise en service",
                "",
                "Avant la première mise en service, vérifiez",
                "que la pression de l'eau est comprise entre",
                "1,2 et 1,8 bar. Purgez ensuite les radia-",
                "teurs. La chaudière démarre en appuyant",
                "cinq secondes sur la touche R.",
                "",
                "Réglage",
                "",
                "La température de l'eau chaude se règle de",
                "38 à 60 °C. Le mode Éco abaisse la consi-",
            ],
            [
                "gne de 3 °C pendant la nuit. Le mode Va-",
                "cances maintient le logement à 8 °C.",
                "",
                "Entretien",
                "",
                "L'entretien annuel est obligatoire. Il est fait",
                "par un professionnel. Le filtre est changé",
                "tous les deux ans. La référence du filtre est",
                "AZ-24-F07.",
                "",
                "Consommation",
                "",
                "En veille, l'appareil consomme 4 W et,",
            ],
        ),
    ),
    PdfPage(
        head="Chaudière Alizé 24 – Notice d'emploi",
        foot="– 2 –",
        columns=(
            [
                "en marche, au plus 110 W.",
                "",
                "Pannes",
                "",
                "Code E3 : la pression est trop basse. Ajoutez",
                "de l'eau. Code E7 : l'extracteur est bloqué.",
                "Appelez le service après-vente au",
                "08 05 55 24 24.",
            ],
            [
                "Garantie",
                "",
                "La garantie est de cinq ans pour le corps de",
                "chauffe et de deux ans pour les autres",
                "pièces. Ne sont pas garantis :",
                "- les joints",
                "- les dégâts dus au gel",
            ],
        ),
    ),
]

MINUTES = """---
titre: Compte rendu
séance: 2026-03-24
---

Conseil municipal du 24 mars 2026
=================================

Présents : 21 élus sur 23. Secrétaire de séance : M. Loïc Brunel.

Budget
------

Le conseil adopte le budget par 17 voix contre 3 et une abstention. Les dépenses d'investissement s'élèvent à 1,35 M€.
La taxe foncière n'augmente pas.

École du Verger
---------------

Les travaux de l'école du Verger ont été confiés à l'entreprise Batival pour 486 000 euros. L'offre de Constructa,
492 500 euros, n'a pas été retenue. Le chantier durera sept mois et commencera le 6 juillet.

Stationnement
-------------

Le stationnement place du Marché devient payant, sauf le dimanche. Le prix est de 1,20 € par heure, avec un maximum de
trois heures. Les riverains paient 15 € par mois.

Questions diverses
------------------

La fête de la musique se tiendra au parc des Tilleuls et non place du Marché. La prochaine séance est fixée au 19 mai
2026 à 19 h 30.
"""

_CHAPTER = """<?xml version="1.0" encoding="iso-8859-1"?>
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{title}</title></head><body><h1>{title}</h1>{body}</body></html>
"""

CHAPTERS = [
    _CHAPTER.format(
        title="La collecte",
        body="<p>Les bacs gris sont collectés le lundi et les bacs jaunes le jeudi, une semaine sur deux. Sortez les "
        "bacs la veille après 19&#160;h. Un bac cassé est remplacé gratuitement.</p>",
    ),
    _CHAPTER.format(
        title="La déchèterie",
        body="<p>La déchèterie de Vernay ouvre du mardi au samedi de 8&#160;h 30 à 17&#160;h. Chaque foyer a droit à "
        "24 passages par an.</p><p>La déchèterie n'accepte pas&#160;:</p><ul><li>l'amiante</li><li>les pneus de "
        "camion</li><li>les extincteurs</li></ul><p>Elle accepte les peintures, les huiles et les piles.</p>",
    ),
    _CHAPTER.format(
        title="Le compost",
        body="<p>La ville vend des composteurs de 400 litres à 25 euros et de 600 litres à 38 euros. Une formation de "
        "deux heures est offerte. Les agrumes ne vont pas au compost.</p>",
    ),
]


def _create_stock() -> bytes:
    records = [
        {
            "référence": "PL-204",
            "article": "Panneau de rue",
            "quantité": 18,
            "prix": "64,50 €",
            "dépôt": "Atelier nord",
        },
        {"référence": "SE-310", "article": "Sel de déneigement", "quantité": 340, "prix": "9,20 €", "dépôt": "Hangar"},
        {
            "référence": "BA-077",
            "article": "Barrière de chantier",
            "quantité": 56,
            "prix": "41,00 €",
            "dépôt": "Hangar",
        },
        {"référence": "LA-512", "article": "Lampe de rue", "quantité": 27, "prix": "188,00 €", "dépôt": "Atelier sud"},
    ]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    lines.insert(2, '{"référence": "CO-118", "article": "Cône de signalisation", "quantité":')
    return "\n".join(lines).encode()


def _create_hall_sheet() -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = "Salle Colette"
    for row in (
        ["Fiche de la salle Colette", None],
        [None, None],
        ["Capacité assise", "180 personnes"],
        ["Capacité debout", "320 personnes"],
        ["Surface", "245 m²"],
        ["Location à la journée", 390],
        ["Arrhes", 0.3],
        ["Dernière visite de sécurité", datetime.date(2025, 11, 14)],
        ["Gardien", "Mme Fatou Diallo, 06 55 01 02 03"],
        ["Cuisine", "oui, sans lave-vaisselle"],
    ):
        sheet.append(row)
    sheet["B6"].number_format, sheet["B7"].number_format = EUROS, "0%"
    sheet["B8"].number_format = "dd/mm/yyyy"
    return save_workbook(book)
