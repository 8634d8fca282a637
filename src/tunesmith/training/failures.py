"""What the errors of the machine-learning stack mean for the caller."""

from __future__ import annotations

import ctypes
import errno
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tunesmith.jobs.files import storage_error
from tunesmith.schemas.errors import OutOfMemory

SMALLER = "Call configure_lora with a smaller batch_size or max_length, or tuning_method='qlora', and start that plan."
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",  # safetensors, of a file that it maps
    "not enough memory",
    "bad allocation",
    "bad_alloc",  # as C++ tells it through torch
    "can't start new thread",  # its stack did not fit
)
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class TrainingOutOfMemory(Exception):
    """A training step did not fit into memory; a smaller one may."""


@contextmanager
def running_out(told_as: type[Exception]) -> Iterator[None]:
    """Exhausted memory is told as `told_as`, without what led to it: a traceback would hold on to all tensors."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
    else:
        return
    raise told_as


_M_MMAP_THRESHOLD = -3
"""As malloc.h has it."""
_MAPPED_FROM = 65536


def free_memory() -> None:
    """Give back what nothing refers to any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)


def is_limited() -> bool:
    """Whether this process may only have so many addresses: holes between tensors count then."""
    limits = (resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return any(limit != resource.RLIM_INFINITY for limit in limits)


def spare_memory() -> None:
    """Leave no holes between tensors from now on, at up to half the speed: glibc maps each by itself."""
    with suppress(OSError, AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # torch.OutOfMemoryError on an accelerator; on the CPU its allocator raises a plain RuntimeError.
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY)


@contextmanager
def training_failures(folder: Path, advice: str) -> Iterator[None]:
    """Tell exhausted memory and a refused write below `folder` as errors of ours; `advice` is for the former.

    Raises:
        OutOfMemory, DiskFull, StorageFailed
    """
    try:
        yield
    except MemoryError as error:
        raise _out_of_memory(advice) from error
    except OSError as error:
        if _is_out_of_memory(error):
            raise _out_of_memory(advice) from error
        if error.errno in _STORAGE:
            raise storage_error(error, folder) from error
        raise
    except RuntimeError as error:
        if _is_out_of_memory(error):
            raise _out_of_memory(advice) from error
        # torch and safetensors tell a failed write as text.
        if "no space left" in str(error).lower() or "enospc" in str(error).lower():
            raise storage_error(OSError(errno.ENOSPC, "no space left"), folder) from error
        raise


def _out_of_memory(advice: str) -> OutOfMemory:
    return OutOfMemory("There was not enough memory.", advice)
