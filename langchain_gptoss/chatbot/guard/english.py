"""What instructions to a model look like in English; `rules` says how the patterns are used."""

from typing import Literal

Kind = Literal["override", "role", "control", "answer", "task", "exfiltration", "tool", "address"]
Written = tuple[Kind, str, *tuple[str, ...]]
"""What a match is a sign of, the pattern, and words one of which stands in every match.

A pattern that starts with ^ is looked for where a sentence begins; every other one names such words, and is looked for
only where one of them stands, which saves time.
"""

GAP = r"(?:[^.!?]|[.!?](?=\S))"  # anything within a sentence, and the dots of an address
_LANGUAGE = (
    r"(?:english|french|spanish|german|italian|portuguese|dutch|russian|chinese|mandarin|japanese|korean|arabic|hindi"
    r"|latin|greek|polish|turkish|swedish|klingon|esperanto)"
)
_CODE = (
    r"(?:base ?-?(?:16|32|45|58|62|64|85)|rot ?-?13|morse(?: code)?|binary|hex(?:adecimal)?|leet ?speak|pig latin"
    r"|cipher"
    r"|reverse|verse|rhymes?|haikus?|emojis?|all caps|uppercase|json|xml|yaml|pirate|code|ascii art)"
)
# "your answer": what only somebody who answers has
_YOURS = (
    r"(?:your|the final|the generated) (?:(?:final|own|next|whole|entire|full|complete|written|original|generated"
    r"|next) )?"
    r"(?:answers?|responses?|repl(?:y|ies)|outputs?|messages?|summar(?:y|ies)|completions?)(?!-)"
)
_PUT = (
    "(?:add|include|integrate|insert|append|prepend|attach|embed|incorporate|mention|weave|work|slip|put|place"
    "|introduce"
    "|inject|sneak|use|apply|highlight|promote|advertise|hide|substitute|replace|swap|invert|reverse|shift|make|cite"
    "|reference|drop|sprinkle|quote)"
)
_CHANGE = (
    "(?:modify|adjust|alter|change|enhance|augment|enrich|supplement|complement|extend|expand|encode|encrypt|encipher"
    "|cipher|obfuscate|scramble|translate|reverse|invert|flip|mirror|render|shift|replace|rephrase|rewrite|express"
    "|convert|transform|turn|format|end|begin|start|finish|conclude|open|close|precede|preface|wrap|amend|tailor|twist"
    "|spell|transliterate|decorate)"
)
_SAY = (
    "(?:provide|write|give|deliver|present|produce|output|return|display|state|print|compose|express|phrase|generate)"
)
_MACHINE = (
    r"(?:a\.?i\.?|llms?|chat ?gpt|gpt|chatbots?|(?:large )?language models?|(?:ai|virtual|digital|automated|chat) "
    r"(?:assistants?|agents?|models?|systems?|reviewers?|bots?))"
)
_RULES = r"(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|constraints?|programming|safeguards?)"

ENGLISH: list[Written] = [
    (
        "override",
        r"\b(?:ignore|disregard|forget|override|bypass|neglect|discard|do(?: not|n't) (?:follow|obey)|stop (?:following"
        rf"|obeying))\b{GAP}{{0,30}}?\b(?:previous|prior|above|earlier|preceding|foregoing|initial|original"
        rf"|existing|your"
        rf"|these|those|system|other)\b{GAP}{{0,20}}?\b{_RULES}\b",
        "ignore",
        "disregard",
        "forget",
        "override",
        "bypass",
        "neglect",
        "discard",
        "follow",
        "obey",
    ),
    (
        "override",
        rf"^(?:ignore|disregard|forget|override|bypass)\b (?:all|any)\b{GAP}{{0,20}}?\b{_RULES}\b",
    ),
    (
        "override",
        r"\b(?:ignore|disregard|forget) (?:everything|all|anything|whatever|what)\b(?: of| that)*(?: is| was| has been|"
        r" came| you(?:'ve| have| were)?)?(?: been)? (?:above|before|previously|so far|said|told|written|read"
        r"|learned)\b",
        "ignore",
        "disregard",
        "forget",
    ),
    (
        "override",
        r"^(?:here are |these are |your |my |the )*(?:new|updated|real|actual|secret|hidden|true) (?:system )?"
        r"(?:instructions?|prompt)\b[^.!?\n]{0,20}:",
    ),
    (
        "override",
        r"\binstead of answering\b|\bdo(?: not|n't) answer (?:the|this|that|any) (?:user|question)",
        "instead",
        "answer the",
        "answer this",
        "answer that",
        "answer any",
    ),
    (
        "override",
        rf"^(?:answer|respond to|reply to|start|meet) (?:every|each|any|all)(?: of the)?"
        rf" (?:questions?|messages?|prompts?|quer(?:y|ies)|users?)\b{GAP}{{0,40}}?\b(?:with|by saying|in)\b",
    ),
    (
        "role",
        rf"\byou are (?:now|no longer|from now on|actually|really)\b{GAP}{{0,40}}?\b(?:{_MACHINE}|assistant|bot|dan"
        rf"|pirate"
        r"|character|persona|hacker|unrestricted|unfiltered|uncensored|bound|jailbroken|developer mode)\b",
        "you are",
    ),
    (
        "role",
        r"\byou are (?:in|entering) (?:developer|debug|god|admin|dan|jailbreak|unrestricted) mode\b",
        "you are",
    ),
    ("role", rf"^you are (?:an?|the|my) (?:[a-z-]+ ){{0,3}}?(?:{_MACHINE}|helpful (?:[a-z-]+ )?assistant)\b"),
    (
        "role",
        r"^(?:act|behave|respond|speak|talk|write|answer|reply|role-?play|pose)\b(?: to [a-z ]{1,20})? "
        r"(?:as if you|as though you|(?:like|as) (?:an?|the|my|if) )",
    ),
    ("role", r"^pretend (?:to be|that you|you are|you're|you were|to)\b"),
    (
        "role",
        r"^(?:assume|adopt|take on|play|enter) the (?:role|persona|character|identity|part)\b of\b",
    ),
    (
        "role",
        r"\bfrom now on,? (?:you (?:will|must|shall|should|are to|only) )?(?:always |only |never )?(?:answer|respond"
        r"|reply"
        r"|speak|act|behave|say|pretend|refer to)\b",
        "from now on",
    ),
    (
        "control",
        r"(?:^|\n)[ \t]*#{2,4}\s*(?:system|instructions?|response|human|user|assistant)\s*(?:prompt|message)?\s*:",
        "##",
    ),
    (
        "control",
        r"(?:^|\n)[ \t]*\W{0,3}(?:system|developer|admin)\s+(?:message|prompt|note|override|instructions?"
        r"|command)s?\s*:",
        "system",
        "developer",
        "admin",
    ),
    (
        "control",
        r"<(?:system|instructions?|important|admin)>|\bbegin (?:system|admin) (?:prompt|message|instructions?)\b",
        "<system",
        "<inst",
        "<important",
        "<admin",
        "begin system",
        "begin admin",
    ),
    (
        "answer",
        rf"^{_PUT}\b{GAP}{{0,220}}?\b(?:in|into|to|within|of|for|with|throughout|on|from|after|before)"
        rf" {_YOURS}",
    ),
    ("answer", rf"^{_CHANGE}\b{GAP}{{0,40}}?\b{_YOURS}"),
    (
        "answer",
        rf"^{_PUT}\b{GAP}{{0,40}}?\bto (?:represent|display|express|write|encode|show|give) {_YOURS}",
    ),
    (
        "answer",
        rf"^{_SAY} {_YOURS} (?:only |entirely |exclusively |all |solely )?(?:backwards?|using|as if"
        r"|in (?!the\b|this\b|an?\b|your\b|writing\b|person\b|full\b|detail\b|time\b|our\b|box\b|ink\b|block\b)"
        r"|in (?:an?|the) (?:[a-z]+ )?(?:form|style|language|voice|manner|tone|format|cipher|code|order)\b)",
    ),
    (
        "answer",
        rf"^(?:reply|respond|answer|speak|talk|write)\b(?: (?:to )?(?:me|the user|this|all|every|everything"
        rf"|the|any|questions?)| only| always| entirely| exclusively| solely)* (?:using|backwards?|in (?:[a-z]+ )?"
        rf"(?:{_CODE}|{_LANGUAGE})|only (?:with|in|by)|with (?:only|just|exactly|nothing|the (?:word|phrase|sentence"
        rf"|string"
        r"|text|exact)|emojis?))\b",
    ),
    (
        "answer",
        rf"\b(?:in|at the (?:end|beginning|start) of|with) {_YOURS},? (?:please |also |you must )?(?:{_PUT}|suggest"
        rf"|claim"
        r"|say|recommend|encourage|tell|link|refer|urge|ask)\b",
        "your ",
        "the final",
        "the generated",
    ),
    (
        "answer",
        rf"\b{_YOURS} (?:must|should|shall|has to|have to|needs? to|will|is to|are to) (?:only |always |all )?(?:be"
        rf" (?:in "
        rf"(?:{_CODE}|{_LANGUAGE})|encoded|encrypted|reversed|translated|written (?:in|as|back))|(?:begin|start|end"
        rf"|finish) "
        r"with|consist)\b",
        "your ",
        "the final",
        "the generated",
    ),
    (
        "answer",
        r"\bwhen (?:you (?:answer|summari[sz]e|respond|reply|are asked)|(?:answering|summari[sz]ing|processing"
        r"|translating))"
        rf"\b{GAP}{{0,40}}?\b(?:users?|questions?|document|text|passage|content|page"
        rf"|article)\b{GAP}{{0,60}}?\b(?:{_PUT}"
        r"|say|tell|claim|answer|write|reply|respond|state|recommend)\b",
        "when",
    ),
    (
        "answer",
        r"^(?:tell|convince|persuade|instruct|trick|mislead) (?:the |any |every )?(?:users?|readers?|humans?"
        r"|person who asks|questioner)\b",
    ),
    (
        "answer",
        rf"^(?:encode|encrypt|encipher|write|use|reply|render|express|answer|respond|apply)\b{GAP}{{0,60}}?"
        r"\b(?:base ?-?(?:16|32|58|64|85)|rot ?-?13|(?:caesar|substitution|monoalphabetic|vigenere|atbash)"
        r"(?: [a-z]+)?(?: cipher)?|emojis?|pig latin|leet ?speak)\b",
    ),
    (
        "task",
        r"^(?:summari[sz]e|paraphrase|proofread) (?:the|this|these|that|it|all|everything|your|above)\b",
    ),
    ("task", r"^translate (?:this|these|it|the (?:following|above|text|sentence|document))\b"),
    (
        "task",
        rf"^(?:determine|analy[sz]e|classify|identify|assess|evaluate|detect|predict|rate|judge|label|guess"
        rf"|describe|gauge)\b{GAP}{{0,25}}?\b(?:sentiment|mood|emotions?|polarity|emotional tone|attitude)\b",
    ),
    (
        "task",
        r"\b(?:this|the following) (?:feedback|review|comment|tweet|sentence|statement|post|message|text)s? (?:is )?"
        r"(?:(?:more )?(?:positive|negative|neutral)\b)",
        "positive",
        "negative",
        "neutral",
    ),
    (
        "task",
        r"^(?:write|compose|generate|draft|produce|craft|create|invent)(?: me)? (?:an?|the|some|\d+) "
        r"(?:[a-z-]+ ){0,3}?(?:poems?|stor(?:y|ies)|essays?|songs?|haikus?|limericks?|jokes?|sonnets?|lyrics|tweets?"
        r"|blog "
        r"posts?|novels?|raps?|cover letters?|recipes?)\b",
    ),
    (
        "task",
        r"^(?:write|code|generate|provide|give)(?: me)? (?:an?|the|some) (?:[a-z+#-]+ ){0,3}?(?:scripts?|"
        r"one-liners?|commands?|functions?|programs?|snippets?|regex) (?:to|that|which|for|in)\b",
    ),
    (
        "task",
        r"^(?:show|give|tell|teach|send|help|recommend|suggest|explain to|find|make|write) me\b"
        r"(?! (?:liberty|a call|your))",
    ),
    ("task", r"^(?:recommend|suggest) (?!that\b|edits?\b|changes?\b|to\b)[a-z]"),
    (
        "task",
        r"^(?:provide|offer|share|give) (?:me |us |some |an? )?(?:brief |quick |short |detailed )?(?:insights?"
        r"|overview|summary|analysis|explanation|recipe|tips|advice|recommendations?|predictions?)\b",
    ),
    (
        "task",
        r"^(?:analy[sz]e|discuss|predict|forecast|compare) the (?:[a-z]+ )?(?:trends?|impacts?|effects?"
        r"|market|future|prospects|implications?|performance)\b",
    ),
    (
        "exfiltration",
        rf"\b(?:reveal|print|repeat|show|output|display|leak|disclose|tell me|give me|what (?:is|are)|paste|recite)"
        rf"\b{GAP}{{0,30}}?\b(?:your|the|its|all) (?:system|hidden|initial|secret|original) (?:prompt|message"
        r"|instructions?)\b",
        "prompt",
        "message",
        "instruction",
    ),
    (
        "exfiltration",
        rf"^(?:send|forward|post|upload|transmit|e-?mail|submit|leak|exfiltrate|append|copy)\b{GAP}{{0,60}}?\b"
        r"(?:conversation|chat (?:history|log)|system prompt|user'?s? (?:data|questions?|messages?|names?|e-?mails?"
        r"|details"
        rf"|input|credentials|passwords?)|previous messages)\b{GAP}{{0,60}}?\bto\b",
    ),
    (
        "exfiltration",
        r"\b(?:suggest|ask|tell|urge|encourage|convince|get)(?: that)?(?: the| all)? (?:users?|readers?|visitors)(?:"
        r" to)? "
        r"(?:share|send|enter|provide|reveal|give|submit|disclose|pay|transfer)\b",
        "user",
        "reader",
        "visitor",
    ),
    (
        "exfiltration",
        r"(?:https?://|www\.)[^\s)]{1,120}[?&][\w-]{1,30}=(?:<|[^\s)&\"'<>]{0,30}(?:\{|\[|%7b|\.\.\.))",
        "=",
    ),
    (
        "tool",
        r"<tool_call>|<invoke\b|<function(?:=|_calls?>)|\bto=functions?\.\w"
        r'|"(?:name|function|tool)"\s*:\s*"[^"\n]{1,60}"\s*,\s*"'
        r'(?:arguments|parameters|args|input)"\s*:',
        "<tool",
        "<invoke",
        "<func",
        "to=func",
        '"',
    ),
    (
        "tool",
        rf"^(?:call|invoke|use|execute|trigger|run|open)\b {GAP}{{0,30}}?\byour (?:[a-z]+ )?(?:tools?"
        r"|functions?|plugins?|code interpreter|web search)\b",
    ),
    (
        "address",
        rf"\b(?:dear|hey|hello|hi|attention|note to|message (?:to|for)|(?:instructions?|reminder|notice|memo|note) "
        rf"(?:to|for))[, :]*(?:the |any |all |my )?(?:{_MACHINE}|assistant)s?\b\s*[:,!.-]",
        "ai",
        "a.i",
        "llm",
        "gpt",
        "bot",
        "model",
        "assistant",
        "system",
        "agent",
        "reviewer",
    ),
    ("address", rf"\bif you(?:'re| are) (?:an?|the) (?:{_MACHINE}|assistant reading)\b", "if you"),
    ("address", rf"\bas an? (?:{_MACHINE}),? you (?:must|should|will|are|have|need)\b", "as a"),
    (
        "address",
        rf"^(?:{_MACHINE}|assistant)[,:] (?:please )?(?:ignore|do|say|answer|write|tell|add|include|you|reply"
        r"|respond)\b",
    ),
]
