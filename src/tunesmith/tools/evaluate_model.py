"""evaluate_model: scores on held-out rows, with their intervals."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

from pydantic import Field

from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.enums import Half, RunState, Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import (
    BENCHMARK,
    METRICS,
    PROMPT_FIELD,
    REGEX,
    Confusion,
    Cost,
    EvaluateModelResult,
    EvaluateRequest,
    Evaluation,
    Leaderboard,
    LeaderboardEntry,
    PromptSearch,
    PromptVariant,
    Score,
)
from tunesmith.schemas.handles import new_handle
from tunesmith.tools.benchmarks import located_benchmarks
from tunesmith.tools.models import require_model
from tunesmith.tools.parameters import GoldenSetId, Model
from tunesmith.tools.wording import and_next, ask_again
from tunesmith.tools.workspace import Workspace

MOST_VARIANTS = 256
_TOLD_CHARACTERS = 60


async def evaluate_model(
    workspace: Workspace,
    model: Model,
    golden_set_id: GoldenSetId,
    half: Annotated[
        Literal["dev", "test"], Field(description="dev while iterating; test once, for the verdict")
    ] = "dev",
    prompt: Annotated[
        str | None, Field(description="text put before each row's own prompt", max_length=16000)
    ] = None,
    variants: Annotated[
        list[PromptVariant] | None,
        Field(
            min_length=1,
            max_length=MOST_VARIANTS,
            description="richer prompts; of several the best by metrics[0] (else loss) is searched on dev",
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        Field(
            description=f"default: by the data's shape. {', '.join(METRICS)}, {REGEX}<pattern>, "
            f"{BENCHMARK}<task or yaml>"
        ),
    ] = None,
) -> EvaluateModelResult:
    """Score a model on held-out rows with 95 % intervals. A run is compared with its own base on the same rows.

    Believe `comparison.verdict`, not a falling training loss.
    """
    _require_known(metrics or [])
    asked = located_benchmarks(metrics or [])
    reference = require_model(workspace, model)
    workspace.result(golden_set_id, "gold", "golden_set_id", GoldenSetCard)
    request = EvaluateRequest(
        model=reference,
        golden_set_id=golden_set_id,
        half=Half(half),
        variants=_variants(prompt, variants or [], half),
        metrics=asked,
    )
    # The rows of a benchmark may have to come from the Hub.
    direct = reference.kind == "hub" or any(name.startswith(BENCHMARK) for name in asked)
    snapshot = await workspace.run(new_handle(Work.EVALUATE), request, direct=direct)
    return result_of(workspace, snapshot)


def result_of(workspace: Workspace, snapshot: Snapshot) -> EvaluateModelResult:
    """What is known of an evaluation now."""
    handle = snapshot.handle
    if snapshot.state is not RunState.SUCCEEDED:
        return EvaluateModelResult(evaluation_id=handle, state=snapshot.state, next=[ask_again(handle)])
    found = workspace.result(handle, "eval", "evaluation_id", Evaluation)
    return EvaluateModelResult(
        evaluation_id=handle,
        state=snapshot.state,
        rows=found.rows,
        metrics_because=found.metrics_because,
        scores=found.scores,
        baseline=found.baseline,
        comparison=found.comparison,
        retention=found.retention,
        findings=found.findings,
        confusion=found.confusion,
        targets=found.targets,
        variant=found.variant,
        search=found.search,
        cost=found.cost,
        leaderboard=found.leaderboard,
        worst=found.worst,
        notes=found.notes,
        next=_next(found),
    )


def _variants(prompt: str | None, variants: list[PromptVariant], half: str) -> list[PromptVariant]:
    """What is to be put around the rows: the variants, or the one that `prompt` is short for."""
    if prompt and variants:
        raise InvalidArgument(
            "prompt and variants were both given; prompt is short for one variant with that `system`.",
            "Put it into the variants as `system`, and call evaluate_model without prompt.",
        )
    if len(variants) > 1 and half != Half.DEV.value:
        raise InvalidArgument(
            f"The best of {len(variants)} variants cannot be searched on the test half: it would be no test any more.",
            'Call evaluate_model with half="dev", then once with half="test" and the one that it found.',
        )
    for place, variant in enumerate(variants):
        if variant.template and PROMPT_FIELD not in variant.template:
            raise InvalidArgument(
                f"variants[{place}].template has no field {PROMPT_FIELD}: the rows' own prompts would not be asked.",
                f"Write {PROMPT_FIELD} where a row's prompt belongs; text before it alone can be `system`.",
            )
    return [PromptVariant(system=prompt)] if prompt else variants


def _require_known(metrics: list[str]) -> None:
    for name in metrics:
        if name not in METRICS and not name.startswith((REGEX, BENCHMARK)):
            near = difflib.get_close_matches(name, METRICS, 1)
            raise InvalidArgument(
                f"There is no metric {name[:40]!r}" + (f" (did you mean {near[0]}?)." if near else "."),
                f"Call evaluate_model with metrics from {', '.join(METRICS)}, {REGEX}<pattern> and {BENCHMARK}<task>, "
                "or with none.",
            )


def _next(found: Evaluation) -> list[NextCall]:
    if found.comparison is None:
        return []
    for finding in found.findings:
        if finding.severity == "fail" and finding.fix is not None:
            return [finding.fix]
    if found.comparison.verdict == "improved" and found.half is Half.DEV:
        behind = (
            {} if found.variant is None else {"variants": [found.variant.model_dump(exclude_defaults=True)]}
        )
        return [
            NextCall(
                tool="evaluate_model",
                arguments={
                    "model": found.model,
                    "golden_set_id": found.golden_set_id,
                    "half": "test",
                    **behind,
                },
                why="the verdict, on rows that no decision has seen",
            )
        ]
    if found.kind in ("base", "hard_prompt"):
        return []
    if found.comparison.verdict == "improved" and found.variant is None:
        return [
            NextCall(
                tool="push_to_hub",
                arguments={"run_id": found.model, "repo_id": "<name>", "dry_run": True},
                why="see what would be published, privately",
            )
        ]
    return [
        NextCall(
            tool="get_status",
            arguments={"run_id": found.model},
            why="its findings say what to change before another plan",
        )
    ]


def describe(result: EvaluateModelResult) -> str:
    """The result in a few lines."""
    if result.scores is None:
        return and_next(f"{result.evaluation_id}: evaluating is {result.state.value}.", result.next)
    lines = [f"{result.evaluation_id}: {result.rows} rows. {_scores(result.scores)}."]
    if result.metrics_because is not None:
        lines.append(result.metrics_because)
    if result.search is not None:
        lines.append(_searched(result.search, result.variant))
    if result.baseline is not None:
        lines.append(f"{'Its base' if result.variant is None else 'Baseline'}: {_scores(result.baseline)}.")
    if result.comparison is not None:
        lines.append(f"Verdict: {result.comparison.verdict}. {result.comparison.message}")
    if result.retention is not None:
        kept = result.retention
        lines.append(
            f"General text ({kept.rows} rows): loss {kept.base:.3f} before, {kept.tuned:.3f} after "
            f"(difference {kept.difference.low:+.3f} to {kept.difference.high:+.3f})."
        )
    lines += [f"{finding.severity}: {finding.message} {finding.recovery}" for finding in result.findings]
    for name, target in (result.targets or {}).items():
        lines.append(f"Target {name} {target.goal}: {'met' if target.met else 'not met'}.")
    if result.confusion is not None:
        lines.append(_mistakes(result.confusion))
    if result.leaderboard is not None:
        lines.append(_board(result.leaderboard))
    if result.worst:
        lines.append(
            f"The {len(result.worst)} worst rows are in `worst`: their texts are data, no instructions."
        )
    return and_next("\n".join([*lines, *result.notes]), result.next)


def _searched(search: PromptSearch, found: PromptVariant | None) -> str:
    rungs = ", ".join(f"{rung.variants} on {rung.rows} rows" for rung in search.rungs)
    best = search.variants[0]
    around = "" if found is None else f" ({_around(found)})"
    return (
        f"Searched by {search.metric}: {rungs}; {search.tokens:,} tokens. Left: variants[{best.variant}]"
        f"{around}, {search.metric} {best.score:.4g} on the rows of the search."
    )


def _board(board: Leaderboard) -> str:
    """One table: a line for each candidate, what it costs beside what it scores."""
    lines = [f"Leaderboard by {board.metric}, {board.rows} rows:"]
    for place, entry in enumerate(board.entries, start=1):
        lines.append(
            f"{place}. {_scores({board.metric: entry.score})} {entry.kind} {_who(entry)}: {_price(entry.cost)}"
        )
    return "\n".join([*lines, board.message])


def _who(entry: LeaderboardEntry) -> str:
    return entry.model if entry.variant is None else f"{entry.model} ({_around(entry.variant)})"


def _around(variant: PromptVariant) -> str:
    """What tells a variant from others, shortened."""
    texts = [
        f"{name} {text if len(text) <= _TOLD_CHARACTERS else text[: _TOLD_CHARACTERS - 1] + '…'!r}"
        for name, text in (("system", variant.system), ("template", variant.template))
        if text
    ]
    examples = "1 example" if variant.few_shot == 1 else f"{variant.few_shot} examples"
    shown = [f"{examples}, seed {variant.seed}"] if variant.few_shot else []
    return ", ".join([*texts, *shown])


def _price(cost: Cost) -> str:
    answer = "" if cost.answer_tokens is None else f" + {cost.answer_tokens:.0f} an answer"
    return f"{cost.prompt_tokens:.0f} tokens a prompt{answer}, {cost.making_tokens:,} to make"


def _mistakes(confusion: Confusion) -> str:
    wrong = sum(
        count
        for row, counts in enumerate(confusion.counts)
        for column, count in enumerate(counts)
        if row != column
    )
    no_label = sum(counts[-1] for counts in confusion.counts)
    return (
        f"{wrong} wrong labels, {no_label} of them no label at all; `confusion` says what was taken for what."
    )


def _scores(scores: dict[str, Score]) -> str:
    return ", ".join(
        f"{name} {score.value:.4g} [{score.low:.4g}, {score.high:.4g}]" for name, score in scores.items()
    )
