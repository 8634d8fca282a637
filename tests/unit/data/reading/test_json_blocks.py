"""Lines are decoded many at a time where nothing is odd; what comes out is what each line says on its own."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.reading import lines as json_lines
from tunesmith.data.reading.json_values import json_row
from tunesmith.data.reading.lines import json_line_blocks, read_json_lines
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.source_row import SourceBlock, SourceRow

PIECES = [
    b'{"a":1}', b'{"a":1,', b'"b":2}', b'{"a":{}', b'{"a":[{}', b',"b":[]}', b"]}", b"{}", b"}", b"{", b"[{", b"[]",
    b'{"a":1} {"a":2}', b'{"a" :1}{"a" :2}', b'{"a" :1}', b'{"a":1,"a":2}', b'{"a" :1,"a":2}', b'{"a":"x\\":y"}',
    b'{"a":"x\\\\","b":1}', b'{"a\\\\":1}',
    b'{"a":"\\ud800"}', b'{"a":NaN}', b'{"a":1.50}', b'{"a":"', b'"}', b"  ", b"", b'\t{"a":1}', b'{"a":1} ',
    b'{"a":"\xff"}', b'{"a":{"b":{"a":[[1],{"c":2}]}}}', b'"text"', b"7", b'{"a":' + b"[" * 501 + b"]" * 501 + b"}",
]  # fmt: skip


def alone(number: int, line: bytes) -> list[SourceRow]:
    return [json_row(number, line)] if line.strip() else []


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map(b"".join), min_size=1, max_size=8),
    st.booleans(),
)
def test_lines_read_together_give_what_each_gives_alone(content: list[bytes], ended: bool) -> None:
    text = b"\n".join(content) + b"\n" * ended
    meter = Meter()
    expected = [row for number, line in enumerate(content, start=1) for row in alone(number, line)]
    assert list(read_json_lines(io.BytesIO(text), meter)) == expected
    assert meter.numbers == len(content) - (not ended and content[-1] == b"")


@pytest.mark.parametrize("size", [1, 7, 30, 1_000])
def test_blocks_of_any_size_hold_every_row_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK_BYTES", size)
    text = b"".join(b'{"n":%d,"t":"%s"}\n' % (number, b"x" * (number % 5 * 9)) for number in range(40))
    rows = list(read_json_lines(io.BytesIO(text), Meter()))
    assert [(row.number, row.values["n"]) for row in rows] == [(number + 1, number) for number in range(40)]


def test_sound_lines_come_in_blocks() -> None:
    text = b'{"a":"say \\"b\\": c","n":[{"b":1}]}\n' * 9 + b'{"a":"[<","n":0.5}'
    (block,) = json_line_blocks(io.BytesIO(text), Meter())
    assert isinstance(block, SourceBlock)
    assert (block.first, len(block.values), block.values[9]["n"]) == (1, 10, "0.5")


@pytest.mark.parametrize("odd", [b'{"a":1,"a":2}', b"{broken}", b"", b'{"a":{"b":1,"b":2}}'])
def test_a_block_with_something_odd_comes_row_by_row(odd: bytes) -> None:
    found = list(json_line_blocks(io.BytesIO(b'{"a":1}\n' + odd + b'\n{"a":2}\n'), Meter()))
    assert all(isinstance(row, SourceRow) for row in found)
    assert found[-1] == SourceRow(3, {"a": 2})
