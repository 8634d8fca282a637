"""Derived files: what can be computed again at any time, kept because computing it takes long.

A line with a checksum, then JSON. Losing such a file, cutting it or filling it with anything costs time and changes no
answer: what does not match its checksum is not there. Nobody waits for the disk, and a store that takes no more writes
just does without.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tunesmith.jobs.files import write_disposable


def write_derived(path: Path, form: str, value: Any) -> None:
    """Keep a JSON value. `form` names what it means; nobody who reads it as another form gets it."""
    body = json.dumps(value, separators=(",", ":")).encode()
    write_disposable(path, _checksum(form, body) + b"\n" + body)


def read_derived(path: Path, form: str) -> Any:
    """The value of this form that was kept at `path`; None when there is none, or not that very one."""
    try:
        checksum, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return json.loads(body) if checksum == _checksum(form, body) else None


def _checksum(form: str, body: bytes) -> bytes:
    digest = hashlib.sha256(form.encode() + b"\n")
    digest.update(body)
    return digest.hexdigest().encode()
