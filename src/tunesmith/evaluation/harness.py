"""Benchmarks of lm-evaluation-harness, on a model that is loaded already.

Imported where one was asked for: the harness is an extra, and takes seconds to import. What it might run for others
stays off: no remote code, no tasks that execute what a model wrote, no metrics that are downloaded as programs, and
templates in Jinja's sandbox.
"""

from __future__ import annotations

import difflib
import math
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import evaluate
import httpx
import lm_eval.utils
from huggingface_hub.errors import HfHubHTTPError
from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment
from lm_eval import evaluator
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from tunesmith.evaluation.benchmark_scores import Measured, Results
from tunesmith.evaluation.generation import BATCH_ROWS
from tunesmith.evaluation.measurement import row_limit
from tunesmith.evaluation.scoring import occupied_positions, virtual_tokens
from tunesmith.evaluation.task_files import read_task_file
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.schemas.errors import HubUnavailable, InvalidArgument, TunesmithError
from tunesmith.schemas.evaluations import BENCHMARK

RESAMPLES = 1000
"""For the standard errors of figures that are no means over rows."""
LONGEST_ANSWER_TOKENS = 256
_TELL_EVERY_S = 5.0
_MISFITS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_OWN_DATA = "Or pass a task file with data of your own: lm_eval:<path of a .yaml file>."


@dataclass(frozen=True)
class Benchmarks:
    """Tasks that are ready to run. `asked` has, for each name that was asked for, those whose figures are told."""

    tasks: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=dict)

    def run(self, model: Any, tokenizer: Any, job: JobContext, whose: str) -> Results:
        """The figures of `model`, an adapter or a base, which has to be in evaluation mode.

        Raises:
            Stopped: a stop was requested.
            InvalidArgument: the rows do not fit the task's templates.
        """
        wrapped = _LoadedModel(model, tokenizer, job, whose)
        os.environ["DISABLE_MULTIPROC"] = (
            "1"  # a process with a model in it is not to be forked for each core
        )
        with _told_failures(", ".join(self.asked)):
            found = evaluator.evaluate(
                wrapped,
                {"tasks": self.tasks, "groups": self.groups},
                bootstrap_iters=RESAMPLES,
                confirm_run_unsafe_code=False,
            )
        results: Results = {}
        for names in self.asked.values():
            for name in names:
                results.update(
                    _measured(name, found["results"].get(name, {}), found["samples"].get(name, []))
                )
        return results


def load_benchmarks(names: Sequence[str], scratch: Path) -> Benchmarks:
    """The benchmarks of these names; an absolute path is a task file's, whose rows are copied below `scratch`.

    Raises:
        InvalidArgument: there is no such task, it executes code, or it cannot be set up.
        HubUnavailable: its data cannot be fetched.
        UnsafePath, UnreadableSource: a task file; see `task_files`.
    """
    _confine()
    found = Benchmarks()
    manager: Any = None
    for name in names:
        with _told_failures(Path(name).stem):
            if Path(name).is_absolute():
                built: Any = ConfigurableTask(config=read_task_file(Path(name), scratch))
                loaded: Mapping[str, Any] = {"tasks": {built.task_name: built}, "groups": {}}
            else:
                manager = manager or TaskManager()
                _require_known(name, manager.all_tasks)
                loaded = manager.load([name])
        _add(found, Path(name).stem if Path(name).is_absolute() else name, loaded)
    return found


def _add(found: Benchmarks, name: str, loaded: Mapping[str, Any]) -> None:
    for task_name, task in loaded["tasks"].items():
        if task_name in found.tasks:
            raise InvalidArgument(
                f"The benchmark {task_name} is named twice.",
                "Name each benchmark once, and files differently.",
            )
        if getattr(task, "UNSAFE_CODE", False):
            raise InvalidArgument(
                f"The benchmark {task_name} executes what a model writes, and that is never done here.",
                f"Name another benchmark. {_OWN_DATA}",
            )
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=0)
    found.tasks.update(loaded["tasks"])
    found.groups.update(loaded["groups"])
    group = loaded["groups"].get(name)
    told_as_one = group is not None and group.aggregate_metric_list
    found.asked[name] = [name] if told_as_one else [*loaded["tasks"]]


def _require_known(name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, 5)
        raise InvalidArgument(
            f"lm-evaluation-harness has no task {name[:60]!r}."
            + (f" Near it: {', '.join(near)}." if near else ""),
            f"Name one of its {len(known)} tasks. {_OWN_DATA}",
        )


def _measured(task: str, figures: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> Results:
    """The numbers of one task, by metric; those of filters other than the first carry the filter's name."""
    results: Results = {}
    for key, value in figures.items():
        metric, _, chosen = key.partition(",")
        if (
            not chosen
            or metric.endswith("_stderr")
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            continue
        error = figures.get(f"{metric}_stderr,{chosen}")
        told = f"{BENCHMARK}{task}/{metric}" + ("" if chosen == "none" else f",{chosen}")
        results[told] = Measured(
            float(value),
            float(error) if isinstance(error, int | float) and math.isfinite(error) else None,
            _rows(metric, chosen, float(value), samples),
        )
    return results


def _rows(
    metric: str, chosen: str, value: float, samples: Sequence[Mapping[str, Any]]
) -> dict[int, float] | None:
    """What each row adds, where the task's figure is the mean of that."""
    rows = {
        int(sample["doc_id"]): float(sample[metric])
        for sample in samples
        if sample.get("filter") == chosen and isinstance(sample.get(metric), int | float | bool)
    }
    if not rows or not math.isclose(sum(rows.values()) / len(rows), value, rel_tol=1e-6, abs_tol=1e-9):
        return None
    return rows


class _LoadedModel(HFLM):
    """Tells that it is alive and hears a stop before each batch."""

    def __init__(self, model: Any, tokenizer: Any, job: JobContext, whose: str) -> None:
        self._job = job
        self._whose = whose
        self._passes = 0
        self._told_at = clock.boot_s()
        self._shift = virtual_tokens(model)
        with _weights_as_they_are(model):
            super().__init__(
                pretrained=model,
                tokenizer=tokenizer,
                # Padding would stand between a learned prompt and the row.
                batch_size=1 if occupied_positions(model) else BATCH_ROWS,
                max_length=row_limit(model),
                trust_remote_code=False,
            )

    @property
    def max_gen_toks(self) -> int:
        return min(LONGEST_ANSWER_TOKENS, self.max_length // 2)

    def _model_call(self, inps: Any, attn_mask: Any = None, labels: Any = None) -> Any:
        self._hear()
        return super()._model_call(inps, attn_mask, labels)[:, self._shift :]

    def _model_generate(self, context: Any, max_length: int, stop: list[str], **arguments: Any) -> Any:
        self._hear()
        return super()._model_generate(context, max_length, stop, **arguments)

    def _hear(self) -> None:
        if self._job.stop_requested():
            raise Stopped
        self._passes += 1
        if clock.boot_s() - self._told_at >= _TELL_EVERY_S:
            self._told_at = clock.boot_s()
            self._job.phase(f"benchmarks on {self._whose}: {self._passes} batches")


@contextmanager
def _weights_as_they_are(model: Any) -> Iterator[None]:
    """The harness ties the weights of whatever it is given, which an adapter may have untied on purpose."""
    model.tie_weights = lambda: None
    try:
        yield
    finally:
        del model.tie_weights


def _confine() -> None:
    """Keep the harness from running what strangers wrote."""
    sandbox = SandboxedEnvironment(undefined=lm_eval.utils.env.undefined, keep_trailing_newline=True)
    sandbox.filters.update(lm_eval.utils.env.filters)
    lm_eval.utils.env = sandbox
    evaluate.load = _refuse_metric


def _refuse_metric(name: str, *_: Any, **__: Any) -> None:
    raise InvalidArgument(
        f"The benchmark takes a metric ({name[:40]!r}) that is a program to be downloaded, and those are never run.",
        f"Name another benchmark. {_OWN_DATA}",
    )


@contextmanager
def _told_failures(name: str) -> Iterator[None]:
    try:
        yield
    except (TunesmithError, Stopped, MemoryError):
        raise
    except (ConnectionError, TimeoutError, httpx.HTTPError, HfHubHTTPError) as error:
        raise _unreachable(name) from error
    except datasets.exceptions.DatasetNotFoundError as error:
        raise _unreachable(name) from error
    except (*_MISFITS, TemplateError) as error:
        traceback.print_exc()  # into the job's log
        raise InvalidArgument(
            f"The benchmark {name} cannot be run ({type(error).__name__}): its definition and its rows do not fit.",
            f"The log of this evaluation says where. Name another benchmark. {_OWN_DATA}",
        ) from error


def _unreachable(name: str) -> HubUnavailable:
    return HubUnavailable(
        f"The data of the benchmark {name} cannot be fetched from the Hub, and are not complete in the cache.",
        f"Check the network, HF_ENDPOINT and HF_HUB_OFFLINE, then call again. {_OWN_DATA}",
    )
