"""get_status with chart=True: a picture beside the usual answer, in both eras."""

from __future__ import annotations

import base64
import struct

import pytest

from tests.support.server import ERAS, talk_to
from tests.support.written_runs import (
    began,
    evaluated,
    finished,
    plan_with,
    progressed,
    run_handle,
    write_run,
)
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]
RUN = run_handle(1)
MOST_BYTES = 60_000
WITHOUT_MATPLOTLIB = (
    "-c",
    "import importlib.util as util, sys\n"
    "find = util.find_spec\n"
    "util.find_spec = lambda name, *more: None if name == 'matplotlib' else find(name, *more)\n"
    "sys.argv = ['tunesmith', 'serve']\n"
    "from tunesmith.cli.main import main\n"
    "main()",
)
"""A server where matplotlib is not installed."""


def write(store_path, *more, **config):
    steps = [progressed(step) for step in range(1, 61)]
    return write_run(
        Store(store_path), RUN, [*began(), evaluated(0, 3.2), *steps, *more], plan=plan_with(**config)
    )


def picture_in(answer):
    """The one picture of an answer, as bytes."""
    (picture,) = [block for block in answer.content if block.type == "image"]
    assert picture.mime_type == "image/png"
    return base64.b64decode(picture.data)


async def test_a_status_comes_with_its_picture_when_asked_for(store_path, era):
    write(store_path, evaluated(60, 1.4), finished())
    async with talk_to(store_path, era) as talk:
        plain = await talk.raw("get_status", run_id=RUN)
        drawn = await talk.raw("get_status", run_id=RUN, chart=True)
    assert [block.type for block in plain.content] == ["text"]
    assert [block.type for block in drawn.content] == ["text", "image"]
    assert drawn.structured_content == plain.structured_content
    picture = picture_in(drawn)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) == (900, 640)
    assert len(picture) <= MOST_BYTES
    assert f"tunesmith report {RUN}" in drawn.content[0].text


async def test_a_run_under_way_is_drawn_anew_when_there_is_news_and_only_then(store_path, era):
    paths = write(store_path)
    async with talk_to(store_path, era) as talk:
        first = picture_in(await talk.raw("get_status", run_id=RUN, chart=True))
        drawn_at = paths.chart.stat().st_mtime_ns
        again = picture_in(await talk.raw("get_status", run_id=RUN, chart=True))
        assert (again, paths.chart.stat().st_mtime_ns) == (first, drawn_at)
        Journal(paths.journal, 1).append("evaluated", step=60, eval_loss=1.1, accuracy=0.5)
        assert picture_in(await talk.raw("get_status", run_id=RUN, chart=True)) != first


async def test_a_picture_that_was_kept_and_damaged_is_drawn_again(store_path, era):
    paths = write(store_path, finished())
    async with talk_to(store_path, era) as talk:
        first = picture_in(await talk.raw("get_status", run_id=RUN, chart=True))
        paths.chart.write_bytes(paths.chart.read_bytes()[:-9])
        assert picture_in(await talk.raw("get_status", run_id=RUN, chart=True)) == first


async def test_a_models_name_that_looks_like_a_formula_or_markup_is_drawn_all_the_same(store_path, era):
    write(store_path, finished(), base_model="./a$b_{$c\\x<b>日本")
    async with talk_to(store_path, era) as talk:
        assert picture_in(await talk.raw("get_status", run_id=RUN, chart=True))


async def test_a_run_without_a_step_says_that_there_is_nothing_to_draw(store_path, era):
    write_run(Store(store_path), RUN, began())
    async with talk_to(store_path, era) as talk:
        answer = await talk.raw("get_status", run_id=RUN, chart=True)
    assert not answer.is_error
    assert [block.type for block in answer.content] == ["text"]
    (finding,) = answer.structured_content["findings"]
    assert (finding["code"], finding["severity"]) == ("no_chart", "info")
    assert "nothing to draw" in answer.content[0].text


async def test_without_matplotlib_the_status_is_told_and_how_to_get_pictures(store_path, era):
    write(store_path, finished())
    async with talk_to(store_path, era, WITHOUT_MATPLOTLIB) as talk:
        answer = await talk.raw("get_status", run_id=RUN, chart=True)
    assert not answer.is_error
    assert [block.type for block in answer.content] == ["text"]
    text = answer.content[0].text
    assert f"{RUN} succeeded" in text
    assert "no_chart: No picture can be drawn: matplotlib is not installed." in text
    assert "pip install 'tunesmith[train]'" in text
