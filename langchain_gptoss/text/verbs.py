"""Forms of common English and French verbs, for finding the verb of a clause without a parser."""

from __future__ import annotations

from functools import lru_cache

from langchain_gptoss.text.function_words import FUNCTION_WORDS

_ENGLISH_AUXILIARIES = """am is are was were be been being has have had do does did can could may
    might must shall should will would isn't aren't wasn't weren't hasn't haven't hadn't don't doesn't
    didn't can't cannot couldn't mustn't shan't shouldn't won't wouldn't"""
_FRENCH_AUXILIARIES = """est sont etait etaient sera seront serait fut furent soit soient suis
    sommes etes a ont avait avaient aura auront aurait eut ai avons avez peut peuvent pouvait pouvaient
    pourra pourront pourrait pourraient doit doivent devait devaient devra devront devrait devraient
    faut fallait faudra va vont allait iront ira veut veulent"""

# Regular verbs and the irregular forms that differ from them.
_ENGLISH_VERBS = """absorb accommodate accompany accuse achieve acknowledge adapt adjust administer
    admit adopt adjourn amend analyse appeal arrange assess assign attach attack attract audit authorize
    authorise avoid ban bake bill block boil bottle broadcast brew calculate camp care carve cast catch
    certify chair charge circulate classify climb coach collapse combine commission compensate compose
    compute conduct conserve construct consult control convene convince coordinate correct count crash
    cultivate cycle damage dance date debate declare deduct defeat defend define delay delete deposit
    derive detect deserve dig direct disappear discuss dismiss dispose distribute dock donate drain
    draft draw dress drill dry edit educate elect eliminate embark emit encourage enforce enlarge enrol
    ensure equip erect escape estimate evacuate exchange exclude exhibit expand experience explore
    expose face favour feature ferry fetch file film filter finance fine fire fit fix float flood flow
    focus fold foresee fuel fulfil fund generate grade graduate grant greet grind guard guide handle
    hand harvest head heal heat highlight hike host house hunt identify illustrate implement impose
    indicate infect inform injure insert inspect instruct intend interrupt interview invest investigate
    invite iron judge jump justify kick label land launch lay level lift light load lock log manufacture
    mark match migrate mix modify mount nominate note observe occupy oppose oversee pack paint park
    perform photograph pilot pipe plant polish post pour practise praise predict preserve press print
    promote propose prosecute purify pump question race rank rate rebuild recall recognize recover
    recruit recycle refine reflect refuel rehearse reimburse reinforce relate relax relocate rely remind
    renovate reopen repay report rescue research restore restrict resume retain retire retrieve reveal
    review revise reward ride roast roll round sail sample sanction scan schedule score screen seal
    search seat secure select settle shape shelter shift shoot sink ski slice smoke solve sort specify
    split spread sponsor stamp steer stick stir store strengthen strike submit substitute suggest suit
    supervise surround survive switch tax tie tighten tour tow trace track train translate trap treat
    trim trigger trust type undergo unload unlock update urge vaccinate value vary vote warn weld
    welcome widen wind wire withdraw witness wrap abolish accept add appoint succeed advise affect agree
    aim allow announce answer appear apply approve arrive ask assist attend award base bear begin belong
    book borrow break bring build burn buy call cancel carry cause celebrate change check choose claim
    clean close collect come compare complete concern confirm connect consist contain continue
    contribute convert cook cost cover create cross cut deal decide decline decrease deliver demand
    depart depend describe design destroy develop die discover display divide download drive drop earn
    employ enable end enter equal establish examine exceed exist expect expire explain export extend
    fail fall feed fill find finish fly follow forbid force forget form found freeze gain get give go
    grow guarantee happen help hire hold import improve include increase inherit install insure
    introduce invent involve issue join keep kill know lack last lead learn leave lend let lie like
    limit link live locate look lose maintain make manage marry mean measure meet melt mention merge
    miss monitor move multiply name need notify obtain occur offer open operate order organize own
    participate pass pay permit pick place plan play prefer prepare present prevent process produce
    prohibit promise protect prove provide publish pull purchase push put qualify raise reach read
    receive recommend record reduce refer refund refuse register reject release remain remove renew rent
    repair repeat replace replied reply represent request require reserve resign respond rest restart
    result return ring rise rule run save say see seem sell send separate serve set share ship show shut
    sign sing sit sleep speak spend stand start state stay stop study suffer supply support suspend swim
    take talk teach tell terminate test think throw trade transfer transport travel turn understand
    upgrade use visit wait walk want wash watch wear weigh win wish work write yield"""
_ENGLISH_IRREGULAR = """bear:bore,born begin:began,begun break:broke,broken bring:brought
    build:built burn:burnt buy:bought choose:chose,chosen come:came cut:cutting deal:dealt
    drive:drove,driven fall:fell,fallen feed:fed fly:flew,flown forbid:forbade,forbidden
    forget:forgot,forgotten freeze:froze,frozen get:got,gotten give:gave,given go:went,gone,goes
    grow:grew,grown hold:held keep:kept know:knew,known lead:led learn:learnt leave:left lend:lent
    let:let lie:lay,lain lose:lost make:made mean:meant meet:met pay:paid put:put read:read
    ring:rang,rung rise:rose,risen run:ran,running say:said see:saw,seen sell:sold send:sent set:set
    show:shown shut:shut sing:sang,sung sit:sat sleep:slept speak:spoke,spoken spend:spent stand:stood
    swim:swam,swum take:took,taken teach:taught tell:told think:thought throw:threw,thrown
    understand:understood wear:wore,worn win:won write:wrote,written"""
_FRENCH_ER_VERBS = """avancer afficher abolir activer administrer affecter aligner allumer analyser
    animer appliquer apposer arreter attribuer attirer baigner brancher bruler calculer camper celebrer
    charger circuler classer coller combiner communiquer composer confier confirmer consacrer couler
    coordonner cuire danser decouper defendre degager demenager demonter deplacer dessiner distribuer
    doubler embaucher emettre encadrer encourager enlever entourer entrainer envisager epouser eteindre
    evaluer expirer expliquer exploiter facturer fleurir former gagner garer habiller heberger illustrer
    imprimer incarner indemniser influencer initier inspecter instaurer integrer justifier lancer lever
    licencier limiter loger majorer maitriser marier maintenir mesurer modifier multiplier muter
    numeroter observer operer orienter parcourir partager patienter peindre percevoir peser planter
    pratiquer preparer prolonger promener prononcer prouver quitter raccorder rattacher reculer rediger
    reduire refaire referencer regarder relier relever remarquer rencontrer renoncer renover rentrer
    repartir reposer reprendre restaurer restituer resilier retarder reveler rouler sauver selectionner
    separer simplifier soigner soutenir stationner stocker subventionner superviser surveiller suspendre
    tarifer taxer tester tirer traiter trancher transferer transformer transmettre trier vendanger
    verrouiller vider virer visser accepter accorder accueillir acheter aider ajouter amener annoncer
    annuler appeler apporter apprecier arriver assurer atteler augmenter autoriser baisser beneficier
    bloquer cesser changer chercher collecter commander commencer comporter compter concerner conseiller
    conserver consister consommer consulter continuer controler couter creer crier cultiver debuter
    decider declarer delivrer demander demarrer demeurer deposer depasser designer detailler determiner
    developper diminuer diriger donner durer echanger elever emprunter employer encaisser enregistrer
    entrer envoyer equiper etudier eviter exiger exister expedier exporter exposer fabriquer fermer
    figurer financer fixer fonder garder gerer habiter importer imposer indiquer informer inscrire
    installer interdire inventer inviter jouer laisser laver livrer louer manger manquer marcher
    mentionner monter montrer nettoyer nommer noter obliger occuper organiser parler participer passer
    payer penser placer porter posseder preciser presenter preter prevoir proposer proteger publier
    rappeler realiser recommander recuperer refuser regler rembourser remplacer remporter renouveler
    reparer representer reserver rester retourner retirer reunir signaler signer situer souhaiter
    supporter supprimer tarder telephoner tomber toucher tourner transporter travailler traverser
    trouver utiliser valider varier verifier verser visiter voler voter voyager embarquer emporter
    sieger regrouper disposer effectuer fonctionner"""
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
    recevoir:recoit,recoivent,recu,recue,recevra,recoive,recoivent nettoyer:nettoie,nettoient
    payer:paie,paient employer:emploie,emploient envoyer:envoie,envoient,enverra embarquer:embarque
    provenir:provient,proviennent,proviendrait voir:voit,voient,vu savoir:sait,savent,su vouloir:veut
    faire:fait,font,faite,fera,feront,faisait dire:dit,disent lire:lit,lisent,lu
    ecrire:ecrit,ecrivent,ecrite inscrire:inscrit,inscrivent,inscrite prescrire:prescrit
    vivre:vit,vivent,vecu suivre:suit,suivent,suivi conduire:conduit,conduisent
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

_LIGHT_VERBS = """be have do make take get give go come put set keep hold stand lie stay remain
    reach receive offer provide show present include contain comprise run begin start become find locate
    arrive bring say state mention indicate allow need use work concern serve rapporter provenir prevoir
    equiper revenir afficher hand install account situate earn circuler installer apply consist involve
    call name occur happen total amount last see send introduce move continue mean know tell prendre
    avoir faire donner mettre tenir rester trouver situer presenter proposer comprendre contenir
    comporter compter disposer porter durer elever atteindre arriver venir aller devenir recevoir offrir
    permettre indiquer preciser mentionner servir concerner consister constituer representer figurer
    passer rendre joindre appeler nommer exister intervenir correspondre demarrer enregistrer utiliser
    dire voir savoir falloir siege sieger convenir regrouper reunir occuper effectuer realiser
    fonctionner"""
_LIGHT = frozenset(_LIGHT_VERBS.split())

_PARTICIPLES = ("it", "is", "u", "i", "ert", "int", "mort")  # endings of French participles

_DECISIVE_VERBS = """prove establish confirm deny cancel reject refuse stop end finish close open
    abolish demolish destroy sell buy die lose win fail break increase decrease reduce rise fall grow
    add deduct exclude include forbid allow require resign retire appoint elect dismiss move replace
    remove change double prouver confirmer annuler rejeter refuser arreter terminer fermer ouvrir
    supprimer detruire demolir vendre acheter mourir perdre gagner augmenter baisser diminuer reduire
    ajouter deduire exclure inclure interdire autoriser exiger demissionner nommer elire licencier
    remplacer changer doubler cesser casser demenager rembourser refund repay"""
_DECISIVE = frozenset(_DECISIVE_VERBS.split())

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
    # "pour" is a French preposition before it is an English verb.
    function_words = FUNCTION_WORDS["en"] | FUNCTION_WORDS["fr"]
    return {form: verb for form, verb in forms.items() if form not in function_words}


def is_auxiliary(word: str) -> bool:
    """Return True for an auxiliary, a modal verb or a form of "to be", in lower case and without accents."""
    return word in AUXILIARIES


def is_light_verb(word: str) -> bool:
    """Return True for a form of a verb that says little by itself: "stands at", "comes to", "se trouve"."""
    return (find_infinitive(word) or word) in _LIGHT


def is_decisive_verb(word: str) -> bool:
    """Return True for a form of a verb that ends, changes, allows or proves something."""
    return (find_infinitive(word) or word) in _DECISIVE


def find_infinitive(word: str) -> str | None:
    """Return the infinitive of a verb form in lower case and without accents, None if the form is not known.

    Many forms are nouns, too ("the cost"); the caller decides by the place of the word.
    """
    return _list_forms().get(word)
