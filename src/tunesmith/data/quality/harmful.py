"""Abusive language: an English lexicon by default, a classifier from the Hugging Face Hub on request.

The lexicon knows profanity, slurs, insults aimed at somebody and calls to hurt oneself. It does not understand texts:
hate without such words, dangerous instructions and other languages need a classifier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tunesmith.data.quality.wordlists import word_set
from tunesmith.schemas.errors import Mismatch, ModelNotFound

_PROFANE = word_set(
    "fuck fucks fucked fucker fuckers fuckin fucking fuckup fuckhead fuckface fuckwit motherfucker"
    " motherfuckers motherfucking mofo"
    " clusterfuck fck fuk fukin fukking stfu gtfo shit shits shitty shite shitting shithead shitheads"
    " shitfaced shithole shitload"
    " shitshow shittier bullshit bullshitting horseshit dipshit dipshits crap crappy crappiest bitch"
    " bitches bitchy bitching"
    " sonofabitch asshole assholes arsehole arseholes asshat dumbass dumbasses jackass jackasses smartass"
    " fatass lardass"
    " dickhead dickheads douche douches douchebag douchebags douchey prick pricks bastard bastards wanker"
    " wankers wank twat twats"
    " cunt cunts bollocks goddamn goddamned goddammit dammit damnit motherfuck cocksucker cocksuckers"
    " pussies slut sluts"
    " slutty whore whores whoring skank skanks jerkoff jizz cumshot blowjob blowjobs handjob dildo"
    " dildos titties"
    " porn porno pornhub milf wtf ffs kys pissed piss pissing imbecile imbeciles scumbag scumbags scum"
    " shitbag fuckboy turd turds"
    " numbnuts dumbfuck dumbfucks tosser tossers"
    " sh1t b1tch b1tches d1ck d1ckhead n1gger n1gga f4ggot f4g wh0re a55hole a55 c0ck phuck"
    # slurs
    " nigger niggers nigga niggas nigg3r faggot faggots fag fags tranny trannies kike kikes spic"
    " spics wetback wetbacks"
    " chink chinks gook gooks raghead ragheads towelhead towelheads beaner beaners jigaboo retard retards"
    " retarded retarted mongoloid subhuman untermensch"
)
"""Words that are abusive, obscene or slurs nearly wherever they stand."""

_INSULTS = (
    r"(?:idiots?|morons?|losers?|jerks?|fools?|imbeciles?|dumb|stupid|dimwits?|halfwits?|half-wits?|dunces?"
    r"|dolts?|dummy|dummies|twits?"
    r"|pathetic|worthless|disgusting|useless|ugly|filthy|creeps?|pigs?|trash|garbage|vermin|bimbos?"
    r"|airheads?|blockheads?"
    r"|knuckleheads?|nitwits?|nobody|weirdos?|freaks?|maggots?|cretins?|simpletons?|ignoramus|brainless"
    r"|clowns?|brats?|crybaby"
    r"|cockroach(?:es)?|parasites?|lowlifes?|deadbeats?)"
)
_EMPHASIS = (
    r"(?:(?:just|really|all|so|too|such|nothing but|being|absolutely|completely|a bunch of|an?|the|total"
    r"|complete|utter"
    r"|absolute|real|little|big|old|lazy|fat|dirty|silly|clueless|arrogant|ignorant|miserable|sad"
    r"|incompetent|stinking"
    r"|annoying|goddamn|bloody|biggest|" + _INSULTS[3:] + r" ){0,4}"
)
_AIMED = re.compile(
    r"\byou(?: guys| people| all)?(?:'re| are|r)? " + _EMPHASIS + _INSULTS + r"(?=\W*$|\W{0,2}[.,!?;:\n]"
    r"| (?:and|you|of|person|man"
    r"|woman|piece|who|bot|machine|human)\b)"
    r"|\bonly an? " + _EMPHASIS + _INSULTS + r" (?:would|could|can)\b"
    # ..., loser.
    r"|[,.!?] ?(?:you )?" + _EMPHASIS + r"(?:idiots?|morons?|losers?|jerks?|dumb\w{0,9}|stupid|imbecile"
    r"|dimwit|fool|dummy|freak)"
    r"[.!?]+(?:\s|$)",
    re.IGNORECASE,
)
_INSULT_WORDS = word_set(
    "idiot idiots moron morons loser losers jerk jerks fool fools imbecile imbeciles dumb dumbest dumber"
    " stupid dimwit dimwits"
    " halfwit halfwits dunce dunces dolt dolts dummy dummies twit twits pathetic worthless disgusting"
    " useless ugly filthy"
    " creep creeps pig pigs trash garbage vermin bimbo bimbos airhead airheads blockhead blockheads"
    " knucklehead knuckleheads"
    " nitwit nitwits nobody weirdo weirdos freak freaks maggot maggots cretin cretins simpleton simpletons"
    " ignoramus brainless"
    " clown clowns brat brats crybaby cockroach cockroaches parasite parasites lowlife lowlifes deadbeat"
    " deadbeats"
)
_PHRASE_CLUES = word_set(
    "hell shut dead screw piss bugger sod lost kiss suck dirt kill hang die rot burn nobody sick waste"
    " piece hate"
    " damn bloody god stupid dumb ugly fat momma"
)
_PHRASES = tuple(
    f" {phrase} "
    for phrase in word_set(
        "go to hell|shut up you|shut up idiot|shut up moron|shut up loser|shut up already|shut up stupid"
        "|shut the hell up|shut your mouth"
        "|shut your trap|shut your face|drop dead|screw you|screw off|piss off|bugger off|sod off"
        "|get lost you|get lost loser"
        "|get lost idiot|kiss my ass|kiss my arse|suck my|suck it loser|eat dirt|kill yourself"
        "|kill yourselves|hang yourself"
        "|hope you die|hope you rot|you should die|you should kill yourself|rot in hell|burn in hell|go die"
        "|go and die|nobody likes you"
        "|nobody loves you|no one likes you|what the hell is wrong with you|what the heck is wrong with you"
        "|you make me sick"
        "|waste of space|waste of oxygen|waste of skin|waste of air|piece of trash|piece of garbage"
        "|piece of filth|i hate you all"
        "|i hate all people|i hate all women|i hate all men|i hate all jews|i hate all muslims"
        "|i hate all christians|i hate all blacks"
        "|i hate all whites|i hate all gays|i hate all immigrants|i hate all foreigners|damn you|damn it"
        "|damn waste|damn idiot|damn fool"
        "|damn liar|damn lie|what a damn|such a damn|what a bloody|god damn|your stupid face"
        "|your stupid head|your stupid mouth"
        "|your stupid question|your dumb face|your dumb question|your dumb ass|your ugly face|your fat ass"
        "|your fat face|yo momma",
        "|",
    )
)
_BLANKED = '.,!?;:()[]{}<>"/\\|~`#%^&+=_\n\r\t-—–…“”‘'
_MARKS = str.maketrans({**dict.fromkeys(_BLANKED, " "), "’": "", "'": "", "*": ""})
_DISGUISES = re.compile(
    r"(?<!\w)(?:f[*@#u$%v][*@#c$%k][*@#k$%]?(?:ing|er|ed|in)?|f\*{2,3}(?:ing|er|ed)?|sh[*!1@#]t(?:ty)?"
    r"|s\*{2}t|b[!1*@#]tch(?:es)?|b\*{3}h|a[$*5@#][$*5@#](?:hole)?"
    r"|@ss(?:hole)?s?|\$hit|d[!1*]ck(?:head)?|c[*@]nt|n[!1*]gg[e3*]rs?|f[4@*]gg?[o0*]ts?|wh[0*]re)(?![\w@])",
    re.IGNORECASE,
)
_DISGUISE_CLUES = (
    "f*",
    "s*",
    "h*",
    "b*",
    "a*",
    "d*",
    "c*",
    "n*",
    "w*",
    "i*",
    "$h",
    "a$",
    "@ss",
    "f@",
    "@nt",
    "h!t",
    "h@t",
    "h#t",
    "b!t",
    "d!ck",
    "n!gg",
    "f#",
    "f$",
    "f%",
)


def is_harmful(text: str) -> bool:
    """Whether an English text holds profanity, a slur, an insult aimed at somebody or a call to hurt oneself.

    Whole words only: Scunthorpe, assess and cockpit are sound. Words with a letter replaced (sh1t, f*ck) count.
    """
    lowered = text.lower()
    words = lowered.translate(_MARKS).split()
    if not _PROFANE.isdisjoint(words):
        return True
    if not _INSULT_WORDS.isdisjoint(words) and _AIMED.search(lowered.replace("’", "'")) is not None:
        return True
    if not _PHRASE_CLUES.isdisjoint(words):
        said = f" {' '.join(words)} "
        if any(phrase in said for phrase in _PHRASES):
            return True
    return any(clue in lowered for clue in _DISGUISE_CLUES) and _DISGUISES.search(lowered) is not None


_BAD_LABELS = re.compile(
    r"toxic|hate|offens|harm|obscen|insult|threat|abus|nsfw|unsafe|profan|violen|sexual|harass|self.?harm"
    r"|vulgar|bully|racis|sexis",
    re.IGNORECASE,
)
_GOOD_LABELS = re.compile(
    r"^(?:non?|not)[-_ ]?|safe$|neutral|normal|clean|benign|acceptable|neither", re.IGNORECASE
)


class HubClassifier:
    """A text classifier from the Hub, or from a local folder, that tells harmful texts.

    Args:
        model_id: a sequence-classification model whose labels name the harm (toxic, hate, ...) or are LABEL_0, LABEL_1.
        threshold: score from which one of those labels counts.

    Raises:
        Mismatch: no label of the model can be taken for harm.
        ModelNotFound: there is no such model, or it cannot be loaded without running code or pickles.
    """

    def __init__(self, model_id: str, revision: str | None = None, threshold: float = 0.5) -> None:
        from transformers import pipeline

        try:
            self._pipeline: Any = pipeline(
                "text-classification",
                model=model_id,
                revision=revision,
                top_k=None,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError) as error:
            raise ModelNotFound(
                f"The classifier {model_id} cannot be loaded as a text-classification model with safetensors weights.",
                "Name another one (Hub id or local folder), or leave harm_classifier out for the lexicon.",
            ) from error
        self._threshold = threshold
        self._harmful = harmful_labels(list(self._pipeline.model.config.id2label.values()))
        if not self._harmful:
            raise Mismatch(
                f"None of the labels of {model_id} says harm.",
                "Name a classifier with labels such as toxic or hate, or leave the parameter out for the"
                " lexicon.",
            )

    def harmful(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text is harmful; long texts are judged by their beginning."""
        results = self._pipeline(
            [text[:_CLASSIFIED] or " " for text in texts], truncation=True, batch_size=16
        )
        return [
            any(entry["label"] in self._harmful and entry["score"] >= self._threshold for entry in entries)
            for entries in results
        ]


_CLASSIFIED = 4_000


def harmful_labels(labels: Sequence[str]) -> set[str]:
    """Those labels of a classifier that mean harm."""
    found = {label for label in labels if _BAD_LABELS.search(label) and not _GOOD_LABELS.search(label)}
    return found or ({"LABEL_1"} if set(labels) == {"LABEL_0", "LABEL_1"} else set())
