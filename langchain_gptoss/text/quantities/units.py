"""Units of measure, currencies and countable nouns: their spellings in English and French, and their sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from langchain_gptoss.text.function_words import FUNCTION_WORDS


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit of measure.

    Attributes:
        dimension: What it measures: units of one dimension convert into each other by `factor`.
        factor: Its size in the base unit of the dimension.
    """

    dimension: str
    factor: Fraction


_INCH, _POUND = Fraction("0.0254"), Fraction("453.59237")

# Each line: canonical name, dimension, factor, and after the bar the spellings in lower case without accents.
_LINES = """
EUR EUR 1 | € euro eur euros
USD USD 1 | $ us$ usd dollar dollars us-dollar us-dollars dollar-us dollars-us dollar-americain dollars-americains
CAD CAD 1 | ca$ c$ cad canadian-dollar canadian-dollars dollar-canadien dollars-canadiens
AUD AUD 1 | a$ au$ aud australian-dollar australian-dollars dollar-australien dollars-australiens
NZD NZD 1 | nz$ nzd
HKD HKD 1 | hk$ hkd
SGD SGD 1 | s$ sgd
GBP GBP 1 | £ gbp livre-sterling livres-sterling pound-sterling pounds-sterling
pound GBP 1 | pounds pound
CHF CHF 1 | chf sfr franc-suisse francs-suisses swiss-franc swiss-francs
XOF XOF 1 | fcfa xof xaf franc-cfa francs-cfa f-cfa cfa-franc cfa-francs
FRF FRF 1 | frf
franc franc 1 | franc francs
JPY JPY 1 | ¥ jpy yen yens
CNY CNY 1 | cny rmb yuan yuans renminbi
INR INR 1 | ₹ inr rs rs. rupee rupees roupie roupies
SEK SEK 1 | sek swedish-krona swedish-kronor couronne-suedoise couronnes-suedoises
NOK NOK 1 | nok
DKK DKK 1 | dkk
PLN PLN 1 | pln zloty zlotys
CZK CZK 1 | czk
BRL BRL 1 | brl
MAD MAD 1 | mad dirham dirhams
DZD DZD 1 | dzd dinar dinars
cent cent 1 | cent cents centime centimes ¢ euro-cents
penny GBP 1/100 | pence penny
% ratio 1/100 | % percent per-cent pourcent pour-cent pct per-cents
‰ ratio 1/1000 | ‰ per-mille per-mil pour-mille permille
pp points 1 | pp percentage-point percentage-points point-de-pourcentage
pp points 1 | points-de-pourcentage pt-de-pourcentage pts-de-pourcentage %-points
bp points 1/100 | bp bps basis-point basis-points point-de-base points-de-base
ppm ratio 1/1000000 | ppm parts-per-million
second time 1 | seconds second seconde secondes sec secs s
millisecond time 1/1000 | milliseconds millisecond milliseconde millisecondes ms
minute time 60 | minutes minute min mins mn
hour time 3600 | hours hour heure heures hr hrs h
day time 86400 | days day jour jours j jrs journee journees d
week time 604800 | weeks week semaine semaines sem wk wks
fortnight time 1209600 | fortnight fortnights
month months 1 | months month mois
quarter months 3 | trimestre trimestres quarters
semester months 6 | semestre semestres half-year half-years
year months 12 | years year an ans annee annees yr yrs yo
decade months 120 | decades decade decennie decennies
century months 1200 | century centuries siecle siecles
mile length 1609.344 | mile miles mi
ft length 0.3048 | ft foot feet pied pieds
in length 0.0254 | inch inches pouce pouces
yd length 0.9144 | yd yard yards
ly ly 1 | light-year light-years annee-lumiere annees-lumiere
nmi length 1852 | nautical-mile nautical-miles mille-nautique milles-nautiques milles-marins mille-marin
kt speed 1852/3600 | knot knots noeud noeuds kt kts
m length 1 | metre metres meter meters
km length 1000 | kilometre kilometres kilometer kilometers kms kilometers
cm length 1/100 | centimetre centimetres centimeter centimeters cms
mm length 1/1000 | millimetre millimetres millimeter millimeters
µm length 1/1000000 | micrometre micrometres micrometer micrometers micron microns
nm length 1/1000000000 | nanometre nanometres nanometer nanometers
g mass 1 | gram grams gramme grammes
kg mass 1000 | kilo kilos kilogram kilograms kilogramme kilogrammes kgs
mg mass 1/1000 | milligram milligrams milligramme milligrammes
µg mass 1/1000000 | mcg microgram micrograms microgramme microgrammes ug
t mass 1000000 | tonne tonnes metric-ton metric-tons
ton ton 1 | ton tons
quintal mass 100000 | quintal quintaux
lb mass 453.59237 | lb lbs
oz mass 28.349523125 | oz ounce ounces once onces
l volume 1 | litre litres liter liters
ml volume 1/1000 | millilitre millilitres milliliter milliliters
cl volume 1/100 | centilitre centilitres centiliter centiliters
hl volume 100 | hectolitre hectolitres
gal gal 1 | gallon gallons gal
pint pint 1 | pint pints pinte pintes
m2 area 1 | m² m2 sqm sq-m square-metre square-metres square-meter square-meters metre-carre metres-carres
km2 area 1000000 | km² km2 square-kilometre square-kilometres
km2 area 1000000 | square-kilometer square-kilometers kilometre-carre kilometres-carres
cm2 area 1/10000 | cm² cm2 square-centimetre square-centimetres centimetre-carre centimetres-carres
mm2 area 1/1000000 | mm² mm2
ha area 10000 | ha hectare hectares
acre area 4046.8564224 | acre acres
sqft area 0.09290304 | sqft sq-ft square-foot square-feet ft²
mi2 area 2589988.110336 | square-mile square-miles
m3 volume 1000 | m³ m3 cubic-metre cubic-metres cubic-meter cubic-meters metre-cube metres-cubes
cm3 volume 1/1000 | cm³ cm3 cc cubic-centimetre cubic-centimetres centimetre-cube centimetres-cubes
mm3 volume 1/1000000 | mm³ mm3
dm3 volume 1 | dm³ dm3
°C celsius 1 | °c celsius degree-celsius degrees-celsius degre-celsius
°C celsius 1 | degres-celsius degres-c degrees-c degree-centigrade degrees-centigrade
°F fahrenheit 1 | °f fahrenheit degree-fahrenheit degrees-fahrenheit degre-fahrenheit degres-fahrenheit
degree degree 1 | ° degree degrees degre degres
rad angle 1 | radian radians
W power 1 | watt watts
kW power 1000 | kilowatt kilowatts
MW power 1000000 | megawatt megawatts
GW power 1000000000 | gigawatt gigawatts
hp hp 1 | hp horsepower
ch ch 1 | ch cv chevaux
Wh energy 1 | watt-hour watt-hours wattheure wattheures
kWh energy 1000 | kilowatt-hour kilowatt-hours kilowattheure kilowattheures kilowatt-heure kilowatts-heures
MWh energy 1000000 | megawatt-hour megawatt-hours megawattheure megawattheures
kcal kcal 1 | kilocalorie kilocalories kcal
cal kcal 1/1000 | calorie calories
J joule 1 | joule joules
V voltage 1 | volt volts
kV voltage 1000 | kilovolt kilovolts
mV voltage 1/1000 | millivolt millivolts
A current 1 | amp amps ampere amperes
mA current 1/1000 | milliamp milliamps milliampere milliamperes
Hz frequency 1 | hertz
kHz frequency 1000 | kilohertz
MHz frequency 1000000 | megahertz
GHz frequency 1000000000 | gigahertz
Pa pressure 1 | pascal pascals
bar pressure 100000 | bar bars
mbar pressure 100 | millibar millibars
psi psi 1 | psi
N force 1 | newton newtons
dB dB 1 | db decibel decibels
lux lux 1 | lux lx
lm lm 1 | lumen lumens
rpm rpm 1 | rpm tr/min tours-par-minute tour-par-minute revolutions-per-minute tr-min
B data 1 | byte bytes octet octets
bit data 1/8 | bit bits
kB data 1000 | kb ko kilobyte kilobytes kilo-octet kilo-octets
MB data 1000000 | mo megabyte megabytes mega-octet mega-octets megaoctet megaoctets
GB data 1000000000 | gb go gigabyte gigabytes giga-octet giga-octets gigaoctet gigaoctets gigs
TB data 1000000000000 | tb to terabyte terabytes tera-octet tera-octets
MP MP 1 | megapixel megapixels mp mpx
px px 1 | px pixel pixels
dpi dpi 1 | dpi ppp
time times 1 | times fois
person person 1 | person persons people personne personnes pers individual individuals individu individus
adult adult 1 | adult adults adulte adultes
child child 1 | child children kid kids enfant enfants
inhabitant inhabitant 1 | inhabitant inhabitants resident residents habitant habitants
employee employee 1 | employee employees salarie salaries salariee salariees employe employes
student student 1 | student students etudiant etudiants etudiante etudiantes
patient patient 1 | patient patients patiente patientes
member member 1 | member members membre membres
visitor visitor 1 | visitor visitors visiteur visiteurs
participant participant 1 | participant participants
door door 1 | door doors porte portes
room room 1 | room rooms piece pieces chambre chambres bedroom bedrooms
floor floor 1 | floor floors storey storeys etage etages
page page 1 | page pages
copy copy 1 | copy copies copie copies exemplaire exemplaires
night night 1 | night nights nuit nuits nuitee nuitees
seat seat 1 | seat seats siege sieges place places
item item 1 | item items article articles
point point 1 | point points pt pts
star star 1 | star stars etoile etoiles
vehicle vehicle 1 | vehicle vehicles vehicule vehicules
car car 1 | car cars voiture voitures
bike bike 1 | bike bikes bicycle bicycles velo velos
parcel parcel 1 | parcel parcels package packages colis
ticket ticket 1 | ticket tickets billet billets
meal meal 1 | meal meals repas
tablet tablet 1 | tablet tablets comprime comprimes
dose dose 1 | dose doses
book book 1 | book books livre livres
word word 1 | word words mot mots
city city 1 | city cities town towns ville villes
country country 1 | country countries pays
company company 1 | company companies entreprise entreprises
site site 1 | site sites
household household 1 | household households foyer foyers menage menages
unit unit 1 | unit units unite unites
edition edition 1 | edition editions
"""
_PREFIXES = {"µ": -6, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9, "T": 12}
# Symbols with their prefixes; capital letters matter: 20 mW is not 20 MW.
_PREFIXED = {
    "W": ("power", "µmkMGT", Fraction(1)),
    "Wh": ("energy", "mkMGT", Fraction(1)),
    "V": ("voltage", "µmkM", Fraction(1)),
    "A": ("current", "µmk", Fraction(1)),
    "Ah": ("charge", "mk", Fraction(1)),
    "VA": ("apparent power", "kM", Fraction(1)),
    "Hz": ("frequency", "kMGT", Fraction(1)),
    "J": ("joule", "mkMGT", Fraction(1)),
    "Pa": ("pressure", "mkMG", Fraction(1)),
    "N": ("force", "mk", Fraction(1)),
    "Ω": ("resistance", "mkM", Fraction(1)),
    "Sv": ("dose", "µm", Fraction(1)),
    "Bq": ("activity", "kMGT", Fraction(1)),
    "mol": ("substance", "µm", Fraction(1)),
    "g": ("mass", "µmcdk", Fraction(1)),
    "l": ("volume", "µmcd", Fraction(1)),
    "m": ("length", "µmcdk", Fraction(1)),
    "s": ("time", "µm", Fraction(1)),
    "B": ("data", "kMGT", Fraction(1)),
    "b": ("data", "kMGT", Fraction(1, 8)),
    "bit": ("data", "kMGT", Fraction(1, 8)),
}
_IRREGULAR_PLURALS = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "mice": "mouse",
    "teeth": "tooth",
    "staff": "staff",
    "sheep": "sheep",
    "cattle": "cattle",
    "chevaux": "cheval",
    "travaux": "travail",
}
_NO_PLURAL = ("ss", "us", "is")

UNITS: dict[str, Unit] = {}
"""Units by canonical name."""
_BY_SPELLING: dict[str, str] = {}
_BY_SYMBOL: dict[str, str] = {}
_PHRASES: list[str] = []


def _fill_tables() -> None:
    for line in _LINES.strip().splitlines():
        definition, spellings = line.split(" | ")
        name, dimension, factor = definition.rsplit(" ", 2)
        UNITS[name] = Unit(dimension=dimension, factor=Fraction(factor))
        for spelling in spellings.split():
            if "-" in spelling or spelling == "tr/min":
                _PHRASES.append(spelling)
            _BY_SPELLING.setdefault(spelling, name)
    for base, (dimension, prefixes, size) in _PREFIXED.items():
        for prefix in ("", *prefixes):
            symbol = f"{prefix}{base}"
            UNITS.setdefault(symbol, Unit(dimension=dimension, factor=size * Fraction(10) ** _PREFIXES.get(prefix, 0)))
            _BY_SYMBOL.setdefault(symbol, symbol)
    _BY_SYMBOL.update({"L": "l", "mL": "ml", "cL": "cl", "dL": "dl", "kHZ": "kHz", "Mo": "MB", "Go": "GB", "To": "TB"})
    _BY_SYMBOL.update(
        {"ko": "kB", "Ko": "kB", "KB": "kB", "KG": "kg", "Kg": "kg", "KM": "km", "Km": "km", "s": "second"}
    )
    _BY_SYMBOL.update(
        {
            "K": "K",
            "H": "hour",
            "F": "franc",
            "hL": "hl",
            "ug": "µg",
            "Kw": "kW",
            "KW": "kW",
            "KWh": "kWh",
            "kwh": "kWh",
        }
    )
    _BY_SYMBOL.update({"kw": "kW", "Mbit": "Mbit", "khz": "kHz", "mhz": "MHz", "ghz": "GHz", "kv": "kV", "kpa": "kPa"})
    _BY_SYMBOL.update({"t": "t", "d": "day", "ms": "millisecond", "gwh": "GWh", "mwh": "MWh", "Hz": "Hz", "hz": "Hz"})
    UNITS["K"] = Unit(dimension="kelvin", factor=Fraction(1))


_fill_tables()

# A claim with the general name is stated by evidence with a special one.
GENERAL_UNITS = {
    "degree": frozenset({"°C", "°F"}),
    "franc": frozenset({"CHF", "XOF", "FRF"}),
    "USD": frozenset({"CAD", "AUD", "NZD", "HKD", "SGD"}),
    "pound": frozenset({"GBP", "lb"}),
    "GBP": frozenset({"pound"}),
    "lb": frozenset({"pound"}),
    "CHF": frozenset({"franc"}),
    "ton": frozenset({"t"}),
    "person": frozenset(
        {"adult", "child", "inhabitant", "employee", "student", "patient", "member", "visitor", "participant"}
    ),
}
MONEY = frozenset(
    name for name in UNITS if (len(name) == 3 and name.isupper() and name.isalpha()) or name in ("pound", "franc")
)
PHYSICAL_DIMENSIONS = frozenset(
    """length area volume mass power energy voltage current pressure force data frequency joule charge
    kcal""".split()  # noqa: SIM905
)
TIME_DIMENSIONS = frozenset({"time", "months"})
PHRASE = re.compile(
    "(?:"
    + "|".join(re.escape(phrase).replace(r"\-", r"[\s-]+") for phrase in sorted(_PHRASES, key=len, reverse=True))
    + r")(?!\w)"
)
"""Units of several words, as a pattern over lower-case folded text."""
CURRENCY_SIGN = r"us\$|ca\$|au\$|nz\$|hk\$|c\$|a\$|s\$|€|\$|£|¥|₹"
CURRENCY_CODE = "eur|usd|gbp|chf|jpy|inr|cad|aud|cny|sek|nok|dkk|nzd|fcfa|xof|sfr|pln|hkd|sgd|euros?|rs\\.?"
FUNCTION = (
    FUNCTION_WORDS["en"]
    | FUNCTION_WORDS["fr"]
    | frozenset(
        """is are was were has have had be been will would shall should must may might can could do does did costs cost
    takes took lasts goes comes until till before after since during within without per each every between above
    below under over above against because also only just ago later earlier old then et ou est sont a ont fut etait
    sera seront doit doivent coute coutent dure durent avant apres pendant jusque jusqu selon contre chaque tous
    toutes inclus incluses chacun chacune environ minimum maximum min max or and net brut ht ttc hors moins plus
    via x out due upon both either neither all any some across among through throughout""".split()  # noqa: SIM905
    )
)
"""Words that end the noun after a number."""


def find_unit(word: str) -> str | None:
    """Return the canonical name of a unit as written with its capital letters, or None if it is in no table."""
    if word in _BY_SYMBOL:
        return _BY_SYMBOL[word]
    if len(word) == 1 and word.isupper():
        return None  # "2D" are no two days
    return _BY_SPELLING.get(re.sub(r"[\s-]+", "-", word.lower()))


def get_singular(word: str) -> str:
    """Return the singular of an unknown noun in lower case, as far as its ending shows it."""
    if word in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[word]
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if word.endswith("eaux"):
        return word[:-1]
    if is_plural(word):
        return word[:-1] if word.endswith("s") else word
    return word


def is_plural(word: str) -> bool:
    """Return True if a noun in lower case looks like a plural."""
    return word in _IRREGULAR_PLURALS or (len(word) > 2 and word.endswith(("s", "x")) and not word.endswith(_NO_PLURAL))


def convert_to_base(value: Fraction, unit: str) -> tuple[Fraction, str]:
    """Return a value in the base unit of its dimension, and the dimension; an unknown unit is its own dimension."""
    known = UNITS.get(unit)
    return (value * known.factor, known.dimension) if known else (value, unit)
