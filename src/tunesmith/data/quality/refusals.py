"""Answers that decline to answer."""

from __future__ import annotations

import re

from tunesmith.data.quality.wordlists import word_set

HEAD = 320
"""Characters in which a refusal shows."""
LONGEST_EXCUSE = 300
"""An answer that goes on for longer than this after a disclaimer usually answers after all."""

_CLUES = word_set(
    "sorry|cannot|can't|can not|unable|not able|as an ai|ai language|language model|apolog|an ai |i won't"
    "|will not|decline"
    "|not comfortable|don't have|do not have|appropriate|unethical|not possible for me|against my"
    "|must refuse|i refuse"
    "|rather not|as a language|as a large|guidelines|no comment|not something i|not allowed|not programmed"
    "|no puedo|désol|tut mir leid|nicht helfen|nicht weiterhelfen|não posso|non posso|не могу|抱歉|对不起|對不起|无法"
    "|無法"
    "|作为|申し訳",
    "|",
)

_CANNOT = (
    r"(?:cannot|can't|can not|could not|couldn't|am unable to|'m unable to|am not able to|'m not able to"
    r"|won't be able to|"
    r"will not be able to|won't|will not|am not allowed to|'m not allowed to|am not permitted to"
    r"|am not programmed to|am not capable of|"
    r"'m not capable of|am not in a position to|must decline to|have to decline to|must refuse to|refuse to"
    r"|decline to|do not feel comfortable|"
    r"don't feel comfortable|am not comfortable|'m not comfortable|don't have the (?:ability|capability"
    r"|capacity) to|do not have the "
    r"(?:ability|capability|capacity) to|lack the ability to|am not equipped to)"
)
_OBLIGE = (
    r"(?:help|assist|assisting|comply|fulfil|fulfill|provide|providing|answer|answering|generate|generating"
    r"|create|creating|write|"
    r"writing|complete|engage|offer|support|share|give|discuss|respond|produce|process|participate"
    r"|recommend|advise|do (?:that|this|so)\b|"
    r"condone|encourage|promote|perform|continue|draft|compose|express|form (?:an )?opinion|satisfy"
    r"|carry out|accommodate|endorse|"
    r"talk about|tell you how|browse|open (?:links|the|this|attach)|view (?:image|the image|photo)"
    r"|see (?:image|the image|photo)|access)"
)
_APOLOGY = (
    r"(?:(?:i'm|i am|we're|we are)(?: \w+){0,2} (?:sorry|afraid)|sorry|my apologies|(?:i"
    r"|we)(?: \w+)? apologi[sz]e"
    r"(?: for [^.,]{0,60})?|unfortunately|regrettably|i regret(?: to (?:inform|say)[^,.]{0,20})?"
    r"|thank you for [^,.]{0,60})"
)
_MIDDLE = r"[,.:;!—– -]{0,3}(?:but |however,? |that )?(?:as (?:an?|your) [\w -]{2,60}?,? )?"

_DECLINES = re.compile(
    rf"(?:{_APOLOGY}{_MIDDLE})?(?:i|we) ?(?:really |simply |just "
    rf"|also )?{_CANNOT} (?!help but)(?:\w+ ){{0,3}}?{_OBLIGE}\b"
    rf"|{_APOLOGY}{_MIDDLE}(?:this|that|it|your) (?:request |question |topic )?(?:is|isn't|goes|violates"
    rf"|falls|would)"
    r"[^.]{0,30}(?:not something i|against|violat|outside|beyond|inappropriate|not appropriate"
    r"|something i (?:can't|cannot))"
    r"|(?:that|this)(?: is|'s) not something i (?:can|am able to|'m able to)"
    r"|(?:that|this|it)(?: request)? (?:goes against|violates|is against) (?:my|our"
    r"|the) (?:\w+ )?(?:guidelines|polic|principles|programming|values)"
    r"|my (?:guidelines|programming|polic(?:y|ies)|training) (?:prevents?|do(?:es)? not allow|don't allow"
    r"|doesn't allow|prohibits?)"
    r"|it (?:is|would|wouldn't|isn't|'s)(?: not)?(?: be)? (?:in|un)?(?:appropriate|ethical"
    r"|right) (?:for me |of me )?to"
    r"|i(?:'m| am) not comfortable \w+ing"
    r"|i(?:'d| would) (?:rather|prefer) not (?:to )?(?:\w+ )?(?:answer|discuss|help|say|respond|do|talk"
    r"|comment)"
    r"|i (?:must|have to|need to|will have to|'ll have to) (?:respectfully |politely )?(?:decline|refuse)"
    r"|i (?:respectfully |politely )?(?:decline|refuse) (?:to|this|that|your)"
    r"|no comment|request (?:denied|declined|refused)",
    re.IGNORECASE,
)
_DISCLAIMS = re.compile(
    r"(?:(?:as|being|since i'm|since i am|because i'm|because i am|i'm|i am)(?: just| only"
    r"| merely)? (?:an? )?(?:helpful )?"
    r"(?:ai\b|artificial intelligence|(?:large |text-based |ai |trained )*language model|virtual assistant"
    r"|chatbot|bot\b|machine)"
    r"[^.!?]{0,90}?(?:do not|don't|does not|doesn't|cannot|can't|am unable|am not|'m not|have no|lack"
    r"|unable to|not able|not capable|"
    r"without))"
    r"|i (?:do not|don't) (?:have|hold|possess) (?:any )?(?:personal|real-time|live|up-to-date|current"
    r"|the ability|feelings|opinions|access to)",
    re.IGNORECASE,
)
_OTHER_LANGUAGES = re.compile(
    r"lo siento,? (?:pero )?(?:como .{0,40})?no puedo|no puedo (?:ayudar|cumplir|proporcionar|responder)"
    r"|(?:je suis )?(?:vraiment )?désolée?,? (?:mais )?(?:en tant .{0,40})?je ne (?:peux|suis)"
    r"|(?:es )?tut mir leid,? (?:aber )?(?:als .{0,40})?(?:ich |kann ich|ich kann)|ich kann (?:ihnen "
    r"|dir )?(?:dabei |damit )?(?:leider )?nicht (?:helfen|weiterhelfen)"
    r"|(?:desculpe|sinto muito|lamento),? (?:mas )?(?:como .{0,40})?não posso"
    r"|mi dispiace,? (?:ma )?(?:come .{0,40})?non posso"
    r"|извин\w*,? (?:но )?(?:как .{0,40})?я не могу|(?:抱歉|对不起|對不起)[，,。 ]?.{0,20}(?:不能|无法|無法|没有|沒有)"
    r"|作为(?:一个)?.{0,8}(?:ai|人工智能|语言模型).{0,20}(?:不能|无法|没有)|申し訳(?:ありません|ございません).{0,40}(?:できません|できかねます|ません)",
    re.IGNORECASE,
)
_ANSWERS_AFTER_ALL = re.compile(
    r"\b(?:but|however|nevertheless|instead|that said)\b.{0,60}\b(?:here|can|could|will|would|may|might"
    r"|suggest|let me|try|happy to)|do you want|would you like|any other|here (?:is|are|'s)|for example",
    re.IGNORECASE | re.DOTALL,
)


def is_refusal(text: str) -> bool:
    """Whether a stripped answer declines in its first sentence or two and does not answer after all.

    The phrases are those of chat models in English and, fewer, in ten other languages. A shop assistant who is sorry to
    have no table left does not refuse.
    """
    head = text[:HEAD].lower().replace("’", "'")
    if not any(clue in head for clue in _CLUES):
        return False
    match = _OTHER_LANGUAGES.search(head) or _first(_DECLINES, head)
    if match is not None:
        return not (
            len(text) > LONGEST_EXCUSE
            and _ANSWERS_AFTER_ALL.search(text, match.end(), match.end() + LONGEST_EXCUSE)
        )
    match = _first(_DISCLAIMS, head)
    if match is None:
        return False
    return len(text) - match.end() <= LONGEST_EXCUSE and not _ANSWERS_AFTER_ALL.search(text, match.end())


_SENTENCE_START = re.compile(
    r"(?:^|[.!?:]\s+|\n)[\"'“*]*(?:hello|hi|well|oh|yes|no|thank you|thanks)?[,.! ]*$"
)


def _first(pattern: re.Pattern[str], head: str) -> re.Match[str] | None:
    """A match that begins one of the first two sentences."""
    for match in pattern.finditer(head):
        if _SENTENCE_START.search(head, 0, match.start()) and len(_ENDS.findall(head, 0, match.start())) <= 1:
            return match
    return None


_ENDS = re.compile(r"[.!?]\s")
