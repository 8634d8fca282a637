"""Where a dataset comes from: the versions before it, back to the source."""

from __future__ import annotations

from typing import Literal

from tunesmith.schemas.datasets import Ancestor, DatasetCard
from tunesmith.schemas.errors import TunesmithError
from tunesmith.tools.workspace import Workspace


def lineage(workspace: Workspace, card: DatasetCard) -> list[Ancestor]:
    """The dataset itself, then its parent, and so on; it ends early where a version is no longer there."""
    versions = [_as_ancestor(card)]
    while card.parent_dataset_id is not None:
        try:
            card = workspace.result(card.parent_dataset_id, "ds", "dataset_id", DatasetCard)
        except TunesmithError:
            break
        versions.append(_as_ancestor(card))
    return versions


def _as_ancestor(card: DatasetCard) -> Ancestor:
    made_by: Literal["load_dataset", "clean_dataset", "build_golden_set"] = "build_golden_set"
    if card.parent_dataset_id is None:
        made_by = "load_dataset"
    elif "held_out" not in card.dropped:
        made_by = "clean_dataset"
    return Ancestor(
        dataset_id=card.dataset_id,
        made_by=made_by,
        rows=card.rows,
        dropped=card.dropped,
        fixes=card.fixes,
        changed=card.changed,
        fingerprint=card.fingerprint,
        created_at=card.created_at,
    )
