from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.schemas.errors import DiskFull, OutOfMemory, StorageFailed
from tunesmith.training.failures import training_failures
from tunesmith.training.reporting import Calendar


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (MemoryError(), OutOfMemory),
        (OSError(errno.ENOMEM, "no memory"), OutOfMemory),
        (RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"), OutOfMemory),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
            OutOfMemory,
        ),
        (RuntimeError("std::bad_alloc"), OutOfMemory),
        (RuntimeError("unable to mmap 33 bytes: Cannot allocate memory (12)"), OutOfMemory),
        (OSError(errno.ENOSPC, "full"), DiskFull),
        (OSError(errno.EROFS, "read-only"), StorageFailed),
        (RuntimeError("Error while serializing: I/O error: No space left on device"), DiskFull),
    ],
)
def test_what_the_libraries_raise_is_told_as_one_of_our_errors(
    raised: Exception, told: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(told), training_failures(tmp_path, "Use less."):
        raise raised


@pytest.mark.parametrize("bug", [RuntimeError("shape mismatch"), FileNotFoundError(2, "gone"), KeyError("x")])
def test_a_bug_stays_a_bug(bug: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(bug)), training_failures(tmp_path, "Use less."):
        raise bug


def test_out_of_memory_comes_with_advice(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory) as error, training_failures(tmp_path, "Use less."):
        raise MemoryError
    assert error.value.recovery == "Use less."


def test_the_last_step_is_always_evaluated_and_saved() -> None:
    calendar = Calendar(total_steps=7, eval_steps=3, save_steps=5)

    assert [step for step in range(1, 8) if calendar.evaluates_at(step)] == [3, 6, 7]
    assert [step for step in range(1, 8) if calendar.saves_at(step)] == [5, 7]


_MALLINFO = """
import ctypes, os, resource, sys
from tunesmith.training.failures import is_limited, spare_memory

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2
libc.malloc.restype = ctypes.c_void_p

def mapped():
    before = libc.mallinfo2().hblks
    kept = [libc.malloc(ctypes.c_size_t(100_000)) for _ in range(10)]
    return libc.mallinfo2().hblks - before

print(is_limited(), mapped())
resource.setrlimit(resource.RLIMIT_DATA, (2**40, 2**40))
spare_memory()
print(is_limited(), mapped())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_where_addresses_are_limited_each_tensor_is_mapped_by_itself() -> None:
    told = subprocess.run([sys.executable, "-c", _MALLINFO], capture_output=True, text=True, timeout=60)

    assert told.stdout.splitlines() == ["False 0", "True 10"], told.stderr
