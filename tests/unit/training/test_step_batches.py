from __future__ import annotations

from collections import Counter

import pytest
import torch

from tunesmith.training.rendering import NO_LOSS, Rendered
from tunesmith.training.step_batches import Batcher, StepBatch

PAD = 0


def row(start: int, prompt: int, answer: int) -> Rendered:
    """Tokens that no other row has, of which the last ones carry loss."""
    ids = list(range(start, start + prompt + answer))
    return Rendered(ids, [NO_LOSS] * prompt + ids[prompt:])


ROWS = [row(100, 3, 4), row(200, 1, 1), row(300, 10, 6), row(400, 2, 9), row(500, 0, 5)]


def batch(
    rows: list[Rendered] = ROWS, *, packing: bool = True, micro_batch_size: int = 8, by_row: bool = False
) -> StepBatch:
    return Batcher(packing, micro_batch_size, 16, 16 * micro_batch_size, 512, PAD, by_row)(rows)


def predicted(step: StepBatch) -> Counter[tuple[int, int]]:
    """Each token that carries loss with the token it is predicted from."""
    return Counter(
        (int(each.input_ids[sequence, place]), int(target))
        for each in step.passes
        for sequence, place, target in zip(*each.predicting, each.targets, strict=True)
    )


def tokens(step: StepBatch) -> list[int]:
    found = [int(token) for each in step.passes for token in each.input_ids.flatten() if token != PAD]
    return sorted(found)


@pytest.mark.parametrize(("packing", "by_row"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("micro_batch_size", [1, 2, 3, 8])
def test_a_step_learns_the_same_tokens_however_many_passes_it_takes(
    packing: bool, by_row: bool, micro_batch_size: int
) -> None:
    step = batch(packing=packing, micro_batch_size=micro_batch_size, by_row=by_row)

    assert tokens(step) == sorted(token for each in ROWS for token in each.input_ids)
    assert predicted(step) == Counter(
        (before, token)
        for each in ROWS
        for before, token, label in zip(each.input_ids, each.input_ids[1:], each.labels[1:], strict=False)
        if label != NO_LOSS
    )
    assert (step.tokens, step.loss_tokens) == (41, 24)


def test_no_pass_is_larger_than_the_micro_batch() -> None:
    for size in (1, 2, 3):
        assert max(each.input_ids.numel() for each in batch(micro_batch_size=size).passes) <= size * 16
        alone = batch(packing=False, micro_batch_size=size)
        assert max(len(each.input_ids) for each in alone.passes) == size


def test_positions_begin_anew_with_each_row_and_never_reach_the_context() -> None:
    for each in batch().passes:
        assert each.position_ids is not None and each.attention_mask is None
        assert int(each.position_ids.max()) < 16
        for ids, positions in zip(each.input_ids, each.position_ids, strict=True):
            firsts = {number.input_ids[0] for number in ROWS}
            assert [int(at) for at in (positions == 0).nonzero()] == [
                at for at, token in enumerate(ids.tolist()) if token in firsts
            ]


def test_rows_that_attend_by_themselves_follow_each_other_without_padding() -> None:
    for size in (1, 2, 8):
        for each in batch(micro_batch_size=size, by_row=True).passes:
            assert (
                each.row_lengths is not None and sum(each.row_lengths) == each.input_ids.numel() <= size * 16
            )
            assert PAD not in each.input_ids


def test_unpacked_rows_are_padded_on_the_right_and_masked() -> None:
    (each,) = batch(packing=False).passes

    assert each.position_ids is None and each.attention_mask is not None
    assert torch.equal(each.attention_mask, (each.input_ids != PAD).long())


def test_the_first_token_of_a_row_is_not_predicted_from_the_row_before_it() -> None:
    (each,) = batch([row(100, 0, 6), row(200, 0, 6), row(300, 0, 12)]).passes

    assert len(each.input_ids) == 2, "two rows share a sequence"
    assert not {100, 200, 300} & set(each.targets.tolist())
