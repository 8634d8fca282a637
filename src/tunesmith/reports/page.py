"""The whole report: one HTML file that needs nothing else, no script and no network."""

from __future__ import annotations

from tunesmith import __version__
from tunesmith.reports.evidence_sections import data, samples, scores
from tunesmith.reports.facts import Facts
from tunesmith.reports.markup import element, joined
from tunesmith.reports.shell import html_document
from tunesmith.reports.training_sections import curves, findings, head, plan

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""A second wall behind the escaping: nothing in the page may run, load or send anything."""
_PARTS = (findings, curves, scores, samples, plan, data)
_NAMES = ("findings", "curves", "scores", "samples", "plan", "data")


def page(facts: Facts, made_at: str) -> str:
    """The report of a run as HTML."""
    links = [element("a", name.capitalize(), href=f"#{name}") for name in _NAMES]
    body = (
        head(facts),
        element("nav", links, aria_label="Parts of this report"),
        element("main", [part(facts) for part in _PARTS]),
        element(
            "footer",
            element(
                "p", f"Made {made_at} by Tunesmith {__version__}. This page loads nothing and sends nothing."
            ),
            element(
                "p", "It shows no rows of the training data. Rows and answers stand under Samples alone."
            ),
        ),
    )
    return html_document(f"{facts.status.run_id} · Tunesmith", _POLICY, joined(body))
