"""What is wrong with an answer, seen from what was asked: stand-ins, loops, echoes, refusals, broken-off or empty ones.

Rules look at one row. Where a rule meets a dataset that is like that on purpose (labels, titles, SQL), `answer_habits`
withdraws it.
"""

from __future__ import annotations

import re

from tunesmith.data.quality.looping import is_looping
from tunesmith.data.quality.refusals import is_refusal
from tunesmith.data.quality.truncation import is_truncated
from tunesmith.data.quality.wordlists import word_set

SHORT = 24
"""Characters up to which an answer can be a stand-in or say nothing."""


def answer_kinds(prompt: str, answer: str) -> set[str]:
    """Kind of defect of one answer: placeholder, too_short, prompt_echo, looping, refusal or truncated; at most one.

    `prompt` is what was asked, without the template around it; "" where nothing was.
    """
    text = answer.strip()
    if len(text) <= _LONGEST_STAND_IN:
        if is_placeholder(prompt, text):
            return {"placeholder"}
        if len(text) <= SHORT and says_nothing(prompt, text):
            return {"too_short"}
    elif text[:11].lower() == "lorem ipsum" and is_placeholder(prompt, text):
        return {"placeholder"}
    if is_echo(prompt, text):
        return {"prompt_echo"}
    if is_looping(prompt, text):
        return {"looping"}
    if is_refusal(text):
        return {"refusal"}
    return {"truncated"} if is_truncated(text) else set()


_LONGEST_STAND_IN = 120
_WRAPPED = re.compile(r"[\s\[\]<>(){}*_\"'`.:!#-]+")
_ALWAYS_STAND_INS = word_set(
    "tbd|tba|tbc|todo|to do|fixme|to be determined|to be added|to be completed|to be filled|to be filled in"
    "|to be done|to be written|to be announced|noinput|no input|nooutput|no output|no response|no answer"
    "|noanswer"
    "|not available|not applicable|not provided|undefined|nan|placeholder|placeholder text|blank"
    "|left blank"
    "|intentionally left blank|fill in|fill me in|fill this in|coming soon|work in progress|wip"
    "|pending"
    "|lorem ipsum|sample text|sample answer|sample output|sample response|example answer|example output"
    "|example response|dummy text|dummy answer|asdf|asdfasdf|qwerty|foo bar|test test|test answer|xxx"
    "|xxxx|xx"
    "|answer here|answer goes here|output here|output goes here|response here|response goes here|text here"
    "|text goes here|your answer|your answer here|your response here|your text here|the answer|model output"
    "|see above"
    "|write answer here|enter answer here|object object|#n/a|#ref|#value|see attached",
    "|",
)
_STAND_INS_UNLESS_ASKED = word_set(
    "empty|blank|missing|error|value|string|pending|dummy|n/a|na|n.a|null|nil|none|void|answer|output"
    "|response|completion|test|testing|text",
    "|",
)
_FILL_IN = re.compile(
    r"[\[<({]{1,2} ?(?:please )?(?:insert|add|enter|write|type|put|fill|provide|todo|tbd|your|the|an?|model"
    r"|assistant|"
    r"expected|generated|gpt)\b[^\[\]<>(){}\n]{0,80}\b(?:answer|response|output|text|completion|content"
    r"|reply|here|in|"
    r"later|todo|tbd)[^\[\]<>(){}\n]{0,30}[\])>}]{1,2}\.?"
    r"|[\[<({]{1,2} ?(?:answer|response|output|completion|reply|content)(?: (?:goes )?here)? ?[\])>}]{1,2}\.?"
    r"|(?:please )?(?:insert|add|enter|write|type|put|fill in) (?:your |the |an? )?(?:\w+ )?(?:answer"
    r"|response|output|text|completion"
    r"|content|reply)(?: here| below| later)?[.!]?"
    r"|(?:answer|response|output|text|content)(?: will)? (?:goes|be added|to be added|to follow|follows"
    r"|coming)"
    r"(?: here| later| soon)?[.!]?"
    r"|(?:\{\{|<%|\$\{|%\()[^\n]{1,40}(?:\}\}|%>|\}|\)s)"
    r"|to be (?:completed|added|filled in|written|done|determined|decided)(?: \w{1,10}){0,2}\.?"
    r"|todo\b.{0,60}",
    re.IGNORECASE,
)


def is_placeholder(prompt: str, text: str) -> bool:
    """Whether a stripped answer stands in for one: TODO, N/A, [insert answer here], lorem ipsum."""
    if text[:11].lower() == "lorem ipsum":
        return not re.search(r"lorem|ipsum|dummy|filler|placeholder|latin", prompt, re.IGNORECASE)
    bare = _WRAPPED.sub(" ", text).strip().lower()
    if bare in _ALWAYS_STAND_INS:
        return not _is_mentioned(bare, prompt)
    if bare in _STAND_INS_UNLESS_ASKED:
        return not _is_mentioned(bare, prompt) and not _ASKS_FOR_A_WORD.search(prompt)
    return (
        len(text) <= _LONGEST_STAND_IN
        and _FILL_IN.fullmatch(text) is not None
        and not _is_mentioned("placeholder", prompt)
    )


def _is_mentioned(words: str, prompt: str) -> bool:
    return bool(prompt) and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", prompt, re.IGNORECASE) is not None


_ASKS_FOR_A_WORD = re.compile(
    r"synonym|antonym|opposite|another word|"
    r"output of|what (?:does|will|is|would).{0,80}(?:print|return|output|evaluate)|execut|code|program"
    r"|function|classif"
    r"|categor|label|which of|which one|how many|extract|if any|is there|are there|any of|select|choose"
    r"|true or false|\bsql\b"
    r"|query|identify the|detect|find the|find all|name the|list all|list any|multiple choice|field|value"
    r"|tag\b|entit",
    re.IGNORECASE,
)
_ACKNOWLEDGES = word_set(
    "ok|okay|k|kk|sure|done|idk|lol|hmm|hm|yep|yup|nope|uh|um|eh|test|hi|hello|good|fine|great|nice", "|"
)
_OPEN_REQUEST = re.compile(
    r"(?:^|[.:!?\n]\s*)(?:please |kindly |can you |could you )?(?:describe|explain|write|generate|list"
    r"|create|give|provide|name|suggest|"
    r"compose|draft|design|summari[sz]e|discuss|outline|offer|brainstorm|develop|construct|propose|tell"
    r"|compare|"
    r"rewrite|rephrase|paraphrase|edit|translate|convert|take|answer|analy[sz]e|come up with|produce"
    r"|elaborate|recommend|make|"
    r"solve|calculate|compute|find|what|why|how|who|when|where|which|imagine|identify|invent|form|formulate"
    r"|devise|plan)\b"
    r"(?! (?:about|are you|is it going|do you do|'s it going))",
    re.IGNORECASE,
)
_IMPERATIVE = re.compile(
    r"^(?:please |kindly |can you |could you )?(?:describe|explain|write|generate|list|create|give|provide"
    r"|name|suggest|compose|draft|"
    r"design|summari[sz]e|discuss|outline|offer|brainstorm|develop|construct|propose|tell|rewrite|rephrase"
    r"|paraphrase|invent)\b",
    re.IGNORECASE,
)
_ASKS_FOR_SIGN = re.compile(
    r"punctuat|symbol|operator|(?:special|which|what|missing|single|next) character|\bsigns?\b|emoji"
    r"|delimiter|\bmark\b|morse|regex|ascii|silen|nothing|next token"
    r"|separator|arrow|bullet|dash|dot\b|period|comma",
    re.IGNORECASE,
)
_ASKS_FOR_NUMBER = re.compile(
    r"number|how (?:many|much|long|old|far)|count|\brat(?:e|ing)|scor|digit|amount|calculat|comput|\bsum\b"
    r"|integer|probab|percent"
    r"|option|choose|select|label|class|\d|solve|equation|value|letter|\b(?:zero|one|two|three)\b|true"
    r"|binary|index|rank|scale|size"
    r"|average|mean|median|product|quotient|result|find|length|sentiment|output|categor",
    re.IGNORECASE,
)


def says_nothing(prompt: str, text: str) -> bool:
    """Whether a short answer cannot be one: only punctuation, `ok` to a question, a digit to an open"
    " request."""
    if not any(character.isalnum() for character in text):
        return _is_plain_punctuation(text) and not _ASKS_FOR_SIGN.search(prompt)
    if len(text) == 1 and text.isascii():
        return _IMPERATIVE.search(prompt) is not None and not (
            _ASKS_FOR_NUMBER.search(prompt) or _ASKS_FOR_SIGN.search(prompt)
        )
    return text.strip(" .!").lower() in _ACKNOWLEDGES and (
        _OPEN_REQUEST.search(prompt) is not None
        and not _ASKS_FOR_A_WORD.search(prompt)
        and not _is_mentioned(text.strip(" .!"), prompt)
    )


def _is_plain_punctuation(text: str) -> bool:
    return text.isascii() or all(character in "…—–·•。、！？，。-. " for character in text)


_SPACES = re.compile(r"\s+")
_ECHO_WORDS = 4
_ECHO_CHARACTERS = 20
_ECHO_SLACK = 10
"""Characters of punctuation and quotation marks by which an echo can be longer than the prompt."""
_ASKS_FOR_COPY = re.compile(
    r"repeat|\bcopy|echo|verbatim|correct|grammar|proofread|punctuat|capitali|spell|error|mistake|rewrite"
    r"|rephrase|"
    r"sentence|quote|recite|say|edit|fix|improve|format|unchanged|original|translate|transcribe|extract",
    re.IGNORECASE,
)


def is_echo(prompt: str, text: str) -> bool:
    """Whether an answer is the prompt once more, or its first or last block: four words and twenty characters at least.

    An answer that equals a block of a prompt which asks for copying or correcting is a result, not an echo.
    """
    # Languages without blanks say as much as four words in twenty characters.
    few_words = text.isascii() and text.count(" ") + 1 < _ECHO_WORDS
    if len(text) < _ECHO_CHARACTERS or len(text) > len(prompt) + _ECHO_SLACK or few_words:
        return False
    if text[: _ECHO_CHARACTERS // 2].lower() not in prompt.lower():
        return False
    said = _plain(text)
    if said == _plain(prompt):
        return True
    blocks = [block for block in prompt.strip().splitlines() if block.strip()]
    if len(blocks) < 2:
        return False
    if said == _plain(blocks[0]):
        return (
            _OPEN_REQUEST.match(blocks[0]) is not None
            or blocks[0].rstrip().endswith("?")
            or not _ASKS_FOR_COPY.search(prompt)
        )
    return said == _plain(blocks[-1]) and (
        _OPEN_REQUEST.match(blocks[-1]) is not None and not _ASKS_FOR_COPY.search(prompt)
    )


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text).strip(" .:?!\"'*#").casefold()
