"""What the errors of the machine-learning stack mean for the caller."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.jobs.files import storage_error
from tunesmith.schemas.errors import OutOfMemory

SMALLER = "Call configure_lora with a smaller batch_size or max_length, or tuning_method='qlora', and start that plan."
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad allocation")
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


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
        if error.errno == errno.ENOMEM:
            raise _out_of_memory(advice) from error
        if error.errno in _STORAGE:
            raise storage_error(error, folder) from error
        raise
    except RuntimeError as error:
        # torch.OutOfMemoryError on an accelerator; on the CPU its allocator raises a plain RuntimeError.
        if any(words in str(error).lower() for words in _NO_MEMORY):
            raise _out_of_memory(advice) from error
        # torch and safetensors tell a failed write as text.
        if "no space left" in str(error).lower() or "enospc" in str(error).lower():
            raise storage_error(OSError(errno.ENOSPC, "no space left"), folder) from error
        raise


def _out_of_memory(advice: str) -> OutOfMemory:
    return OutOfMemory("There was not enough memory.", advice)
