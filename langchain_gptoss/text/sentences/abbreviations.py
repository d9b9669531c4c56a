"""Abbreviations of English and French, by what the point after them can mean.

They are in lower case and without their last point. Words that are also ordinary words ("no", "art") are listed only
where the text around them decides.
"""

from typing import Final


def _split_words(words: str) -> frozenset[str]:
    return frozenset(words.split())


TITLES: Final = _split_words(
    """mr mrs ms m mx dr prof pr mm messrs mlle mme mgr st ste rev fr hon gen lt col sgt capt cpt cmdr maj adm gov sen
    rep pres insp supt amb mmes mlles drs profs me sté soc reg sched mt mts"""
)
"""A name follows. Most count only with a capital letter; see `TITLES_IN_ANY_CASE`."""

TITLES_IN_ANY_CASE: Final = _split_words("mr mrs dr prof pr mlle mme mgr")

STREETS: Final = _split_words("st dr")
"""Titles that are also the last part of the name of a street: Main St."""

INTRODUCERS: Final = _split_words(
    """cf e.g i.e eg ie viz vs c.-à-d c-à-d càd approx env ca n.b nb p.s p.-s p.ex par.ex resp incl excl attn al.-p bd
    c.à.d i.c blvd"""
)
"""An explanation or a number follows: the point never ends a sentence."""

REFERENCES: Final = _split_words(
    """p pp pg art arts chap ch vol vols fig figs eq eqs no nos nº n° nr num sec sect § par para al alin tab tabl ill
    éd tél tel fax réf ref ext poste app pl lib liv ver vers réimpr col cols fol ff lot cat req cons dir règl ord décr
    pos esc apt appt cp bp rcs inv facture cde cmd ser sér mod dept dépt ann ép fasc livr pt"""
)
"""A number follows. Before another word the point may end a sentence."""

WORDS_AMONG_REFERENCES: Final = _split_words("no nos art arts app lot cat ill poste facture fax pos tab vers")
"""References that are ordinary words, which end a sentence like others if no number follows."""

FINAL: Final = _split_words(
    """etc a.m p.m am pm j.-c j-c b.c a.d bc bce ce ibid idem h hr hrs min mins sec secs ms km m cm mm dm kg g mg t l cl
    ml dl lb lbs oz ft yd mi ha kw kwh mw hz khz mhz ghz kb mb gb tb pts pct mio mia mrd hab s"""
)
"""The last word of its phrase: the point ends a sentence if a capital letter follows."""

OTHERS: Final = _split_words(
    """inc ltd co corp bros cie sarl s.a s.a.s s.a.r.l s.a.s.u llc plc gmbh ag jr sr esq ph.d m.d b.a m.a ll.m u.s u.k
    u.n u.s.a e.u d.c n.y l.a r.-u é.-u jan feb mar apr jun jul aug sept oct nov dec janv févr fév avr juil août déc
    mon tue tues wed thu thur thurs fri sat sun lun jeu ven sam dim ave av rd st ln hwy pkwy sq bldg fl apt ste dept div
    est assoc univ inst intl int natl govt admin mgmt mgr dir asst ed eds trad trans coll suiv suppl max maxi mini moy
    tps temp qty qté ex exx al op.cit loc.cit esp spec spéc obs hyp calif mass conn fla ariz colo penn tex wash ont qué
    trib cass civ crim soc adm const gaz chron jurispr doc misc prov rég sup adj adv subj abbr abrév cap def déf intro
    conc bibl biblio comp compl dép arr fbg imp résid adjt brig préf rdv ch rte sgt lt gen col rev rep sen gov pres
    hon sq fg all chem pass imm j.o"""
)
"""Other abbreviations: the point ends a sentence only if the words after it begin one."""

ALL: Final = TITLES | INTRODUCERS | REFERENCES | FINAL | OTHERS
"""All abbreviations."""

BEFORE_NAMES: Final = _split_words(
    "u.s u.k u.n e.u u.s.a s.a s.a.s s.a.r.l sarl soc av st rd ave sgt lt gen col rev rep sen gov pres hon"
)
"""Those of `OTHERS` that a name often follows: only an article, a pronoun or the like begins a sentence then."""

STARTERS: Final = _split_words(
    """the a an this that these those it he she they we you i in on at for from to if when while as but and or so
    however there here what who where why how our your his her its their my no not yes all some each every both please
    after before until since although because with without under by during only any most many several nobody nothing
    is are was were do does did can could will would should may must has have
    le la les un une des ce cet cette ces cela ça il elle ils elles on nous vous je tu si quand lorsque comme dans pour
    par sur avec sans mais et ou donc car en au aux à du de que qui quel quelle quels quelles son sa ses leur leurs
    notre nos votre vos mon ma mes tous tout toute toutes aucun aucune chaque voir selon après avant depuis pendant
    dès ainsi enfin puis alors cependant toutefois ensuite lors sous chez entre oui non y merci"""
)
"""Words that begin a sentence if they have a capital letter."""

NAME_PARTS: Final = _split_words(
    "le la les l du de des d da di van von den der el al mc mac san son on ma an a no en y i"
)
"""Starters that can also be part of a surname after initials: J. Le Goff."""

NAME_LINKS: Final = _split_words("of de du des for and et d' d’")
"""Words that link the parts of a name: U.S. Department of Energy."""

LABELS: Final = _split_words(
    """plan vitamin vitamine type class classe catégorie category group groupe option point zone grade level niveau
    annexe appendix exhibit part partie section schedule step étape phase team équipe gate porte terminal bâtiment
    building hall block bloc hepatitis hépatite paragraph paragraphe article figure table tableau lot series série
    version variant variante model modèle question answer réponse case cas method méthode formula formule letter lettre
    drive disk disque size taille format line ligne column colonne row rang room salle bus tram list liste"""
)
"""Words before a letter that is a label and no initial: plan B."""

SPEECH_VERBS: Final = _split_words(
    """said says asked asks replied replies answered cried shouted whispered added explained continued insisted wrote
    exclaimed muttered thought"""
)
"""Verbs that continue the sentence after a quotation and a name: "Stop!" Anna said."""

TIME_WORDS: Final = _split_words(
    """monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december est edt cst cdt mst mdt pst pdt gmt utc bst cet cest eastern central mountain
    pacific greenwich"""
)
"""Words with a capital letter that continue a time of day: 8 p.m. Friday."""

SHORT_WORDS: Final = _split_words(
    """me it us him her them you in out up on off to do so now here then here done fine soon well sure days day year
    years late only back home open too both one two all yes non oui moi toi lui eux là ici ça bien fait pas plus jour
    jours ans mois fois tard loin sûr vrai code text time that this work works free paid sent gone read help mail"""
)
"""Ordinary words of up to four letters after which a point ends a sentence, even if a small letter follows."""
