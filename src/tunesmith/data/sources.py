"""Where rows come from: a local file, a folder of files, or a dataset of the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tunesmith.data.hub import open_hub
from tunesmith.data.readers import SourceRow, read_batches, read_delimited, read_json, read_jsonl
from tunesmith.data.sniffing import SUFFIXES, FileKind, FileType, first_undecodable_byte, sniff
from tunesmith.schemas.datasets import LoadDatasetRequest
from tunesmith.schemas.errors import (
    InvalidArgument,
    SourceNotFound,
    UnreadableSource,
    UnsafePath,
)

_SPLIT_OF_NAME = re.compile(r"(train|test|validation|valid|val|dev|eval)(?![a-z0-9])")
_SPLIT_SPELLINGS = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}
_BATCH_ROWS = 1_000


@dataclass
class Meter:
    """How much of a source has been read, from 0 to 1; set by the reader."""

    share: float = 0.0


@dataclass(frozen=True)
class Source:
    """Opened rows. `revision` is the exact commit of a Hub dataset."""

    rows: Iterator[SourceRow]
    revision: str | None


def open_source(request: LoadDatasetRequest, meter: Meter) -> Source:
    """The source's rows, at most `max_rows` of them, read as they are asked for.

    Raises:
        TunesmithError: at once or while the rows are read: SourceNotFound, UnreadableSource, UnsafePath,
            NoRows, InvalidArgument, and for a Hub id what `hub.open_hub` raises.
    """
    if request.source_kind == "hub":
        hub = open_hub(request.source, request.subset, request.split, request.revision)
        rows, revision = _metered(hub.rows, hub.total_rows, meter), hub.revision
    else:
        _refuse_hub_arguments(request)
        if request.path is None:
            raise SourceNotFound(f"{request.source} names no local file.", "Give a path that exists.")
        rows, revision = _read_path(Path(request.path), request.split, meter), None
    return Source(rows if request.max_rows is None else islice(rows, request.max_rows), revision)


def _refuse_hub_arguments(request: LoadDatasetRequest) -> None:
    for name, value in (("subset", request.subset), ("revision", request.revision)):
        if value is not None:
            raise InvalidArgument(
                f"{request.source} is a local source, and those have no {name}.",
                f"Call again without {name}.",
            )
    if not re.fullmatch(r"\w+", request.split):
        raise InvalidArgument(
            f"split={request.split!r} is more than the name of a split.",
            "Local sources take a plain name such as train; use max_rows to read fewer rows.",
        )


def _read_path(path: Path, split: str, meter: Meter) -> Iterator[SourceRow]:
    if path.is_dir():
        return _read_folder(path, split, meter)
    return _read_file(path, path.name, meter)


def _read_folder(folder: Path, split: str, meter: Meter) -> Iterator[SourceRow]:
    files = _files_of_split(folder, split)
    sizes = [file.stat().st_size for file in files]
    done_bytes, rows_before = 0, 0
    for file, size in zip(files, sizes, strict=True):
        within = Meter()
        last = 0
        for row in _read_file(file, f"{folder.name}/{file.name}", within):
            meter.share = (done_bytes + within.share * size) / max(1, sum(sizes))
            last = row.number
            yield SourceRow(rows_before + row.number, row.values, row.problem)
        rows_before += last
        done_bytes += size


def _files_of_split(folder: Path, split: str) -> list[Path]:
    """The folder's data files, by name. Where names tell splits apart, only those of the wanted split."""
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise SourceNotFound(
            f"The folder {folder.name} holds no data files ({', '.join(SUFFIXES)}).",
            "Name a folder with such files directly in it, or one file.",
        )
    for file in files:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise UnsafePath(
                f"{folder.name}/{file.name} is a link that leads out of the folder.",
                "Put the file itself into the folder, or call load_dataset with its real path.",
            )
    splits = {file: _split_of(file) for file in files}
    if not any(splits.values()):
        return files
    wanted = [file for file, of in splits.items() if of == _SPLIT_SPELLINGS.get(split, split)]
    if not wanted:
        there = sorted({of for of in splits.values() if of})
        raise SourceNotFound(
            f"The folder {folder.name} holds no files of the split {split!r}, but of: {', '.join(there)}.",
            f"Call load_dataset again with split={there[0]!r}, or name one file.",
        )
    return wanted


def _split_of(file: Path) -> str | None:
    found = _SPLIT_OF_NAME.match(file.stem.lower())
    return None if found is None else _SPLIT_SPELLINGS.get(found[1], found[1])


def _read_file(path: Path, name: str, meter: Meter) -> Iterator[SourceRow]:
    encoding = "utf-8"
    try:
        if path.exists() and not path.is_file():
            raise UnreadableSource(f"{name} is not a regular file.", "Name a data file or a folder of them.")
        file_type = sniff(path, name)
        encoding = file_type.encoding
        yield from _read_kind(path, name, file_type, meter)
    except FileNotFoundError as error:
        raise SourceNotFound(
            f"There is no file {name}.", "Check the path and call load_dataset again."
        ) from error
    except UnicodeDecodeError as error:
        offset = first_undecodable_byte(path, encoding)
        codec = encoding.removesuffix("-sig").upper()
        raise UnreadableSource(
            f"{name} is not {codec} text: the byte at offset {offset} does not fit.",
            "Convert it, for example with `iconv -f CP1252 -t UTF-8 OLD > NEW`, and call load_dataset again.",
        ) from error
    except pa.ArrowException as error:
        raise UnreadableSource(
            f"{name} is a Parquet file, but damaged or incomplete.",
            "Download or export it again and call load_dataset.",
        ) from error
    except OSError as error:
        raise UnreadableSource(
            f"{name} cannot be read ({error.strerror or 'input/output error'}).",
            "Check its permissions and its disk, then call load_dataset again.",
        ) from error


def _read_kind(path: Path, name: str, file_type: FileType, meter: Meter) -> Iterator[SourceRow]:
    if file_type.kind is FileKind.PARQUET:
        with pq.ParquetFile(path) as table:
            batches = table.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
            yield from _metered(read_batches(batches), table.metadata.num_rows, meter)
        return
    size = max(1, path.stat().st_size)
    with path.open("rb") as binary, TextIOWrapper(binary, encoding=file_type.encoding, newline="") as file:
        if file_type.kind is FileKind.JSON:
            yield from read_json(file.read(), name)
            return
        rows = (
            read_jsonl(file)
            if file_type.kind is FileKind.JSONL
            else read_delimited(file, file_type.delimiter, name)
        )
        for row in rows:
            meter.share = binary.tell() / size
            yield row


def _metered(rows: Iterator[SourceRow], total: int, meter: Meter) -> Iterator[SourceRow]:
    for done, row in enumerate(rows, start=1):
        meter.share = done / max(1, total)
        yield row
