"""HTML that is put together from elements: whatever is not an element already is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

from tunesmith.jobs.scrub import visible
from tunesmith.server.secrets import mask

_VOID = {"meta", "path", "rect", "line", "br"}


class Html(str):
    """Text that is HTML already. Only this module and the page's own style sheet make it."""

    __slots__ = ()


Child: TypeAlias = "str | int | Html | Iterable[Child] | None"


def element(tag: str, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """One element. `class_` is class and `aria_label` aria-label; attributes that are None or False are left out."""
    shown = "".join(
        _attribute(name.rstrip("_").replace("_", "-"), value)
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Html(f"<{tag}{shown}>" if tag in ("meta", "br") else f"<{tag}{shown}/>")
    return Html(f"<{tag}{shown}>{joined(children)}</{tag}>")


def joined(children: Iterable[Child]) -> Html:
    """Elements and texts, one after the other."""
    return Html("".join(_shown(child) for child in children))


def untrusted(text: object, most_characters: int = 2000) -> Html:
    """Text of a row or of a model: marked as such, shortened, with what looks like a secret masked."""
    told = mask(visible(str(text)[: most_characters + 200]))
    shortened = told if len(told) <= most_characters else told[:most_characters] + " …"
    return element("pre", shortened, class_="untrusted", translate="no")


def _shown(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, (str, int)):
        return html.escape(visible(str(child)), quote=True)
    return joined(child)


def _attribute(name: str, value: str | int | float | bool) -> str:
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(visible(str(value)), quote=True)}"'
