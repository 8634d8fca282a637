"""get_status: how a run, or any other handle's work, stands."""

from __future__ import annotations

import math
from typing import Annotated, Any

import anyio
from pydantic import Field

from tunesmith.diagnosis.findings import RunHistory, diagnose
from tunesmith.jobs import clock, machine
from tunesmith.jobs.files import read_document, read_json
from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.datasets import BuildGoldenSetRequest, CleanDatasetRequest, DatasetCard
from tunesmith.schemas.enums import RunState, TrainingMode, Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.handles import is_handle, work_of
from tunesmith.schemas.models import FindModelsRequest
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.publishing import PushRequest
from tunesmith.schemas.runs import Finding, GetStatusResult, TrainOutcome, TrainRequest
from tunesmith.tools import (
    build_golden_set,
    clean_dataset,
    compare_models,
    configure_lora,
    evaluate_model,
    find_models,
    generate_text,
    load_dataset,
    push_to_hub,
)
from tunesmith.tools.chart import NoChart, chart_of
from tunesmith.tools.queueing import place_of
from tunesmith.tools.wording import and_next, figure, seconds
from tunesmith.tools.workspace import Workspace

_BAR_WIDTH = 20


async def get_status(
    workspace: Workspace,
    run_id: Annotated[str, Field(description="run-… handle, or that of other work")],
    wait_s: Annotated[
        float,
        Field(ge=0, le=50, description="wait at most this long for news: an evaluation, a finding, the end"),
    ] = 0,
    chart: Annotated[bool, Field(description="with the curves as a picture")] = False,
) -> GetStatusResult:
    """Tell how far a run is, how well it learns, what is wrong and what to do. Use wait_s instead of polling.

    Also tells the result of any other work that outlasted its call.
    """
    if not is_handle(run_id):
        raise InvalidArgument(
            "run_id is not a handle; they look like run-… and come from start_training.",
            "Pass a handle unchanged, or call list_runs to see the runs there are.",
        )
    first = workspace.observer.look(run_id)
    if first.state is RunState.QUEUED:
        await anyio.to_thread.run_sync(workspace.executor.requeue_lost, run_id)
    known = _news(workspace, first)
    snapshot = first
    if first.state.is_active and wait_s > 0:
        snapshot = await workspace.wait(run_id, wait_s, until=lambda now: _news(workspace, now) != known)
    status = status_of(workspace, snapshot)
    if not chart:
        return status
    try:
        return status.with_png(await chart_of(snapshot))
    except NoChart as reason:
        return status.model_copy(update={"findings": [*status.findings, reason.as_finding()]})


def status_of(workspace: Workspace, snapshot: Snapshot) -> GetStatusResult:
    """The status that a snapshot amounts to."""
    return (
        _run_status(workspace, snapshot)
        if work_of(snapshot.handle) is Work.TRAIN
        else _work_status(workspace, snapshot)
    )


def _news(workspace: Workspace, snapshot: Snapshot) -> tuple[object, ...]:
    """What has to change for a waiting caller to be answered: not each step, but whatever may call for a decision."""
    ledger = snapshot.ledger
    # starting and running are one stretch of waiting for somebody who wants to know how training goes.
    state = (
        "under way"
        if snapshot.state in (RunState.QUEUED, RunState.STARTING, RunState.RUNNING)
        else snapshot.state
    )
    return (
        state,
        len(ledger.evaluations) > 1 and ledger.evaluations[-1][0],
        len(ledger.findings),
        ledger.attempt,
        _serious(workspace, snapshot),
    )


def _serious(workspace: Workspace, snapshot: Snapshot) -> list[str]:
    """What is found wrong with a run that trains now."""
    if work_of(snapshot.handle) is not Work.TRAIN or snapshot.state is not RunState.RUNNING:
        return []
    request = read_document(snapshot.paths.request, TrainRequest)
    findings = _findings(workspace, snapshot, request)
    return [finding.code for finding in findings if finding.severity != "info"]


def _run_status(workspace: Workspace, snapshot: Snapshot) -> GetStatusResult:
    ledger = snapshot.ledger
    figures = ledger.progress
    step, total = figures.get("step"), figures.get("total_steps")
    evaluations = ledger.evaluations
    newest = evaluations[-1] if evaluations else None
    request = read_document(snapshot.paths.request, TrainRequest)
    outcome = (
        read_document(snapshot.paths.result, TrainOutcome) if snapshot.state is RunState.SUCCEEDED else None
    )
    place = place_of(workspace, snapshot.handle) if snapshot.state is RunState.QUEUED else None
    phase = ledger.phase if place is None else place.in_words
    running = snapshot.state in (RunState.RUNNING, RunState.STOPPING)
    return GetStatusResult(
        run_id=snapshot.handle,
        state=snapshot.state,
        phase=phase if snapshot.state.is_active else None,
        queue_position=None if place is None else place.position,
        bar=bar(snapshot) if place is None else f"{bar(snapshot)} · {place.in_words}",
        step=step,
        total_steps=total,
        progress=step / total if isinstance(step, int) and total else None,
        eta_s=figures.get("eta_s") if running else None,
        elapsed_s=_elapsed_s(snapshot),
        attempt=max(1, ledger.attempt),
        loss=figures.get("loss"),
        base_eval_loss=_base_loss(snapshot),
        eval_loss=newest[1] if newest else None,
        perplexity=_perplexity(newest[1]) if newest else None,
        accuracy=newest[2] if newest else None,
        tokens_per_s=figures.get("tokens_per_s"),
        peak_memory_bytes=figures.get("peak_memory_bytes"),
        findings=_findings(workspace, snapshot, request),
        smoke=outcome.smoke if outcome else None,
        error=snapshot.error,
        next=_next(snapshot, request, outcome),
    )


def _perplexity(loss: float) -> float | None:
    # e^700 is the edge of a double; a model that far off has no perplexity worth telling.
    return math.exp(loss) if loss < 700 else None


def _base_loss(snapshot: Snapshot) -> float | None:
    evaluations = snapshot.ledger.evaluations
    return evaluations[0][1] if evaluations and evaluations[0][0] == 0 else None


def _elapsed_s(snapshot: Snapshot) -> float | None:
    """Boot seconds from the attempt's start to now, or to its last event."""
    started, last = snapshot.ledger.started_boot_s, snapshot.ledger.last_boot_s
    if started is None or last is None:
        return None
    end = clock.boot_s() if snapshot.state.is_active else last
    return max(0.0, end - started)


def _findings(workspace: Workspace, snapshot: Snapshot, request: TrainRequest | None) -> list[Finding]:
    ledger = snapshot.ledger
    told = [
        Finding.model_validate(
            {name: finding.get(name) or "" for name in ("code", "severity", "message", "recovery")}
        )
        for finding in ledger.findings
    ]
    if snapshot.doubt:
        told.append(_doubt(snapshot))
    if request is not None and request.mode is TrainingMode.SMOKE:
        return told  # a trial is too short to judge learning by; its own verdict does
    told += diagnose(history_of(workspace, snapshot))
    return told


def history_of(workspace: Workspace, snapshot: Snapshot) -> RunHistory:
    """What diagnosis is given of a run."""
    ledger = snapshot.ledger
    plan = read_document(snapshot.paths.plan, Plan)
    card = (
        None if plan is None else read_document(workspace.store.handle(plan.dataset_id).result, DatasetCard)
    )
    return RunHistory(
        run_id=snapshot.handle,
        state=snapshot.state,
        train=ledger.losses,
        evaluations=[(step, loss) for step, loss, _ in ledger.evaluations if step > 0],
        base_eval_loss=_base_loss(snapshot),
        total_steps=ledger.progress.get("total_steps"),
        plan=plan,
        card=card,
        gradients=ledger.gradients.points,
        inputs=ledger.inputs,
        prompt_use=ledger.prompt_use,
        figures=ledger.progress,
        phase=ledger.phase,
        silent_s=_silent_s(snapshot),
        error_code=None if snapshot.error is None else snapshot.error.code,
    )


def _silent_s(snapshot: Snapshot) -> float | None:
    """Seconds since the last word of a process of this machine; of another one's clock nothing is known."""
    ledger = snapshot.ledger
    here = (ledger.worker or {}).get("boot_id") == machine.boot_id()
    if not snapshot.state.is_active or not here or ledger.last_boot_s is None:
        return None
    return max(0.0, clock.boot_s() - ledger.last_boot_s)


def _doubt(snapshot: Snapshot) -> Finding:
    return Finding(
        code="liveness_unknown",
        severity="warn",
        message=f"It is not known whether this run's process is alive: {snapshot.doubt}. This is its last word.",
        recovery="Nothing is started or stopped on a guess. Ask a person to look there; when it is surely gone: "
        f"tunesmith runs declare-dead {snapshot.handle}.",
    )


def _next(snapshot: Snapshot, request: TrainRequest | None, outcome: TrainOutcome | None) -> list[NextCall]:
    run_id = snapshot.handle
    if snapshot.state.is_active:
        wait = {"run_id": run_id, "wait_s": 30}
        return [NextCall(tool="get_status", arguments=wait, why="waits for the next evaluation or the end")]
    plan = read_document(snapshot.paths.plan, Plan)
    if request is None or plan is None:
        return []
    if outcome is not None and outcome.smoke is not None:
        if not outcome.smoke.go:
            return []
        arguments = {"plan_id": plan.plan_id, "mode": "full", "request_key": f"{plan.plan_id}-1"}
        return [NextCall(tool="start_training", arguments=arguments, why="the trial says go")]
    if snapshot.state is RunState.SUCCEEDED:
        if plan.golden_set_id is None:
            prompts = {"model": run_id, "prompts": ["<prompt>"]}
            return [NextCall(tool="generate_text", arguments=prompts, why="see what it writes")]
        arguments = {"model": run_id, "golden_set_id": plan.golden_set_id, "half": "test"}
        return [NextCall(tool="evaluate_model", arguments=arguments, why="the verdict, against its own base")]
    if request.mode is TrainingMode.FULL:
        arguments = {"plan_id": plan.plan_id, "resume_run_id": run_id}
        return [NextCall(tool="start_training", arguments=arguments, why="go on from the last commit")]
    return []


def _work_status(workspace: Workspace, snapshot: Snapshot) -> GetStatusResult:
    figures = snapshot.ledger.progress
    step, total = figures.get("step"), figures.get("total_steps")
    result, summary, calls = None, None, []
    if snapshot.state is RunState.SUCCEEDED:
        answer, summary = _answer(workspace, snapshot)
        result = answer.model_dump(mode="json", exclude={"next", "state"}, exclude_none=True)
        calls = answer.next
    elif snapshot.state.is_active:
        wait = {"run_id": snapshot.handle, "wait_s": 30}
        calls = [NextCall(tool="get_status", arguments=wait, why="waits for its result")]
    return GetStatusResult(
        run_id=snapshot.handle,
        state=snapshot.state,
        phase=snapshot.ledger.phase if snapshot.state.is_active else None,
        bar=bar(snapshot),
        step=step,
        total_steps=total,
        progress=step / total if isinstance(step, int) and total else None,
        elapsed_s=_elapsed_s(snapshot),
        result=result,
        summary=summary,
        error=snapshot.error,
        next=calls,
    )


def _answer(workspace: Workspace, snapshot: Snapshot) -> tuple[Any, str]:
    """What the call that began the work would have answered, had it been finished by then; and that in words."""
    work = work_of(snapshot.handle)
    answer: Any
    tool: Any
    if work is Work.LOAD_DATASET:
        tool, answer = load_dataset, load_dataset.result_of(workspace, snapshot)
    elif work is Work.CLEAN_DATASET:
        cleaning = CleanDatasetRequest.model_validate(read_json(snapshot.paths.request))
        tool, answer = clean_dataset, clean_dataset.result_of(workspace, snapshot, cleaning.fixes)
    elif work is Work.BUILD_GOLDEN_SET:
        request = BuildGoldenSetRequest.model_validate(read_json(snapshot.paths.request))
        tool, answer = (
            build_golden_set,
            build_golden_set.result_of(workspace, snapshot, request.train_dataset_id),
        )
    elif work is Work.FIND_MODELS:
        search = FindModelsRequest.model_validate(read_json(snapshot.paths.request))
        tool, answer = find_models, find_models.result_of(workspace, snapshot, search)
    elif work is Work.CONFIGURE:
        tool, answer = configure_lora, configure_lora.result_of(workspace, snapshot)
    elif work is Work.EVALUATE:
        tool, answer = evaluate_model, evaluate_model.result_of(workspace, snapshot)
    elif work is Work.GENERATE:
        tool, answer = generate_text, generate_text.result_of(workspace, snapshot)
    elif work is Work.COMPARE:
        tool, answer = compare_models, compare_models.result_of(workspace, snapshot)
    else:
        push = PushRequest.model_validate(read_json(snapshot.paths.request))
        tool, answer = push_to_hub, push_to_hub.result_of(workspace, snapshot, push)
    return answer, tool.describe(answer.model_copy(update={"next": []}))


def bar(snapshot: Snapshot) -> str:
    """One line: `run-… running [#####---------------] 25% 30/120 · loss 0.812 · eval loss 0.79 · 4,120 tokens/s`."""
    ledger, figures = snapshot.ledger, snapshot.ledger.progress
    step, total = figures.get("step"), figures.get("total_steps")
    parts = [f"{snapshot.handle} {snapshot.state.value}"]
    if isinstance(step, int) and isinstance(total, int) and total > 0:
        done = min(1.0, step / total)
        filled = round(done * _BAR_WIDTH)
        parts[0] += f" [{'#' * filled}{'-' * (_BAR_WIDTH - filled)}] {done:.0%} {step}/{total}"
    elif snapshot.state.is_active and ledger.phase:
        parts.append(ledger.phase)
    if isinstance(figures.get("loss"), (int, float)):
        parts.append(f"loss {figures['loss']:.3f}")
    if ledger.evaluations:
        parts.append(f"eval loss {ledger.evaluations[-1][1]:.3f}")
    if isinstance(figures.get("tokens_per_s"), (int, float)):
        parts.append(f"{figures['tokens_per_s']:,.0f} tokens/s")
    if snapshot.state is RunState.RUNNING and isinstance(figures.get("eta_s"), (int, float)):
        parts.append(f"{seconds(figures['eta_s'])} left")
    return " · ".join(parts)


def describe(result: GetStatusResult) -> str:
    """The status in a few lines."""
    lines = [result.bar]
    if result.eval_loss is not None:
        lines.append(
            f"Dev half: loss {figure(result.base_eval_loss)} before the first step, {figure(result.eval_loss)} now; "
            f"perplexity {figure(result.perplexity, 2)}, token accuracy {figure(result.accuracy)}."
        )
    if result.smoke is not None:
        lines.append(f"Trial: {'go' if result.smoke.go else 'NO-GO'}. {' '.join(result.smoke.reasons)}")
    lines += [
        f"{finding.severity} {finding.code}: {finding.message} {finding.recovery}"
        for finding in result.findings
    ]
    if result.error is not None:
        lines.append(f"{result.error.code}: {result.error.message} {result.error.recovery}")
    if result.summary is not None:
        lines.append(result.summary)
    if result.png is not None:
        lines.append(
            f"The picture shows losses, learning rate and speed. All of it on a page: tunesmith report {result.run_id}."
        )
    return and_next("\n".join(lines), result.next)
