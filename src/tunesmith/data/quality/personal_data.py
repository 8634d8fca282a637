"""Personal data in a text: e-mail addresses, telephone and card numbers, national ids, bank accounts, IP addresses.

Regular expressions find candidates; check digits, number ranges and the words before them decide. Every quantifier is
bounded, so that the time is linear in the length of the text.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect
from collections.abc import Callable, Iterator
from typing import NamedTuple

PERSONAL_DATA_KINDS = ("email", "phone", "credit_card", "national_id", "iban", "ip_address")


class Finding(NamedTuple):
    """A stretch of a text, text[start:end], and its kind."""

    start: int
    end: int
    kind: str


def personal_data(text: str) -> list[Finding]:
    """What a text holds, from left to right and without overlap; of two findings in one place the earlier"
    " kind wins."""
    found: list[Finding] = []
    if "@" in text:
        found.extend(_emails(text))
    digits = len(text.translate(_NO_DIGITS)) if text.isascii() else len(text)
    if digits < _LEAST_DIGITS:
        return found
    if _LONG_NUMBER.search(text):
        found.extend([*_cards(text), *_ibans(text), *_national_ids(text), *_phones(text)])
    elif _LETTERED_ID.search(text):
        found.extend(_national_ids(text))
    if _DOTTED.search(text) or text.count(":") >= 3:
        found.extend(_ip_addresses(text))
    return without_overlap(found) if len(found) > 1 else found


def personal_kinds(text: str) -> set[str]:
    """The kinds of `personal_data` in a text."""
    return {finding.kind for finding in personal_data(text)}


def without_overlap(found: list[Finding]) -> list[Finding]:
    """Findings in the order of the text. Of those that overlap, the one that stands first in `found`"
    " stays."""
    kept: list[Finding] = []
    for finding in found:
        place = bisect(kept, finding)
        follows = place == 0 or kept[place - 1].end <= finding.start
        if follows and (place == len(kept) or finding.end <= kept[place].start):
            kept.insert(place, finding)
    return kept


_NO_DIGITS = str.maketrans("", "", "".join(chr(code) for code in range(128) if not chr(code).isdigit()))
_LEAST_DIGITS = 4
# Prefilters: most texts have none of these, and then no slower rule is tried.
_LONG_NUMBER = re.compile(r"\d(?:[ .()/-]{0,2}\d){6}")
_LETTERED_ID = re.compile(r"[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]\b|[A-Z]{6}\d\d[A-Z]")
_DOTTED = re.compile(r"\.\d{1,3}\.\d")

_EMAIL = re.compile(
    r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}([A-Za-z]{2,24})(?![\w-]|\.\w)",
)
_FILE_SUFFIXES = frozenset(
    {"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "html", "json", "py"}
)
_ROBOTS = frozenset({"git", "noreply", "no-reply"})


def _emails(text: str) -> Iterator[Finding]:
    for match in _EMAIL.finditer(text):
        local = match[0].split("@", 1)[0].lower()
        if match[1].lower() not in _FILE_SUFFIXES and local not in _ROBOTS:  # icon@2x.png, git@github.com:a/b
            yield Finding(match.start(), match.end(), "email")


# A number may not touch letters, further digits, or a decimal point or operator that makes it part of a calculation.
_BEFORE = r"(?<![\w.,+=*/^$€£#-])"
_AFTER = r"(?![\w%]|[.,/:-]\d)"

_PHONE = re.compile(
    r"(?<![\w+.*/^])\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,5}(?:[ .-]\d{2,5}){1,5}"
    + _AFTER
    + r"|(?<![\w+.*/^])\+[1-9]\d{9,13}"
    + _AFTER
    + r"|"
    + _BEFORE
    + r"(?:\+?1[ .-])?\([2-9]\d\d\) ?\d{3}[ .-]\d{4}"
    + _AFTER
    + r"|"
    + _BEFORE
    + r"(?:\+?1[ .-])?(?:[2-9]\d\d|1[2-9]\d)([.-])\d{3}\1\d{4}"
    + _AFTER
    + r"|"
    + _BEFORE
    + r"1-\d{3} \d{3}[ -]\d{4}"
    + _AFTER
    + r"|"
    + _BEFORE
    + r"\(0\d{1,4}\) ?\d{3,4}[ -]?\d{3,4}"
    + _AFTER
    + r"|"
    + _BEFORE
    + r"0\d{2,4}[ /-]\d{3,4}[ -]\d{3,4}"
    + _AFTER
    + r"|"
    + _BEFORE
    + r"0\d(?:([ .])\d\d)(?:\2\d\d){3}"
    + _AFTER
)
_SAID_PHONE = re.compile(
    r"\b(?:phone|telephone|tel|mobile|mob|cell|cellphone|fax|whatsapp|call|dial|ring|text|sms|hotline"
    r"|helpline)\b"
    r"[^\d\n+(]{0,25}(?<!\w)(\+?\(?\d[\d .()-]{5,18}\d)(?![\w%]|[.,/:-]\d)",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?:19|20)\d\d[ .-](?:0?[1-9]|1[0-2])[ .-]\d{1,2}|\d{1,2}[ .-]\d{1,2}[ .-](?:19|20)\d\d")


def _phones(text: str) -> Iterator[Finding]:
    for match in _PHONE.finditer(text):
        if 8 <= _count_digits(match[0]) <= 15:
            yield Finding(match.start(), match.end(), "phone")
    for match in _SAID_PHONE.finditer(text):
        if 7 <= _count_digits(match[1]) <= 15 and not _DATE.fullmatch(match[1]):
            yield Finding(match.start(1), match.end(1), "phone")


_CARD = re.compile(r"(?<![\w.,+*/^$€£#-])\d{4}([ -]?)\d{4,6}\1\d{4,5}(?:\1\d{1,4})?(?:\1\d{1,3})?" + _AFTER)
_CARD_ISSUER = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
"""Issuer ranges of Visa, Mastercard, American Express, Diners, Discover, JCB and UnionPay (ISO/IEC 7812)."""
_SAYS_CARD = re.compile(r"card|visa|master|amex|credit|debit|payment|charge|cc\b|pan\b|cvv", re.IGNORECASE)


def _cards(text: str) -> Iterator[Finding]:
    for match in _CARD.finditer(text):
        digits = _digits(match[0])
        if not _CARD_ISSUER.fullmatch(digits) or not luhn(digits):
            continue
        # One number in ten passes by chance: without separators somebody has to speak of a card.
        if match[1] or _SAYS_CARD.search(text, max(0, match.start() - 80), match.end() + 40):
            yield Finding(match.start(), match.end(), "credit_card")


_NATIONAL_ID = re.compile(
    r"(?<![\w.,+=*/^-])(?:"
    r"(?P<ssn>(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4})"
    r"|(?P<cpf>\d{3}\.\d{3}\.\d{3}-\d\d)"
    r"|(?P<dni>\d{8}-?[A-HJ-NP-TV-Z])"
    r"|(?P<nie>[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z])"
    r"|(?P<nino>(?!BG|GB|NK|KN|TN|NT"
    r"|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?P<gap> ?)\d\d(?P=gap)\d\d(?P=gap)\d\d(?P=gap)[A-D])"
    r"|(?P<fiscal>[A-Z]{6}\d\d[A-EHLMPR-T]\d\d[A-Z]\d{3}[A-Z])"
    r"|(?P<china>[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX])"
    r"|(?P<nir>[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?\d\d ?\d{3} ?\d{3} ?\d\d)"
    r")(?![\w-]|[.,]\d)"
)
_SAID_ID = re.compile(
    r"\b(?:ssn|social security (?:number|no\.?|#)|sin|aadhaar|passport (?:number|no\.?)"
    r"|national id(?:entity)?"
    r"(?: number)?|tax id)\b[^\d\n]{0,20}(\d{3}[ -]?\d{2,3}[ -]?\d{3,4}|\d{4} ?\d{4} ?\d{4})(?![\w-]|[.,]\d)",
    re.IGNORECASE,
)
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def _national_ids(text: str) -> Iterator[Finding]:
    for match in _NATIONAL_ID.finditer(text):
        valid = _ID_CHECKS.get(match.lastgroup or "")
        if valid is None or valid(match[0].replace(" ", "").replace("-", "").replace(".", "")):
            yield Finding(match.start(), match.end(), "national_id")
    for match in _SAID_ID.finditer(text):
        yield Finding(match.start(1), match.end(1), "national_id")


def _valid_dni(value: str) -> bool:
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return _DNI_LETTERS[int(number) % 23] == value[-1]


def _valid_cpf(value: str) -> bool:
    digits = [int(digit) for digit in value]
    for length in (9, 10):
        total = sum(digit * (length + 1 - place) for place, digit in enumerate(digits[:length]))
        if total * 10 % 11 % 10 != digits[length]:
            return False
    return len(set(digits)) > 1


def _valid_chinese_id(value: str) -> bool:
    """ISO 7064 MOD 11-2, as GB 11643 has it."""
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(value[:17]))
    return "10X98765432"[total % 11] == value[17]


def _valid_nir(value: str) -> bool:
    return 97 - int(value[:13]) % 97 == int(value[13:])


_ID_CHECKS: dict[str, Callable[[str], bool]] = {
    "cpf": _valid_cpf,
    "dni": _valid_dni,
    "nie": _valid_dni,
    "china": _valid_chinese_id,
    "nir": _valid_nir,
}

_IBAN = re.compile(
    r"(?<![\w-])[A-Z]{2}\d\d(?:( ?)[A-Z0-9]{4}(?:\1[A-Z0-9]{4}){1,6}(?:\1[A-Z0-9]{1,4})?)(?!\w)"
)
_LEAST_IBAN = 15


def _ibans(text: str) -> Iterator[Finding]:
    for match in _IBAN.finditer(text):
        value = match[0]
        # A capital word may follow the last group: shorten until the check digits are right.
        while len(value.replace(" ", "")) >= _LEAST_IBAN:
            if valid_iban(value.replace(" ", "")):
                yield Finding(match.start(), match.start() + len(value), "iban")
                break
            value, gap, _ = value.rpartition(" ")
            if not gap:
                break


_IPV4 = re.compile(r"(?<![\w.-])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){3,7}(?![\w:.]\w)")
_SAYS_VERSION = re.compile(
    r"(?:version|release|section|chapter|firmware|build|\bv)[\s.:=]{0,3}$", re.IGNORECASE
)
_SAYS_IP = re.compile(r"\bip\b|ipv4|address|host|server", re.IGNORECASE)
_RESOLVERS = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"})


def _ip_addresses(text: str) -> Iterator[Finding]:
    for match in _IPV4.finditer(text) if text.count(".") >= 3 else ():
        before = text[max(0, match.start() - 30) : match.start()]
        if _is_somebodys_ipv4(match[0], before):
            yield Finding(match.start(), match.end(), "ip_address")
    for match in _IPV6.finditer(text) if text.count(":") >= 3 else ():
        if _is_somebodys_ipv6(match[0]):
            yield Finding(match.start(), match.end(), "ip_address")


def _is_somebodys_ipv4(value: str, before: str) -> bool:
    """Not a private, reserved or well-known address, and not a version or a section number."""
    octets = [int(octet) for octet in value.split(".")]
    first, second = octets[:2]
    if max(octets) > 255 or first in (0, 10, 127) or first >= 224 or value in _RESOLVERS:
        return False
    if (first, second) in ((192, 168), (169, 254)) or (first == 172 and 16 <= second <= 31):
        return False
    if _SAYS_VERSION.search(before):
        return False
    return max(octets) > 9 or _SAYS_IP.search(before) is not None


def _is_somebodys_ipv6(value: str) -> bool:
    if len(value) < 8 or not any(character.isdigit() for character in value):
        return False
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return address in _DOCUMENTATION_IPV6 or address.is_global


_DOCUMENTATION_IPV6 = ipaddress.IPv6Network("2001:db8::/32")


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0 and len(set(digits)) > 1


def valid_iban(value: str) -> bool:
    """Whether the check digits of an IBAN without blanks are right (ISO 13616: ISO 7064 MOD 97-10)."""
    turned = value[4:] + value[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def _count_digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())
