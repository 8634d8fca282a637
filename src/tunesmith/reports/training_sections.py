"""The parts of a report about the training itself: how it stands, what was noticed, its curves, its plan."""

from __future__ import annotations

import json

from tunesmith.reports.facts import Facts
from tunesmith.reports.markup import Child, Html, element
from tunesmith.reports.plots import loss_plot, rate_plot, speed_plot
from tunesmith.reports.scales import short
from tunesmith.reports.tables import definitions, section, share, table
from tunesmith.schemas.runs import Finding
from tunesmith.tools.wording import seconds, size

_VERDICTS = {
    "improved": ("good", "improved"),
    "no_measurable_change": ("warn", "no measurable change"),
    "worse": ("fail", "worse than its base"),
    "untrusted": ("fail", "no verdict: trained on these rows"),
}
_STATES = {"succeeded": "good", "failed": "fail", "interrupted": "fail", "stopped": "warn"}
_SETTING = ("Setting", "Value", "Why")
_COLOURS = 8
_NOT_ASKED = ("", "not asked for")
_SEVERITIES = {"fail": "Serious", "warn": "Warning", "info": "Note"}


def head(facts: Facts) -> Html:
    """The title, and how the run stands, in a few figures."""
    status, plan = facts.status, facts.plan
    state = element("span", status.state.value, class_=f"badge {_STATES.get(status.state.value, 'plain')}")
    what = "Its plan cannot be read."
    if plan is not None:
        what = f"{plan.config.in_words}, on {plan.train_rows:,} rows."
    trial = facts.request is not None and facts.request.mode.value == "smoke"
    return element(
        "header",
        element("p", "Tunesmith · report of a training", class_="kicker"),
        element("h1", status.run_id, " ", state),
        element("p", "A trial: " if trial else None, what, class_="lead"),
        element("dl", [_tile(*tile) for tile in _tiles(facts)], class_="tiles"),
        _error(facts),
    )


def _tile(name: str, value: Child, note: str | None = None) -> Html:
    return element(
        "div", element("dt", name), element("dd", value), element("dd", note, class_="note") if note else None
    )


def _tiles(facts: Facts) -> list[tuple[str, Child, str | None]]:
    status = facts.status
    tiles: list[tuple[str, Child, str | None]] = []
    if facts.verdict is not None and facts.verdict.evaluation.comparison is not None:
        evaluation = facts.verdict.evaluation
        mark, words = _VERDICTS[facts.verdict.evaluation.comparison.verdict]
        note = f"{evaluation.half.value} half, {evaluation.rows} rows"
        tiles.append(("Verdict", element("span", words, class_=f"word {mark}"), note))
    base, held_out = facts.curves.base_loss, facts.curves.held_out
    if held_out:
        from_base = None if base is None else f"base model: {short(base)}"
        tiles.append(("Held-out loss", short(held_out[-1][1]), from_base))
        if status.accuracy is not None:
            tiles.append(("Token accuracy", share(status.accuracy), "held-out rows"))
    elif status.loss is not None:
        note = "no held-out rows were given" if base is None else f"base model, held out: {short(base)}"
        tiles.append(("Training loss", short(status.loss), note))
    if status.step is not None:
        parts = [f"of {status.total_steps:,}"] if status.total_steps else []
        parts += [f"attempt {status.attempt}"] if status.attempt > 1 else []
        tiles.append(("Steps", f"{status.step:,}", ", ".join(parts)))
    if status.elapsed_s is not None:
        left = f"{seconds(status.eta_s)} left" if status.eta_s is not None else None
        tiles.append(
            ("Time", seconds(status.elapsed_s), left or ("newest attempt" if status.attempt > 1 else None))
        )
    if status.tokens_per_s is not None:
        memory = f"memory: {size(status.peak_memory_bytes)}" if status.peak_memory_bytes else None
        tiles.append(("Tokens per s", f"{status.tokens_per_s:,.0f}", memory))
    return tiles


def _error(facts: Facts) -> Html | None:
    error = facts.status.error
    if error is None:
        return None
    return element(
        "div",
        element("h2", f"Why it ended: {error.code}"),
        element("p", error.message),
        element("p", element("strong", "What to do. "), error.recovery),
        class_="card fail",
    )


def findings(facts: Facts) -> Html:
    """What was noticed, the gravest first, and what to do about each."""
    order = list(_SEVERITIES)
    found = sorted(facts.status.findings, key=lambda finding: order.index(finding.severity))
    smoke = facts.status.smoke
    trial = smoke and element(
        "div",
        element("h3", f"Trial: {'go' if smoke.go else 'no go'}"),
        [element("p", reason) for reason in smoke.reasons],
        class_=f"card {'good' if smoke.go else 'fail'}",
    )
    beyond = " beyond what is said above" if facts.status.error is not None else ""
    nothing = element("p", f"Nothing was noticed{beyond} that calls for anything.", class_="quiet")
    return section("findings", "Findings", trial or None, [_finding(finding) for finding in found] or nothing)


def _finding(finding: Finding) -> Html:
    told = finding.model_dump(mode="json", exclude={"code", "severity", "message", "recovery", "confidence"})
    fix = told.pop("fix", None)
    return element(
        "article",
        element(
            "h3",
            element("span", _SEVERITIES[finding.severity], class_=f"badge {finding.severity}"),
            " ",
            finding.code.replace("_", " "),
        ),
        element("p", finding.message),
        element("p", element("strong", "What to do. "), finding.recovery) if finding.recovery else None,
        element("p", element("code", _call(fix))) if isinstance(fix, dict) else None,
        definitions({name.capitalize(): _figures(value) for name, value in told.items() if value}),
        class_=f"card {finding.severity}",
    )


def _call(fix: dict[str, object]) -> str:
    return f"{fix.get('tool')} {json.dumps(fix.get('arguments'), ensure_ascii=False)}"


def _figures(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_figures(figure)}" for name, figure in value.items())
    return short(value) if isinstance(value, float) else str(value)


def curves(facts: Facts) -> Html:
    """The curves, and the held-out figures as a table."""
    told = facts.curves
    if not told.losses:
        waits = " yet" if facts.status.state.is_active else ""
        return section(
            "curves", "Curves", element("p", f"The run has not told a step{waits}.", class_="quiet")
        )
    small = [plot(told) for plot, points in ((rate_plot, told.rates), (speed_plot, told.speeds)) if points]
    rows = [[f"{step:,}", f"{loss:.4g}"] for step, loss in told.held_out]
    if told.base_loss is not None:
        rows.insert(0, ["base model", f"{told.base_loss:.4g}"])
    figures = rows and element(
        "details",
        element("summary", "Held-out losses as a table"),
        element("div", table(["Step", "Held-out loss"], rows, numbers=(0, 1)), class_="narrow"),
    )
    return section("curves", "Curves", loss_plot(told), element("div", small, class_="pair"), figures or None)


def plan(facts: Facts) -> Html:
    """Every number of the training with its reason, and what memory it was to take."""
    if facts.plan is None:
        return section("plan", "Plan", element("p", "The plan cannot be read.", class_="quiet"))
    made = facts.plan
    config = made.config.model_dump(mode="json", exclude={"base_model_path"}, exclude_none=True)
    rows = [
        [element("code", name), _value(value), made.reasons.get(name, "")] for name, value in config.items()
    ]
    decided = [row for row in rows if row[2] not in _NOT_ASKED]
    others = decided and element(
        "details",
        element("summary", "The other settings"),
        table(_SETTING, [row for row in rows if row[2] in _NOT_ASKED]),
    )
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    return section(
        "plan",
        "Plan",
        [element("p", warning, class_="card warn") for warning in made.warnings],
        table(_SETTING, decided or rows),
        others or None,
        memory(facts),
        definitions(
            {
                "Plan": element("code", made.plan_id),
                "Machine": made.machine,
                "Libraries": versions,
                "Estimated time": seconds(made.estimated_seconds),
                "Base model's fingerprint": element("code", made.base_fingerprint),
                "Rows' fingerprint": element("code", made.dataset_fingerprint),
                "Made": made.created_at,
            }
        ),
    )


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def memory(facts: Facts) -> Html | None:
    """The memory that was planned, by component, as a bar."""
    assert facts.plan is not None
    parts = sorted(
        ((name, taken) for name, taken in facts.plan.memory.items() if taken > 0), key=lambda part: -part[1]
    )
    total = sum(taken for _, taken in parts)
    if not total:
        return None
    bar = [
        element("span", class_=f"part-{index % _COLOURS}", style=f"flex-grow:{taken / total:.4f}")
        for index, (_, taken) in enumerate(parts)
    ]
    keys = [
        element("li", element("i", class_=f"part-{index % _COLOURS}"), f"{name} {size(taken)}")
        for index, (name, taken) in enumerate(parts)
    ]
    used = facts.status.peak_memory_bytes
    return element(
        "figure",
        element("figcaption", element("h3", f"Memory as planned: {size(total)} at the training's peak")),
        element("div", bar, class_="memory", aria_hidden="true"),
        element("ul", keys, class_="legend"),
        element("p", f"Measured: {size(used)} at most.", class_="quiet") if used else None,
    )
