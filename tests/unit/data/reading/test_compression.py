from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tests.unit.data.reading.reading import read, values, written
from tunesmith.schemas.errors import UnreadableSource

ROWS = [{"prompt": "eins ü", "completion": "1"}, {"prompt": "two", "completion": "2"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def zipped(*contents: bytes, folder: str = "") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._0.jsonl", b"junk")
        for number, content in enumerate(contents):
            archive.writestr(f"{folder}{number}.jsonl", content)
    return file.getvalue()


PACKERS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress, zstd, zipped]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv.gz", "a.parquet", "a"])
@pytest.mark.parametrize(
    "content",
    [LINES, json.dumps(ROWS).encode(), "prompt,completion\neins ü,1\ntwo,2\n".encode("utf-16")],
    ids=["lines", "array", "csv"],
)
def test_packed_files_are_recognised_by_their_bytes(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str, content: bytes
) -> None:
    assert values(read(written(tmp_path / name, pack(content)))) == ROWS


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_packed_files_joined_end_to_end_are_read_to_the_last(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    assert values(read(written(tmp_path / "a", pack(LINES) + pack(LINES)))) == ROWS * 2


@pytest.mark.parametrize("pack", PACKERS)
def test_a_bomb_is_refused_before_it_has_unfolded(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(LINES + b'{"a": "' + b"x" * 200_000_000)
    with pytest.raises(UnreadableSource, match="unpacks to far more"):
        read(written(tmp_path / "a.jsonl", bomb))


@pytest.mark.parametrize("inner", PACKERS)
def test_what_is_packed_twice_is_refused(tmp_path: Path, inner: Callable[[bytes], bytes]) -> None:
    with pytest.raises(UnreadableSource, match="packed more than once"):
        read(written(tmp_path / "a.gz", gzip.compress(inner(LINES))))


@pytest.mark.parametrize("pack", PACKERS)
def test_a_packed_file_that_is_cut_is_told(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    many = b"".join(json.dumps({"a": f"{number * 7919 % 10007}"}).encode() + b"\n" for number in range(5_000))
    packed = pack(many)
    with pytest.raises(UnreadableSource, match=r"a\.gz .*(damaged|incomplete)"):
        read(written(tmp_path / "a.gz", packed[: len(packed) // 2]))


def test_an_archive_of_several_files_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="archive of 2 files") as raised:
        read(written(tmp_path / "a.zip", zipped(LINES, LINES)))
    assert "folder" in raised.value.recovery


def test_an_archive_with_a_vast_directory_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="archive of 1501 files"):
        read(written(tmp_path / "a.zip", zipped(*[b""] * 1_500)))


def test_an_office_document_is_told_as_one(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", b"<x/>")
    with pytest.raises(UnreadableSource, match="Office document"):
        read(written(tmp_path / "a.csv", file.getvalue()))
