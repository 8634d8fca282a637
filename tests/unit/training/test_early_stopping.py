from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.training.early_stopping import EarlyStopping


@pytest.fixture
def model() -> Any:
    layer = torch.nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    return layer


def fill(model: Any, value: float) -> None:
    model.weight.data.fill_(value)
    model.bias.data.fill_(value)


def test_it_is_over_after_as_many_evaluations_without_a_better_one_as_it_has_patience(
    model: Any, tmp_path: Path
) -> None:
    stopping = EarlyStopping(2, model, tmp_path, None)

    over = []
    for step, loss in enumerate([3.0, 2.0, 2.5, 1.0, 1.0, 1.5], start=1):
        stopping.evaluated(step, loss)
        over.append(stopping.is_over)

    assert over == [False, False, False, False, False, True]
    assert (stopping.record.step, stopping.record.loss) == (4, 1.0)


def test_the_best_weights_come_back_and_what_does_not_learn_stays(model: Any, tmp_path: Path) -> None:
    stopping = EarlyStopping(2, model, tmp_path, None)
    for value, loss in ((1.0, 0.5), (2.0, 0.1), (3.0, 0.4)):
        fill(model, value)
        stopping.evaluated(int(value), loss)

    stopping.restore()

    assert model.weight.unique().tolist() == [2.0]
    assert model.bias.unique().tolist() == [3.0]
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_carries_the_best_weights_into_the_next_attempt(model: Any, tmp_path: Path) -> None:
    first, checkpoint, second = (tmp_path / name for name in ("first", "checkpoint", "second"))
    for folder in (first, checkpoint, second):
        folder.mkdir()
    stopping = EarlyStopping(2, model, first, None)
    fill(model, 1.0)
    stopping.evaluated(1, 0.5)
    stopping.evaluated(2, 0.7)
    stopping.add_to(checkpoint)
    fill(model, 9.0)

    resumed = EarlyStopping(2, model, second, checkpoint)
    resumed.evaluated(3, 0.6)

    assert resumed.is_over
    resumed.restore()
    assert model.weight.unique().tolist() == [1.0]


def test_a_checkpoint_made_before_the_first_evaluation_carries_nothing(model: Any, tmp_path: Path) -> None:
    checkpoint, scratch = tmp_path / "checkpoint", tmp_path / "scratch"
    checkpoint.mkdir()
    scratch.mkdir()
    EarlyStopping(2, model, scratch, None).add_to(checkpoint)

    resumed = EarlyStopping(2, model, scratch, checkpoint)
    fill(model, 4.0)
    resumed.restore()

    assert model.weight.unique().tolist() == [4.0]
