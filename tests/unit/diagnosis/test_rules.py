"""A finding is told where its evidence is there, not where it is a little less; its fix is a call that can be made."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.written_runs import PLAN, plan_with
from tunesmith.diagnosis import data_rules, findings, fit_rules, machine_rules, rate_rules, verdicts
from tunesmith.diagnosis.findings import diagnose
from tunesmith.diagnosis.history import RunHistory
from tunesmith.diagnosis.proposals import ASKED, replanned
from tunesmith.diagnosis.verdicts import (
    Paired,
    answers_are_empty,
    answers_do_not_end,
    forgetting,
    poor_slices,
    trained_on_held_out,
)
from tunesmith.schemas.datasets import DatasetCard, QualityCheck
from tunesmith.schemas.enums import DataFormat, Fix, RunState, TuningMethod, Verdict
from tunesmith.schemas.plans import Plan, Remedy
from tunesmith.schemas.runs import Finding
from tunesmith.tools.catalogue import TOOLS
from tunesmith.training.notes import AS_ASKED

RUN = "run-aaaaaaaaaaaaaaaa"
DONE = RunState.SUCCEEDED
PAGES = ("docs/diagnosis.md", "src/tunesmith/skill/fine-tuning/references/reading-a-status.md")
HALF_WAY = [(step, 3.0 - step / 50) for step in range(1, 51)]
LEARNED = [(10, 2.5), (20, 2.0), (30, 1.8), (40, 1.75)]


def card(share: float, **changes: Any) -> DatasetCard:
    """A dataset of 100 rows of which that share nearly repeats another row."""
    check = QualityCheck(verdict=Verdict.WARN, count=round(100 * share), share=share)
    return DatasetCard(
        **{
            "dataset_id": "ds-bbbbbbbbbbbbbbbb",
            "source": "rows.jsonl",
            "source_kind": "local",
            "format": DataFormat.INSTRUCTION,
            "row_kind": "prompt_completion",
            "columns": {},
            "rows": 100,
            "rows_read": 100,
            "dropped": {},
            "quality": {"near_duplicates": check},
            "fingerprint": "a",
            "created_at": "2030-01-01T00:00:00Z",
            **changes,
        }
    )


def asked(plan: Plan = PLAN, **reasons: str) -> Plan:
    """The plan with these numbers marked as the caller's."""
    return plan.model_copy(
        update={"reasons": dict.fromkeys(reasons, ASKED) | reasons, "usual_learning_rate": 2e-4}
    )


def history(**changes: Any) -> RunHistory:
    given: dict[str, Any] = {
        "run_id": RUN,
        "state": RunState.RUNNING,
        "train": HALF_WAY,
        "evaluations": LEARNED,
        "base_eval_loss": 3.0,
        "total_steps": 100,
        "plan": asked(),
        "card": card(0.0),
    }
    return RunHistory(**{**given, **changes})


def codes(**changes: Any) -> list[str]:
    return [finding.code for finding in diagnose(history(**changes))]


def only(**changes: Any) -> Finding:
    (finding,) = diagnose(history(**changes))
    return finding


def with_rate(rate: float) -> Plan:
    return asked(plan_with(learning_rate=rate), learning_rate=ASKED)


def jumping(height: float) -> list[tuple[int, float]]:
    """A loss that falls to 1, jumps and comes down again."""
    losses = [3 - step / 10 for step in range(20)] + [1 + height] * 8 + [1.0] * 10
    return [(step + 1, loss + 0.02 * (-1) ** step) for step, loss in enumerate(losses)]


def slowly(by: float) -> dict[str, Any]:
    """Losses that have fallen by that share."""
    return {
        "train": [(step, 3.0 * (1 - by * step / 50)) for step in range(1, 51)],
        "evaluations": [(25, 3.0 * (1 - by / 2)), (50, 3.0 * (1 - by))],
    }


def swaps(base_gap: float, gap: float, rows: int = 30) -> dict[str, Any]:
    """What another row's prompt does to the base's and to the tuned model's loss."""
    losses = {
        "base_own_loss": 3.0,
        "base_swapped_loss": 3.0 + base_gap,
        "own_loss": 0.6,
        "swapped_loss": 0.6 + gap,
    }
    return {"prompt_use": {"rows": rows, **losses}}


def inputs(**changes: Any) -> dict[str, Any]:
    told = {
        "rows": 100,
        "tokens": 9000,
        "loss_tokens": 3000,
        "ended_rows": 100,
        "cut_rows": 0,
        "vocabulary": 900,
        "memory_bytes": 10**10,
    }
    return {"inputs": {**told, **changes}}


FLAT_HALF = {
    "state": DONE,
    "train": [(step, 2.0 + 0.01 * (-1) ** step) for step in range(1, 101)],
    "evaluations": [(10 * place, 2.0 + 0.5 / place**4) for place in range(1, 11)],
    "total_steps": 100,
}
FIRST = [(1, 1.0), *HALF_WAY[1:]]
WITH_ETA = {"step": 50, "total_steps": 100, "eta_s": 1000.0}

TABLE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("nothing wrong", {}, []),
    ("a jump far out of the noise", {"train": jumping(1.0)}, ["learning_rate_too_high"]),
    ("a jump of a quarter", {"train": jumping(0.25)}, []),
    (
        "both losses above their start",
        {"train": [(5, 3.0), (10, 3.5), (15, 3.4), (20, 3.3)], "evaluations": [(20, 3.2)]},
        ["learning_rate_too_high"],
    ),
    ("a huge rate, and 3 % learned", {**slowly(0.03), "plan": with_rate(2e-2)}, ["learning_rate_too_high"]),
    ("a huge rate that has learned all the same", {**slowly(0.4), "plan": with_rate(2e-2)}, []),
    ("a tiny rate, and 3 % learned", {**slowly(0.03), "plan": with_rate(2e-7)}, ["learning_rate_too_low"]),
    ("a tiny rate that has learned all the same", {**slowly(0.4), "plan": with_rate(2e-7)}, []),
    ("the usual rate, and 3 % learned", slowly(0.03), []),
    ("no gradient", {"gradients": [(step, 0.0) for step in range(1, 51)]}, ["adapter_without_effect"]),
    ("one gradient", {"gradients": [(step, float(step == 50)) for step in range(1, 51)]}, []),
    ("the base's own losses", {"evaluations": [(25, 3.0), (50, 3.0)]}, ["adapter_without_effect"]),
    ("nothing moves any more", FLAT_HALF, ["plateau"]),
    (
        "little left to learn",
        {**FLAT_HALF, "evaluations": [(step, 0.05) for step, _ in FLAT_HALF["evaluations"]]},
        [],
    ),
    ("only ends carry loss", inputs(loss_tokens=100), ["loss_on_wrong_tokens"]),
    ("one-word answers", inputs(loss_tokens=200), []),
    ("prompts carry loss", inputs(loss_tokens=8950), ["loss_on_wrong_tokens"]),
    (
        "plain text carries loss",
        {**inputs(loss_tokens=8950), "plan": asked().model_copy(update={"format": DataFormat.COMPLETION})},
        [],
    ),
    ("learned at once", {"train": [(1, 0.01), *HALF_WAY[1:]]}, ["loss_on_wrong_tokens"]),
    ("rows of another kind", {"train": FIRST}, ["rows_unlike_held_out"]),
    ("guessing", {**inputs(vocabulary=20), "base_eval_loss": 3.0}, ["guessing_base"]),
    ("no ends", inputs(ended_rows=40, cut_rows=60), ["never_stops"]),
    ("most ends", inputs(ended_rows=60), []),
    ("prompts matter less than before", swaps(0.8, 0.1), ["prompt_ignored"]),
    ("prompts matter as before", swaps(0.8, 0.5), []),
    ("prompts never mattered", swaps(0.0, 0.001), ["prompt_ignored"]),
    ("too few rows to tell", swaps(0.8, 0.1, rows=10), []),
    ("40 rows", inputs(rows=40, loss_tokens=1200, ended_rows=40), ["too_few_rows"]),
    ("copies", {"card": card(0.25)}, ["duplicated_rows"]),
    ("a few copies", {"card": card(0.15)}, []),
    ("memory nearly gone", {**inputs(), "figures": {"peak_memory_bytes": 9_500_000_000}}, ["memory_edge"]),
    ("memory left", {**inputs(), "figures": {"peak_memory_bytes": 9_000_000_000}}, []),
    ("memory gone", {"state": RunState.FAILED, "error_code": "out_of_memory"}, ["out_of_memory"]),
    ("waiting for rows", {"figures": {"data_wait": 0.4}}, ["slow_input"]),
    ("hardly waiting", {"figures": {"data_wait": 0.2}}, []),
    ("six minutes of silence", {"silent_s": 360.0, "phase": "training"}, ["stalled"]),
    (
        "as long as 20 of its steps take",
        {"silent_s": 360.0, "phase": "training", "figures": WITH_ETA},
        ["slow_training"],
    ),
    ("six minutes of loading", {"silent_s": 360.0, "phase": "loading the base model"}, []),
    ("silent for it has ended", {"silent_s": 360.0, "phase": "training", "state": DONE}, []),
    (
        "a number that is none",
        {"state": RunState.FAILED, "error_code": "training_diverged"},
        ["not_a_number"],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_finding_is_told_where_its_evidence_is_there_and_not_where_it_is_a_little_less(
    changes: dict[str, Any], expected: list[str]
) -> None:
    assert codes(**changes) == expected


def everything_told() -> list[Finding]:
    return [finding for _, changes, _ in TABLE for finding in diagnose(history(**changes))] + [
        told
        for told in (
            forgotten(),
            answers_do_not_end(history(), 3, 20),
            answers_are_empty(history(), 15, 20, 1),
            seen(12),
        )
        if told is not None
    ]


def seen(rows: int, spoils: bool = True) -> Finding | None:
    return trained_on_held_out(history(), "gold-bbbbbbbbbbbbbbbb", "ds-bbbbbbbbbbbbbbbb", rows, 100, spoils)


def forgotten(**changes: Any) -> Finding | None:
    return forgetting(history(**changes), Paired(rows=60, base=2.0, tuned=2.2, low=0.1, high=0.3))


def test_every_finding_has_figures_a_cause_and_a_confidence() -> None:
    for finding in everything_told():
        if finding.code != "out_of_memory":
            assert finding.evidence, finding.code
        assert finding.cause, finding.code
        assert finding.confidence in ("low", "medium", "high")


def test_every_fix_is_a_call_of_a_tool_with_parameters_that_it_has() -> None:
    parameters = {spec.name: set(inspect.signature(spec.function).parameters) for spec in TOOLS}
    fixes = [finding.fix for finding in everything_told() if finding.fix is not None]
    assert len(fixes) > 20
    for fix in fixes:
        assert set(fix.arguments) <= parameters[fix.tool], fix
        json.dumps(fix.arguments)


def test_every_finding_of_the_table_at_the_top_has_a_rule_and_the_other_way_round() -> None:
    listed = {line.split()[0] for line in (findings.__doc__ or "").splitlines() if line.startswith("    ")}
    source = "".join(
        inspect.getsource(module) for module in (rate_rules, fit_rules, data_rules, machine_rules)
    )
    written = {part.split('"')[0] for part in source.split('code="')[1:]}
    assert listed == written


@pytest.mark.parametrize("page", PAGES)
def test_every_finding_is_explained_on_the_page(page: str) -> None:
    text = (Path(__file__).parents[3] / page).read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    explained = {code for row in rows for code in row.replace("`", "").replace(",", " ").split()}
    source = "".join(
        inspect.getsource(module) for module in (rate_rules, fit_rules, data_rules, machine_rules, verdicts)
    )
    assert {part.split('"')[0] for part in source.split('code="')[1:]} <= explained


def test_a_plan_is_asked_for_again_with_the_callers_numbers_and_the_change() -> None:
    plan = asked(plan_with(r=4, batch_size=16, total_steps=70), r=ASKED, total_steps=f"max_steps, {ASKED}")

    assert replanned(plan, learning_rate=1e-4) == {
        "base_model": "Qwen/Qwen3-0.6B",
        "dataset_id": PLAN.dataset_id,
        "golden_set_id": PLAN.golden_set_id,
        "r": 4,
        "max_steps": 70,
        "learning_rate": 1e-4,
    }
    assert "max_steps" not in replanned(plan, epochs=6.0)
    assert "r" not in replanned(plan, r=None)


def test_numbers_of_one_kind_of_tuning_are_not_asked_of_another() -> None:
    soft = plan_with(
        tuning_method=TuningMethod.PROMPT_TUNING, num_virtual_tokens=1, learning_rate=0.3, batch_size=4
    )
    arguments = replanned(
        asked(soft, num_virtual_tokens=ASKED, learning_rate=ASKED, batch_size=ASKED), tuning_method="lora"
    )
    assert arguments["tuning_method"] == "lora" and arguments["batch_size"] == 4
    assert not {"num_virtual_tokens", "learning_rate"} & set(arguments)
    four_bits = replanned(asked(plan_with(r=4), r=ASKED), tuning_method="qlora")
    assert four_bits["r"] == 4


def test_what_marks_a_callers_number_is_what_the_planner_writes() -> None:
    assert ASKED == AS_ASKED


def test_a_rate_far_from_the_usual_one_is_replaced_by_it_and_another_by_its_share() -> None:
    far = only(train=jumping(1.0), plan=with_rate(2e-2)).fix
    near = only(train=jumping(1.0), plan=with_rate(2e-4)).fix

    assert far is not None and far.arguments["learning_rate"] == 2e-4
    assert near is not None and near.arguments["learning_rate"] == 5e-5


def test_overfitting_is_answered_by_fewer_steps_and_more_dropout() -> None:
    found = only(evaluations=[(10, 2.0), (20, 1.5), (30, 1.9)])

    assert found.fix is not None and found.fix.arguments["max_steps"] == 20
    assert found.fix.arguments["dropout"] == 0.1
    assert "dropout=0.1" in found.recovery


def test_rows_cut_at_the_callers_max_length_are_planned_without_it_and_others_are_cleaned() -> None:
    mine = only(**inputs(ended_rows=40, cut_rows=60), plan=asked(max_length=ASKED))
    theirs = only(**inputs(ended_rows=40, cut_rows=60))

    assert (
        mine.fix is not None and mine.fix.tool == "configure_lora" and "max_length" not in mine.fix.arguments
    )
    assert theirs.fix is not None and theirs.fix.arguments["fixes"] == [Fix.DROP_TOO_LONG]
    whole = only(**inputs(ended_rows=0, cut_rows=0))
    assert whole.fix is None and "template" in (whole.cause or "")


def test_rows_are_cleaned_where_they_were_held_out_from() -> None:
    train = card(0.3, dropped={"held_out": 20}, parent_dataset_id="ds-cccccccccccccccc")
    fix = only(card=train).fix

    assert fix is not None
    assert fix.arguments == {"dataset_id": "ds-cccccccccccccccc", "fixes": ["drop_near_duplicates"]}


def test_memory_that_ran_out_is_answered_by_the_plans_own_remedy() -> None:
    remedy = Remedy(arguments={"max_length": 128}, cost="rows are cut", peak_bytes=1, fit="fits")
    plan = asked().model_copy(update={"remedies": [remedy]})
    fix = only(state=RunState.FAILED, error_code="out_of_memory", plan=plan).fix

    assert fix is not None and fix.arguments["max_length"] == 128


def test_one_cause_is_told_once() -> None:
    slow = {**slowly(0.005), "state": DONE, "plan": with_rate(2e-7)}
    assert codes(**slow) == ["learning_rate_too_low"]
    assert codes(**{**slow, "plan": asked()}) == ["no_gain", "not_learning"]


def test_the_weights_that_early_stopping_kept_are_judged_and_not_the_last_ones() -> None:
    worse = {"state": DONE, "evaluations": [(10, 2.0), (20, 3.2), (30, 3.4)]}
    stopping = asked(plan_with(early_stopping_patience=2))

    assert "worse_than_base" in codes(**worse)
    assert "worse_than_base" not in codes(**worse, plan=stopping)
    assert "worse_than_base" in codes(**{**worse, "state": RunState.STOPPED}, plan=stopping)


def test_forgetting_is_told_beyond_noise_and_answered_by_a_lower_rate_or_by_lora() -> None:
    found = forgotten()
    full = forgotten(plan=asked(plan_with(tuning_method=TuningMethod.FULL)))

    assert found is not None and found.severity == "warn" and found.fix is not None
    assert found.fix.arguments["learning_rate"] == 1e-4
    assert full is not None and full.fix is not None and full.fix.arguments["tuning_method"] == "lora"
    assert "learning_rate" not in full.fix.arguments
    assert forgetting(history(), Paired(60, base=2.0, tuned=2.2, low=-0.1, high=0.5)) is None
    assert forgetting(history(), Paired(60, base=2.0, tuned=2.02, low=0.01, high=0.03)) is None


def test_a_slice_that_became_worse_while_the_rest_became_better_is_told() -> None:
    slices = {
        "en": Paired(50, base=2.0, tuned=1.0, low=-1.1, high=-0.9),
        "de": Paired(20, base=2.0, tuned=2.3, low=0.1, high=0.5),
        "fr": Paired(20, base=2.0, tuned=2.1, low=-0.1, high=0.3),
        "it": Paired(3, base=2.0, tuned=4.0, low=1.5, high=2.5),
    }
    (found,) = poor_slices(history(), "language", slices)

    assert "language='de'" in found.message and found.evidence["tuned"] == 2.3
    assert found.fix is not None and found.fix.arguments["stratify_by"] == "language"
    assert poor_slices(history(), "language", {"de": slices["de"]}) == []


def test_empty_answers_are_put_down_to_the_training_unless_the_base_gives_them_too() -> None:
    learned = answers_are_empty(history(), 20, 20, 0)
    assert learned is not None and "20 of 20" in learned.message and "learned to end" in str(learned.cause)
    assert learned.fix is not None and learned.fix.arguments["fixes"] == ["drop_too_short"]
    of_both = answers_are_empty(history(), 20, 20, 19)
    assert of_both is not None and of_both.fix is None and "base ends there, too" in str(of_both.cause)
    assert answers_are_empty(history(), 9, 20, 0) is None
    assert answers_are_empty(history(), 9, 9, 0) is None


def test_rows_that_were_scored_and_trained_on_are_told_with_the_rows_to_train_on() -> None:
    found = seen(12)
    assert found is not None and found.severity == "fail" and "12 of these 100" in found.message
    assert found.fix is not None and found.fix.tool == "configure_lora"
    assert found.fix.arguments["dataset_id"] == "ds-bbbbbbbbbbbbbbbb"
    assert found.fix.arguments["golden_set_id"] == "gold-bbbbbbbbbbbbbbbb"
    few = seen(2, spoils=False)
    assert few is not None and few.severity == "warn"
    assert seen(0) is None
