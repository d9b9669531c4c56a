"""What instructions to a model look like in French; `rules` says how the patterns are used."""

from langchain_gptoss.chatbot.guard.english import GAP, Written

_TIENNE = r"(?:ta|tes|votre|vos) (?:(?:prochaines?|propres?|futures?) )?(?:reponses?|messages?|sorties?|resumes?)"
_METTRE = (
    r"(?:ajoute|inclu|integre|inser|mentionn|evoque|gliss|incorpor|place|termine|commence|conclu|debute|modifie|enrichi"
    r"|adapte|encode|chiffr|crypt|tradui|inverse|renverse|remplace|transforme|converti|utilise|emploie|employe|mets"
    r"|mettez"
    r"|ecri|cite|promeu)[a-z-]{0,5}"
)
_MACHINE_FR = (
    r"(?:i\.?a\.?|llm|chat ?gpt|chatbots?|intelligence artificielle|modeles? de langage|agents? conversationnels?"
    r"|assistants? (?:ia|virtuels?|numeriques?|conversationnels?))"
)
_REGLES = r"(?:instructions?|consignes?|regles?|directives?|prompts?|contraintes?)"


FRENCH: list[Written] = [
    (
        "override",
        rf"^(?:ignore[zr]?|oublie[zr]?|neglige[zr]?|contourne[zr]?|fai(?:s|tes) abstraction d|ne (?:tiens|tenez"
        rf"|tenir|suis|suivez) (?:pas|plus))\b{GAP}{{0,40}}?\b(?:{_REGLES}|ce qui precede|tout ce qu)",
    ),
    (
        "override",
        rf"\b(?:ignore[zr]?|oublie[zr]?|ne (?:tiens|tenez|tenir) (?:pas|plus) compte)\b{GAP}{{0,30}}?\b{_REGLES}\b"
        rf"{GAP}{{0,10}}?\b(?:precedent|ci-dessus|anterieur|initial|systeme|d'origine|qui precede)",
        "ignore",
        "oublie",
        "tenez",
        "tenir",
        "tiens",
    ),
    (
        "override",
        r"\bnouvelles? (?:instructions?|consignes?)(?: (?:systeme|pour (?:toi|l'assistant|l'ia)))?\s*:",
        "nouvelle",
    ),
    ("override", r"\bau lieu de repondre\b|\bne reponds? pas a (?:la|cette|l')", "au lieu", "ne repond"),
    (
        "role",
        rf"\b(?:tu es|vous etes) (?:maintenant|desormais|a present|dorenavant)\b{GAP}{{0,40}}?\b(?:{_MACHINE_FR}"
        rf"|assistant"
        r"|robot|pirate|personnage|bot|hacker|sans (?:filtre|restriction|limite))\b",
        "tu es",
        "vous etes",
    ),
    ("role", rf"^(?:tu es|vous etes) une? (?:[a-z-]+ ){{0,2}}?(?:{_MACHINE_FR}|assistant utile)\b"),
    ("role", r"^fai(?:s|tes) (?:semblant|comme si)\b"),
    (
        "role",
        r"^(?:agis|agissez|comporte-toi|comportez-vous|reponds|repondez|parle|parlez|exprime-toi|exprimez-vous"
        r"|ecris|ecrivez) (?:comme (?:une?|si|le|la)|en tant qu|a la maniere)",
    ),
    (
        "role",
        r"^(?:joue|jouez|prends|prenez|endosse|endossez) (?:le role|l'identite|la personnalite) (?:de|d'|du)",
    ),
    (
        "role",
        r"\b(?:a partir de maintenant|desormais|dorenavant),? (?:tu\b|reponds|repondez|parle\b|parlez|vous (?:repondrez"
        r"|repondez|parlez|devez repondre|ne repondez))",
        "maintenant",
        "desormais",
        "dorenavant",
    ),
    ("answer", rf"^{_METTRE} {GAP}{{0,220}}?\b(?:dans|a|de|pour|en|avec|par) {_TIENNE}"),
    (
        "answer",
        rf"^(?:modifi|enrichi|adapt|encod|chiffr|crypt|tradui|invers|renvers|remplac|transform|converti|termin"
        rf"|commenc|conclu|augment|formul)[a-z-]{{0,6}} {_TIENNE}",
    ),
    (
        "answer",
        rf"^(?:reponds?|repondez|repondre|redigez?|ecris|ecrivez|exprime-toi|exprimez-vous|parlez?|donnez? "
        rf"{_TIENNE}|fourni(?:s|ssez) {_TIENNE}|formulez? {_TIENNE}|redigez? {_TIENNE}|ecri(?:s|vez) {_TIENNE})"
        r"(?: (?:moi|a|aux|toutes?|les|la|questions?|toujours|uniquement|seulement|exclusivement|desormais|tout))*"
        r" (?:en "
        r"(?:anglais|espagnol|allemand|italien|portugais|chinois|japonais|russe|arabe|latin|base ?\d+|verlan|morse"
        r"|rimes?"
        r"|vers\b|majuscules|emojis?|json|code|hexadecimal|langue)|a l'envers|a rebours|(?:uniquement|seulement)"
        r" (?:par|avec"
        r"|en)|par (?:le mot|la phrase|des emojis)|avec (?:des emojis|le mot|la phrase)|sous forme d'emojis)",
    ),
    (
        "answer",
        rf"\b(?:dans|a la fin de|au debut de) {_TIENNE},? (?:ajoute|inclu|mentionne|suggere|recommande|fais|faites"
        rf"|affirme"
        r"|pretend|parle|dis|dites|glisse|insere|encourage|invite)",
        "reponse",
        "message",
        "sortie",
        "resume",
    ),
    (
        "answer",
        r"^(?:dis|dites|dire|annonce[zr]?|fai(?:s|tes) croire|faire croire|recommande[zr]?|conseille[zr]?|affirme[zr]?"
        r"|demande[zr]?) (?:a l'|aux |a un )(?:utilisateur|lecteur|internaute)",
    ),
    (
        "answer",
        rf"^(?:encode|chiffre|utilise|ecris|ecrivez|remplace)[zr]?\b{GAP}{{0,60}}?\b(?:base ?-?(?:16|32|58|64|85)"
        r"|rot ?-?13|(?:chiffre|code) de cesar|emojis?|morse|verlan)\b",
    ),
    (
        "answer",
        r"\b(?:quand|lorsque|si) (?:tu (?:resumes|reponds|traites|lis)|(?:l'utilisateur|on) (?:te|vous) (?:demande"
        r"|pose|interroge))\b",
        "quand",
        "lorsque",
        "si",
    ),
    (
        "task",
        r"^(?:ecris|ecrivez|ecrire|redigez?|generez?|composez?|inventez?)(?:-moi)? (?:une?|des|le|la|\d+) "
        r"(?:[a-z-]+ ){0,2}?(?:poemes?|histoires?|chansons?|scripts?|fonctions?|programmes? (?:en|qui)"
        r"|dissertations?|blagues?"
        r"|haikus?|recettes?|tweets?|nouvelles?)\b",
    ),
    (
        "task",
        r"^(?:resumez|resume (?:ce|cet|cette|ces)\b|traduis|traduisez|paraphrase[zr]? (?:ce|cet|cette)|reformule[zr]?"
        r" (?:ce|cet|cette)) ?(?:ce|cet|cette|ces|le|la|les|tout)?\b",
    ),
    (
        "task",
        r"^(?:donne|montre|explique|dis|dites|raconte|aide|recommande|propose|suggere|trouve|fais|indique)z?-(?:moi"
        r"|nous)\b",
    ),
    (
        "task",
        rf"^(?:analyse|determine|classe|evalue)[zr]? {GAP}{{0,20}}?\b(?:sentiment|humeur|tonalite|emotion)",
    ),
    (
        "exfiltration",
        rf"^(?:revele|affiche|repete|recopie|divulgue|montre|donne|imprime|copie)[zr]?(?:-moi)?\b{GAP}{{0,30}}?\b"
        r"(?:prompt|(?:instructions|consignes|message) (?:systeme|initiale?s?|cachee?s?|secrete?s?|d'origine))",
    ),
    (
        "exfiltration",
        rf"^(?:envoie|envoyez|envoyer|transmets|transmettez|transfere[zr]?|poste[zr]?|publie[zr]?)\b{GAP}{{0,60}}?\b"
        r"(?:conversation|historique (?:de la|des)|(?:donnees|questions?|messages?) de l'utilisateur|mots? de passe"
        r" de)",
    ),
    (
        "tool",
        rf"^(?:appelle|utilise|execute|lance|invoque)[zr]?\b {GAP}{{0,20}}?\b(?:tes|ton) (?:outils?|fonctions?"
        r"|navigateur|plugins?)\b",
    ),
    (
        "address",
        rf"\b(?:cher|chere|note|message|instructions?|consignes?|rappel)[, :]*(?:a |pour |destine(?:e?s?) a )?(?:l'"
        rf"|le |la |les"
        rf" |aux? )?(?:{_MACHINE_FR})\b\s*[:,!.-]",
        "cher",
        "note",
        "message",
        "instruction",
        "consigne",
        "rappel",
    ),
    ("address", rf"\bsi (?:tu es|vous etes) (?:une? )?(?:{_MACHINE_FR})\b", "tu es", "vous etes"),
    ("address", rf"\ben tant qu(?:e |')(?:{_MACHINE_FR}),? (?:tu|vous)\b", "en tant"),
]
