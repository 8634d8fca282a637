"""find_models: base models that fit the task and this machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import RunState, TuningMethod, Work
from tunesmith.schemas.handles import new_handle
from tunesmith.schemas.models import FindModelsRequest, FindModelsResult, FoundModel, ModelSearch
from tunesmith.tools.locations import allowed_roots
from tunesmith.tools.wording import and_next, ask_again
from tunesmith.tools.workspace import Workspace

_SHOWN = 10


async def find_models(
    workspace: Workspace,
    query: Annotated[
        str | None, Field(description="words in the name, e.g. qwen instruct", max_length=200)
    ] = None,
    dataset_id: Annotated[str | None, Field(description="ds-… handle of the rows to train on")] = None,
    tuning_method: Annotated[
        Literal["full", "lora", "qlora", "prompt_tuning", "prefix_tuning"], Field()
    ] = "lora",
    max_parameters: Annotated[float | None, Field(gt=0, description="e.g. 3e9")] = None,
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> FindModelsResult:
    """Base models that fit this machine and the method, best first: from the Hub, an offline table, local folders.

    Name the dataset: its length and kind count.
    """
    if dataset_id is not None:
        workspace.result(dataset_id, "ds", "dataset_id", DatasetCard)
    request = FindModelsRequest(
        query=query,
        dataset_id=dataset_id,
        tuning_method=TuningMethod(tuning_method),
        max_parameters=max_parameters,
        limit=limit,
        roots=[str(root) for root in allowed_roots()],
    )
    # It asks the Hub, and the token is in this process's environment alone.
    snapshot = await workspace.run(new_handle(Work.FIND_MODELS), request, direct=True)
    return result_of(workspace, snapshot, request)


def result_of(workspace: Workspace, snapshot: Snapshot, request: FindModelsRequest) -> FindModelsResult:
    """What is known of a search now."""
    handle = snapshot.handle
    if snapshot.state is not RunState.SUCCEEDED:
        return FindModelsResult(search_id=handle, state=snapshot.state, next=[ask_again(handle)])
    found = workspace.result(handle, "find", "search_id", ModelSearch)
    return FindModelsResult(
        search_id=handle,
        state=snapshot.state,
        models=found.models,
        total=found.total,
        machine=found.machine,
        warnings=found.warnings,
        next=_next(workspace, request, found),
    )


def _next(workspace: Workspace, request: FindModelsRequest, found: ModelSearch) -> list[NextCall]:
    method, models = request.tuning_method, found.models
    fitting = [model for model in models if model.fit.get(method) in ("fits", "tight")]
    if not models:
        return [NextCall(tool="find_models", arguments={}, why="all there are, without the conditions")]
    if not fitting:
        again = request.model_dump(mode="json", exclude_none=True, include={"query", "dataset_id", "limit"})
        smaller = "qlora" if method is not TuningMethod.QLORA else "prompt_tuning"
        return [
            NextCall(
                tool="find_models",
                arguments={**again, "tuning_method": smaller},
                why="none of these fits this machine; another method takes less memory",
            )
        ]
    if request.dataset_id is None:
        return [
            NextCall(tool="load_dataset", arguments={"source": "<rows>"}, why="read the rows to train it on")
        ]
    card = workspace.result(request.dataset_id, "ds", "dataset_id", DatasetCard)
    first, why = _first_to_load(fitting, found)
    arguments = {"base_model": first, "dataset_id": request.dataset_id, "tuning_method": method.value}
    if card.golden_set_id is not None:
        arguments["golden_set_id"] = card.golden_set_id
    return [NextCall(tool="configure_lora", arguments=arguments, why=why)]


def _first_to_load(fitting: list[FoundModel], found: ModelSearch) -> tuple[str, str]:
    """The base model to plan with and why: without the Hub only one that lies on this machine can be loaded."""
    if found.hub == "searched":
        return fitting[0].id, "plan with the first that fits"
    here = next((model.id for model in fitting if model.source not in ("hub", "table")), None)
    if here is None:
        return "demo", (
            f"the Hub was not searched, and {fitting[0].id} would have to come from it: meanwhile the embedded model "
            "shows what the rows do"
        )
    return here, "plan with the first that fits and lies on this machine: the Hub was not searched"


def describe(result: FindModelsResult) -> str:
    """The result in a few lines."""
    if result.models is None:
        return and_next(f"{result.search_id}: searching is {result.state.value}.", result.next)
    lines = [f"{len(result.models)} of {result.total} base models, for {result.machine}."]
    for model in result.models[:_SHOWN]:
        told = [
            f"{_count(model.parameters)} parameters",
            f"reads {model.context or '?'} tokens",
            model.license or "licence unknown",
            model.source,
        ]
        lines.append(f"- {model.id}: {', '.join(told)}. {model.note}")
    lines += [f"Warning: {warning}" for warning in result.warnings or []]
    return and_next("\n".join(lines), result.next)


def _count(parameters: int | None) -> str:
    if parameters is None:
        return "unknown"
    return f"{parameters / 1e9:.1f} G" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"
