"""Prompt templates as a caller writes them."""

from __future__ import annotations

import string

from tunesmith.schemas.errors import InvalidArgument

_RECOVERY = 'Write a template such as "Translate: {text}\\n"; {{ and }} stand for braces.'


def template_names(template: str) -> list[str]:
    """The {placeholders} of a template, in order, each once.

    Raises:
        InvalidArgument: unbalanced braces, no placeholder, or one with a conversion or format.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InvalidArgument("The template's braces do not match.", _RECOVERY) from error
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise InvalidArgument("The template has a placeholder that is more than a column's name.", _RECOVERY)
    names = list(dict.fromkeys(name for _, name, _, _ in parts if name is not None))
    if not names or "" in names:
        raise InvalidArgument("The template has no {placeholder}, or an empty one.", _RECOVERY)
    return names


def prompt_part(template: str, answers: set[str]) -> str:
    """The template without the answer's placeholder at its end: the answer is what is learned, no prompt.

    `answers` are the names that mean the answer.

    Raises:
        InvalidArgument: the answer stands elsewhere, where a model would be shown it before it answers.
    """
    names = template_names(template)
    for name in answers & set(names):
        placeholder = f"{{{name}}}"
        head = template.rstrip()
        if not head.endswith(placeholder) or name in _names_in(head[: -len(placeholder)]):
            raise InvalidArgument(
                f"The template shows the answer ({placeholder[:42]}) inside the prompt.",
                "Leave it out, or put it at the very end: the answer's column follows the template by itself.",
            )
        template = head[: -len(placeholder)]
    template_names(template)
    return template


def _names_in(template: str) -> list[str]:
    """The same, [] where there are none."""
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]
