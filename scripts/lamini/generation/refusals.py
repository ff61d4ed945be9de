"""Detector of refusals: responses that decline a request, or say that they cannot fulfil it.

A response that misses its input ("There is no text to summarize") refuses too. Requested apologies,
condolences and cancellations do not, nor stories in which somebody refuses. Only the first sentence
or two decide, and not what a story quotes. A disclaimer ("As an AI, I have no opinions") counts
even if an answer follows.

Languages: English, Spanish, German, Chinese; common forms of French, Portuguese and Japanese.
`config/detectors/refusals.jsonl` is a labelled sample; a table of the report has precision and
recall.
"""

import re

_READ = 600  # characters of a response that are read
_QUOTED = re.compile(r"[*_>\s-]*[\"“‘«„'`]")
_ONE_QUOTE = re.compile(r"([\"“‘«„'`])[^\"“”«»`]*[\"”’»'`]", re.DOTALL)


def _any(*patterns: str) -> str:
    return f"(?:{'|'.join(patterns)})"


_OBJECT = r"(?= (?:that|this|it(?! to)|such|so|any|an?|the|in|your)\b|\W*$|[.,;!])"
# What an assistant is asked to do; verbs of daily life ("come", "attend", "sleep") are left out.
_TASK = _any(
    r"(?:assist|comply|engage|proceed|respond|browse|elaborate|speculate|diagnose|set up"
    r"|schedule)\b",
    r"help(?= (?:you|with|him|her|them|anyone|to|users?|here)\b|\W*$|[.,;!])",
    r"(?:fulfill?|provide|generate|create|produce|supply|offer|access|open|view|verify|answer"
    r"|complete|process|translate|summari[sz]e|analy[sz]e|predict|perform|execute|display|reveal"
    r"|disclose|discuss|support|recommend|advise|encourage|endorse|condone|promote|share|describe"
    r"|draw|play|watch|identify|determine|confirm|retrieve|search|find any|form opinions"
    r"|participate|take part)\b",
    r"see (?:pictures?|images?|any|the|your)\b",
    r"(?:hear (?:music|audio)|feel (?:pain|emotions?)|tell (?:without|if|whether|from|which))\b",
    r"give (?:you|legal|medical|financial|advice|instructions?|that|this|any|out|an?)\b",
    rf"(?:write|do|say|continue|send|express|make(?! it)){_OBJECT}",
    r"(?:write|make|send|continue) (?:racist|jokes|phone|e-?mails?|with)\b",
    r"be (?:provid|help|assist|writ|creat|generat|answer|shar|giv|discuss|tak)ing\b",
)
_ADVERB = r"(?: (?:simply|really|just|also|currently|still|personally|honestly|unfortunately))*"
_NEGATED = _any(
    r"ca(?:n't|nnot|n not)",
    r"wo(?:n't|uld not)(?: be able to)?",
    r"will not(?: be able to)?",
    r"(?:am|'m)(?: \w+)? (?:unable to|not (?:able|allowed|permitted|authori[sz]ed|programmed"
    r"|designed"
    r"|trained|equipped|going) to|prohibited from|not capable of|incapable of)",
    r"am not (?:in a position|at liberty) to",
    r"was not (?:designed|trained|programmed) to",
)
_I_CANNOT = (
    rf"i{_ADVERB} ?{_NEGATED}{_ADVERB}(?: (?:directly|in good conscience|ethically|knowingly"
    rf"|actually|and will not|and won't))* {_TASK}"
)
_I_LACK = (
    r"i(?: \w+)? ?(?:do not have|don't have|have no|lack)(?: \w+)? "
    + _any(
        r"access to (?:the (?:image|internet|web|file|text|article|news)|real|current|your|external"
        r"|live|any|that|this|such|personal|private|information|data|recent|up-to)",
        r"(?:the )?(?:ability|abilities|capability|capacity|means|tools) to",
        r"(?:enough |sufficient )?(?:information|context)\b",
        r"(?:enough|sufficient) (?:information|context|details)",
        r"personal\b|real-time|feelings or|opinions",
    )
    + r"|i have no access to|i have (?:been trained|no personal)"
)
_I_DECLINE = _any(
    r"i (?:must|have to|need to|'m going to have to|respectfully|politely)(?: \w+)? (?:decline"
    r"|refuse)"
    r"(?=[.,;!]|$| (?:to|this|that|your)\b)",
    r"i(?:'m| am) going to have to decline\b",
    r"i(?: will|'ll)? (?:decline|refuse)(?:[.!]?$| (?:this (?:request|task)|your request|to"
    r" (?:answer"
    r"|write|produce|create|generate|provide|help|assist|discuss|engage|respond|support"
    r"|comment))\b)",
    r"i(?:'m| am) choosing not to",
    r"i (?:don't|do not) (?:think|believe)(?: that)? i (?:should|can|could) (?:answer|help|do|write"
    r"|say|share|discuss|assist)",
    r"i(?:'m| am)? ?(?:(?:do not|don't) feel|not) comfortable (?!in\b|with (?:my|the))",
    r"i(?:'d| would) (?:rather not|prefer not to) (?:write|discuss|answer|say|talk|do|create"
    r"|provide"
    r"|comment|speculate|help)",
)
_RULE = r"(?:guidelines|polic(?:y|ies)|programming|training|instructions|principles|rules)"
_NOT_ALLOWED = _any(
    r"(?:that|this|it)(?:'s| is) (?:not )?something (?:that )?i (?:cannot|can't|am (?:not "
    r"|un)able)",
    r"(?:that|this|it)(?:'s| is) not something (?:that )?i can\b",
    r"(?:that|this|it)(?: request| question)?(?:'s| is| falls| goes) (?:outside|beyond) (?:of"
    r" )?(?:my"
    r"|what i|the scope)",
    rf"(?:that|this|it|[a-z]+ing [^.]{{1,80}}?)(?:'s| is| goes) against (?:my|our|the) (?:\w+"
    rf" )?{_RULE}",
    r"(?:this|that|your) (?:request|question|prompt|content|topic) (?:goes against|violates"
    r"|is against|conflicts with|does not comply|falls outside)",
    rf"my {_RULE} (?:prevents?|(?:does not|do not|don't|doesn't) (?:allow|permit)|forbids?"
    rf"|prohibits?)",
    r"(?:it|that)(?:'s| is| would be| is not|'s not|isn't) (?:not )?(?:possible|appropriate|ethical"
    r"|right|inappropriate|unethical|impossible) for me to (?!attend|come|be|join|go)",
    r"it(?:'s| is) not appropriate to (?:make jokes|mock|discuss|joke|create|generate)",
    rf"[a-z]+ing [^.]{{1,80}}? (?:is|would be) [^.]{{1,40}}, (?:and|so) i {_NEGATED} ",
    r"[a-z]+ing [^.]{1,80}? (?:isn't|is not) something (?:that )?i can\b",
    r"(?:the|this) task [^.]{1,80}?\b(?:cannot|can't|not meet) [^.]{1,40}\bmodel\b",
    r"(?:the|this) task [^.]{1,80}?\bmodel (?:cannot|can't)\b",
    r"you are requesting [^.]{1,40}\bcannot be\b",
)
_TEXT = r"(?:article|text|passage|input|image|question|sentence|context|document|file|attachment)"
_NO_INPUT = _any(
    rf"(?:there is|there's|i see) no (?:\w+ )?{_TEXT}",
    rf"i (?:cannot|can't|could not|couldn't) (?:see|find) any (?:\w+ )?{_TEXT}",
    r"you (?:have not|haven't|did not|didn't) (?:provided?|includ|giv|specif|attach|shar)",
    r"your (?:message|request|question|prompt) (?:does not|doesn't) (?:contain|include)",
    r"(?:it )?(?:seems|looks|appears)(?: like| that)? (?:you (?:forgot|did not|didn't|have not"
    r"|haven't)"
    rf"|(?:the|your) {_TEXT} (?:is|was) (?:missing|not))",
    rf"no {_TEXT} (?:was|is|has been) (?:provided|given|included)",
    rf"(?:the|this) {_TEXT} cannot be (?:answered|\w+ed) without",
    r"(?:please|could you(?: please)?|can you(?: please)?) (?:provide|share|paste|send|give)(?:"
    r" me)?"
    rf"(?: with)? (?:the|more|your) (?:\w+ )?(?:{_TEXT}|paragraph)\b",
    r"i need (?:more|additional|further) (?:information|context|details)",
    r"i(?:'m| am) not sure what you mean",
    r"i (?:do not|don't|did not|didn't) (?:\w+ )?(?:understand (?:the|your)|know what you mean)",
)
_ASSISTANT = (
    r"(?:an? )?(?:(?:responsible|helpful|ethical|harmless|text-based|large|virtual|digital) )*"
    r"(?:(?:ai|artificial intelligence)(?: (?:language model|assistant|model|chatbot|system))?"
    r"|(?:(?:ai|machine) )?(?:language|learning|text-based) model|chatbot|llm|computer program"
    r"|text-based model)"
)
_AS_ASSISTANT = _any(
    rf"(?:as|being) {_ASSISTANT}(?: (?:created|developed|trained|made|designed|built|that"
    rf"|without)\b"
    r"[^,.;]{0,60})?(?:\s*[,;]| i\b)",
    rf"(?:since |because |given that )?(?:i'm|i am)(?: just| only| simply| merely)? {_ASSISTANT}\b"
    r"(?=[^.]*(?:\b(?:not|no|cannot|unable|lack)\b|n't\b))",
)
_SORRY = (
    r"(?:(?:i'm|i am|we are|we're) (?:\w+ )?(?:sorry|afraid)|(?:my )?apologies|sorry"
    r"|i (?:\w+ )?apologi[sz]e|unfortunately|regrettably|i regret)"
)
# A first clause that may come before the reason: politeness, sympathy, a ground.
_FIRST_CLAUSE = (
    r"(?:(?:hello|hi|thank you|thanks|no|well|please note|at this time|currently|while|although"
    r"|as much as|since|because|due to|for|to|given|i wish|i would(?: love| like)?|i'd (?:love"
    r"|like)"
    rf"|i (?:\w+ )?(?:understand|appreciate)|i only|i have been trained|{_SORRY})\b"
    r"[^.!?\n]{0,140}?[,.;!] (?:but |and |so )?)"
)
_SPANISH_TASK = (
    r"(?:ayudar|asistir|proporcionar|ofrecer|responder|contestar|generar|crear|escribir|dar\b"
    r"|acceder|navegar|cumplir|completar|realizar|hacer (?:eso|esto)|proveer|predecir|ver im|hablar"
    r"|compartir|brindar|abrir)"
)
_SPANISH = _any(
    r"(?:(?:lo (?:siento|lamento)(?: mucho)?|disculp[ae]|perd[oó]n|me temo|lamentablemente"
    r"|desafortunadamente),? ?(?:pero |que )*)?(?:no (?:me es posible|puedo|podr[eé]|soy capaz de"
    rf"|estoy (?:en condiciones de|autorizado (?:para|a))) ?{_SPANISH_TASK}"
    r"|no tengo (?:acceso a|la capacidad|opiniones|informaci[oó]n|sentimientos)"
    r"|como (?:un )?(?:modelo de (?:lenguaje|inteligencia|ia)|ia\b|inteligencia artificial"
    r"|asistente (?:virtual|de ia)))",
    r"(?:lamento|siento) no poder (?:\w+ )?(?:ayudar|responder|cumplir|proporcionar|ofrecer)",
)
_GERMAN_TASK = (
    r"(?:helfen|beantworten|unterst[uü]tzen|erf[uü]llen|geben|bereitstellen|erstellen|schreiben"
    r"|generieren|zugreifen|[oö]ffnen|ansehen|sehen|ausf[uü]hren|vorhersagen|anbieten|nachkommen)"
)
_GERMAN = _any(
    r"(?:(?:es )?tut mir (?:\w+ )?leid,? (?:aber )?|leider |entschuldigung, (?:aber )?"
    r"|entschuldigen sie, (?:aber )?)?(?:(?:(?:\w+ ){0,2}kann ich|ich kann)\b[^.]{0,80}?"
    rf"\b(?:nicht|keinen?|keine[rmns]?)\b[^.]{{0,60}}?\b{_GERMAN_TASK}\b"
    r"|(?:ich bin|bin ich) (?:leider )?nicht in der lage"
    r"|(?:ich habe|habe ich) (?:leider )?keinen zugriff)",
    r"als (?:ein )?(?:gro(?:ß|ss)es )?(?:ki\b|ki-|k[uü]nstliche intelligenz|sprachmodell)",
)
_CHINESE_SORRY = r"(?:(?:非常|很|十分)?(?:抱歉|对不起|對不起|遗憾)[，,。!！ ]*(?:但是?)?)?"
_CHINESE = _CHINESE_SORRY + _any(
    r"我(?:目前|暂时|还)?(?:无法|無法|不能|不可以|没有办法|没办法|没有能力)(?:为您|给您|帮您|向您|直接)?"
    r"(?:提供|回答|协助|協助|帮你|帮助|幫助|访问|满足|生成|完成|创建|执行|处理|预测|回应|讨论|浏览|观看|打开"
    r"|查看|支持)",
    r"我(?:没有|不具备)(?:权限|能力|个人)",
    r"(?:您|你)(?:没有|未)提供",
    r"(?:这个|此|该|您的|你的)(?:请求|要求|问题)违反",
    r"(?:作为|身为)(?:一个|一名|一款|一种)?(?:大型|大)?(?:人工智能|AI|语言模型|語言模型|智能助手)",
)
_OTHERS = _any(
    r"(?:je suis (?:vraiment )?d[eé]sol[eé]e?|d[eé]sol[eé]e?|malheureusement),? (?:mais )?je ne"
    r" peux"
    r" pas (?:\w+ )?(?:aider|r[eé]pondre|fournir|cr[eé]er|faire)",
    r"je ne peux pas (?:vous aider|r[eé]pondre|fournir)|en tant qu(?:e mod[eè]le|'ia"
    r"|'intelligence)",
    r"(?:desculpe|sinto muito|infelizmente),? (?:mas )?(?:eu )?n[aã]o (?:posso|consigo) (?:\w+ )?"
    r"(?:ajudar|responder|fornecer|criar)|como (?:um )?modelo de linguagem",
    r"申し訳(?:ありません|ございません)が[、,]?.{0,40}(?:できません|できかねます|いたしかねます)",
)
_REASONS = (
    *(_I_CANNOT, _I_LACK, _I_DECLINE, _NOT_ALLOWED, _AS_ASSISTANT),
    r"(?:i )?(?:cannot|can't) give an answer",
)


def _pattern(*reasons: str) -> re.Pattern[str]:
    english = _any(
        rf"{_FIRST_CLAUSE}?(?:{_SORRY}[,.;:–—-]* ?(?:[–—-] )?)?(?:but )?(?:that )?{_any(*reasons)}",
        rf"{_SORRY}[,;]? (?:but )?(?:no|(?:that )?i {_NEGATED}(?: \w+)?)\W*$",
        r"sorry, (?:but )?(?:the|this|your) (?:task|request|prompt|input)\b",
    )
    anywhere = _any(english, _SPANISH, _GERMAN, _CHINESE, _OTHERS)
    return re.compile(rf"[\s*_#>-]*{anywhere}", re.IGNORECASE)


_DECLINES = _pattern(*_REASONS)
_REFUSAL = _pattern(*_REASONS, _NO_INPUT)


def is_refusal(response: str, *, asking_refuses: bool = True) -> bool:
    """Whether a response is a refusal, by its first 600 characters.

    Args:
        response: the text.
        asking_refuses: whether it also refuses by a request for what it misses ("Please provide
            the text"). Among generated instructions, such a text is an instruction.
    """
    text = response[:_READ].replace("’", "'").strip()
    if _QUOTED.match(text):
        if not _ONE_QUOTE.fullmatch(text):
            return False  # it is quoted in a text
        text = text[1:-1]
    pattern = _REFUSAL if asking_refuses else _DECLINES
    return pattern.match(" ".join(text.split())) is not None
