"""Every check of the quality report: the kinds of defect it counts, when it fails, and what to do then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tunesmith.schemas.enums import Fix

DUPLICATES = "no_duplicates"
FORMATTING = "consistent_formatting"
DIVERSE = "diverse"
BALANCED = "balanced"
QUALITY = "high_quality_outputs"
HARMLESS = "no_harmful_content"
CHECKLIST = (DUPLICATES, FORMATTING, DIVERSE, BALANCED, QUALITY, HARMLESS)
"""The six lines of the skill's checklist, in its order."""


@dataclass(frozen=True)
class Check:
    """One check. `kinds` maps each kind of defect to a few words about it.

    The check fails from `fail_share` of the rows read on, and warns from `warn_share` on: at once for defects that
    are plain, later for matters of degree, of which any real dataset has some. `fixes` are what clean_dataset can
    do about it, mending before dropping; `is_choice` when none is to be done unless somebody asks for it.
    """

    line: str
    kinds: dict[str, str]
    advice: str
    fixes: tuple[Fix, ...] = ()
    is_choice: bool = False
    fail_share: float = 0.5
    warn_share: float = 0.0


_DEGREE = 0.01

CHECKS: dict[str, Check] = {
    "readable": Check(
        FORMATTING,
        {
            "invalid_json": "a line or item that is not JSON",
            "not_an_object": "JSON, but not {column: value}",
            "stray_quote": "a CSV row that a quote breaks",
            "repeated_header": "the header line once more",
            "wrong_column_count": "more or fewer cells than the header",
            "invalid_encoding": "bytes that are not text in the file's encoding",
            "row_too_large": "a row of more than 16 MB",
            "unreadable_value": "a value that cannot be represented, such as a date past the year 9999",
            "duplicate_key": "a JSON object that names a key twice; the last value was taken",
            "python_repr": "a Python literal instead of JSON",
        },
        "mend these rows in the source",
    ),
    "missing_fields": Check(
        FORMATTING,
        {"missing_field": "null, NaN, or no such column in this row"},
        "these rows were left out; fill them in at the source if they matter",
    ),
    "empty": Check(
        QUALITY,
        {"empty": "nothing but white space"},
        "these rows were left out; fill them in at the source if they matter",
    ),
    "wrong_types": Check(
        FORMATTING,
        {
            "not_text": "a list, an object or bytes where text belongs",
            "wrong_type": "a number or truth value where the other rows have text",
        },
        "see whether the right column was taken (columns)",
        fixes=(Fix.DROP_WRONG_TYPES,),
        is_choice=True,
    ),
    "unexpected_fields": Check(
        FORMATTING,
        {"extra_field": "a column that few rows have"},
        "see whether these rows belong here",
        fixes=(Fix.DROP_ODD_FIELDS,),
        is_choice=True,
    ),
    "chat_structure": Check(
        FORMATTING,
        {
            "wrong_shape": "not a list of {role, content}",
            "unsupported_role": "an unknown role",
            "no_reply": "no assistant message after a user message",
            "starts_with_assistant": "the assistant speaks first",
            "ends_with_user": "the last message has no answer",
            "two_system_messages": "more than one system message",
            "system_in_the_middle": "a system message after the start",
            "repeated_role": "the same role twice in a row",
            "role_prefix": "a message that begins with the name of its role",
            "control_tokens": "special tokens spelled out; they are trained as plain text",
        },
        "mend the order of these chats, or drop them with clean_dataset",
        fixes=(Fix.DROP_BROKEN_CHATS,),
        is_choice=True,
    ),
    "preference_pairs": Check(
        QUALITY,
        {
            "chosen_equals_rejected": "both answers are the same",
            "differ_only_in_whitespace": "both answers are the same but for white space",
            "undesirable": "an answer that is marked as a bad one",
            "prompt_in_answers": "an answer repeats the prompt",
            "missing_rejected": "there is no worse answer",
            "contradicting_pair": "another row prefers the other answer",
        },
        "drop these pairs with clean_dataset",
        fixes=(Fix.DROP_BAD_PAIRS,),
    ),
    "encoding_damage": Check(
        FORMATTING,
        {
            "invalid_text": "NUL characters",
            "lone_surrogate": "half a surrogate pair; replaced by U+FFFD",
            "mojibake": "text decoded with the wrong encoding",
            "replacement_character": "U+FFFD, where something was lost",
            "control_character": "control characters",
            "invisible_character": "invisible or direction-changing characters",
            "html": "tags or entities left from a web page",
        },
        "repair them with clean_dataset",
        fixes=(
            Fix.REPAIR_TEXT,
            Fix.STRIP_HTML,
            Fix.DROP_DAMAGED_TEXT,
        ),
    ),
    "formatting": Check(
        FORMATTING,
        {"formatting": "an answer laid out otherwise than nearly all others"},
        "bring them into the form of the rest, or drop them",
        fixes=(
            Fix.TRIM_SPACE,
            Fix.DROP_ODD_LAYOUT,
        ),
        warn_share=_DEGREE,
    ),
    "language_mix": Check(
        FORMATTING,
        {"other_language": "another language than most rows"},
        "keep them if the model is to speak it, else drop them with clean_dataset",
        fixes=(Fix.DROP_OTHER_LANGUAGES,),
        is_choice=True,
        fail_share=0.4,
        warn_share=_DEGREE,
    ),
    "label_variants": Check(
        FORMATTING,
        {"label_variant": "a label spelled otherwise than usual", "rare_label": "a label hardly used"},
        "unify them with clean_dataset, or correct the labels",
        fixes=(
            Fix.UNIFY_LABELS,
            Fix.DROP_ODD_LABELS,
        ),
        fail_share=0.2,
    ),
    "exact_duplicates": Check(
        DUPLICATES,
        {"duplicate": "the same content as an earlier row"},
        "nothing: they were left out",
    ),
    "near_duplicates": Check(
        DUPLICATES,
        {"near_duplicate": "nearly the same content as an earlier row"},
        "drop them with clean_dataset",
        fixes=(Fix.DROP_NEAR_DUPLICATES,),
        fail_share=0.2,
    ),
    "conflicting_duplicates": Check(
        DUPLICATES,
        {"conflicting_duplicate": "the same prompt as an earlier row, with another answer"},
        "decide which answer is right; clean_dataset keeps the first",
        fixes=(Fix.DROP_CONFLICTING_DUPLICATES,),
        fail_share=0.1,
    ),
    "lexical_diversity": Check(
        DIVERSE, {}, "add rows that are worded differently; the model would learn the phrases by heart"
    ),
    "topical_diversity": Check(
        DIVERSE, {}, "add rows about other things; what is not in the data is not learned"
    ),
    "class_balance": Check(BALANCED, {}, "add rows of the rare classes, or drop some of the frequent ones"),
    "placeholder_outputs": Check(
        QUALITY,
        {"placeholder": "a stand-in such as TODO or N/A instead of an answer"},
        "drop them with clean_dataset",
        fixes=(Fix.DROP_PLACEHOLDERS,),
        fail_share=0.1,
    ),
    "truncated_outputs": Check(
        QUALITY,
        {"truncated": "an answer that breaks off"},
        "drop them with clean_dataset, or get the whole answers",
        fixes=(Fix.DROP_TRUNCATED,),
        fail_share=0.1,
        warn_share=_DEGREE,
    ),
    "looping_outputs": Check(
        QUALITY,
        {"looping": "the same words over and over"},
        "drop them with clean_dataset",
        fixes=(Fix.DROP_LOOPING,),
        fail_share=0.05,
    ),
    "prompt_echo": Check(
        QUALITY,
        {"prompt_echo": "an answer that only repeats the prompt"},
        "drop them with clean_dataset",
        fixes=(Fix.DROP_PROMPT_ECHO,),
        fail_share=0.1,
    ),
    "refusals": Check(
        QUALITY,
        {"refusal": "an answer that declines to answer"},
        "drop them with clean_dataset, unless the model is meant to refuse",
        fixes=(Fix.DROP_REFUSALS,),
        fail_share=0.1,
        warn_share=_DEGREE,
    ),
    "too_short": Check(
        QUALITY,
        {"too_short": "an answer much shorter than the others"},
        "look at them; drop them with clean_dataset if they say nothing",
        fixes=(Fix.DROP_TOO_SHORT,),
        is_choice=True,
        fail_share=0.2,
        warn_share=_DEGREE,
    ),
    "too_long": Check(
        QUALITY,
        {
            "too_long": "an answer much longer than the others",
            "over_context": "more tokens than the base model can read",
        },
        "look at them; training cuts what passes max_length",
        fixes=(Fix.DROP_TOO_LONG,),
        is_choice=True,
        fail_share=0.2,
        warn_share=_DEGREE,
    ),
    "harmful_content": Check(
        HARMLESS,
        {"harmful": "profanity, slurs or abuse"},
        "drop them with clean_dataset, unless the model is meant to know them",
        fixes=(Fix.DROP_HARMFUL,),
        fail_share=0.05,
    ),
    "personal_data": Check(
        HARMLESS,
        {
            "email": "an e-mail address",
            "phone": "a telephone number",
            "credit_card": "a card number with a valid check digit",
            "national_id": "a national identity number",
            "iban": "a bank account with valid check digits",
            "ip_address": "an IP address",
        },
        "mask them with clean_dataset, or drop the rows: a model can repeat what it has seen",
        fixes=(
            Fix.MASK_PERSONAL_DATA,
            Fix.DROP_PERSONAL_DATA,
        ),
        fail_share=0.2,
    ),
    "secrets": Check(
        HARMLESS,
        {"secret": "a key, token or password"},
        "mask them with clean_dataset and revoke what is still valid",
        fixes=(
            Fix.MASK_SECRETS,
            Fix.DROP_SECRETS,
        ),
        fail_share=0.0,
    ),
}

MENDED_KINDS: dict[Fix, tuple[str, ...]] = {
    Fix.REPAIR_TEXT: ("mojibake", "control_character", "invisible_character"),
    Fix.STRIP_HTML: ("html",),
    Fix.TRIM_SPACE: ("formatting",),
    Fix.UNIFY_LABELS: ("label_variant",),
    Fix.MASK_PERSONAL_DATA: tuple(CHECKS["personal_data"].kinds),
    Fix.MASK_SECRETS: tuple(CHECKS["secrets"].kinds),
}
"""The kinds of defect that each mending fix undoes."""

CHECK_OF_KIND: dict[str, str] = {kind: name for name, check in CHECKS.items() for kind in check.kinds}


def applicable(check: Check, kinds: Iterable[str]) -> list[Fix]:
    """The check's fixes that can do something about these kinds."""
    found = set(kinds)
    return [fix for fix in check.fixes if fix.drops or found.intersection(MENDED_KINDS[fix])]


def proposed(check: Check, kinds: Iterable[str]) -> list[Fix]:
    """Those that clean_dataset takes by itself: what can be mended is mended; dropped is only what no fix mends."""
    if check.is_choice:
        return []
    if any(not fix.drops for fix in check.fixes):
        return [fix for fix in applicable(check, kinds) if not fix.drops]
    return list(check.fixes[:1])
