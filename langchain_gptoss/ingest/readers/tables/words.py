"""Words and marks that tell names, units and choices in tables, in English and French, in lower case."""


def _read_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NAMES = _read_words(
    """
    id ref reference référence réf code number numéro numero n° no. nr # item article product produit service name
    nom first prénom prenom firstname lastname surname title titre type kind genre category catégorie categorie
    group groupe description désignation designation label libellé libelle detail details détail détails comment
    comments commentaire remark remarks remarque remarques note notes date day jour month mois year année annee time
    heure start début debut end fin from to de à hour hours heures duration durée duree price prix tarif tarifs rate
    rates fare fares cost coût cout fee fees frais amount montant total sum somme quantity quantité quantite qty qté
    value valeur unit unité measure mesure status statut state état etat city ville town country pays region région
    address adresse street rue place lieu location site zone postcode zip postal phone téléphone telephone tel tél
    mobile email e-mail mail courriel web website contact person personne people employee employé salarié customer
    client supplier fournisseur company société entreprise department département team équipe role rôle function
    fonction position poste job age âge sex sexe weight poids size taille length longueur width largeur height
    hauteur colour color couleur model modèle modele brand marque version level niveau grade score rank rang
    question answer réponse reponse subject sujet topic field champ key clé property propriété parameter paramètre
    option setting language langue currency devise vat tva tax taxe discount remise stock route line ligne station
    train departure départ arrival arrivée meaning définition definition term terme clause task tâche owner
    responsable author auteur capacity capacité deadline échéance delivery livraison warranty garantie balance solde
    salary salaire wage nationality nationalité profession occupation gender organisation organization manufacturer
    fabricant origin origine destination frequency fréquence period période population surface area speed vitesse
    power puissance temperature température
    """
)
"""Words that name columns or fields."""

UNITS = _read_words(
    """
    € $ £ ¥ % ‰ k€ m€ keur meur eur euro euros usd gbp chf dollars kg g mg t kt lb lbs oz km m cm mm mi ft in m² m2
    m³ m3 km² km2 ha l hl ml cl kw w mw gw kwh mwh wh v a hz khz mhz ghz °c °f k h hr hrs hour hours heure heures
    min minutes s sec ms day days jour jours week weeks semaine semaines month months mois year years an ans pcs pc
    units unités unites pièces kn nm kmh km/h mph bar pa kpa hpa nbr nb qty ht ttc hours/day €/h €/m² €/mois €/kg
    €/kwh kg/m³ g/l
    """
)
"""Units as they stand alone in a row of units below the names."""

CHOICES = _read_words(
    """
    yes no y n true false oui non o vrai faux x ✓ ✔ ✗ ✘ ok ja nein si sí
    """
)
"""Values of columns with yes, no or a mark."""
