"""Whether the process of an attempt lives: what its lease says, and what to make of a lease that says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.jobs import machine
from tunesmith.jobs.lease import Liveness, Look


def judge(held: Look, worker: dict[str, Any] | None, lease: Path) -> tuple[Liveness, str]:
    """ALIVE, DEAD or UNKNOWN, and why it is unknown.

    `worker` names the process that began the attempt, as the journal's `started` event does; None when none has.
    A lease that nobody holds is believed where locks are seen by everybody who may hold them: on this machine, and on
    a disk that no other machine has. A lease file that is gone says nothing; the process itself is looked for then.
    """
    if held.liveness is not Liveness.DEAD or worker is None:
        return held.liveness, held.why
    if _elsewhere(worker):
        if machine.is_network_disk(lease.parent):
            where = (
                f"it began on the machine {worker.get('node')}, and locks may not reach from there to here"
            )
            return Liveness.UNKNOWN, where
        return Liveness.DEAD, ""  # the disk has moved, or the machine has started anew
    if held.missing and _is_running(worker):
        return Liveness.ALIVE, ""
    return Liveness.DEAD, ""


def _elsewhere(worker: dict[str, Any]) -> bool:
    boot = worker.get("boot_id")
    return bool(boot) and boot != machine.boot_id() and worker.get("node") != machine.node()


def _is_running(worker: dict[str, Any]) -> bool:
    pid, birth = worker.get("pid"), worker.get("birth")
    return isinstance(pid, int) and birth is not None and machine.birth(pid) == birth
