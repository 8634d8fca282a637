"""All candidates of a golden set in one table of a report: what scores, and what it costs."""

from __future__ import annotations

from tunesmith.jobs.scrub import scrub
from tunesmith.reports.markup import Html, element
from tunesmith.reports.scales import short
from tunesmith.reports.tables import table
from tunesmith.schemas.evaluations import Leaderboard, LeaderboardEntry, PromptVariant
from tunesmith.server.secrets import mask

_LONGEST_TEXT = 60
_KINDS = {"base": "base", "hard_prompt": "hard prompt", "soft_prompt": "soft prompt", "tuned": "tuned"}


def leaderboard(board: Leaderboard, run_id: str) -> Html:
    """The table, the report's own run in bold, and what its message says."""
    names = [
        "Candidate",
        "Kind",
        board.metric.replace("_", " "),
        "From its base",
        "Tokens a prompt",
        "An answer",
        "To make",
    ]
    rows = [
        [
            _who(entry, run_id),
            _KINDS[entry.kind],
            element(
                "span",
                element("b", short(entry.score.value)),
                element("small", f" {short(entry.score.low)} to {short(entry.score.high)}"),
                class_="score",
            ),
            "–" if entry.difference is None else f"{entry.difference.value:+.3f}",
            f"{entry.cost.prompt_tokens:,.0f}",
            "–" if entry.cost.answer_tokens is None else f"{entry.cost.answer_tokens:,.0f}",
            f"{entry.cost.making_tokens:,}",
        ]
        for entry in board.entries
    ]
    return element(
        "div",
        element("h4", f"Beside all that was scored on the same {board.rows:,} rows"),
        table(names, rows, numbers=range(3, 7)),
        element("p", board.message, class_="quiet"),
    )


def _who(entry: LeaderboardEntry, run_id: str) -> Html:
    name = element("b" if entry.model == run_id else "span", scrub(mask(entry.model), _LONGEST_TEXT))
    if entry.variant is None:
        return name
    return element("span", name, element("small", f" {_around(entry.variant)}"))


def _around(variant: PromptVariant) -> str:
    texts = [scrub(mask(text), _LONGEST_TEXT) for text in (variant.system, variant.template) if text]
    return " · ".join([*texts, *([f"{variant.few_shot} examples"] if variant.few_shot else [])])
