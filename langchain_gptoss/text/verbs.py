"""Forms of common English and French verbs, for finding the verb of a clause without a parser."""

from __future__ import annotations

from functools import lru_cache

_ENGLISH_AUXILIARIES = """am is are was were be been being has have had do does did can could may might must shall
    should will would isn't aren't wasn't weren't hasn't haven't hadn't don't doesn't didn't can't cannot couldn't
    mustn't shan't shouldn't won't wouldn't"""
_FRENCH_AUXILIARIES = """est sont etait etaient sera seront serait fut furent soit soient suis sommes etes a ont avait
    avaient aura auront aurait eut ai avons avez peut peuvent pouvait pouvaient pourra pourront pourrait
    pourraient doit doivent devait devaient devra devront devrait devraient faut fallait faudra va vont
    allait iront ira veut veulent"""

# Regular verbs and the irregular forms that differ from them.
_ENGLISH_VERBS = """accept add advise affect agree aim allow announce answer appear apply approve arrive ask assist
    attend award base begin belong book borrow break bring build burn buy call cancel carry cause
    celebrate change charge check choose claim clean close collect come compare complete concern confirm
    connect consist contain continue contribute convert cook cost count cover create cross cut deal
    decide decline decrease deliver demand depart depend describe design destroy develop die discover
    display divide donate download drive drop earn elect employ enable end enter equal establish examine
    exceed exist expect expire explain export extend fail fall feed fill find finish fly follow forbid
    force forget form found freeze gain generate get give go grant grow guarantee happen help hire hold
    import improve include increase inform inherit inspect install insure introduce invent invite
    involve issue join keep kill know lack last lead learn leave lend let lie like limit link live
    locate lock look lose maintain make manage marry mean measure meet melt mention merge miss monitor
    move multiply name need notify obtain occur offer open operate order organize own park participate
    pass pay perform permit pick place plan play prefer prepare present prevent print process produce
    prohibit promise protect prove provide publish pull purchase push put qualify raise reach read
    receive recommend record reduce refer refund refuse register reject release remain remove renew rent
    repair repeat replace replied reply report represent request require reserve resign respond rest
    restart result return ring rise rule run save say see seem sell send separate serve set share ship
    show shut sign sing sit sleep solve speak spend stand start state stay stop store study submit
    succeed suffer supply support surround suspend swim take talk teach tell terminate test think throw
    train review attract draw house trade translate transfer transport travel treat turn understand
    update upgrade use vary visit wait walk want warn wash watch wear weigh win wish work write yield"""
_ENGLISH_IRREGULAR = """begin:began,begun break:broke,broken bring:brought build:built burn:burnt buy:bought
    choose:chose,chosen come:came cut:cutting deal:dealt drive:drove,driven fall:fell,fallen feed:fed
    fly:flew,flown forbid:forbade,forbidden forget:forgot,forgotten freeze:froze,frozen get:got,gotten
    give:gave,given go:went,gone,goes grow:grew,grown hold:held keep:kept know:knew,known lead:led
    learn:learnt leave:left lend:lent let:let lie:lay,lain lose:lost make:made mean:meant meet:met
    pay:paid put:put read:read ring:rang,rung rise:rose,risen run:ran,running say:said see:saw,seen
    sell:sold send:sent set:set show:shown shut:shut sing:sang,sung sit:sat sleep:slept
    speak:spoke,spoken spend:spent stand:stood swim:swam,swum take:took,taken teach:taught tell:told
    think:thought throw:threw,thrown understand:understood wear:wore,worn win:won write:wrote,written"""
_FRENCH_ER_VERBS = """accepter accorder accueillir acheter aider ajouter amener annoncer annuler appeler apporter
    apprecier arriver assurer atteler augmenter autoriser baisser beneficier bloquer cesser changer
    charger chercher collecter commander commencer comporter compter concerner conseiller conserver
    consister consommer consulter continuer controler couter creer crier cultiver debuter decider
    declarer delivrer demander demarrer demeurer deposer depasser designer detailler determiner
    developper diminuer diriger donner durer echanger elever emprunter employer encaisser enregistrer
    entrer envoyer equiper etudier eviter exiger exister expedier exporter exposer fabriquer facturer
    fermer figurer financer fixer fonder former garder gagner gerer habiter importer imposer indiquer
    informer inscrire installer interdire inventer inviter jouer laisser laver limiter livrer loger
    louer manger manquer marcher mentionner mesurer monter montrer nettoyer nommer noter obliger occuper
    organiser parler participer passer payer penser peser placer porter posseder preciser presenter
    preter prevoir proposer proteger publier rappeler realiser recommander recuperer refuser regler
    rembourser remplacer remporter renouveler rentrer reparer representer reserver rester retourner
    retirer reunir signaler signer situer souhaiter supporter supprimer surveiller tarder telephoner
    tomber toucher tourner transporter travailler traverser trouver utiliser valider varier verifier
    verser visiter voler voter voyager sieger regrouper disposer effectuer fonctionner"""
_FRENCH_OTHER = """ouvrir:ouvre,ouvrent,ouvert,ouverte,ouverts,ouvertes,ouvrait,ouvrira,ouvriront
    offrir:offre,offrent,offert,offerte couvrir:couvre,couvrent,couvert,couverte
    finir:finit,finissent,fini,finie choisir:choisit,choisissent,choisi
    fournir:fournit,fournissent,fourni,fournie remplir:remplit,remplissent,rempli agir:agit,agissent
    reussir:reussit vendre:vend,vendent,vendu,vendue,vendus,vendait,vendra
    rendre:rend,rendent,rendu,rendue attendre:attend,attendent,attendu
    prendre:prend,prennent,pris,prise,prendra apprendre:apprend,apprennent,appris
    comprendre:comprend,comprennent,compris mettre:met,mettent,mis,mise
    permettre:permet,permettent,permis,permettra remettre:remet,remettent,remis
    tenir:tient,tiennent,tenu,tiendra obtenir:obtient,obtiennent,obtenu,obtenue
    contenir:contient,contiennent,contenu venir:vient,viennent,venu,viendra
    devenir:devient,deviennent,devenu,devenue revenir:revient partir:part,partent,parti,partira
    sortir:sort,sortent,sorti sentir:sent,sentent servir:sert,servent,servi dormir:dort,dorment
    recevoir:recoit,recoivent,recu,recue,recevra,recoive,recoivent voir:voit,voient,vu
    savoir:sait,savent,su vouloir:veut faire:fait,font,faite,fera,feront,faisait dire:dit,disent
    lire:lit,lisent,lu ecrire:ecrit,ecrivent,ecrite inscrire:inscrit,inscrivent,inscrite
    prescrire:prescrit vivre:vit,vivent,vecu suivre:suit,suivent,suivi conduire:conduit,conduisent
    produire:produit,produisent,produite construire:construit,construite,construits traduire:traduit
    detruire:detruit,detruite connaitre:connait,connaissent,connu naitre:nait,ne,nee,naquit
    mourir:meurt,mort,morte,mourut courir:court,courent croire:croit perdre:perd,perdent,perdu,perdue
    repondre:repond,repondent dependre:depend,dependent descendre:descend,descendent
    correspondre:correspond,correspondent desservir:dessert,desservent,desservi,desservie
    racheter:rachete,rachetee,rachetent battre:bat,battent,battu vaincre:vaincu,vainc valoir:vaut,valent
    boire:boit conclure:conclut,conclu exclure:exclut,exclu,exclue,exclus inclure:inclut,incluent,inclus
    prevoir:prevoit,prevoient,prevu,prevue aller:va,vont
    interdire:interdit,interdite,interdits,interdites accueillir:accueille,accueillent,accueilli
    agrandir:agrandi reunir:reunit,reuni etablir:etablit,etabli,etablie garantir:garantit,garantie
    atteindre:atteint,atteignent joindre:joint,joignent intervenir:intervient,interviennent,intervenu
    convenir:convient definir:definit,defini,definie subir:subit punir:punit,puni"""
_FRENCH_ER_ENDINGS = "er e es ent ons ez ee ees ais ait aient era eront erait a erent ant".split()  # noqa: SIM905

_LIGHT_VERBS = """be have do make take get give go come put set keep hold stand lie stay remain reach receive offer
    provide show present include contain comprise run begin start become find locate arrive bring say
    state mention indicate allow need use work concern serve apply consist involve call name occur
    happen total amount last see send introduce account move continue mean know tell prendre avoir faire
    donner mettre tenir rester trouver situer presenter proposer comprendre contenir comporter compter
    disposer porter durer elever atteindre arriver venir aller devenir recevoir offrir permettre
    indiquer preciser mentionner servir concerner consister constituer representer figurer passer rendre
    joindre appeler nommer exister intervenir correspondre demarrer enregistrer utiliser dire voir
    savoir falloir siege sieger convenir regrouper reunir occuper effectuer realiser fonctionner"""
_LIGHT = frozenset(_LIGHT_VERBS.split())

_PARTICIPLES = ("it", "is", "u", "i", "ert", "int", "mort")  # endings of French participles

AUXILIARIES = frozenset((_ENGLISH_AUXILIARIES + " " + _FRENCH_AUXILIARIES).split())
"""Auxiliaries, modal verbs and forms of "to be", without accents."""


@lru_cache(maxsize=1)
def _list_forms() -> dict[str, str]:
    """Return the infinitive by form, for verbs that are no auxiliaries."""
    forms: dict[str, str] = {}
    for verb in _ENGLISH_VERBS.split():
        stem = verb[:-1] if verb.endswith("e") else verb
        doubled = verb + verb[-1]
        third = [f"{verb[:-1]}ies"] if verb.endswith("y") else [f"{verb}s", f"{verb}es"]
        past = [f"{verb[:-1]}ied"] if verb.endswith("y") else [f"{stem}ed", f"{doubled}ed"]
        for form in (verb, *third, *past, f"{stem}ing", f"{doubled}ing"):
            forms.setdefault(form, verb)
    for entry in _ENGLISH_IRREGULAR.split():
        verb, others = entry.split(":")
        forms |= dict.fromkeys(others.split(","), verb)
    for verb in _FRENCH_ER_VERBS.split():
        if verb.endswith("er"):
            forms |= {f"{verb[:-2]}{ending}": verb for ending in _FRENCH_ER_ENDINGS if verb[:-2] + ending not in forms}
    for entry in _FRENCH_OTHER.split():
        verb, others = entry.split(":")
        for form in (verb, *others.split(",")):
            # A participle has a feminine and a plural; of other forms these do not exist and do no harm.
            inflected = (
                [f"{form}{ending}" for ending in ("", "e", "s", "es")] if form.endswith(_PARTICIPLES) else [form]
            )
            forms |= {each: verb for each in inflected if each not in forms}
    return forms


def is_auxiliary(word: str) -> bool:
    """Return True for an auxiliary, a modal verb or a form of "to be", in lower case and without accents."""
    return word in AUXILIARIES


def is_light_verb(word: str) -> bool:
    """Return True for a form of a verb that says little by itself: "stands at", "comes to", "se trouve"."""
    return (find_infinitive(word) or word) in _LIGHT


def find_infinitive(word: str) -> str | None:
    """Return the infinitive of a verb form in lower case and without accents, None if the form is not known.

    Many forms are nouns, too ("the cost"); the caller decides by the place of the word.
    """
    return _list_forms().get(word)
