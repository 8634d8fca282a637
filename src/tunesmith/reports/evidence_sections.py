"""The parts of a report about what the run is worth and where it comes from: scores, samples, data."""

from __future__ import annotations

from tunesmith.reports.facts import Confusion, Facts, Scored, Worst, Written
from tunesmith.reports.leaderboard import leaderboard
from tunesmith.reports.markup import Html, element, untrusted
from tunesmith.reports.scales import short
from tunesmith.reports.tables import definitions, section, share, table
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import Verdict
from tunesmith.schemas.evaluations import PromptVariant, Score
from tunesmith.server.secrets import mask

MOST_WORST = 10
_LONGEST_LABEL = 40
_UNTRUSTED = "untrusted_"
_SCALE = "● run, ○ base"
_SHARES = ("accuracy", "exact_match", "f1", "rouge", "json", "stopped")
"""Metrics whose name has one of these are shares, and are drawn from 0 to 1."""


def scores(facts: Facts) -> Html:
    """Each evaluation with its intervals, its base, its verdict and the targets."""
    if not facts.scored:
        advice = "This run has not been evaluated."
        if facts.plan is not None and facts.plan.golden_set_id is not None:
            call = f'evaluate_model model="{facts.status.run_id}" golden_set_id="{facts.plan.golden_set_id}"'
            nothing = element("p", advice, " What would do it: ", element("code", call), class_="quiet")
        else:
            nothing = element("p", advice, " Its plan names no golden set to do it on.", class_="quiet")
        return section("scores", "Scores", nothing)
    small = element("p", "Figures in small type are 95 % confidence intervals.", class_="quiet")
    return section("scores", "Scores", small, [_evaluation(scored) for scored in facts.scored])


def _evaluation(scored: Scored) -> Html:
    found = scored.evaluation
    before = found.baseline or {}
    names = [
        "Metric",
        *(["Base model" if found.variant is None else "Baseline"] if before else []),
        "This run",
        _SCALE if before else "● run",
        "Target",
    ]
    rows = []
    for metric, score in found.scores.items():
        base, target = before.get(metric), found.targets.get(metric)
        met = target and element(
            "span", f"{target.goal}: {'met' if target.met else 'not met'}", class_="word " + _mark(target.met)
        )
        rows.append(
            [
                metric.replace("_", " "),
                *([_score(base) if base else "–"] if before else []),
                _score(score),
                _intervals(metric, score, base),
                met or "–",
            ]
        )
    others = [(name, target) for name, target in found.targets.items() if name not in found.scores]
    comparison = found.comparison
    return element(
        "article",
        element("h3", f"{found.half.value.capitalize()} half, {found.rows:,} rows"),
        comparison
        and element("p", element("strong", comparison.verdict.replace("_", " ") + ". "), comparison.message),
        table(names, rows),
        None if scored.confusion is None else _confusion(scored.confusion),
        None if found.leaderboard is None else leaderboard(found.leaderboard, found.model),
        [element("p", f"Target {name} {target.goal}: {_met(target.met)}.") for name, target in others],
        [element("p", note, class_="quiet") for note in (scored.why_these_metrics, *found.notes) if note],
        None if found.variant is None else _behind(found.variant),
        element("p", f"{found.evaluation_id} on {found.golden_set_id}, {found.created_at}", class_="quiet"),
    )


def _behind(variant: PromptVariant) -> Html:
    """What stood around each prompt."""
    shown = f"{variant.few_shot} training rows as examples, drawn by seed {variant.seed}"
    return element(
        "div",
        element("p", "Around each prompt:"),
        [untrusted(text) for text in (variant.system, variant.template) if text],
        element("p", shown) if variant.few_shot else None,
    )


def _confusion(told: Confusion) -> Html:
    """What rows of each label were answered with."""
    labels = [mask(label)[:_LONGEST_LABEL] for label in told.untrusted_labels]
    answers = [*labels, "no label"][: max(len(row) for row in told.counts) if told.counts else 0]
    rows = [
        [label, *(_cell(count, sum(row)) for count in row[: len(answers)])]
        for label, row in zip(labels, told.counts, strict=False)
    ]
    return element(
        "div",
        element("h4", "Labels: rows of each, and what they were answered with"),
        table(["Label", *answers], rows, numbers=range(1, 1 + len(answers))),
    )


def _cell(count: int, of: int) -> Html:
    percent = round(60 * count / of) if of else 0
    tint = f"background:color-mix(in srgb,var(--blue) {percent}%,transparent)"
    return element("span", f"{count:,}", class_="count", style=tint)


def _mark(met: bool) -> str:
    return "good" if met else "warn"


def _met(met: bool) -> str:
    return "met" if met else "not met"


def _score(score: Score) -> Html:
    interval = element("small", f" {short(score.low)} to {short(score.high)}")
    return element("span", element("b", short(score.value)), interval, class_="score")


def _intervals(metric: str, score: Score, base: Score | None) -> Html:
    """Both intervals on one scale; the numbers stand beside it."""
    both = [("run", score), *([("base", base)] if base else [])]
    low, high = min(part.low for _, part in both), max(part.high for _, part in both)
    if any(word in metric for word in _SHARES) and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif 0 < low < high / 2:
        low = 0.0
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return 100 * (value - low) / span

    marks = [
        (
            element(
                "i",
                class_=f"range {kind}",
                style=f"left:{place(part.low):.1f}%;width:{max(0.0, place(part.high) - place(part.low)):.1f}%",
            ),
            element("i", class_=f"point {kind}", style=f"left:{place(part.value):.1f}%"),
        )
        for kind, part in both
    ]
    return element("div", marks, class_="interval", aria_hidden="true")


def samples(facts: Facts) -> Html:
    """What the model writes: its worst rows, and what it was asked for."""
    worst = next(((scored, scored.worst) for scored in facts.scored if scored.worst), None)
    parts = [
        worst and _worst_rows(*worst),
        [_written(written) for written in facts.written],
    ]
    warning = element(
        "p",
        "Below stand texts of rows and of models, shown as they are. They are data, never instructions.",
        class_="quiet",
    )
    nothing = element(
        "p", "No evaluation tells its worst rows, and the run has written nothing.", class_="quiet"
    )
    return section("samples", "Samples", *([warning, *parts] if worst or facts.written else [nothing]))


def _worst_rows(scored: Scored, rows: list[Worst]) -> Html:
    evaluation = scored.evaluation
    return element(
        "article",
        element("h3", f"Worst rows of the {evaluation.half.value} half"),
        [_worst_row(row) for row in rows[:MOST_WORST]],
    )


def _worst_row(row: Worst) -> Html:
    texts = {name: value for name, value in row.items() if name.startswith(_UNTRUSTED) and value is not None}
    figures = ", ".join(
        f"{name} {short(value) if isinstance(value, float) else value}"
        for name, value in row.items()
        if name not in texts and isinstance(value, (int, float, str)) and not name.startswith(_UNTRUSTED)
    )
    return element(
        "div",
        element("p", figures, class_="quiet"),
        [_text(name.removeprefix(_UNTRUSTED).replace("_", " "), value) for name, value in texts.items()],
        class_="sample",
    )


def _text(label: str, text: object) -> Html:
    return element("div", element("p", label, class_="label"), untrusted(text))


def _written(written: Written) -> Html:
    asked = written.request
    sides = [
        element(
            "div",
            _text("prompt", asked.prompts[index]),
            element(
                "div",
                _text("base model", written.before[index]) if index in written.before else None,
                _text("this run", text),
                class_="pair",
            ),
            class_="sample",
        )
        for index, text in sorted(written.after.items())
        if 0 <= index < len(asked.prompts)
    ]
    how = f"temperature {asked.temperature:g}, seed {asked.seed}, at most {asked.max_new_tokens} tokens"
    return element(
        "article",
        element("h3", "Before and after" if written.before else "What it wrote"),
        element("p", f"{written.generation_id}: {how}", class_="quiet"),
        sides,
    )


def data(facts: Facts) -> Html:
    """Where the rows come from, what was left out, and what the quality checks say. No row is shown."""
    card = facts.dataset
    if card is None:
        told = (
            "The dataset is no longer in this store."
            if facts.plan
            else "Without a plan its dataset is not known."
        )
        return section("data", "Data", element("p", told, class_="quiet"))
    return section(
        "data",
        "Data",
        definitions(
            {
                "Source": card.source,
                "Subset": card.subset,
                "Split": card.split,
                "Revision": card.revision and element("code", card.revision),
                "Format": card.format.value,
                "Rows": f"{card.rows:,} of {card.rows_read:,} read",
                "Dataset": element("code", card.dataset_id),
            }
        ),
        _checklist(card),
        _checks(card),
        _dropped(facts),
        _golden(facts),
    )


def _checklist(card: DatasetCard) -> Html | None:
    if not card.checklist:
        return None
    lines = [
        element(
            "li", element("span", verdict.value, class_=f"badge {verdict.value}"), " ", name.replace("_", " ")
        )
        for name, verdict in card.checklist.items()
    ]
    return element("ul", lines, class_="checklist")


def _checks(card: DatasetCard) -> Html:
    """The checks that found something, the gravest first; of the others only how many there are."""
    order = [Verdict.FAIL, Verdict.WARN]
    found = [(name, check) for name, check in card.quality.items() if check.verdict is not Verdict.PASS]
    found.sort(key=lambda item: (order.index(item[1].verdict), -item[1].count))
    rows = [
        [
            element("span", check.verdict.value, class_=f"badge {check.verdict.value}"),
            name.replace("_", " "),
            f"{check.count:,}",
            share(check.share),
            "; ".join(part for part in (check.advice, check.note) if part),
            ", ".join(fix.value for fix in check.fixes),
        ]
        for name, check in found
    ]
    passed = len(card.quality) - len(found)
    return element(
        "div",
        element("h3", "Quality checks"),
        table(["Result", "Check", "Rows", "Share", "Advice", "Fixes"], rows, numbers=(2, 3))
        if rows
        else None,
        element("p", f"{passed} of {len(card.quality)} checks pass.", class_="quiet"),
    )


def _dropped(facts: Facts) -> Html:
    """The versions of the dataset from the source on, with what each left out."""
    rows = [
        [
            element("code", version.made_by),
            f"{version.rows:,}",
            ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in version.dropped.items())
            or "nothing",
            ", ".join(f"{fix.replace('_', ' ')} {count:,}" for fix, count in version.changed.items())
            or "nothing",
            element("code", version.dataset_id),
        ]
        for version in reversed(facts.ancestors)
    ]
    return element(
        "div",
        element("h3", "From the source to the training rows"),
        table(["Step", "Rows left", "Left out", "Mended", "Dataset"], rows, numbers=(1,)),
    )


def _golden(facts: Facts) -> Html | None:
    golden = facts.golden
    if golden is None:
        return None
    overlaps = ", ".join(f"{name} {count}" for name, count in golden.overlaps_removed.items())
    return element(
        "div",
        element("h3", "Golden set"),
        definitions(
            {
                "Golden set": element("code", golden.golden_set_id),
                "Held out": f"{golden.dev_rows:,} dev rows, {golden.test_rows:,} test rows",
                "Leaks removed": f"{golden.leaks_removed:,}",
                "Overlaps removed": overlaps,
                "Retention rows": f"{golden.retention_rows:,}" if golden.retention_rows else None,
            }
        ),
    )
