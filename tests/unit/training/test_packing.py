from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.training import packing
from tunesmith.training.packing import alone, in_line, pack, pass_tokens

row_lengths = st.lists(st.integers(1, 64), min_size=1, max_size=40)


@given(row_lengths, st.sampled_from([8, 64, 4096]))
def test_each_row_stands_once_in_sequences_that_are_short_enough(
    lengths: list[int], hidden_size: int
) -> None:
    layout = pack(lengths, 64, hidden_size)

    assert sorted(place for sequence in layout.sequences for place in sequence) == list(range(len(lengths)))
    fills = [sum(lengths[place] for place in sequence) for sequence in layout.sequences]
    assert max(fills) == layout.width <= 64 and min(fills) > 0


@given(row_lengths)
def test_packing_never_computes_more_than_a_sequence_for_each_row(lengths: list[int]) -> None:
    layout = pack(lengths, 64, 512)

    assert len(layout.sequences) * layout.width <= len(lengths) * max(lengths)


def test_short_rows_share_what_a_long_one_fills_alone() -> None:
    layout = pack([60, 20, 20, 19, 1], 64, 4096)

    assert layout.width == 60
    assert sorted(map(sorted, layout.sequences)) == [[0], [1, 2, 3, 4]]


def test_rows_of_one_length_are_not_packed_into_sequences_whose_attention_costs_more() -> None:
    assert len(pack([32] * 8, 256, 64).sequences) == 8


@given(row_lengths, st.integers(1, 300))
def test_passes_take_up_to_so_many_tokens_and_leave_nothing_out(lengths: list[int], most: int) -> None:
    for layout in (pack(lengths, 64, 512), alone(lengths)):
        passes = layout.passes(most)

        assert [sequence for part in passes for sequence in part] == layout.sequences
        sizes = [len(part) for part in passes]
        assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
        assert all(size == 1 or size * layout.width <= most for size in sizes)


@given(row_lengths, st.integers(1, 300))
def test_rows_in_line_take_as_few_passes_as_will_do(lengths: list[int], most: int) -> None:
    layout = in_line(lengths, most)

    assert sorted(place for sequence in layout.sequences for place in sequence) == list(range(len(lengths)))
    assert layout.width <= max(most, max(lengths))


@pytest.mark.parametrize("length", [10, 300])
def test_a_step_of_many_rows_is_laid_out_in_few_tries(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, tries = [length + place % 7 for place in range(3000)], []
    spread = packing._spread
    monkeypatch.setattr(packing, "_spread", lambda *given: tries.append(given) or spread(*given))
    for layout in (pack(lengths, 1024, 512), in_line(lengths, 512)):
        assert sorted(place for row in layout.sequences for place in row) == list(range(3000))
        assert all(layout.sequences)
    assert len(tries) < 60


def test_a_pass_is_no_larger_than_the_micro_batch_nor_on_a_processor_than_its_caches() -> None:
    assert pass_tokens(8, 256, 576, on_processor=False) == 2048
    assert 256 <= pass_tokens(8, 256, 576, on_processor=True) < 512
    assert pass_tokens(8, 256, 64, on_processor=True) == 1024
    assert pass_tokens(1, 100, 576, on_processor=True) == 100
    assert pass_tokens(8, 4096, 8192, on_processor=True) == 256
