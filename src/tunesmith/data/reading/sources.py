"""Where rows come from: local files and folders, or a dataset of the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.reading.local_file import reading_errors
from tunesmith.data.reading.local_paths import files_of, is_saved_dataset
from tunesmith.data.reading.parts import Part, parts_of
from tunesmith.data.reading.saved_dataset import saved_parts
from tunesmith.data.reading.splits import local_split
from tunesmith.schemas.datasets import LoadDatasetRequest
from tunesmith.schemas.errors import InvalidArgument, SourceNotFound


@dataclass(frozen=True)
class Source:
    """A source in parts, whose rows follow one another in their order.

    `max_rows` bounds how many rows are wanted of them together (None: all). `revision` is the exact commit of a Hub
    dataset.
    """

    parts: list[Part]
    revision: str | None
    max_rows: int | None


def open_source(request: LoadDatasetRequest) -> Source:
    """The source, looked at as far as is needed to cut it into parts.

    Raises:
        TunesmithError: SourceNotFound, UnreadableSource, UnsafePath, NoRows, InvalidArgument, and for a Hub id what
            `hub.open_hub` raises. Reading the parts raises such errors, too.
    """
    if request.source_kind == "hub":
        from tunesmith.data.reading.hub import open_hub  # half a second that local files need not wait for

        hub_parts, commit = open_hub(
            request.source, request.subset, request.split, request.revision, request.max_rows
        )
        return Source(list(hub_parts), commit, request.max_rows)
    for name, value in (("subset", request.subset), ("revision", request.revision)):
        if value is not None:
            raise InvalidArgument(
                f"{request.source} is a local source, and those have no {name}.",
                f"Call again without {name}.",
            )
    split, first_rows = local_split(request.split)
    paths = request.paths or ([request.path] if request.path else [])
    if not paths:
        raise SourceNotFound(f"{request.source} names no local file.", "Give a path that exists.")
    bounds = [bound for bound in (first_rows, request.max_rows) if bound is not None]
    return Source(_local_parts(paths, split, request.source), None, min(bounds, default=None))


def _local_parts(paths: list[str], split: str, source: str) -> list[Part]:
    with reading_errors(source):
        if len(paths) == 1 and is_saved_dataset(Path(paths[0])):
            return saved_parts(Path(paths[0]), split)
    files = files_of(paths, split, source)
    return [part for file in files for part in parts_of(file, split, alone=len(files) == 1)]
