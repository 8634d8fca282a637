"""The pages on which a person votes: one pair of answers at a time, without a word of whose they are; then who won."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from tunesmith.reports.markup import Html, element, untrusted
from tunesmith.reports.shell import html_document, resource
from tunesmith.schemas.comparisons import AnswerPair, Outcome
from tunesmith.tools.ballot import Ballot
from tunesmith.tools.compare_models import EMPTY, shown_pair

_SCRIPT = resource("ballot.js")
_DIGEST = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_DIGEST}'; "
    "form-action 'self'; base-uri 'none'"
)
"""The one script is ours, and votes go back to where the page came from; nothing else may run, load or be sent."""
_SHOWN_CHARACTERS = 4000
_CHOICES = (
    ("first", "1", "The first is better"),
    ("tie", "0", "Equally good"),
    ("second", "2", "The second is better"),
)


def pair_page(ballot: Ballot, pair: AnswerPair, before: AnswerPair | None) -> str:
    """A pair to vote on. `before` is the one that the person can go back to."""
    shown = shown_pair(pair, _SHOWN_CHARACTERS)
    total, voted = len(ballot.asked), len(ballot.asked) - len(ballot.pending("person"))
    body = (
        element(
            "header",
            element("h1", "Which answer is better?"),
            element("p", f"{voted} of {total} pairs voted", class_="kicker"),
        ),
        element("progress", value=voted, max=total, aria_label="Pairs voted"),
        element("h2", f"Pair {pair.pair}: asked"),
        untrusted(shown.untrusted_prompt, _SHOWN_CHARACTERS),
        None
        if shown.untrusted_reference is None
        else element(
            "details",
            element("summary", "The data set's own answer"),
            untrusted(shown.untrusted_reference, _SHOWN_CHARACTERS),
        ),
        element(
            "div",
            _answer("First answer", shown.untrusted_first),
            _answer("Second answer", shown.untrusted_second),
            class_="answers",
        ),
        element(
            "form",
            [_button(*choice) for choice in _CHOICES],
            method="post",
            action=f"?pair={pair.pair}",
            class_="choices",
        ),
        element(
            "footer",
            element(
                "p",
                "Keys: 1, 2, or 0 for equally good. Texts are written by models, in an order drawn for each pair.",
            ),
            None
            if before is None
            else element("p", element("a", "Back to the pair before", href=f"?pair={before.pair}")),
        ),
    )
    page = element("main", *body, class_="ballot")
    return html_document(
        "Which answer is better? · Tunesmith", POLICY, page, style=resource("ballot.css"), script=_SCRIPT
    )


def outcome_page(ballot: Ballot, outcome: Outcome, notes: Sequence[str]) -> str:
    """Who won, and now also whose answers were whose."""
    answers = ballot.answers
    rate, tally, target = outcome.win_rate, outcome.tally, outcome.targets["preferred"]
    tiles = (
        (f"Win rate of {answers.a}", f"{rate.value:.0%}", f"95 % interval {rate.low:.0%} to {rate.high:.0%}"),
        (f"{answers.a} won", str(tally.a_wins), None),
        (f"{answers.b} won", str(tally.b_wins), None),
        ("Ties", str(tally.ties), None),
        (f"Target {target.goal}", "met" if target.met else "not met", None),
    )
    body = (
        element("p", "Tunesmith · blind comparison", class_="kicker"),
        element("h1", f"{answers.a} and {answers.b}"),
        element("dl", [_tile(*tile) for tile in tiles], class_="tiles"),
        [element("p", note, class_="quiet") for note in notes],
        element(
            "section",
            element("h2", "Whose answers they were"),
            [_revealed(ballot, pair) for pair in ballot.asked],
        ),
        element(
            "footer",
            element("p", f"{answers.comparison_id}. You can close this page; the votes are on record."),
        ),
    )
    return html_document(
        "Who won · Tunesmith", POLICY, element("main", *body, class_="ballot"), style=resource("ballot.css")
    )


def _answer(title: str, text: str) -> Html:
    return element("div", element("h3", title), untrusted(text, _SHOWN_CHARACTERS))


def _button(choice: str, key: str, words: str) -> Html:
    return element("button", words, element("kbd", key), name="choice", value=choice, data_key=key)


def _tile(name: str, value: str, note: str | None) -> Html:
    return element(
        "div",
        element("dt", name),
        element("dd", value),
        None if note is None else element("dd", note, class_="note"),
    )


def _revealed(ballot: Ballot, pair: AnswerPair) -> Html:
    choice = ballot.of("person")[pair.pair].choice
    names = (ballot.answers.a, ballot.answers.b) if pair.a_first else (ballot.answers.b, ballot.answers.a)
    voted = {
        "first": f"you preferred {names[0]}",
        "second": f"you preferred {names[1]}",
        "tie": "equally good",
    }[choice]
    return element(
        "details",
        element("summary", f"Pair {pair.pair}: {voted}"),
        untrusted(pair.untrusted_prompt, _SHOWN_CHARACTERS),
        element(
            "div",
            _answer(ballot.answers.a, pair.untrusted_a or EMPTY),
            _answer(ballot.answers.b, pair.untrusted_b or EMPTY),
            class_="answers",
        ),
    )
