"""The journal: one JSON object a line, appended in a single write, never changed.

Events, by the field `event`:

    requeued     somebody asked for one more attempt: attempt is the new one
    claimed      the host took the work: attempt, host_pid, device
    started      the job process holds the lease: attempt, pid, birth, node, boot_id (jobs/machine.py)
    phase        what it is busy with, in a few words: phase
    inputs       what a training learns from: rows, tokens, loss_tokens, ended_rows (by a token that ends an answer),
                 cut_rows (at max_length), vocabulary; and memory_bytes, which it may take
    progress     step, total_steps, and whichever of loss, tokens_per_s, learning_rate, epoch, eta_s, grad_norm (before
                 clipping), data_wait (share of the time) and peak_memory_bytes are known
    evaluated    step, eval_loss, accuracy
    prompt_use   step, rows, own_loss, swapped_loss: of held-out answers behind their own and behind others' prompts;
                 base_own_loss, base_swapped_loss: of the base, before the first step
    checkpoint   step: committed, and safe to resume from
    finding      code, severity, message, recovery
    finished     terminal: state (succeeded, failed, stopped), error
    exited       told by the host once the process is gone: attempt, returncode (negative: a signal), oom_kills
    stop_forced  told by the host before it kills what did not stop in its time
    declared_dead    a person has looked, where we could not: this attempt's process is gone

Every event carries `t` (wall seconds), `boot` (boot seconds) and `attempt`; a reader ignores events of an older attempt
that arrive late.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.jobs import clock
from tunesmith.jobs.event_shapes import is_well_formed
from tunesmith.jobs.files import fsync_folder, storage_errors

Event = dict[str, Any]

_PIECE_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 1 << 20
_UNREADABLE = b"\0"
"""Stands for the beginning of a line that is too long for an event; no JSON begins like that."""


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
            descriptor = self._open(durable)
            try:
                written = os.write(descriptor, line)
                if written != len(line):
                    raise OSError(28, "short write")
                if durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _open(self, durable: bool) -> int:
        try:
            return os.open(self.path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            if durable:
                fsync_folder(self.path.parent)
            return descriptor


@dataclass
class JournalReader:
    """Reads a journal piece by piece: each call returns what was appended since the last one.

    It begins at `position`, which has to be the beginning of a line.
    """

    path: Path
    position: int = 0
    """Bytes up to and including the last complete line that was read."""
    _rest: bytes = field(default=b"", repr=False)
    _read: int = field(init=False)

    def __post_init__(self) -> None:
        self._read = self.position

    def was_replaced(self) -> bool:
        """Whether the file is shorter than what was read of it: somebody cut it, and reading has to start over."""
        try:
            return self.path.stat().st_size < self._read
        except OSError:
            return self._read > 0

    def new_events(self) -> Iterator[Event]:
        """New complete events, in bounded memory. Torn, foreign and garbage lines are skipped."""
        for line in self._new_lines():
            event = _parse(line)
            if event is not None:
                yield event

    def read_new(self) -> list[Event]:
        """All new complete events."""
        return list(self.new_events())

    def _new_lines(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                while piece := file.read(_PIECE_BYTES):
                    lines = (self._rest + piece).split(b"\n")
                    self._rest = lines.pop()
                    self._read += len(piece)
                    if lines:
                        self.position = self._read - len(self._rest)
                    if len(self._rest) > _LONGEST_LINE_BYTES:
                        self._rest = _UNREADABLE
                    yield from lines
        except OSError:
            return


def read_events(path: Path) -> list[Event]:
    """All complete events of a journal; none when there is no journal."""
    return JournalReader(path).read_new()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # our own events never hold NaN or Infinity


def _parse(line: bytes) -> Event | None:
    if not line.strip():
        return None
    try:
        value = _DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        return None
    return value if isinstance(value.get("attempt"), int) and is_well_formed(value) else None
