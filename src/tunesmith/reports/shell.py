"""What every page begins with: its style sheet, and a policy as a second wall behind the escaping."""

from __future__ import annotations

from importlib import resources

from tunesmith.reports.markup import Child, Html, element, joined


def resource(name: str) -> Html:
    """A style sheet or script of this package, as it goes into a page."""
    return Html(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def html_document(
    title: str, policy: str, body: Child, *, style: str = "", script: Html | None = None
) -> str:
    """A whole HTML document that needs no other file. `style` comes behind the style sheet of all pages."""
    content = joined(
        (
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", Html(resource("page.css") + style)),
            None if script is None else element("script", script),
        )
    )
    return f"<!doctype html>\n{element('html', element('head', content), element('body', body), lang='en')}\n"
