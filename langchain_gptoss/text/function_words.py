"""Function words: articles, pronouns, prepositions, conjunctions and other words without a topic.

There are two lists because they have different purposes. `FUNCTION_WORDS` shows the language of a text. `STOP_WORDS`
are left out when questions, claims and passages are compared; they include words of questions, such as "please" and
"tell", and the weights in `chatbot/grounding/calibration.json` are fitted without them.
"""

_LISTS = {
    "en": """a about an and are as at be been but by can could did do does for from had has have he her his how i if in
    into is it its many more much my no not of on or our she should so such than that the their them then there these
    they this those to under was we were what when where which while who whom whose why will with would you your""",
    "fr": """ai ainsi alors au aucun aux avec avez avoir c ce cela ces cet cette ceux chaque chez combien comme comment
    d dans de depuis des dont du elle elles en entre est et etait ete etre eu faut il ils j je l la laquelle le lequel
    les leur leurs lors lorsque ma mais meme mes moi mon n ne nos notre nous ont ou par pas peut peuvent peux plus pour
    pourquoi puis qu quand que quel quelle quelles quels qui quoi sa sans se ses si son sont sous sur ta tes ton tous
    toute toutes tres tu un une vers vos votre vous y""",
    "ca": """a aixo al als amb aquest aquesta com de del dels des el els en entre era es esta estan fins ha han hi i
    la les llur me mes molt no o on pel pels per pero perque qual quan que se sense ser seu seva si son sobre tambe te
    tots un una uns""",
    "cs": """a aby ale ani az by byl byla bylo co do i jak jako jeho jej jeji jejich jen je jsem jsme jsou k kde kdy
    ktera ktere ktery ma maji mezi na nebo nejsou neni o od po podle pod pro proto pred pri s se si ta tak take ten
    tento to tuto u uz v ve vsak vsechny vsichni z za ze""",
    "da": """af alle at blev da de dem den denne der deres det dette dig du efter eller en er et for fra ham
    han har hun hvad hver hvis hvor i ikke ind jeg kan kun man med meget men mod nar nogle nu og om op over pa sa sig
    sin skal som til ud under var ved vi vil vaere""",
    "de": """aber als am an auch auf aus bei bin bis da damit das dass dem den der des die dies diese diesem diesen
    dieser doch durch ein eine einem einen einer eines er es fur gegen haben hat hatte ich ihr ihre im in ist ja kann
    kein keine man mehr mit muss nach nicht noch nur oder sein sich sie sind so sollen uber um und uns unter vom von vor
    war was wenn werden wer wie wir wird wo zu zum zur zwischen""",
    "es": """a al algo ante antes como con contra cual cuando de del desde donde durante el ella ellos en entre era es
    esa ese esta este estos fue ha han hasta hay la las le les lo los mas me mi muy ni no nos o otra otro para pero por
    porque que quien se ser si sin sobre son su sus tambien te tiene todo todos tu un una unos y ya yo""",
    "fi": """ei eivat eli en etta ettei han hanen he heidan ja jo joka jonka jos jotka kaikki kanssa kuin kun kuten
    mika minun mukaan mutta myos ne niiden niin nyt oli olisi on ole ovat pitaa sen seka se siina sita tai taman
    tama voi""",
    "hu": """a abban ahogy akkor amely ami amit az azok azt csak de e egy egyik el es ez ezek ezt fel ha hanem hogy
    hogyan is igen ki le legyen lesz lehet maga meg mert mi mint minden minden mar nagy nem nincs olyan s sem szerint
    utan vagy van vele volt""",
    "it": """a ad agli ai al alla alle anche che chi ci come con cui da dai dal dalla dei del dell della delle dello
    di dove e ed gli ha hanno i il in io l la le lei li lo loro lui ma mi nei nel nell nella non o per perche piu
    quale quando quella quello questa questo se senza si sia sono su sua sul sulla suo tra tutti tutto un una uno""",
    "nl": """aan al alle als bij dan dat de den der deze die dit door dus een en er gaan geen haar had heb hebben heeft
    het hem hij hoe hun ik in is ja je kan maar meer men met mijn moet na naar niet nog nu of om onder ons ook op over
    te tot u uit van veel voor waar was wat we wel werd wie worden wordt zal ze zelf zich zij zijn zo zou""",
    "no": """alle at av bare ble blir da de deg den denne der deres det dette du eller en er et etter for fra ha han
    har hun hva hver hvis hvor i ikke jeg kan kunne man med meg men mot mye na noe om opp og over pa sa seg si sin skal
    slik som til ut var ved vi vil vaere""",
    "pl": """a albo ale byc byl bez co czy czyli dla do gdy go i ich im innych ja jak jako jego jej jest jesli juz kto
    ktora ktore ktory lub ma moze mnie na nad nie niz o od ona oni oraz po pod przez przy sa sie siebie tak takze tego
    ten to tylko tym u w we wobec wszyscy z za ze""",
    "pt": """a ao aos as ate com como da das de dela dele depois do dos e ela ele eles em entre era essa esse esta este
    eu foi ha isso ja lhe mais mas me mesmo meu muito na nao nas nem no nos o os ou para pela pelas pelo por qual
    quando que quem se sem ser seu seus so sua sao tambem te tem todos tu um uma umas voce""",
    "ro": """a acest aceasta al ale am ar asa au ca care ce cea cei cel cu cum da daca de din dintre dar despre doar
    e ei el ele este eu fara fi fie fost iar in intre isi la le lor lui mai ne nici nu o or pe pentru prin
    sa sau se si sunt toate un una unei unele unor unui va""",
    "sv": """alla att av bara blev de den denna deras dess det detta dig du efter eller en ett fran for ha han har hon
    hur i inte jag kan man med mellan men mer mot mycket nagon nar ni och om oss pa sa sig sin ska skall som till under
    upp ut utan vad var vara varje vi vid vilka vill ar aven""",
    "tr": """ama ancak bana bir biri bu bunu cok da daha de degil diye en gibi hem her herkes icin ile ise kadar ki
    kendi mi mu nasil ne neden o olan olarak olsun onlar onu sahip sonra su tum var ve veya ya yok""",
}  # fmt: skip

FUNCTION_WORDS = {language: frozenset(words.split()) for language, words in _LISTS.items()}
"""Function words without accents, by ISO 639-1 code; English and French come first.

The English and French lists were tested on question sets. The others make it possible to name a text in one of them,
or at least not to mistake it for English or French.
"""

STOP_WORDS = frozenset(
    """a about all also am an and answer any are as at be been but by can could did do does for from get give had has
    have he her his how i if in into is it its know long many may me more most much must my need no not of on one only
    or our please she should so some tell than that the their them then there these they this those to us was we were
    what when where which who whom whose why will with would yes you your
    à au aux avec ce ces cela cette comme comment combien dans de des du elle elles en est et être il ils je la le
    les leur longtemps lui ma mais me mes mon ne non nous on ou où oui par pas peut peux plus pour pouvez puis
    puis-je quand que quel quelle quelles quels quelqu qui quoi réponse sa se ses si son sont sur ta te tes ton
    tous tout très tu un une vos votre vous y""".split()  # noqa: SIM905 (a list of 160 strings would be 160 lines)
)
"""English and French words that do not show the topic of a text, in lower case and with accents."""
