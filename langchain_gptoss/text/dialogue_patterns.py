"""Patterns of greetings, thanks and questions about a chatbot and its documents, in English and French.

They match whole clauses of lower-case text without accents and punctuation. "@en" and "@fr" stand for words such as
"these documents".
"""

from typing import Literal, TypeAlias

DialogueActKind = Literal["greeting", "thanks", "farewell", "identity", "overview", "summary"]
Patterns: TypeAlias = tuple[tuple[DialogueActKind, str, tuple[str, ...]], ...]


DOCUMENTS_EN = (
    r"(?:(?:this|these|those|the|your|all|all the|all of the|my) )?(?:documents?|docs?|files?|folders?|"
    r"pages?|texts?|handbooks?|manuals?|collection|library|index|knowledge base)"
)
DOCUMENTS_FR = (
    r"(?:(?:ce|cet|cette|ces|le|la|les|vos|votre|tes|ton|mes|mon|tous les|toutes les) )?(?:documents?|"
    r"docs?|fichiers?|dossiers?|pages?|textes?|manuels?|guides?|collection|bibliotheque|"
    r"base(?: de connaissances)?)"
)
COURTESIES: Patterns = (
    (
        "farewell",
        "en",
        (
            r"good ?bye",
            r"bye(?: bye)?",
            r"see you(?: later| soon)?",
            r"good night",
            r"farewell",
            r"have a (?:nice|good|great) (?:day|evening|weekend|one)",
            r"that is all",
            r"that's all",
        ),
    ),
    (
        "farewell",
        "fr",
        (
            r"au revoir",
            r"a bientot",
            r"a plus(?: tard)?",
            r"a demain",
            r"adieu",
            r"bon week-?end",
            r"(?:bonne|excellente) (?:journee|soiree|nuit|continuation)",
            r"c'est tout",
        ),
    ),
    (
        "thanks",
        "en",
        (
            (
                r"(?:many |ok |okay )?(?:thanks|thank you|thx|cheers)(?: a lot| so much| very much| again|"
                r" a million)?(?: for (?:your|the|that|all your) (?:help|answers?|information|time))?"
            ),
            r"great",
            r"perfect",
            r"ok",
            r"okay",
            r"got it",
            r"very (?:good|helpful|nice)",
            r"that (?:helps|helped|is helpful|was helpful)",
        ),
    ),
    (
        "thanks",
        "fr",
        (
            (
                r"(?:un grand |ok )?merci(?: beaucoup| bien| infiniment| encore| mille fois)?(?: a (?:toi|"
                r"vous))?(?: (?:pour|de) (?:votre|ton|cette|l'|la|ta|vos|tes) ?(?:aide|reponses?|informations?|"
                r"precisions?))?"
            ),
            r"(?:c'est )?(?:parfait|super|genial|note|tres bien|d'accord|entendu|compris)",
            r"je (?:te|vous) remercie",
        ),
    ),
    (
        "greeting",
        "en",
        (
            (
                r"(?:hello|hi|hiya|hey|greetings|good (?:morning|afternoon|evening|day))(?: there| all| everyone|"
                r" again| you)?"
            ),
            r"how are you(?: doing)?(?: today)?",
            r"how(?:'s| is) it going",
            r"nice to meet you",
            r"what'?s up",
        ),
    ),
    (
        "greeting",
        "fr",
        (
            (
                r"(?:re)?(?:bonjour|bonsoir|salut|coucou|hello|allo)(?: a (?:tous|toutes|toi|vous)| tout le monde|"
                r" madame| monsieur)?"
            ),
            r"comment (?:vas[- ]tu|allez[- ]vous|ca va|tu vas)(?: aujourd'hui)?",
            r"(?:tu vas|vous allez|ca va)(?: bien)?",
            r"enchantee?",
        ),
    ),
)
REQUESTS: Patterns = (
    (
        "identity",
        "en",
        (
            r"(?:who|what) are you",
            r"what(?:'s| is) your (?:name|job|role|purpose)",
            r"what (?:can|do|could) you do(?: for me)?",
            r"how (?:can|could) you help(?: me)?",
            r"can you help(?: me)?",
            r"help(?: me)?",
            r"how does this work",
            r"how do you work",
            r"are you (?:an? )?(?:bot|robot|human|person|ai|machine|chatbot)",
            r"introduce yourself",
            r"what is this",
        ),
    ),
    (
        "identity",
        "fr",
        (
            r"qui (?:es[- ]tu|etes[- ]vous)",
            r"(?:tu es|vous etes|t'es) qui",
            r"(?:quel est|c'est quoi) (?:ton|votre) (?:nom|role)",
            r"comment (?:t'appelles[- ]tu|vous appelez[- ]vous)",
            r"(?:tu peux|vous pouvez) faire quoi",
            r"que (?:peux[- ]tu|pouvez[- ]vous|sais[- ]tu|savez[- ]vous) faire(?: pour moi)?",
            r"qu'est[- ]ce que (?:tu peux|vous pouvez|tu sais|vous savez) faire(?: pour moi)?",
            r"a quoi (?:sers[- ]tu|servez[- ]vous|tu sers)",
            r"comment (?:ca marche|(?:peux[- ]tu|pouvez[- ]vous) m'aider)",
            r"(?:(?:peux[- ]tu|pouvez[- ]vous|tu peux|vous pouvez) )?m'aider",
            r"aide",
            r"aide[zs]?[- ]moi",
            r"presente[zs]?[- ](?:toi|vous)",
            (
                r"(?:es[- ]tu|etes[- ]vous|tu es|vous etes) (?:un |une )?(?:robot|bot|humain|humaine|personne|"
                r"machine|ia)"
            ),
        ),
    ),
    (
        "overview",
        "en",
        (
            r"what(?:'s| is)(?: there)? in (?:here|there|it|@en)",
            r"what(?:'s| is| are) @en(?: all)? about",
            r"what(?:'s| is| are) (?:this|it|that|these|those) (?:all )?about",
            r"what (?:do|does) @en (?:contain|cover|talk about|say)",
            (
                r"(?:what|which) (?:documents|files|topics|subjects|pages)(?: (?:do you (?:have|cover|know)|"
                r"are (?:there|available|covered|in here|indexed)|can i ask(?: you)? about|can you answer))"
            ),
            r"what (?:do you know(?: about)?|can i ask(?: you)?(?: about)?)",
            r"(?:list|show(?: me)?|summari[sz]e) (?:@en|everything)",
            r"(?:(?:can you )?give me |show me )?(?:an overview|a summary|a list)(?: of (?:@en|everything))?",
        ),
    ),
    (
        "overview",
        "fr",
        (
            (
                r"de quoi (?:parle(?:nt)?|traite(?:nt)?|s'agit[- ]il|(?:il|elle|ca|cela|ils|elles) (?:parle(?:nt)?|"
                r"s'agit))(?: (?:ici|@fr))?"
            ),
            r"(?:que|qu'est[- ]ce que) contien(?:t|nent) @fr",
            r"(?:@fr )(?:parle(?:nt)?|traite(?:nt)?) de quoi",
            (
                r"(?:qu'est[- ]ce qu'il y a|qu'y a[- ]t[- ]il|il y a quoi|y a quoi|qu'est[- ]ce qu'on trouve|"
                r"que trouve[- ]t[- ]on)(?: (?:ici|dedans|la[- ]dedans|dans @fr))"
            ),
            (
                r"(?:quels|quelles|de quels|sur quels) (?:sont (?:les|tes|vos) )?(?:documents|fichiers|sujets|"
                r"themes|pages)(?: (?:as[- ]tu|avez[- ]vous|connais[- ]tu|connaissez[- ]vous|y a[- ]t[- ]il|"
                r"(?:sont )?disponibles|couvrez[- ]vous|(?:puis[- ]je|peut[- ]on) (?:t'|vous )interroger))?"
            ),
            r"que (?:sais[- ]tu|savez[- ]vous|connais[- ]tu|connaissez[- ]vous)",
            r"c'est quoi (?:ces|ce|cette|les) (?:documents?|fichiers?|pages?)",
            r"(?:resume[zrs]?|liste[zrs]?|montre[zrs]?(?:[- ]moi)?) (?:@fr|tout)",
            r"(?:donne[zs]?[- ]moi )?(?:un apercu|un resume|une liste)(?: d(?:e|es|u) (?:@fr|tout))?",
        ),
    ),
    (
        "summary",
        "en",
        (
            (
                r"(?:(?:can|could|would|will) you )?(?:summari[sz]e|sum up|recap|(?:give(?: me)?|write|make) (?:a |"
                r"an )?(?:short |brief |quick )?(?:summary|overview) of) (?P<topic>.+?)(?: for me| in (?:a few|one|"
                r"two|three|five) (?:words?|sentences?))?"
            ),
        ),
    ),
    ("summary", "en", (r"what does (?P<topic>.+ (?:page|document|file|chapter)) (?:say|contain|cover)",)),
    ("summary", "fr", (r"que dit (?P<topic>(?:la page|le document|le fichier|le chapitre) .+)",)),
    (
        "summary",
        "fr",
        (
            (
                r"(?:(?:peux[- ]tu|pouvez[- ]vous|pourrais[- ]tu|pourriez[- ]vous|tu peux|"
                r"vous pouvez) )?(?:me )?(?:resume[zrs]?(?:[- ]moi)?|synthetise[zrs]?|(?:fais|faites|faire|donne|"
                r"donnez|donner)(?:[- ]moi)? (?:un (?:court |bref )?resume|une synthese) d(?:e |es |u |"
                r"'))(?: )?(?P<topic>.+?)(?: en (?:quelques|une|deux|trois|cinq) (?:mots?|phrases?))?"
            ),
        ),
    ),
)
