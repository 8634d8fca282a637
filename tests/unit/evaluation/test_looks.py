from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tunesmith.evaluation.looks import (
    ALPHA,
    Look,
    candidate_of,
    corrected,
    level,
    look_number,
    read_looks,
    record_look,
)
from tunesmith.evaluation.significance import noise_p
from tunesmith.schemas.evaluations import ModelReference, PromptVariant

RUN = ModelReference(name="run-a", kind="run", path=None)


def test_all_levels_that_may_ever_be_spent_add_up_to_alpha() -> None:
    spent = sum(level(look) for look in range(1, 100_001))

    assert spent <= ALPHA
    assert spent == pytest.approx(ALPHA, rel=1e-4)


def test_a_corrected_p_value_lies_below_alpha_just_where_the_p_value_lies_below_the_level() -> None:
    assert corrected(level(7) * 0.999, 7) < ALPHA < corrected(level(7) * 1.001, 7)
    assert corrected(0.2, 50) == 1.0


@pytest.mark.parametrize(("rows", "loops", "most"), [(20, 100, 9), (100, 40, 5)])
def test_who_tries_200_equal_variants_is_told_better_in_at_most_5_percent_of_such_loops(
    rows: int, loops: int, most: int
) -> None:
    generator = np.random.default_rng(rows)
    told = fooled = 0
    for _ in range(loops):
        hard = generator.lognormal(0, 0.7, rows)
        # The loop builds on the best variant so far: each new one is a mixture of it and of chance.
        best, best_mean = generator.normal(0, 1, rows), 0.0
        better = careless = False
        for look in range(1, 201):
            variant = generator.normal(0, 1, rows) * np.sign(best) * generator.choice([-1, 1], rows)
            difference = hard * variant
            p = quick_p(difference)
            won = difference.sum() < 0
            better |= won and corrected(p, look) <= ALPHA
            careless |= won and p <= ALPHA
            if difference.mean() < best_mean:
                best, best_mean = variant, float(difference.mean())
        told += better
        fooled += careless

    assert told <= most  # at 5 % more come with a probability below 3 %
    assert fooled >= 0.95 * loops  # without the correction nearly every loop ends with a "better"


def quick_p(difference: np.ndarray) -> float:
    """The p-value where it may matter: a sum within 1.6 of its standard deviations has one above 5 %."""
    if abs(difference.sum()) < 1.6 * np.sqrt((difference**2).sum()):
        return 1.0
    return noise_p(difference)


def test_a_variant_that_is_clearly_better_is_still_found_as_the_200th() -> None:
    generator = np.random.default_rng(2)
    found = [corrected(noise_p(generator.normal(-0.8, 1, 100)), 200) for _ in range(50)]

    assert sum(p <= ALPHA for p in found) >= 45


def test_looks_are_numbered_by_candidate_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    plain, brief = candidate_of(RUN, None), candidate_of(RUN, PromptVariant(system="Be brief."))

    assert look_number(read_looks(path), plain) == 1
    assert record_look(path, plain, "eval-1", "run-a") == 1
    assert record_look(path, brief, "eval-2", "run-a") == 2
    assert record_look(path, plain, "eval-3", "run-a") == 1
    assert look_number(read_looks(path), "another") == 3
    assert [look.evaluation_id for look in read_looks(path)] == ["eval-1", "eval-2", "eval-3"]


def test_a_line_left_torn_loses_no_other_look(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    record_look(path, "a", "eval-1", "m")
    with path.open("a") as file:
        file.write('{"candidate": "b", "eval')

    assert record_look(path, "c", "eval-3", "m") == 2
    assert all(isinstance(look, Look) for look in read_looks(path))


def test_candidates_differ_by_model_and_by_prompt() -> None:
    other = ModelReference(name="demo", kind="demo", path="/models/demo")
    variants = [
        None,
        PromptVariant(system="x"),
        PromptVariant(template="x{prompt}"),
        PromptVariant(few_shot=2),
        PromptVariant(few_shot=3),
        PromptVariant(few_shot=2, seed=1),
    ]

    assert len({candidate_of(model, variant) for model in (RUN, other) for variant in variants}) == 12
    assert candidate_of(RUN, PromptVariant(seed=7)) == candidate_of(RUN, None), "no example is drawn"
