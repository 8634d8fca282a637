from __future__ import annotations

import math
from typing import Any

import pytest

from tests.support.written_runs import plan_with
from tunesmith.diagnosis.effect import fell, rose
from tunesmith.diagnosis.findings import RunHistory, diagnose
from tunesmith.schemas.enums import RunState

RUN = "run-aaaaaaaaaaaaaaaa"


def curve(*losses: float, every: int = 10) -> list[tuple[int, float]]:
    return [(every * place, loss) for place, loss in enumerate(losses, start=1)]


FALLING = curve(3.0, 2.8, 2.6, 2.4, 2.2, 2.0, 1.9, 1.8, 1.7, 1.6)
FLAT = curve(2.0, 2.01, 1.99, 2.0, 2.02, 1.98, 2.0, 2.01, 1.99, 2.0)
EXPLODING = curve(3.0, 2.5, 2.2, 2.0, 1.8, 1.8, 1.9, 3.5, 6.0, 7.0)
SPIKING = curve(3.0, 2.5, 2.0, 1.5, 1.0, 0.9, 0.8, 0.8, 0.8, 1.3)
TINY_AT_LAST = curve(3.0, 1.0, 0.2, 0.01, 0.002, 0.002, 0.003, 0.002, 0.004, 0.004)


def history(**changes: Any) -> RunHistory:
    given: dict[str, Any] = {
        "run_id": RUN,
        "state": RunState.RUNNING,
        "train": FALLING,
        "evaluations": [],
        "base_eval_loss": None,
        "total_steps": 100,
    }
    return RunHistory(**{**given, **changes})


def codes(**changes: Any) -> list[str]:
    return [finding.code for finding in diagnose(history(**changes))]


DONE = RunState.SUCCEEDED

TABLE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("a healthy run under way", {}, []),
    ("nothing known yet", {"train": [], "total_steps": None}, []),
    ("a healthy finished run", {"state": DONE, "base_eval_loss": 3.0, "evaluations": curve(2.0, 1.95)}, []),
    ("a loss that is no number", {"train": curve(2.0, math.nan)}, ["not_a_number"]),
    ("a held-out loss that is no number", {"evaluations": curve(math.inf)}, ["not_a_number"]),
    (
        "a run that failed of it",
        {"state": RunState.FAILED, "error_code": "training_diverged"},
        ["not_a_number"],
    ),
    ("a loss that climbs and stays up", {"train": EXPLODING}, ["diverged"]),
    ("one bad step at the end", {"train": SPIKING}, []),
    ("jitter of a loss near zero", {"train": TINY_AT_LAST}, []),
    ("a training loss that stays where it was", {"train": FLAT}, ["not_learning"]),
    ("too few steps to tell", {"train": curve(*[2.0] * 19, every=1), "total_steps": 19}, []),
    (
        "just enough steps to tell",
        {"train": curve(*[2.0] * 20, every=1), "total_steps": 20},
        ["not_learning"],
    ),
    ("too few points to tell", {"train": FLAT[:4], "total_steps": 40}, []),
    ("less than a quarter of the run", {"train": FLAT, "total_steps": 401}, []),
    (
        "the held-out loss falls all the same",
        {"train": FLAT, "base_eval_loss": 3.0, "evaluations": curve(2.0)},
        [],
    ),
    ("held-out loss 5 % above its lowest", {"evaluations": curve(2.0, 1.8, 1.8, 1.89)}, ["overfitting"]),
    ("held-out loss 2 % above its lowest", {"evaluations": curve(2.0, 1.8, 1.8, 1.836)}, []),
    (
        "held-out loss up, and training loss up as well",
        {
            "train": curve(2.0, 1.9, 1.8, 2.1, 2.2),
            "evaluations": curve(2.0, 1.8, 1.8, 1.9),
            "total_steps": 1000,
        },
        [],
    ),
    ("nothing gained", {"state": DONE, "base_eval_loss": 1.890, "evaluations": curve(1.887)}, ["no_gain"]),
    ("no gain is not told before the end", {"base_eval_loss": 1.890, "evaluations": curve(1.887)}, []),
    ("made worse", {"state": DONE, "base_eval_loss": 1.890, "evaluations": curve(1.95)}, ["worse_than_base"]),
    (
        "a stopped run is judged too",
        {"state": RunState.STOPPED, "base_eval_loss": 1.9, "evaluations": curve(1.9)},
        ["no_gain"],
    ),
    (
        "still falling at the end",
        {"state": DONE, "evaluations": curve(3, 2.5, 2.2, 2.0, every=25)},
        ["still_improving"],
    ),
    ("flat at the end", {"state": DONE, "evaluations": curve(3, 2.5, 2.02, 2.0, every=25)}, []),
    (
        "ended early",
        {"state": DONE, "total_steps": 400, "evaluations": curve(3, 2.5, 2.2, 2.0, every=25)},
        [],
    ),
    (
        "learned by heart and worse for it",
        {"state": DONE, "base_eval_loss": 2.0, "evaluations": curve(1.95, 2.1, 2.4)},
        ["worse_than_base", "overfitting"],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_history_has_its_findings(changes: dict[str, Any], expected: list[str]) -> None:
    assert codes(**changes) == expected


def test_overfitting_names_the_step_to_stop_at_and_how_to_stop_what_still_runs() -> None:
    evaluations = curve(2.0, 1.8, 1.8, 1.9)

    running = diagnose(history(evaluations=evaluations))[0]
    ended = diagnose(history(evaluations=evaluations, state=DONE))[0]

    assert "max_steps=20" in running.recovery and f'stop_training with run_id="{RUN}"' in running.recovery
    assert "max_steps=20" in ended.recovery and "stop_training" not in ended.recovery
    assert "1.800" in running.message and "1.900" in running.message


def test_a_known_learning_rate_becomes_the_one_to_try() -> None:
    diverged = diagnose(history(train=EXPLODING, plan=plan_with(learning_rate=2e-4)))[0]
    flat = diagnose(history(train=FLAT, plan=plan_with(learning_rate=2e-4)))[0]

    assert "learning_rate=5.0e-05" in diverged.recovery
    assert "learning_rate=4.0e-04" in flat.recovery


def test_a_run_that_was_too_short_is_told_how_many_epochs_to_ask_for() -> None:
    evaluations = curve(3, 2.5, 2.2, 2.0, every=25)

    known = diagnose(history(state=DONE, evaluations=evaluations, plan=plan_with(epochs=3.0)))[0]
    unknown = diagnose(history(state=DONE, evaluations=evaluations))[0]

    assert "epochs=6" in known.recovery
    assert "max_steps=200" in unknown.recovery


def test_one_per_cent_of_the_loss_is_a_change_and_less_is_none() -> None:
    assert fell(2.0, 1.98) and rose(2.0, 2.02)
    assert not fell(2.0, 1.985) and not rose(2.0, 2.015)
    assert not fell(0.02, 0.018)  # 10 % of next to nothing
