"""Rules for follow-up questions in French."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from langchain_gptoss.text.follow_ups.agreement import has_agreeing_noun
from langchain_gptoss.text.follow_ups.tokens import (
    QUOTE,
    Token,
    find_covered,
    find_last,
    get_described_noun,
    get_word,
    parse_words,
    skip_head_nouns,
)

OPENING = re.compile(
    r"""^\W*(?:(?:et|mais|donc|du\ coup|sinon|autrement|ensuite|alors(?!\ qu)|pareil|idem|quid\ d[eu']|qu'en\ est-il
    |même\ (?:si|pour|avec|en|sans|question|chose|le|la|les|dans|à|un|une|quand|après)|(?:dans|en)\ (?:ce|cet
      |ces)\ cas
    |si\ (?:oui|non|c'est\ le\ cas|ce\ n'est\ pas\ le\ cas|tel)|pourquoi\ (?:pas|ça|cela|donc|si)|(?:quoi|qui|où
      |que)\ d'autre
    |(?:ok|oui|non|d'accord|merci|très\ bien|bien|parfait|ah),?\s+(?:et|mais|donc|alors|pourquoi|comment|quand|où
      |est-ce
      |combien|quel|quelle)
    |(?:seulement|uniquement|sauf)\ (?:si|pour|en|avec|le|la|les|à|dans|un|une)
    |par\ exemple|comment\ ça|à\ ce\ (?:sujet|propos|moment)|(?:encore|beaucoup|un\ peu)\ plus)\b(?!-))
    |^\W*plus\ de\ (?:détails?|précisions?|infos?|informations?|exemples?)|^\W*c'est-à-dire
    |^\W*ou\ (?:pour|avec|sans|le|la|les|l'|un|une|en|à|au|aux|par|bien|alors|sinon|plutôt|même|seulement|est-ce)
      (?!.*-(?:t-)?(?:il|elle|on|ils|elles|je)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Openings that continue a conversation. "Ou" with a verb after it is "où" without its accent."""
ENDING = re.compile(
    r"""\b(?:aussi|également|non\ plus|sinon|alors|du\ coup|à\ la\ place|dans\ ce\ cas|en\ revanche|par\ exemple
      |là-bas
    |l'autre|les\ autres|(?:d'|quels\ |quelles\ )autres?|(?:le|la)\ (?:premi[eè]re?|seconde?|deuxième|derni[eè]re?)
      |pareil
    |(?:la|une)\ même\ chose|(?:le|la|les)\ mêmes?|idem|autrement|à\ ce\ (?:sujet|propos))\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
"""Endings that compare with something said before."""
DEFINITE_NOUN = re.compile(
    r"""(?:\b(?:le|la|les|au|aux)\ |\bl['’])(\w{3,})
    (?!\w|-|\ (?:de|du|des|d['’]|à|au|aux|pour|en|sur|dans|par|avec|qui|que|dont|et|ou)(?:\b|(?<='))
    |\ (?!aussi|également)\w+\s*\?*\s*$)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A noun that says what it means only together with what was said before: "La limite peut-elle être relevée ?".

"La livraison standard" at the end of a question says what it means."""
FRAGMENT_OPENINGS = parse_words(
    """pour en à au aux avec sans par pendant après avant depuis dans sur chez entre hors même seulement aussi sauf
    jusqu' jusque le la les l' un une des mon ma mes plutôt uniquement dès vers sous contre"""
)
"""First words of a question without a verb, such as "Pour les enfants ?"."""
QUESTION_WORDS = parse_words(
    """qui que qu' quoi quel quelle quels quelles combien comment quand où pourquoi lequel laquelle lesquels
    lesquelles"""
)
AUXILIARIES = parse_words(
    """est sont était étaient fut furent sera seront serait seraient été être a ont avait avaient eut aura auront
    aurait ai as avez avons avoir peut peuvent peux pouvez puis pourra pourrait pouvait doit doivent dois devez
    devait devra faut fallait faudra faudrait va vont vais fait font faire c' -ce s'est existe"""
)
GENERIC_WORDS = parse_words(
    """expliquer explique expliquez expliques explication explications preciser precise precisez precision
    precisions detail details detailler detaille detaillez developper developpe developpez exemple exemples
    clarifier clarifie reformuler reformule reformulez simple simples simplement simplifier simplifie resumer resume
    resumez bref brievement court courte longuement continuer continue continuez repeter repete repetez mot mots
    terme termes point points liste etape etapes traduire traduis francais anglais phrase phrases facon maniere dire
    dis dites dit veut vouloir signifie comprendre compris comprends information informations info infos source
    sources reference references page section document documents citer cite citez lien liens specifique concretement
    davantage savoir sais autrement different differente reponse reponses question questions cas donner donne donnez
    parler parle montrer montre cost delai delais exception exceptions condition conditions raison raisons avantage
    avantages inconvenient inconvenients difference differences montant montants minimum maximum limite limites
    sanction sanctions penalite penalites consequence consequences exigence exigences requis requise necessaire
    necessaires demarche demarches procedure duree adresse telephone numero option options alternative alternatives
    regle regles risque risques but effet effets resultat preuve preuves justificatif justificatifs formulaire
    recours suite passe passer arrive arriver marche marcher fonctionne fonctionner applique appliquer prend prendre
    change changer besoin commence commencer finit finir paie paye payer gagne decide decider vrai juste possible
    disponible permis valable compris inclus gratuit gratuite gratuits payant obligatoire obligatoires facultatif
    interdit autorise utile important normal mieux meilleur meilleure pire cher chere chers cheres rapide vite lent
    grand petit haut bas ancien recent facile sur annee annees mois semaine jour jours date heure heures temps type
    types tot tard souvent loin vieux merci svp plait chose choses autre autres encore deja trop assez moins
    exactement precisement vraiment total exact supplementaire encore toujours faire fait faites font existe exister
    utilise utiliser personne personnes pays endroit premier premiere deuxieme troisieme dernier derniere second
    seconde suivant suivante bien ok accord puis alors aussi egalement seulement juste dois doit doivent devoir
    faudra faudrait peut-on autrement donc etre avoir avoir avait moi lui eux elle elles celui celle ceux celles ci
    tu vous ca cela"""
)
"""Words without accents that say nothing without what was said before, beside function words."""

REFERENCE_NOUNS = parse_words(
    """regle offre cost produit appareil article service formule option contrat assurance carte compte delai frais
    montant document formulaire cas droit obligation procedure demarche demande fichier modele version commande
    remise garantie billet abonnement aide allocation prestation conge taxe impot decision condition exception
    situation raison probleme point sujet donnees traitement dernier derniere derniers dernieres reduction page
    reponse phrase chapitre etape clause interdiction autorisation dispositif mesures somme amende facture"""
)
"""Nouns without accents that people use for what was said before: "ce délai"."""

_PERSONAL = parse_words("il ils elle elles lui eux -il -ils -elle -elles -lui -leur")
_POSSESSIVES = parse_words("son sa ses leur leurs")
_ADVERBS = parse_words("où ou quand comment pourquoi")
_MIN_NAMES_BEFORE_SUBJECT = 2
_COPULAS = parse_words("est sont était étaient fut furent sera seront serait")
_DETERMINERS = parse_words(
    """le la les l' un une des du au aux ce cet cette ces mon ma mes ton ta tes notre nos votre vos leur leurs son
    sa ses chaque certains certaines plusieurs tout toute tous toutes deux trois quatre cinq aucun aucune autre
    autres"""
)
_PREPOSITIONS = parse_words(
    """de d' du des à au aux en dans sur sous pour par avec sans chez entre vers contre depuis pendant durant avant
    après dès selon envers parmi jusqu' lors hors malgré"""
)
_CLAUSE_OPENINGS = parse_words(
    """, ; : ( — – et ou mais si s' quand lorsque lorsqu' que qu' qui dont où puisque puisqu' car parce comme avant
    après tandis alors pendant"""
)
_PURPOSE_OPENINGS = parse_words("pour sans afin")
_FUNCTION_WORDS = (
    AUXILIARIES
    | QUESTION_WORDS
    | _DETERMINERS
    | _PREPOSITIONS
    | _CLAUSE_OPENINGS
    | _PERSONAL
    | parse_words(
        """je j' tu t' on nous vous m' me te se n' ne pas plus y -y -en -je -tu -on -nous -vous -le -la -les -moi -là
    -ci ça cela ceci celui celle ceux celles même aussi encore déjà toujours jamais souvent très trop bien mal ainsi
    donc ensuite ici là non oui soit peu beaucoup moins autre autres quelque quelques"""
    )
)
_MEASURES = parse_words(
    """année années an ans date jour jours mois siècle époque heure temps durée âge nombre pourcentage type types
    sorte partie couleur prix taille raison manière façon fois moment"""
)
_DEICTIC = parse_words(
    """année mois semaine soir matin jour week-end été hiver moment site printemps automne siècle chatbot qui que
    qu' dont à sont n' ne fut furent sera serait était"""
)
_PEOPLE = parse_words("on -on quelqu'un chacun chacune personne je -je tu -tu vous -vous j'")
# Nouns with the endings of verbs.
_VERBAL_NOUNS = parse_words(
    """loyer foyer mer fer hiver cancer danger étranger passager déjeuner dîner goûter laser leader avenir plaisir
    loisir désir souvenir cuir tir pouvoir devoir espoir soir trottoir miroir couloir rasoir boulanger verger
    clavier poker usager parler boucher clocher rocher messager archer plancher lever coucher souper baiser potager
    manager berger conseiller hacker super"""
)
_INFINITIVE = (
    rf"(?!(?:{'|'.join(sorted(_VERBAL_NOUNS))})\b)"
    r"(?:\w+(?:fi|bli|pli|sili|pédi|préci|goci|soci|tudi|copi|cri|tri|vari|mari|pari|remédi|remerci)er|(?:l|n|p)ier"
    r"|\w{2,}(?<!i)er|\w{2,}(?:ir|oir)|\w*(?:prendre|mettre|rendre|faire|dire|lire|vendre|naître|suivre|joindre|soudre"
    r"|crire|duire|truire|perdre|tendre|fendre|pondre|battre|vivre|boire|croire|craindre|teindre|clure))\b"
)
_SUBJECTS = r"(?:-je|-on|-ils?|-elles?|-vous|-nous|-tu|je|on|tu|nous|vous)"
_CLITICS = re.compile(
    rf"""\ (?:
    (?:{_SUBJECTS}|comment|où|quand|pourquoi|pour|sans|peut|peux|puis|pouvez|pouvons|peuvent|dois|doit|devons|devez
      |doivent
      |veux|veut|voulez|vais|va|faut|faudra|faudrait|faire|laisser)(?:\ ne)?(?:\ pas)?(?P<a>\ (?:le|la|les|l'
      |leur))\ {_INFINITIVE}
    | (?:possible|obligé|obligée|droit|afin|avant|moyen|nécessaire|interdit|permis|risque|tenu|capable|obligatoire
      |utile)
      \ de(?P<b>\ (?:le|la|les|l'))\ {_INFINITIVE}
    | de(?P<c>\ le)\ \w | (?:je|tu|on|ils|elles)(?P<d>\ (?:le|la|les|l'))\ \w
    | (?P<e>l')\ (?:a|ai|as|ont|avait|avaient|aura|aurait|avez|avons)(?=\ )
    | (?<=^\ )?qui(?P<f>\ (?:le|la|les))\ \w+\ \?$ | (?P<g>-les?|-la)(?=\ )
    | (?:si|que|comment|où|quand)\ (?:je|on|tu|vous|nous)(?P<h>\ (?:le|la|les|l'|en|y))\ \w
    )""",
    re.VERBOSE,
)  # fmt: skip
_EN = re.compile(
    rf"""\ (?:
    (?:j'|n'|m'|t'|l'|qu'|je|tu|on|il|elle|ils|elles|nous|vous|ne|y|lui|leur|les|combien|qui|-je|-on|-il
      |-elle)(?P<a>\ en)
      \ (?:ai|as|avez|avons|faut|faudra|reste|est|sont|était|sera|parle|parlez|profite|bénéficie|veux|existe|a|ont
      |aura|fait
      |font|prend|achète|trouve|parler|trouver|pense|dit|sait|sais|savez|va|vient|sort|coûte|{_INFINITIVE})(?=\ )
    | (?:s'|m'|t'|pour|comment|où|peut|peux|puis|dois|doit|faut|puis-je)(?P<b>\ en)\ (?:savoir|avoir|faire|être
      |parler|dire
      |demander|obtenir|bénéficier|trouver|acheter|profiter|sortir|souscrire|changer|prendre|mettre|tirer|vivre|servir
      |parler|assurer|occuper|débarrasser|passer|remettre|disposer|utiliser|commander|créer|ajouter|informer)(?=\ )
    | (?P<c>-en)(?=\ ) | y(?P<d>\ en)\ a | qu'(?P<e>\ en)\ (?:pense|est|dit|disent|pensent)
    | ^\ en\ (?:avez|as|ai|existe|reste|sont|faut|sait|savez|parle)
    )""",
    re.VERBOSE,
)  # fmt: skip
_Y = re.compile(
    r"""\ (?:(?:j'|s'|n'|on|je|tu|vous|nous|comment|pour|peut|peux|doit|-on|-je|m'|qui)(?P<a>\ y)\ (?!a\b|avait|aura
      |ait|eut)\w
    |^\ y\ (?!a\b|avait|aura|ait|eut|en)\w | (?P<b>-y)(?=\ ))""",
    re.VERBOSE,
)
_ADJECTIVES = r"""(?:possible|impossible|nécessaire|obligatoire|interdite?|permis|autorisé|légal|illégal|utile|inutile
    |important|facile|difficile|normal|prudent|préférable|conseillé|recommandé|déconseillé|mieux|vrai|faux|certain
      |probable
    |prévu|question|temps|rare|fréquent|courant|dangereux|acceptable|légitime|licite|judicieux|pertinent|indispensable
    |essentiel|raisonnable|tard|tôt|bon|mauvais|dit|écrit|demandé|rappelé|précisé|admis|considéré|estimé|établi|exact
    |correct|envisageable|urgent|souhaitable|suffisant|gratuit|payant|sûr|simple|compliqué|intéressant|fait|devenu
      |avéré
    |arrivé|question|formellement|strictement|censé|clair|évident|logique|juste|grave|risqué|désormais|donné)"""
_IMPERSONAL = re.compile(
    rf"""\ (?:
    ils?\ (?:(?:ne|n'|s'|se|y|en|lui|me|m'|vous|nous|leur|te|t')\ )*(?:faut|fallait|faudra|faudrait|fallu|faille
      |a\ fallu|agit
      |agissait|existe|existait|reste|suffit|convient|arrive\ que|semble|paraît|manque|pleut|neige|vaut\ mieux
      |peut\ que
      |importe|résulte|incombe|passe|se\ passe|revient\ (?:à|de|d')|appartient\ (?:à|de|d'|aux?)|fait\ (?:beau|froid
      |chaud|jour|nuit))
    | il\ (?:n'\ |ne\ )?(?:peut|pourrait|doit|devrait|va|pourra|pouvait)\ (?:pas\ )?y\ avoir
    | il\ (?:n'\ |ne\ )?(?:y\ )(?:a|avait|aura|aurait|eut|ait|eu)
    | (?:faut|fallait|faudra|faudrait|existe|existait|reste|restait|suffit|convient|vaut|pleut|neige|manque|passe
      |passait
      |agit|agissait|produit|importe|incombe|convenait|suffirait|conviendrait|existerait|existera|passera|advient
      |adviendra)\ -il
    | (?:est|était)\ -il\ question
    | y\ (?:a|avait|aura|aurait|eut)\ -il(?!\ \w+é\ )
    | (?:y\ )?a\ -il\ (?:(?:pas|jamais|toujours)\ )?(?:fallu|eu(?!\ de))
    | quelle\ heure\ (?:est|était)\ -il | s'?\ est\ -il\ (?:passé|produit|agi) | (?:est|était)\ -il\ arrivé
    | (?:peut|doit|pourrait|devrait|va|pouvait|peuvent)\ -il\ (?:s'\ agir|y\ avoir|exister|se\ passer|falloir|arriver)
    | (?:coûte|prend|arrive)\ -il\ (?:de|d'|pour|que|qu'|combien)
    | fait\ -il\ (?:beau|froid|chaud|jour|nuit|bon|partie) | (?:combien|que)\ fait\ -il\ (?:de|chaud|froid)
    | (?:est|était|serait|sera|soit|fut|paraît|semble|deviendrait|devient|a|peut|doit|reste|demeure)\ -il\ (?:(?:pas
      |été
      |être|toujours|encore|donc|aussi|plus|si|trop|parfois|souvent|lui|nous|vous|me|plutôt|déjà
      |\w+ment)\ )*{_ADJECTIVES}
      (?:\ [^?,]+?)?\ (?:de|d'|que|qu'|à|si)
    | il\ (?:n'\ |ne\ )?(?:est|était|serait|sera|soit|fut)\ (?:(?:pas|toujours|encore|donc|aussi|plus|si|trop
      |parfois)\ )*
      {_ADJECTIVES}(?:\ [^?,]+?)?\ (?:de|d'|que|qu'|à)
    )(?=\ )""",
    re.VERBOSE,
)  # fmt: skip
_REFERRING = re.compile(
    r"""(?:^|\ (?:et|mais|alors|,))\ (?:lequel|laquelle|lesquels|lesquelles)(?!\ (?:de|du|des|d'|parmi
      |entre))(?!.*\ ou\ )
    |\ (?:est|sont|y\ en)\ -ce\ (?:le\ cas|pareil|la\ même|identique)|\ c'\ est\ (?:le\ cas|pareil|la\ même)
    |\ (?:tu|vous)\ (?:viens|venez|avez|as|disiez|disais)\ (?:de\ )?(?:dire|dit|mentionné|mentionner|cité|citer
      |parlé|parler
      |parliez|écrit|répondu)|\ (?:ci-dessus|précédemment|susmentionnée?s?|en\ question)\ |\ ce\ faire\ |\ là-bas\
      |\ là-dessus
    |\ (?:le|la|les)\ (?:premi[eè]re?s?|seconde?s?|deuxième|troisième|derni[eè]re?s?|autres?)
      \ (?=est|sont|a\ |ont|peut|peuvent|coûte|comprend|doit|était|-)
    |\ (?:par|de|pour|avec|dans|à|et|comme|contre|que|qu')\ (?:ça|cela|ceci)\ (?:[?.!]|$)""",
    re.VERBOSE,
)
_DISLOCATED = re.compile(
    r"""\ (?:ça|cela)\ (?:se\ |s'\ |veut\ )?(?:coûte|marche|fonctionne|dure|sert|dire|signifie|vaut|fait|passe
      |appelle|prend)
    (?:\ (?:combien|comment|quoi|à\ quoi|quand|où|,))*\ (?:le|la|les|l'|un|une|de|d'|du|des|que|qu'|quand
      |si)(?=\ )""",
    re.VERBOSE,
)
_CLEFT = re.compile(
    r"""\ (?:c'\ (?:est|était|sera|serait)|-ce)\ (?:que|qu'|quoi|qui|quand|où|combien|comment|à\ qui|pour
      |parce)(?=\ [^?])
    |\ (?:c'\ (?:est|était|sera|serait)|-ce)\ (?:(?!à|partir|pour|en|dans|avec|depuis|que|qu')[\w'-]+\ ){1,4}?(?:de
      |d'|que|qu'|qui|si|dont)(?=\ )(?!\ quel)
    |\ -ce\ (?:que|qu'|qui)|\ ce\ (?:que|qu')\ c'\ est(?=\ [^?])""",
    re.VERBOSE,
)


def has_open_pronoun(
    tokens: Sequence[Token], *, is_known: Callable[[str], bool], conversation: Sequence[str] = ()
) -> bool:
    """Return True if a question has a pronoun that nothing in the question explains.

    Args:
        tokens: The question.
        is_known: Whether a noun after "ce" or "cette" was named before.
        conversation: Texts of the last messages.
    """
    if find_covered(tokens, _REFERRING):
        return True
    tokens = _mark_inversions(tokens)
    impersonal = find_covered(tokens, _IMPERSONAL) | find_covered(tokens, _DISLOCATED) | find_covered(tokens, _CLEFT)
    for index, token in enumerate(tokens):
        if token.is_name or token.is_mark or index in impersonal:
            continue
        if token.word in _PERSONAL and not _is_subject_explained(tokens, index):
            if has_agreeing_noun(token.word, conversation):
                return True
            continue
        if token.word in _POSSESSIVES and not _has_possessor(tokens, index):
            return True
        if _is_demonstrative(tokens, index) and not _has_antecedent(tokens, index):
            noun = get_described_noun(tokens, index, _FUNCTION_WORDS) if token.word in _DETERMINERS else ""
            if not noun or is_known(noun):
                return True
    return any(not _has_antecedent(tokens, index) for index in _find_clitics(tokens))


def _mark_inversions(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens with a hyphen before each pronoun that follows its verb: "est il" is "est-il"."""
    return [
        replace(token, word=f"-{token.word}")
        if token.word in ("il", "ils", "elle", "elles") and _is_inverted(tokens, index)
        else token
        for index, token in enumerate(tokens)
    ]


def _find_clitics(tokens: Sequence[Token]) -> set[int]:
    """Return the indices of object pronouns: le, la, les, l', en, y."""
    clitics = set()
    for pattern in (_CLITICS, _EN, _Y):
        clitics |= {
            index
            for index in find_covered(tokens, pattern)
            if not tokens[index].is_name
            and tokens[index].word in ("le", "la", "les", "l'", "leur", "en", "y", "-en", "-y", "-le", "-la", "-les")
        }
    return clitics


def _is_demonstrative(tokens: Sequence[Token], index: int) -> bool:
    word, after = tokens[index].word, get_word(tokens, index + 1)
    if word in ("ça", "cela", "ceci"):
        return True
    if word in ("celui", "celle", "ceux", "celles"):
        return after not in ("qui", "que", "qu'", "dont", "où")
    if word == "c'":
        return after in _COPULAS
    if word == "-ce":
        return get_word(tokens, index - 1) in _COPULAS
    return word in ("ce", "cet", "cette", "ces") and after not in _DEICTIC | _FUNCTION_WORDS


def _is_subject_explained(tokens: Sequence[Token], index: int) -> bool:
    if _is_inverted(tokens, index) and _has_nominal_subject(tokens, index):
        return True
    return _has_antecedent(tokens, index) or _is_named_after_comma(tokens, index)


def _has_nominal_subject(tokens: Sequence[Token], index: int) -> bool:
    """Return True if the verb of an inverted pronoun has a subject of its own: "Le musée est-il ouvert ?"."""
    verb = index - 1
    if verb > 0 and not tokens[0].is_mark and tokens[0].word not in _FUNCTION_WORDS:
        return True
    if get_word(tokens, verb) in ("t", "t'", "'t"):
        verb -= 1
    is_passive = tokens[verb].word in _COPULAS or get_word(tokens, index + 1) == "été"
    if verb > 1 and is_passive and tokens[0].word in QUESTION_WORDS - {"qui", "que", "où", "quand"}:
        # "Combien de soldats sont-ils en poste ?" The question phrase is the subject.
        return any(_is_noun(tokens, at, with_question_phrase=True) for at in range(verb))
    return any(_is_noun(tokens, at) and not _is_after_preposition(tokens, at) for at in range(verb)) or (
        not any(token.is_name for token in tokens[:verb]) and _has_bare_subject(tokens, verb)
    )


def _has_bare_subject(tokens: Sequence[Token], verb: int) -> bool:
    """Return True for a name without its capital before the verb: "en quelle année cézanne rencontre-t-il manet"."""
    start = next((at for at in range(verb) if tokens[at].word in QUESTION_WORDS), -1)
    if start < 0 or verb <= start:
        return False
    subject = start + (1 if tokens[start].word in _ADVERBS else 3 if tokens[start].word == "combien" else 2)
    return subject < verb and tokens[subject].word not in _FUNCTION_WORDS and not tokens[subject].is_mark


def _is_inverted(tokens: Sequence[Token], index: int) -> bool:
    """Return True for a pronoun after its verb, with a hyphen or without."""
    before = get_word(tokens, index - 1)
    is_existential = get_word(tokens, index + 1) == "y"  # "il y a 500 ans"
    return tokens[index].word.startswith("-") or (
        bool(before) and not is_existential and before not in _CLAUSE_OPENINGS | _PREPOSITIONS | QUESTION_WORDS
    )


def _has_antecedent(tokens: Sequence[Token], index: int) -> bool:
    word = tokens[index].word
    if word in ("celui", "celle", "ceux", "celles", "c'"):
        nouns = (_is_noun(tokens, at, with_question_phrase=True) for at in range(index))
        return any(nouns) or tokens[0].word in ("quel", "quelle", "quels", "quelles")
    is_object = word in ("le", "la", "les", "l'", "leur", "en", "y")
    openings = _CLAUSE_OPENINGS | _PURPOSE_OPENINGS if is_object else _CLAUSE_OPENINGS
    boundary = find_last(tokens, openings, index)
    if boundary <= 0:
        return False
    return any(
        _is_noun(tokens, at, with_question_phrase=tokens[boundary].word not in _PURPOSE_OPENINGS)
        for at in range(boundary)
    )


def _has_possessor(tokens: Sequence[Token], index: int) -> bool:
    before = get_word(tokens, index - 1)
    if tokens[0].word == "qui" and before not in _COPULAS:
        return True
    earlier = [tokens[at].word for at in range(index)]
    if any(word in _PEOPLE or re.fullmatch(_INFINITIVE, word) for word in earlier) or find_covered(
        tokens[:index], _IMPERSONAL
    ):
        return True  # a possessor in general: "Comment protéger sa vie privée ?"
    if _is_named_after_comma(tokens, index):
        return True
    if tokens[0].word in _ADVERBS and index > 2:
        subject = tokens[1:3]  # "pourquoi orton perd son match": a subject and its verb
        if not any(token.is_mark or token.word in _FUNCTION_WORDS for token in subject):
            return True
    start = skip_head_nouns(tokens, index, ("de", "d'"), _FUNCTION_WORDS)  # "la date de sa mort": the date is not his
    is_question_subject = before not in _COPULAS and not _is_after_preposition(tokens, 1)
    return any(_is_noun(tokens, at, with_question_phrase=is_question_subject) for at in range(start))


def _is_named_after_comma(tokens: Sequence[Token], index: int) -> bool:
    """Return True for "Pendant son règne, qu'a construit Louis XIV ?"."""
    comma = next((at for at in range(index, len(tokens)) if tokens[at].word == ","), -1)
    if comma < 0 or find_last(tokens, {","}, index) >= 0 or tokens[0].word in QUESTION_WORDS - {"quand"}:
        return False
    return any(tokens[at].is_name and not tokens[at].word.isdigit() for at in range(comma + 1, len(tokens)))


def _is_noun(tokens: Sequence[Token], index: int, *, with_question_phrase: bool = False) -> bool:
    """Return True for a word that can be what a pronoun stands for."""
    token = tokens[index]
    if token.is_mark:
        return False
    if token.is_name:
        return not token.word.isdigit()
    word, before = token.word, get_word(tokens, index - 1)
    if word in _FUNCTION_WORDS:
        return False
    if before in ("quel", "quelle", "quels", "quelles") or _is_counted(tokens, index):
        return with_question_phrase and word not in _MEASURES
    if before in _DETERMINERS:
        return True
    if index == 0:
        return get_word(tokens, 1) in AUXILIARIES or word.endswith("s")
    if before in _ADVERBS | {"que", "qu'"}:
        return get_word(tokens, index + 1) in AUXILIARIES or tokens[index + 1 :][:1] == []
    # An adjective or a number may come between: "les 3 personnages", "la pièce d'or", "ses premiers romans".
    return (
        get_word(tokens, index - 2) in _DETERMINERS and before not in _FUNCTION_WORDS and not word.endswith(("é", "er"))
    )


def _is_counted(tokens: Sequence[Token], index: int) -> bool:
    return get_word(tokens, index - 1) in ("de", "d'") and get_word(tokens, index - 2) == "combien"


def _is_after_preposition(tokens: Sequence[Token], index: int) -> bool:
    """Return True if the noun phrase of a word begins after a preposition: "de la ville", "d'Asie"."""
    at = index
    while (
        at > 0 and tokens[at].is_name and tokens[at - 1].is_name and QUOTE not in (tokens[at].word, tokens[at - 1].word)
    ):
        at -= 1
    if index - at >= _MIN_NAMES_BEFORE_SUBJECT:  # "Dans quelle ville d'Italie Riccardo Ricco est-il ...?"
        return False
    while at > 0 and tokens[at - 1].word in _DETERMINERS - _PREPOSITIONS:
        at -= 1
    is_name_part = get_word(tokens, at - 1) in ("d'", "de") and get_word(tokens, at - 2) in _ADVERBS  # "où d'Artagnan"
    return get_word(tokens, at - 1) in _PREPOSITIONS and not is_name_part
