"""What is planned in the cases of plan_cases.py, held against a reviewed file and the table in docs/planning.md.

UPDATE_SNAPSHOTS=1 rewrites both; look at the difference.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.plan_cases import CASES, Case, decide_case
from tunesmith.training.planning import Decision

GOLDEN = Path(__file__).parent / "plans" / "golden.json"
DOCUMENT = Path(__file__).parents[3] / "docs" / "planning.md"
_BEGIN, _END = "<!-- cases: begin -->\n", "<!-- cases: end -->"
_LEFT_OUT = {"base_model", "base_model_kind", "base_model_path", "base_model_revision", "metric", "seed"}


def digest(decision: Decision) -> dict[str, Any]:
    """What a reviewer looks at; bytes in MB, so that a rounding elsewhere changes nothing."""
    config = decision.config.model_dump(mode="json", exclude=_LEFT_OUT, exclude_none=True)
    return {
        "config": config,
        "fit": decision.fit,
        "peaks_mb": {phase: round(size / 1e6) for phase, size in decision.peaks.items()},
        "remedies": [remedy.arguments | {"fit": remedy.fit} for remedy in decision.remedies],
        "warnings": decision.warnings,
    }


def peak(decision: Decision) -> int:
    """Of the run itself, with its evaluations."""
    return max(decision.peaks["training"], decision.peaks["evaluation"])


def row(case: Case, decision: Decision) -> str:
    """The case as a line of the table."""
    config, more = decision.config, [f"{key}={value}" for key, value in case.chosen.items()]
    more += ["no golden set"] if not case.dev_rows else []
    lora = f"r {config.r}, {len(config.target_modules or [])} targets" if config.r else ""
    lora = f"{config.num_virtual_tokens} tokens" if config.num_virtual_tokens else lora
    ways = [config.precision, config.quantization, config.attn_implementation.replace("_attention_2", "")]
    ways += ["packed"] if config.packing else []
    ways += ["checkpointing"] if config.activation_checkpointing else []
    ways += ["8-bit AdamW"] if config.optim == "adamw_8bit" else []
    passes = f"{config.epochs:g} ep, {config.total_steps} st" + (
        f", patience {config.early_stopping_patience}" if config.early_stopping_patience else ""
    )
    remedies = "; ".join(
        " ".join(f"{key}={value}" for key, value in remedy.arguments.items())
        for remedy in decision.remedies[:2]
    )
    cells = [
        case.model,
        case.machine,
        ", ".join([case.data, *more]),
        f"{case.method}, {case.budget}",
        lora,
        f"{config.learning_rate:.2g}",
        passes,
        f"{config.micro_batch_size} x {config.gradient_accumulation_steps}, {config.max_length}",
        ", ".join(way for way in ways if way),
        f"{peak(decision) / 1e9:.1f} GB {decision.fit.replace('_', ' ')}",
        remedies,
    ]
    return "| " + " | ".join(cells) + " |"


def table(decisions: dict[str, tuple[Case, Decision]]) -> str:
    head = (
        "| model | machine | data | method, budget | adapter | rate | passes | micro-batch x accumulation, length "
        "| numbers | peak | first remedies |\n|" + "---|" * 11 + "\n"
    )
    return head + "".join(row(*pair) + "\n" for pair in decisions.values())


@pytest.fixture(scope="module")
def decisions() -> dict[str, tuple[Case, Decision]]:
    return {case.name: (case, decide_case(case)) for case in CASES}


def test_each_case_is_decided_as_reviewed(decisions: dict[str, tuple[Case, Decision]]) -> None:
    found = {name: digest(decision) for name, (_, decision) in decisions.items()}
    if os.environ.get("UPDATE_SNAPSHOTS"):
        GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    expected = json.loads(GOLDEN.read_text())

    assert len(found) == len(CASES) >= 40
    assert list(found) == list(expected)
    for name, case in found.items():
        assert case == expected[name], name


def test_the_table_in_the_documentation_is_what_is_decided(
    decisions: dict[str, tuple[Case, Decision]],
) -> None:
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    right = before + _BEGIN + table(decisions) + _END + after
    if os.environ.get("UPDATE_SNAPSHOTS"):
        DOCUMENT.write_text(right)

    assert DOCUMENT.read_text() == right


def test_every_case_explains_every_number(decisions: dict[str, tuple[Case, Decision]]) -> None:
    told = {"tuning_method", "compute_budget", "logging_steps"} | _LEFT_OUT
    for name, (_, decision) in decisions.items():
        set_ = {key for key, value in decision.config.model_dump().items() if value is not None}
        assert set_ - told <= set(decision.reasons), name


def test_remedies_keep_what_they_promise(decisions: dict[str, tuple[Case, Decision]]) -> None:
    for case, decision in decisions.values():
        for remedy in decision.remedies:
            changes = dict(remedy.arguments)
            method = str(changes.pop("tuning_method", case.method))
            changed = replace(case, method=method, chosen={**case.chosen, **changes})
            again = decide_case(changed)
            assert (again.fit, peak(again)) == (remedy.fit, remedy.peak_bytes), case.name
