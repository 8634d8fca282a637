"""Hostile files through the real server: rows or one clear error, soon, and the server goes on."""

from __future__ import annotations

import gzip
import json
import os
import unicodedata

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.server import talk_to

pytestmark = pytest.mark.anyio

SOUND = {"instruction": "Name a colour.", "response": "Green is one of them."}
LINE = json.dumps(SOUND) + "\n"


def deep(levels):
    return (
        LINE
        + '{"instruction": "q", "response": "a", "more": '
        + '{"a": ' * levels
        + "1"
        + "}" * levels
        + "}\n"
    )


def gzip_bomb(path):
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(1500):
            file.write(bytes(1_000_000))


def parquet_bomb(path):
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"text": column}), path)


def half_parquet(path):
    whole = path.with_suffix(".whole")
    pq.write_table(pa.table({"text": [f"row {number}" for number in range(1000)]}), whole)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


def text(content):
    return lambda path: path.write_text(content)


def huge_row(size):
    return text(LINE + json.dumps({**SOUND, "response": "x" * size}) + "\n")


HOSTILE = {
    "a gzip bomb": ("bomb.jsonl.gz", gzip_bomb, "unreadable_source"),
    "a Parquet bomb": ("bomb.parquet", parquet_bomb, ("unreadable_source", "out_of_memory", "no_rows")),
    "half a Parquet file": ("half.parquet", half_parquet, "unreadable_source"),
    "a FIFO": ("fifo.jsonl", os.mkfifo, "unreadable_source"),
    "a link to a system file": ("link.txt", lambda path: path.symlink_to("/etc/passwd"), "unsafe_path"),
    "NUL bytes only": ("nul.csv", lambda path: path.write_bytes(bytes(10_000)), "unreadable_source"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
async def test_what_cannot_be_read_is_one_clear_error(shared_store, name):
    file, make, codes = HOSTILE[name]
    path = shared_store.parent / file
    make(path)
    async with talk_to(shared_store) as talk:
        told = await talk.error("load_dataset", source=str(path))
        assert not talk.outlasted, "it took more than ten seconds"
        await talk("list_runs")
    assert told.split(":")[0] in ((codes,) if isinstance(codes, str) else codes), told
    assert len(told) < 1000
    assert "Traceback" not in told


READABLE = {
    "a row of 5 MB": ("five.jsonl", huge_row(5_000_000), 2, {}),
    "a row of 40 MB": ("forty.jsonl", huge_row(40_000_000), 1, {"row_too_large": 1}),
    "300 levels of nesting": ("deep.jsonl", text(deep(300)), 2, {}),
    "100,000 levels of nesting": ("deeper.jsonl", text(deep(100_000)), 1, {"invalid_json": 1}),
    "special tokens spelled out": (
        "tokens.jsonl",
        text(LINE + json.dumps({**SOUND, "response": "Done.<|im_end|><|endoftext|></s>[INST]"}) + "\n"),
        2,
        {},
    ),
}


@pytest.mark.parametrize("name", list(READABLE))
async def test_what_can_be_read_is_and_the_rest_is_counted(shared_store, name):
    file, make, rows, dropped = READABLE[name]
    path = shared_store.parent / file
    make(path)
    async with talk_to(shared_store) as talk:
        loaded = await talk("load_dataset", source=str(path))
    assert (loaded["rows"], loaded["dropped"]) == (rows, dropped)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("/etc/passwd", "unsafe_path"),
        ("/etc/*.conf", "unsafe_path"),
        ("../../../../../../etc/hostname", "unsafe_path"),
        ("data/../../../../../../../etc/*", ("unsafe_path", "invalid_argument")),
        ("\\\\server\\share\\rows.csv", ("unsafe_path", "source_not_found", "invalid_argument")),
        ("rows\0.csv", "invalid_argument"),
        ("-rf.csv", "source_not_found"),
        ("file:///etc/passwd", "invalid_argument"),
        ("http://example.com/rows.csv", "invalid_argument"),
    ],
)
async def test_paths_that_lead_elsewhere_are_refused(shared_store, source, code):
    async with talk_to(shared_store) as talk:
        told = await talk.error("load_dataset", source=source)
    assert told.split(":")[0] in ((code,) if isinstance(code, str) else code), told
    assert "root:" not in told


async def test_a_folder_that_links_into_itself_is_read_once(shared_store):
    folder = shared_store.parent / "loop"
    folder.mkdir()
    (folder / "rows.jsonl").write_text(LINE)
    (folder / "again").symlink_to(folder)
    async with talk_to(shared_store) as talk:
        loaded = await talk("load_dataset", source=str(folder / "**" / "*.jsonl"))
    assert (loaded["rows"], loaded["rows_read"]) == (1, 1)


async def test_what_columns_and_rows_hold_reaches_the_client_without_hidden_characters(shared_store):
    hidden = "\x1b[31m\u202e\u200b\U000e0041"
    path = shared_store.parent / "hidden.jsonl"
    path.write_text(json.dumps({f"left{hidden}": f"a{hidden}", f"right{hidden}": 1, "third": 2}) + "\n")
    async with talk_to(shared_store) as talk:
        told = await talk.error("load_dataset", source=str(path))
        write = [{**SOUND, "instruction": f"{number} {hidden}"} for number in range(40)]
        path.write_text("".join(json.dumps(row) + "\n" for row in write))
        loaded = await talk.raw("load_dataset", source=str(path))
    shown = told + "".join(block.text for block in loaded.content) + json.dumps(loaded.structured_content)
    assert told.startswith("unmapped_columns:")
    assert not [one for one in shown if unicodedata.category(one) in ("Cc", "Cf") and one not in "\n\t"]
