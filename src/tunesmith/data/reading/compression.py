"""Compressed files, recognised by their first bytes and unpacked as they are read, within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa

from tunesmith.schemas.errors import UnreadableSource

ALWAYS_BYTES = 64_000_000
"""What any compressed file may unpack to."""
MOST_RATIO = 200
"""Beyond that, unpacked bytes per packed byte so far. Text rarely exceeds 50; a bomb has 1,000 and more."""
MOST_BYTES = 64_000_000_000
"""What no compressed file may exceed unpacked."""

_BUFFER_BYTES = 262_144
_DIRECTORY_END = b"PK\x05\x06"
_MOST_ENTRIES = 1_000
_MOST_DIRECTORY_BYTES = 1_000_000
_TAR_MAGIC_OFFSET = 257
_OFFICE = "[Content_Types].xml"


class Compression(StrEnum):
    """The ways of packing a file that are undone."""

    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"
    ZIP = "zip"


_MAGIC = {
    b"\x1f\x8b": Compression.GZIP,
    b"BZh": Compression.BZIP2,
    b"\xfd7zXZ\x00": Compression.XZ,
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,
    b"PK\x03\x04": Compression.ZIP,
    _DIRECTORY_END: Compression.ZIP,
}


def compression_of(head: bytes) -> Compression | None:
    """How the file that begins so is packed."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def unpacked(file: BinaryIO, kind: Compression, name: str) -> BinaryIO:
    """The content of a packed file.

    Raises:
        UnreadableSource: an archive of more than one file, an encrypted one, or a second layer of packing; while
            it is read, too: it unpacks to more than the limits above allow.
        OSError, EOFError, zlib.error, lzma.LZMAError: damaged; while it is read, too.
    """
    stream = io.BufferedReader(_Bounded(_OPENERS[kind](file, name), file, name), _BUFFER_BYTES)
    head = stream.peek(_TAR_MAGIC_OFFSET + 5)
    if compression_of(head) is not None or head[_TAR_MAGIC_OFFSET:].startswith(b"ustar"):
        raise UnreadableSource(
            f"{name} is an archive or packed more than once.",
            "Unpack it and call load_dataset with the data file within.",
        )
    return stream


class _Bounded(io.RawIOBase):
    """Passes unpacked bytes on until there are too many of them."""

    def __init__(self, inner: Any, packed: BinaryIO, name: str) -> None:
        self._inner = inner
        self._packed = packed
        self._name = name
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._count += len(data)
        if self._count > min(MOST_BYTES, ALWAYS_BYTES + MOST_RATIO * self._packed.tell()):
            raise UnreadableSource(
                f"{self._name} unpacks to far more than a data file would: "
                f"over {self._count // 1_000_000} MB from {self._packed.tell() // 1_000} kB.",
                "If it is sound, unpack it and call load_dataset with the unpacked file.",
            )
        buffer[: len(data)] = data
        return len(data)


def _open_gzip(file: BinaryIO, _: str) -> Any:
    return gzip.GzipFile(fileobj=file, mode="rb")


def _open_bzip2(file: BinaryIO, _: str) -> Any:
    return bz2.BZ2File(file)


def _open_xz(file: BinaryIO, _: str) -> Any:
    return lzma.LZMAFile(file)


def _open_zstd(file: BinaryIO, _: str) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


def _open_zip(file: BinaryIO, name: str) -> Any:
    _refuse_large_directory(file, name)
    try:
        archive = zipfile.ZipFile(file)
        entries = [entry for entry in archive.infolist() if _is_content(entry.filename)]
        if any(entry.filename == _OFFICE for entry in entries):
            raise UnreadableSource(
                f"{name} is an Office document.", "Export the sheet as CSV and call load_dataset with that."
            )
        if len(entries) != 1:
            raise _several(name, len(entries))
        if entries[0].flag_bits & 1:
            raise UnreadableSource(
                f"{name} is encrypted.", "Unpack it and call load_dataset with the file within."
            )
        return archive.open(entries[0])
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise UnreadableSource(
            f"{name} is a ZIP archive, but damaged, incomplete or of an unknown method.",
            "Unpack it and call load_dataset with the file within.",
        ) from error


def _refuse_large_directory(file: BinaryIO, name: str) -> None:
    """The library reads the whole directory of an archive into memory; this looks at its size first."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 66_000))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_DIRECTORY_END)
    if at >= 0 and len(tail) >= at + 16:
        entries, directory_bytes = struct.unpack("<HI", tail[at + 10 : at + 16])
        if entries > _MOST_ENTRIES or directory_bytes > _MOST_DIRECTORY_BYTES:
            raise _several(name, entries)


def _several(name: str, count: int) -> UnreadableSource:
    return UnreadableSource(
        f"{name} is an archive of {count} files; only one with a single data file is read.",
        "Unpack it and call load_dataset with the folder.",
    )


def _is_content(entry: str) -> bool:
    parts = PurePosixPath(entry).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not entry.endswith("/") and not hidden


_OPENERS: dict[Compression, Callable[[BinaryIO, str], Any]] = {
    Compression.GZIP: _open_gzip,
    Compression.BZIP2: _open_bzip2,
    Compression.XZ: _open_xz,
    Compression.ZSTD: _open_zstd,
    Compression.ZIP: _open_zip,
}
