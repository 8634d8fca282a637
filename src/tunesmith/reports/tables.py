"""What sections are made of: headings, tables, lists of names and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunesmith.reports.markup import Child, Html, element


def section(name: str, title: str, *children: Child) -> Html:
    """A part of the page that can be linked to."""
    heading = f"{name}-title"
    return element("section", element("h2", title, id=heading), *children, id=name, aria_labelledby=heading)


def table(names: Sequence[str], rows: Sequence[Sequence[Child]], *, numbers: Sequence[int] = ()) -> Html:
    """A table whose rows become stacks of named values in a narrow window. `numbers` are set flush right."""

    def cell(index: int, content: Child) -> Html:
        return element("td", content, class_=_flush(index), data_name=names[index])

    def _flush(index: int) -> str | None:
        return "number" if index in numbers else None

    titles = [element("th", name, class_=_flush(index), scope="col") for index, name in enumerate(names)]
    body = [element("tr", [cell(index, value) for index, value in enumerate(row)]) for row in rows]
    made = element("table", element("thead", element("tr", titles)), element("tbody", body), class_="stacks")
    return element("div", made, class_="scroll")


def definitions(values: Mapping[str, Child]) -> Html | None:
    """Names and values, without those that have none."""
    told = [(name, value) for name, value in values.items() if value not in (None, "")]
    if not told:
        return None
    return element(
        "dl", [(element("dt", name), element("dd", value)) for name, value in told], class_="facts"
    )


def share(value: float) -> str:
    """A share as a percentage, with the decimals that it needs."""
    return f"{value:.1%}".replace(".0%", "%")
