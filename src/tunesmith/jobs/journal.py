"""The journal: one JSON object a line, appended in a single write, never changed.

Events, by the field `event`:

    requeued     somebody asked for one more attempt: attempt is the new one
    claimed      the host took the work: attempt, host_pid
    started      the job process holds the lease: attempt, pid
    phase        what it is busy with, in a few words: phase
    progress     step, total_steps, and whichever of loss, tokens_per_s, learning_rate, epoch, eta_s are known
    evaluated    step, eval_loss, accuracy
    checkpoint   step: committed, and safe to resume from
    finding      code, severity, message, recovery
    finished     terminal: state (succeeded, failed, stopped), error
    exited       told by the host once the process is gone: attempt, returncode (negative: a signal)

Every event carries `t` (wall seconds), `boot` (boot seconds) and `attempt`; a reader ignores events of an older attempt
that arrive late.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.jobs import clock
from tunesmith.jobs.files import storage_errors

Event = dict[str, Any]


@dataclass(frozen=True)
class Journal:
    """Appends events for one attempt."""

    path: Path
    attempt: int

    def append(self, event: str, *, durable: bool = False, **fields: Any) -> None:
        """Append one event; with `durable` it survives power loss once this returns.

        Raises:
            DiskFull, StorageFailed: the event is not in the journal.
        """
        record = {
            "event": event,
            "attempt": self.attempt,
            "t": clock.wall_s(),
            "boot": clock.boot_s(),
            **fields,
        }
        # A leading newline ends a line that an earlier process left torn; readers skip empty lines.
        line = f"\n{json.dumps(record, allow_nan=False, separators=(',', ':'))}\n".encode()
        with storage_errors(self.path):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                written = os.write(descriptor, line)
                if written != len(line):
                    raise OSError(28, "short write")
                if durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)


@dataclass
class JournalReader:
    """Reads a journal piece by piece: each call returns what was appended since the last one."""

    path: Path
    _offset: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def was_replaced(self) -> bool:
        """Whether the file is shorter than what was read of it: somebody cut it, and reading has to start over."""
        try:
            return self.path.stat().st_size < self._offset
        except OSError:
            return self._offset > 0

    def read_new(self) -> list[Event]:
        """New complete events. Torn, foreign and garbage lines are skipped."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                fresh = file.read()
        except OSError:
            return []
        self._offset += len(fresh)
        lines = (self._rest + fresh).split(b"\n")
        self._rest = lines.pop()
        return [event for line in lines if (event := _parse(line)) is not None]


def read_events(path: Path) -> list[Event]:
    """All complete events of a journal; none when there is no journal."""
    return JournalReader(path).read_new()


def _parse(line: bytes) -> Event | None:
    if not line.strip():
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        return None
    return value if isinstance(value.get("attempt"), int) else None
