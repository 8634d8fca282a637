"""The checks of a text that need no more than the text: damage, personal data, secrets."""

from __future__ import annotations

from tunesmith.data.quality.personal_data import personal_kinds
from tunesmith.data.quality.secrets import has_secret
from tunesmith.data.quality.text_damage import damage_kinds


def text_kinds(text: str, context: str = "") -> set[str]:
    """Kinds of damage, personal data and secrets in a text; `context` is what it answers, if it is an"
    " answer."""
    kinds = damage_kinds(text, context) | personal_kinds(text)
    if has_secret(text):
        kinds.add("secret")
    return kinds
