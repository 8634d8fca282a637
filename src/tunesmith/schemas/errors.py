"""Every failure that Tunesmith anticipates.

    TunesmithError                     code                what it stands for
    ├── InvalidArgument                invalid_argument    an argument's value cannot be used
    │   └── RequestKeyReused           request_key_reused  the same key was used for something else
    ├── UnknownHandle                  unknown_handle      no such dataset, plan, run ... in this store
    ├── NotReady                       not_ready           the handle's work has not finished
    ├── WorkFailed                     work_failed         the handle's work ended without a result
    ├── Mismatch                       mismatch            handles that do not belong together
    ├── UnsafePath                     unsafe_path         a path outside the allowed roots, or a link
    ├── SourceNotFound                 source_not_found    no such file, folder or Hub id
    ├── UnreadableSource               unreadable_source   the file is not what its name says
    ├── NoRows                         no_rows             nothing was left to train on
    ├── UnmappedColumns                unmapped_columns    no format fits the columns
    ├── ModelNotFound                  model_not_found     no such base model
    ├── UnsafeModel                    unsafe_model        pickle weights or remote code
    ├── UnsupportedModel               unsupported_model   not a causal language model, or a method it cannot take
    ├── EmptyMask                      empty_mask          no token would carry loss
    ├── OutOfMemory                    out_of_memory       host or accelerator memory ran out
    ├── DiskFull                       disk_full           the store's disk is full
    ├── StorageFailed                  storage_failed      the store's disk refused a write
    ├── TrainingDiverged               training_diverged   the loss became NaN or infinite
    ├── MissingExtra                   missing_extra       the training stack is not installed
    ├── WorkerUnavailable              worker_unavailable  the background host could not be started
    ├── QueueFull                      queue_full          too many trainings wait already
    ├── HubUnavailable                 hub_unavailable     the Hub cannot be reached
    ├── HubAuth                        hub_auth            the Hub wants a (different) token
    ├── HubRefused                     hub_refused         the Hub, or a rule of ours about it, said no
    ├── Interrupted                    interrupted         the process ended before the work did
    └── RateLimited                    rate_limited        too many calls came too quickly

A message names the value and what happened; `recovery` names the next call. Neither ever holds a row of data,
a token or a traceback.
"""

from __future__ import annotations


class TunesmithError(Exception):
    """An anticipated failure, told to the caller as `code: message recovery`."""

    code = "error"

    def __init__(self, message: str, recovery: str) -> None:
        """`message`: what happened, with the value. `recovery`: what to do or call next."""
        super().__init__(message, recovery)  # both, or the error could not be pickled
        self.message = message
        self.recovery = recovery

    def __str__(self) -> str:
        return f"{self.code}: {self.message} {self.recovery}"


class InvalidArgument(TunesmithError):
    """An argument's value cannot be used."""

    code = "invalid_argument"


class RequestKeyReused(InvalidArgument):
    """The same request key was used for something else."""

    code = "request_key_reused"


class UnknownHandle(TunesmithError):
    """No such dataset, golden set, plan, run or evaluation in this store."""

    code = "unknown_handle"


class NotReady(TunesmithError):
    """The handle's work has not finished."""

    code = "not_ready"


class WorkFailed(TunesmithError):
    """The handle's work ended without a result."""

    code = "work_failed"


class Mismatch(TunesmithError):
    """Handles that do not belong together."""

    code = "mismatch"


class UnsafePath(TunesmithError):
    """A path outside the allowed roots, or a link where none may be."""

    code = "unsafe_path"


class SourceNotFound(TunesmithError):
    """No such file, folder or Hub dataset."""

    code = "source_not_found"


class UnreadableSource(TunesmithError):
    """The file is not what its name says, or is damaged."""

    code = "unreadable_source"


class NoRows(TunesmithError):
    """Nothing was left to train on."""

    code = "no_rows"


class UnmappedColumns(TunesmithError):
    """No format fits the columns, or a named column is not there."""

    code = "unmapped_columns"


class ModelNotFound(TunesmithError):
    """No such base model."""

    code = "model_not_found"


class UnsafeModel(TunesmithError):
    """The model needs pickle weights or remote code."""

    code = "unsafe_model"


class UnsupportedModel(TunesmithError):
    """Not a causal language model, or one that cannot take the tuning method."""

    code = "unsupported_model"


class EmptyMask(TunesmithError):
    """No token would carry loss."""

    code = "empty_mask"


class OutOfMemory(TunesmithError):
    """Host or accelerator memory ran out."""

    code = "out_of_memory"


class DiskFull(TunesmithError):
    """The store's disk is full."""

    code = "disk_full"


class StorageFailed(TunesmithError):
    """The store's disk refused a write."""

    code = "storage_failed"


class TrainingDiverged(TunesmithError):
    """The loss became NaN or infinite."""

    code = "training_diverged"


class MissingExtra(TunesmithError):
    """The training stack is not installed."""

    code = "missing_extra"


class WorkerUnavailable(TunesmithError):
    """The background host could not be started."""

    code = "worker_unavailable"


class QueueFull(TunesmithError):
    """Too many trainings wait already."""

    code = "queue_full"


class HubUnavailable(TunesmithError):
    """The Hub cannot be reached."""

    code = "hub_unavailable"


class HubAuth(TunesmithError):
    """The Hub wants a token, or a different one."""

    code = "hub_auth"


class HubRefused(TunesmithError):
    """The Hub, or a rule of ours about it, said no."""

    code = "hub_refused"


class Interrupted(TunesmithError):
    """The process ended before the work did."""

    code = "interrupted"


class RateLimited(TunesmithError):
    """Too many calls came too quickly; this one was not made."""

    code = "rate_limited"


def error_of(code: str, message: str, recovery: str) -> TunesmithError:
    """The error that a stored report stands for, of the class that has its code."""
    for kind in _all_kinds(TunesmithError):
        if kind.code == code:
            return kind(message, recovery)
    error = TunesmithError(message, recovery)
    error.code = code
    return error


def _all_kinds(kind: type[TunesmithError]) -> list[type[TunesmithError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _all_kinds(child))]
