"""Keys, tokens and passwords in a text, by the forms that their issuers have given them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tunesmith.data.quality.personal_data import Finding, without_overlap


def secrets(text: str) -> list[Finding]:
    """What a text holds, from left to right and without overlap."""
    found: list[Finding] = []
    if "PRIVATE KEY" in text:
        found.extend(Finding(match.start(), match.end(), "secret") for match in _PRIVATE_KEY.finditer(text))
    for mark, pattern in _ISSUED if max(map(len, text.split()), default=0) >= _LEAST_TOKEN else ():
        if mark in text:
            found.extend(Finding(match.start(), match.end(), "secret") for match in pattern.finditer(text))
    if "://" in text and "@" in text:
        found.extend(_in_addresses(text))
    if "=" in text or ":" in text or " is " in text:
        lowered = text.lower()
        if any(word in lowered for word in _KEYWORDS):
            found.extend(_assigned(text))
    return without_overlap(found) if len(found) > 1 else found


def has_secret(text: str) -> bool:
    """Whether `secrets` finds any."""
    return bool(secrets(text))


_END = r"(?![A-Za-z0-9])"
_START = r"(?<![A-Za-z0-9])"

# What every secret of a form contains, and the form. The mark is looked for first: it costs a hundredth.
_ISSUED = tuple(
    (mark, re.compile(pattern))
    for mark, pattern in (
        ("AKIA", _START + r"AKIA[0-9A-Z]{16}" + _END),
        ("ASIA", _START + r"ASIA[0-9A-Z]{16}" + _END),
        ("gh", _START + r"gh[opusr]_[A-Za-z0-9]{30,251}" + _END),
        ("github_pat_", _START + r"github_pat_[A-Za-z0-9_]{22,255}" + _END),
        ("glpat-", _START + r"glpat-[A-Za-z0-9_-]{20,64}" + _END),
        ("xox", _START + r"xox[abeoprs]-[A-Za-z0-9-]{10,250}" + _END),
        ("hooks.slack.com", r"hooks\.slack\.com/services/T\w{6,20}/B\w{6,20}/\w{16,40}"),
        ("k_live_", _START + r"[rs]k_live_[0-9A-Za-z]{16,250}" + _END),
        ("k_test_", _START + r"[rs]k_test_[0-9A-Za-z]{16,250}" + _END),
        ("AIza", _START + r"AIza[0-9A-Za-z_-]{35}" + _END),
        ("ya29.", _START + r"ya29\.[0-9A-Za-z_-]{20,250}" + _END),
        ("GOCSPX-", _START + r"GOCSPX-[0-9A-Za-z_-]{20,40}" + _END),
        # OpenAI, Anthropic and others; an English compound such as sk-learn has no long run with a digit in it.
        ("sk-", r"(?<![\w-])sk-(?:[A-Za-z0-9]{1,12}-){0,3}(?=[A-Za-z_]{0,80}\d)[A-Za-z0-9_-]{20,250}" + _END),
        ("hf_", _START + r"hf_[A-Za-z0-9]{30,60}" + _END),
        ("r8_", _START + r"r8_[A-Za-z0-9]{30,60}" + _END),
        ("npm_", _START + r"npm_[A-Za-z0-9]{36}" + _END),
        ("pypi-AgE", _START + r"pypi-AgE[A-Za-z0-9_-]{50,250}" + _END),
        ("SG.", _START + r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}" + _END),
        ("dop_v1_", _START + r"dop_v1_[a-f0-9]{64}" + _END),
        ("shpat_", _START + r"shpat_[a-fA-F0-9]{32}" + _END),
        ("dapi", _START + r"dapi[a-f0-9]{32}" + _END),
        ("hvs.", _START + r"hvs\.[A-Za-z0-9_-]{24,250}" + _END),
        ("sq0", _START + r"sq0(?:atp|csp)-[0-9A-Za-z_-]{22,43}" + _END),
        ("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
        (":AA", _START + r"\d{8,10}:AA[0-9A-Za-z_-]{33}" + _END),
        ("eyJ", _START + r"eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{6,1000}"),
        ("AccountKey=", r"AccountKey=[A-Za-z0-9+/]{60,100}={0,2}"),
    )
)

_LEAST_TOKEN = 16
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:[A-Za-z0-9+/=\s:,.\\]"
    r"|-(?!-)){1,20000}+-----END (?:[A-Z]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----)?"
)
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s:@/?#]{0,64}:([^\s@/]{3,128})@[^\s@]"
)


def _in_addresses(text: str) -> Iterator[Finding]:
    """Passwords in addresses: scheme://user:password@host."""
    for match in _ADDRESS.finditer(text):
        if not _STAND_IN.search(match[1]):
            yield Finding(match.start(1), match.end(1), "secret")


_KEYWORDS = ("passw", "secret", "token", "api", "key", "pwd", "passphrase")
_ASSIGNMENT = re.compile(
    r"(?:passw(?:or)?d|passphrase|pwd|secret|(?:api|access|auth|account|secret|private|encryption|service"
    r"|client)"
    r"[ _-]?(?:key|token|secret)|apikey|token)"
    r"(?:[\"'\]`*]{0,3}\s{0,3}(?::=|=>|=|:)|\s{1,3}is:?)\s{0,3}[\"'`*]{0,3}"
    r"([^\s\"'`<>(){}\[\],;|*]{6,200})(?![(\[{])",
    re.IGNORECASE,
)
_STAND_IN = re.compile(
    r"\.\.\.|\*\*\*|xxx|\bxx|your|placeholder|\$|%|changeme|change_me|^<|^\{|^pass(?:word|wd)?$|^secret$"
    r"|redacted",
    re.IGNORECASE,
)
_IS_REFERENCE = re.compile(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[a-z]+(?:_[a-z0-9]+)+|[a-z][\w.]*/[\w./]*|https?:.*"
)
_LEAST_PASSWORD = 6


def _assigned(text: str) -> Iterator[Finding]:
    """Values given to something called password, token, api_key and the like."""
    for match in _ASSIGNMENT.finditer(text):
        value = match[1].rstrip(".!?:")
        if _is_password(value):
            yield Finding(match.start(1), match.start(1) + len(value), "secret")


def _is_password(value: str) -> bool:
    """Letters with digits in them: words, numbers, names of variables and stand-ins are no secret."""
    return (
        len(value) >= _LEAST_PASSWORD
        and any(character.isdigit() for character in value)
        and any(character.isalpha() for character in value)
        and not _STAND_IN.search(value)
        and not _IS_REFERENCE.fullmatch(value)
    )
