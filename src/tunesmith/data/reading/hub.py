"""Datasets of the Hugging Face Hub, through the `datasets` library. `HF_ENDPOINT` is honoured by it.

One request asks for the commit first: it fails at once where the library would retry for half a minute, and
it pins what is read. A dataset that ships code is refused by the library itself.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import datasets
import pandas
import pyarrow as pa
from datasets.packaged_modules.csv.csv import CsvConfig
from datasets.utils.file_utils import xopen
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.source_row import SourceRow
from tunesmith.data.reading.tables import read_batches
from tunesmith.schemas.errors import (
    DiskFull,
    HubAuth,
    HubRefused,
    HubUnavailable,
    InvalidArgument,
    SourceNotFound,
    TunesmithError,
    UnreadableSource,
)

CONNECT_TIMEOUT_S = 10.0
PART_ROWS = 10_000
_BATCH_ROWS = 1_000
_STREAM_RETRIES = 3
_LOCAL_INSTEAD = "Or download the data by hand and pass the file's path as source."


@dataclass
class HubPart:
    """Rows of a Hub dataset: `table` is a `datasets.Dataset` on disk, or an `IterableDataset` that is streamed."""

    name: str
    table: Any
    size: int
    row_count: int
    numbers: int = field(default=0, init=False)

    def rows(self, meter: Meter | None = None) -> Iterator[SourceRow]:
        """The rows, numbered from 1. Raises as `open_hub`."""
        meter = meter or Meter()
        meter.share, meter.numbers = 0.0, 0
        with _hub_errors(self.name, None):
            batches = self.table.with_format("arrow").iter(batch_size=_BATCH_ROWS)
            yield from read_batches(batches, self.row_count, meter)
        self.numbers = meter.numbers
        meter.share = 1.0


def open_hub(
    source: str, subset: str | None, split: str, revision: str | None, max_rows: int | None
) -> tuple[list[HubPart], str | None]:
    """The parts of one split of a Hub dataset, and its commit (None when it was only found in the offline cache).

    It is downloaded whole, or found in the cache; with `max_rows` and a plain split it is streamed, so that no more is
    downloaded than these rows need.

    Raises:
        SourceNotFound, HubUnavailable, HubAuth, HubRefused: it cannot be had.
        InvalidArgument: there is no such subset or split; the message lists those there are.
        UnreadableSource: its files are no table, or it needs code to be read.
    """
    datasets.disable_progress_bars()
    datasets.config.STREAMING_READ_MAX_RETRIES = _STREAM_RETRIES
    with _hub_errors(source, revision):
        commit = _commit_of(source, revision)
        location = f"hf://datasets/{source}"
        if max_rows is not None and commit is not None and split.isidentifier():
            table = load_split(location, subset, split, commit, streaming=True).take(max_rows)
            return [HubPart(source, table, 0, max_rows)], commit
        table = load_split(location, subset, split, commit or revision)
        return _cut(source, table, max_rows), commit


def load_split(
    location: str, subset: str | None, split: str, revision: str | None, streaming: bool = False
) -> Any:
    """The split as a `datasets.Dataset`, or an `IterableDataset`; every cell of a CSV stays the text it is."""
    arguments: dict[str, Any] = {"name": subset, "revision": revision}
    builder = datasets.load_dataset_builder(location, **arguments)
    if isinstance(builder.config, CsvConfig) and builder.config.features is None:
        # pandas would turn 007 into 7 and NA into nothing; with the columns declared as text it does not.
        arguments |= {"features": _text_columns(builder), "keep_default_na": False, "na_filter": False}
    return datasets.load_dataset(location, split=split, streaming=streaming, **arguments)


def _cut(source: str, table: Any, max_rows: int | None) -> list[HubPart]:
    """Ranges of rows, each of which reads its own stretch of the cached files."""
    wanted = table.num_rows if max_rows is None else min(max_rows, table.num_rows)
    bytes_a_row = table.data.nbytes / max(1, table.num_rows)
    parts = []
    for start in range(0, wanted, PART_ROWS):
        count = min(PART_ROWS, wanted - start)
        stretch = table.select(range(start, start + count))
        parts.append(HubPart(source, stretch, round(bytes_a_row * count), count))
    return parts


def _text_columns(builder: Any) -> Any:
    """The columns of a CSV dataset, all of them text, from its first file's header, which alone is downloaded."""
    first_file = next(iter(builder.config.data_files.values()))[0]
    path = datasets.StreamingDownloadManager().download_and_extract(first_file)
    options = {**builder.config.pd_read_csv_kwargs, "nrows": 0, "chunksize": None}
    with xopen(path, "rb") as file:
        header = pandas.read_csv(file, **options)
    return datasets.Features({str(name): datasets.Value("string") for name in header.columns})


def _commit_of(source: str, revision: str | None) -> str | None:
    try:
        info = HfApi().dataset_info(source, revision=revision, timeout=CONNECT_TIMEOUT_S)
    except OfflineModeIsEnabled:
        return None
    return None if info.sha is None else str(info.sha)


@contextmanager
def _hub_errors(source: str, revision: str | None) -> Iterator[None]:
    try:
        yield
    except TunesmithError:
        raise
    except (HfHubHTTPError, httpx.HTTPError, HFValidationError) as error:
        raise _request_error(source, revision, error) from error
    except datasets.exceptions.DatasetNotFoundError as error:
        raise _not_found(source) from error
    except (datasets.exceptions.DataFilesNotFoundError, datasets.data_files.EmptyDatasetError) as error:
        raise UnreadableSource(
            f"The Hub dataset {source} has no data files that can be read.",
            f"Choose another dataset. {_LOCAL_INSTEAD}",
        ) from error
    except (datasets.exceptions.DatasetsError, pa.ArrowException) as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            raise _disk_full() from error
        if isinstance(cause, httpx.HTTPError | ConnectionError):
            raise _unavailable(source) from error
        raise _no_table(source) from error
    except (ConnectionError, TimeoutError, LocalEntryNotFoundError) as error:
        raise _unavailable(source) from error
    except FileNotFoundError as error:
        raise _not_found(source) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _disk_full() from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise UnreadableSource(
            f"The Hub dataset {source} needs a program of its own to be read, and those are never run.",
            f"Choose a dataset of plain files (Parquet, JSON, CSV). {_LOCAL_INSTEAD}",
        ) from error
    except ValueError as error:
        raise _choice_error(source, str(error)) from error


def _request_error(source: str, revision: str | None, error: Exception) -> TunesmithError:
    if isinstance(error, GatedRepoError):
        return HubAuth(
            f"The Hub dataset {source} is gated: its owners decide who may read it.",
            f"Accept its terms at its page on the Hub and set HF_TOKEN for the server. {_LOCAL_INSTEAD}",
        )
    if isinstance(error, RevisionNotFoundError):
        return SourceNotFound(
            f"The Hub dataset {source} has no revision {revision!r}.",
            "Leave revision out, or give one that exists.",
        )
    if isinstance(error, HFValidationError | RepositoryNotFoundError):
        return _not_found(source)
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status == 401:
            return HubAuth(
                "The Hub does not accept the token.", "Set HF_TOKEN for the server to a valid read token."
            )
        if status < 500 and status not in (408, 429):
            return HubRefused(f"The Hub answered {status} for the dataset {source}.", _LOCAL_INSTEAD)
        return HubUnavailable(
            f"The Hub answered {status} for the dataset {source}.", f"Call again in a while. {_LOCAL_INSTEAD}"
        )
    return _unavailable(source)


def _not_found(source: str) -> SourceNotFound:
    return SourceNotFound(
        f"There is no file or folder {source}, and no public dataset {source} on the Hub.",
        "Check the spelling (owner/name). If it is private, set HF_TOKEN for the server and call again.",
    )


def _no_table(source: str) -> UnreadableSource:
    return UnreadableSource(
        f"The files of the Hub dataset {source} do not form one table.",
        f"Name a subset if it has several. {_LOCAL_INSTEAD}",
    )


def _disk_full() -> DiskFull:
    return DiskFull(
        "The disk that holds the cache of the Hub has no room left.",
        "Free some space, or point HF_HOME at another disk, then call again.",
    )


def _unavailable(source: str) -> HubUnavailable:
    return HubUnavailable(
        f"The Hub cannot be reached, and {source} is neither a local file nor complete in the cache.",
        f"Check the network, HF_ENDPOINT and HF_HUB_OFFLINE, then call again. {_LOCAL_INSTEAD}",
    )


def _choice_error(source: str, message: str) -> TunesmithError:
    """The library tells a missing subset or split as ValueError, with those there are between brackets."""
    beginnings = {"Unknown split": "split", "BuilderConfig": "subset", "Config name": "subset"}
    for start, parameter in beginnings.items():
        if message.startswith(start):
            listed = re.search(r"\[(.*?)\]", message, re.DOTALL)
            there = "" if listed is None else f" It has: {listed[1][:400]}."
            return InvalidArgument(
                f"The Hub dataset {source} has no such {parameter}, or needs one named.{there}",
                f"Call load_dataset again with {parameter}= one of them.",
            )
    return _no_table(source)
