"""Sentences by which a model says that it finds no answer, in English and French."""

from __future__ import annotations

import re

_CANNOT_FIND = re.compile(
    r"""\b(?:
      (?:can(?:no|['’])?t|cannot|could\ not|couldn['’]t|unable\ to|was\ not\ able\ to|did\ not
      |didn['’]t)\ (?:find|locate|see|tell|say|answer|determine|provide|confirm)
    | (?:do\ not|don['’]t)\ (?:know|have\ (?:any\ |enough\ |the\ )?(?:information|details?|data))
    | (?:not|n['’]t|never|nothing|nowhere|no\ (?:mention|information|details?|indication|answer|reference
      |data))\b.{0,60}\b(?:in|by|from|within|about\ (?:this|that|it)\ in)\ (?:the|these|this|your|my
      |any\ of\ the)\ (?:\w+\ )?(?:documents?|passages?|texts?|context|sources?|excerpts?|files?|materials?
      |information|knowledge\ base)
    | (?:documents?|passages?|texts?|context|sources?|excerpts?|files?|materials?|information|they
      |it)\b.{0,40}\b(?:do(?:es)?\ not|don['’]t|doesn['’]t|did\ not|never|nowhere)\ (?:explicitly\ |directly[ ]
      |specifically\ |actually\ )?(?:mention|say|state|specify|contain|include|provide|give|indicate|address
      |cover|tell|explain|discuss|answer|describe|list|name|record)
    | (?:is|are|was|were)\ (?:not|n['’]t|nowhere|never)\ (?:explicitly\ |directly\ )?(?:mentioned|stated
      |specified|given|indicated|provided|addressed|covered|known|found|available|documented|recorded|listed
      |said)\s*(?:[.,;!]|$|in\b|here|anywhere)
    | (?:there\ is|i\ have|contains?|provides?|gives?|found|find)\ (?:no|nothing|not\ enough
      |insufficient)\ (?:\w+\ ){0,2}(?:information|mention|details?|data|indication|answer|about|on\b)
    | no\ (?:information|details?|answer|data|indication|mention)\b.{0,50}\b(?:available|provided|given|found
      |about|on|regarding)
    | \b(?:je|nous)\ ne\ (?:trouve|sais|peux|dispose|vois|connais|parviens)\b.{0,20}\bpas
    | (?:je|nous)\ n['’]ai\ (?:pas|aucune
      |rien)\ (?:d['’]information|trouvé|de\ )?
    | (?:documents?|passages?|textes?|sources?|extraits?|contexte|informations?|ils?|elles?)\b.{0,40}\bn(?:e[ ]
      |['’])(?:\w+\ ){0,2}?(?:précis|mentionn|indiqu|contien|contenai|dis|dit|fourni|donn|parl|évoqu|figur|abord
      |compren|expliqu|trait|permet)\w*\ (?:pas|aucun|rien|nulle|jamais|ni)
    | (?:n['’]est|ne\ sont|n['’]a|n['’]ont)\ (?:pas|nulle\ part
      |jamais)\ (?:été\ )?(?:explicitement\ )?(?:précisée?s?|mentionnée?s?|indiquée?s?|donnée?s?|connue?s?
      |fournie?s?|trouvée?s?|disponibles?|abordée?s?|évoquée?s?|dit)\s*(?:[.,;!]|$|dans\b|ici)
    | ne\ figure(?:nt)?\ (?:pas|nulle\ part) | (?:aucune?|pas\ d['’])\ ?(?:information|indication|mention|donnée
      |détail|réponse|précision)
    | (?:rien|nulle\ part)\b.{0,40}\bdans\ (?:les|le|ces|ce|vos)\ (?:documents?|passages?|textes?|sources?
      |extraits?|contexte)
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def is_cannot_find(sentence: str) -> bool:
    """Return True if a model says that it finds no answer: "The documents do not mention the price."."""
    return bool(_CANNOT_FIND.search(sentence))
